"""The model repository extension over REST: index, load, unload."""

import endpoint
from check import check, finish, same
from endpoint import NAME, columns, tensors
from wire import INFER, ask, infer, refused

STATES = {"READY", "UNAVAILABLE", "LOADING", "UNLOADING"}


def index(body=None):
    answer = ask("POST", "/v2/repository/index", body)
    assert answer.status == 200, f"{answer.status}: {answer.body[:200]}"
    return {model["name"]: model for model in answer.json()}


def change(verb, model=NAME, token=endpoint.TOKEN):
    return ask("POST", f"/v2/repository/models/{model}/{verb}", {}, token=token)


@check("the index lists the endpoint as READY, with and without a body")
def _():
    for body in (None, b"", {}, {"ready": True}):
        model = index(body)[NAME]
        assert model["state"] == "READY", model
        assert {"name", "state"} <= set(model) and isinstance(model.get("version", ""), str), model


@check("load of what is loaded changes nothing")
def _():
    wanted = endpoint.probabilities(columns(2))
    assert change("load").status == 200
    same(infer(tensors(columns(2))).output("probability"), wanted)


@check("unload and load again: the same answers")
def _():
    wanted = endpoint.probabilities(columns(2))
    try:
        answer = change("unload")
        assert answer.status == 200, answer.body
        state = index()[NAME]["state"]
        assert state in STATES, state
        # Unloaded, it either loads on demand or says that it cannot answer now.
        assert ask("POST", INFER, {"inputs": tensors(columns(1))}).status in (200, 400, 404, 503)
    finally:
        answer = change("load")
        assert answer.status == 200, answer.body
    assert index()[NAME]["state"] == "READY"
    assert ask("GET", f"/v2/models/{NAME}/ready").status == 200
    same(infer(tensors(columns(2))).output("probability"), wanted)


@check("an unknown model is refused and named")
def _():
    for verb in ("load", "unload"):
        refused(change(verb, model="no-such-model"), (400, 404), "no-such-model")


@check("nothing of it without a token")
def _():
    refused(ask("POST", "/v2/repository/index", {}, token=None), 401)
    for verb in ("load", "unload"):
        refused(change(verb, token=None), 401)


if endpoint.READER:

    @check("a token that may only read sees the index but loads nothing")
    def _():
        assert ask("POST", "/v2/repository/index", {}, token=endpoint.READER).status == 200
        for verb in ("load", "unload"):
            refused(change(verb, token=endpoint.READER), 403)


if __name__ == "__main__":
    finish("REST repository")
