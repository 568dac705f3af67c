//! The golden list of routes × roles. A route that is missing here is a route that nobody thought about.

use axum::http::StatusCode;
use greenlight_domain::role::Role;

use crate::server::Server;

/// Method, path, and the roles that get past authorisation.
const ROUTES: &[(&str, &str, &str)] = &[
    ("GET", "/v1/initiatives", "viewer scientist approver operator admin"),
    ("GET", "/v1/initiatives/calls", "viewer scientist approver operator admin"),
    ("GET", "/v1/endpoints", "viewer scientist approver operator admin"),
    ("GET", "/v1/endpoints/calls", "viewer scientist approver operator admin"),
    ("GET", "/v1/endpoints/calls/ledger", "viewer scientist approver operator admin"),
    ("GET", "/v1/endpoints/calls/ledger/verification", "approver operator admin"),
    ("GET", "/v1/endpoints/calls/ledger/postings", "viewer scientist approver operator admin"),
    ("POST", "/v1/endpoints/calls/ledger/restatements", "operator admin"),
    ("GET", "/v1/initiatives/calls/value-versions", "viewer scientist approver operator admin"),
    ("GET", "/v1/endpoints/calls/predictions", "viewer scientist approver operator admin"),
    ("GET", "/v1/endpoints/calls/predictions/none", "viewer scientist approver operator admin"),
    ("GET", "/v1/endpoints/calls/traffic", "viewer scientist approver operator admin"),
    ("GET", "/v1/endpoints/calls/drift", "viewer scientist approver operator admin"),
    ("GET", "/v1/endpoints/calls/disagreements", "viewer scientist approver operator admin"),
    ("POST", "/v1/endpoints/calls/explain", "viewer scientist approver operator admin"),
    ("GET", "/v1/releases", "viewer scientist approver operator admin"),
    ("GET", "/v1/releases/calls.1", "viewer scientist approver operator admin"),
    ("GET", "/v1/releases/calls.1/ab-test", "viewer scientist approver operator admin"),
    ("GET", "/v1/models", "viewer scientist approver operator admin"),
    ("GET", "/v1/models/honest/versions/1", "viewer scientist approver operator admin"),
    ("GET", "/v1/models/honest/versions/1/artifact", "scientist operator admin"),
    ("GET", "/v1/kv", "viewer scientist approver operator admin"),
    ("POST", "/v1/kv/none", "operator admin"),
    ("GET", "/v1/kv/none/key", "operator admin"),
    ("DELETE", "/v1/kv/none", "operator admin"),
    ("POST", "/v1/kv/scores/loads/g1", "operator admin"),
    ("PUT", "/v1/kv/scores/loads/g1/1", "operator admin"),
    ("POST", "/v1/kv/scores/loads/g1/publish", "operator admin"),
    ("DELETE", "/v1/kv/scores/loads/none", "operator admin"),
    ("GET", "/v1/hypotheses", "viewer scientist approver operator admin"),
    ("POST", "/v1/hypotheses", "scientist admin"),
    ("GET", "/v1/hypotheses/H-1", "viewer scientist approver operator admin"),
    ("POST", "/v1/hypotheses/H-1/findings", "scientist admin"),
    ("POST", "/v1/hypotheses/H-1/reopen", "scientist admin"),
    ("POST", "/v1/hypotheses/H-1/runs/none", "scientist admin"),
    ("DELETE", "/v1/hypotheses/H-1/runs/none", "scientist admin"),
    ("GET", "/v1/datasets", "viewer scientist approver operator admin"),
    ("GET", "/v1/datasets/none", "viewer scientist approver operator admin"),
    ("GET", "/v1/datasets/none/versions/1", "viewer scientist approver operator admin"),
    ("GET", "/v1/datasets/none/versions/1/content", "scientist operator admin"),
    ("POST", "/v1/datasets/none/versions", "scientist admin"),
    ("GET", "/v1/lineage?node=run:none", "viewer scientist approver operator admin"),
    ("GET", "/v1/lineage/events", "viewer scientist approver operator admin"),
    ("POST", "/api/v1/lineage", "scientist admin"),
    ("GET", "/v1/runs", "viewer scientist approver operator admin"),
    (
        "GET",
        "/v1/artifacts/0000000000000000000000000000000000000000000000000000000000000000",
        "viewer scientist approver operator admin",
    ),
    (
        "PUT",
        "/v1/artifacts/0000000000000000000000000000000000000000000000000000000000000000",
        "scientist admin",
    ),
    ("POST", "/v1/apply", "scientist admin"),
    ("POST", "/v1/trainings/none/runs", "scientist admin"),
    ("POST", "/v1/releases", "scientist admin"),
    ("POST", "/v1/releases/calls.1/shadow", "scientist admin"),
    ("POST", "/v1/releases/calls.1/shadow/judge", "scientist admin"),
    ("POST", "/v1/releases/calls.1/decisions", "approver admin"),
    ("POST", "/v1/releases/calls.1/rollout", "operator admin"),
    ("POST", "/v1/releases/calls.1/rollout/look", "operator admin"),
    ("POST", "/v1/releases/calls.1/rollback", "operator admin"),
    ("POST", "/v1/endpoints/calls/outcomes", "operator admin"),
    ("POST", "/v1/endpoints/calls/settle", "operator admin"),
    ("POST", "/v1/garbage-collections", "operator admin"),
    ("POST", "/v1/imports/known", "scientist admin"),
    ("POST", "/v1/imports/runs", "scientist admin"),
    ("POST", "/v1/imports/logged-models", "scientist admin"),
    ("POST", "/v1/imports/versions", "scientist admin"),
    ("GET", "/v1/tokens", "admin"),
    ("POST", "/v1/tokens", "admin"),
    ("DELETE", "/v1/tokens/none", "admin"),
    ("GET", "/v1/audit", "approver operator admin"),
    ("POST", "/v1/models/calls/versions", "scientist admin"),
    ("GET", "/v2/models/calls", "viewer scientist approver operator admin"),
    ("GET", "/v2/models/calls/versions/0", "viewer scientist approver operator admin"),
    ("POST", "/v2/models/calls/infer", "operator admin"),
    ("POST", "/v2/models/calls/versions/0/infer", "operator admin"),
    ("POST", "/v2/repository/index", "viewer scientist approver operator admin"),
    ("POST", "/v2/repository/models/calls/load", "operator admin"),
    ("POST", "/v2/repository/models/none/unload", "operator admin"),
    ("POST", "/endpoints/calls/invocations", "operator admin"),
    ("POST", "/api/2.0/mlflow/experiments/create", "scientist admin"),
    ("GET", "/api/2.0/mlflow/experiments/get", "viewer scientist approver operator admin"),
    ("GET", "/api/2.0/mlflow/experiments/get-by-name", "viewer scientist approver operator admin"),
    ("GET", "/api/2.0/mlflow/experiments/search", "viewer scientist approver operator admin"),
    ("POST", "/api/2.0/mlflow/experiments/search", "viewer scientist approver operator admin"),
    ("POST", "/api/2.0/mlflow/experiments/update", "scientist admin"),
    ("POST", "/api/2.0/mlflow/experiments/delete", "scientist admin"),
    ("POST", "/api/2.0/mlflow/experiments/restore", "scientist admin"),
    ("POST", "/api/2.0/mlflow/experiments/set-experiment-tag", "scientist admin"),
    ("POST", "/api/2.0/mlflow/experiments/delete-experiment-tag", "scientist admin"),
    ("POST", "/api/2.0/mlflow/runs/create", "scientist admin"),
    ("GET", "/api/2.0/mlflow/runs/get", "viewer scientist approver operator admin"),
    ("POST", "/api/2.0/mlflow/runs/update", "scientist admin"),
    ("POST", "/api/2.0/mlflow/runs/delete", "scientist admin"),
    ("POST", "/api/2.0/mlflow/runs/restore", "scientist admin"),
    ("POST", "/api/2.0/mlflow/runs/search", "viewer scientist approver operator admin"),
    ("POST", "/api/2.0/mlflow/runs/log-metric", "scientist admin"),
    ("POST", "/api/2.0/mlflow/runs/log-parameter", "scientist admin"),
    ("POST", "/api/2.0/mlflow/runs/set-tag", "scientist admin"),
    ("POST", "/api/2.0/mlflow/runs/delete-tag", "scientist admin"),
    ("POST", "/api/2.0/mlflow/runs/log-batch", "scientist admin"),
    ("GET", "/api/2.0/mlflow/metrics/get-history", "viewer scientist approver operator admin"),
    ("POST", "/api/2.0/mlflow/registered-models/create", "scientist admin"),
    ("GET", "/api/2.0/mlflow/registered-models/get", "viewer scientist approver operator admin"),
    ("GET", "/api/2.0/mlflow/registered-models/search", "viewer scientist approver operator admin"),
    ("POST", "/api/2.0/mlflow/registered-models/rename", "scientist admin"),
    ("PATCH", "/api/2.0/mlflow/registered-models/update", "scientist admin"),
    ("DELETE", "/api/2.0/mlflow/registered-models/delete", "scientist admin"),
    ("POST", "/api/2.0/mlflow/registered-models/set-tag", "scientist admin"),
    ("DELETE", "/api/2.0/mlflow/registered-models/delete-tag", "scientist admin"),
    ("POST", "/api/2.0/mlflow/registered-models/alias", "scientist admin"),
    ("DELETE", "/api/2.0/mlflow/registered-models/alias", "scientist admin"),
    ("GET", "/api/2.0/mlflow/registered-models/alias", "viewer scientist approver operator admin"),
    (
        "GET",
        "/api/2.0/mlflow/registered-models/get-latest-versions",
        "viewer scientist approver operator admin",
    ),
    (
        "POST",
        "/api/2.0/mlflow/registered-models/get-latest-versions",
        "viewer scientist approver operator admin",
    ),
    ("POST", "/api/2.0/mlflow/model-versions/create", "scientist admin"),
    ("GET", "/api/2.0/mlflow/model-versions/get", "viewer scientist approver operator admin"),
    ("GET", "/api/2.0/mlflow/model-versions/search", "viewer scientist approver operator admin"),
    ("PATCH", "/api/2.0/mlflow/model-versions/update", "scientist admin"),
    ("DELETE", "/api/2.0/mlflow/model-versions/delete", "scientist admin"),
    ("POST", "/api/2.0/mlflow/model-versions/transition-stage", "scientist admin"),
    ("GET", "/api/2.0/mlflow/model-versions/get-download-uri", "viewer scientist approver operator admin"),
    ("POST", "/api/2.0/mlflow/model-versions/set-tag", "scientist admin"),
    ("DELETE", "/api/2.0/mlflow/model-versions/delete-tag", "scientist admin"),
    ("GET", "/metrics", "viewer scientist approver operator admin"),
    ("POST", "/api/2.0/mlflow/runs/log-inputs", "scientist admin"),
    ("POST", "/api/2.0/mlflow/runs/outputs", "scientist admin"),
    ("POST", "/api/2.0/mlflow/runs/log-model", "scientist admin"),
    ("POST", "/api/2.0/mlflow/experiments/search-datasets", "viewer scientist approver operator admin"),
    ("GET", "/api/2.0/mlflow/metrics/get-history-bulk", "viewer scientist approver operator admin"),
    ("GET", "/api/2.0/mlflow/metrics/get-history-bulk-interval", "viewer scientist approver operator admin"),
    ("POST", "/api/2.0/mlflow/logged-models", "scientist admin"),
    ("POST", "/api/2.0/mlflow/logged-models/search", "viewer scientist approver operator admin"),
    ("GET", "/api/2.0/mlflow/logged-models/none", "viewer scientist approver operator admin"),
    ("PATCH", "/api/2.0/mlflow/logged-models/none", "scientist admin"),
    ("DELETE", "/api/2.0/mlflow/logged-models/none", "scientist admin"),
    ("PATCH", "/api/2.0/mlflow/logged-models/none/tags", "scientist admin"),
    ("DELETE", "/api/2.0/mlflow/logged-models/none/tags/key", "scientist admin"),
    ("POST", "/api/2.0/mlflow/logged-models/none/params", "scientist admin"),
    (
        "GET",
        "/api/2.0/mlflow/logged-models/none/artifacts/directories",
        "viewer scientist approver operator admin",
    ),
    (
        "GET",
        "/api/2.0/mlflow/logged-models/none/artifacts/files?artifact_file_path=a",
        "scientist operator admin",
    ),
    ("GET", "/api/2.0/mlflow/artifacts/list", "viewer scientist approver operator admin"),
    ("POST", "/api/2.0/mlflow/upload-artifact?run_uuid=none&path=a", "scientist admin"),
    ("GET", "/get-artifact?run_id=none&path=a", "scientist operator admin"),
    ("GET", "/model-versions/get-artifact?name=none&version=1&path=a", "scientist operator admin"),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts", "viewer scientist approver operator admin"),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts/none", "scientist operator admin"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/none", "scientist admin"),
    ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/none", "scientist admin"),
    ("GET", "/api/2.0/mlflow/webhooks", "operator admin"),
    ("POST", "/api/2.0/mlflow/webhooks", "operator admin"),
    ("GET", "/api/2.0/mlflow/webhooks/none", "operator admin"),
    ("PATCH", "/api/2.0/mlflow/webhooks/none", "operator admin"),
    ("DELETE", "/api/2.0/mlflow/webhooks/none", "operator admin"),
    ("POST", "/api/2.0/mlflow/webhooks/none/test", "operator admin"),
];

