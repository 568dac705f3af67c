"""Two servers, one request: what `mlflow_parity` sends to both and how it compares the answers.

A request is written once, with $names for what each server called its own things (ids, mostly). The answers are compared
without what each makes up: ids, times, places, run names, and the order of what has none.
"""

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

import requests

from check import check

# Things of one session do not meet those of another.
SESSION = uuid.uuid4().hex[:8]
API = "/api/2.0/mlflow/"
PATIENCE_S = 60
LONG = "x" * 9_000


@dataclasses.dataclass
class Ask:
    """One request; `keep` names what is remembered of the answer, `bodies` says whether bodies are compared."""

    method: str
    path: str
    body: object = None
    keep: dict = dataclasses.field(default_factory=dict)
    bodies: bool = True

    def __str__(self):
        text = "" if self.body is None else json.dumps(self.body)
        text = text.replace(LONG, "<9000 letters>")
        return f"{self.method} {self.path.replace(LONG, '<9000 letters>')} {text if len(text) < 200 else text[:197] + '...'}"


def post(path, keep=None, **body):
    return Ask("POST", path, body, keep or {})


def get(path):
    return Ask("GET", path)


@dataclasses.dataclass
class Difference:
    reason: str
    request: str
    theirs: str
    ours: str
    # Of our refusal.
    words: str = ""
    seen: int = 0

    def covers(self, ask, ours, theirs, words):
        return all(map(re.search, (self.request, self.theirs, self.ours, self.words), (str(ask), theirs, ours, words)))


# --- The two servers -------------------------------------------------------------------------------------------------


class Side:
    """A server, what it calls things, and its answers with those names taken out."""

    def __init__(self, url, token=None):
        self.url, self.names = url, {"S": SESSION}
        self.http = requests.Session()
        if token:
            self.http.headers["Authorization"] = f"Bearer {token}"

    def send(self, ask):
        path = self.fill(ask.path)
        url = self.url + (path if path.startswith("/") else API + path)
        # Prepared by hand: requests would tidy up the paths that are under test.
        prepared = self.http.prepare_request(requests.Request(ask.method, self.url + "/"))
        prepared.url = url
        if isinstance(ask.body, str):
            prepared.prepare_body(ask.body.encode(), None)
        elif ask.body is not None:
            prepared.prepare_body(self.fill(json.dumps(ask.body)).encode(), None)
            prepared.headers["Content-Type"] = "application/json"
        try:
            answer = self.http.send(prepared, timeout=30)
        except requests.ConnectionError:
            # A server that refused a body unread has closed the connection that this request came on.
            answer = self.http.send(prepared, timeout=30)
        try:
            found = answer.json()
        except ValueError:
            found = None
        for name, way in ask.keep.items():
            value = found
            for part in way.split("."):
                value = value[int(part) if part.isdigit() else part]
            self.names[name] = value
        return Answer(self, answer.status_code, found)

    def fill(self, text):
        return re.sub(r"\$(\w+)", lambda found: str(self.names.get(found[1], found[0])), text)


class Answer:
    def __init__(self, side, status, found):
        self.code = found.get("error_code") if status != 200 and isinstance(found, dict) else None
        self.message = found.get("message") if self.code else None
        self.told = f"{status} {self.code}" if self.code else f"{status}"
        # The token of a page is a small number here, and may be that of an experiment.
        names = {str(value): f"${name}" for name, value in side.names.items() if name != "PAGE"}
        self.body = plain(found, names) if status == 200 else None


# Whose value each server makes up.
PLACES = {"root_uri", "artifact_uri", "artifact_location", "storage_location"}
# Greenlight names the token that logged a run where its client names nobody.
IDS = {"run_id", "run_uuid", "experiment_id", "model_id", "user_id"}
UNORDERED = {"metrics", "params", "tags", "aliases", "dataset_inputs", "dataset_summaries"}
TIME_MS = 1_000_000_000_000


def plain(value, names, key=""):
    """An answer without ids, times of this server, places, made-up names, and the order of what has none."""
    if isinstance(value, dict):
        return {inner: plain(found, names, inner) for inner, found in sorted(value.items())}
    if isinstance(value, list):
        found = [plain(one, names, key) for one in value]
        return sorted(found, key=without_value) if key in UNORDERED else found
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, bool) or value is None:
        return value
    text = str(value)
    if key in IDS and text in names:
        return names[text]
    if key in PLACES or key == "next_page_token":
        return f"<{key}>"
    if key in IDS:
        return "<id>"
    if text.isdigit() and int(text) > TIME_MS:
        return "<time>"
    if re.fullmatch(r"[a-z]+-[a-z]+-\d+", text):
        return "<name>"
    if isinstance(value, str):
        for id, name in names.items():
            if len(id) > 8:
                text = text.replace(id, name)
        return text
    return value


