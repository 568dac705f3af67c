"""A Greenlight server for the time of a run: one lap of the demo in a temporary folder, then `greenlight serve`."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent.parent
ENDPOINT = "term-deposit-calls"


@contextlib.contextmanager
def running():
    """Gives the variables that name it. Ends it by its process id."""
    greenlight = pathlib.Path(os.environ["CARGO_TARGET_DIR"]) / "debug/greenlight"
    if not greenlight.exists():
        sys.exit("error: greenlight is not built\n hint: cargo build -p greenlight, or set GREENLIGHT_URL")
    with tempfile.TemporaryDirectory(prefix="greenlight-conformance-") as folder:
        data = pathlib.Path(folder) / "data"
        common = ["--json", "--listen", "127.0.0.1:0", "--data", data]
        print("==> one lap of the demo, so that there is something to ask", file=sys.stderr)
        lap = subprocess.run(
            [greenlight, "demo", "--exit", *common], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        if lap.returncode:
            sys.exit(f"error: the demo failed\n{(lap.stdout + lap.stderr).decode()[-2000:]}")
        tokens = json.loads(lap.stdout)["tokens"]
        with open(pathlib.Path(folder) / "log", "w+") as log:
            serve = subprocess.Popen(
                [greenlight, "serve", "--settle-every", "0", "--private-webhooks", *common],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            try:
                line = serve.stdout.readline()
                if not line:
                    log.seek(0)
                    sys.exit(f"error: greenlight serve did not start\n{log.read()[-2000:]}")
                yield {
                    "GREENLIGHT_URL": json.loads(line)["url"],
                    "GREENLIGHT_TOKEN": tokens["operator"],
                    "GREENLIGHT_READER_TOKEN": tokens["viewer"],
                    "GREENLIGHT_SCIENTIST_TOKEN": tokens["scientist"],
                    "GREENLIGHT_APPROVER_TOKEN": tokens["approver"],
                    "ENDPOINT": ENDPOINT,
                }
            finally:
                serve.terminate()
                try:
                    serve.wait(20)
                except subprocess.TimeoutExpired:
                    serve.kill()
                    serve.wait()
