"""The same requests to `mlflow server` and to Greenlight: status, error_code and what the answers hold have to be equal.

Words of refusals are counted, not compared. Where Greenlight differs on purpose, DELIBERATE says why, and each of its rows
has to be seen.
"""

import os
import sys

import requests

import endpoint
import parity
from check import check, finish
from parity import LONG, Ask, Difference, Side, get, group, mlflow_server, post, read, searches, varied

TOKEN = os.environ.get("GREENLIGHT_SCIENTIST_TOKEN", endpoint.TOKEN)

CRASH = r"500"
REFUSED = r"400 INVALID_PARAMETER_VALUE"

# Records of docs/decisions by their number.
DELIBERATE = [
    Difference(
        "0018: where MLflow crashes on a value of the wrong type, it is refused by name", r".", rf"^{CRASH}", rf"^{REFUSED}"
    ),
    Difference("0019: a null is a field that was left out; MLflow crashes on some", r"null", rf"^{CRASH}", r"^200"),
    Difference(
        "0019: a field of the wrong type is refused by name, also where MLflow runs what it could read",
        r".",
        r"^200",
        rf"^{REFUSED}",
        r"Invalid value .* supplied: .*Value was of type",
    ),
    Difference(
        "0018: where MLflow hands out its database's complaint, what is wrong is said",
        r".",
        r"^400 BAD_REQUEST",
        r"^(400 INVALID_PARAMETER_VALUE|400 RESOURCE_ALREADY_EXISTS|404 RESOURCE_DOES_NOT_EXIST)",
    ),
    Difference("0018: page tokens are not MLflow's, and no client reads them", r"eyJvZmZz", r"^200", rf"^{REFUSED}"),
    Difference(
        "MLflow over SQLite stores what its own columns are too short for; with PostgreSQL it would fail",
        r".",
        r"^200",
        rf"^{REFUSED}",
        r"exceeds the maximum length",
    ),
    Difference("0019: the infinities stay infinite", r"get-history", r"value = -?1\.797", r'value = "-?Infinity"'),
    Difference("a route or method that is not served says so", r".", r"^40[45]$", r"^501 NOT_IMPLEMENTED"),
    Difference(
        "0019: artifact paths are decoded until they no longer change; MLflow takes these as odd names",
        r"artifacts(/|/list.*path=)(\.\.%5cx|a%00b|/etc/x)",
        r"^200",
        rf"^{REFUSED}",
    ),
    Difference("an artifact path of dots is a name; MLflow crashes", r"artifacts/\.\.\.\.//x", r"^500", r"^200"),
    Difference("a single text is read as a list of one", r'"(experiment_ids|order_by|stages)": "', rf"^{REFUSED}", r"^200"),
    Difference("a run without an experiment goes into Default", r"^POST runs/create", r"^400 BAD_REQUEST", r"^200"),
    Difference(
        "a tag has a key and a value",
        r"(set-experiment-tag|runs/create|runs/log-inputs|logged-models/.*tags)",
        r"^200",
        rf"^{REFUSED}",
    ),
    Difference(
        "what came with a tag without a key is not there",
        r"(\"dataset\.name = 'calls'\"|search-datasets)",
        r"dataset_(inputs|summaries)",
        r"dataset_(inputs|summaries)",
    ),
    Difference("a page has a row at least", r'max_results(": |=)(0|-1)', r"^200", rf"^{REFUSED}"),
    Difference(
        "a name that is too long is refused before it is looked for", r".", r"^404", rf"^{REFUSED}", r"exceeds the maximum length"
    ),
    Difference("a version counts up from 1", r'version(": "|=)-1', r"^404", rf"^{REFUSED}"),
    Difference(
        "filters: spaces are no filter, a metric has a name, a list has commas",
        r"runs/search.*(\"filter\": \"   \"|metrics\. > 1|run_id IN \()",
        r"^(200|400)",
        r"^(200|400)",
    ),
    Difference("what is not there is said as JSON", r"logged-models/\.\.%2fx", r"^404$", r"^404 RESOURCE_DOES_NOT_EXIST"),
    Difference("who ran it is what its tag mlflow.user says, or whose token it was", r"user_id", r"runs", r"runs"),
]


# --- The requests ----------------------------------------------------------------------------------------------------


