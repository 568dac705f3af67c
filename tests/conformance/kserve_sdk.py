"""The KServe SDK's clients, REST and gRPC. A process of its own: its protocol classes clash with tritonclient's."""

import asyncio
import logging

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb2
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as pb2_grpc
from kserve.protocol.infer_type import RequestedOutput

import endpoint
from check import check, finish, names, same
from endpoint import BEARER, METADATA, NAME, NUMPY, OUTPUTS, URL, columns

# The clients write a stack trace for every refusal that a check provokes.
logging.disable(logging.CRITICAL)


def rest(call):
    """Runs a call on a REST client of its own."""

    async def run():
        async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=10)) as client:
            return await call(client)

    return asyncio.run(run())


def rpc(call):
    """Runs a call on a gRPC client of its own."""

    async def run():
        async with InferenceGRPCClient(endpoint.ADDRESS, timeout=10) as client:
            return await call(client)

    return asyncio.run(run())


def request(made, binary, datatypes=None, outputs=None, model=NAME, **more):
    datatypes = {**dict(endpoint.inputs()), **(datatypes or {})}
    tensors = []
    for name, data in made.items():
        array = np.array(data, dtype=NUMPY[datatypes[name]])
        tensors.append(InferInput(name, list(array.shape), datatypes[name]))
        tensors[-1].set_data_from_numpy(array, binary_data=binary)
    wanted = [RequestedOutput(name, parameters) for name, parameters in (outputs or {}).items()]
    return InferRequest(model_name=model, infer_inputs=tensors, request_outputs=wanted or None, **more)


def by_rest(made, binary=False, **more):
    asked = request(made, binary, **more)
    return rest(lambda client: client.infer(URL, asked, model_name=asked.model_name, headers=dict(BEARER)))


def by_rpc(made, binary=False, headers=METADATA, **more):
    asked = request(made, binary, **more)
    return rpc(lambda client: client.infer(asked, headers=tuple(headers.items())))


def output(response, name):
    return response.get_output_by_name(name).as_numpy()


def refused(call, status, *words):
    try:
        call()
    except httpx.HTTPStatusError as error:
        assert error.response.status_code == status, f"expected {status}, got {error.response.status_code}: {error}"
        names(str(error), *words)
    except grpc.RpcError as error:
        assert error.code().name == status, f"expected {status}, got {error.code().name}: {error.details()}"
        names(error.details(), *words)
    else:
        raise AssertionError("this was accepted")


@check("REST: server live and ready")
def _():
    assert rest(lambda client: client.is_server_live(URL)) is True
    assert rest(lambda client: client.is_server_ready(URL)) is True


@check("REST: model ready, an unknown one is not")
def _():
    assert rest(lambda client: client.is_model_ready(URL, NAME, headers=BEARER)) is True
    assert rest(lambda client: client.is_model_ready(URL, "no-such-model", headers=BEARER)) is False


for binary in (False, True):
    for wanted in (False, True):

        @check(f"REST: {'bytes' if binary else 'JSON'} in, {'bytes' if wanted else 'JSON'} out")
        def _(binary=binary, wanted=wanted):
            for rows in (1, 50):
                response = by_rest(columns(rows), binary, parameters={"binary_data_output": wanted})
                assert response.model_name == NAME
                assert {tensor.name: tensor.datatype for tensor in response.outputs} == OUTPUTS
                same(output(response, "probability"), endpoint.probabilities(columns(rows)))


@check("REST: some outputs only")
def _():
    response = by_rest(columns(2), outputs={"variant": {"binary_data": True}, "probability": {"binary_data": False}})
    same([tensor.name for tensor in response.outputs], ["variant", "probability"])
    same(output(response, "probability"), endpoint.probabilities(columns(2)))


@check("REST: the request id comes back")
def _():
    assert by_rest(columns(1), request_id="call-12").id == "call-12"


