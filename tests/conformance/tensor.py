"""Inference over REST: tensors in JSON and as bytes, in every mixture."""

import endpoint
from check import check, finish, same
from endpoint import OUTPUTS, columns, tensors
from wire import INFER, ask, binary, infer

NAN = float("nan")


def accepted(body, headers):
    answer = ask("POST", INFER, body, headers)
    assert answer.status == 200, f"{answer.status}: {answer.body[:200]}"
    return answer


def whole(answer, rows):
    """All outputs with their datatypes, one value a row."""
    outputs = {tensor["name"]: tensor for tensor in answer.json()["outputs"]}
    assert {name: tensor["datatype"] for name, tensor in outputs.items()} == OUTPUTS, outputs
    assert all(tensor["shape"] == [rows] for tensor in outputs.values()), outputs
    assert all(len(answer.output(name)) == rows for name in OUTPUTS)


@check("one row in JSON")
def _():
    answer = infer(tensors(columns(1)))
    whole(answer, 1)
    assert answer.json()["model_name"] == endpoint.NAME


@check("a batch in JSON answers each row as if it came alone")
def _():
    batch = columns(50)
    answer = infer(tensors(batch))
    whole(answer, 50)
    assert len(set(answer.output("prediction_id"))) == 50, "prediction ids repeat"
    alone = {name: data[17:18] for name, data in batch.items()}
    same(answer.output("probability")[17:18], infer(tensors(alone)).output("probability"))


@check("the request id comes back; none is no problem")
def _():
    assert infer(tensors(columns(1)), id="call-7").json()["id"] == "call-7"
    infer(tensors(columns(1)))


@check("unknown parameters and fields are passed over")
def _():
    named = [dict(tensor, parameters={"content_type": "np"}) for tensor in tensors(columns(1))]
    infer(named, parameters={"priority": 1}, model_name=endpoint.NAME)


@check("inputs in any order, outputs in the order asked for")
def _():
    wanted = ["variant", "probability"]
    answer = infer(tensors(columns(2))[::-1], outputs=[{"name": name} for name in wanted])
    same([tensor["name"] for tensor in answer.json()["outputs"]], wanted)
    same(answer.output("probability"), endpoint.probabilities(columns(2)))


@check("shape [rows, 1], flat and nested")
def _():
    wanted = endpoint.probabilities(columns(3))
    flat = [dict(tensor, shape=[3, 1]) for tensor in tensors(columns(3))]
    same(infer(flat).output("probability"), wanted)
    nested = [dict(tensor, data=[[value] for value in tensor["data"]]) for tensor in flat]
    same(infer(nested).output("probability"), wanted)


for datatype in ("FP32", "FP64", "INT32", "INT64", "BOOL"):

    @check(f"numbers as {datatype}, in JSON and as bytes")
    def _(datatype=datatype):
        plain = columns(3, value=1.0 if datatype == "BOOL" else None)
        wanted = endpoint.probabilities(plain)
        cast = {"FP32": float, "FP64": float, "BOOL": bool}.get(datatype, int)
        typed = {name: [cast(v) for v in data] if name in endpoint.numbers() else data for name, data in plain.items()}
        made = tensors(typed, dict.fromkeys(endpoint.numbers(), datatype))
        same(infer(made).output("probability"), wanted, "JSON")
        same(accepted(*binary(made)).output("probability"), wanted, "bytes")


@check("null is missing for FP64 and FP32, and the same as NaN in bytes")
def _():
    missing = columns(2, value=None)
    feature = endpoint.numbers()[0]
    for datatype in ("FP64", "FP32"):
        as_null = infer(tensors(missing | {feature: [None, 4.0]}, {feature: datatype})).output("probability")
        body, headers = binary(tensors(missing | {feature: [NAN, 4.0]}, {feature: datatype}))
        same(as_null, accepted(body, headers).output("probability"))


@check("bytes in, JSON out unless asked otherwise")
def _():
    answer = accepted(*binary(tensors(columns(2))))
    whole(answer, 2)
    assert answer.header_length is None and not answer.binary() and answer.type == "application/json", answer.type
    same(answer.output("probability"), endpoint.probabilities(columns(2)))


@check("bytes in, bytes out")
def _():
    body, headers = binary(tensors(columns(2)), id="call-8", parameters={"binary_data_output": True})
    answer = accepted(body, headers)
    whole(answer, 2)
    assert answer.binary() == set(OUTPUTS), f"binary are only {answer.binary()}"
    assert answer.type == "application/octet-stream", answer.type
    assert answer.json()["id"] == "call-8"
    same(answer.output("probability"), endpoint.probabilities(columns(2)))


@check("JSON in, bytes out")
def _():
    answer = infer(tensors(columns(2)), parameters={"binary_data_output": True})
    assert answer.binary() == set(OUTPUTS), f"binary are only {answer.binary()}"
    same(answer.output("probability"), endpoint.probabilities(columns(2)))


@check("an output's own binary_data wins over the request's")
def _():
    some = [{"name": "variant", "parameters": {"binary_data": True}}, {"name": "probability"}]
    assert infer(tensors(columns(2)), outputs=some).binary() == {"variant"}
    other = [{"name": "variant", "parameters": {"binary_data": False}}, {"name": "probability"}]
    assert infer(tensors(columns(2)), outputs=other, parameters={"binary_data_output": True}).binary() == {
        "probability"
    }


@check("some inputs as bytes and some in JSON")
def _():
    body, headers = binary(tensors(columns(2)), keep=endpoint.numbers()[:1] + [endpoint.inputs()[0][0]])
    same(accepted(body, headers).output("probability"), endpoint.probabilities(columns(2)))


@check("bytes without a Content-Type, as tritonclient sends them")
def _():
    body, headers = binary(tensors(columns(1)))
    del headers["Content-Type"]
    accepted(body, headers)


if __name__ == "__main__":
    finish("REST tensors")
