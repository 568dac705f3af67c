//! Data sets and lineage, from a registered version to the initiative that earns with it.

use axum::http::StatusCode;
use greenlight_domain::role::Role;
use serde_json::{Value, json};

use crate::server::Server;

fn profile(digest: char) -> Value {
    json!({ "rows": 3, "digest": digest.to_string().repeat(64), "columns": [
        { "name": "at", "type": "Timestamp", "content": "time", "missing": 0, "distinct": 3, "spread":
            { "min": 0.0, "max": 86_400_000_000.0, "mean": 1.0, "standard_deviation": 1.0,
              "quantiles": [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0], "histogram": [3], "sampled": 3 } },
        { "name": "job", "type": "Utf8", "content": "text", "missing": 1, "distinct": 2,
          "top": [{ "value": "a", "count": 2 }] } ] })
}

async fn post(server: &Server, path: &str, token: &str, body: &Value) -> (StatusCode, Value) {
    let reply = server.send("POST", path, Some(token), body.to_string()).await;
    (reply.status, reply.json)
}

#[tokio::test]
async fn a_version_is_added_once_and_says_who_reads_it() {
    let server = Server::start().await;
    let token = server.token(Role::Scientist).await;
    let request = json!({ "source": "s3a://bucket/calls.parquet", "format": "parquet", "profile": profile('a'),
        "licence": "CC0-1.0", "time_column": "at" });
    let (status, added) = post(&server, "/v1/datasets/calls-raw/versions", &token, &request).await;
    assert_eq!(
        (status, &added["version"], &added["created"]),
        (StatusCode::OK, &json!(1), &json!(true)),
        "{added}"
    );
    assert_eq!(added["record"]["source"], "s3://bucket/calls.parquet");
    assert_eq!(added["record"]["time_range"], json!(["1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z"]));
    let (_, again) = post(&server, "/v1/datasets/calls-raw/versions", &token, &request).await;
    assert_eq!((&again["version"], &again["created"]), (&json!(1), &json!(false)));
    let other =
        json!({ "source": "s3://bucket/calls.parquet", "format": "parquet", "profile": profile('b') });
    let (_, second) = post(&server, "/v1/datasets/calls-raw/versions", &token, &other).await;
    assert_eq!(second["version"], 2);

    let start = json!({ "experiment_id": "0", "start_time": 1, "tags": [{ "key": "greenlight.initiative", "value": "calls" }] });
    let (_, run) = post(&server, "/api/2.0/mlflow/runs/create", &token, &start).await;
    let id = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let inputs = json!({ "run_id": id, "datasets": [{ "tags": [], "dataset": { "name": "frame", "digest": "12ab",
        "source_type": "s3", "source": "{\"uri\": \"s3://bucket/calls.parquet\"}" } }] });
    assert_eq!(post(&server, "/api/2.0/mlflow/runs/log-inputs", &token, &inputs).await.0, StatusCode::OK);
    let view = server.send("GET", "/v1/datasets/calls-raw", Some(&token), "").await.json;
    assert_eq!(view["versions"][0]["reuse"], json!([{ "initiative": "calls", "runs": 1, "endpoints": [] }]));
    let listed = server.send("GET", "/v1/datasets", Some(&token), "").await.json;
    let names: Vec<&str> = listed.as_array().unwrap().iter().filter_map(|row| row["name"].as_str()).collect();
    assert!(names.contains(&"calls-raw") && names.contains(&"frame"), "{names:?}");

    let graph = server.send("GET", &format!("/v1/lineage?node=run:{id}"), Some(&token), "").await.json;
    let nodes: Vec<&str> =
        graph["nodes"].as_array().unwrap().iter().filter_map(|n| n["id"].as_str()).collect();
    assert_eq!(nodes, ["dataset:calls-raw@2", &format!("run:{id}")]);
}

