"""`greenlight score` reads what lies elsewhere: objects of an S3 server (moto's) and of a plain web server."""

import contextlib
import csv
import functools
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

import boto3
import endpoint
import pyarrow.csv
import pyarrow.parquet
from check import check, finish
from moto.server import ThreadedMotoServer

GREENLIGHT = pathlib.Path(os.environ["CARGO_TARGET_DIR"]) / "debug/greenlight"
ROWS = 3_000
KEYS = {"AWS_ACCESS_KEY_ID": "conformance", "AWS_SECRET_ACCESS_KEY": "a secret", "AWS_REGION": "us-east-1"}

folder = pathlib.Path(tempfile.mkdtemp(prefix="greenlight-elsewhere-"))
unit = endpoint.inputs()[0][0]


def score(source, output, *more, expect=0, **variables):
    """The table of results, or what a refusal says."""
    command = [GREENLIGHT, "--json", "score", "--endpoint", endpoint.NAME, "--input", source, "--output", output]
    command += ["--keep", unit, "--url", endpoint.URL, "--token", endpoint.TOKEN, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | variables)
    assert done.returncode == expect, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    if expect:
        return done.stderr + done.stdout
    assert json.loads(done.stdout)["rows"] == ROWS, done.stdout
    return pyarrow.parquet.read_table(output) if str(output).endswith(".parquet") else None


@functools.cache
def local():
    """The rows as CSV, Parquet and Delta on this machine, and what they score."""
    made = endpoint.columns(100)
    with open(folder / "rows.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(made)
        for row in range(ROWS):
            values = [made[name][row % 100] for name in made]
            writer.writerow([f"unit-{row}", *values[1:]])
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(folder / "rows.csv"), folder / "rows.parquet")
    # Every column is kept, so that the results can be scored again.
    features = ",".join(name for name in made if name != unit)
    score(folder / "rows.parquet", folder / "table", "--keep", features, "--batch-rows", "700")
    return score(folder / "rows.parquet", folder / "local.parquet")


@contextlib.contextmanager
def bucket():
    """An S3 server with all of it in a bucket; the variables that lead there."""
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
        client.create_bucket(Bucket="rows")
        for path in folder.rglob("*"):
            if path.is_file():
                client.upload_file(path, "rows", f"some folder/{path.relative_to(folder)}")
        yield KEYS | {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"}
    finally:
        server.stop()


@check("Parquet, CSV and a Delta table in a bucket score as they do on disk")
def _():
    expected = local()
    with bucket() as there:
        for name in ["rows.parquet", "rows.csv", "table"]:
            found = score(f"s3://rows/some folder/{name}", folder / "found.parquet", "--force", **there)
            key = [(unit, "ascending")]
            assert found.sort_by(key).equals(expected.sort_by(key)), name


@check("what is not in the bucket is refused by name, and so is a bucket without a key")
def _():
    local()
    with bucket() as there:
        said = score("s3://rows/nothing.parquet", folder / "no.parquet", expect=1, **there)
        assert "nothing.parquet" in said, said
        said = score("s3://rows/no-table", folder / "no.parquet", expect=1, **there)
        assert "s3://rows/no-table" in said, said
    assert not (folder / "no.parquet").exists()


@check("a file from a web server scores as it does on disk, and a signature is never shown")
def _():
    expected = local()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{web.server_port}"
        assert score(f"{address}/rows.csv", folder / "found.parquet", "--force").equals(expected)
        said = score(f"{address}/none.csv?signature=secret", folder / "no.parquet", expect=1)
        assert "none.csv" in said and "secret" not in said, said
    finally:
        web.shutdown()


if __name__ == "__main__":
    try:
        finish("score elsewhere")
    finally:
        shutil.rmtree(folder)
