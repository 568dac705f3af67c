"""Starts each tracking server in turn and measures it. Called by bench/tracking: GREENLIGHT MLFLOW_BIN [--runs N] …

With PostgreSQL the processor time is that of the tracking server alone, on both sides.
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import measure

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "peer"))
import process  # noqa: E402 - of the peers' benchmark

PATIENCE_S = 120
REST_S = 5


def options():
    parser = argparse.ArgumentParser(prog="bench/tracking")
    parser.add_argument("greenlight")
    parser.add_argument("mlflow_bin", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--workers", choices=["one", "default", "both"], default="one")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def database(store, folder):
    """URLs of a fresh database for Greenlight and for MLflow."""
    if store == "sqlite":
        yield None, f"sqlite:///{folder}/mlflow.db"
        return
    import psycopg

    admin = os.environ["GREENLIGHT_TEST_POSTGRES_URL"]
    name = f"bench_{time.time_ns()}"
    connection = psycopg.connect(admin, autocommit=True)
    connection.execute(f"create database {name}")
    try:
        url = f"{admin.rsplit('/', 1)[0]}/{name}"
        yield url, url.replace("postgres://", "postgresql://")
    finally:
        connection.execute(f"drop database {name} with (force)")
        connection.close()


def greenlight(program, folder, port, url):
    command = [program, "serve", "--json", "--listen", f"127.0.0.1:{port}", "--settle-every", "0", "--data", f"{folder}/data"]
    return command + (["--database", url] if url else [])


def mlflow(bin_folder, folder, port, url, workers):
    store = ["--backend-store-uri", url, "--artifacts-destination", f"{folder}/artifacts"]
    some = ["--workers", workers] if workers else []
    return [bin_folder / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), *some, *store]


@contextlib.contextmanager
def running(command, port, log):
    """Its process id, the seconds until it answered, and the first line that it said."""
    began = time.monotonic()
    with open(log, "w+") as said:
        # A process group of its own, so that all of its workers are ended with it.
        server = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            while not answers(port):
                if server.poll() is not None or time.monotonic() - began > PATIENCE_S:
                    sys.exit(f"error: {command[0]} did not start\n{pathlib.Path(log).read_text()[-2000:]}")
                time.sleep(0.005)
            yield server.pid, time.monotonic() - began
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def answers(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def first_token(log):
    # A server may answer before it has said its token.
    for _ in range(100):
        for line in pathlib.Path(log).read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError, KeyError, TypeError):
                return json.loads(line)["first_token"]["token"]
        time.sleep(0.05)
    sys.exit("error: the server did not say its first token")


def one(name, command, port, folder, runs):
    log = f"{folder}/log"
    with running(command, port, log) as (pid, start_s):
        token = first_token(log) if name == "Greenlight" else ""
        time.sleep(REST_S)
        figures = {"start_ms": start_s * 1e3, "memory_at_rest_mib": process.memory_mib(process.family(pid))}
        spent = lambda: process.processor_s(process.family(pid))
        return figures | measure.all_of(port, token, spent, runs)


def main():
    chosen = options()
    peers = {"one": {"MLflow, 1 worker": "1"}, "default": {"MLflow, default": ""}}
    peers = peers["one"] | peers["default"] if chosen.workers == "both" else peers[chosen.workers]
    found = {}
    for name in ("Greenlight", *peers):
        print(f"==> {name}, {chosen.store}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder, database(chosen.store, folder) as (ours, theirs):
            port = free_port()
            if name == "Greenlight":
                command = greenlight(chosen.greenlight, folder, port, ours)
            else:
                command = mlflow(chosen.mlflow_bin, folder, port, theirs, peers[name])
            found[name] = one(name, command, port, folder, chosen.runs)
    tell(chosen, found)


def tell(chosen, found):
    if chosen.json:
        print(json.dumps({"store": chosen.store, "runs": chosen.runs, "found": found}))
        return
    ours, *peers = found.values()
    heads = "".join(f" {name:>17} {'ratio':>8}" for name in list(found)[1:])
    print(f"{f'{chosen.store}, {chosen.runs:,} runs':44} {'Greenlight':>12}{heads}")
    for key, value in ours.items():
        line = f"{key:44} {value:12,.2f}"
        for theirs in peers:
            ratio = theirs[key] / value if value else float("inf")
            line += f" {theirs[key]:17,.2f} {ratio:8.1f}"
        print(line)


if __name__ == "__main__":
    main()
