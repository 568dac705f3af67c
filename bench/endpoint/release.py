"""Brings the peers' LightGBM model behind an endpoint, through every gate. Usage: release.py GREENLIGHT MODEL WORK

Leaves a data folder in WORK/data, tokens in WORK/token (an operator's), WORK/scientist and WORK/approver, and three bodies of one row:
named.json (a tensor a column), matrix.json (one tensor of all features) and split.json (MLflow's dataframe_split).
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.request

FEATURES = 20
program, model, work = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
names = [f"Column_{i}" for i in range(FEATURES)]


def command(*arguments, token=None):
    environment = os.environ | {"GREENLIGHT_URL": url} | ({"GREENLIGHT_TOKEN": token} if token else {})
    ran = subprocess.run([program, *arguments, "--json"], env=environment, capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(f"greenlight {' '.join(arguments)}: {(ran.stdout + ran.stderr).strip()}")
    return json.loads(ran.stdout)


def infer(body, token):
    request = urllib.request.Request(f"{url}/v2/models/bench/infer", data=json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request) as response:
        return json.load(response)


manifests = work / "manifests"
manifests.mkdir(parents=True)
template = pathlib.Path(__file__).with_name("manifests.yaml").read_text()
features = "\n    ".join(f"{name}: {{ type: number, known: before }}" for name in names)
(manifests / "bench.yaml").write_text(template.replace("FEATURES", features))
shutil.copy(model / "history.parquet", manifests)

row = json.loads((model / "tensor.json").read_text())["inputs"][0]["data"]
unit = {"name": "unit", "shape": [1], "datatype": "BYTES", "data": ["customer-42"]}
column = lambda name, value: {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
# All features at once come in the order of the endpoint's metadata, which is that of their names.
ordered = [value for _, value in sorted(zip(names, row))]
matrix = {"name": "features", "shape": [1, FEATURES], "datatype": "FP64", "data": ordered}
bodies = {
    "named": {"inputs": [unit, *map(column, names, row)]},
    "matrix": {"inputs": [unit, matrix]},
    "split": {"dataframe_split": {"columns": ["unit", *names], "data": [["customer-42", *row]]}},
}
for name, body in bodies.items():
    (work / f"{name}.json").write_text(json.dumps(body))

server = subprocess.Popen(
    [program, "serve", "--json", "--listen", "127.0.0.1:0", "--settle-every", "0", "--data", work / "data"],
    stdout=subprocess.PIPE,
)
try:
    started = json.loads(server.stdout.readline())
    url, admin = started["url"], started["first_token"]["token"]
    issue = lambda name, role: command("token", "issue", "--name", name, "--role", role, token=admin)["token"]
    scientist, approver, operator = issue("sue", "scientist"), issue("ann", "approver"), issue("otto", "operator")
    command("apply", "--file", str(manifests), token=scientist)
    file = str(model / "model.txt")
    command("model", "register", "bench", file, "--dataset", "history@1", "--trained-until", "2024-11-01", token=scientist)
    release = command("release", "submit", "--endpoint", "bench", "--model", "bench@1", token=scientist)["id"]
    command("release", "shadow", release, token=scientist)
    for _ in range(50):
        infer(bodies["named"], operator)
    command("release", "judge", release, token=scientist)
    command("release", "approve", release, token=approver)
    command("release", "rollout", release, token=operator)
    expected = json.loads((model / "answer.json").read_text())
    outputs = {output["name"]: output["data"][0] for output in infer(bodies["matrix"], operator)["outputs"]}
    if outputs["variant"] != "champion" or abs(outputs["probability"] - expected) > 1e-6:
        sys.exit(f"expected the champion to say {expected}, got {outputs}")
    (work / "token").write_text(operator)
    (work / "scientist").write_text(scientist)
    (work / "approver").write_text(approver)
finally:
    server.terminate()
    server.wait()
