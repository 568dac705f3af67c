"""The endpoint under test: where it is, which columns it takes, rows that it accepts and the answers that it gives.

From the environment: GREENLIGHT_URL, GREENLIGHT_TOKEN (may infer, load and unload), GREENLIGHT_READER_TOKEN (may only
read; without it the checks of refusals are not run) and ENDPOINT. The columns come from the model metadata.
"""

import functools
import json
import os
import urllib.parse
import urllib.request

URL = os.environ["GREENLIGHT_URL"].rstrip("/")
ADDRESS = urllib.parse.urlsplit(URL).netloc
TOKEN = os.environ["GREENLIGHT_TOKEN"]
READER = os.environ.get("GREENLIGHT_READER_TOKEN", "")
NAME = os.environ["ENDPOINT"]

BEARER = {"Authorization": f"Bearer {TOKEN}"}
# gRPC wants metadata keys in lower case.
METADATA = {"authorization": f"Bearer {TOKEN}"}

OUTPUTS = {
    "prediction_id": "BYTES",
    "probability": "FP64",
    "decision": "BYTES",
    "variant": "BYTES",
    "propensity": "FP64",
}
NUMPY = {"FP32": "float32", "FP64": "float64", "INT32": "int32", "INT64": "int64", "BOOL": "bool", "BYTES": "object"}

# A moment that any endpoint accepts as its event time, and that is just another word to a categorical feature.
MOMENT = "2010-11-20T10:00:00Z"


def post(path, body):
    """The JSON answer to a JSON body, without any client in between."""
    request = urllib.request.Request(
        URL + path, json.dumps(body).encode(), {"Content-Type": "application/json", **BEARER}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@functools.cache
def metadata():
    request = urllib.request.Request(f"{URL}/v2/models/{NAME}", headers=BEARER)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def inputs():
    """Name and datatype of every input, in order: the unit, the event time if there is one, then the features."""
    return [(tensor["name"], tensor["datatype"]) for tensor in metadata()["inputs"]]


def numbers():
    """Names of the numeric features."""
    return [name for name, datatype in inputs() if datatype == "FP64"]


def texts():
    """Names of the text features: neither the unit nor what may be the event time."""
    return [name for position, (name, datatype) in enumerate(inputs()) if datatype == "BYTES" and position > 1]


def columns(rows, value=None):
    """{name: list} that the endpoint accepts. Numbers are whole, so that every datatype carries them unchanged.

    With a value, every number is that value: 1 and True mean the same to a model.
    """
    made = {}
    for position, (name, datatype) in enumerate(inputs()):
        if position == 0:
            made[name] = _units()[:rows]
        elif datatype == "BYTES":
            made[name] = [MOMENT if position == 1 else f"word-{row}" for row in range(rows)]
        else:
            made[name] = [float(position + 3 * row) if value is None else value for row in range(rows)]
    return made


def records(rows):
    """The same as a list of {name: value}, one a row."""
    made = columns(rows)
    return [{name: made[name][row] for name in made} for row in range(rows)]


def tensors(made, datatypes=None):
    """Columns as tensors of the JSON protocol."""
    datatypes = {**dict(inputs()), **(datatypes or {})}
    return [
        {"name": name, "shape": [len(data)], "datatype": datatypes[name], "data": data} for name, data in made.items()
    ]


def probabilities(made):
    """What the endpoint says to these columns, asked in plain JSON: the others have to say the same."""
    answer = post(f"/v2/models/{NAME}/infer", {"inputs": tensors(made), "outputs": [{"name": "probability"}]})
    return [float("nan") if value is None else value for value in answer["outputs"][0]["data"]]


@functools.cache
def _units():
    """Units that a model decides about: not those in the permanent holdout, whose probability is missing."""
    unit = inputs()[0][0]
    candidates = [f"conformance-{number}" for number in range(600)]
    made = {name: [1.0 if datatype == "FP64" else MOMENT] * len(candidates) for name, datatype in inputs()}
    made[unit] = candidates
    answer = post(f"/v2/models/{NAME}/infer", {"inputs": tensors(made), "outputs": [{"name": "probability"}]})
    decided = [u for u, probability in zip(candidates, answer["outputs"][0]["data"]) if probability is not None]
    assert len(decided) >= 100, f"only {len(decided)} of {len(candidates)} units of '{NAME}' reach a model"
    return decided
