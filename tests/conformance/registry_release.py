"""mlflow's client logs and registers LightGBM, XGBoost and ONNX models; `greenlight` releases them as they are.

Each gets an endpoint of its own over the demo's data set and goes live under a policy that lets everything pass: what is
checked is that the answers of the endpoint are those of the library.
"""

import json
import os
import pathlib
import subprocess
import tempfile
import time
import urllib.request
import uuid

import endpoint

SCIENTIST = os.environ.get("GREENLIGHT_SCIENTIST_TOKEN", endpoint.TOKEN)
APPROVER = os.environ.get("GREENLIGHT_APPROVER_TOKEN", endpoint.TOKEN)
# Where mlflow looks for a bearer token, and for a quick no. Set before it is imported.
os.environ["MLFLOW_TRACKING_TOKEN"] = SCIENTIST
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"

import lightgbm
import mlflow
import numpy
import pandas
import sklearn.linear_model
import skl2onnx
import xgboost
from mlflow import MlflowClient
from mlflow.models import infer_signature
from skl2onnx.common.data_types import FloatTensorType

from check import check, finish, names

GREENLIGHT = pathlib.Path(os.environ["CARGO_TARGET_DIR"]) / "debug/greenlight"
DATASET, INITIATIVE, UNTIL = "bank-marketing@1", "term-deposit-calls", "2008-11-01"
COLUMNS = ["age", "balance", "campaign", "previous"]
SESSION = uuid.uuid4().hex[:8]
ROWS = 100

mlflow.set_tracking_uri(endpoint.URL)
client = MlflowClient(endpoint.URL)


def training():
    """Whole numbers, which single precision holds too, and an outcome that depends on them."""
    random = numpy.random.default_rng(7)
    ranges = {"age": (18, 95), "balance": (-2_000, 20_000), "campaign": (1, 9), "previous": (0, 6)}
    made = pandas.DataFrame({name: random.integers(*ranges[name], 2_000).astype(float) for name in COLUMNS})
    margin = (made.age - 50) / 30 + made.balance / 9_000 - made.campaign / 3
    return made, (random.random(len(made)) < 1 / (1 + numpy.exp(-margin))).astype(int)


frame, bought = training()


def greenlight(*arguments, token=SCIENTIST, refused=False):
    """The JSON that a verb prints, or what its refusal says."""
    command = [GREENLIGHT, "--json", *arguments, "--url", endpoint.URL, "--token", token]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode != 0) == refused, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr if refused else json.loads(done.stdout)


def named(flavor):
    return f"calls-{flavor}-{SESSION}"


def apply(name):
    """An endpoint under a policy that lets everything pass."""
    history = {"months": 1, "min_auc": 0, "min_observed_over_expected": 0, "max_observed_over_expected": 1e6}
    history |= {"min_value_against_holdout": -1_000_000_000, "min_value_against_idle": -1_000_000_000}
    history |= {"min_months_ahead": 0, "resamples": 50, "level": 0.95, "seed": 1}
    shadow = {"min_predictions": ROWS, "max_p99_latency_ms": 60_000, "max_error_share": 0, "max_drift_psi": 1e6}
    steps = [{"percent": 99, "min_matured": 1_000_000, "advance_when": "proven"}]
    rollout = {"alpha": 0.05, "tuned_for_units": 100, "max_error_share": 1, "max_p99_latency_ms": 60_000, "steps": steps}
    policy = {"description": "for a test", "history": history, "shadow": shadow, "approvals": {"count": 1}}
    served = {"initiative": INITIATIVE, "dataset": DATASET, "policy": f"{name}@1", "unit": "client_id"}
    documents = [
        {"kind": "Policy", "name": name, "version": 1, "spec": policy | {"rollout": rollout}},
        {"kind": "Endpoint", "name": name, "spec": served | {"holdout": {"title": "call everyone", "decision": "call"}}},
    ]
    with tempfile.TemporaryDirectory() as folder:
        # JSON is YAML.
        (pathlib.Path(folder) / "all.yaml").write_text("\n---\n".join(map(json.dumps, documents)))
        greenlight("apply", "-f", folder)


def logged(flavor, log, described=True):
    """Logs a model, registers it and calls it champion; the id of its run."""
    mlflow.set_experiment(f"registry release {SESSION}")
    with mlflow.start_run() as run:
        if described:
            data = mlflow.data.from_pandas(frame.assign(bought=bought), name=DATASET, targets="bought")
            mlflow.log_input(data, context="training")
            mlflow.set_tags({"greenlight.trained_until": UNTIL, "greenlight.initiative": INITIATIVE})
        # Requirements that are given are not looked for, which takes seconds.
        log(name="model", registered_model_name=named(flavor), pip_requirements=[flavor])
    client.set_registered_model_alias(named(flavor), "champion", 1)
    return run.info.run_id


