//! Rates, readiness and counted refusals, as clients of each protocol meet them.

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use greenlight_app::App;
use greenlight_domain::role::Role;

use crate::server::Server;

async fn used_up(server: &Server) -> String {
    let admin = App::system_actor();
    let app = &server.test.app;
    let token = app.issue_limited_token(&admin, "till", Role::Admin, Some(1)).await.unwrap().token;
    // A thousand take about a millisecond: the next request comes within the second.
    for _ in 0..1_000 {
        let _ = app.admit(&token);
    }
    token
}

async fn ask(server: &Server, method: &str, path: &str, token: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    server.raw(request.header(header::CONTENT_TYPE, "application/grpc").body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_token_that_asks_too_often_is_told_so_in_the_protocol_it_speaks() {
    let server = Server::start().await;
    let token = used_up(&server).await;
    for (method, path, content) in [
        ("GET", "/v1/endpoints", "application/problem+json"),
        ("GET", "/v2/models/calls", "application/json"),
        ("POST", "/v2/models/calls/infer", "application/json"),
        ("POST", "/endpoints/calls/invocations", "application/json"),
    ] {
        let refused = ask(&server, method, path, &token).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert_eq!(refused.headers()[header::RETRY_AFTER], "1", "{path}");
        assert_eq!(refused.headers()[header::CONTENT_TYPE], content, "{path}");
    }
    // Codes of google.rpc.Code: 8 is RESOURCE_EXHAUSTED.
    let refused = ask(&server, "POST", "/inference.GRPCInferenceService/ModelMetadata", &token).await;
    assert_eq!(refused.headers()["grpc-status"], "8");
    let stranger = ask(&server, "GET", "/v1/endpoints", "gl_0").await;
    assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED, "a stranger learns nothing about rates");
}

#[tokio::test]
async fn a_token_is_issued_with_its_rate_and_listed_with_it() {
    let server = Server::start().await;
    let admin = server.token(Role::Admin).await;
    let body = r#"{"name": "till", "role": "operator", "rate_per_second": 100}"#;
    let issued = server.send("POST", "/v1/tokens", Some(&admin), body).await;
    assert_eq!((issued.status, &issued.json["rate_per_second"]), (StatusCode::OK, &100.into()));
    let listed = server.send("GET", "/v1/tokens", Some(&admin), "").await;
    let tokens = listed.json.as_array().unwrap();
    let till = tokens.iter().find(|token| token["name"] == "till").unwrap();
    assert_eq!(till["rate_per_second"], 100);
    let none = r#"{"name": "till", "role": "operator", "rate_per_second": 0}"#;
    assert_eq!(server.send("POST", "/v1/tokens", Some(&admin), none).await.status, 422);
}

#[tokio::test]
async fn a_server_that_drains_is_not_ready_and_answers() {
    let server = Server::start().await;
    let viewer = server.token(Role::Viewer).await;
    assert_eq!(server.send("GET", "/v2/health/ready", None, "").await.text, r#"{"ready":true}"#);
    server.test.app.drain();
    for path in ["/readyz", "/v2/health/ready"] {
        assert_eq!(
            server.send("GET", path, None, "").await.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{path}"
        );
    }
    assert_eq!(server.send("GET", "/healthz", None, "").await.status, StatusCode::OK);
    assert_eq!(server.send("GET", "/v2/health/live", None, "").await.status, StatusCode::OK);
    assert_eq!(server.send("GET", "/v2/models/calls", Some(&viewer), "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_counted_as_refused() {
    let server = Server::start().await;
    let operator = server.token(Role::Operator).await;
    for path in ["/v2/models/calls/infer", "/endpoints/calls/invocations"] {
        assert_eq!(
            server.send("POST", path, Some(&operator), "{").await.status,
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
    let counted = "greenlight_refused_requests_total{endpoint=\"calls\",reason=\"invalid\"} 2";
    let text = server.test.app.metrics.text();
    assert!(text.contains(counted), "{text}");
}
