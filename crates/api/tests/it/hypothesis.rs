//! Hypotheses over HTTP: opened, joined by a run, closed, found again, opened again.

use axum::http::StatusCode;
use greenlight_domain::role::Role;
use serde_json::{Value, json};

use crate::server::Server;

async fn post(server: &Server, path: &str, token: &str, body: &Value) -> (StatusCode, Value) {
    let reply = server.send("POST", path, Some(token), body.to_string()).await;
    (reply.status, reply.json)
}

async fn ids(server: &Server, token: &str, query: &str) -> Vec<String> {
    let found = server.send("GET", &format!("/v1/hypotheses?{query}"), Some(token), "").await;
    assert_eq!(found.status, StatusCode::OK, "{}", found.text);
    let lines = found.json.as_array().cloned().unwrap_or_default();
    lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_hypothesis_from_its_opening_to_a_second_look() {
    let server = Server::start().await;
    let token = server.token(Role::Scientist).await;
    let open = |statement: &str| json!({ "statement": statement, "why": "calls cost money", "refuted_by": "an A/B test", "initiative": "calls" });
    let (status, first) = post(&server, "/v1/hypotheses", &token, &open("Shorter calls sell more")).await;
    assert_eq!(
        (status, &first["id"], &first["similar"]),
        (StatusCode::OK, &json!("H-1"), &json!([])),
        "{first}"
    );
    let (_, second) = post(&server, "/v1/hypotheses", &token, &open("Evening calls sell more")).await;
    assert_eq!(second["similar"][0]["id"], "H-1");

    let start = json!({ "experiment_id": "0", "start_time": 1, "tags": [{ "key": "greenlight.hypothesis", "value": "H-1" }] });
    let (_, tagged) = post(&server, "/api/2.0/mlflow/runs/create", &token, &start).await;
    let (_, plain) =
        post(&server, "/api/2.0/mlflow/runs/create", &token, &json!({ "experiment_id": "0" })).await;
    let id = plain["run"]["info"]["run_id"].as_str().unwrap();
    let path = format!("/v1/hypotheses/h-1/runs/{id}");
    assert_eq!(server.send("POST", &path, Some(&token), "").await.status, StatusCode::NO_CONTENT);
    let view = server.send("GET", "/v1/hypotheses/H-1", Some(&token), "").await.json;
    assert_eq!(view["runs"].as_array().unwrap().len(), 2, "{tagged} {view}");
    server.send("DELETE", &path, Some(&token), "").await;
    let view = server.send("GET", "/v1/hypotheses/H-1", Some(&token), "").await.json;
    assert_eq!(view["runs"].as_array().unwrap().len(), 1);

    let finding = json!({ "verdict": "refutes", "learned": "customers felt hurried", "next": "try scripts",
        "effect": { "unit": "points", "estimate": -0.4, "low": -0.9, "high": 0.1 } });
    let (status, closed) = post(&server, "/v1/hypotheses/H-1/findings", &token, &finding).await;
    assert_eq!((status, &closed["verdict"]), (StatusCode::OK, &json!("refutes")));
    assert_eq!(post(&server, "/v1/hypotheses/H-1/findings", &token, &finding).await.0, StatusCode::CONFLICT);
    assert_eq!(ids(&server, &token, "q=hurried").await, ["H-1"]);
    assert_eq!(ids(&server, &token, "q=custom").await, ["H-1"]);
    assert_eq!(ids(&server, &token, "q=calls&verdict=open").await, ["H-2"]);
    assert_eq!(ids(&server, &token, "verdict=refutes&initiative=calls").await, ["H-1"]);
    assert_eq!(ids(&server, &token, "q=nothing%20of%20the%20kind").await, Vec::<String>::new());

    let again = json!({ "reason": "a new script" });
    assert_eq!(post(&server, "/v1/hypotheses/H-2/reopen", &token, &again).await.0, StatusCode::CONFLICT);
    let (_, opened) = post(&server, "/v1/hypotheses/H-1/reopen", &token, &again).await;
    assert_eq!((&opened["verdict"], opened["events"].as_array().unwrap().len()), (&json!(""), 2));
    assert_eq!(opened["events"][0]["finding"]["learned"], "customers felt hurried");
}

#[tokio::test]
async fn what_cannot_be_tested_is_refused() {
    let server = Server::start().await;
    let token = server.token(Role::Scientist).await;
    for (request, word) in [
        (json!({ "statement": "x", "why": "y", "refuted_by": " " }), "refuted_by"),
        (json!({ "statement": "x".repeat(501), "why": "y", "refuted_by": "z" }), "statement"),
        (json!({ "statement": "x", "why": "y", "refuted_by": "z", "initiative": "none" }), "initiative"),
    ] {
        let (status, problem) = post(&server, "/v1/hypotheses", &token, &request).await;
        assert!(status.is_client_error(), "{request} gave {status}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }
    for id in ["H-9", "nine"] {
        let status = server.send("GET", &format!("/v1/hypotheses/{id}"), Some(&token), "").await.status;
        assert!(status.is_client_error(), "{id} gave {status}");
    }
    let long = "a ".repeat(600);
    let path = format!("/v1/hypotheses?q={}", long.trim().replace(' ', "+"));
    assert!(server.send("GET", &path, Some(&token), "").await.status.is_client_error());
}
