//! Webhooks: what is asked of them. What they are sent is tested with a server, in `tests/conformance`.

use axum::http::StatusCode;
use greenlight_domain::role::Role;
use serde_json::json;

use super::{Client, refused};

#[tokio::test]
async fn a_webhook_never_tells_its_secret() {
    let mut client = Client::start().await;
    let new = json!({
        "name": "hook", "url": "https://example.com/hook", "secret": "s3cret",
        "events": [{ "entity": "MODEL_VERSION_ALIAS", "action": "CREATED" }, { "entity": "MODEL_VERSION", "action": "CREATED" }],
    });
    let forbidden = client.post("webhooks", new.clone()).await;
    refused(&forbidden, StatusCode::FORBIDDEN, "PERMISSION_DENIED");
    client.token = client.server.token(Role::Operator).await;
    let made = client.post("webhooks", new).await.json["webhook"].clone();
    assert_eq!(made["events"][0], json!({ "entity": "MODEL_VERSION", "action": "CREATED" }));
    assert_eq!((&made["status"], made.get("secret")), (&json!("ACTIVE"), None));
    let id = made["webhook_id"].as_str().unwrap().to_owned();
    let change = json!({ "status": "DISABLED", "description": "off" });
    let changed = client.send("PATCH", &format!("webhooks/{id}"), change).await.json["webhook"].clone();
    assert_eq!((&changed["status"], &changed["name"]), (&json!("DISABLED"), &json!("hook")));
    let listed = client.get("webhooks").await;
    assert_eq!(listed.json["webhooks"].as_array().unwrap().len(), 1);
    assert!(!listed.text.contains("s3cret"));
    let tested = client.post(&format!("webhooks/{id}/test"), json!({})).await.json;
    assert_eq!(tested["result"]["success"], json!(false), "this server sends nothing");
    assert_eq!(client.send("DELETE", &format!("webhooks/{id}"), json!({})).await.json, json!({}));
    let gone = client.get(&format!("webhooks/{id}")).await;
    let message = refused(&gone, StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST");
    assert_eq!(message, format!("Webhook with ID {id} not found."));
}

#[tokio::test]
async fn a_webhook_that_is_wrong_is_refused() {
    let mut client = Client::start().await;
    client.token = client.server.token(Role::Admin).await;
    let events = json!([{ "entity": "MODEL_VERSION", "action": "CREATED" }]);
    for body in [
        json!({ "url": "https://example.com", "events": events }),
        json!({ "name": "-", "url": "https://example.com", "events": events }),
        json!({ "name": "a", "url": "  ", "events": events }),
        json!({ "name": "a", "url": "https://example.com", "events": [] }),
        json!({ "name": "a", "url": "https://example.com", "events": [{ "entity": "PROMPT", "action": "SET" }] }),
    ] {
        let reply = client.post("webhooks", body.clone()).await;
        refused(&reply, StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE");
    }
}
