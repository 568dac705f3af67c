"""A Greenlight server under test: started on a free port over a data folder, asked over HTTP, stopped by process id."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request


class Server:
    def __init__(self, program, data, log, token=None, settle_every=0, environment=None):
        self.log = log
        self.process = subprocess.Popen(
            [program, "serve", "--json", "--listen", "127.0.0.1:0", "--settle-every", str(settle_every), "--data", data],
            stdout=subprocess.PIPE,
            stderr=open(log, "a"),
            env=os.environ | (environment or {}),
        )
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: greenlight serve did not start\n{pathlib.Path(log).read_text()[-2000:]}")
        started = json.loads(line)
        self.url = started["url"]
        # A data folder that is new gives its first administrator.
        self.token = token or started["first_token"]["token"]
        self.address = self.url.removeprefix("http://")

    def ask(self, path, body=None, method=None, timeout=30):
        """Status, headers and JSON (or text) of an answer; refusals are answers too."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method or ("POST" if data else "GET"))
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", "application/json")
        try:
            answer = urllib.request.urlopen(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            text = answer.read().decode()
        with contextlib.suppress(json.JSONDecodeError):
            text = json.loads(text)
        return answer.status, answer.headers, text

    def load(self, program, body, **options):
        """The command of the load client for the endpoint `bench`."""
        command = [program, "--to", self.address, "--path", "/v2/models/bench/infer", "--token", self.token]
        for name, value in (options | {"body": body}).items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        return command

    def memory_mib(self):
        """Resident memory."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self, timeout=30):
        """Ends it as an operator does. True when it went by itself."""
        self.process.terminate()
        try:
            self.process.wait(timeout)
            return True
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False


@contextlib.contextmanager
def running(program, data, log, token=None, settle_every=0, environment=None):
    server = Server(program, data, log, token, settle_every, environment)
    try:
        yield server
    finally:
        server.stop()


def run_load(command):
    """What the load client tells at its end."""
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(f"error: the load client failed: {(ran.stdout + ran.stderr).strip()[-500:]}")
    return json.loads(ran.stdout.splitlines()[-1])


def wait_until(what, limit_s, ready, pause_s=0.5):
    """Seconds until `ready` says so; ends the program when it does not in time."""
    began = time.monotonic()
    while not ready():
        if time.monotonic() - began > limit_s:
            sys.exit(f"FAIL: {what} within {limit_s} s")
        time.sleep(pause_s)
    return time.monotonic() - began


def environment_of(work):
    """The data folder, the token and the body of one row that bench/endpoint/release.py left."""
    work = pathlib.Path(work)
    return work / "data", (work / "token").read_text(), work / "matrix.json"
