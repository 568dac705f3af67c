"""mlflow's own clients: the deployments client, and the scoring client behind a sidecar that adds the token."""

import json
import os

import endpoint

# Where mlflow looks for a bearer token. Set before it is imported.
os.environ["MLFLOW_TRACKING_TOKEN"] = endpoint.TOKEN

import pandas as pd
from mlflow.deployments import get_deploy_client
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

from check import check, finish, names, same
from endpoint import NAME, URL, columns, records
from sidecar import sidecar


def deployed(inputs):
    """The deployments client calls /endpoints/{name}/invocations."""
    return pd.DataFrame(get_deploy_client(URL).predict(endpoint=NAME, inputs=inputs)["predictions"])


def scored(data):
    with sidecar() as port:
        return ScoringServerClient("127.0.0.1", port).invoke(data).get_predictions()


def agree(frame, made):
    assert set(endpoint.OUTPUTS) <= set(frame.columns), list(frame.columns)
    same(frame["probability"].astype(float), endpoint.probabilities(made))


@check("deployments client: the four JSON shapes")
def _():
    for rows in (1, 50):
        frame = pd.DataFrame(columns(rows))
        agree(deployed({"dataframe_split": frame.to_dict(orient="split")}), columns(rows))
        agree(deployed({"dataframe_records": frame.to_dict(orient="records")}), columns(rows))
        agree(deployed({"instances": records(rows)}), columns(rows))
        agree(deployed({"inputs": columns(rows)}), columns(rows))


@check("deployments client: a refusal names the column")
def _():
    try:
        deployed({"inputs": columns(1) | {"too_many": [1.0]}})
    except Exception as error:  # noqa: BLE001 - what it raises depends on the status
        names(str(error), "too_many")
    else:
        raise AssertionError("this was accepted")


@check("scoring client: a DataFrame, a list of rows and JSON text")
def _():
    for rows in (1, 50):
        agree(scored(pd.DataFrame(columns(rows))), columns(rows))
        agree(scored(records(rows)), columns(rows))
        agree(scored(json.dumps({"instances": records(rows)})), columns(rows))


@check("scoring client: a DataFrame with a missing number, which it writes as NaN")
def _():
    number = endpoint.numbers()[0]
    missing = columns(2) | {number: [None, 4.0]}
    agree(scored(pd.DataFrame(missing)), missing)


@check("scoring client: a refusal names the column")
def _():
    try:
        scored(pd.DataFrame(columns(1)).drop(columns=endpoint.numbers()[0]))
    except Exception as error:  # noqa: BLE001 - the client raises a bare Exception
        names(str(error), "400", endpoint.numbers()[0])
    else:
        raise AssertionError("this was accepted")


if __name__ == "__main__":
    finish("mlflow")
