"""A long run at a steady rate. Called by bench/soak: GREENLIGHT LOAD WORK PYTHON [--minutes N] …"""

import argparse
import contextlib
import datetime
import itertools
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import ledger
import numpy as np
import server
from deltalake import DeltaTable

SWAP_EVERY_S = 10
SAMPLE_EVERY_S = 10
ROWS = 100
TRAINED = ["--dataset", "history@1", "--trained-until", "2024-11-01"]
FAR = "far"
FAR_EVERY_S = 0.05


def options():
    parser = argparse.ArgumentParser(prog="bench/soak")
    parser.add_argument("greenlight")
    parser.add_argument("load")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("python", help="one that has lightgbm")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--share", type=float, default=0.7)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def commander(served, chosen, role):
    """Runs verbs of the command line with the token of that role."""
    token = (chosen.work / role).read_text()

    def command(*arguments):
        named = os.environ | {"GREENLIGHT_URL": served.url, "GREENLIGHT_TOKEN": token}
        ran = subprocess.run([chosen.greenlight, *arguments, "--json"], env=named, capture_output=True, text=True)
        if ran.returncode != 0:
            sys.exit(f"greenlight {' '.join(arguments)}: {(ran.stdout + ran.stderr).strip()}")
        return json.loads(ran.stdout)

    return command


def mirror_slow_model(served, chosen):
    """Registers and submits the slow model, and lets it look on. Its release's id."""
    scientist = commander(served, chosen, "scientist")
    scientist("model", "register", "bench", str(chosen.work / "slow.txt"), *TRAINED)
    release = scientist("release", "submit", "--endpoint", "bench", "--model", "bench@2")["id"]
    scientist("release", "shadow", release)
    return release


def release_upstream(served, chosen, upstream):
    """A second endpoint, whose champion is the upstream; behind it stands the holdout's rule."""
    scientist = commander(served, chosen, "scientist")
    whole = (chosen.work / "manifests" / "bench.yaml").read_text()
    endpoint = next(part for part in whole.split("---") if "kind: Endpoint" in part)
    manifest = chosen.work / "far.yaml"
    manifest.write_text(endpoint.replace("name: bench", f"name: {FAR}"))
    scientist("apply", "--file", str(manifest))
    columns = ",".join(f"Column_{i}" for i in range(20))
    wish = ["--upstream", upstream, "--protocol", "oip-rest", "--upstream-model", FAR, "--columns", columns]
    scientist("model", "register", FAR, *wish, "--timeout-ms", "200", *TRAINED)
    release = scientist("release", "submit", "--endpoint", FAR, "--model", f"{FAR}@1")["id"]
    scientist("release", "shadow", release)
    expect(served.ask(f"/v2/models/{FAR}/infer", json.loads((chosen.work / "matrix.json").read_text())))
    time.sleep(2)  # The shadow looks on afterwards.
    scientist("release", "judge", release)
    commander(served, chosen, "approver")("release", "approve", release)
    commander(served, chosen, "token")("release", "rollout", release)