@group("experiments: create, get, rename, tag, delete, restore")
def _():
    yield post("experiments/create", {"E": "experiment_id"}, name="one $S", tags=[{"key": "team", "value": "risk"}])
    yield post("experiments/create", {"E2": "experiment_id"}, name="two $S", artifact_location="s3://bucket/two")
    yield post("experiments/create", {"ED": "experiment_id"}, name="gone $S")
    yield post("experiments/create", name="one $S")
    yield post("experiments/create", name="place $S", artifact_location="s3://bucket/a#b")
    yield post("experiments/create", name="place $S", artifact_location="mlflow-artifacts:/a/../b")
    yield post("experiments/create", name="x" * 501)
    yield post("experiments/create", name="tags $S", tags=[{"key": "", "value": "x"}])
    yield from varied("POST", "experiments/create", {"name": "varied $S"}, bodies=False, bad=[None, "", 7, [], {}])
    yield from read("experiments/get", "experiment_id=$E")
    yield from read("experiments/get-by-name", "experiment_name=one%20$S")
    for query in ("", "?experiment_id=zz", "?experiment_id=999999", "?experiment_id=", "?experiment_id=-1", "?zz=1"):
        yield get(f"experiments/get{query}")
    for query in ("", "?experiment_name=none", "?experiment_name="):
        yield get(f"experiments/get-by-name{query}")
    yield from varied("POST", "experiments/set-experiment-tag", {"experiment_id": "$E", "key": "k", "value": "v"})
    yield post("experiments/set-experiment-tag", experiment_id="$E", key="long", value="v" * 5_000)
    yield post("experiments/set-experiment-tag", experiment_id="$E", key="long", value="v" * 5_001)
    yield post("experiments/delete-experiment-tag", experiment_id="$E", key="k")
    yield post("experiments/delete-experiment-tag", experiment_id="$E", key="k")
    yield post("experiments/update", experiment_id="$E2", new_name="second $S")
    yield post("experiments/update", experiment_id="$E2", new_name="one $S")
    yield from varied("POST", "experiments/update", {"experiment_id": "$E2", "new_name": "second $S"}, bad=[None, "", 7, LONG, [], {}])
    yield get("experiments/get?experiment_id=$E2")
    yield post("experiments/delete", experiment_id="$ED")
    yield get("experiments/get?experiment_id=$ED")
    yield get("experiments/get-by-name?experiment_name=gone%20$S")
    yield post("experiments/create", name="gone $S")
    yield post("experiments/delete", experiment_id="$ED")
    yield post("experiments/update", experiment_id="$ED", new_name="no $S")
    yield post("experiments/set-experiment-tag", experiment_id="$ED", key="k", value="v")
    yield post("experiments/restore", experiment_id="$E")
    yield post("experiments/restore", experiment_id="$ED")
    yield post("experiments/delete", experiment_id="$ED")
    for rpc in ("delete", "restore"):
        yield from varied("POST", f"experiments/{rpc}", {"experiment_id": "999999"})


@group("search of experiments: filters, orders, pages, limits")
def _():
    path, mine = "experiments/search", {"filter": "name LIKE '% $S'"}
    yield from searches(
        path,
        {"max_results": 50},
        "filter",
        ["name = 'one $S'", "name LIKE '% $S'", "name ILIKE 'ONE $S'", "name != 'one $S' AND name LIKE '% $S'"]
        + ["tags.team = 'risk' AND name LIKE '% $S'", "tags.`team` ILIKE 'R%' AND name LIKE '%$S'", "tag.team = 'risk' and name = 'one $S'"]
        + ["attribute.name = 'one $S'", "creation_time > 0 AND name = 'one $S'", "last_update_time < 5 AND name LIKE '% $S'", "name = 'nobody'"]
        + ["x", "name", "name =", "name = one", "name > 'a'", "params.p = 'x'", "name = 'a' OR name = 'b'", "creation_time = 'x'"]
        + ["creation_time LIKE '1'", "tags.t = 1", "experiment_id = '$E'", "name IN ('one $S')", "'one' = name", ";", "name = 'x' AND"],
    )
    for order in (["name"], ["name ASC"], ["name DESC"], ["experiment_id ASC"], ["creation_time", "name DESC"], ["last_update_time"]):
        yield post(path, **mine, max_results=50, order_by=order)
    for order in (["nope"], ["name UP"], ["tags.team"], [""], ["name ASC DESC"], ["name, name"], [7], "name"):
        yield post(path, **mine, max_results=50, order_by=order)
    yield post(path, {"PAGE": "next_page_token"}, **mine, max_results=1)
    yield post(path, **mine, max_results=1, page_token="$PAGE")
    for limit in (0, -1, 1, "1", 50_000, 50_001, 1.5, True, "x"):
        yield post(path, **mine, max_results=limit)
    for token in ("x", "!!", "", 7, None):
        yield post(path, **mine, max_results=1, page_token=token)
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", "NONE", "", 1, None):
        yield post(path, **mine, max_results=50, view_type=view, order_by=["name"])
    yield from varied("POST", path, {"max_results": 5, "filter": "name = 'one $S'"}, bodies=False)
    yield get("experiments/search?max_results=5&filter=name%20%3D%20'one%20$S'")
    yield get("experiments/search?max_results=x")