def without_value(found):
    """The order of metrics, parameters and tags: that of what does not differ."""
    return json.dumps({key: found[key] for key in sorted(found) if key != "value"} if isinstance(found, dict) else found)


@contextlib.contextmanager
def mlflow_server():
    """One worker over a fresh SQLite, in a process group of its own; its address."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="mlflow-parity-") as folder:
        store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        with open(pathlib.Path(folder) / "log", "w+") as log:
            server = subprocess.Popen([*command, *store], stdout=log, stderr=log, start_new_session=True, cwd=folder)
            try:
                wait_for(f"http://127.0.0.1:{port}", server, log)
                yield f"http://127.0.0.1:{port}"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGTERM)
                try:
                    server.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(server.pid, signal.SIGKILL)
                    server.wait()


def wait_for(url, server, log):
    began = time.monotonic()
    while True:
        with contextlib.suppress(requests.ConnectionError, requests.Timeout):
            if requests.get(f"{url}/health", timeout=1).status_code == 200:
                return
        if server.poll() is not None or time.monotonic() - began > PATIENCE_S:
            log.seek(0)
            sys.exit(f"error: mlflow server did not start\n{log.read()[-2000:]}")
        time.sleep(0.1)


# --- Comparing -------------------------------------------------------------------------------------------------------

sides = {}
# Rows of Difference, set by the program.
deliberate = []
counted = {"requests": 0, "refused alike": 0, "same words": 0}


def group(name):
    """A list of requests, sent to both in turn, is one check."""

    def add(function):
        @check(name)
        def _():
            wrong = [said for ask in function() if (said := differ(ask))]
            for said in wrong:
                print(f"differs: {said}", file=sys.stderr)
            assert not wrong, f"{len(wrong)} differ; the first: {wrong[0]}"

        return function

    return add


def differ(ask):
    """How the two answers differ, or None."""
    ours, theirs = sides["greenlight"].send(ask), sides["mlflow"].send(ask)
    counted["requests"] += 1
    told = [ours.told, theirs.told]
    if ours.told == theirs.told:
        if ours.code:
            counted["refused alike"] += 1
            counted["same words"] += ours.message == theirs.message
        if not ask.bodies or ours.body == theirs.body:
            return None
        told = [f"{answer.told} body {first_difference(answer.body, other.body)}" for answer, other in ((ours, theirs), (theirs, ours))]
    for known in deliberate:
        if known.covers(ask, *told, ours.message or ""):
            known.seen += 1
            return None
    return f"{ask}: greenlight {told[0]}, mlflow {told[1]}"


def first_difference(one, other, way=""):
    """Where `one` leaves `other`, and what it says there."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *other]:
            if one.get(key, "<absent>") != other.get(key, "<absent>"):
                return first_difference(one.get(key, "<absent>"), other.get(key, "<absent>"), f"{way}.{key}")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, pair in enumerate(zip(one, other)):
            if pair[0] != pair[1]:
                return first_difference(*pair, f"{way}.{place}")
    return f"{way} = {json.dumps(one)[:300]}"


# A field of a wrong type, too long, empty, or with what no name may have.
BAD = [None, "", 7, LONG, [], {}, "../x", "a//b"]


def varied(method, path, good, bodies=True, bad=BAD):
    """Without any field, with one that nobody knows, without each, and with each going wrong in turn."""
    yield Ask(method, path, {}, bodies=bodies)
    yield Ask(method, path, good | {"nobody_knows": 1}, bodies=bodies)
    for key in good:
        yield Ask(method, path, {name: value for name, value in good.items() if name != key}, bodies=bodies)
        for value in bad:
            yield Ask(method, path, good | {key: value}, bodies=bodies)


def searches(path, fixed, field, texts):
    for text in texts:
        yield Ask("POST", path, fixed | {field: text})


def read(path, query):
    """The same question under /api and under /ajax-api."""
    yield get(f"{path}?{query}")
    yield get(f"/ajax-api/2.0/mlflow/{path}?{query}")