fn body(path: &str) -> &'static str {
    match path {
        "/v1/apply" => r#"{"documents": []}"#,
        "/v1/releases" => r#"{"endpoint": "none", "model": "none@1"}"#,
        "/v1/tokens" => r#"{"name": "", "role": "viewer"}"#,
        "/v1/endpoints/calls/outcomes" => r#"{"outcomes": []}"#,
        "/v1/kv/none" => r#"{"keys": ["c1"]}"#,
        "/v1/kv/scores/loads/g1/1" => r#"{"rows": []}"#,
        p if p.ends_with("/explain") => r#"{"row": {}}"#,
        "/v1/hypotheses" => r#"{"statement": "", "why": "", "refuted_by": ""}"#,
        "/v1/hypotheses/H-1/findings" => r#"{"verdict": "inconclusive", "learned": ""}"#,
        "/v1/hypotheses/H-1/reopen" => r#"{"reason": ""}"#,
        "/v1/datasets/none/versions" => r#"{"format": "none"}"#,
        "/api/v1/lineage" => r#"{"eventTime": "", "job": {"namespace": "", "name": ""}}"#,
        "/v1/imports/runs" => r#"{"id": "", "experiment_id": 0, "start_ms": 0, "source": ""}"#,
        "/v1/imports/logged-models" => {
            r#"{"id": "", "experiment_id": 0, "name": "", "created_ms": 0, "updated_ms": 0, "status": "", "source": ""}"#
        }
        "/v1/imports/versions" => {
            r#"{"name": "", "version": 0, "source_uri": "", "created_ms": 0, "source": ""}"#
        }
        p if p.ends_with("/versions") => {
            r#"{"sha256": "00", "dataset": "none@1", "trained_until": "2020-01-01"}"#
        }
        p if p.ends_with("/decisions") => r#"{"approved": true}"#,
        p if p.ends_with("/rollback") || p.ends_with("/restatements") => r#"{"reason": "why"}"#,
        _ => "{}",
    }
}

