"""mlflow's client, unmodified: experiments, runs, what is logged to them, artifacts, data sets, models, the registry."""

import base64
import contextlib
import hmac
import http.server
import json
import math
import os
import pathlib
import queue
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import uuid

import endpoint

# Where mlflow looks for a bearer token, and for a quick no. Set before it is imported.
os.environ["MLFLOW_TRACKING_TOKEN"] = os.environ.get("GREENLIGHT_SCIENTIST_TOKEN", endpoint.TOKEN)
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"

import mlflow
import pandas
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from check import check, finish, names, same

mlflow.set_tracking_uri(endpoint.URL)
client = MlflowClient(endpoint.URL)
# Runs of one session do not meet those of another.
SESSION = uuid.uuid4().hex[:8]


def experiment(name):
    return client.create_experiment(f"{name} {SESSION}")


def refused(code, function, *arguments, **named):
    """It is refused with that code; the message."""
    try:
        function(*arguments, **named)
    except MlflowException as error:
        assert error.error_code == code, f"{error.error_code}: {error.message}"
        return error.message
    raise AssertionError("this was accepted")


@check("a session: set_experiment, start_run, log_*, set_tag")
def _():
    made = mlflow.set_experiment(f"session {SESSION}")
    with mlflow.start_run(run_name="first") as run:
        mlflow.log_params({"depth": 3, "learner": "trees"})
        mlflow.log_metrics({"auc": 0.71, "loss": 0.4})
        mlflow.set_tag("team", "risk")
    found = client.get_run(run.info.run_id)
    assert found.info.status == "FINISHED" and found.info.end_time >= found.info.start_time
    assert found.info.experiment_id == made.experiment_id and found.info.run_name == "first"
    assert found.data.params == {"depth": "3", "learner": "trees"}, found.data.params
    assert found.data.metrics == {"auc": 0.71, "loss": 0.4}, found.data.metrics
    assert found.data.tags["team"] == "risk" and found.data.tags["mlflow.runName"] == "first"


@check("a metric keeps its history, with NaN and the infinities")
def _():
    run = client.create_run(experiment("history")).info.run_id
    values = [0.5, math.nan, math.inf, -math.inf, 0.25]
    for step, value in enumerate(values):
        client.log_metric(run, "loss", value, timestamp=1_000 + step, step=step)
    history = client.get_metric_history(run, "loss")
    same([point.value for point in history], values)
    same([point.step for point in history], range(5))
    assert client.get_run(run).data.metrics["loss"] == 0.25


@check("log_batch takes 1,000 metrics, or 100 parameters and 100 tags")
def _():
    run = client.create_run(experiment("batch")).info.run_id
    client.log_batch(run, metrics=[Metric("m", step / 7, step, step) for step in range(1_000)])
    client.log_batch(
        run, params=[Param(f"p{n}", str(n)) for n in range(100)], tags=[RunTag(f"t{n}", str(n)) for n in range(100)]
    )
    same([point.value for point in client.get_metric_history(run, "m")], [step / 7 for step in range(1_000)])
    data = client.get_run(run).data
    assert len(data.params) == 100 and data.tags["t99"] == "99"


@check("a parameter never changes; the same value again is no change")
def _():
    run = client.create_run(experiment("params")).info.run_id
    client.log_param(run, "depth", 3)
    client.log_param(run, "depth", 3)
    names(refused("INVALID_PARAMETER_VALUE", client.log_batch, run, params=[Param("depth", "4")]), "depth")
    assert client.get_run(run).data.params == {"depth": "3"}


@check("search_runs: filters, orders, pages")
def _():
    id = experiment("search")
    for n in range(5):
        run = client.create_run(id, start_time=n + 1, run_name=f"run-{n}", tags={"even": str(n % 2 == 0)}).info.run_id
        client.log_metric(run, "auc", n / 10)
        client.log_param(run, "learner", "Trees" if n > 2 else "linear")
    found = lambda filter="", **named: [run.info.run_name for run in client.search_runs([id], filter, **named)]
    same(found(), ["run-4", "run-3", "run-2", "run-1", "run-0"])
    same(found("metrics.auc > 0.15 and params.learner = 'linear'"), ["run-2"])
    same(found("params.learner ILIKE 't%'", order_by=["metrics.auc ASC"]), ["run-3", "run-4"])
    same(found("tags.even = 'True'", order_by=["attributes.start_time"]), ["run-0", "run-2", "run-4"])
    first = client.search_runs([id], max_results=3)
    rest = client.search_runs([id], max_results=3, page_token=first.token)
    same([run.info.run_name for run in [*first, *rest]], found())
    assert not rest.token
    names(refused("INVALID_PARAMETER_VALUE", found, "params.learner = 3"), "parameter")


