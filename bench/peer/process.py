"""What a server and its children use, from /proc: processor time and memory. Linux only."""

import os
import pathlib

TICKS = os.sysconf("SC_CLK_TCK")
# Every child inherits it, also one that has left the tree.
MARK = "GREENLIGHT_BENCH"


def family(pid, mark=None):
    """Ids of a process, its descendants, and all that carry the mark."""
    children, marked = {}, set()
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parent = int(_stat(folder.name)[1])
            if mark and f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                marked.add(int(folder.name))
        except OSError:
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found, open_ids = set(), [pid, *marked]
    while open_ids:
        one = open_ids.pop()
        if one not in found:
            found.add(one)
            open_ids += children.get(one, [])
    return found


def processor_s(pids):
    """Seconds of processor time, user and system, since they started."""
    total = 0
    for pid in pids:
        try:
            fields = _stat(pid)
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def memory_mib(pids):
    """Resident memory. A page that several processes share is counted once: its parts add up (PSS)."""
    total = 0
    for pid in pids:
        try:
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            continue
    return total / 1024


def busy_s():
    """Processor seconds that the whole machine has spent since it started, and those spent by children of ours."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    own = os.times()
    return (sum(fields[:8]) - fields[3] - fields[4]) / TICKS, own.children_user + own.children_system


def _stat(pid):
    """Fields of /proc/PID/stat from the state on; the name before it may hold anything."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
