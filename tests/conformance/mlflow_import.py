"""`greenlight import mlflow`: from a real `mlflow server` and from the folder of its file store, into an empty server.

What was logged with mlflow's client is compared, through the same client, on both sides.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
# The file store is asked for by name since it is no longer the default.
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"

import mlflow
import pandas
import sklearn.linear_model
from mlflow import MlflowClient
from mlflow.entities import ViewType

from check import check, finish, names
from parity import mlflow_server

warnings.filterwarnings("ignore")
GREENLIGHT = pathlib.Path(os.environ["CARGO_TARGET_DIR"]) / "debug/greenlight"
FRAME = pandas.DataFrame({"a": [0.0, 1, 2, 3], "b": [1.0, 0, 1, 0]})
POINTS = 1_203  # More than a batch holds.


def fill(uri):
    """Runs with everything that a run can have, models with every kind of reference to them."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    experiment = mlflow.set_experiment("churn").experiment_id
    client.set_experiment_tag(experiment, "team", "growth")
    for n in range(3):
        with mlflow.start_run(run_name=f"run {n}") as run:
            mlflow.log_params({"rate": 0.1 * n, "long": "x" * 3_000} | {f"p{i}": i for i in range(120)})
            mlflow.log_metric("val/auc:1", float("nan"), step=3)
            mlflow.log_metric("big", 1e308)
            mlflow.set_tag("mlflow.note.content", "größe\nin two lines")
            mlflow.log_text("hello", "notes/a b.txt")
            mlflow.log_text("", "notes/empty")
            mlflow.log_input(mlflow.data.from_pandas(FRAME, name="train"), context="training")
            fitted = sklearn.linear_model.LogisticRegression().fit(FRAME, [0, 0, 1, 1])
            mlflow.sklearn.log_model(
                fitted, name="model", registered_model_name="churn", serialization_format="cloudpickle"
            )
    points = [mlflow.entities.Metric("loss", 1 / (n + 1), 1_700_000_000_000 + n, n) for n in range(POINTS)]
    client.log_batch(run.info.run_id, metrics=points[:1000])
    client.log_batch(run.info.run_id, metrics=points[1000:])
    client.delete_model_version("churn", "1")
    client.set_model_version_tag("churn", "2", "checked", "yes")
    client.update_model_version("churn", "2", "the one that works")
    client.set_registered_model_alias("churn", "champion", "2")
    client.transition_model_version_stage("churn", "3", "Staging")
    # As clients before MLflow 3 named their models: a folder of the run.
    client.create_model_version("churn", f"{run.info.artifact_uri}/notes", run.info.run_id)
    client.create_registered_model("copies", tags={"kind": "copy"})
    client.copy_model_version("models:/churn@champion", "copies")
    gone = client.create_run(experiment)
    client.delete_run(gone.info.run_id)
    other = client.create_experiment("other")
    client.create_run(other, tags={"mlflow.user": "ann"}, start_time=5)
    return client


class Target:
    """A Greenlight server of its own, and the verb against it."""

    def __init__(self, url, token):
        self.url, self.token = url, token
        self.env = os.environ | {"GREENLIGHT_URL": url, "GREENLIGHT_TOKEN": token}

    def start(self, source, *more):
        command = [GREENLIGHT, "--json", "import", "mlflow", "--from", source, *more]
        return subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def import_from(self, source, *more, expect=0):
        process = self.start(source, *more)
        out, complaints = process.communicate(timeout=120)
        assert process.returncode == expect, f"{process.returncode}: {out}{complaints}"
        return json.loads(out)

    @contextlib.contextmanager
    def client(self):
        os.environ["MLFLOW_TRACKING_TOKEN"] = self.token
        try:
            yield MlflowClient(self.url)
        finally:
            del os.environ["MLFLOW_TRACKING_TOKEN"]