@group("runs: create, get, update, delete, restore")
def _():
    made = {"R": "run.info.run_id"}
    tags = [{"key": "team", "value": "risk"}, {"key": "mlflow.user", "value": "ada"}]
    yield post("runs/create", made, experiment_id="$E", start_time=1_000, run_name="first", user_id="ada", tags=tags)
    yield post("runs/create", {"R2": "run.info.run_id"}, experiment_id="$E", start_time="2000", run_name="second", tags=[])
    yield post("runs/create", {"RD": "run.info.run_id"}, experiment_id="$E", start_time=3_000, run_name="third")
    yield post("runs/create", experiment_id="$E2", run_name="fourth")
    yield post("runs/create", experiment_id="$E2", run_name="a", tags=[{"key": "mlflow.runName", "value": "b"}])
    yield post("runs/create", experiment_id="$E2", run_name="a", tags=[{"key": "mlflow.runName", "value": "a"}])
    yield post("runs/create", experiment_id="$E2", tags=[{"key": "mlflow.runName", "value": "tagged"}])
    yield post("runs/create", experiment_id="$E2", run_name="x", tags=[{"key": "k" * 251, "value": "b"}])
    yield post("runs/create", experiment_id="$E2", run_name="x", tags=[{"key": "", "value": "b"}])
    yield post("runs/create", experiment_id="$E2", run_name="x", tags=[{"value": "b"}])
    yield post("runs/create", experiment_id="$ED", run_name="x")
    yield from varied("POST", "runs/create", {"experiment_id": "$E2", "start_time": 5, "run_name": "v", "tags": []}, bad=[None, "", 7, [], {}, "zz"])
    yield from read("runs/get", "run_id=$R")
    for query in ("", "?run_id=q", "?run_id=", "?run_uuid=$R", "?run_id=../x", f"?run_id={'0' * 32}", "?run_id=$R&zz=1"):
        yield get(f"runs/get{query}")
    yield from varied("POST", "runs/update", {"run_id": "$R2", "status": "FINISHED", "end_time": 5_000, "run_name": "second"}, bad=[None, "", 7, [], {}, "../x"])
    for status in ("RUNNING", "SCHEDULED", "FAILED", "KILLED", "FINISHED", "finished", "DONE", 3, 9):
        yield post("runs/update", run_id="$R2", status=status, end_time="6000")
    yield get("runs/get?run_id=$R2")
    yield post("runs/delete", run_id="$RD")
    yield post("runs/delete", run_id="$RD")
    yield get("runs/get?run_id=$RD")
    yield post("runs/update", run_id="$RD", status="FINISHED", end_time=5)
    yield post("runs/set-tag", run_id="$RD", key="k", value="v")
    yield post("runs/delete-tag", run_id="$RD", key="k")
    yield post("runs/log-metric", run_id="$RD", key="k", value=1, timestamp=1)
    yield post("runs/log-parameter", run_id="$RD", key="k", value="v")
    yield post("runs/log-batch", run_id="$RD", metrics=[], params=[], tags=[{"key": "k", "value": "v"}])
    yield post("runs/restore", run_id="$R")
    yield post("runs/restore", run_id="$RD")
    yield post("runs/delete", run_id="$RD")
    for rpc in ("delete", "restore"):
        yield from varied("POST", f"runs/{rpc}", {"run_id": "0" * 32})


NAMES = ["a b", "a/b", "a.b-c_d:e", "/a", "a/", "../a", "a//b", "./a", ".", "..", "ä", "a\tb", "k" * 250, "k" * 251, "a:b", "a;b", "a\\b"]


@group("metrics: keys, values, NaN, the infinities, int64 as text")
def _():
    point = {"run_id": "$R", "key": "k", "value": 1.5, "timestamp": 1, "step": 0}
    yield from varied("POST", "runs/log-metric", point)
    for key in NAMES:
        yield post("runs/log-metric", **point | {"key": key})
    values = ("NaN", "Infinity", "-Infinity", "1.5", "abc", True, 1e308, -0.0, 10**30, "1e5", " 1")
    yield post("runs/create", {"RV": "run.info.run_id"}, experiment_id="$E2", run_name="values")
    for place, value in enumerate(values):
        odd = {"run_id": "$RV", "key": f"value {place}", "value": value, "timestamp": "1", "step": "2"}
        yield post("runs/log-metric", **odd)
        if value is not True:
            yield get(f"metrics/get-history?run_id=$RV&metric_key=value%20{place}")
    for number in ("5", "-5", 1.0, 2**63 - 1, str(2**63 - 1), -1):
        yield post("runs/log-metric", **point | {"key": "step", "step": number})
        yield post("runs/log-metric", **point | {"key": "time", "timestamp": number})
    for number in (1.5, "1.0", True, "x", 2**63):
        yield post("runs/log-metric", **point | {"run_id": "$RV", "step": number})
        yield post("runs/log-metric", **point | {"run_id": "$RV", "timestamp": number})
    yield post("runs/log-metric", run_uuid="$R", key="uuid", value=1, timestamp=1)
    yield post("runs/log-metric", **point | {"dataset_name": "calls", "dataset_digest": "abc"})
    yield post("runs/log-metric", **point | {"model_id": "m-0123"})
    for key in ("k", "step", "time", "none", "a/b"):
        yield from read("metrics/get-history", f"run_id=$R&metric_key={key}")
    for query in ("", "?run_id=$R", "?metric_key=k", "?run_id=q&metric_key=k", "?run_id=$R&metric_key=", "?run_id=$R&metric_key=k&max_results=x"):
        yield get(f"metrics/get-history{query}")
    for limit in (0, -1, 1, 2, 25_000, 25_001):
        yield get(f"metrics/get-history?run_id=$R&metric_key=step&max_results={limit}")
    yield get("metrics/get-history?run_id=$R&metric_key=k&page_token=x&max_results=1")
    bulk = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
    for query in ("run_id=$R&run_id=$R2&metric_key=k", "metric_key=k", "run_id=$R", "run_id=q&metric_key=k"):
        yield get(f"{bulk}?{query}")
        yield get(f"{bulk}-interval?{query.replace('run_id', 'run_ids')}&max_results=2")
    for more in ("start_step=0&end_step=5", "start_step=5&end_step=0", "start_step=1", "max_results=0", "max_results=2501"):
        yield get(f"{bulk}-interval?run_ids=$R&metric_key=step&{more}")
    yield get("runs/get?run_id=$R")


