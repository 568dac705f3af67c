"""mlflow's client with the libraries that people train with: autolog, log_model, aliases, data sets, nested runs."""

import json
import os
import uuid

import endpoint

# Where mlflow looks for a bearer token, and for a quick no. Set before it is imported.
os.environ["MLFLOW_TRACKING_TOKEN"] = os.environ.get("GREENLIGHT_SCIENTIST_TOKEN", endpoint.TOKEN)
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
# Plots of importance are drawn without a display.
os.environ["MPLBACKEND"] = "Agg"

import lightgbm
import mlflow
import numpy
import onnxruntime
import pandas
import polars
import skl2onnx
import sklearn.compose
import sklearn.linear_model
import sklearn.pipeline
import xgboost
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from skl2onnx.common.data_types import FloatTensorType

from check import check, finish

mlflow.set_tracking_uri(endpoint.URL)
client = MlflowClient(endpoint.URL)
SESSION = uuid.uuid4().hex[:8]
COLUMNS = ["age", "balance", "campaign"]
ROWS = 50


def training():
    """Whole numbers, which single precision holds too, and an outcome that depends on them."""
    random = numpy.random.default_rng(7)
    made = pandas.DataFrame({name: random.integers(0, 100, 500).astype("float32") for name in COLUMNS})
    return made, (made.age + random.normal(0, 20, len(made)) > 50).astype(int)


frame, bought = training()


def linear():
    return sklearn.linear_model.LogisticRegression(max_iter=500).fit(frame.to_numpy(), bought)


def boosted():
    return lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(frame, bought), 10)


def experiment(name):
    return mlflow.set_experiment(f"{name} {SESSION}").experiment_id


def autologged(flavor, train):
    """The one run that a library's training made, and the model that it logged."""
    id = experiment(f"autolog {flavor}")
    module = getattr(mlflow, flavor)
    module.autolog(silent=True)
    try:
        train()
    finally:
        module.autolog(disable=True)
    (run,) = client.search_runs([id])
    assert run.info.status == "FINISHED", run.info.status
    (model,) = mlflow.search_logged_models([id], output_format="list")
    assert str(model.status) == "READY" and model.source_run_id == run.info.run_id, model
    return run, mlflow.pyfunc.load_model(f"models:/{model.model_id}")


@check("autolog of scikit-learn: parameters, scores, the data set and a model that predicts the same")
def _():
    made = []
    run, loaded = autologged(
        "sklearn", lambda: made.append(sklearn.linear_model.LogisticRegression(C=0.5, max_iter=500).fit(frame, bought))
    )
    assert run.data.params["C"] == "0.5" and run.data.params["max_iter"] == "500", run.data.params
    assert run.data.metrics["training_accuracy_score"] == made[0].score(frame, bought), run.data.metrics
    assert run.data.tags["estimator_name"] == "LogisticRegression", run.data.tags
    assert [one.tags[0].value for one in run.inputs.dataset_inputs] == ["train"], run.inputs
    assert list(loaded.predict(frame)) == list(made[0].predict(frame))


@check("autolog of LightGBM: a loss at each step, importances and a model that predicts the same")
def _():
    made = []

    def train():
        data = lightgbm.Dataset(frame, bought)
        settings = {"objective": "binary", "metric": "binary_logloss", "verbose": -1, "num_threads": 1}
        made.append(lightgbm.train(settings, data, 10, valid_sets=[data], valid_names=["train"]))

    run, loaded = autologged("lightgbm", train)
    assert run.data.params["objective"] == "binary" and run.data.params["num_boost_round"] == "10", run.data.params
    history = client.get_metric_history(run.info.run_id, "train-binary_logloss")
    assert [point.step for point in history] == list(range(10)), history
    assert history[-1].value < history[0].value
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert "feature_importance_split.json" in files, files
    assert numpy.array_equal(loaded.predict(frame), made[0].predict(frame))


@check("autolog of XGBoost: a loss at each step and a model that predicts the same")
def _():
    made = []

    def train():
        data = xgboost.DMatrix(frame, bought)
        settings = {"objective": "binary:logistic", "eval_metric": "logloss", "nthread": 1}
        made.append(xgboost.train(settings, data, 10, evals=[(data, "train")], verbose_eval=False))

    run, loaded = autologged("xgboost", train)
    assert run.data.params["eval_metric"] in ("logloss", "['logloss']"), run.data.params
    assert len(client.get_metric_history(run.info.run_id, "train-logloss")) == 10
    assert numpy.allclose(loaded.predict(frame), made[0].predict(xgboost.DMatrix(frame)), atol=0, rtol=0)


def kept(flavor, log, expected):
    """Logged, registered, called champion and loaded by that name, a model predicts what it did before."""
    experiment("kept")
    name = f"kept {flavor} {SESSION}"
    with mlflow.start_run():
        # Requirements that are given are not looked for, which takes seconds.
        log(name="model", registered_model_name=name, pip_requirements=[flavor], input_example=frame.head(2))
    client.set_registered_model_alias(name, "champion", 1)
    loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    assert loaded.metadata.signature.inputs.input_names() == COLUMNS, loaded.metadata.signature
    answer = loaded.predict(frame.head(ROWS))
    assert numpy.array_equal(numpy.asarray(answer).ravel(), numpy.asarray(expected).ravel()), answer
    version = client.get_model_version_by_alias(name, "champion")
    assert version.version in (1, "1") and version.status == "READY", version


