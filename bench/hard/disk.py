"""Full and read-only disks. Called by bench/disk, as root: GREENLIGHT LOAD WORK [--json]."""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import ledger
import server

parser = argparse.ArgumentParser(prog="bench/disk")
parser.add_argument("greenlight")
parser.add_argument("load")
parser.add_argument("work", type=pathlib.Path)
parser.add_argument("--json", action="store_true")
chosen = parser.parse_args()

ROOM_MIB = 24
mount = chosen.work / "disk"
image = chosen.work / "disk.image"
checks, ids = [], []


def check(claim, holds, seen=""):
    checks.append({"check": claim, "ok": bool(holds), "seen": str(seen)[:300]})
    if chosen.json:
        print(json.dumps(checks[-1]), flush=True)
    else:
        print(f"{'ok  ' if holds else 'FAIL'} {claim}" + (f": {checks[-1]['seen']}" if seen != "" else ""), flush=True)


def run(*command):
    ran = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(f"error: {' '.join(map(str, command))}: {ran.stderr.strip()}\n hint: nothing more was measured")


def make_disk(data):
    """An empty ext4 of a few MiB with the data folder on it."""
    used_mib = sum(path.stat().st_size for path in data.rglob("*") if path.is_file()) >> 20
    with open(image, "wb") as file:
        file.truncate((used_mib + ROOM_MIB) << 20)
    # No part of it is kept for root, who fills it.
    run("mkfs.ext4", "-q", "-F", "-m", "0", image)
    mount.mkdir()
    mount_disk()
    shutil.copytree(data, mount / "data")


def mount_disk():
    run("mount", "-o", "loop,errors=remount-ro", image, mount)


def load(served, seconds, rate=1_000):
    path = chosen.work / f"{len(ids)}.ids"
    ids.append(path)
    command = served.load(chosen.load, chosen.work / "matrix.json", seconds=seconds, rate=rate, connections=16, ids=path)
    return server.run_load(command)


def is_answering(served):
    row = json.loads((chosen.work / "matrix.json").read_text())
    status, _, answer = served.ask("/v2/models/bench/infer", row)
    if status == 200:
        found = next(output["data"] for output in answer["outputs"] if output["name"] == "prediction_id")
        path = chosen.work / f"{len(ids)}.ids"
        ids.append(path)
        path.write_bytes(ledger.of_texts(found).tobytes())
    return status == 200


def fill():
    """Takes every block that is left."""
    ballast = mount / "ballast"
    with open(ballast, "ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
                    os.fsync(file.fileno())
    return ballast


def check_refusals(told, what):
    check(f"{what}: requests are refused", told["refused"] > 0, f"{told['accepted']} accepted, {told['refused']} refused")
    check(f"{what}: every refusal is a 503 that says when to come back", told["errors"] == told["broken"] == told["without_retry_after"] == 0,
          f"{told['errors']} other answers, {told['broken']} broken, {told['without_retry_after']} without Retry-After")
    check(f"{what}: it says why", told["complaints"], " ".join(text.strip() for text in told["complaints"]))


def check_beside(served, what):
    """What else can be asked then."""
    status, _, _ = served.ask("/v2/health/live")
    check(f"{what}: it is alive", status == 200, status)
    status, _, said = served.ask("/v2/models/bench")
    check(f"{what}: metadata is read", status == 200, status)
    status, headers, said = served.ask("/v2/repository/models/bench/load", {})
    fair = status == 200 or status == 503 and headers.get("Retry-After")
    check(f"{what}: a change of metadata is made, or refused with 503", fair, f"{status} {said}")


def full(served):
    ballast = fill()
    told = load(served, 4)
    check_refusals(told, "a full disk")
    check_beside(served, "a full disk")
    ballast.unlink()
    took = server.wait_until("it answers again once there is room", 30, lambda: is_answering(served))
    check("room again: it answers by itself", True, f"after {took:.1f} s")
    told = load(served, 2)
    check("room again: nothing is refused", told["refused"] == told["errors"] == told["broken"] == 0, f"{told['accepted']} accepted, {told['complaints']}")


def folder_read_only(served):
    """The folder of the log under a read-only mount: what is open stays open, what is new cannot be made."""
    lake = mount / "data" / "lake"
    run("mount", "--bind", lake, lake)
    try:
        run("mount", "-o", "remount,bind,ro", lake)
        status, _, said = served.ask("/v1/endpoints/bench/settle", {})
        check("a read-only folder: settling is refused with a reason", status in (500, 503) and "read-only" in str(said).lower(), f"{status} {said}")
        told = load(served, 2)
        check_refusals(told, "a read-only folder")
    finally:
        run("umount", lake)
    took = server.wait_until("it answers again once it can write", 30, lambda: is_answering(served))
    check("writable again: it answers by itself", True, f"after {took:.1f} s")


def disk_read_only(served):
    """What ext4 does after an error: everything on it is read-only, open files too, until it is mounted again."""
    device = subprocess.run(["findmnt", "-n", "-o", "SOURCE", mount], capture_output=True, text=True).stdout.strip()
    trigger = pathlib.Path("/sys/fs/ext4") / pathlib.Path(device).name / "trigger_fs_error"
    try:
        trigger.write_text("1")
    except OSError as error:
        check("a read-only disk: the kernel lets us make one", False, error)
        return
    with contextlib.suppress(OSError):
        (mount / "probe").write_text("")
        check("a read-only disk: the disk is read-only", False)
    check_refusals(load(served, 3), "a read-only disk")
    check_beside(served, "a read-only disk")


def main():
    data, token, _ = server.environment_of(chosen.work)
    make_disk(data)
    try:
        log = chosen.work / "serve.log"
        with server.running(chosen.greenlight, mount / "data", log, token) as served:
            told = load(served, 2)
            check("before: everything is accepted", told["refused"] == told["errors"] == told["broken"] == 0, f"{told['accepted']} accepted")
            full(served)
            folder_read_only(served)
            disk_read_only(served)
            check("a read-only disk: the server stops when it is told to", served.stop())
        run("umount", mount)
        mount_disk()
        with server.running(chosen.greenlight, mount / "data", log, token) as served:
            told = load(served, 2)
            check("mounted again: it starts and answers", told["accepted"] and told["refused"] == told["errors"] == told["broken"] == 0,
                  f"{told['accepted']} accepted {told['complaints']}")
            status, _, said = served.ask("/v1/endpoints/bench/settle", {})
            check("mounted again: it settles", status == 200, f"{status} {said}")
        compared = ledger.compare(ids, ledger.tables(mount / "data"))
        check("every acknowledged id is in the Delta table once", ledger.fine(compared), compared)
    finally:
        run("umount", mount)
    sys.exit(0 if all(one["ok"] for one in checks) else 1)


main()