@group("parameters and tags: keys, lengths, what never changes")
def _():
    for rpc in ("log-parameter", "set-tag"):
        yield from varied("POST", f"runs/{rpc}", {"run_id": "$R", "key": f"of {rpc}", "value": "1"})
        for key in NAMES:
            yield post(f"runs/{rpc}", run_id="$R", key=key, value="1")
        for length in (500, 501, 6_000, 6_001, 8_000, 8_001):
            yield post(f"runs/{rpc}", run_id="$R", key=f"length {length}", value="v" * length)
        yield post(f"runs/{rpc}", run_id="$R", key="again", value="1")
        yield post(f"runs/{rpc}", run_id="$R", key="again", value="1")
        yield post(f"runs/{rpc}", run_id="$R", key="again", value="2")
        yield post(f"runs/{rpc}", run_uuid="$R", key="uuid", value="1")
        yield post(f"runs/{rpc}", run_id="$R", key="empty", value="")
    yield post("runs/set-tag", run_id="$R", key="mlflow.runName", value="renamed")
    yield post("runs/set-tag", run_id="$R", key="mlflow.user", value="bob")
    yield from varied("POST", "runs/delete-tag", {"run_id": "$R", "key": "nobody"})
    yield post("runs/delete-tag", run_id="$R", key="again")
    yield get("runs/get?run_id=$R")


@group("log-batch: limits, repeats, all or nothing")
def _():
    metric = lambda count: [{"key": "batch", "value": n, "timestamp": n, "step": n} for n in range(count)]
    texts = lambda kind, count: [{"key": f"{kind}{n}", "value": str(n)} for n in range(count)]
    run = {"run_id": "$R2"}
    yield from varied("POST", "runs/log-batch", run | {"metrics": [], "params": [], "tags": []})
    for count in (1, 1_000, 1_001):
        yield post("runs/log-batch", **run, metrics=metric(count))
    for count in (1, 100, 101):
        yield post("runs/log-batch", **run, params=texts("p", count))
        yield post("runs/log-batch", **run, tags=texts("t", count))
    yield post("runs/log-batch", **run, metrics=metric(900), params=texts("p", 51), tags=texts("t", 50))
    yield post("runs/log-batch", **run, params=[{"key": "twice", "value": "1"}, {"key": "twice", "value": "1"}])
    yield post("runs/log-batch", **run, params=[{"key": "twice", "value": "1"}, {"key": "twice", "value": "2"}])
    yield post("runs/log-batch", **run, params=[{"key": "p1", "value": "other"}])
    yield post("runs/log-batch", **run, tags=[{"key": "t1", "value": "a"}, {"key": "t1", "value": "b"}])
    for key in NAMES:
        yield post("runs/log-batch", **run, metrics=[{"key": key, "value": 1, "timestamp": 1, "step": 0}])
        yield post("runs/log-batch", **run, params=[{"key": key, "value": "1"}], tags=[{"key": key, "value": "1"}])
    yield post("runs/create", {"RW": "run.info.run_id"}, experiment_id="$E2", run_name="wrong")
    bad = {"run_id": "$RW"}
    for wrong in ({"key": "k"}, {"value": 1}, {"key": "k", "value": 1}, {"key": "k", "value": "x", "timestamp": 1, "step": 0}, 7, "x", None):
        yield post("runs/log-batch", **bad, metrics=[wrong])
        yield post("runs/log-batch", **bad, params=[wrong])
        yield post("runs/log-batch", **bad, tags=[wrong])
    for step, value in enumerate(("NaN", "Infinity", "-Infinity", "2.5")):
        yield post("runs/log-batch", **bad, metrics=[{"key": "odd", "value": value, "timestamp": "7", "step": str(step)}])
    yield get("metrics/get-history?run_id=$RW&metric_key=odd")
    yield get("runs/get?run_id=$R2")


