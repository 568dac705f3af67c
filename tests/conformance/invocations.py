"""MLflow's scoring protocol on the wire: POST /endpoints/{name}/invocations in four JSON shapes and CSV."""

import csv
import io
import json

import endpoint
from check import check, finish, names, same
from endpoint import columns, records
from wire import ask

PATH = f"/endpoints/{endpoint.NAME}/invocations"


def split(made, **more):
    return {"dataframe_split": {"columns": list(made), "data": [list(row) for row in zip(*made.values())], **more}}


def comma_separated(made):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(made)
    writer.writerows(zip(*made.values()))
    return text.getvalue().encode()


def answered(body, wanted, content_type="application/json"):
    """200, one object a row with every output, and the probabilities that the protocol v2 gives."""
    answer = ask("POST", PATH, body, {"Content-Type": content_type})
    assert answer.status == 200, f"{answer.status}: {answer.body[:200]}"
    assert answer.type == "application/json", answer.type
    rows = answer.json()["predictions"]
    assert all(set(endpoint.OUTPUTS) <= set(row) for row in rows), rows[:1]
    same([float("nan") if row["probability"] is None else row["probability"] for row in rows], wanted)


def refused(body, status, *words, content_type="application/json", token=endpoint.TOKEN, path=PATH):
    """The error is JSON and says in "error" or, as MLflow does, in "message" what is wrong."""
    answer = ask("POST", path, body, {"Content-Type": content_type}, token=token)
    assert answer.status == status, f"expected {status}, got {answer.status}: {answer.body[:200]}"
    assert answer.type == "application/json", f"an error has Content-Type application/json, not {answer.type}"
    error = answer.json()
    message = error.get("error") or error.get("message")
    assert isinstance(message, str) and message, error
    names(message, *words)


SHAPES = {
    "dataframe_split": lambda rows: split(columns(rows)),
    "dataframe_split with an index": lambda rows: split(columns(rows), index=list(range(rows))),
    "dataframe_records": lambda rows: {"dataframe_records": records(rows)},
    "instances": lambda rows: {"instances": records(rows)},
    "inputs by column": lambda rows: {"inputs": columns(rows)},
    "inputs by row": lambda rows: {"inputs": records(rows)},
}

for name, shape in SHAPES.items():

    @check(f"{name}: one row and a batch")
    def _(shape=shape):
        for rows in (1, 50):
            answered(shape(rows), endpoint.probabilities(columns(rows)))


@check("inputs by column: a single row without brackets")
def _():
    answered({"inputs": records(1)[0]}, endpoint.probabilities(columns(1)))


@check("text/csv: one row and a batch, columns in any order, quoted text")
def _():
    for rows in (1, 50):
        backwards = dict(reversed(columns(rows).items()))
        answered(comma_separated(backwards), endpoint.probabilities(columns(rows)), "text/csv")
    for text in endpoint.texts()[:1]:
        quoted = columns(2) | {text: ['a, "b"\nc', "d"]}
        answered(comma_separated(quoted), endpoint.probabilities(quoted), "text/csv; charset=utf-8")


@check("null is missing, and so is an empty cell of CSV")
def _():
    number = endpoint.numbers()[0]
    missing = columns(2) | {number: [None, 4.0]}
    wanted = endpoint.probabilities(missing)
    for body in (split(missing), {"inputs": missing}):
        answered(body, wanted)
    answered(comma_separated(missing), wanted, "text/csv")


@check("NaN as pandas writes it into JSON is missing")
def _():
    number = endpoint.numbers()[0]
    made = columns(2) | {number: [float("nan"), 4.0]}
    body = json.dumps(split(made)).encode()
    assert b"NaN" in body
    answered(body, endpoint.probabilities(made | {number: [None, 4.0]}))


@check("unknown and missing columns are named")
def _():
    number, unit = endpoint.numbers()[0], endpoint.inputs()[0][0]
    more = columns(1) | {"too_many": [1.0]}
    less = {name: data for name, data in columns(1).items() if name not in (number, unit)}
    for body in (
        split(more),
        {"inputs": more},
        {"dataframe_records": [{name: data[0] for name, data in more.items()}]},
    ):
        refused(body, 400, "too_many")
    for body in (split(less), {"inputs": less}, {"instances": [{name: data[0] for name, data in less.items()}]}):
        refused(body, 400, number, unit)
    refused(comma_separated(more), 400, "too_many", content_type="text/csv")
    refused(comma_separated(less), 400, number, unit, content_type="text/csv")


@check("values of a wrong type are named")
def _():
    number = endpoint.numbers()[0]
    wrong = columns(1) | {number: ["four"]}
    refused(split(wrong), 400, number)
    refused(comma_separated(wrong), 400, number, content_type="text/csv")


@check("rows and columns that do not fit each other")
def _():
    made = split(columns(2))
    made["dataframe_split"]["data"][1].pop()
    refused(made, 400)
    number = endpoint.numbers()[0]
    refused({"inputs": columns(2) | {number: [1.0]}}, 400, number)
    refused(comma_separated(columns(1)) + b"1,2\n", 400, content_type="text/csv")


@check("no shape, two shapes, broken JSON, another content type")
def _():
    refused({}, 400)
    refused(split(columns(1)) | {"instances": records(1)}, 400)
    for body in (b"", b"{nope", b"[]"):
        refused(body, 400)
    refused(comma_separated(columns(1)), 415, content_type="application/xml")


@check("an unknown endpoint is 404 and named; no token is 401")
def _():
    refused(split(columns(1)), 404, "no-such-endpoint", path="/endpoints/no-such-endpoint/invocations")
    refused(split(columns(1)), 401, token=None)


if endpoint.READER:

    @check("a token that may only read is 403")
    def _():
        refused(split(columns(1)), 403, token=endpoint.READER)


if __name__ == "__main__":
    finish("MLflow invocations")
