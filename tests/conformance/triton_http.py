"""tritonclient over HTTP. Its default is the binary tensor extension, in and out."""

import gevent
import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

import endpoint
from check import check, finish, names, same
from endpoint import NAME, NUMPY, OUTPUTS, columns

client = triton.InferenceServerClient(endpoint.ADDRESS, concurrency=8)


def bearer():
    """A dict for each call: the client writes Inference-Header-Content-Length into the one that it is given."""
    return dict(endpoint.BEARER)


def inputs(made, binary=True, datatypes=None):
    """Columns as the client's own tensors."""
    datatypes = {**dict(endpoint.inputs()), **(datatypes or {})}
    tensors = []
    for name, data in made.items():
        array = np.array(data, dtype=NUMPY[datatypes[name]])
        tensors.append(triton.InferInput(name, list(array.shape), datatypes[name]))
        tensors[-1].set_data_from_numpy(array, binary_data=binary)
    return tensors


def infer(made, binary=True, datatypes=None, **more):
    return client.infer(NAME, inputs(made, binary, datatypes), headers=bearer(), **more)


def refused(call, status, *words):
    """The client turns an error into an exception with the server's message."""
    try:
        call()
    except InferenceServerException as error:
        assert error.status() == str(status), f"expected {status}, got {error.status()}: {error.message()}"
        names(error.message(), *words)
    else:
        raise AssertionError("this was accepted")


@check("server live, ready and metadata")
def _():
    assert client.is_server_live() and client.is_server_ready()
    assert client.get_server_metadata(headers=bearer())["name"]


@check("model ready and metadata")
def _():
    assert client.is_model_ready(NAME, headers=bearer())
    assert not client.is_model_ready("no-such-model", headers=bearer())
    assert client.get_model_metadata(NAME, headers=bearer()) == endpoint.metadata()
    refused(lambda: client.get_model_metadata("no-such-model", headers=bearer()), 404, "no-such-model")


@check("infer by default: bytes in, bytes out")
def _():
    for rows in (1, 50):
        result = infer(columns(rows))
        same(result.as_numpy("probability"), endpoint.probabilities(columns(rows)))
        for tensor in result.get_response()["outputs"]:
            assert "binary_data_size" in tensor["parameters"], tensor
            assert result.as_numpy(tensor["name"]).shape == (rows,), tensor
        assert all(isinstance(value, bytes) for value in result.as_numpy("decision")), result.as_numpy("decision")


@check("JSON in, bytes out")
def _():
    result = infer(columns(2), binary=False)
    same(result.as_numpy("probability"), endpoint.probabilities(columns(2)))
    assert all("binary_data_size" in tensor.get("parameters", {}) for tensor in result.get_response()["outputs"])


@check("bytes in, JSON out; JSON in, JSON out")
def _():
    for binary in (True, False):
        wanted = [triton.InferRequestedOutput(name, binary_data=False) for name in OUTPUTS]
        result = infer(columns(2), binary=binary, outputs=wanted)
        same(result.as_numpy("probability"), endpoint.probabilities(columns(2)))
        assert all("data" in tensor for tensor in result.get_response()["outputs"])


@check("some outputs only, some of them as bytes")
def _():
    wanted = [triton.InferRequestedOutput("variant"), triton.InferRequestedOutput("probability", binary_data=False)]
    result = infer(columns(2), outputs=wanted)
    same([tensor["name"] for tensor in result.get_response()["outputs"]], ["variant", "probability"])
    assert len(result.as_numpy("variant")) == 2
    same(result.as_numpy("probability"), endpoint.probabilities(columns(2)))


for datatype in ("FP32", "FP64", "INT32", "INT64", "BOOL"):

    @check(f"numbers as {datatype}")
    def _(datatype=datatype):
        made = columns(3, value=1.0 if datatype == "BOOL" else None)
        for binary in (True, False):
            result = infer(made, binary, dict.fromkeys(endpoint.numbers(), datatype))
            same(result.as_numpy("probability"), endpoint.probabilities(made))


@check("NaN in bytes is missing")
def _():
    feature = endpoint.numbers()[0]
    wanted = endpoint.probabilities(columns(2) | {feature: [None, 4.0]})
    for datatype in ("FP64", "FP32"):
        result = infer(columns(2) | {feature: [float("nan"), 4.0]}, datatypes={feature: datatype})
        same(result.as_numpy("probability"), wanted)


@check("the request id comes back")
def _():
    assert infer(columns(1), request_id="call-9").get_response()["id"] == "call-9"


@check("parameters of the caller's own are passed over")
def _():
    infer(columns(1), parameters={"caller": "conformance"}, priority=1, timeout=1_000_000)


@check("a version of the model")
def _():
    version = endpoint.metadata()["versions"][-1]
    assert client.is_model_ready(NAME, version, headers=bearer())
    infer(columns(1), model_version=version)
    refused(lambda: infer(columns(1), model_version="no-such-version"), 404, "no-such-version")


@check("many requests at once")
def _():
    calls = [
        client.async_infer(NAME, inputs(columns(1)), request_id=str(number), headers=bearer()) for number in range(40)
    ]
    gevent.sleep(0)
    same([call.get_result().get_response()["id"] for call in calls], map(str, range(40)))


@check("wrong names, datatypes and shapes are named")
def _():
    unit, number = endpoint.inputs()[0][0], endpoint.numbers()[0]
    refused(
        lambda: client.infer(
            NAME,
            inputs(columns(1)) + [triton.InferInput("too_many", [1], "FP64").set_data_from_numpy(np.zeros(1))],
            headers=bearer(),
        ),
        400,
        "too_many",
    )
    refused(lambda: infer({name: data for name, data in columns(1).items() if name != unit}), 400, unit)
    refused(lambda: infer(columns(1) | {number: ["four"]}, datatypes={number: "BYTES"}), 400, number)
    refused(lambda: infer(columns(1) | {number: [[1.0, 2.0]]}), 400, number)
    refused(lambda: infer(columns(1), outputs=[triton.InferRequestedOutput("no_such_output")]), 400, "no_such_output")


@check("an unknown model, no token, a wrong token")
def _():
    refused(lambda: client.infer("no-such-model", inputs(columns(1)), headers=bearer()), 404, "no-such-model")
    refused(lambda: client.infer(NAME, inputs(columns(1))), 401)
    refused(lambda: client.infer(NAME, inputs(columns(1)), headers={"Authorization": "Bearer wrong"}), 401)


@check("repository: index, unload, load")
def _():
    assert NAME in [model["name"] for model in client.get_model_repository_index(headers=bearer())]
    try:
        client.unload_model(NAME, headers=bearer())
    finally:
        client.load_model(NAME, headers=bearer())
    assert client.is_model_ready(NAME, headers=bearer())
    infer(columns(1))


if __name__ == "__main__":
    finish("tritonclient HTTP")
