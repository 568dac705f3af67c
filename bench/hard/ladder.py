"""What each feature of an inference request costs. Called by bench/ladder: GREENLIGHT ECHO WORK [--seconds N] …"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

import server
from rungs import Rungs

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "peer"))
import load  # noqa: E402 - of the peers' benchmark

JSON = "application/json"


def options():
    parser = argparse.ArgumentParser(prog="bench/ladder")
    parser.add_argument("greenlight")
    parser.add_argument("echo")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def endpoints(chosen, served):
    """Name and meaning of each endpoint, from the least to everything."""
    rungs = Rungs(chosen.greenlight, served, chosen.work)
    rungs.add("sampled", "  log: { durability: async, feature_share: 0.01 }\n")
    rungs.add("async", "  log: { durability: async }\n")
    rungs.add("ack")
    rungs.add("ten")
    rungs.challenge("ten")
    rungs.add("mirrored")
    rungs.mirror("mirrored")
    body = chosen.work / "rung.json"
    body.write_text(json.dumps(rungs.body()))
    return body, [
        ("sampled", "+ parse, assign, score, decide; answer before the log is on disk, features of 1 % logged"),
        ("async", "+ all features logged"),
        ("ack", "+ on disk before the answer"),
        ("ten", "the same with nine challengers beside the champion"),
        ("mirrored", "the same with a shadow of the same model"),
    ]


def main():
    chosen = options()
    data, token, _ = server.environment_of(chosen.work)
    echo = subprocess.Popen([chosen.echo], stdout=subprocess.PIPE, text=True)
    try:
        echo_url = echo.stdout.readline().strip()
        with server.running(chosen.greenlight, data, chosen.work / "serve.log", token) as served:
            body, found = endpoints(chosen, served)
            target = {"body": body, "content_type": JSON, "token": token, "pid": served.process.pid}
            rungs = [("bare axum echo of the same body", target | {"url": f"{echo_url}/echo", "pid": echo.pid})]
            rungs += [(meaning, target | {"url": f"{served.url}/v2/models/{name}/infer"}) for name, meaning in found]
            figures = {meaning: [] for meaning, _ in rungs}
            for round_ in range(chosen.rounds):
                for meaning, one in rungs:
                    figures[meaning].append(load.measure(one, chosen.seconds))
                print(f"    round {round_ + 1} of {chosen.rounds}", file=sys.stderr, flush=True)
    finally:
        echo.kill()
    tell(chosen, figures)


def tell(chosen, figures):
    middle = lambda rounds, key: statistics.median(one[key] for one in rounds)
    rows = [
        {
            "rung": meaning,
            **{key: middle(rounds, key) for key in ("requests_per_s", "p50_ms", "p99_ms", "processor_us_per_request")},
            "errors": sum(one["errors"] for one in rounds),
        }
        for meaning, rounds in figures.items()
    ]
    if chosen.json:
        print(json.dumps(rows))
        return
    print("requests/s  p50 ms  p99 ms  CPU µs  rung (medians)")
    for row in rows:
        print(
            f"{row['requests_per_s']:10,.0f}  {row['p50_ms']:6.2f}  {row['p99_ms']:6.2f}  "
            f"{row['processor_us_per_request']:6.1f}  {row['rung']}" + (f"  ({row['errors']} errors)" if row["errors"] else "")
        )


main()
