"""Fills a lake, settles it, and lets DuckDB and Polars add up the same files. Called by bench/settle: GREENLIGHT FILL …"""

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "peer"))
sys.path.insert(0, str(HERE.parent / "track"))
import process  # noqa: E402 - of the peers' benchmark
from run import first_token, free_port, running  # noqa: E402 - of the tracking benchmark

ENDPOINT = "term-deposit-calls"
BANK = HERE.parent.parent / "examples" / "bank"
# A hundred days, then one more; the value model waits seven days for an outcome.
BEGIN, END, NEXT = "2026-01-01", "2026-04-11", "2026-04-12"
SEEN, SEEN_NEXT = "2026-04-18", "2026-04-19"
SEED = 20_260_101
# Of the predictions in the last tenth, one in so many is corrected later.
CORRECTED = 100


def options():
    parser = argparse.ArgumentParser(prog="bench/settle")
    parser.add_argument("greenlight")
    parser.add_argument("fill")
    parser.add_argument("--predictions", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


class Server:
    """Greenlight over a data folder."""

    def __init__(self, program, data, stack):
        port, log = free_port(), f"{data}.log"
        command = [program, "serve", "--json", "--listen", f"127.0.0.1:{port}", "--settle-every", "0", "--data", data]
        self.pid, _ = stack.enter_context(running(list(map(str, command)), port, log))
        kept = pathlib.Path(f"{data}.token")
        if not kept.exists():
            kept.write_text(first_token(log))
        self.url, self.token = f"http://127.0.0.1:{port}", kept.read_text()

    def ask(self, path, body=None):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        body = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, body, headers)
        with urllib.request.urlopen(request, timeout=3600) as answer:
            return json.loads(answer.read())

    def outcome(self, prediction, at):
        """An outcome far ahead: what came before it has matured."""
        body = [{"prediction_id": prediction, "name": "subscribed", "value": 1, "at": at}]
        self.ask(f"/v1/endpoints/{ENDPOINT}/outcomes", body)

    def settle(self):
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        family = process.family(self.pid)
        spent, began = process.processor_s(family), time.monotonic()
        settled = self.ask(f"/v1/endpoints/{ENDPOINT}/settle", {})
        figures = {"wall_s": time.monotonic() - began, "cpu_s": process.processor_s(family) - spent}
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return figures | {"peak_mib": int(peak.split()[1]) / 1024, **settled}


def fill(chosen, data, *arguments):
    lake = data / "lake"
    done = subprocess.run([chosen.fill, lake, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True)
    say(done.stdout.strip())


def prepare(chosen, data):
    """Manifests, one prediction by which time can be told, and the bulk."""
    with contextlib.ExitStack() as stack:
        server = Server(chosen.greenlight, data, stack)
        command = [chosen.greenlight, "apply", "-f", BANK, "--url", server.url, "--token", server.token]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        texts = ("contact", "default", "education", "housing", "job", "loan", "marital", "month", "poutcome")
        numbers = ("age", "balance", "campaign", "day", "pdays", "previous")
        features = {name: "unknown" for name in texts} | {name: 0 for name in numbers}
        row = features | {"client_id": "last", "contacted_at": "2026-04-17"}
        answer = server.ask(f"/endpoints/{ENDPOINT}/invocations", {"dataframe_records": [row]})
        pathlib.Path(f"{data}.last").write_text(json.dumps(answer))
    say(f"{chosen.predictions:,} predictions")
    fill(chosen, data, chosen.predictions, BEGIN, END, SEED)


def peers(chosen, data, until_us):
    found = {}
    tables = data / "lake" / ENDPOINT
    for name in ("duckdb", "polars"):
        rounds = []
        for _ in range(chosen.rounds):
            command = [sys.executable, "-B", HERE / "peer.py", name, tables / "predictions", tables / "outcomes", until_us]
            done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
            rounds.append(json.loads(done.stdout))
        found[name] = min(rounds, key=lambda one: one["wall_s"])
    return found


def agree(ledger, peer, name):
    """The ledger says what an engine says that knows nothing of it: units and gross to the cent."""
    for variant in ledger["variants"]:
        rows = [row for row in peer["rows"] if row[0] == variant["variant"]]
        theirs = [sum(row[at] for row in rows) for at in (2, 3, 4)]
        ours = [variant["units"], variant["positives"], variant["gross"]["minor"]]
        if [round(one) for one in theirs] != [round(one) for one in ours]:
            sys.exit(f"FAIL: {name} says {theirs} of the {variant['variant']}, the ledger {ours}")
    earned = sum(row[5] for row in peer["rows"])
    if abs(earned - ledger["incremental"]["minor"]) > 1e-9 * sum(abs(row[5]) for row in peer["rows"]) + 1e-3:
        sys.exit(f"FAIL: {name} says {earned} was earned, the ledger {ledger['incremental']['minor']}")


def prediction_of(data):
    answer = json.loads(pathlib.Path(f"{data}.last").read_text())
    found = answer["predictions"][0]
    return found.get("prediction_id") or found["id"]


def measure(chosen, data):
    found = {}
    last = prediction_of(data)
    for turn, (seen, until) in {"all": (SEEN, END), "a hundredth more": (SEEN_NEXT, NEXT)}.items():
        if turn != "all":
            more = max(chosen.predictions // 100, 1)
            fill(chosen, data, more, END, NEXT, SEED + 1, BEGIN, END, chosen.predictions, SEED, CORRECTED)
        until_us = int(time.mktime(time.strptime(until + " UTC", "%Y-%m-%d %Z")) - time.timezone) * 1_000_000
        with contextlib.ExitStack() as stack:
            server = Server(chosen.greenlight, data, stack)
            server.outcome(last, seen)
            say(f"settling, {turn}")
            ours = server.settle()
            ledger = server.ask(f"/v1/endpoints/{ENDPOINT}/ledger")
            began = time.monotonic()
            checked = server.ask(f"/v1/endpoints/{ENDPOINT}/ledger/verification")
            if checked["differences_count"]:
                sys.exit(f"FAIL: the ledger is not what comes out of the events: {checked['differences'][:3]}")
            ours["verify_s"] = time.monotonic() - began
        others = peers(chosen, data, until_us)
        for name, peer in others.items():
            agree(ledger, peer, name)
            del peer["rows"]
        found[turn] = {"greenlight": ours, **others}
    return found


def tell(chosen, found):
    if chosen.json:
        print(json.dumps({"predictions": chosen.predictions, "found": found}))
        return
    for turn, figures in found.items():
        ours = figures["greenlight"]
        print(f"{turn}: {ours['matured']:,} matured, {ours['corrected']:,} corrected; verified in {ours['verify_s']:.2f} s")
        for name, one in figures.items():
            ratio = f"{one['wall_s'] / ours['wall_s']:6.1f} times the time" if name != "greenlight" else ""
            print(f"  {name:12} {one['wall_s']:8.2f} s  {one['cpu_s']:8.2f} s CPU  {one['peak_mib']:8.0f} MiB  {ratio}")
    whole, more = (found[turn]["greenlight"]["wall_s"] for turn in found)
    print(f"a hundredth more takes one {whole / more:.0f}th of the time")


def main():
    chosen = options()
    with contextlib.ExitStack() as stack:
        folder = chosen.keep or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        data = folder / "data"
        if not pathlib.Path(f"{data}.last").exists():
            prepare(chosen, data)
        tell(chosen, measure(chosen, data))


if __name__ == "__main__":
    main()