@group("search of runs: filters, orders, pages, limits")
def _():
    path, mine = "runs/search", {"experiment_ids": ["$E"]}
    good = ["metrics.k > 0", "metrics.batch >= 999", "metrics.`k` != 3", "params.p1 = '1'", "params.p1 LIKE '1%'", "params.p1 ILIKE '1'"]
    good += ["tags.team = 'risk'", "tags.`team` != 'x'", "tag.team LIKE 'r%'", "attributes.status = 'FINISHED'", "status != 'FINISHED'"]
    good += ["attributes.run_name = 'second'", "run_name LIKE 's%'", "run_id IN ('$R', '$R2')", "attributes.run_id NOT IN ('$R')"]
    good += ["start_time > 1500", "attributes.end_time <= 6000", "user_id = 'ada'", "metrics.k > 0 AND tags.team = 'risk'", "", "   "]
    good += ["attr.status = 'RUNNING'", "run.run_name = 'first'", "`Run name` = 'second'", "attributes.artifact_uri = 'x'", 'tags."team" = "risk"']
    good += ["tags.team IS NULL", "params.p1 IS NOT NULL", "dataset.name = 'calls'", "datasets.digest LIKE 'a%'", "dataset.context = 'train'"]
    bad = ["x", "metrics.k >", "foo.bar = 1", "metrics.k = 'a'", "params.p1 = 1", "tags.t = 'a' OR 1=1", "attributes.status IN ('FINISHED')"]
    bad += ["metrics.k LIKE '1'", "params.p1 > '1'", "attributes.nope = 'x'", "start_time = 'x'", "metrics. > 1", "tags = 'x'", "metrics.k > 1 AND"]
    bad += ["AND metrics.k > 1", "metrics.k > 1; DROP TABLE runs", "(metrics.k > 1)", "NOT metrics.k > 1", "metrics.k > 0x1", "run_id IN ()"]
    bad += ["run_id IN ('$R' '$R2')", "params.p1 IN ('1')", "dataset.nope = 'x'", "metrics.k IS NULL", "lifecycle_stage = 'x'", "tags.t = x", "'"]
    yield from searches(path, mine | {"order_by": ["attributes.run_name"]}, "filter", good + bad)
    for order in ("metrics.k", "metrics.k DESC", "params.p1 ASC", "tags.team DESC", "start_time", "attributes.start_time DESC", "status ASC"):
        yield post(path, **mine, order_by=[order])
    for order in ("run_name", "end_time DESC", "`Run name`", "metrics.`k` ASC", "user_id"):
        yield post(path, **mine, order_by=[order])
    for order in ("nope", "metrics.k UP", "", "metrics", "foo.bar", "metrics.k ASC, params.p1", "tags.team ASC DESC", "lifecycle_stage"):
        yield post(path, **mine, order_by=[order])
    yield post(path, **mine, order_by=["metrics.k DESC", "run_name"])
    yield post(path, {"PAGE": "next_page_token"}, **mine, max_results=1)
    yield post(path, **mine, max_results=1, page_token="$PAGE")
    for limit in (0, -1, 1, "2", 50_000, 50_001, 1.5, True, "x"):
        yield post(path, **mine, max_results=limit)
    for token in ("x", "!!", "", 7, None, "eyJvZmZzZXQiOiAxfQ=="):
        yield Ask("POST", path, mine | {"max_results": 1, "page_token": token}, bodies=token != "eyJvZmZzZXQiOiAxfQ==")
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", "NONE", "", 1, None):
        yield post(path, **mine, run_view_type=view)
    for ids in ([], ["$E", "$E"], ["999999"], ["zz"], ["$ED"], "$E", [7], None):
        yield post(path, experiment_ids=ids, filter="metrics.k > 0")
    yield from varied("POST", path, mine | {"filter": "metrics.k > 0", "max_results": 5, "order_by": ["metrics.k DESC"]}, bodies=False)


@group("data sets and models that a run read and made")
def _():
    data = {"name": "calls", "digest": "abc", "source_type": "http", "source": "{}", "schema": "{}", "profile": "{}"}
    logged = lambda more, tags=(): {"datasets": [{"dataset": data | more, "tags": list(tags)}]}
    context = {"key": "mlflow.data.context", "value": "train"}
    yield post("runs/log-inputs", run_id="$R", **logged({}, [context]))
    yield post("runs/log-inputs", run_id="$R", **logged({}, [context]))
    yield post("runs/log-inputs", run_id="$R", **logged({"digest": "def"}))
    for key in data:
        for value in (None, "", 7, LONG, [], "x" * 501):
            yield post("runs/log-inputs", run_id="$R2", **logged({key: value}))
    for tag in ({"key": "k"}, {"value": "v"}, {"key": "", "value": "v"}, {"key": "k" * 256, "value": "v"}, {"key": "k", "value": "v" * 501}):
        yield post("runs/log-inputs", run_id="$R2", **logged({}, [tag]))
    yield from varied("POST", "runs/log-inputs", {"run_id": "$R2", "datasets": []})
    yield post("runs/log-inputs", run_id="$RD", **logged({}))
    yield get("runs/get?run_id=$R")
    for text in ("dataset.name = 'calls'", "dataset.digest = 'def'", "dataset.context = 'train'", "datasets.name ILIKE 'CA%' AND dataset.context = 'train'"):
        yield post("runs/search", experiment_ids=["$E"], filter=text)
    sets = "/ajax-api/2.0/mlflow/experiments/search-datasets"
    for ids in (["$E"], [], ["999999"], "$E", None):
        yield post(sets, experiment_ids=ids)


