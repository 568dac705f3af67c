"""One round of load on one server: wrk, or h2load for HTTP/2, and what the server's processes spent meanwhile."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

import process

CONNECTIONS = 32
WARM_S = 2


def measure(target, seconds, mark=None):
    """Figures of a round. The target has pid, url, body (a path), content_type; if it wants token, headers, http2."""
    rest = process.memory_mib(process.family(target["pid"], mark))
    load = _h2load if target.get("http2") else _wrk
    load(target, min(WARM_S, seconds))
    began, before = time.monotonic(), process.processor_s(process.family(target["pid"], mark))
    machine, own = process.busy_s()
    told = load(target, seconds)
    machine_after, own_after = process.busy_s()
    family = process.family(target["pid"], mark)
    spent, took = process.processor_s(family) - before, time.monotonic() - began
    others = (machine_after - machine) - (own_after - own) - spent
    return {
        "requests_per_s": told["requests"] / told["seconds"],
        **{key: told[key] for key in ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms")},
        "processor_us_per_request": spent / max(told["requests"], 1) * 1e6,
        "memory_at_rest_mib": rest,
        "memory_after_mib": process.memory_mib(family),
        "errors": told["refused"] + told["broken"],
        "requests": told["requests"],
        # What the rest of the machine was busy with: above 0.3 or so, the round says little.
        "other_cores": max(0.0, others / took),
    }


def _wrk(target, seconds):
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--timeout",
        "5s",
        "-s",
        pathlib.Path(__file__).with_name("load.lua"),
    ]
    for header in target.get("headers", []):
        command += ["-H", header]
    told = {
        "BENCH_BODY": str(target["body"]),
        "BENCH_TYPE": target["content_type"],
        "BENCH_TOKEN": target.get("token") or "",
    }
    ran = subprocess.run([*command, target["url"]], env=os.environ | told, capture_output=True, text=True)
    for line in ran.stdout.splitlines():
        if line.startswith("{"):
            return json.loads(line)
    raise RuntimeError(f"wrk said nothing: {(ran.stdout + ran.stderr).strip()[-200:]}")


def _h2load(target, seconds):
    """The same over HTTP/2, one request at a time on each connection: for gRPC, which wrk does not speak."""
    headers = [f"content-type: {target['content_type']}", *target.get("headers", [])]
    if target.get("token"):
        headers.append(f"authorization: Bearer {target['token']}")
    if target["content_type"].startswith("application/grpc"):
        headers.append("te: trailers")
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder) / "log"
        command = [
            "h2load",
            "-t1",
            f"-c{CONNECTIONS}",
            "-m1",
            f"-D{seconds}",
            f"--log-file={log}",
            "-d",
            target["body"],
        ]
        for header in headers:
            command += ["-H", header]
        ran = subprocess.run([*command, target["url"]], capture_output=True, text=True)
        counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed", ran.stdout)
        if not counts or not log.exists():
            raise RuntimeError(f"h2load said nothing: {(ran.stdout + ran.stderr).strip()[-200:]}")
        # Start, status, microseconds.
        times = sorted(int(line.split("\t")[2]) / 1000 for line in log.read_text().splitlines())
    # A refused call has status 200 too, but no message: its reason stands in the trailers.
    if target["content_type"].startswith("application/grpc") and re.search(r"\(0\) data", ran.stdout):
        raise RuntimeError("every call was refused: no answer carried a message")
    done, _, failed = map(int, counts.groups())
    at = lambda share: times[min(len(times) - 1, int(share * len(times)))]  # noqa: E731
    quantiles = {"p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "p999_ms": at(0.999), "max_ms": times[-1]}
    return {"requests": done, "seconds": seconds, "refused": failed, "broken": 0, **quantiles}
