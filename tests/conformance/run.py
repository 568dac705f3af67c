"""Runs the programs of checks, each in the environment of its client, and sums up. Called by script/conformance."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import server

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent

# Program and the client that it needs; None: nothing but Python.
PROGRAMS = {
    "health": None,
    "tensor": None,
    "refusal": None,
    "repository": None,
    "invocations": None,
    "triton_http": "tritonclient",
    "triton_grpc": "tritonclient",
    "kserve_sdk": "kserve",
    "mlflow_client": "mlflow",
    "mlflow_tracking": "mlflow",
    "mlflow_parity": "mlflow-server",
    "mlflow_flavors": "mlflow-flavors",
    "mlflow_import": "mlflow-server",
    "lineage_client": "openlineage",
    "registry_release": "mlflow-flavors",
    "score_elsewhere": "moto",
    "artifacts_elsewhere": "moto",
}

# The slowest takes a minute. One that hangs fails instead of holding up a build.
LIMIT_S = 180

# Clients that would report home, and start slower for it.
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GRPC_VERBOSITY": "NONE", "OMP_NUM_THREADS": "1"}


def main():
    # So that what was started is stopped with this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = sys.argv[1:]
    as_json = "--json" in arguments
    chosen = [argument for argument in arguments if argument != "--json"] or list(PROGRAMS)
    if unknown := [name for name in chosen if name not in PROGRAMS]:
        sys.exit(f"error: there is no program '{unknown[0]}'\n hint: there are {', '.join(PROGRAMS)}")
    passed = failed = 0
    with environment() as env:
        for name in chosen:
            for result in results(name, env):
                passed, failed = passed + result["ok"], failed + (not result["ok"])
                show(result, as_json)
    if not as_json:
        print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


@contextlib.contextmanager
def environment():
    """The variables that name the server under test: the caller's, or those of a server of our own."""
    if "GREENLIGHT_URL" in os.environ:
        if missing := [name for name in ("GREENLIGHT_TOKEN", "ENDPOINT") if name not in os.environ]:
            sys.exit(
                f"error: {missing[0]} is not set\n hint: with GREENLIGHT_URL, set GREENLIGHT_TOKEN and ENDPOINT too"
            )
        yield os.environ | QUIET
    else:
        with server.running() as named:
            yield os.environ | QUIET | named


def results(name, env):
    """What a program says, check by check, and that it said something and ended as it should."""
    client = PROGRAMS[name]
    python = sys.executable
    if client:
        made = subprocess.run(
            [ROOT / "script/venv", client, HERE / f"requirements/{client}.txt"], stdout=subprocess.PIPE, text=True
        )
        if made.returncode:
            yield {
                "client": name,
                "check": f"{client} can be installed",
                "ok": False,
                "reason": "see its message above",
            }
            return
        python = made.stdout.strip() + "/bin/python"
    command = [python, "-B", HERE / f"{name}.py", "--json"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            said, complaints = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            said, complaints = process.communicate()
            complaints = f"it was still running after {LIMIT_S} s"
    found = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    yield from found
    if process.returncode not in (0, 1) or process.returncode == 1 and all(result["ok"] for result in found):
        reason = " ".join(complaints.strip().splitlines()[-1:]) or f"it ended with {process.returncode}"
        yield {"client": name, "check": "the program runs to its end", "ok": False, "reason": reason}


def show(result, as_json):
    if as_json:
        print(json.dumps(result), flush=True)
    else:
        reason = f": {result['reason']}" if "reason" in result else ""
        print(f"{'ok  ' if result['ok'] else 'FAIL'} {result['client']}: {result['check']}{reason}", flush=True)


if __name__ == "__main__":
    main()
