"""Runs the fuzzing tests one at a time, each in a process of its own. Called by bench/fuzz: LIST [--seconds N] …"""

import argparse
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile

PARSERS = {
    "infer": ("greenlight-api", "oip::fuzz::rest_requests"),
    "grpc": ("greenlight-api", "oip::fuzz::grpc_requests"),
    "invocations_json": ("greenlight-api", "invocations::fuzz::tables_as_json"),
    "invocations_csv": ("greenlight-api", "invocations::fuzz::tables_as_csv"),
    "lightgbm": ("greenlight-inference::it", "hostile::lightgbm_files"),
    "xgboost_json": ("greenlight-inference::it", "hostile::xgboost_json_files"),
    "xgboost_ubj": ("greenlight-inference::it", "hostile::xgboost_ubj_files"),
    "onnx": ("greenlight-inference::it", "hostile::onnx_files"),
    "artifact": ("greenlight-inference::it", "hostile::own_files"),
}
# Longer than this after its time, and it hangs.
GRACE_S = 60
ADDRESS_SPACE = 4 << 30

parser = argparse.ArgumentParser(prog="bench/fuzz")
parser.add_argument("list", type=pathlib.Path)
parser.add_argument("--seconds", type=int, default=300)
parser.add_argument("--seed", type=int)
parser.add_argument("--keep", action="store_true")
parser.add_argument("--json", action="store_true")
parser.add_argument("parsers", nargs="*", metavar="PARSER", help=", ".join(PARSERS))
chosen = parser.parse_args()
if unknown := set(chosen.parsers) - set(PARSERS):
    parser.error(f"there is no parser '{sorted(unknown)[0]}'")
# So that a test that runs is ended with this.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
suites = json.loads(chosen.list.read_text())["rust-suites"]


def fuzz(name, seconds, folder):
    """The report of a parser, or what went wrong with it."""
    suite, test = PARSERS[name]
    found = suites.get(suite)
    if not found or test not in found["testcases"]:
        return {"parser": name, "failure": f"there is no test {test} in {suite}"}
    report, current = folder / f"{name}.report", folder / f"{name}.current"
    named = {"GREENLIGHT_FUZZ_SECONDS": seconds, "GREENLIGHT_FUZZ_REPORT": report, "GREENLIGHT_FUZZ_CURRENT": current}
    named |= {"GREENLIGHT_FUZZ_SEED": chosen.seed} if chosen.seed is not None else {}
    named |= {"GREENLIGHT_FUZZ_KEEP": 1} if chosen.keep else {}
    ran = subprocess.Popen(
        [found["binary-path"], "--exact", test, "--nocapture"],
        cwd=found["cwd"],
        # A second arena of the C library would reserve 128 MiB of addresses and look like a greedy parser.
        env=os.environ | {"MALLOC_ARENA_MAX": "1"} | {key: str(value) for key, value in named.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE)),
    )
    try:
        said, _ = ran.communicate(timeout=seconds + GRACE_S)
    except subprocess.TimeoutExpired:
        ran.kill()
        said, _ = ran.communicate()
        return {"parser": name, "failure": "it hangs", "input": keep(name, current)}
    except BaseException:
        ran.kill()
        raise
    if ran.returncode == 0 and report.exists():
        return json.loads(report.read_text().splitlines()[-1])
    if ran.returncode < 0:
        return {"parser": name, "failure": signal.Signals(-ran.returncode).name, "input": keep(name, current)}
    return {"parser": name, "failure": next((line for line in said.splitlines() if "is kept as" in line), said[-300:])}


def keep(name, current):
    """The input that ended the process, in the corpus, where every run of the tests meets it."""
    crate = PARSERS[name][0].split("::")[0].removeprefix("greenlight-")
    kept = pathlib.Path(f"crates/{crate}/tests/corpus/{name}/ended")
    if not current.exists():
        return None
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(current.read_bytes())
    return str(kept)


names = chosen.parsers or list(PARSERS)
reports = []
with tempfile.TemporaryDirectory(prefix="greenlight-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
    for name in names:
        print(f"==> {name}", file=sys.stderr, flush=True)
        reports.append(fuzz(name, max(1, chosen.seconds // len(names)), pathlib.Path(folder)))
        if chosen.json:
            print(json.dumps(reports[-1]), flush=True)
if not chosen.json:
    print("| parser | seconds | cases | accepted | kinds of answer | slowest case ms | memory of a case MiB | failure |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for report in reports:
        cells = [report.get(key, "") for key in ("seconds", "cases", "accepted", "kinds", "slowest_ms", "memory_mib")]
        cells = [f"{cell:,.0f}" if isinstance(cell, (int, float)) else str(cell) for cell in cells]
        problem = " ".join(str(report[key]) for key in ("failure", "input") if report.get(key)) or "none"
        print(f"| {report['parser']} | {' | '.join(cells)} | {problem} |")
sys.exit(1 if any("failure" in report for report in reports) else 0)
