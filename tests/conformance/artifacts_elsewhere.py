"""Artifacts in a bucket (moto's): what MLflow's client asks of the proxy, an upload that breaks off, what is collected."""

import contextlib
import hashlib
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.parse

import boto3
import requests
from check import check, finish, names
from moto.server import ThreadedMotoServer

GREENLIGHT = pathlib.Path(os.environ["CARGO_TARGET_DIR"]) / "debug/greenlight"
KEYS = {"AWS_ACCESS_KEY_ID": "conformance", "AWS_SECRET_ACCESS_KEY": "a secret", "AWS_REGION": "us-east-1"}
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
MIB = 1 << 20


@contextlib.contextmanager
def bucket():
    """An S3 server with an empty bucket; its client, and the variables that lead there."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        client = boto3.client(
            "s3",
            endpoint_url=address,
            region_name=KEYS["AWS_REGION"],
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_bucket(Bucket="artifacts")
        yield client, KEYS | {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"}
    finally:
        for key in objects(client):
            client.delete_object(Bucket="artifacts", Key=key)
        client.delete_bucket(Bucket="artifacts")
        server.stop()


def command(folder, *more):
    quick = ["--settle-every", "0", "--drain-seconds", "0"]
    return [GREENLIGHT, "--json", "serve", "--data", folder, "--listen", "127.0.0.1:0", *quick, *more]


class Server:
    """A server whose artifacts lie in the bucket, and an admin of it."""

    def __init__(self, s3, url, token):
        self.s3, self.url, self.token = s3, url, token
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {token}"

    def send(self, method, path, expect=200, **more):
        reply = self.http.request(method, self.url + path, timeout=60, **more)
        assert reply.status_code == expect, f"{method} {path}: {reply.status_code} {reply.text[:300]}"
        return reply

    def run(self):
        body = {"experiment_id": "0", "start_time": 1}
        made = self.send("POST", "/api/2.0/mlflow/runs/create", json=body).json()["run"]["info"]
        return made["run_id"], made["artifact_uri"].removeprefix("mlflow-artifacts:")


@contextlib.contextmanager
def running():
    with bucket() as (s3, there), tempfile.TemporaryDirectory(prefix="greenlight-bucket-") as folder:
        serve = subprocess.Popen(
            command(folder, "--artifacts", "s3://artifacts/some folder"),
            env=os.environ | there,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            line = serve.stdout.readline()
            assert line, "greenlight serve did not start"
            said = json.loads(line)
            yield Server(s3, said["url"], said["first_token"]["token"])
            assert not (pathlib.Path(folder) / "artifacts").exists(), "something lies on the disk"
        finally:
            serve.terminate()
            serve.wait(40)


def objects(s3):
    return [one["Key"] for one in s3.list_objects_v2(Bucket="artifacts").get("Contents", [])]


def uploads(s3):
    return s3.list_multipart_uploads(Bucket="artifacts").get("Uploads", [])


def until(what, ask):
    """Asks again until it is so, for half a minute."""
    for _ in range(300):
        if ask():
            return
        time.sleep(0.1)
    raise AssertionError(what)


@check("a file is logged, listed, read by ranges, downloaded and deleted, small and of many parts")
def _():
    large = bytes(range(256)) * (20 * MIB // 256) + b"end"
    with running() as server:
        run, root = server.run()
        for name, content in [("model/a b.txt", b"small"), ("large.bin", large), ("model/none", b"")]:
            server.send("PUT", f"{PROXY}{root}/{urllib.parse.quote(name)}", data=content)
            key = f"some folder/mlflow{root}/{name}"
            assert server.s3.get_object(Bucket="artifacts", Key=key)["Body"].read() == content, name
        assert not uploads(server.s3), "an upload was not completed"
        listed = server.send("GET", PROXY, params={"path": f"{root[1:]}/model"}).json()["files"]
        assert [(one["path"], one.get("file_size")) for one in listed] == [("a b.txt", 5), ("none", None)], listed
        top = server.send("GET", "/api/2.0/mlflow/artifacts/list", params={"run_id": run}).json()["files"]
        assert [(one["path"], one["is_dir"]) for one in top] == [("large.bin", False), ("model", True)], top
        assert server.send("GET", f"{PROXY}{root}/large.bin").content == large
        for text, expected in [("0-9", large[:10]), (f"{9 * MIB}-", large[9 * MIB :]), ("-3", b"end")]:
            reply = server.send("GET", f"{PROXY}{root}/large.bin", 206, headers={"Range": f"bytes={text}"})
            assert reply.content == expected, text
        server.send("GET", f"{PROXY}{root}/nothing", 404)
        names(server.send("GET", f"{PROXY}{root}/model", 400).text, "directory")
        server.send("DELETE", f"{PROXY}{root}/large.bin")
        server.send("DELETE", f"{PROXY}{root}/model")
        assert not objects(server.s3), objects(server.s3)


@check("an upload that breaks off leaves neither an object nor parts of one")
def _():
    with running() as server:
        _, root = server.run()
        address = urllib.parse.urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port)) as line:
            head = f"PUT {PROXY}{root}/broken HTTP/1.1\r\nHost: {address.netloc}\r\n"
            head += f"Authorization: Bearer {server.token}\r\nContent-Length: {60 * MIB}\r\n\r\n"
            line.sendall(head.encode() + bytes(20 * MIB))
            until("no part was sent on while the upload went on", lambda: uploads(server.s3))
        until("parts of the upload stay", lambda: not uploads(server.s3))
        assert not objects(server.s3), objects(server.s3)


@check("what lies by its digest lies in the bucket too, and what has another digest does not")
def _():
    content = bytes(9 * MIB)
    digest = hashlib.sha256(content).hexdigest()
    with running() as server:
        server.send("PUT", f"/v1/artifacts/{digest}", data=content)
        assert server.send("GET", f"/v1/artifacts/{digest}").json()["present"] is True
        assert objects(server.s3) == [f"some folder/sha256/{digest[:2]}/{digest}"], objects(server.s3)
        wrong = server.http.put(f"{server.url}/v1/artifacts/{'0' * 64}", data=content, timeout=60)
        assert 400 <= wrong.status_code < 500, wrong.text
        assert len(objects(server.s3)) == 1 and not uploads(server.s3)


@check("what was deleted is collected from the bucket, and the rest stays")
def _():
    with running() as server:
        (gone, gone_root), (_, root) = server.run(), server.run()
        for place in [gone_root, root]:
            server.send("PUT", f"{PROXY}{place}/deep/file", data=b"1")
        server.send("POST", "/api/2.0/mlflow/runs/delete", json={"run_id": gone})
        # What was deleted just now stays, whatever age is asked for.
        time.sleep(11)
        verb = [GREENLIGHT, "--json", "gc", "--older-than", "0h", "--yes"]
        verb += ["--url", server.url, "--token", server.token]
        done = subprocess.run(verb, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["runs"] == 1, done.stdout
        assert objects(server.s3) == [f"some folder/mlflow{root}/deep/file"], objects(server.s3)
        server.send("GET", f"/api/2.0/mlflow/runs/get?run_id={gone}", 404)


@check("a bucket that is not there is said when the server starts")
def _():
    with bucket() as (_, there), tempfile.TemporaryDirectory(prefix="greenlight-bucket-") as folder:
        more = ["--artifacts", "s3://no-such-bucket/a"]
        done = subprocess.run(
            command(folder, *more), env=os.environ | there, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 6, f"exit {done.returncode}: {done.stdout}{done.stderr}"
        names(done.stdout + done.stderr, "s3://no-such-bucket/a")


if __name__ == "__main__":
    finish("artifacts elsewhere")