@check("search_experiments: filters, orders, pages")
def _():
    ids = [experiment(f"find-{n}") for n in range(3)]
    client.set_experiment_tag(ids[1], "team", f"risk {SESSION}")
    found = lambda filter, **named: [one.experiment_id for one in client.search_experiments(filter_string=filter, **named)]
    same(found(f"name LIKE 'find-% {SESSION}'"), ids[::-1])
    same(found(f"tags.team = 'risk {SESSION}'"), [ids[1]])
    same(found(f"name ILIKE 'FIND-_ {SESSION}'", order_by=["name ASC"]), ids)
    first = client.search_experiments(filter_string=f"name LIKE 'find-% {SESSION}'", max_results=2)
    rest = client.search_experiments(filter_string=f"name LIKE 'find-% {SESSION}'", max_results=2, page_token=first.token)
    same([one.experiment_id for one in [*first, *rest]], ids[::-1])
    names(refused("INVALID_PARAMETER_VALUE", found, "params.p = 'x'"), "params")


@check("runs and experiments are deleted and brought back")
def _():
    id = experiment("deleted")
    run = client.create_run(id).info.run_id
    client.delete_run(run)
    assert client.get_run(run).info.lifecycle_stage == "deleted"
    assert not client.search_runs([id]) and len(client.search_runs([id], run_view_type=ViewType.DELETED_ONLY)) == 1
    refused("INVALID_PARAMETER_VALUE", client.log_metric, run, "m", 1.0)
    client.restore_run(run)
    client.delete_experiment(id)
    assert client.get_experiment(id).lifecycle_stage == "deleted"
    refused("INVALID_PARAMETER_VALUE", client.create_run, id)
    client.restore_experiment(id)
    client.rename_experiment(id, f"renamed {SESSION}")
    assert client.get_experiment_by_name(f"renamed {SESSION}").experiment_id == id


@check("refusals have mlflow's codes")
def _():
    id = experiment("refused")
    name = client.get_experiment(id).name
    names(refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, name), name)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_run, "0" * 32)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_experiment, "999999")
    assert client.get_experiment_by_name(f"none {SESSION}") is None


@check("artifacts: files and folders are logged, listed, loaded and deleted")
def _():
    run = client.create_run(experiment("artifacts")).info.run_id
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "größe 1.txt").write_text("hello")
        (folder / "sub").mkdir()
        (folder / "sub" / "big.bin").write_bytes(os.urandom(12 << 20))
        client.log_artifacts(run, str(folder), "all")
        client.log_text(run, "a,b", "table.csv")
        assert {(a.path, a.is_dir) for a in client.list_artifacts(run)} == {("all", True), ("table.csv", False)}
        assert [a.path for a in client.list_artifacts(run, "all")] == ["all/größe 1.txt", "all/sub"]
        there = pathlib.Path(client.download_artifacts(run, "all", tempfile.mkdtemp(dir=folder)))
        assert (there / "größe 1.txt").read_text() == "hello"
        assert (there / "sub" / "big.bin").read_bytes() == (folder / "sub" / "big.bin").read_bytes()
    repository = get_artifact_repository(client.get_run(run).info.artifact_uri)
    repository.delete_artifacts("all")
    assert [a.path for a in client.list_artifacts(run)] == ["table.csv"]


@check("a run says which data set it read, and is found by it")
def _():
    id = experiment("inputs")
    mlflow.set_experiment(experiment_id=id)
    frame = pandas.DataFrame({"age": [40, 30], "bought": [1, 0]})
    data = mlflow.data.from_pandas(frame, source="s3://bucket/rows.parquet", name="calls", targets="bought")
    with mlflow.start_run() as run:
        mlflow.log_input(data, context="training")
        mlflow.log_input(data, context="training")
    inputs = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert len(inputs) == 1 and inputs[0].dataset.digest == data.digest
    assert [tag.value for tag in inputs[0].tags] == ["training"]
    asked = "dataset.name = 'calls' and dataset.context = 'training'"
    assert [found.info.run_id for found in client.search_runs([id], asked)] == [run.info.run_id]
    node = urllib.parse.quote(f"run:{run.info.run_id}")
    address = urllib.request.Request(
        f"{endpoint.URL}/v1/lineage?node={node}",
        headers={"Authorization": f"Bearer {os.environ['MLFLOW_TRACKING_TOKEN']}"},
    )
    with urllib.request.urlopen(address, timeout=30) as answer:
        graph = json.load(answer)
    assert f"logged_dataset:calls#{data.digest}" in [node["id"] for node in graph["nodes"]], graph