#[tokio::test]
async fn each_role_gets_past_authorisation_exactly_where_the_list_says() {
    let server = Server::start().await;
    for role in Role::ALL {
        let token = server.token(role).await;
        for (method, path, roles) in ROUTES {
            let reply = server.send(method, path, Some(&token), body(path)).await;
            let allowed = roles.split(' ').any(|r| r == role.as_str());
            assert_eq!(
                reply.status != StatusCode::FORBIDDEN,
                allowed,
                "{role} {method} {path}: {}",
                reply.text
            );
            assert_ne!(reply.status, StatusCode::UNAUTHORIZED, "{role} {method} {path}");
            assert!(!reply.status.is_server_error(), "{role} {method} {path}: {}", reply.text);
        }
    }
}

#[tokio::test]
async fn without_a_valid_token_nothing_is_said() {
    let server = Server::start().await;
    for token in [None, Some("gl_0000"), Some("")] {
        for (method, path, _) in ROUTES {
            let reply = server.send(method, path, token, body(path)).await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_revoked_token_ends_at_once_and_secrets_are_not_listed() {
    let server = Server::start().await;
    let admin = server.token(Role::Admin).await;
    let issued =
        server.send("POST", "/v1/tokens", Some(&admin), r#"{"name": "ada", "role": "approver"}"#).await;
    let secret = issued.json["token"].as_str().unwrap().to_owned();
    let id = issued.json["id"].as_str().unwrap().to_owned();
    assert_eq!(server.send("GET", "/v1/runs", Some(&secret), "").await.status, StatusCode::OK);
    let listed = server.send("GET", "/v1/tokens", Some(&admin), "").await;
    assert!(!listed.text.contains(secret.trim_start_matches("gl_")));
    server.send("DELETE", &format!("/v1/tokens/{id}"), Some(&admin), "").await;
    assert_eq!(server.send("GET", "/v1/runs", Some(&secret), "").await.status, StatusCode::UNAUTHORIZED);
    let trail = server.send("GET", "/v1/audit?limit=2", Some(&admin), "").await;
    let actions: Vec<&str> =
        trail.json.as_array().unwrap().iter().map(|l| l["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["token.revoke", "token.issue"]);
}
