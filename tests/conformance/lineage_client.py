"""OpenLineage's client, unmodified: what a job elsewhere read and wrote is part of the lineage here."""

import http.client
import json
import os
import urllib.parse
import uuid

import endpoint
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport

from check import check, finish

TOKEN = os.environ.get("GREENLIGHT_SCIENTIST_TOKEN", endpoint.TOKEN)
SESSION = uuid.uuid4().hex[:8]
SOURCE = {"namespace": "postgres://db:5432", "name": f"shop.public.orders_{SESSION}"}
TARGET = {"namespace": "s3://lake", "name": f"orders_{SESSION}.parquet"}


def get(path):
    address = urllib.parse.urlsplit(endpoint.URL)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, f"{path}: {response.status} {body!r}"
    return json.loads(body)


def client():
    token = ApiKeyTokenProvider({"apiKey": TOKEN})
    return OpenLineageClient(transport=HttpTransport(HttpConfig(url=endpoint.URL, auth=token)))


@check("a job's start and end, with what it read and wrote")
def _():
    run = Run(runId=str(uuid.uuid4()))
    job = Job(namespace="airflow", name=f"daily.{SESSION}")
    sides = {"inputs": [InputDataset(**SOURCE)], "outputs": [OutputDataset(**TARGET)]}
    for state, time in [(RunState.START, "2026-01-02T03:04:05Z"), (RunState.COMPLETE, "2026-01-02T03:05:06.789+00:00")]:
        client().emit(
            RunEvent(eventType=state, eventTime=time, run=run, job=job, producer="https://airflow.invalid", **sides)
        )
    node = urllib.parse.quote(f"job:airflow:daily.{SESSION}", safe="")
    graph = get(f"/v1/lineage?node={node}")
    found = {node["id"]: node["steps"] for node in graph["nodes"]}
    assert found == {
        f"place:postgres://db:5432/shop.public.orders_{SESSION}": -1,
        f"job:airflow:daily.{SESSION}": 0,
        f"place:s3://lake/orders_{SESSION}.parquet": 1,
    }, found


@check("what runs here did goes out as events of the same shape")
def _():
    answer = get("/v1/lineage/events?limit=5")
    assert answer["events"], "no run has ended"
    for event in answer["events"]:
        # The client's own types refuse what the specification does not allow.
        RunEvent(
            eventType=RunState[event["eventType"]],
            eventTime=event["eventTime"],
            run=Run(**event["run"]),
            job=Job(**event["job"]),
            producer=event["producer"],
            inputs=[InputDataset(**dataset) for dataset in event["inputs"]],
            outputs=[OutputDataset(**dataset) for dataset in event["outputs"]],
        )
    assert get(f"/v1/lineage/events?after={urllib.parse.quote(answer['next'])}")["events"] != answer["events"]


finish("openlineage-python")
