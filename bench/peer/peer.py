"""The peers, and one of them while it runs: installed, started, checked with one request, stopped by process id."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid

import process

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
START_LIMIT_S = 120
# Two digits fewer than float32 has: some of them score in it.
TOLERANCE = 2e-6
QUIET = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


@dataclasses.dataclass
class Peer:
    name: str
    folder: str
    path: str
    body: str
    tuned: bool = False
    python: str = "python3"


INFER = "/v2/models/lgbm/infer"
PEERS = [
    Peer("MLflow 3.17.2 models serve", "mlflow", "/invocations", "split"),
    Peer("Ray Serve 2.60.0", "ray", "/", "rows"),
    Peer("BentoML 1.4.39", "bentoml", "/predict", "rows"),
    Peer("BentoML 1.4.39, tuned", "bentoml", "/predict", "rows", tuned=True),
    Peer("MLServer 1.7.1", "mlserver", INFER, "tensor"),
    Peer("MLServer 1.7.1, tuned", "mlserver", INFER, "tensor", tuned=True),
    Peer("KServe SDK 0.21.0", "kserve", INFER, "tensor"),
    # pytriton's binary is linked against Debian's own Python.
    Peer("Triton, pytriton 0.7.0", "triton", INFER, "tensor", python="/usr/bin/python3.11"),
    Peer("FastAPI + onnxruntime, bare", "fastapi", "/predict", "rows"),
]


class Unable(Exception):
    """A peer cannot be measured here, and why."""


def environment(folder, python="python3"):
    """Path of a Python environment for a folder's requirements.txt."""
    made = subprocess.run(
        [ROOT / "script/venv", f"bench-{folder}", HERE / folder / "requirements.txt", python],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        raise Unable("not installed: " + " ".join(made.stderr.split())[-300:])
    return pathlib.Path(made.stdout.strip())


def model():
    """Folder with the trained model and the bodies. Trained once for each state of its script."""
    recipe = (HERE / "model/train.py").read_bytes() + (HERE / "model/requirements.txt").read_bytes()
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "greenlight"
    folder = cache / f"bench-model-{hashlib.sha256(recipe).hexdigest()[:12]}"
    if not (folder / "answer.json").exists():
        python = environment("model") / "bin/python"
        trained = subprocess.run([python, "-B", HERE / "model/train.py", folder], capture_output=True, text=True)
        if trained.returncode:
            raise Unable("the model was not trained: " + trained.stderr[-300:])
    return folder


@contextlib.contextmanager
def running(peer):
    """Starts a peer and gives what `load.measure` wants, with its mark. Stops all its processes."""
    trained = model()
    mark = uuid.uuid4().hex
    # Ray's sockets have long names below it, and a socket's path is short.
    with (
        tempfile.TemporaryDirectory(prefix="gl-", dir="/tmp", ignore_cleanup_errors=True) as work,
        contextlib.ExitStack() as stack,
    ):
        venv = environment(peer.folder, peer.python)
        ports = _free_ports(3)
        told = {
            "VENV": str(venv),
            "MODEL": str(trained),
            "WORK": work,
            "TUNED": "1" if peer.tuned else "",
            "PORT": str(ports[0]),
            "SECOND_PORT": str(ports[1]),
            "THIRD_PORT": str(ports[2]),
            "PATH": f"{venv}/bin:{os.environ['PATH']}",
            process.MARK: mark,
        }
        env = os.environ | QUIET | told
        log = stack.enter_context(open(f"{work}/log", "w+b"))
        command = [HERE / peer.folder / "start.sh"]
        server = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=work, start_new_session=True
        )
        target = {
            "pid": server.pid,
            "url": f"http://127.0.0.1:{ports[0]}{peer.path}",
            "body": trained / f"{peer.body}.json",
            "content_type": "application/json",
        }
        try:
            _await_answer(server, target, log, json.loads((trained / "answer.json").read_text()))
            yield target, mark
        finally:
            _stop(server, mark)


def _await_answer(server, target, log, wanted):
    """Until the peer gives the model's own answer."""
    request = urllib.request.Request(
        target["url"], target["body"].read_bytes(), {"Content-Type": target["content_type"]}
    )
    complaint, until = "no answer", time.monotonic() + START_LIMIT_S
    while time.monotonic() < until:
        if server.poll() is not None:
            log.seek(0)
            raise Unable(
                f"it ended with {server.returncode}: " + " ".join(log.read().decode(errors="replace").split())[-300:]
            )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            complaint = f"{error.code}: {error.read()[:200].decode(errors='replace')}"
        except OSError as error:
            complaint = str(error)
        else:
            if any(abs(float(number) - wanted) < TOLERANCE for number in re.findall(r"\d+\.\d+(?:[eE]-?\d+)?", text)):
                return
            raise Unable(f"it answers {text[:200]}, the model says {wanted}")
        time.sleep(0.3)
    raise Unable(f"not ready after {START_LIMIT_S} s: {complaint}")


def _stop(server, mark):
    """Asks the first process, then every one that is left; SIGKILL for those that do not go."""
    for number, patience_s in ((signal.SIGINT, 8), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        left = process.family(server.pid, mark) if server.poll() is None else process.family(-1, mark) - {-1}
        for pid in [server.pid] if number == signal.SIGINT and server.poll() is None else left:
            with contextlib.suppress(OSError):
                os.kill(pid, number)
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            if server.poll() is not None and not process.family(-1, mark) - {-1}:
                return
            time.sleep(0.1)


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
