//! The registry.

use axum::http::StatusCode;
use greenlight_domain::role::Role;
use serde_json::{Value, json};

use super::{Client, refused};

impl Client {
    /// Adds a version of a model, from a run, and answers its number.
    async fn version(&self, model: &str, source: &str, run: Option<&str>) -> String {
        let new = json!({ "name": model, "source": source, "run_id": run });
        let made = self.post("model-versions/create", new).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.text);
        made.json["model_version"]["version"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn an_alias_moves_from_version_to_version() {
    let client = Client::start().await;
    let run = client.run().await;
    client
        .post(
            "registered-models/create",
            json!({ "name": "churn", "tags": [{ "key": "team", "value": "crm" }] }),
        )
        .await;
    let below = format!("mlflow-artifacts:/0/{run}/artifacts/model");
    assert_eq!(client.version("churn", &below, Some(&run)).await, "1");
    assert_eq!(client.version("churn", "s3://bucket/model", None).await, "2");
    for version in ["1", "2"] {
        let alias = json!({ "name": "churn", "alias": "champion", "version": version });
        assert_eq!(client.post("registered-models/alias", alias).await.json, json!({}));
        let found = client.get("registered-models/alias?name=churn&alias=champion").await.json;
        assert_eq!(found["model_version"]["version"], json!(version));
    }
    let model = client.get("registered-models/get?name=churn").await.json;
    let model = &model["registered_model"];
    assert_eq!(model["aliases"], json!([{ "alias": "champion", "version": "2" }]));
    assert_eq!(model["tags"], json!([{ "key": "team", "value": "crm" }]));
    assert_eq!(model["latest_versions"][0]["version"], json!("2"));
    let version = client.get("model-versions/get?name=churn&version=1").await.json;
    assert_eq!(version["model_version"]["aliases"], Value::Null);
    assert_eq!(version["model_version"]["run_id"], json!(run));

    client.send("DELETE", "model-versions/delete", json!({ "name": "churn", "version": "2" })).await;
    let gone = client.get("registered-models/alias?name=churn&alias=champion").await;
    refused(&gone, StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE");
    assert_eq!(client.version("churn", "s3://bucket/model", None).await, "3", "a number is given once");
    let admin = client.server.token(Role::Admin).await;
    let trail = client.server.send("GET", "/v1/audit?limit=20", Some(&admin), "").await.json;
    let aliases =
        trail.as_array().unwrap().iter().filter(|line| line["action"] == "registered_model.set_alias");
    let before: Vec<&Value> = aliases.rev().map(|line| &line["detail"]["before"]).collect();
    assert_eq!(before, [&Value::Null, &json!(1)], "the trail says which version was named when");
}

#[tokio::test]
async fn one_version_of_a_stage_pushes_the_others_out() {
    let client = Client::start().await;
    client.post("registered-models/create", json!({ "name": "churn" })).await;
    for version in ["1", "2"] {
        client.version("churn", "s3://bucket/model", None).await;
        let moved = json!({
            "name": "churn", "version": version, "stage": "production", "archive_existing_versions": true
        });
        let moved = client.post("model-versions/transition-stage", moved).await;
        assert_eq!(moved.json["model_version"]["current_stage"], json!("Production"), "{}", moved.text);
    }
    let latest = client.post("registered-models/get-latest-versions", json!({ "name": "churn" })).await.json;
    let mut stages: Vec<(&Value, &Value)> = latest["model_versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| (&version["current_stage"], &version["version"]))
        .collect();
    stages.sort_by_key(|(stage, _)| stage.as_str());
    assert_eq!(stages, [(&json!("Archived"), &json!("1")), (&json!("Production"), &json!("2"))]);
}

#[tokio::test]
async fn the_registry_is_searched_page_by_page() {
    let client = Client::start().await;
    for (name, team) in [("a_churn", "crm"), ("b_fraud", "risk"), ("c_churn", "risk")] {
        let new = json!({ "name": name, "tags": [{ "key": "team", "value": team }] });
        client.post("registered-models/create", new).await;
        client.version(name, "s3://bucket/model", None).await;
    }
    let names = |found: &Value, list: &str| -> Vec<String> {
        let found = found[list].as_array().into_iter().flatten();
        found.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    for (path, expected) in [
        ("", &["a_churn", "b_fraud", "c_churn"][..]),
        ("?filter=name+LIKE+%27%25churn%27", &["a_churn", "c_churn"]),
        ("?filter=name+ILIKE+%27A%25%27", &["a_churn"]),
        ("?filter=tags.team%3D%27risk%27", &["b_fraud", "c_churn"]),
        ("?order_by=name+DESC&max_results=2", &["c_churn", "b_fraud"]),
    ] {
        let found = client.get(&format!("registered-models/search{path}")).await.json;
        assert_eq!(names(&found, "registered_models"), expected, "{path}");
    }
    let page = client.get("registered-models/search?max_results=2").await.json;
    let token = page["next_page_token"].as_str().unwrap();
    let rest = client.get(&format!("registered-models/search?max_results=2&page_token={token}")).await.json;
    assert_eq!(names(&rest, "registered_models"), ["c_churn"]);
    assert!(rest.get("next_page_token").is_none());
    let found = client.get("model-versions/search?filter=name%3D%27b_fraud%27").await.json;
    assert_eq!(names(&found, "model_versions"), ["b_fraud"]);
}

/// Sources that would let who registers a version read files that are not theirs, or make the server call a host.
#[tokio::test]
async fn a_source_belongs_to_who_registers_it() {
    let client = Client::start().await;
    let (run, other) = (client.run().await, client.run().await);
    client.post("registered-models/create", json!({ "name": "churn" })).await;
    let bad = StatusCode::BAD_REQUEST;
    for source in [
        "/etc".to_owned(),
        "file:///etc".to_owned(),
        "http://10.0.0.1/model".to_owned(),
        "mlflow-artifacts://elsewhere/model".to_owned(),
        format!("mlflow-artifacts:/0/{other}/artifacts/model"),
        format!("mlflow-artifacts:/0/{run}/artifacts/../../{other}/artifacts"),
        format!("mlflow-artifacts:/0/{run}/artifacts/%252e%252e/x"),
        format!("runs:/{other}/model"),
        "models:/none/1".to_owned(),
    ] {
        let new = json!({ "name": "churn", "source": source, "run_id": run });
        let reply = client.post("model-versions/create", new).await;
        assert!(reply.status == bad || reply.status == StatusCode::NOT_FOUND, "{source}: {}", reply.text);
    }
    assert_eq!(client.version("churn", &format!("runs:/{run}/model"), Some(&run)).await, "1");
}

/// Codes of mlflow 3.17.2.
#[tokio::test]
async fn wrong_calls_of_the_registry_get_mlflows_codes() {
    let client = Client::start().await;
    let (bad, invalid) = (StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE");
    client.post("registered-models/create", json!({ "name": "churn" })).await;
    let twice = client.post("registered-models/create", json!({ "name": "churn" })).await;
    let message = refused(&twice, bad, "RESOURCE_ALREADY_EXISTS");
    assert_eq!(message, "Registered Model (name=churn) already exists.");
    let none = client.get("registered-models/get?name=none").await;
    assert_eq!(
        refused(&none, StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST"),
        "Registered Model with name=none not found"
    );
    let none = client.get("model-versions/get?name=churn&version=7").await;
    assert_eq!(
        refused(&none, StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST"),
        "Model Version (name=churn, version=7) not found"
    );
    for (path, body) in [
        ("registered-models/create", json!({ "name": "" })),
        ("registered-models/create", json!({ "name": "a/b" })),
        ("registered-models/alias", json!({ "name": "churn", "alias": "latest", "version": "1" })),
        ("registered-models/alias", json!({ "name": "churn", "alias": "v1", "version": "1" })),
        ("model-versions/transition-stage", json!({ "name": "churn", "version": "1", "stage": "Live" })),
        ("model-versions/create", json!({ "name": "churn" })),
    ] {
        refused(&client.post(path, body).await, bad, invalid);
    }
    for path in ["registered-models/search?max_results=0", "registered-models/search?filter=run_id%3D%27x%27"]
    {
        refused(&client.get(path).await, bad, invalid);
    }
}