#[tokio::test]
async fn what_cannot_be_a_version_is_refused() {
    let server = Server::start().await;
    let token = server.token(Role::Scientist).await;
    let path = "/v1/datasets/x/versions";
    let source = "s3://b/x";
    for (request, word) in [
        (json!({ "format": "parquet" }), "sha256"),
        (json!({ "format": "xls", "source": source, "profile": profile('a') }), "format"),
        (json!({ "format": "parquet", "source": source }), "profile"),
        (json!({ "format": "parquet", "source": source, "profile": profile('z') }), "SHA-256"),
        (
            json!({ "format": "parquet", "source": source, "profile": profile('a'), "time_column": "job" }),
            "text",
        ),
        (
            json!({ "format": "parquet", "source": source, "profile": profile('a'), "time_column": "no" }),
            "none of",
        ),
        (json!({ "format": "parquet", "source": source, "profile": profile('a'), "run_id": "no" }), "no"),
        (
            json!({ "format": "parquet", "source": source, "profile": profile('a'), "initiative": "no" }),
            "initiative",
        ),
        (json!({ "format": "delta", "sha256": "0".repeat(64) }), "Delta"),
        (json!({ "format": "parquet", "sha256": "0".repeat(64) }), "upload"),
    ] {
        let (status, problem) = post(&server, path, &token, &request).await;
        assert!(status.is_client_error(), "{request} gave {status}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem} does not name {word}");
    }
    assert_eq!(server.send("GET", "/v1/datasets/x", Some(&token), "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_model_s_lineage_reaches_the_initiative() {
    let server = Server::start().await;
    let token = server.token(Role::Scientist).await;
    let (status, made) = post(&server, "/v1/trainings/honest/runs", &token, &json!({})).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    let release = json!({ "endpoint": "calls", "model": "honest@1" });
    assert_eq!(post(&server, "/v1/releases", &token, &release).await.0, StatusCode::OK);
    let graph = server.send("GET", "/v1/lineage?node=model:honest%401", Some(&token), "").await.json;
    let kinds: Vec<&str> =
        graph["nodes"].as_array().unwrap().iter().filter_map(|n| n["kind"].as_str()).collect();
    for kind in ["dataset", "run", "model", "release", "endpoint", "initiative"] {
        assert!(kinds.contains(&kind), "{kind} is missing in {graph}");
    }
    assert_eq!(graph["truncated"], false);
    let one_step =
        server.send("GET", "/v1/lineage?node=model:honest%401&depth=1", Some(&token), "").await.json;
    assert!(one_step["nodes"].as_array().unwrap().len() < kinds.len());
    assert_eq!(one_step["truncated"], true);
    for (node, status) in
        [("run:none", StatusCode::NOT_FOUND), ("nonsense", StatusCode::UNPROCESSABLE_ENTITY)]
    {
        let reply = server.send("GET", &format!("/v1/lineage?node={node}"), Some(&token), "").await;
        assert_eq!(reply.status, status);
    }
}

#[tokio::test]
async fn events_of_other_systems_come_in_and_ours_go_out() {
    let server = Server::start().await;
    let token = server.token(Role::Scientist).await;
    let event = json!({ "eventType": "COMPLETE", "eventTime": "2026-01-02T03:04:05.678Z", "producer": "https://airflow.invalid",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": { "runId": "3b452093-782c-4ef2-9c0c-aafe2aa6f34d", "facets": {} },
        "job": { "namespace": "airflow", "name": "daily.load", "facets": {} },
        "inputs": [{ "namespace": "postgres://db:5432", "name": "shop.public.orders", "facets": {} }],
        "outputs": [{ "namespace": "s3://bucket", "name": "calls.parquet" }] });
    assert_eq!(post(&server, "/api/v1/lineage", &token, &event).await.0, StatusCode::CREATED);
    let path = "/v1/lineage?node=place:postgres%3A%2F%2Fdb%3A5432%2Fshop.public.orders";
    let graph = server.send("GET", path, Some(&token), "").await.json;
    let nodes: Vec<&str> =
        graph["nodes"].as_array().unwrap().iter().filter_map(|n| n["id"].as_str()).collect();
    let expected = [
        "place:postgres://db:5432/shop.public.orders",
        "job:airflow:daily.load",
        "place:s3://bucket/calls.parquet",
    ];
    assert_eq!(nodes, expected);
    for bad in [json!({}), json!({ "eventTime": "yesterday", "job": { "namespace": "a", "name": "b" } })] {
        assert!(post(&server, "/api/v1/lineage", &token, &bad).await.0.is_client_error());
    }

    post(&server, "/v1/trainings/honest/runs", &token, &json!({})).await;
    let first = server.send("GET", "/v1/lineage/events", Some(&token), "").await.json;
    let events = first["events"].as_array().unwrap();
    assert!(!events.is_empty());
    let trained = events.iter().find(|e| e["outputs"].as_array().is_some_and(|o| !o.is_empty())).unwrap();
    assert_eq!(trained["eventType"], "COMPLETE");
    assert_eq!(trained["job"]["namespace"], "greenlight");
    let next = first["next"].as_str().unwrap();
    let rest = server.send("GET", &format!("/v1/lineage/events?after={next}"), Some(&token), "").await.json;
    assert_eq!((rest["events"].as_array().unwrap().len(), rest["next"].as_str().unwrap()), (0, next));
}
