"""Liveness, readiness and metadata over REST."""

import endpoint
from check import check, finish, same
from endpoint import NAME
from wire import ask, refused


@check('live says {"live": true}, without a token')
def _():
    answer = ask("GET", "/v2/health/live", token=None)
    assert (answer.status, answer.json()) == (200, {"live": True}), answer.body


@check('ready says {"ready": true}, without a token')
def _():
    answer = ask("GET", "/v2/health/ready", token=None)
    assert (answer.status, answer.json()) == (200, {"ready": True}), answer.body


@check("server metadata has name, version and extensions")
def _():
    server = ask("GET", "/v2").json()
    assert server["name"] and server["version"], server
    assert {"binary_tensor_data", "model_repository"} <= set(server["extensions"]), server["extensions"]


@check("model metadata has name, versions, platform, inputs and outputs")
def _():
    model = endpoint.metadata()
    assert model["name"] == NAME and model["platform"] and model["versions"], model
    assert all(isinstance(version, str) for version in model["versions"]), model["versions"]
    assert all(tensor["shape"] == [-1] for tensor in model["inputs"] + model["outputs"])
    assert all(datatype in ("FP64", "BYTES") for _, datatype in endpoint.inputs()), endpoint.inputs()
    assert endpoint.inputs()[0][1] == "BYTES", "the first input is the unit, as BYTES"
    assert {tensor["name"]: tensor["datatype"] for tensor in model["outputs"]} == endpoint.OUTPUTS, model["outputs"]


@check("a version that the metadata lists can be asked for")
def _():
    version = endpoint.metadata()["versions"][-1]
    path = f"/v2/models/{NAME}/versions/{version}"
    assert ask("GET", path).json() == endpoint.metadata()
    assert ask("GET", path + "/ready").status == 200
    columns = endpoint.columns(1)
    answer = ask("POST", path + "/infer", {"inputs": endpoint.tensors(columns)})
    assert answer.status == 200, answer.body
    same(answer.output("probability"), endpoint.probabilities(columns))


@check("a version that is not there is 404 and named")
def _():
    path = f"/v2/models/{NAME}/versions/no-such-version"
    for suffix in ("", "/ready"):
        refused(ask("GET", path + suffix), 404, "no-such-version")
    refused(ask("POST", path + "/infer", {"inputs": endpoint.tensors(endpoint.columns(1))}), 404, "no-such-version")


@check("the model is ready, and an answer about it is JSON")
def _():
    answer = ask("GET", f"/v2/models/{NAME}/ready")
    assert answer.status == 200 and answer.json()["ready"] is True, answer.body


@check("an unknown model is 404 and named: metadata, readiness, infer")
def _():
    refused(ask("GET", "/v2/models/no-such-model"), 404, "no-such-model")
    refused(ask("GET", "/v2/models/no-such-model/ready"), 404, "no-such-model")
    refused(
        ask("POST", "/v2/models/no-such-model/infer", {"inputs": endpoint.tensors(endpoint.columns(1))}),
        404,
        "no-such-model",
    )


if __name__ == "__main__":
    finish("REST health")