@check("scikit-learn: log_model, register, alias, load models:/name@champion, equal predictions")
def _():
    model = sklearn.linear_model.LogisticRegression(max_iter=500).fit(frame, bought)
    log = lambda **named: mlflow.sklearn.log_model(model, serialization_format="cloudpickle", **named)
    kept("scikit-learn", log, model.predict(frame.head(ROWS)))


@check("LightGBM: log_model, register, alias, load models:/name@champion, equal predictions")
def _():
    model = boosted()
    kept("lightgbm", lambda **named: mlflow.lightgbm.log_model(model, **named), model.predict(frame.head(ROWS)))


@check("XGBoost: log_model, register, alias, load models:/name@champion, equal predictions")
def _():
    model = xgboost.XGBClassifier(n_estimators=10, n_jobs=1).fit(frame, bought)
    kept("xgboost", lambda **named: mlflow.xgboost.log_model(model, **named), model.predict(frame.head(ROWS)))


@check("ONNX: log_model, register, alias, load models:/name@champion, equal predictions")
def _():
    model = linear()
    columns = [(name, FloatTensorType([None, 1])) for name in COLUMNS]
    graph = skl2onnx.to_onnx(sklearn.pipeline.make_pipeline(joined(), model), initial_types=columns, options={id(model): {"zipmap": False}})
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    values = {name: frame[[name]].head(ROWS).to_numpy() for name in COLUMNS}
    experiment("kept")
    name = f"kept onnx {SESSION}"
    with mlflow.start_run():
        mlflow.onnx.log_model(graph, name="model", registered_model_name=name, pip_requirements=["onnx"])
    client.set_registered_model_alias(name, "champion", 1)
    answer = mlflow.pyfunc.load_model(f"models:/{name}@champion").predict(values)
    expected = dict(zip([output.name for output in session.get_outputs()], session.run(None, values)))
    assert answer.keys() == expected.keys() and all(numpy.array_equal(answer[key], expected[key]) for key in expected)


def joined():
    """The columns side by side, as skl2onnx wants them."""
    return sklearn.compose.ColumnTransformer([("all", "passthrough", list(range(len(COLUMNS))))]).fit(frame.to_numpy())


def read(data, context):
    """What a run says of the data that it read."""
    id = experiment("read")
    with mlflow.start_run() as run:
        mlflow.log_input(data, context=context, tags={"part": "all"})
    (found,) = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == (data.name, data.digest), found.dataset
    assert found.dataset.source_type == "http" and found.dataset.profile == json.dumps(data.profile), found.dataset
    assert {tag.key: tag.value for tag in found.tags} == {"mlflow.data.context": context, "part": "all"}, found.tags
    runs = client.search_runs([id], f"dataset.digest = '{data.digest}' and dataset.context = '{context}'")
    assert [one.info.run_id for one in runs] == [run.info.run_id]


@check("log_input with pandas")
def _():
    read(mlflow.data.from_pandas(frame, source="https://example.org/rows.csv", name="pandas"), "training")


@check("log_input with polars")
def _():
    made = polars.DataFrame({name: frame[name].to_numpy() for name in COLUMNS})
    read(mlflow.data.from_polars(made, source="https://example.org/rows.csv", name="polars"), "validation")


@check("nested runs name their parent and are found by it")
def _():
    id = experiment("nested")
    with mlflow.start_run(run_name="parent") as parent:
        children = []
        for depth in range(3):
            with mlflow.start_run(run_name=f"child {depth}", nested=True) as child:
                mlflow.log_metric("depth", depth)
                with mlflow.start_run(run_name="grandchild", nested=True) as grandchild:
                    pass
            children.append(child.info.run_id)
    asked = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    assert [run.info.run_id for run in client.search_runs([id], asked, order_by=["metrics.depth"])] == children
    assert client.get_parent_run(grandchild.info.run_id).info.run_id == children[-1]
    assert client.get_parent_run(parent.info.run_id) is None


@check("runs and experiments with models are deleted and brought back whole")
def _():
    id = experiment("deleted")
    with mlflow.start_run() as run:
        mlflow.log_metric("auc", 0.7)
        logged = mlflow.lightgbm.log_model(boosted(), name="model", pip_requirements=["lightgbm"])
    client.delete_run(run.info.run_id)
    assert mlflow.search_runs([id], run_view_type=ViewType.ACTIVE_ONLY).empty
    assert len(mlflow.search_runs([id], run_view_type=ViewType.DELETED_ONLY)) == 1
    client.restore_run(run.info.run_id)
    client.delete_experiment(id)
    try:
        client.log_metric(run.info.run_id, "auc", 0.8)
        raise AssertionError("a run of a deleted experiment was written to")
    except MlflowException as error:
        assert error.error_code == "INVALID_PARAMETER_VALUE", error
    client.restore_experiment(id)
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "active"
    assert client.get_run(run.info.run_id).data.metrics["auc"] == 0.7
    loaded = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    assert len(loaded.predict(frame.head(3))) == 3


if __name__ == "__main__":
    finish("mlflow flavors")
