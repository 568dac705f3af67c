//! Runs, logged models and versions that keep their ids, numbers and dates; what was made here is never written over.

use axum::http::StatusCode;
use greenlight_domain::role::Role;
use serde_json::{Value, json};

use crate::server::Server;

const RUN: &str = "0123456789abcdef0123456789abcdef";

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

    async fn ask(&self, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let reply = self.server.send(method, path, Some(&self.token), body.to_string()).await;
        (reply.status, reply.json)
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask("POST", path, body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    async fn refused(&self, path: &str, body: &Value, status: StatusCode, words: &str) {
        let (got, answer) = self.ask("POST", path, body).await;
        let detail = answer["detail"].as_str().unwrap_or_default();
        assert!(got == status && detail.contains(words), "{path}: {got} {answer}");
    }
}

fn run() -> Value {
    json!({ "id": RUN, "experiment_id": 0, "name": "there", "user": "ann", "start_ms": 1_000, "source": "http://there" })
}

#[tokio::test]
async fn a_run_keeps_its_id_and_has_arrived_when_it_says_so() {
    let client = Client::start().await;
    let mut wire = run();
    let begun = client.post("/v1/imports/runs", &wire).await;
    let uri = format!("mlflow-artifacts:/0/{RUN}/artifacts");
    assert_eq!(begun, json!({ "artifact_uri": uri, "created": true }));
    let ids = json!({ "runs": [RUN, "none"] });
    let known = client.post("/v1/imports/known", &ids).await;
    let state = json!({ "digest": null, "is_imported": true, "is_deleted": false });
    assert_eq!(known, json!({ "runs": { RUN: state }, "logged_models": {} }));

    wire["arrived"] = json!({ "status": "FAILED", "end_ms": 2_000, "digest": "abc" });
    assert_eq!(client.post("/v1/imports/runs", &wire).await["created"], false);
    let known = client.post("/v1/imports/known", &ids).await;
    assert_eq!(known["runs"][RUN]["digest"], "abc");
    let (_, found) = client.ask("GET", &format!("/api/2.0/mlflow/runs/get?run_id={RUN}"), &json!({})).await;
    let info = &found["run"]["info"];
    let seen =
        ["run_name", "user_id", "status", "start_time", "end_time"].map(|field| info[field].to_string());
    assert_eq!(seen, ["\"there\"", "\"ann\"", "\"FAILED\"", "1000", "2000"]);

    wire["arrived"]["status"] = json!("WON");
    client.refused("/v1/imports/runs", &wire, StatusCode::UNPROCESSABLE_ENTITY, "WON").await;
    client.post("/api/2.0/mlflow/runs/delete", &json!({ "run_id": RUN })).await;
    client.refused("/v1/imports/runs", &run(), StatusCode::CONFLICT, "deleted here").await;
}

#[tokio::test]
async fn what_was_made_here_is_not_written_over() {
    let client = Client::start().await;
    let start = json!({ "experiment_id": "0", "start_time": 1 });
    let made = client.post("/api/2.0/mlflow/runs/create", &start).await;
    let mut wire = run();
    wire["id"] = made["run"]["info"]["run_id"].clone();
    client.refused("/v1/imports/runs", &wire, StatusCode::CONFLICT, "was not imported").await;
    for (field, value, words) in [
        ("id", json!("../etc"), "run_id"),
        ("experiment_id", json!(99), "99"),
        ("source", json!(""), "from which server"),
        ("name", json!("x".repeat(9_000)), "name"),
    ] {
        let mut wire = run();
        wire[field] = value;
        let (status, answer) = client.ask("POST", "/v1/imports/runs", &wire).await;
        assert!(status.is_client_error() && answer.to_string().contains(words), "{field}: {answer}");
    }
    let ids = json!({ "runs": vec![RUN; 1_001] });
    client.refused("/v1/imports/known", &ids, StatusCode::UNPROCESSABLE_ENTITY, "at most 1000").await;
}

#[tokio::test]
async fn a_logged_model_is_completed_call_by_call() {
    let client = Client::start().await;
    let mut wire = json!({ "id": "m-1", "experiment_id": 0, "name": "model", "source_run_id": RUN, "user": "ann",
        "created_ms": 5, "updated_ms": 7, "status": "LOGGED_MODEL_PENDING", "source": "http://there",
        "params": [["depth", "3"]], "tags": [["a", "b"]],
        "metrics": [{ "key": "auc", "value": "NaN", "at_ms": 1, "run_id": RUN }] });
    assert_eq!(client.post("/v1/imports/logged-models", &wire).await["created"], true);
    wire["status"] = json!("LOGGED_MODEL_READY");
    wire["digest"] = json!("abc");
    assert_eq!(client.post("/v1/imports/logged-models", &wire).await["created"], false);
    let (_, found) = client.ask("GET", "/api/2.0/mlflow/logged-models/m-1", &json!({})).await;
    let (info, data) = (&found["model"]["info"], &found["model"]["data"]);
    assert_eq!((&info["status"], &info["creation_timestamp_ms"]), (&json!("LOGGED_MODEL_READY"), &json!(5)));
    assert_eq!(data["params"], json!([{ "key": "depth", "value": "3" }]));
    assert_eq!(data["metrics"].as_array().unwrap().len(), 1, "{data}");
    for (field, value) in [
        ("status", json!("DONE")),
        ("name", json!("a/b")),
        ("metrics", json!([{ "key": "auc", "value": "much", "at_ms": 1, "run_id": RUN }])),
    ] {
        let mut wire = wire.clone();
        wire[field] = value;
        let (status, answer) = client.ask("POST", "/v1/imports/logged-models", &wire).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{field}: {answer}");
    }
}

#[tokio::test]
async fn a_version_keeps_its_number_and_the_next_one_counts_on() {
    let client = Client::start().await;
    client.post("/v1/imports/runs", &run()).await;
    client.post("/api/2.0/mlflow/registered-models/create", &json!({ "name": "churn" })).await;
    let wire = json!({ "name": "churn", "version": 3, "run_id": RUN, "stage": "Staging", "user": "ann",
        "source_uri": format!("mlflow-artifacts:/0/{RUN}/artifacts/model"), "created_ms": 5, "source": "http://there" });
    assert_eq!(client.post("/v1/imports/versions", &wire).await["created"], true);
    assert_eq!(client.post("/v1/imports/versions", &wire).await["created"], false);
    let (_, found) =
        client.ask("GET", "/api/2.0/mlflow/model-versions/get?name=churn&version=3", &json!({})).await;
    let version = &found["model_version"];
    assert_eq!((&version["current_stage"], &version["creation_timestamp"]), (&json!("Staging"), &json!(5)));
    let next = json!({ "name": "churn", "source": format!("runs:/{RUN}/m"), "run_id": RUN });
    let made = client.post("/api/2.0/mlflow/model-versions/create", &next).await;
    assert_eq!(made["model_version"]["version"], "4");

    let mut other = wire.clone();
    other["version"] = json!(4);
    client.refused("/v1/imports/versions", &other, StatusCode::CONFLICT, "was not imported").await;
    let gone = json!({ "name": "churn", "version": "4" });
    client.ask("DELETE", "/api/2.0/mlflow/model-versions/delete", &gone).await;
    client.refused("/v1/imports/versions", &other, StatusCode::CONFLICT, "never given again").await;
    other["version"] = json!(5);
    for source in ["mlflow-artifacts:/0/other/artifacts/model", "/etc", "http://inside/x"] {
        other["source_uri"] = json!(source);
        let (status, answer) = client.ask("POST", "/v1/imports/versions", &other).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{source}: {answer}");
    }
}
