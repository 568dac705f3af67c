//! Tables of batch predictions: loaded in chunks, swapped at once, read by key.

use axum::http::StatusCode;
use greenlight_domain::role::Role;
use serde_json::{Value, json};

use crate::server::{Reply, Server};

struct Table<'a> {
    server: &'a Server,
    token: String,
}

impl Table<'_> {
    async fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        let path = format!("/v1/kv{path}");
        self.server.send(method, &path, Some(&self.token), body.to_string()).await
    }

    async fn begin(&self, generation: &str) -> Value {
        let path = format!("/scores/loads/{generation}");
        self.send("POST", &path, &json!({ "expires_seconds": 3600 })).await.json
    }

    async fn put(&self, generation: &str, sequence: u64, key: &str, value: f64) -> Reply {
        let row = json!({ "key": key, "value": { "probability": value } });
        let path = format!("/scores/loads/{generation}/{sequence}");
        self.send("PUT", &path, &json!({ "rows": [row] })).await
    }

    async fn publish(&self, generation: &str) -> Reply {
        self.send("POST", &format!("/scores/loads/{generation}/publish"), &json!({})).await
    }

    async fn get(&self, key: &str) -> Reply {
        self.send("GET", &format!("/scores/{key}"), &Value::Null).await
    }
}

#[tokio::test]
async fn a_generation_is_seen_whole_or_not_at_all() {
    let server = Server::start().await;
    let table = Table { server: &server, token: server.token(Role::Operator).await };
    assert_eq!(table.begin("g1").await["durable"], 0);
    assert_eq!(table.put("g1", 1, "c1", 0.25).await.json["durable"], 1);
    assert_eq!(table.put("g1", 1, "c1", 0.99).await.json["durable"], 1, "a repeated chunk changes nothing");
    let early = table.put("g1", 3, "c3", 0.5).await;
    assert_eq!(early.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(early.text.contains("expects batch 2, not 3"), "{}", early.text);
    let unseen = table.get("c1").await;
    assert_eq!(unseen.status, StatusCode::NOT_FOUND);
    assert!(unseen.text.contains("greenlight kv list"), "{}", unseen.text);
    assert_eq!(table.put("g1", 2, "c%2F2", 0.5).await.json["durable"], 2);
    assert_eq!(table.publish("g1").await.json["published"], true);
    let found = table.get("c1").await;
    assert_eq!(found.json["value"], json!({ "probability": 0.25 }));
    assert_eq!(found.json["generation"], "g1");

    table.begin("g2").await;
    table.put("g2", 1, "c9", 0.75).await;
    assert_eq!(table.get("c9").await.status, StatusCode::NOT_FOUND, "not before it is published");
    assert_eq!(table.get("c1").await.status, StatusCode::OK, "the old generation serves meanwhile");
    table.publish("g2").await;
    assert_eq!(table.get("c1").await.status, StatusCode::NOT_FOUND);
    let many = table.send("POST", "/scores", &json!({ "keys": ["c1", "c9"] })).await;
    assert_eq!(many.json["values"], json!([null, { "probability": 0.75 }]));

    let list = table.send("GET", "", &Value::Null).await;
    assert_eq!((&list.json[0]["generation"], &list.json[0]["rows"]), (&json!("g2"), &json!(1)));
    assert_eq!(list.json[0]["published_at"], "2022-01-01T00:00:00Z");
    assert_eq!(list.json[0]["expires_at"], "2022-01-01T01:00:00Z");
    server.test.clock.set("2022-01-01T01:00:00Z".parse().unwrap());
    assert_eq!(table.get("c9").await.status, StatusCode::NOT_FOUND, "it has expired");
}

#[tokio::test]
async fn a_load_goes_on_after_a_restart_and_gives_way_to_another() {
    let mut server = Server::start().await;
    let token = server.token(Role::Operator).await;
    let table = Table { server: &server, token };
    table.begin("g1").await;
    table.put("g1", 1, "c1", 0.25).await;
    let token = table.token;
    server.restart().await;
    let table = Table { server: &server, token };
    let lost = table.put("g1", 2, "c2", 0.5).await;
    assert_eq!(lost.status, StatusCode::CONFLICT);
    assert!(lost.text.contains("begin it again"), "{}", lost.text);
    assert_eq!(table.begin("g1").await["durable"], 1, "what was durable is there");
    table.begin("g2").await;
    assert_eq!(table.publish("g1").await.status, StatusCode::CONFLICT, "another load has begun");
    assert_eq!(table.send("DELETE", "/scores/loads/g1", &Value::Null).await.status, StatusCode::NOT_FOUND);
    assert_eq!(table.send("DELETE", "/scores/loads/g2", &Value::Null).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_wrong_with_a_table_is_said_and_what_is_done_is_on_record() {
    let server = Server::start().await;
    let table = Table { server: &server, token: server.token(Role::Admin).await };
    let wrong = [
        ("GET", "/No!/c1", json!({}), 422, "is no name of a table"),
        ("POST", "/scores", json!({ "keys": [] }), 422, "send 1 to 10000"),
        ("POST", "/scores", json!({ "keys": vec!["c"; 10_001] }), 422, "not 10001"),
        ("POST", "/scores/loads/g1", json!({ "expires_seconds": 0 }), 422, "expires_seconds: must be"),
        ("POST", "/scores/loads/g%2F1", json!({}), 422, "is no name of a generation"),
        ("PUT", "/scores/loads/none/1", json!({ "rows": [] }), 409, "no load of generation 'none'"),
        ("PUT", "/scores/loads/none/1", json!({ "rows": [{ "key": "c" }] }), 422, "missing field `value`"),
        ("DELETE", "/none", json!({}), 404, "there is no table 'none'"),
    ];
    for (method, path, body, status, hint) in wrong {
        let reply = table.send(method, path, &body).await;
        assert_eq!(reply.status.as_u16(), status, "{method} {path}: {}", reply.text);
        assert!(reply.text.contains(hint), "{method} {path}: {}", reply.text);
    }
    table.begin("g1").await;
    table.put("g1", 1, "c1", 0.5).await;
    table.publish("g1").await;
    assert_eq!(table.send("DELETE", "/scores", &json!({})).await.json["dropped"], "scores");
    assert_eq!(table.get("c1").await.status, StatusCode::NOT_FOUND);
    let trail = server.send("GET", "/v1/audit?subject=scores", Some(&table.token), "").await;
    let actions: Vec<&str> =
        trail.json.as_array().unwrap().iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["kv.drop", "kv.publish"]);
}