@group("logged models: create, finish, tags, parameters, search, delete")
def _():
    made = {"M": "model.info.model_id"}
    yield post("logged-models", made, experiment_id="$E", name="model", source_run_id="$R", params=[{"key": "p", "value": "1"}], tags=[{"key": "t", "value": "1"}])
    yield post("logged-models", {"M2": "model.info.model_id"}, experiment_id="$E", name="other", model_type="agent")
    yield post("logged-models", {"M3": "model.info.model_id"}, experiment_id="$E2", name="scored")
    yield from varied("POST", "logged-models", {"experiment_id": "$E2", "name": "v", "model_type": "x", "tags": [], "params": []}, bad=[None, "", 7, [], {}, "a/b"])
    for name in ("a/b", "a:b", "a.b", "a%b", "a'b", 'a"b', "x" * 500, "ä b"):
        yield post("logged-models", experiment_id="$E2", name=name)
    yield post("logged-models", experiment_id="$ED", name="x")
    yield post("logged-models", experiment_id="999999", name="x")
    yield from read("logged-models/$M", "")
    for id in ("m-none", "..%2fx", "%00", "m-none/tags/x"):
        yield get(f"logged-models/{id}")
    for status in ("LOGGED_MODEL_READY", "READY", "LOGGED_MODEL_PENDING", "LOGGED_MODEL_UPLOAD_FAILED", "nope", "", 1, None, "LOGGED_MODEL_READY"):
        yield Ask("PATCH", "logged-models/$M", {"status": status})
    yield Ask("PATCH", "logged-models/$M", {})
    yield Ask("PATCH", "logged-models/m-none", {"status": "LOGGED_MODEL_READY"})
    for tags in ([{"key": "a", "value": "b"}], [], [{"key": "a"}], [{"value": "b"}], None, 7, [{"key": "k" * 251, "value": "b"}], [{"key": "a/../b", "value": "b"}]):
        yield Ask("PATCH", "logged-models/$M3/tags", {"tags": tags})
        yield Ask("POST", "logged-models/$M3/params", {"params": tags})
    yield Ask("DELETE", "logged-models/$M3/tags/a")
    yield Ask("DELETE", "logged-models/$M3/tags/a")
    yield Ask("DELETE", "logged-models/m-none/tags/a")
    yield post("runs/outputs", run_id="$R", models=[{"model_id": "$M", "step": 3}])
    yield post("runs/outputs", run_id="$R", models=[{"model_id": "m-none", "step": "3"}])
    yield post("runs/log-inputs", run_id="$R2", datasets=[], models=[{"model_id": "$M"}])
    yield from varied("POST", "runs/outputs", {"run_id": "$R2", "models": []})
    yield post("runs/log-metric", run_id="$R", key="loss", value=0.25, timestamp=1, step=0, model_id="$M")
    yield post("runs/log-metric", run_id="$R", key="loss", value=0.5, timestamp=1, step=0, model_id="$M3", dataset_name="calls", dataset_digest="abc")
    yield get("logged-models/$M")
    path, mine = "logged-models/search", {"experiment_ids": ["$E"]}
    good = ["name = 'model'", "attributes.name LIKE 'm%'", "params.p = '1'", "tags.t = '1'", "metrics.loss < 0.5", "model_id = '$M'", "source_run_id = '$R'"]
    good += ["model_type = 'agent'", "creation_timestamp > 0", "metrics.loss < 0.5 AND params.p = '1'", "name IN ('model')", ""]
    bad = ["x", "name >", "foo.bar = 1", "metrics.loss = 'a'", "params.p = 1", "name = 'a' OR name = 'b'", "nope = 'x'", "metrics.loss LIKE '1'"]
    yield from searches(path, mine | {"order_by": [{"field_name": "name"}]}, "filter", good + bad)
    scored = {"field_name": "metrics.loss", "dataset_name": "calls"}
    orders = [{"field_name": name} for name in ("metrics.loss", "creation_timestamp", "nope", "")]
    orders += [{"field_name": "name", "ascending": False}, scored, scored | {"dataset_digest": "abc"}, {}, 7, "name"]
    for order in orders:
        yield post(path, **mine, order_by=[order])
    for datasets in ([{"dataset_name": "calls"}], [{"dataset_name": "calls", "dataset_digest": "abc"}], [{"dataset_digest": "abc"}], [{}], None):
        yield post(path, **mine, datasets=datasets, filter="metrics.loss < 0.6")
    for limit in (0, -1, 1, "1", 50, 51, "x"):
        yield post(path, **mine, max_results=limit, order_by=[{"field_name": "name"}])
    for token in ("x", "", 7):
        yield post(path, **mine, max_results=1, page_token=token)
    for ids in ([], ["999999"], ["zz"], "$E", None):
        yield post(path, experiment_ids=ids)
    yield Ask("DELETE", "logged-models/$M2")
    yield Ask("DELETE", "logged-models/$M2")
    yield get("logged-models/$M2")
    yield Ask("PATCH", "logged-models/$M2/tags", {"tags": [{"key": "a", "value": "b"}]})
    yield Ask("DELETE", "logged-models/m-none")