class Doubles(mlflow.pyfunc.PythonModel):
    """A model that needs no library."""

    def predict(self, context, model_input: list[float]) -> list[float]:
        return [2 * value for value in model_input]


@check("log_model, register, alias, load models:/name@alias, copy, stage, delete")
def _():
    mlflow.set_experiment(experiment_id=experiment("models"))
    name = f"doubles {SESSION}"
    with mlflow.start_run() as run:
        logged = mlflow.pyfunc.log_model(name="doubles", python_model=Doubles(), registered_model_name=name)
        mlflow.log_metric("loss", 0.25, model_id=logged.model_id)
    found = mlflow.get_logged_model(logged.model_id)
    assert str(found.status) == "READY" and found.source_run_id == run.info.run_id, found.status
    assert [(metric.key, metric.value) for metric in found.metrics] == [("loss", 0.25)]
    outputs = client.get_run(run.info.run_id).outputs.model_outputs
    assert [output.model_id for output in outputs] == [logged.model_id]
    models = mlflow.search_logged_models([run.info.experiment_id], "metrics.loss < 0.5", output_format="list")
    assert [model.model_id for model in models] == [logged.model_id]

    version = client.get_model_version(name, "1")
    assert version.run_id == run.info.run_id and version.source == f"models:/{logged.model_id}", version.source
    client.set_registered_model_alias(name, "champion", 1)
    assert list(mlflow.pyfunc.load_model(f"models:/{name}@champion").predict([1.5, 4.0])) == [3.0, 8.0]
    copied = client.copy_model_version(f"models:/{name}@champion", f"copy {SESSION}")
    assert list(mlflow.pyfunc.load_model(f"models:/{copied.name}/{copied.version}").predict([1.0])) == [2.0]
    client.set_model_version_tag(name, "1", "checked", "yes")
    checked = client.search_model_versions(f"name = '{name}' and tags.checked = 'yes'")
    assert [int(found.version) for found in checked] == [1], checked
    client.delete_registered_model_alias(name, "champion")
    refused("INVALID_PARAMETER_VALUE", client.get_model_version_by_alias, name, "champion")
    client.delete_registered_model(name)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, name)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Fails once, and keeps what it is told."""

    told = queue.Queue()
    failures = 1

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if Receiver.failures:
            Receiver.failures -= 1
            self.send_error(503)
            return
        Receiver.told.put((self.headers, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def operator():
    """mlflow reads its token at every request."""
    os.environ["MLFLOW_TRACKING_TOKEN"], before = endpoint.TOKEN, os.environ["MLFLOW_TRACKING_TOKEN"]
    try:
        yield
    finally:
        os.environ["MLFLOW_TRACKING_TOKEN"] = before


@check("a webhook is told of an alias, signed, and again when it fails")
def _():
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    event = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)
    with operator():
        hook = client.create_webhook(f"hook-{SESSION}", url, [event], secret="s3cret")
    try:
        name = f"told {SESSION}"
        client.create_registered_model(name)
        client.create_model_version(name, "s3://bucket/model")
        client.set_registered_model_alias(name, "champion", 1)
        headers, body = Receiver.told.get(timeout=20)
        message = json.loads(body)
        assert (message["entity"], message["action"]) == ("model_version_alias", "created"), message
        assert message["data"] == {"name": name, "alias": "champion", "version": "1"}, message
        signed = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.".encode() + body
        signature = base64.b64encode(hmac.digest(b"s3cret", signed, "sha256")).decode()
        assert headers["X-MLflow-Signature"] == f"v1,{signature}"
        with operator():
            assert client.test_webhook(hook.webhook_id).response_status == 204
            client.delete_webhook(hook.webhook_id)
        assert Receiver.told.get(timeout=5)
        client.set_registered_model_alias(name, "other", 1)
        time.sleep(1.5)
        assert Receiver.told.empty(), "a deleted webhook is told nothing"
    finally:
        receiver.shutdown()


@check("what is not served is refused by name")
def _():
    names(refused("NOT_IMPLEMENTED", client.search_traces, locations=["0"]), "traces")


if __name__ == "__main__":
    finish("mlflow tracking")
