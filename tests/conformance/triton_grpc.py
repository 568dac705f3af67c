"""tritonclient over gRPC. It sends raw_input_contents; typed contents go through its generated stub."""

import queue

import grpc
import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

import endpoint
from check import check, finish, names, same
from endpoint import METADATA, NAME, NUMPY, OUTPUTS, columns

client = triton.InferenceServerClient(endpoint.ADDRESS)
stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(endpoint.ADDRESS))

CONTENTS = {
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}
CASTS = {"FP32": float, "FP64": float, "INT32": int, "INT64": int, "BOOL": bool, "BYTES": str.encode}


def inputs(made, datatypes=None):
    """Columns as the client's own tensors: raw."""
    datatypes = {**dict(endpoint.inputs()), **(datatypes or {})}
    tensors = []
    for name, data in made.items():
        array = np.array(data, dtype=NUMPY[datatypes[name]])
        tensors.append(triton.InferInput(name, list(array.shape), datatypes[name]))
        tensors[-1].set_data_from_numpy(array)
    return tensors


def infer(made, datatypes=None, **more):
    return client.infer(NAME, inputs(made, datatypes), headers=METADATA, **more)


def typed(made, datatypes=None, **more):
    """A request with InferTensorContents."""
    datatypes = {**dict(endpoint.inputs()), **(datatypes or {})}
    request = service_pb2.ModelInferRequest(model_name=NAME, **more)
    for name, data in made.items():
        tensor = request.inputs.add(name=name, datatype=datatypes[name], shape=[len(data)])
        getattr(tensor.contents, CONTENTS[datatypes[name]]).extend(map(CASTS[datatypes[name]], data))
    return request


def send(request):
    return stub.ModelInfer(request, metadata=tuple(METADATA.items()), timeout=10)


def refused(call, code, *words):
    try:
        call()
    except InferenceServerException as error:
        assert error.status() == f"StatusCode.{code}", f"expected {code}, got {error.status()}: {error.message()}"
        names(error.message(), *words)
    except grpc.RpcError as error:
        assert error.code().name == code, f"expected {code}, got {error.code().name}: {error.details()}"
        names(error.details(), *words)
    else:
        raise AssertionError("this was accepted")


@check("server live, ready and metadata")
def _():
    assert client.is_server_live() and client.is_server_ready()
    server = client.get_server_metadata(headers=METADATA)
    assert server.name and server.version and "model_repository" in server.extensions, server


@check("model ready and metadata, the same as over REST")
def _():
    assert client.is_model_ready(NAME, headers=METADATA)
    model = client.get_model_metadata(NAME, headers=METADATA)
    wanted = endpoint.metadata()
    assert (model.name, list(model.versions), model.platform) == (NAME, wanted["versions"], wanted["platform"])
    for side in ("inputs", "outputs"):
        got = [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in getattr(model, side)]
        same(got, [(tensor["name"], tensor["datatype"], tensor["shape"]) for tensor in wanted[side]])


@check("raw in, raw out")
def _():
    for rows in (1, 50):
        result = infer(columns(rows))
        same(result.as_numpy("probability"), endpoint.probabilities(columns(rows)))
        response = result.get_response()
        assert len(response.raw_output_contents) == len(OUTPUTS) and not any(
            t.HasField("contents") for t in response.outputs
        )
        assert {t.name: t.datatype for t in response.outputs} == OUTPUTS
        assert all(list(t.shape) == [rows] for t in response.outputs)
        assert all(isinstance(value, bytes) for value in result.as_numpy("decision"))


@check("typed in, typed out")
def _():
    for rows in (1, 50):
        response = send(typed(columns(rows)))
        assert not response.raw_output_contents and response.model_name == NAME
        outputs = {tensor.name: tensor for tensor in response.outputs}
        same(outputs["probability"].contents.fp64_contents, endpoint.probabilities(columns(rows)))
        assert all(len(getattr(t.contents, CONTENTS[t.datatype])) == rows for t in response.outputs)


for datatype in ("FP32", "FP64", "INT32", "INT64", "BOOL"):

    @check(f"numbers as {datatype}, raw and typed")
    def _(datatype=datatype):
        made = columns(3, value=1.0 if datatype == "BOOL" else None)
        datatypes = dict.fromkeys(endpoint.numbers(), datatype)
        same(infer(made, datatypes).as_numpy("probability"), endpoint.probabilities(made), "raw")
        outputs = {tensor.name: tensor for tensor in send(typed(made, datatypes)).outputs}
        same(outputs["probability"].contents.fp64_contents, endpoint.probabilities(made), "typed")


@check("NaN is missing, raw and typed")
def _():
    feature = endpoint.numbers()[0]
    wanted = endpoint.probabilities(columns(2) | {feature: [None, 4.0]})
    made = columns(2) | {feature: [float("nan"), 4.0]}
    same(infer(made).as_numpy("probability"), wanted)
    outputs = {tensor.name: tensor for tensor in send(typed(made)).outputs}
    same(outputs["probability"].contents.fp64_contents, wanted)


@check("shape [rows, 1]")
def _():
    result = infer({name: [[value] for value in data] for name, data in columns(3).items()})
    same(result.as_numpy("probability"), endpoint.probabilities(columns(3)))


