"""Endpoints that differ in one feature each, brought live through every gate of a server whose data folder
bench/endpoint/release.py has filled."""

import datetime
import json
import os
import pathlib
import subprocess
import sys
import time

ROWS = 400
CHALLENGERS = 9
TRAINED = ["--dataset", "history@1", "--trained-until", "2024-11-01"]


class Rungs:
    def __init__(self, program, served, work):
        self.program, self.served, self.work = program, served, pathlib.Path(work)
        whole = (self.work / "manifests" / "bench.yaml").read_text()
        self.parts = {kind: next(part for part in whole.split("---") if f"kind: {kind}" in part) for kind in ("Policy", "Endpoint")}
        self.unit, self.matrix = json.loads((self.work / "matrix.json").read_text())["inputs"]

    def command(self, role, *arguments):
        token = (self.work / role).read_text()
        named = os.environ | {"GREENLIGHT_URL": self.served.url, "GREENLIGHT_TOKEN": token}
        ran = subprocess.run([self.program, *arguments, "--json"], env=named, capture_output=True, text=True)
        if ran.returncode != 0:
            sys.exit(f"greenlight {' '.join(arguments)}: {(ran.stdout + ran.stderr).strip()}")
        return json.loads(ran.stdout)

    def ask(self, path, body):
        status, _, answer = self.served.ask(path, body)
        if status != 200:
            sys.exit(f"{path}: {status}: {answer}")
        return answer

    def rows(self, endpoint, at):
        """Predictions at that time, one a unit; their ids."""
        texts = lambda name, values: self.unit | {"name": name, "shape": [ROWS], "data": values}
        matrix = self.matrix | {"shape": [ROWS, self.matrix["shape"][1]], "data": self.matrix["data"] * ROWS}
        units = texts("unit", [f"unit-{n}" for n in range(ROWS)])
        answer = self.ask(f"/v2/models/{endpoint}/infer", {"inputs": [units, matrix, texts("at", [at.isoformat()] * ROWS)]})
        return next(output["data"] for output in answer["outputs"] if output["name"] == "prediction_id")

    def add(self, name, spec=""):
        """An endpoint with those lines in its specification, live: its first release has matured units."""
        # This policy lets a release through as soon as some units have matured.
        policy = self.parts["Policy"].replace("name: open", "name: lax")
        policy = policy.replace("min_matured: 1000000, advance_when: proven", "min_matured: 1, advance_when: no_harm")
        endpoint = self.parts["Endpoint"].replace("name: bench", f"name: {name}").replace("open@1", "lax@1").rstrip()
        manifest = self.work / f"{name}.yaml"
        manifest.write_text(f"{policy}---{endpoint}\n  event_time: at\n{spec}")
        self.command("scientist", "apply", "--file", str(manifest))
        now = datetime.datetime.now(datetime.UTC)
        release = self.release(name, lambda: self.rows(name, now - datetime.timedelta(days=20)))
        self.command("token", "release", "rollout", release)
        for days in (20, 0):
            at = now - datetime.timedelta(days=days)
            ids = self.rows(name, at)
            outcomes = [{"prediction_id": id, "name": "bought", "value": float(n % 2), "at": at.isoformat()} for n, id in enumerate(ids)]
            self.ask(f"/v1/endpoints/{name}/outcomes", {"outcomes": outcomes})
        self.ask(f"/v1/endpoints/{name}/settle", {})
        self.command("token", "release", "look", release)

    def release(self, endpoint, traffic):
        """A release of the first model that is approved."""
        release = self.command("scientist", "release", "submit", "--endpoint", endpoint, "--model", "bench@1")["id"]
        self.command("scientist", "release", "shadow", release)
        traffic()
        time.sleep(1)  # The shadow looks on afterwards.
        self.command("scientist", "release", "judge", release)
        self.command("approver", "release", "approve", release)
        return release

    def challenge(self, endpoint):
        """Nine challengers beside the champion, each with nine percent."""
        for _ in range(CHALLENGERS):
            release = self.release(endpoint, lambda: self.rows(endpoint, datetime.datetime.now(datetime.UTC)))
            self.command("token", "release", "challenge", release, "--percent", "9")

    def mirror(self, endpoint, model=None):
        """A shadow: the same model, or a file that is registered first."""
        version = "bench@1"
        if model:
            version = "bench@%d" % self.command("scientist", "model", "register", "bench", str(model), *TRAINED)["model"]["version"]
        release = self.command("scientist", "release", "submit", "--endpoint", endpoint, "--model", version)["id"]
        self.command("scientist", "release", "shadow", release)

    def body(self):
        """A body of one row for these endpoints."""
        at = self.unit | {"name": "at", "data": [datetime.datetime.now(datetime.UTC).isoformat()]}
        return {"inputs": [self.unit, self.matrix, at]}
