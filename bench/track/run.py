"""Starts each tracking server in turn and measures it. Called by bench/tracking: GREENLIGHT MLFLOW_BIN [--runs N] …"""

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
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def greenlight(program, folder, port):
    """The command, and how the token that may log is learnt from what it says."""
    return [program, "serve", "--json", "--listen", f"127.0.0.1:{port}", "--settle-every", "0", "--data", f"{folder}/data"]


def mlflow(bin_folder, folder, port):
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    return [bin_folder / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *store]


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
    found = {}
    for name in ("Greenlight", "mlflow server"):
        print(f"==> {name}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            port = free_port()
            command = greenlight(chosen.greenlight, folder, port) if name == "Greenlight" else mlflow(chosen.mlflow_bin, folder, port)
            found[name] = one(name, command, port, folder, chosen.runs)
    tell(chosen, found)


def tell(chosen, found):
    ours, theirs = found.values()
    if chosen.json:
        print(json.dumps(found))
        return
    print(f"{'':44} {'Greenlight':>12} {'MLflow':>12} {'ratio':>8}")
    for key, value in ours.items():
        print(f"{key:44} {value:12,.2f} {theirs[key]:12,.2f} {theirs[key] / value if value else float('inf'):8.1f}")


if __name__ == "__main__":
    main()
