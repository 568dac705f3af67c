"""Goodput and latency past capacity. Called by bench/overload: GREENLIGHT LOAD WORK [--seconds N] [--json]."""

import argparse
import json

import server

parser = argparse.ArgumentParser(prog="bench/overload")
parser.add_argument("greenlight")
parser.add_argument("load")
parser.add_argument("work")
parser.add_argument("--seconds", type=float, default=8, help="of each step (8)")
parser.add_argument("--json", action="store_true", help="a line of JSON for each step instead of a table")
chosen = parser.parse_args()

data, token, body = server.environment_of(chosen.work)
results = {}
with server.running(chosen.greenlight, data, f"{chosen.work}/serve.log", token) as served:

    def measure(name, connections, rate=0):
        command = served.load(
            chosen.load, body, seconds=chosen.seconds, connections=connections, **({"rate": rate} if rate else {})
        )
        results[name] = server.run_load(command) | {"connections": connections, "offered_per_s": rate or None}

    server.run_load(served.load(chosen.load, body, seconds=2, connections=32))
    measure("capacity", 32)
    capacity = results["capacity"]["accepted_per_s"]
    measure("unloaded", 32, capacity / 10)
    measure("three times the rate", 512, 3 * capacity)
    measure("512 connections", 512)
    measure("3,000 connections", 3_000)
    measure("capacity afterwards", 32)
    memory = served.memory_mib()

unloaded = results["unloaded"]["accepted_times"]["p99_ms"]
lines = []
for name, told in results.items():
    answered = told["accepted"] + told["refused"] + told["errors"]
    lines.append(
        {
            "step": name,
            "connections": told["connections"],
            "asked_per_s": answered / told["seconds"],
            "goodput_per_s": told["accepted_per_s"],
            "goodput_of_capacity": told["accepted_per_s"] / capacity,
            "p50_ms": told["accepted_times"]["p50_ms"],
            "p99_ms": told["accepted_times"]["p99_ms"],
            "p99_of_unloaded": told["accepted_times"]["p99_ms"] / unloaded,
            "refused": told["refused"],
            "refused_p99_ms": told["refused_times"]["p99_ms"],
            "without_retry_after": told["without_retry_after"],
            "errors": told["errors"] + told["broken"],
            "complaints": told["complaints"],
        }
    )
if chosen.json:
    for line in lines:
        print(json.dumps(line))
else:
    print("| step | connections | asked/s | accepted/s | of capacity | p50 ms | p99 ms | of unloaded | refused | errors |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for line in lines:
        print(
            f"| {line['step']} | {line['connections']:,} | {line['asked_per_s']:,.0f} | {line['goodput_per_s']:,.0f} "
            f"| {line['goodput_of_capacity']:.0%} | {line['p50_ms']:.2f} | {line['p99_ms']:.2f} "
            f"| {line['p99_of_unloaded']:.1f}× | {line['refused']:,} | {line['errors']} |"
        )
    print(f"\n{memory:.0f} MiB resident afterwards")
    for complaint in {complaint for line in lines for complaint in line["complaints"]}:
        print(f"said: {complaint.strip()}")
