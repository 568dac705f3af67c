"""The list of checks of one program, and how each ends: ok, or FAIL with its reason.

@check("the server is live")
def _():
    assert client.is_server_live()

if __name__ == "__main__":
    finish("tritonclient http")
"""

import json
import sys
import traceback

_checks = []


def check(name):
    """Adds a function to the list under a name that reads as a fact."""

    def add(function):
        _checks.append((name, function))
        return function

    return add


def same(got, wanted, what="answer"):
    """Both are equal; NaN equals NaN."""
    got, wanted = list(got), list(wanted)
    equal = len(got) == len(wanted) and all(a == b or (a != a and b != b) for a, b in zip(got, wanted))
    assert equal, f"{what}: expected {_short(wanted)}, got {_short(got)}"


def names(message, *words):
    """A message tells the reader which thing it is about."""
    for word in words:
        assert word in message, f"the message does not name '{word}': {_short(message)}"


def finish(program):
    """Runs all checks and prints a line each, or a line of JSON each with --json. Ends the process."""
    failed = 0
    for name, function in _checks:
        reason = _run(function)
        failed += reason is not None
        if "--json" in sys.argv[1:]:
            line = {"client": program, "check": name, "ok": reason is None}
            if reason is not None:
                line["reason"] = reason
            print(json.dumps(line), flush=True)
        else:
            print(
                f"{'ok  ' if reason is None else 'FAIL'} {program}: {name}{f': {reason}' if reason else ''}", flush=True
            )
    sys.exit(1 if failed else 0)


def _run(function):
    try:
        function()
    except AssertionError as error:
        return _short(error) if str(error) else f"assertion failed in line {_line(error)}"
    except Exception as error:  # noqa: BLE001 - whatever a client raises is a failed check
        return f"{type(error).__name__}: {_short(error)} (line {_line(error)})"
    return None


def _line(error):
    """The last line in the check itself, not in what it calls."""
    frames = traceback.extract_tb(error.__traceback__)
    # The first frame is _run, the second is the check.
    return [frame for frame in frames if frame.filename == frames[1].filename][-1].lineno


def _short(value):
    text = " ".join(str(value).split())
    return text if len(text) <= 300 else text[:297] + "..."
