"""A client's ledger of acknowledged prediction ids against the Delta table, which is read without Greenlight.

An id in the ledger must be in the table exactly once. One in the table that no client knows is no loss: its answer was
cut off on the way.
"""

import pathlib

import numpy as np
from deltalake import DeltaTable

# Places of the hex digits of a UUID in its text form; the others are hyphens.
DIGITS = [place for place in range(36) if place not in (8, 13, 18, 23)]
VALUES = np.zeros(256, np.uint8)
for value, digit in enumerate(b"0123456789abcdef"):
    VALUES[digit] = value


def acknowledged(paths):
    """The ids of ledger files, 16 bytes each."""
    return np.concatenate([np.fromfile(path, np.uint8).reshape(-1, 16) for path in paths] or [np.zeros((0, 16), np.uint8)])


def of_texts(texts):
    """Ids as text, 36 letters each, as bytes."""
    letters = np.frombuffer("".join(texts).encode(), np.uint8).reshape(-1, 36)[:, DIGITS]
    nibbles = VALUES[letters]
    return nibbles[:, 0::2] << 4 | nibbles[:, 1::2]


def logged(table):
    """The ids of a Delta table of predictions."""
    found = []
    for batch in DeltaTable(str(table)).to_pyarrow_dataset().to_batches(columns=["id"]):
        if batch.num_rows:
            found.append(of_texts(batch.column("id").to_pylist()))
    return np.concatenate(found or [np.zeros((0, 16), np.uint8)])


def compare(paths, table):
    """What is missing and what is there twice."""
    mine, theirs = _keys(acknowledged(paths)), _keys(logged(table))
    theirs, counts = np.unique(theirs, return_counts=True)
    known, mine_counts = np.unique(mine, return_counts=True)
    present = np.isin(known, theirs, assume_unique=True)
    return {
        "acknowledged": int(known.size),
        "logged": int(counts.sum()),
        "missing": int((~present).sum()),
        "logged_twice": int((counts > 1).sum()),
        "acknowledged_twice": int((mine_counts > 1).sum()),
        "logged_and_unknown": int((~np.isin(theirs, known, assume_unique=True)).sum()),
    }


def fine(told):
    return not (told["missing"] or told["logged_twice"] or told["acknowledged_twice"])


def _keys(ids):
    """Ids as something that sorts fast and exactly."""
    return np.ascontiguousarray(ids).view("V16").ravel().view("S16") if ids.size else np.zeros(0, "S16")


def tables(data, endpoint="bench"):
    return pathlib.Path(data) / "lake" / endpoint / "predictions"
