//! MLflow's interface: what a client that is not MLflow's own would meet.

mod artifact;
mod logged;
mod registry;
mod webhook;

use axum::http::StatusCode;
use greenlight_domain::role::Role;
use serde_json::{Value, json};

use crate::server::{Reply, Server};

struct Client {
    server: Server,
    token: String,
}

impl Client {
    async fn start() -> Self {
        let server = Server::start().await;
        let token = server.token(Role::Scientist).await;
        Self { server, token }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Reply {
        let path = format!("/api/2.0/mlflow/{path}");
        self.server.send(method, &path, Some(&self.token), body.to_string()).await
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, body).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.server.send("GET", &format!("/ajax-api/2.0/mlflow/{path}"), Some(&self.token), "").await
    }

    async fn run(&self) -> String {
        let made = self.post("runs/create", json!({ "experiment_id": "0", "start_time": 5 })).await;
        made.json["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    }
}

fn refused(reply: &Reply, status: StatusCode, code: &str) -> String {
    assert_eq!((reply.status, reply.json["error_code"].as_str()), (status, Some(code)), "{}", reply.text);
    reply.json["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_run_is_begun_logged_to_and_read() {
    let client = Client::start().await;
    let id = client.run().await;
    let batch = json!({
        "run_id": id,
        "metrics": [{ "key": "auc", "value": 0.5, "timestamp": 7, "step": 1 },
                    { "key": "auc", "value": "NaN", "timestamp": "8", "step": "2" }],
        "params": [{ "key": "depth", "value": "3" }, { "key": "empty" }],
        "tags": [{ "key": "mlflow.runName", "value": "renamed" }],
        "unknown": true
    });
    let logged = client.post("runs/log-batch", batch).await;
    assert_eq!((logged.status, &logged.json), (StatusCode::OK, &json!({})), "{}", logged.text);
    let found = client.get(&format!("runs/get?run_id={id}")).await.json;
    let (info, data) = (&found["run"]["info"], &found["run"]["data"]);
    assert_eq!(info["start_time"], json!(5), "int64 is a JSON number");
    assert_eq!((&info["experiment_id"], &info["run_name"]), (&json!("0"), &json!("renamed")));
    assert_eq!(info["artifact_uri"], json!(format!("mlflow-artifacts:/0/{id}/artifacts")));
    assert!(info.get("end_time").is_none());
    assert_eq!(data["metrics"], json!([{ "key": "auc", "value": "NaN", "timestamp": 8, "step": 2 }]));
    assert_eq!(data["params"], json!([{ "key": "depth", "value": "3" }, { "key": "empty", "value": "" }]));
    let page =
        client.get(&format!("metrics/get-history?run_uuid={id}&metric_key=auc&max_results=1")).await.json;
    assert_eq!(page["metrics"].as_array().unwrap().len(), 1);
    let token = page["next_page_token"].as_str().unwrap();
    let path = format!("metrics/get-history?run_id={id}&metric_key=auc&max_results=1&page_token={token}");
    let rest = client.get(&path).await.json;
    assert_eq!((&rest["metrics"][0]["value"], rest.get("next_page_token")), (&json!("NaN"), None));
}

#[tokio::test]
async fn a_batch_is_logged_whole_or_not_at_all() {
    let client = Client::start().await;
    let id = client.run().await;
    client.post("runs/log-parameter", json!({ "run_id": id, "key": "depth", "value": "3" })).await;
    let batch = json!({
        "run_id": id,
        "metrics": [{ "key": "auc", "value": 1, "timestamp": 1 }],
        "params": [{ "key": "depth", "value": "4" }],
        "tags": [{ "key": "t", "value": "1" }]
    });
    let message = refused(
        &client.post("runs/log-batch", batch).await,
        StatusCode::BAD_REQUEST,
        "INVALID_PARAMETER_VALUE",
    );
    assert!(message.contains("'depth'"), "{message}");
    let found = client.get(&format!("runs/get?run_id={id}")).await.json;
    assert!(found["run"]["data"].get("metrics").is_none(), "{found}");
}

/// Codes and messages of mlflow 3.17.2.
#[tokio::test]
async fn wrong_calls_get_mlflows_codes() {
    let client = Client::start().await;
    let id = client.run().await;
    let bad = StatusCode::BAD_REQUEST;
    let invalid = "INVALID_PARAMETER_VALUE";
    let message =
        refused(&client.post("runs/log-metric", json!({ "run_id": id, "value": 1 })).await, bad, invalid);
    assert!(message.starts_with("Missing value for required parameter 'key'."), "{message}");
    let message = refused(&client.post("experiments/create", json!({ "name": 5 })).await, bad, invalid);
    assert!(
        message.starts_with("Invalid value 5 for parameter 'name' supplied:  Hint: Value was of type 'int'.")
    );
    for (path, body) in [
        ("runs/log-metric", json!({ "run_id": id, "key": "../a", "value": 1, "timestamp": 1 })),
        ("runs/log-batch", json!({ "run_id": id, "tags": vec![json!({ "key": "t", "value": "1" }); 101] })),
        ("runs/search", json!({ "experiment_ids": ["x"] })),
        ("runs/search", json!({ "experiment_ids": ["0"], "max_results": 0 })),
        ("runs/search", json!({ "experiment_ids": ["0"], "filter": "metrics.m = 'x'" })),
        ("runs/search", json!({ "experiment_ids": ["0"], "page_token": "!" })),
    ] {
        refused(&client.post(path, body).await, bad, invalid);
    }
    let none = "0".repeat(32);
    let missing = client.get(&format!("runs/get?run_id={none}")).await;
    refused(&missing, StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST");
    let twice = client.post("experiments/create", json!({ "name": "Default" })).await;
    refused(&twice, bad, "RESOURCE_ALREADY_EXISTS");
    let other = client.post("traces/search", json!({})).await;
    let message = refused(&other, StatusCode::NOT_IMPLEMENTED, "NOT_IMPLEMENTED");
    assert!(message.contains("traces/search"), "{message}");
}