@group("registered models: create, get, rename, tag, search, delete")
def _():
    yield post("registered-models/create", name="m $S", description="first", tags=[{"key": "team", "value": "risk"}])
    yield post("registered-models/create", name="other $S")
    yield post("registered-models/create", name="m $S")
    for name in ("", " ", "a/b", "a:b", "a.b $S", "ä $S", "x" * 247 + " $S", "x" * 257, ".", ".."):
        yield post("registered-models/create", name=name)
    yield from varied("POST", "registered-models/create", {"name": "v $S", "description": "d", "tags": []}, bad=[None, [], {}])
    yield post("registered-models/create", name="tags $S", tags=[{"key": "k" * 251, "value": "v"}])
    yield from read("registered-models/get", "name=m%20$S")
    for query in ("", "?name=q", "?name=", "?zz=1", "?name=a/b"):
        yield get(f"registered-models/get{query}")
    yield from varied("POST", "registered-models/set-tag", {"name": "m $S", "key": "t", "value": "1"})
    yield post("registered-models/set-tag", name="m $S", key="long", value="v" * 5_001)
    yield Ask("DELETE", "registered-models/delete-tag", {"name": "m $S", "key": "t"})
    yield from varied("DELETE", "registered-models/delete-tag", {"name": "m $S", "key": "t"})
    yield from varied("PATCH", "registered-models/update", {"name": "m $S", "description": "second"})
    yield post("registered-models/rename", name="other $S", new_name="third $S")
    yield post("registered-models/rename", name="third $S", new_name="m $S")
    yield from varied("POST", "registered-models/rename", {"name": "third $S", "new_name": "third $S"}, bad=[None, [], {}, "a/b"])
    yield post("registered-models/rename", name="none $S", new_name="no $S")
    path, mine = "registered-models/search", "filter=name%20LIKE%20'%25%20$S'"
    for more in ("", "&order_by=name%20DESC", "&order_by=last_updated_timestamp&order_by=name", "&order_by=nope", "&order_by=name%20UP", "&max_results=1", "&max_results=0", "&max_results=-1", "&max_results=1001", "&max_results=x", "&page_token=x", "&page_token="):
        yield get(f"{path}?{mine}{more}")
    for text in ("name = 'm $S'", "name ILIKE 'M $S'", "tags.team = 'risk' and name = 'm $S'", "name = 'm $S' AND tags.`team` != 'x'", "zz", "name > 'a'", "run_id = 'x'", "name = 'a' OR name = 'b'", "tags.team = 1", "name =", "name IN ('m $S')", "version_number = 1", ";"):
        yield get(f"{path}?filter={requests.utils.quote(text, safe='$')}")
    yield Ask("DELETE", "registered-models/delete", {"name": "third $S"})
    yield from varied("DELETE", "registered-models/delete", {"name": "third $S"})
    yield get("registered-models/get?name=third%20$S")


@group("model versions: create, get, tag, stages, latest, search")
def _():
    for source in ("s3://bucket/m", "s3://bucket/n", "mlflow-artifacts:/x"):
        yield post("model-versions/create", name="m $S", source=source, tags=[{"key": "t", "value": "1"}], description="d")
    yield post("model-versions/create", name="m $S", source="models:/$M", run_id="$R", model_id="$M")
    for source in ("", "x", "/etc", "file:///etc", "models:/nope/1", "models:/m-none", "runs:/$R/x", "s3://b/../c", "http://host/x", "mlflow-artifacts:/../x", "../x", "mlflow-artifacts://h/%2e%2e/x", "dbfs:/x"):
        yield post("model-versions/create", name="m $S", source=source, run_id="$R")
    yield from varied("POST", "model-versions/create", {"name": "none $S", "source": "s3://bucket/m", "run_id": "$R"}, bad=[None, "", 7, [], {}])
    yield post("model-versions/create", name="m $S", source="s3://bucket/m", run_id="q")
    yield from read("model-versions/get", "name=m%20$S&version=1")
    for query in ("", "?name=m%20$S", "?version=1", "?name=m%20$S&version=99", "?name=m%20$S&version=x", "?name=m%20$S&version=0", "?name=m%20$S&version=-1", "?name=m%20$S&version=", "?name=q&version=1", "?name=m%20$S&version=1.0", "?name=m%20$S&version=latest"):
        yield get(f"model-versions/get{query}")
        yield get(f"model-versions/get-download-uri{query}")
    yield from varied("PATCH", "model-versions/update", {"name": "m $S", "version": "1", "description": "second"})
    yield from varied("POST", "model-versions/set-tag", {"name": "m $S", "version": "1", "key": "t", "value": "1"})
    yield from varied("DELETE", "model-versions/delete-tag", {"name": "m $S", "version": "1", "key": "t"})
    stage = {"name": "m $S", "version": "1", "stage": "Staging", "archive_existing_versions": False}
    yield from varied("POST", "model-versions/transition-stage", stage)
    for name in ("Production", "production", "STAGING", "None", "Archived", "nope", "Production"):
        yield post("model-versions/transition-stage", **stage | {"stage": name})
    yield post("model-versions/transition-stage", name="m $S", version="2", stage="Production", archive_existing_versions=True)
    yield post("model-versions/transition-stage", name="m $S", version="1", stage="Archived", archive_existing_versions=True)
    for stages in (None, [], ["Production"], ["None", "Staging"], ["nope"], "Production", ["production"]):
        yield post("registered-models/get-latest-versions", name="m $S", stages=stages)
    yield from varied("POST", "registered-models/get-latest-versions", {"name": "m $S"})
    yield get("registered-models/get-latest-versions?name=m%20$S")
    path, mine = "model-versions/search", "filter=name%20%3D%20'm%20$S'"
    for more in ("", "&order_by=version_number%20ASC", "&order_by=name&order_by=version_number%20DESC", "&order_by=creation_timestamp", "&order_by=nope", "&order_by=version_number%20UP", "&max_results=1", "&max_results=0", "&max_results=-1", "&max_results=200001", "&max_results=x", "&page_token=x"):
        yield get(f"{path}?{mine}{more}")
    for text in ("run_id = '$R'", "name = 'm $S' AND version_number > 1", "name='m $S' and tags.t = '1'", "source_path = 's3://bucket/n'", "run_id IN ('$R')", "zz", "version_number LIKE '1'", "name = 1", "run_id IN ()", "name = 'a' OR name = 'b'", "current_stage = 'Production'", "version = '1'", "user_id = 'x'", "name ILIKE 'M $S'"):
        yield Ask("GET", f"{path}?filter={requests.utils.quote(text, safe='$')}")