@check("REST: NaN, which the client sends as null, is missing")
def _():
    feature = endpoint.numbers()[0]
    wanted = endpoint.probabilities(columns(2) | {feature: [None, 4.0]})
    for binary in (False, True):
        same(output(by_rest(columns(2) | {feature: [float("nan"), 4.0]}, binary), "probability"), wanted)


@check("REST: refusals reach the caller in words")
def _():
    number = endpoint.numbers()[0]
    refused(lambda: by_rest(columns(1), model="no-such-model"), 404, "no-such-model")
    refused(lambda: by_rest(columns(1), outputs={"no_such_output": None}), 400, "no_such_output")
    refused(lambda: by_rest(columns(1) | {number: ["four"]}, datatypes={number: "BYTES"}), 400, number)
    refused(lambda: rest(lambda client: client.infer(URL, request(columns(1), False), model_name=NAME)), 401, "token")


@check("gRPC: server live and ready, model ready")
def _():
    assert rpc(lambda client: client.is_server_live()) is True
    assert rpc(lambda client: client.is_server_ready()) is True
    assert rpc(lambda client: client.is_model_ready(NAME, headers=tuple(METADATA.items()))) is True


for binary in (False, True):

    @check(f"gRPC: {'raw' if binary else 'typed'} in and out")
    def _(binary=binary):
        for rows in (1, 50):
            response = by_rpc(columns(rows), binary)
            assert {tensor.name: tensor.datatype for tensor in response.outputs} == OUTPUTS
            same(output(response, "probability"), endpoint.probabilities(columns(rows)))
            assert all((tensor._raw_data is not None) == binary for tensor in response.outputs)


for datatype in ("FP32", "FP64", "INT32", "INT64", "BOOL"):

    @check(f"numbers as {datatype}: REST and gRPC, JSON or typed, and bytes")
    def _(datatype=datatype):
        made = columns(3, value=1.0 if datatype == "BOOL" else None)
        datatypes = dict.fromkeys(endpoint.numbers(), datatype)
        for binary in (False, True):
            for send in (by_rest, by_rpc):
                same(
                    output(send(made, binary, datatypes=datatypes), "probability"),
                    endpoint.probabilities(made),
                    send.__name__,
                )


@check("gRPC: some outputs only, the request id comes back")
def _():
    response = by_rpc(columns(2), outputs={"variant": None, "probability": None}, request_id="call-13")
    assert response.id == "call-13"
    same([tensor.name for tensor in response.outputs], ["variant", "probability"])


@check("gRPC: refusals have their code")
def _():
    number = endpoint.numbers()[0]
    refused(lambda: by_rpc(columns(1), model="no-such-model"), "NOT_FOUND", "no-such-model")
    refused(lambda: by_rpc(columns(1), outputs={"no_such_output": None}), "INVALID_ARGUMENT", "no_such_output")
    refused(lambda: by_rpc(columns(1) | {number: ["four"]}, datatypes={number: "BYTES"}), "INVALID_ARGUMENT", number)
    refused(lambda: by_rpc(columns(1), headers={}), "UNAUTHENTICATED")


@check("gRPC: load and unload, whose messages differ from Triton's")
def _():
    with grpc.insecure_channel(endpoint.ADDRESS) as channel:
        stub = pb2_grpc.GRPCInferenceServiceStub(channel)
        call = {"metadata": tuple(METADATA.items()), "timeout": 10}
        try:
            answer = stub.RepositoryModelUnload(pb2.RepositoryModelUnloadRequest(model_name=NAME), **call)
            assert (answer.model_name, answer.isUnloaded) == (NAME, True), answer
        finally:
            answer = stub.RepositoryModelLoad(pb2.RepositoryModelLoadRequest(model_name=NAME), **call)
        assert (answer.model_name, answer.isLoaded) == (NAME, True), answer
        assert stub.ModelReady(pb2.ModelReadyRequest(name=NAME), **call).ready


if __name__ == "__main__":
    finish("KServe SDK")