@contextlib.contextmanager
def target():
    with tempfile.TemporaryDirectory(prefix="greenlight-import-") as folder:
        serve = subprocess.Popen(
            [GREENLIGHT, "--json", "serve", "--data", folder, "--listen", "127.0.0.1:0", "--settle-every", "0"]
            + ["--drain-seconds", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            said = json.loads(serve.stdout.readline())
            yield Target(said["url"], said["first_token"]["token"])
        finally:
            serve.terminate()
            serve.wait(40)


def tags(found):
    return {key: value for key, value in found.items() if not key.startswith("greenlight.import.")}


def number(value):
    return "NaN" if value != value else value


def files(client, run, folder=None):
    for entry in client.list_artifacts(run, folder):
        if entry.is_dir:
            yield from files(client, run, entry.path)
        else:
            with tempfile.TemporaryDirectory() as place:
                yield entry.path, pathlib.Path(client.download_artifacts(run, entry.path, place)).read_bytes()


def described(client):
    """Everything that a client sees of the runs and the registry, without where files lie."""
    runs = {}
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL):
            info = run.info
            history = {
                key: [(number(p.value), p.timestamp, p.step) for p in client.get_metric_history(info.run_id, key)]
                for key in run.data.metrics
            }
            runs[info.run_id] = {
                "experiment": (experiment.name, tags(experiment.tags)),
                "info": (info.run_name, info.user_id, info.status, info.start_time, info.end_time, info.lifecycle_stage),
                "params": run.data.params,
                "tags": tags(run.data.tags),
                # The file store writes a point again when a model is logged; a database keeps it once.
                "history": {key: sorted(set(points), key=str) for key, points in history.items()},
                "inputs": [(i.dataset.to_dictionary(), [(t.key, t.value) for t in i.tags]) for i in run.inputs.dataset_inputs],
                "outputs": [(model.model_id, model.step) for model in run.outputs.model_outputs],
                "files": dict(files(client, info.run_id)),
            }
    models = {}
    for model in client.search_registered_models():
        for version in client.search_model_versions(f"name='{model.name}'"):
            models[model.name, int(version.version)] = {
                "model": (tags(model.tags), {alias: int(v) for alias, v in model.aliases.items()}),
                "version": (version.run_id, version.description or "", version.current_stage, version.creation_timestamp),
                "tags": tags(version.tags),
            }
    return runs, models


def same(ours, theirs, way=""):
    """Both are equal; says where they are not."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        assert ours.keys() == theirs.keys(), f"{way}: {sorted(map(str, ours))} and {sorted(map(str, theirs))}"
        for key in ours:
            same(ours[key], theirs[key], f"{way}/{key}")
    else:
        assert ours == theirs, f"{way}: {ours!r:.200} and {theirs!r:.200}"


def active(found):
    runs, models = found
    return {id: run for id, run in runs.items() if run["info"][-1] == "active"}, models


def compare(source, here, first):
    """What came is what was there; the model loads by its alias, and a second import changes nothing."""
    theirs = active(described(source))
    with here.client() as client:
        ours = described(client)
        same(ours[0], theirs[0])
        same(ours[1], theirs[1])
        version = client.get_model_version_by_alias("churn", "champion")
        mlflow.set_tracking_uri(here.url)
        model = mlflow.pyfunc.load_model("models:/churn@champion")
        assert list(model.predict(FRAME)) == [0, 0, 1, 1] and version.version == "2", version
        before = [run.data.tags for run in client.search_runs(["1"])]
    assert first["runs"] == {"imported": 4, "unchanged": 0} and first["versions"]["imported"] == 4, first
    assert first["points"] >= POINTS + 3 * 2 and first["failures"] == first["notes"] == [], first


def again(source, here):
    second = here.import_from(source)
    for kind in ["experiments", "runs", "logged_models", "registered_models", "versions"]:
        assert second[kind]["imported"] == 0 and second[kind]["unchanged"], second
    assert second["points"] == second["files"] == second["aliases_set"] == 0, second


@check("from a server: runs, points, files, inputs, models, versions and aliases arrive as they were, once")
def _():
    with mlflow_server() as uri, target() as here:
        source = fill(uri)
        would = here.import_from(uri, "--dry-run")
        assert would["runs"]["imported"] == 4 and would["versions"]["imported"] == 4, would
        with here.client() as client:
            assert [e.name for e in client.search_experiments()] == ["Default"], "a dry run wrote something"
        compare(source, here, here.import_from(uri))
        again(uri, here)

        # What changed at the source comes; what was changed or deleted here stays.
        run = source.search_runs([source.get_experiment_by_name("churn").experiment_id])[0].info.run_id
        source.log_metric(run, "loss", 7.0, step=9_999)
        source.set_registered_model_alias("churn", "champion", "3")
        third = here.import_from(uri)
        assert third["runs"]["imported"] == 1 and any("champion" in note for note in third["notes"]), third
        with here.client() as client:
            assert client.get_run(run).data.metrics["loss"] == 7.0
            assert client.get_model_version_by_alias("churn", "champion").version == "2"
            client.delete_run(run)
        source.log_metric(run, "loss", 8.0, step=10_000)
        names(str(here.import_from(uri)["notes"]), run, "deleted here")


@check("from a folder: the same, without a server")
def _():
    with tempfile.TemporaryDirectory(prefix="mlruns-") as folder, target() as here:
        source = fill(f"file://{folder}")
        compare(source, here, here.import_from(folder))
        again(f"file://{folder}", here)
        # A folder that was moved keeps the old place in its files.
        moved = pathlib.Path(folder).with_suffix(".moved")
        pathlib.Path(folder).rename(moved)
        pathlib.Path(folder).mkdir()
        try:
            with target() as other:
                assert other.import_from(str(moved))["failures"] == []
        finally:
            subprocess.run(["rm", "-rf", moved], check=True)


@check("an import that is killed goes on where it was, and nothing is there twice")
def _():
    with tempfile.TemporaryDirectory(prefix="mlruns-") as folder, target() as here:
        source = fill(f"file://{folder}")
        for n in range(30):
            process = here.start(folder, "--jobs", "2")
            try:
                process.wait(0.02 * (n + 1))
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        here.import_from(folder)
        with here.client() as client:
            ours, theirs = described(client), active(described(source))
        same(ours[0], theirs[0])
        same(ours[1], theirs[1])


@check("one experiment alone, with the models of its runs")
def _():
    with tempfile.TemporaryDirectory(prefix="mlruns-") as folder, target() as here:
        fill(f"file://{folder}")
        found = here.import_from(folder, "--experiment", "other")
        assert found["runs"]["imported"] == 1 and found["registered_models"]["imported"] == 0, found
        names(here.import_from(folder, "--experiment", "none", expect=2)["error"], "none")
        # A name that nobody could ask for again, and a link out of the folder: the rest comes.
        (user,) = [tag for tag in pathlib.Path(folder).glob("*/*/tags/mlflow.user") if tag.read_text() == "ann"]
        artifacts = user.parent.parent / "artifacts"
        (artifacts / "a#b").write_text("x")
        (artifacts / "good").write_text("x")
        (artifacts / "link").symlink_to("/etc/hostname")
        found = here.import_from(folder, "--experiment", "other", "--again", expect=2)
        assert found["runs"]["imported"] == found["files"] == found["failures_count"] == 1, found
        names(str(found["failures"]), "a#b", "Invalid path")
        assert here.import_from(folder, "--experiment", "other")["runs"]["unchanged"] == 1


@check("what cannot be read is refused with the next step, and what somebody here made is left alone")
def _():
    with tempfile.TemporaryDirectory(prefix="mlruns-") as folder, target() as here:
        for source, status, words in [
            (folder, 2, ["holds no experiments"]),
            (f"{folder}/none", 2, ["there is no folder"]),
            ("sqlite:///mlflow.db", 2, ["mlflow server --backend-store-uri sqlite:///mlflow.db", "--from"]),
            ("databricks:", 2, ["databricks"]),
            (here.url, 3, ["MLFLOW_TRACKING_TOKEN"]),
            ("http://127.0.0.1:9", 6, ["does not answer"]),
        ]:
            names(here.import_from(source, expect=status)["error"], *words)
        fill(f"file://{folder}")
        with here.client() as client:
            client.create_registered_model("churn")
            made = client.create_run("0")
            client.create_model_version("churn", f"runs:/{made.info.run_id}/m", made.info.run_id)
            client.create_model_version("churn", f"runs:/{made.info.run_id}/n", made.info.run_id)
            report = here.import_from(folder, expect=2)
            names(str(report["failures"]), "version 2 of 'churn' is here already and was not imported")
            assert client.get_model_version("churn", "2").source.endswith("/n"), "it was written over"


if __name__ == "__main__":
    finish("mlflow import")
