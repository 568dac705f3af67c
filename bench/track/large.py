"""A tracking database of many runs: fills it with plain SQL, then asks a server over it. Called by bench/tracking-large.

The server makes the schema and is stopped; rows go into its SQLite file in the order of their keys; the server starts
again and is asked as any client asks it. One run has a long history besides.
"""

import argparse
import json
import pathlib
import random
import shutil
import sqlite3
import sys
import tempfile
import time

import measure
import run

KEYS = [f"m{n}" for n in range(5)]
RUNS_AT_ONCE = 20_000
LONG_HISTORY = 100_000
BYTES_A_POINT = 45
ROUNDS = 200
GOAL_MS = 50


def options():
    parser = argparse.ArgumentParser(prog="bench/tracking-large")
    parser.add_argument("greenlight")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def enough_room(folder, points):
    need, free = points * BYTES_A_POINT, shutil.disk_usage(folder).free
    if free < need * 1.2:
        sys.exit(f"error: {points:,} points take some {need >> 30} GiB and {free >> 30} GiB are free; give --runs or --folder")


def fill(path, runs, steps):
    """Runs 1 to `runs` of experiment 0, each with five metrics of `steps` points, five parameters and two tags."""
    database = sqlite3.connect(path, isolation_level=None)
    # Nobody reads it yet, and a load that was cut off is thrown away.
    database.executescript("pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -400000;")
    database.executescript(
        """
        create temp table key (n integer primary key, name text, param text);
        create temp table step (n integer primary key);
        """
    )
    database.executemany("insert into key values (?, ?, ?)", [(n, name, f"p{n}") for n, name in enumerate(KEYS)])
    database.executemany("insert into step values (?)", [(n,) for n in range(steps)])
    began = time.monotonic()
    for first in range(1, runs + 1, RUNS_AT_ONCE):
        some = (first, min(first + RUNS_AT_ONCE, runs + 1))
        database.execute("begin")
        for text in STATEMENTS:
            database.execute(text, {"first": some[0], "end": some[1], "last": steps - 1})
        database.execute("commit")
        rate = (some[1] - 1) * steps * len(KEYS) / (time.monotonic() - began)
        print(f"\r{some[1] - 1:,} runs, {rate:,.0f} points/s", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    database.execute("update counter set value = ? where name = 'run'", (runs,))
    database.execute(
        "insert into metric (run, key, step, at_ms, value, is_nan) with recursive s(n) as "
        "(select 0 union all select n + 1 from s where n + 1 < ?) select 1, 'long', n, 1700000000000 + n, n / 7.0, 0 from s",
        (LONG_HISTORY,),
    )
    database.close()


VALUE = "((run.number * 7919 + key.n * 31 + {step} * 104729) % 100003) / 100003.0"
SOME = "run.number >= :first and run.number < :end"
STATEMENTS = [
    "insert into run (id, number, experiment_id, name, status, initiative, dataset, code_version, author, started_at, ended_at) "
    "with recursive s(n) as (select :first union all select n + 1 from s where n + 1 < :end) "
    "select printf('%032x', n), n, 0, 'r' || n, 'FINISHED', '', '', '', 'bench', 1700000000000000 + n * 1000000, "
    "1700000000500000 + n * 1000000 from s",
    "insert into metric (run, key, step, at_ms, value, is_nan) "
    f"select run.number, key.name, step.n, 1700000000000 + step.n, {VALUE.format(step='step.n')}, 0 "
    f"from run cross join key cross join step where {SOME}",
    "insert into latest_metric (run, key, experiment_id, step, at_ms, value, is_nan) "
    f"select run.number, key.name, 0, :last, 1700000000000 + :last, {VALUE.format(step=':last')}, 0 "
    f"from run cross join key where {SOME}",
    "insert into param (run, key, value) select run.number, key.param, run.number % (key.n + 2) "
    f"from run cross join key where {SOME}",
    f"insert into run_tag (run, key, value) select run.number, 'mlflow.runName', run.name from run where {SOME}",
    f"insert into run_tag (run, key, value) select run.number, 'team', 't' || run.number % 5 from run where {SOME}",
]


def asked(runs):
    """What is asked, each with a chance of its own."""
    chance = random.Random(7)
    search = lambda **question: ("POST", "runs/search", {"experiment_ids": ["0"], "max_results": 100, **question})
    history = lambda number, key: ("GET", f"metrics/get-history?run_id={number:032x}&metric_key={key}&max_results=1000", None)
    key = lambda: chance.choice(KEYS)
    return {
        "search, a page of 100": lambda: search(),
        "search, ordered by a metric": lambda: search(order_by=[f"metrics.{key()} {chance.choice(('ASC', 'DESC'))}"]),
        "search, filter of metric and parameter": lambda: search(filter=f"metrics.{key()} > 0.5 and params.p3 = '2'"),
        "history of a metric": lambda: history(chance.randint(1, runs), key()),
        f"history of {LONG_HISTORY:,} points, a page of 1,000": lambda: history(1, "long"),
    }


def ask_all(port, token, spent, runs):
    ask, found = measure.Client(port, token), {}
    for name, question in asked(runs).items():
        for _ in range(5):
            ask(*question())
        took, before = [], spent()
        for _ in range(ROUNDS):
            one, began = question(), time.perf_counter()
            ask(*one)
            took.append((time.perf_counter() - began) * 1e3)
        took.sort()
        found[name] = {
            "cpu_ms": (spent() - before) * 1e3 / ROUNDS,
            "p50_ms": took[ROUNDS // 2],
            "p95_ms": took[ROUNDS * 95 // 100],
        }
    return found


def main():
    chosen = options()
    steps = max(1, chosen.points // len(KEYS))
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        enough_room(folder, chosen.runs * steps * len(KEYS))
        port, log = run.free_port(), f"{folder}/log"
        command = run.greenlight(chosen.greenlight, folder, port)
        with run.running(command, port, log):
            token = run.first_token(log)
        path = pathlib.Path(folder, "data", "greenlight.db")
        fill(path, chosen.runs, steps)
        size_gib = path.stat().st_size / 2**30
        with run.running(command, port, log) as (pid, start_s):
            spent = lambda: run.process.processor_s(run.process.family(pid))
            found = ask_all(port, token, spent, chosen.runs)
    tell(chosen, found, steps, size_gib, start_s)


def tell(chosen, found, steps, size_gib, start_s):
    if chosen.json:
        print(json.dumps({"runs": chosen.runs, "size_gib": size_gib, "start_ms": start_s * 1e3, **found}))
    else:
        points = chosen.runs * steps * len(KEYS)
        print(f"{chosen.runs:,} runs, {points:,} points, {size_gib:.2f} GiB, start {start_s * 1e3:.0f} ms")
        print(f"{'':48} {'CPU ms':>9} {'p50 ms':>9} {'p95 ms':>9}")
        for name, one in found.items():
            print(f"{name:48} {one['cpu_ms']:9.2f} {one['p50_ms']:9.2f} {one['p95_ms']:9.2f}")
    slow = [name for name, one in found.items() if one["p95_ms"] > GOAL_MS]
    if slow:
        sys.exit(f"error: slower than {GOAL_MS} ms at p95: {'; '.join(slow)}")


if __name__ == "__main__":
    main()
