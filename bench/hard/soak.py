"""A long run at a steady rate. Called by bench/soak: GREENLIGHT LOAD WORK [--minutes N] …"""

import argparse
import contextlib
import datetime
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

SWAP_EVERY_S = 10
SAMPLE_EVERY_S = 10
ROWS = 100


def options():
    parser = argparse.ArgumentParser(prog="bench/soak")
    parser.add_argument("greenlight")
    parser.add_argument("load")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--share", type=float, default=0.7)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--beside")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def mirror_slow_model(served, chosen):
    """Registers and submits the slow model, and lets it look on. Its release's id."""

    token = (chosen.work / "scientist").read_text()

    def command(*arguments):
        named = os.environ | {"GREENLIGHT_URL": served.url, "GREENLIGHT_TOKEN": token}
        ran = subprocess.run([chosen.greenlight, *arguments, "--json"], env=named, capture_output=True, text=True)
        if ran.returncode != 0:
            sys.exit(f"greenlight {' '.join(arguments)}: {(ran.stdout + ran.stderr).strip()}")
        return json.loads(ran.stdout)

    dataset = ["--dataset", "history@1", "--trained-until", "2024-11-01"]
    command("model", "register", "bench", str(chosen.work / "slow.txt"), *dataset)
    release = command("release", "submit", "--endpoint", "bench", "--model", "bench@2")["id"]
    command("release", "shadow", release)
    return release


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


def soak(chosen, served, rate):
    ids = [chosen.work / "load.ids", chosen.work / "rows.ids"]
    ids[1].touch()
    one_row = json.loads((chosen.work / "matrix.json").read_text())
    memory = []
    acts = {
        "swaps": Beside(SWAP_EVERY_S, lambda: expect(served.ask("/v2/repository/models/bench/load", {}))),
        "outcomes": Beside(1, rows_and_outcomes(served, one_row, ids[1])),
        "samples": Beside(SAMPLE_EVERY_S, lambda: memory.append(served.memory_mib())),
    }
    memory.append(served.memory_mib())
    with contextlib.ExitStack() as stack:
        if chosen.beside:
            named = os.environ | {"GREENLIGHT_URL": served.url, "GREENLIGHT_TOKEN": served.token}
            beside = subprocess.Popen(["bash", "-c", f"exec {chosen.beside}"], env=named)
            stack.callback(beside.wait)
            stack.callback(beside.terminate)
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
    with server.running(chosen.greenlight, data, chosen.work / "serve.log", token, settle_every=30) as served:
        release = mirror_slow_model(served, chosen)
        rate = chosen.rate
        if not rate:
            server.run_load(served.load(chosen.load, body, seconds=2, connections=32))
            capacity = server.run_load(served.load(chosen.load, body, seconds=10, connections=32))["accepted_per_s"]
            rate = chosen.share * capacity
            print(f"==> {capacity:,.0f} requests/s are the capacity; {rate:,.0f} are asked for", file=sys.stderr)
        whole, windows, memory, acts, ids = soak(chosen, served, rate)
        expect(served.ask("/v1/endpoints/bench/settle", {}))
        shadow = served.ask(f"/v1/releases/{release}")[2]
    compared = ledger.compare(ids, ledger.tables(data))
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
        "shadow": shadow.get("stage") if isinstance(shadow, dict) else None,
        "memory_mib": {"first": memory[0], "last": memory[-1], "max": max(memory), "slope_per_hour": slope},
        "ledger": compared,
        "complaints": whole["complaints"] + failures[:5],
    }
    verdict = {"no error that a client sees": seen == 0, "nothing lost, nothing twice": ledger.fine(compared)}
    if chosen.json:
        print(json.dumps(report | {"verdict": verdict}))
    else:
        for key, value in report.items():
            print(f"{key:>22}  {value}")
        for claim, holds in verdict.items():
            print(f"{'ok  ' if holds else 'FAIL'} {claim}")
    sys.exit(0 if all(verdict.values()) else 1)


main()
