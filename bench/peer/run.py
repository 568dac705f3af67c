"""The command line of bench/peers."""

import argparse
import json
import pathlib
import signal
import sys

import encode
import load
import peer
import table


def main():
    # So that a peer is stopped when this is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if sys.argv[1:2] == ["measure"]:
        measure(sys.argv[2:])
    elif sys.argv[1:2] == ["encode"]:
        encode.encode(sys.argv[2:])
    elif sys.argv[1:2] == ["table"]:
        lines = [line for path in sys.argv[2:] for line in pathlib.Path(path).read_text().splitlines()]
        print(table.render([json.loads(line) for line in lines if line.startswith("{")]))
    else:
        compare(sys.argv[1:])


def options(program):
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("--seconds", type=int, default=10, help="of load in a round (10)")
    parser.add_argument("--rounds", type=int, default=2, help="(2)")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each round instead of a table")
    return parser


def compare(arguments):
    """Every peer in turn, round by round. One that cannot be measured here is reported and does not stop the others."""
    parser = options("bench/peers")
    parser.add_argument(
        "peers", nargs="*", metavar="PEER", help=", ".join(dict.fromkeys(one.folder for one in peer.PEERS))
    )
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.peers) - {one.folder for one in peer.PEERS}:
        parser.error(f"there is no peer '{sorted(unknown)[0]}'")
    results, unable = [], set()
    for number in range(1, chosen.rounds + 1):
        for one in peer.PEERS:
            if one.name in unable or chosen.peers and one.folder not in chosen.peers:
                continue
            print(f"==> round {number}, {one.name}", file=sys.stderr, flush=True)
            result = {"name": one.name, "round": number}
            try:
                with peer.running(one) as (target, mark):
                    result |= load.measure(target, chosen.seconds, mark)
            except (peer.Unable, RuntimeError) as error:
                result["error"] = str(error)
                unable.add(one.name)
            if chosen.json:
                print(json.dumps(result), flush=True)
            results.append(result)
    if not chosen.json:
        print(table.render(results))


def measure(arguments):
    """A server that already runs."""
    parser = options("bench/peers measure")
    parser.add_argument("name")
    parser.add_argument("pid", type=int)
    parser.add_argument("url")
    parser.add_argument("body", type=pathlib.Path)
    parser.add_argument("content_type")
    parser.add_argument("token", nargs="?")
    parser.add_argument("--header", action="append", default=[], help="'Name: value', as often as needed")
    parser.add_argument(
        "--http2", action="store_true", help="with h2load; for gRPC the content type is application/grpc"
    )
    chosen = parser.parse_args(arguments)
    target = {
        "pid": chosen.pid,
        "url": chosen.url,
        "body": chosen.body,
        "content_type": chosen.content_type,
        "token": chosen.token,
        "headers": chosen.header,
        "http2": chosen.http2,
    }
    results = []
    for number in range(1, chosen.rounds + 1):
        try:
            results.append({"name": chosen.name, "round": number} | load.measure(target, chosen.seconds))
        except RuntimeError as error:
            sys.exit(f"error: {error}")
        if chosen.json:
            print(json.dumps(results[-1]), flush=True)
    if not chosen.json:
        print(table.render(results))


if __name__ == "__main__":
    main()
