"""What must be refused over REST: with the right status, as {"error": "…"}, naming what is wrong."""

import json

import endpoint
from check import check, finish
from endpoint import columns, inputs, numbers, tensors, texts
from wire import INFER, ask, binary, infer, refused

UNIT = inputs()[0][0]
NUMBER = numbers()[0]


def changed(which, **fields):
    """One accepted row, but for one tensor."""
    return [tensor | fields if tensor["name"] == which else tensor for tensor in tensors(columns(1))]


def send(made, **more):
    return ask("POST", INFER, {"inputs": made, **more})


@check("an unknown input is named")
def _():
    refused(send(changed(NUMBER, name="no_such_input")), 400, "no_such_input")
    refused(
        send([*tensors(columns(1)), {"name": "one_too_many", "shape": [1], "datatype": "FP64", "data": [1.0]}]),
        400,
        "one_too_many",
    )


@check("missing inputs are named, all of them")
def _():
    gone = {UNIT, NUMBER}
    refused(send([tensor for tensor in tensors(columns(1)) if tensor["name"] not in gone]), 400, UNIT, NUMBER)


@check("an input sent twice is named")
def _():
    made = tensors(columns(1))
    refused(send([*made, next(t for t in made if t["name"] == NUMBER)]), 400, NUMBER)


@check("an unknown output is named, and so are those that exist")
def _():
    refused(send(tensors(columns(1)), outputs=[{"name": "no_such_output"}]), 400, "no_such_output", "probability")


@check("text for a number and a number for text are named")
def _():
    refused(send(changed(NUMBER, datatype="BYTES", data=["four"])), 400, NUMBER)
    for text in texts()[:1]:
        refused(send(changed(text, datatype="FP64", data=[4.0])), 400, text)


@check("data that are not of their datatype are named")
def _():
    refused(send(changed(NUMBER, data=["four"])), 400, NUMBER)
    refused(send(changed(NUMBER, datatype="INT64", data=[0.5])), 400, NUMBER)
    refused(send(changed(NUMBER, datatype="INT32", data=[2**31])), 400, NUMBER)
    refused(send(changed(UNIT, data=[7])), 400, UNIT)


@check("null is no integer and no boolean")
def _():
    for datatype in ("INT32", "INT64", "BOOL"):
        refused(send(changed(NUMBER, datatype=datatype, data=[None])), 400, NUMBER)


@check("an unknown datatype is named")
def _():
    refused(send(changed(NUMBER, datatype="FLOAT")), 400, NUMBER, "FLOAT")


@check("a wrong shape is named")
def _():
    for shape in ([1, 2], [], [1, 1, 1], [-1], [2]):
        refused(send(changed(NUMBER, shape=shape)), 400, NUMBER)


@check("columns of different lengths are named")
def _():
    refused(send(changed(NUMBER, shape=[2], data=[1.0, 2.0])), 400, NUMBER)


@check("a shape that asks for more memory than there is, is refused")
def _():
    refused(send(changed(NUMBER, shape=[2**62])), (400, 413))
    body, headers = binary(changed(NUMBER, shape=[2**62], raw=b""))
    refused(ask("POST", INFER, body, headers), (400, 413))


@check("no inputs, no body and broken JSON")
def _():
    refused(send([]), 400)
    for body in (b"", b"{}", b"{nope", b"[]", b"null", b"\xff\xfe"):
        refused(ask("POST", INFER, body, {"Content-Type": "application/json"}), 400)


@check("the wrong method and an unknown path")
def _():
    refused(ask("GET", INFER), 405)
    refused(ask("GET", "/v2/no-such-path"), 404)


@check("bytes that are fewer or more than announced")
def _():
    body, headers = binary(tensors(columns(2)))
    refused(ask("POST", INFER, body[:-1], headers), 400)
    refused(ask("POST", INFER, body + b"x", headers), 400)


@check("bytes that do not fill their shape are named")
def _():
    body, headers = binary(changed(NUMBER, raw=b"\0\0\0\0"))
    refused(ask("POST", INFER, body, headers), 400, NUMBER)


@check("text bytes with a broken length or broken UTF-8 are named")
def _():
    for raw in (b"\x09\0\0\0four", b"\x04\0\0", b"\xff\xff\xff\xff", b"\x02\0\0\0\xff\xfe", b""):
        body, headers = binary(changed(UNIT, raw=raw))
        refused(ask("POST", INFER, body, headers), 400, UNIT)


@check("a tensor with data and a binary size, or with neither, is named")
def _():
    refused(
        ask(
            "POST",
            INFER,
            {
                "inputs": [
                    {k: v for k, v in t.items() if k != "data" or t["name"] != NUMBER} for t in tensors(columns(1))
                ]
            },
        ),
        400,
        NUMBER,
    )
    body, headers = binary(tensors(columns(1)))
    length = int(headers["Inference-Header-Content-Length"])
    header = json.loads(body[:length])
    next(t for t in header["inputs"] if t["name"] == NUMBER)["data"] = [1.0]
    head = json.dumps(header).encode()
    refused(
        ask("POST", INFER, head + body[length:], headers | {"Inference-Header-Content-Length": str(len(head))}),
        400,
        NUMBER,
    )


@check("an Inference-Header-Content-Length that cannot be")
def _():
    body, headers = binary(tensors(columns(1)))
    for length in ("-1", "many", str(len(body) + 1), "99999999999999999999", "3"):
        refused(ask("POST", INFER, body, headers | {"Inference-Header-Content-Length": length}), 400)


@check("no token and a wrong token are 401")
def _():
    for token in (None, "gl_wrong"):
        refused(ask("GET", f"/v2/models/{endpoint.NAME}", token=token), 401)
        refused(ask("POST", INFER, {"inputs": tensors(columns(1))}, token=token), 401)


if endpoint.READER:

    @check("a token that may only read is 403 at infer")
    def _():
        refused(ask("POST", INFER, {"inputs": tensors(columns(1))}, token=endpoint.READER), 403)


@check("after all that it still answers")
def _():
    infer(tensors(columns(1)))


if __name__ == "__main__":
    finish("REST refusals")