@group("aliases: names, versions, deletion")
def _():
    alias = {"name": "m $S", "alias": "champion", "version": "1"}
    yield from varied("POST", "registered-models/alias", alias)
    for name in ("latest", "LATEST", "v1", "V22", "a b", "A-1", "a/b", "a:b", "ä", "1", "a" * 255, "a" * 256, "vx", "."):
        yield post("registered-models/alias", **alias | {"alias": name})
    for version in ("2", 2, "99", "x", 0, "-1", "1.0", ""):
        yield post("registered-models/alias", **alias | {"version": version})
    yield from read("registered-models/alias", "name=m%20$S&alias=champion")
    for query in ("", "?name=m%20$S", "?alias=champion", "?name=m%20$S&alias=none", "?name=q&alias=champion", "?name=m%20$S&alias="):
        yield get(f"registered-models/alias{query}")
    yield get("registered-models/get?name=m%20$S")
    yield get("model-versions/get?name=m%20$S&version=1")
    yield from varied("DELETE", "registered-models/alias", {"name": "m $S", "alias": "champion"})
    yield Ask("DELETE", "registered-models/alias", {"name": "m $S", "alias": "champion"})
    yield get("registered-models/alias?name=m%20$S&alias=champion")
    yield from varied("DELETE", "model-versions/delete", {"name": "m $S", "version": "99"})
    yield Ask("DELETE", "model-versions/delete", {"name": "m $S", "version": "2"})
    yield get("model-versions/get?name=m%20$S&version=2")
    yield post("registered-models/alias", **alias | {"version": "2"})
    yield post("model-versions/set-tag", name="m $S", version="2", key="k", value="v")
    yield post("model-versions/transition-stage", name="m $S", version="2", stage="Staging", archive_existing_versions=False)
    yield post("model-versions/create", name="m $S", source="s3://bucket/again")


@group("artifacts: lists, and paths that would leave the folder")
def _():
    for query in ("run_id=$R", "run_id=$R&path=model", "run_id=$R&path=../..", "run_id=q", "", "run_id=$R&path=/etc", "run_id=$R&path=a%00b", "run_id=$R&path=%252e%252e"):
        yield get(f"artifacts/list?{query}")
    root = "/api/2.0/mlflow-artifacts/artifacts/"
    for path in ("parity/$S/a.txt", "parity/$S/ä.txt", "../x", "%2e%2e/x", "%252e%252e/x", "..%5cx", "/etc/x", "%2fetc%2fx", "a%00b", "C:%5cx", "a/../../x", "a/%2e%2e%2f%2e%2e/x", "....//x", "a//b", "."):
        yield Ask("PUT", root + path, "hi")
    for path in ("parity/$S/a.txt", "parity/$S/none", "../x", "%2e%2e/x", "%252e%252e/x", "%2fetc%2fpasswd", "a/%2e%2e%2f%2e%2e/x"):
        yield Ask("GET", root + path)
    for path in ("parity/$S", "parity/$S/none", "..", "%2e%2e", "%252e%252e", "/etc"):
        yield get(f"{root[:-1]}?path={path}")
    for path in ("parity/$S/a.txt", "parity/$S/a.txt", "../x", "%2e%2e/x", "/etc/x"):
        yield Ask("DELETE", root + path)


@group("requests that are none: methods, routes, bodies")
def _():
    for body in ("", "x", "[]", "7", '"x"', "null", "{", '{"name": 1e999}', "{}{}", "\ufeff{}"):
        for path in ("runs/log-metric", "runs/search", "experiments/create"):
            yield Ask("POST", path, body, bodies=False)
    for method, path in (("GET", "runs/create"), ("PUT", "runs/create"), ("DELETE", "runs/log-metric"), ("POST", "runs/get"), ("PATCH", "runs/update"), ("GET", "nope"), ("GET", "/api/3.0/mlflow/runs/get?run_id=$R")):
        yield Ask(method, path)
    yield get("runs/get?run_id=$R&run_id=$R2")
    yield get("runs/get/?run_id=$R")


@group("a registered model with versions and aliases is deleted whole")
def _():
    yield post("registered-models/alias", name="m $S", alias="last", version="1")
    yield Ask("DELETE", "registered-models/delete", {"name": "m $S"})
    yield get("registered-models/get?name=m%20$S")
    yield get("model-versions/get?name=m%20$S&version=1")
    yield get("registered-models/alias?name=m%20$S&alias=last")


@check("more than 400 requests were sent to each, and every deliberate difference was seen")
def _():
    words = f"{parity.counted['same words']} of {parity.counted['refused alike']} refusals have the same words"
    print(f"{parity.counted['requests']} requests to each; {words}", file=sys.stderr)
    for known in DELIBERATE:
        print(f"deliberate, {known.seen} times: {known.reason}", file=sys.stderr)
    assert parity.counted["requests"] > 400, parity.counted
    unseen = [known.reason for known in DELIBERATE if not known.seen]
    assert not unseen, f"no longer seen, so take it out of DELIBERATE: {unseen}"


if __name__ == "__main__":
    with mlflow_server() as address:
        parity.deliberate += DELIBERATE
        parity.sides |= {"greenlight": Side(endpoint.URL, TOKEN), "mlflow": Side(address)}
        finish("mlflow parity")
