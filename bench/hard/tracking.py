"""Runs, inputs and artifacts under abuse. Called by bench/tracking-hard: GREENLIGHT WORK [--json] [--gigabytes N]."""

import argparse
import collections
import hashlib
import http.client
import itertools
import json
import os
import pathlib
import shutil
import socket
import sys
import threading
import time
import urllib.parse

import server

parser = argparse.ArgumentParser(prog="bench/tracking-hard")
parser.add_argument("greenlight")
parser.add_argument("work", type=pathlib.Path)
parser.add_argument("--json", action="store_true")
parser.add_argument("--gigabytes", type=float, default=5)
parser.add_argument("--rounds", type=int, default=20)
parser.add_argument("--inputs", type=int, default=50_000)
chosen = parser.parse_args()

API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
THREADS = 64
EACH = 10
WRITERS = 8
BATCH = 1_000
MIB = 1 << 20
# Until a server has noticed that an upload ended.
PATIENCE_S = 20
# What streaming may take beside what the server takes at rest.
MEMORY_MIB = 256
checks = []


def check(claim, holds, seen=""):
    checks.append({"check": claim, "ok": bool(holds), "seen": str(seen)[:300]})
    if chosen.json:
        print(json.dumps(checks[-1]), flush=True)
    else:
        print(f"{'ok  ' if holds else 'FAIL'} {claim}" + (f": {checks[-1]['seen']}" if seen != "" else ""), flush=True)