def ask(name):
    """What the endpoint says to the first rows: probabilities and variants."""
    request = urllib.request.Request(f"{endpoint.URL}/v2/models/{name}", headers=endpoint.BEARER)
    with urllib.request.urlopen(request, timeout=10) as answer:
        inputs = json.load(answer)["inputs"]
    values = {"client_id": [f"client-{row}" for row in range(ROWS)]}
    values |= {column: frame[column].head(ROWS).tolist() for column in COLUMNS}
    for tensor in inputs:
        values.setdefault(tensor["name"], ["unknown" if tensor["datatype"] == "BYTES" else 1.0] * ROWS)
    tensors = [
        {"name": one["name"], "datatype": one["datatype"], "shape": [ROWS], "data": values[one["name"]]} for one in inputs
    ]
    wanted = [{"name": "probability"}, {"name": "variant"}]
    answer = endpoint.post(f"/v2/models/{name}/infer", {"inputs": tensors, "outputs": wanted})
    found = {output["name"]: output["data"] for output in answer["outputs"]}
    return found["probability"], found["variant"]


def go_live(name, flavor):
    """Through every gate to 99 percent of the clients."""
    release = greenlight("release", "submit", "--endpoint", name, "--model", f"models:/{named(flavor)}@champion")
    assert release["stage"] == "gated", release["reason"]
    id = release["id"]
    greenlight("release", "shadow", id)
    ask(name)
    # The shadow scores after the answer.
    for _ in range(40):
        time.sleep(0.25)
        try:
            judged = greenlight("release", "judge", id)
            break
        except AssertionError as error:
            if "let it run on" not in str(error):
                raise
    else:
        raise AssertionError("the shadow did not score every row")
    assert judged["stage"] == "awaiting_approval", judged["reason"]
    greenlight("release", "approve", id, token=APPROVER)
    return greenlight("release", "rollout", id, token=endpoint.TOKEN)


def served_as_logged(flavor, log, expected, tolerance):
    """From log_model to answers of an endpoint that are those of the library."""
    run = logged(flavor, log)
    made = greenlight("model", "register", "--from", f"models:/{named(flavor)}@champion")
    model = made["model"]
    assert (model["name"], model["version"], model["flavor"]) == (named(flavor), 1, flavor), model
    assert (made["run"]["id"], model["dataset"]) == (run, DATASET), made["run"]
    assert model["registered"] == {"name": named(flavor), "version": 1}, model["registered"]
    assert [field["name"] for field in model["signature"]["inputs"]] == COLUMNS, model["signature"]
    again = greenlight("model", "register", "--from", f"models:/{named(flavor)}/1")
    assert again["existing"] and again["model"] == model, again
    apply(named(flavor))
    release = go_live(named(flavor), flavor)
    assert (release["model"], release["model_version"], release["percent"]) == (named(flavor), 1, 99), release
    probabilities, variants = ask(named(flavor))
    champion = [row for row in range(ROWS) if variants[row] == "champion"]
    assert len(champion) > ROWS / 2, f"{len(champion)} of {ROWS} rows reach the model"
    worst = max(abs(probabilities[row] - expected[row]) for row in champion)
    assert worst <= tolerance, f"the answers lie up to {worst:e} from the library's"


@check("a LightGBM booster is released as it was logged")
def _():
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 15}
    booster = lightgbm.train(settings, lightgbm.Dataset(frame, bought), 20)
    log = lambda **named: mlflow.lightgbm.log_model(booster, **named)
    served_as_logged("lightgbm", log, booster.predict(frame.head(ROWS)), 1e-12)


@check("an XGBoost classifier is released as it was logged")
def _():
    model = xgboost.XGBClassifier(n_estimators=20, max_depth=4, n_jobs=1).fit(frame, bought)
    log = lambda **named: mlflow.xgboost.log_model(model, **named)
    served_as_logged("xgboost", log, model.predict_proba(frame.head(ROWS))[:, 1], 1e-6)


def linear():
    return sklearn.linear_model.LogisticRegression(max_iter=1_000).fit(frame.to_numpy(), bought)


@check("an ONNX graph of one matrix is released, its columns named by the signature")
def _():
    model = linear()
    matrix = [("input", FloatTensorType([None, len(COLUMNS)]))]
    graph = skl2onnx.to_onnx(model, initial_types=matrix, options={id(model): {"zipmap": False}})
    log = lambda **named: mlflow.onnx.log_model(graph, signature=infer_signature(frame), **named)
    served_as_logged("onnx", log, model.predict_proba(frame.head(ROWS).to_numpy())[:, 1], 1e-5)


@check("what would have to be converted is refused with the next step")
def _():
    logged("sklearn", lambda **named: mlflow.sklearn.log_model(linear(), serialization_format="cloudpickle", **named))
    said = greenlight("model", "register", "--from", f"models:/{named('sklearn')}@champion", refused=True)
    names(said, f"models:/{named('sklearn')}/1", "sklearn", "skl2onnx")


@check("what the run does not say is asked for, with the command")
def _():
    flavor = "lightgbm"
    booster = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(frame, bought), 1)
    other = f"bare-{SESSION}"
    with mlflow.start_run():
        mlflow.lightgbm.log_model(booster, name="model", registered_model_name=other, pip_requirements=[flavor])
    said = greenlight("release", "submit", "--endpoint", endpoint.NAME, "--model", f"models:/{other}/1", refused=True)
    names(said, f"greenlight model register --from models:/{other}/1 --dataset NAME@1 --trained-until")


if __name__ == "__main__":
    finish("registry release")