@contextlib.contextmanager
def flapping(chosen):
    """The upstream; its process and its address."""
    script = str(pathlib.Path(__file__).with_name("flapping.py"))
    command = [chosen.python, "-B", script, str(chosen.work / "model" / "model.txt")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as upstream:
        try:
            yield upstream, upstream.stdout.readline().strip()
        finally:
            upstream.kill()


class Beside(threading.Thread):
    """Something that happens again and again while the load runs; its failures are kept."""

    def __init__(self, every_s, act):
        super().__init__(daemon=True)
        self.every_s, self.act, self.ended, self.failures, self.done = every_s, act, threading.Event(), [], 0

    def run(self):
        while not self.ended.wait(self.every_s):
            try:
                self.act()
                self.done += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, the report shows it
                self.failures.append(repr(error)[:300])

    def end(self):
        self.ended.set()
        self.join(60)


def expect(answer, status=200):
    if answer[0] != status:
        raise RuntimeError(f"{answer[0]}: {answer[2]}")
    return answer[2]


def rows_and_outcomes(served, one_row, ids):
    """A client that asks for many rows at once and says at once what became of them. Its ids join the ledger."""
    unit, matrix = one_row["inputs"]
    body = {
        "inputs": [
            unit | {"shape": [ROWS], "data": [f"unit-{row}" for row in range(ROWS)]},
            matrix | {"shape": [ROWS, matrix["shape"][1]], "data": matrix["data"] * ROWS},
        ]
    }

    def act():
        answer = expect(served.ask("/v2/models/bench/infer", body))
        found = next(output["data"] for output in answer["outputs"] if output["name"] == "prediction_id")
        with open(ids, "ab") as file:
            file.write(ledger.of_texts(found).tobytes())
        now = datetime.datetime.now(datetime.UTC).isoformat()
        outcomes = [{"prediction_id": id, "name": "bought", "value": float(n % 2), "at": now} for n, id in enumerate(found)]
        expect(served.ask("/v1/endpoints/bench/outcomes", {"outcomes": outcomes}))

    return act


def ask_far(served, body, ids):
    """A client of the endpoint whose upstream comes and goes. Its ids join the ledger."""
    unit, matrix = body["inputs"]
    number = itertools.count()

    def act():
        named = unit | {"data": [f"unit-{next(number)}"]}
        answer = expect(served.ask(f"/v2/models/{FAR}/infer", {"inputs": [named, matrix]}))
        found = next(output["data"] for output in answer["outputs"] if output["name"] == "prediction_id")
        with open(ids, "ab") as file:
            file.write(ledger.of_texts(found).tobytes())

    return act


def answered_by(table):
    """Rows of the champion in a table of predictions, by who answered for it."""
    rows = DeltaTable(str(table)).to_pyarrow_table(columns=["fallback"], filters=[("variant", "=", "champion")])
    counts = rows.column("fallback").value_counts().to_pylist()
    return {str(count["values"] or "the upstream"): count["counts"] for count in counts}


def soak(chosen, served, rate, upstream):
    ids = [chosen.work / f"{name}.ids" for name in ("load", "rows", "far")]
    for file in ids[1:]:
        file.touch()
    one_row = json.loads((chosen.work / "matrix.json").read_text())
    memory = []
    acts = {
        "swaps": Beside(SWAP_EVERY_S, lambda: expect(served.ask("/v2/repository/models/bench/load", {}))),
        "outcomes": Beside(1, rows_and_outcomes(served, one_row, ids[1])),
        "far": Beside(FAR_EVERY_S, ask_far(served, one_row, ids[2])),
        "samples": Beside(SAMPLE_EVERY_S, lambda: memory.append(served.memory_mib())),
    }
    memory.append(served.memory_mib())
    with contextlib.ExitStack() as stack:
        upstream.stdin.write("\n")
        upstream.stdin.flush()
        for act in acts.values():
            act.start()
            stack.callback(act.end)
        began = time.monotonic()
        command = served.load(
            chosen.load, chosen.work / "matrix.json", seconds=chosen.minutes * 60, rate=rate, connections=64, ids=ids[0], every=10
        )
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
            windows = []
            for line in load.stdout:
                windows.append(json.loads(line))
                told = windows[-1]["accepted_times"]
                print(
                    f"    {time.monotonic() - began:6.0f} s  p99 {told['p99_ms']:.2f} ms, max {told['max_ms']:.0f} ms, "
                    f"refused {windows[-1]['refused']}, errors {windows[-1]['errors'] + windows[-1]['broken']}, "
                    f"{served.memory_mib():.0f} MiB",
                    file=sys.stderr,
                    flush=True,
                )
    memory.append(served.memory_mib())
    if not windows:
        sys.exit("error: the load client said nothing")
    return windows.pop(), windows, memory, acts, ids


def main():
    chosen = options()
    data, token, body = server.environment_of(chosen.work)
    with (
        flapping(chosen) as (upstream, address),
        server.running(chosen.greenlight, data, chosen.work / "serve.log", token, settle_every=30) as served,
    ):
        release_upstream(served, chosen, address)
        release = mirror_slow_model(served, chosen)
        rate = chosen.rate
        if not rate:
            server.run_load(served.load(chosen.load, body, seconds=2, connections=32))
            capacity = server.run_load(served.load(chosen.load, body, seconds=10, connections=32))["accepted_per_s"]
            rate = chosen.share * capacity
            print(f"==> {capacity:,.0f} requests/s are the capacity; {rate:,.0f} are asked for", file=sys.stderr)
        whole, windows, memory, acts, ids = soak(chosen, served, rate, upstream)
        expect(served.ask("/v1/endpoints/bench/settle", {}))
        expect(served.ask(f"/v1/endpoints/{FAR}/settle", {}))
        shadow = served.ask(f"/v1/releases/{release}")[2]
    compared = ledger.compare(ids[:2], ledger.tables(data))
    far = ledger.compare(ids[2:], ledger.tables(data, FAR))
    half = memory[len(memory) // 2 :]
    slope = float(np.polyfit(np.arange(len(half)), half, 1)[0]) * 3600 / SAMPLE_EVERY_S if len(half) > 2 else None
    failures = [failure for act in acts.values() for failure in act.failures]
    seen = whole["refused"] + whole["errors"] + whole["broken"] + len(failures)
    report = {
        "minutes": chosen.minutes,
        "rate": rate,
        "accepted": whole["accepted"],
        "skipped": whole["skipped"],
        "refused": whole["refused"],
        "errors": whole["errors"] + whole["broken"],
        "times": whole["accepted_times"],
        "worst_window_p99_ms": max((w["accepted_times"]["p99_ms"] for w in windows), default=None),
        "swaps": acts["swaps"].done,
        "outcomes": acts["outcomes"].done * ROWS,
        "far": acts["far"].done,
        "far_answered_by": answered_by(ledger.tables(data, FAR)),
        "shadow": shadow.get("stage") if isinstance(shadow, dict) else None,
        "memory_mib": {"first": memory[0], "last": memory[-1], "max": max(memory), "slope_per_hour": slope},
        "ledger": compared,
        "far_ledger": far,
        "complaints": whole["complaints"] + failures[:5],
    }
    verdict = {"no error that a client sees": seen == 0, "nothing lost, nothing twice": ledger.fine(compared) and ledger.fine(far)}
    if chosen.json:
        print(json.dumps(report | {"verdict": verdict}))
    else:
        for key, value in report.items():
            print(f"{key:>22}  {value}")
        for claim, holds in verdict.items():
            print(f"{'ok  ' if holds else 'FAIL'} {claim}")
    sys.exit(0 if all(verdict.values()) else 1)


main()