class Client:
    """One kept connection, as each thread has; the path goes out as it is written."""

    def __init__(self, served, timeout=60):
        self.token = {"Authorization": f"Bearer {served.token}"}
        self.connection = http.client.HTTPConnection(served.address, timeout=timeout)

    def ask(self, method, path, body=None):
        """Status and JSON; 0 when the connection broke."""
        headers = self.token | {"Content-Type": "application/json"}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body)
        try:
            self.connection.request(method, path, data, headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            return 0, None
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def must(self, method, rpc, body=None):
        status, answer = self.ask(method, API + rpc, body)
        if status != 200:
            sys.exit(f"error: {method} {rpc}: {status} {answer}")
        return answer

    def run(self):
        return self.must("POST", "runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]

    def history(self, run, key):
        """Every point of a metric, page by page."""
        points, token = [], ""
        while True:
            page = f"&page_token={urllib.parse.quote(token)}" if token else ""
            answer = self.must("GET", f"metrics/get-history?run_id={run}&metric_key={key}&max_results=25000{page}")
            points += answer.get("metrics", [])
            token = answer.get("next_page_token")
            if not token:
                return points


def together(count, work):
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- One run, many writers -------------------------------------------------------------------------------------------


def one_run(served, database):
    """All threads write to the same run: metrics, parameters and tags."""
    run = Client(served).run()["run_id"]
    answers = []

    def work(thread):
        client = Client(served)
        for number in range(EACH):
            name = f"{thread}_{number}"
            bodies = {
                "log-metric": {"key": "shared", "value": number, "timestamp": 1, "step": thread * EACH + number},
                "log-parameter": {"key": f"p{name}", "value": name},
                "set-tag": {"key": f"t{name}", "value": name},
            }
            for rpc, body in bodies.items():
                status, _ = client.ask("POST", f"{API}runs/{rpc}", {"run_id": run, **body})
                answers.append(status)

    began = time.monotonic()
    together(THREADS, work)
    took = time.monotonic() - began
    asked, statuses = THREADS * EACH, collections.Counter(answers)
    check(f"{database}, {THREADS} threads on one run: every answer is 200", statuses == {200: 3 * asked}, f"{dict(statuses)} in {took:.1f} s")
    client = Client(served)
    data = client.must("GET", f"runs/get?run_id={run}")["run"]["data"]
    names = {f"{thread}_{number}" for thread in range(THREADS) for number in range(EACH)}
    steps = {int(point["step"]) for point in client.history(run, "shared")}
    params = {one["key"][1:] for one in data["params"] if one["value"] == one["key"][1:]}
    tags = {one["key"][1:] for one in data["tags"] if one["key"].startswith("t") and one["value"] == one["key"][1:]}
    kept = f"{len(steps)} metrics, {len(params)} parameters, {len(tags)} tags of {asked} each"
    check(f"{database}, {THREADS} threads on one run: nothing is lost", steps == set(range(asked)) and params == tags == names, kept)


# --- Killed while it acknowledges ------------------------------------------------------------------------------------


def killed(start, database):
    """`kill -9` in the middle of writes, again and again; every point that was acknowledged is there."""
    served = start()
    run = Client(served).run()["run_id"]
    acknowledged = set()
    steps = itertools.count()
    slowest_s = 0.0
    try:
        for _ in range(chosen.rounds):
            at_once = served

            def work(_):
                client = Client(at_once)
                while True:
                    step = next(steps)
                    status, _ = client.ask("POST", f"{API}runs/log-metric", {"run_id": run, "key": "k", "value": step, "timestamp": 1, "step": step})
                    if status != 200:
                        return
                    acknowledged.add(step)

            killer = threading.Timer(0.4, at_once.process.kill)
            killer.start()
            together(WRITERS, work)
            killer.join()
            at_once.process.wait()
            began = time.monotonic()
            served = start(at_once.token)
            slowest_s = max(slowest_s, time.monotonic() - began)
        found = {int(point["step"]) for point in Client(served).history(run, "k")}
    finally:
        served.stop()
    lost = acknowledged - found
    seen = f"{len(acknowledged)} acknowledged, {len(lost)} lost, {len(found - acknowledged)} stored without an answer; slowest start {slowest_s:.1f} s"
    check(f"{database}, {chosen.rounds} times kill -9: every acknowledged point is there", acknowledged and not lost, seen)


# --- Many inputs -----------------------------------------------------------------------------------------------------


def many_inputs(served, database):
    client = Client(served, timeout=300)
    run = client.run()["run_id"]
    one = lambda number: {"name": f"set-{number}", "digest": f"{number:08x}", "source_type": "http", "source": "{}"}
    context = [{"key": "mlflow.data.context", "value": "training"}]
    began = time.monotonic()
    slowest_s = 0.0
    for first in range(0, chosen.inputs, BATCH):
        datasets = [{"dataset": one(number), "tags": context} for number in range(first, min(first + BATCH, chosen.inputs))]
        started = time.monotonic()
        client.must("POST", "runs/log-inputs", {"run_id": run, "datasets": datasets})
        slowest_s = max(slowest_s, time.monotonic() - started)
    stored_s = time.monotonic() - began
    began = time.monotonic()
    inputs = client.must("GET", f"runs/get?run_id={run}")["run"]["inputs"]["dataset_inputs"]
    read_s = time.monotonic() - began
    wanted = {f"set-{number}" for number in range(chosen.inputs)}
    seen = f"{len(inputs)} read in {read_s:.1f} s; stored in {stored_s:.1f} s, slowest {BATCH} in {slowest_s:.2f} s"
    check(f"{database}, {chosen.inputs} data sets on one run: all are read back", {found["dataset"]["name"] for found in inputs} == wanted and len(inputs) == len(wanted), seen)


# --- Artifacts -------------------------------------------------------------------------------------------------------


class Memory:
    """The most that a server takes while something runs, sampled."""

    def __init__(self, served):
        self.served, self.most, self.over = served, served.memory_mib(), threading.Event()
        self.before = self.most

    def __enter__(self):
        self.thread = threading.Thread(target=self.sample)
        self.thread.start()
        return self

    def sample(self):
        while not self.over.wait(0.05):
            self.most = max(self.most, self.served.memory_mib())

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def big_artifact(served):
    """One file up and down, never whole in the server's memory."""
    count = int(chosen.gigabytes * 1e9) // MIB
    free = shutil.disk_usage(chosen.work).free
    if free < 2 * count * MIB:
        check(f"an artifact of {chosen.gigabytes} GB: there is room for it", False, f"{free >> 30} GiB free")
        return
    block, sent = os.urandom(MIB), hashlib.sha256()

    def blocks():
        for number in range(count):
            # Every block differs, so that one that is lost or twice shows.
            piece = number.to_bytes(8, "big") + block[8:]
            sent.update(piece)
            yield piece

    path = f"{ARTIFACTS}/hard/big.bin"
    connection = http.client.HTTPConnection(served.address, timeout=600)
    token = {"Authorization": f"Bearer {served.token}"}
    with Memory(served) as memory:
        began = time.monotonic()
        connection.request("PUT", path, blocks(), token | {"Content-Length": str(count * MIB)})
        answer = connection.getresponse()
        said = answer.read()
        up_s = time.monotonic() - began
        check(f"an artifact of {chosen.gigabytes:g} GB is taken", answer.status == 200, f"{answer.status} {said[:100]} in {up_s:.0f} s, {count / up_s:.0f} MiB/s")
        began, read = time.monotonic(), hashlib.sha256()
        connection.request("GET", path, headers=token)
        answer = connection.getresponse()
        while piece := answer.read(MIB):
            read.update(piece)
        down_s = time.monotonic() - began
    same = read.digest() == sent.digest()
    check(f"an artifact of {chosen.gigabytes:g} GB comes back as it was", same, f"{answer.status} in {down_s:.0f} s, {count / down_s:.0f} MiB/s")
    grown = memory.most - memory.before
    check(f"streaming takes less than {MEMORY_MIB} MiB of memory", grown < MEMORY_MIB, f"{memory.before:.0f} MiB before, {memory.most:.0f} at most")
    status, _ = Client(served).ask("DELETE", path)
    check("it is deleted", status in (200, 204) and not (served.data / "artifacts/mlflow/hard/big.bin").exists(), status)


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def open_unnamed(served):
    """Files without a name that the server still holds."""
    found = []
    for entry in pathlib.Path(f"/proc/{served.process.pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if str(served.data) in target and "(deleted)" in target:
            found.append(target)
    return found


def broken_off(served):
    """Uploads that end before their last byte."""
    before = files(served.data)
    for cut_at in (0, 1, 1 << 16, 20 * MIB):
        host, _, port = served.address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as one:
            head = f"PUT {ARTIFACTS}/hard/broken-{cut_at}.bin HTTP/1.1\r\nHost: {served.address}\r\nAuthorization: Bearer {served.token}\r\nContent-Length: {50 * MIB}\r\n\r\n"
            one.sendall(head.encode() + bytes(cut_at))
    began = time.monotonic()
    left = lambda: sorted(files(served.data) - before) + open_unnamed(served)
    while left() and time.monotonic() - began < PATIENCE_S:
        time.sleep(0.1)
    check("uploads that break off leave nothing in the data folder", not left(), f"{left()} after {time.monotonic() - began:.1f} s")
    status, _ = Client(served).ask("GET", f"{ARTIFACTS}/hard/broken-{20 * MIB}.bin")
    check("a broken-off upload is no artifact", status == 404, status)


# The forms in which leaving a folder was published for servers of artifacts, MLflow's among them.
TRAVERSALS = [
    "../secret.txt", "../../secret.txt", "../../../secret.txt", "a/../../../secret.txt", "%2e%2e/%2e%2e/secret.txt",
    "%2e%2e%2f%2e%2e%2fsecret.txt", "..%2f..%2fsecret.txt", "%252e%252e%252f%252e%252e%252fsecret.txt", "..%252f..%252fsecret.txt",
    "%25252e%25252e%25252fsecret.txt", "a/%2e%2e%2f%2e%2e%2f%2e%2e/secret.txt", "//secret.txt", "%2fetc%2fpasswd", "/etc/passwd",
    "%252fetc%252fpasswd", "..%5c..%5csecret.txt", "..%255c..%255csecret.txt", "..\\..\\secret.txt", "C:%5csecret.txt", "C:/secret.txt",
    "%5c%5chost%5cshare%5cx", "secret.txt%00.png", "%00", "a%00/../../secret.txt", "a%2500b", ".%00./secret.txt",
    "file:///etc/passwd", "file:%2f%2f%2fetc%2fpasswd", "....//....//secret.txt", "..;/..;/secret.txt", "%c0%ae%c0%ae/secret.txt",
    "~/secret.txt", "%uff0e%uff0e/secret.txt",
]
# These name nothing but odd folders below the artifacts on this system: they are kept where they belong.
HARMLESS = {"....//....//secret.txt", "..;/..;/secret.txt", "~/secret.txt", "//secret.txt", "%uff0e%uff0e/secret.txt"}


def traversals(served):
    secret, planted = b"the content of the secret", b"planted by a traversal"
    inside = served.data / "artifacts"
    for folder in (served.data, served.data.parent, inside):
        (folder / "secret.txt").write_bytes(secret)
    root = served.data.parent
    outside = lambda: {name for name in files(root) if not name.startswith(str((inside / "mlflow").relative_to(root)))}
    before = outside()
    info = Client(served).run()
    taken, told = [], []
    for path in TRAVERSALS:
        client = Client(served)
        wire = path.replace("\\", "%5C") if path.isprintable() else path
        asked = [("PUT", f"{ARTIFACTS}/{wire}", planted), ("GET", f"{ARTIFACTS}/{wire}", None), ("DELETE", f"{ARTIFACTS}/{wire}", None)]
        asked += [("GET", f"{ARTIFACTS}?path={wire}", None), ("GET", f"{API}artifacts/list?run_id={info['run_id']}&path={wire}", None)]
        asked += [("GET", f"/get-artifact?run_uuid={info['run_id']}&path={wire}", None)]
        for method, where, body in asked:
            status, answer = client.ask(method, where, body)
            if method == "PUT" and status == 200 and path not in HARMLESS or status >= 500 and status != 501:
                taken.append(f"{method} {where}: {status}")
            if secret in str(answer).encode() or "root:" in str(answer):
                told.append(f"{method} {where}")
    check(f"{len(TRAVERSALS)} published traversals are refused", not taken, taken)
    check("none of them reads a file outside", not told, told)
    missing = [folder for folder in (served.data, served.data.parent, inside) if (folder / "secret.txt").read_bytes() != secret]
    after = outside()
    changed = sorted(name for name in before ^ after if "greenlight.db" not in name)
    check("nothing outside the artifacts was made, changed or deleted", not missing and not changed, f"{missing} {changed}")


def main():
    began = time.monotonic()
    log = chosen.work / "serve.log"
    databases = {"SQLite": {}}
    if url := os.environ.get("GREENLIGHT_TEST_POSTGRES_URL"):
        databases["PostgreSQL"] = {"GREENLIGHT_DATABASE": url}
    for database, environment in databases.items():
        data = chosen.work / database / "data"
        data.mkdir(parents=True)

        def start(token=None):
            served = server.Server(chosen.greenlight, data, log, token, environment=environment)
            served.data = data
            return served

        served = start()
        try:
            one_run(served, database)
            many_inputs(served, database)
            if database == "SQLite":
                broken_off(served)
                traversals(served)
                big_artifact(served)
        finally:
            stopped = served.stop()
        check(f"{database}: the server stops when it is told to", stopped)
        token = served.token
        killed(lambda known=None: start(known or token), database)
    check("everything was asked", True, f"in {time.monotonic() - began:.0f} s")
    sys.exit(0 if all(one["ok"] for one in checks) else 1)


main()