@check("some outputs only, in the order asked for")
def _():
    result = infer(
        columns(2), outputs=[triton.InferRequestedOutput("variant"), triton.InferRequestedOutput("probability")]
    )
    same([tensor.name for tensor in result.get_response().outputs], ["variant", "probability"])
    same(result.as_numpy("probability"), endpoint.probabilities(columns(2)))


@check("the request id comes back")
def _():
    assert infer(columns(1), request_id="call-10").get_response().id == "call-10"
    assert send(typed(columns(1), id="call-11")).id == "call-11"


@check("a version of the model")
def _():
    version = endpoint.metadata()["versions"][-1]
    assert client.is_model_ready(NAME, version, headers=METADATA)
    infer(columns(1), model_version=version)
    refused(lambda: infer(columns(1), model_version="no-such-version"), "NOT_FOUND", "no-such-version")


@check("many requests at once on one connection")
def _():
    done = queue.Queue()
    for number in range(100):
        client.async_infer(
            NAME,
            inputs(columns(1)),
            lambda result, error: done.put((result, error)),
            request_id=str(number),
            headers=METADATA,
        )
    answers = [done.get(timeout=10) for _ in range(100)]
    assert not any(error for _, error in answers), [error for _, error in answers if error][0]
    same(sorted(int(result.get_response().id) for result, _ in answers), range(100))


@check("wrong names, datatypes and shapes are INVALID_ARGUMENT and named")
def _():
    unit, number = endpoint.inputs()[0][0], endpoint.numbers()[0]
    refused(lambda: infer(columns(1) | {"too_many": [1.0]}, {"too_many": "FP64"}), "INVALID_ARGUMENT", "too_many")
    refused(lambda: infer({name: data for name, data in columns(1).items() if name != unit}), "INVALID_ARGUMENT", unit)
    refused(lambda: infer(columns(1) | {number: ["four"]}, {number: "BYTES"}), "INVALID_ARGUMENT", number)
    refused(lambda: infer(columns(1) | {number: [[1.0, 2.0]]}), "INVALID_ARGUMENT", number)
    refused(
        lambda: infer(columns(1), outputs=[triton.InferRequestedOutput("no_such_output")]),
        "INVALID_ARGUMENT",
        "no_such_output",
    )


@check("contents that do not fit are INVALID_ARGUMENT and named")
def _():
    number = endpoint.numbers()[0]

    def broken(change):
        request = typed(columns(1))
        change(next(tensor for tensor in request.inputs if tensor.name == number))
        return request

    refused(lambda: send(broken(lambda t: t.contents.fp64_contents.append(2.0))), "INVALID_ARGUMENT", number)
    refused(lambda: send(broken(lambda t: t.ClearField("contents"))), "INVALID_ARGUMENT", number)
    refused(lambda: send(broken(lambda t: t.shape.append(2))), "INVALID_ARGUMENT", number)
    refused(lambda: send(broken(lambda t: setattr(t, "datatype", "FLOAT"))), "INVALID_ARGUMENT", number, "FLOAT")


@check("raw contents that do not fit are INVALID_ARGUMENT")
def _():
    mixed = typed(columns(1))
    mixed.raw_input_contents.append(b"\0" * 8)
    refused(lambda: send(mixed), "INVALID_ARGUMENT")
    request = typed(columns(1))
    for tensor in request.inputs:
        tensor.ClearField("contents")
    request.raw_input_contents.extend([b"\xff\xff\xff\xff"] * len(request.inputs))
    refused(lambda: send(request), "INVALID_ARGUMENT", endpoint.inputs()[0][0])


@check("an unknown model is NOT_FOUND and named")
def _():
    refused(lambda: client.infer("no-such-model", inputs(columns(1)), headers=METADATA), "NOT_FOUND", "no-such-model")
    refused(lambda: client.get_model_metadata("no-such-model", headers=METADATA), "NOT_FOUND", "no-such-model")


@check("no token and a wrong token are UNAUTHENTICATED")
def _():
    refused(lambda: client.infer(NAME, inputs(columns(1))), "UNAUTHENTICATED")
    refused(
        lambda: client.infer(NAME, inputs(columns(1)), headers={"authorization": "Bearer wrong"}), "UNAUTHENTICATED"
    )
    refused(lambda: client.get_model_metadata(NAME), "UNAUTHENTICATED")
    refused(lambda: client.unload_model(NAME), "UNAUTHENTICATED")


if endpoint.READER:

    @check("a token that may only read is PERMISSION_DENIED")
    def _():
        reader = {"authorization": f"Bearer {endpoint.READER}"}
        refused(lambda: client.infer(NAME, inputs(columns(1)), headers=reader), "PERMISSION_DENIED")
        refused(lambda: client.unload_model(NAME, headers=reader), "PERMISSION_DENIED")
        assert client.get_model_metadata(NAME, headers=reader).name == NAME


@check("repository: index, unload, load")
def _():
    index = {model.name: model for model in client.get_model_repository_index(headers=METADATA).models}
    assert index[NAME].state == "READY", index
    try:
        client.unload_model(NAME, headers=METADATA)
    finally:
        client.load_model(NAME, headers=METADATA)
    assert client.is_model_ready(NAME, headers=METADATA)
    infer(columns(1))
    refused(lambda: client.load_model("no-such-model", headers=METADATA), "NOT_FOUND", "no-such-model")


if __name__ == "__main__":
    finish("tritonclient gRPC")
