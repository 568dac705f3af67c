//! Bad input gets a clear problem, and nothing is half-written.

use axum::http::StatusCode;
use greenlight_domain::role::Role;
use serde_json::{Value, json};

use crate::server::{Reply, Server};

const INFER: &str = "/v2/models/calls/infer";
const OUTCOMES: &str = "/v1/endpoints/calls/outcomes";

fn tensor(name: &str, datatype: &str, data: Value) -> Value {
    let rows = data.as_array().map_or(1, Vec::len);
    json!({ "name": name, "datatype": datatype, "shape": [rows], "data": data })
}

fn good() -> Vec<Value> {
    vec![
        tensor("client", "BYTES", json!(["c1"])),
        tensor("at", "BYTES", json!(["2021-01-01T09:00:00Z"])),
        tensor("score", "FP64", json!([0.7])),
        tensor("noise", "FP64", json!([null])),
    ]
}

fn with(index: usize, input: Value) -> Value {
    let mut inputs = good();
    inputs[index] = input;
    json!({ "inputs": inputs })
}

fn problem(reply: &Reply, status: u16, hint: &str) {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.text);
    assert_eq!(reply.content_type, "application/problem+json");
    assert_eq!(reply.json["status"], status);
    let detail = reply.json["detail"].as_str().unwrap();
    assert!(detail.contains(hint), "'{detail}' does not say '{hint}'");
    assert!(reply.json["code"].as_str().unwrap().starts_with("GL"));
}

#[tokio::test]
async fn inference_names_what_is_wrong_and_logs_nothing() {
    let server = Server::start().await;
    let token = server.token(Role::Operator).await;
    let mut short = good();
    short.pop();
    let cases: Vec<(Value, u16, &str)> = vec![
        (json!({ "inputs": short }), 400, "input noise is missing"),
        (with(2, tensor("score", "BYTES", json!(["high"]))), 400, "'score' must be a number"),
        (
            with(2, tensor("score", "FP64", json!(["high"]))),
            400,
            "'score': data must be an array of 1 finite numbers or null",
        ),
        (with(2, tensor("score", "FP64", json!([[[[[0.7]]]]]))), 400, "nested too deep"),
        (
            with(2, json!({ "name": "score", "datatype": "FP64", "shape": [1], "data": [0.1, 0.2] })),
            400,
            "more values",
        ),
        (with(2, json!({ "name": "score", "datatype": "FP64", "shape": [1] })), 400, "'score' has no data"),
        (with(2, tensor("score", "INT64", json!([null]))), 400, "integers"),
        (with(2, tensor("score", "COMPLEX", json!([1]))), 400, "datatype 'COMPLEX' is unknown"),
        (
            with(2, tensor("salary", "FP64", json!([1.0]))),
            400,
            "'salary' is unknown; this endpoint takes client, at",
        ),
        (with(2, tensor("noise", "FP64", json!([1.0]))), 400, "sent twice"),
        (with(2, tensor("score", "FP64", json!([0.1, 0.2]))), 400, "has 2 rows where the first input has 1"),
        (
            with(2, json!({ "name": "score", "datatype": "FP64", "shape": [9], "data": [1.0] })),
            400,
            "shape says 9 values",
        ),
        (
            with(2, json!({ "name": "score", "datatype": "FP64", "shape": [1, 2], "data": [1.0, 2.0] })),
            400,
            "shape must be",
        ),
        (with(1, tensor("at", "BYTES", json!(["yesterday"]))), 400, "RFC 3339"),
        (with(0, tensor("client", "BYTES", json!([""]))), 400, "a unit is 1 to 256 bytes"),
        (json!({ "inputs": [] }), 400, "1 to 2000 inputs"),
        (json!({}), 400, "missing field `inputs`"),
        (json!({ "inputs": good(), "outputs": [{ "name": "salary" }] }), 400, "output 'salary' is unknown"),
    ];
    for (body, status, hint) in cases {
        let reply = server.send("POST", INFER, Some(&token), body.to_string()).await;
        assert_eq!(reply.status.as_u16(), status, "{body}: {}", reply.text);
        let error = reply.json["error"].as_str().unwrap();
        assert!(error.contains(hint), "'{error}' does not say '{hint}'");
    }
    let unknown = server
        .send("POST", "/v2/models/none/infer", Some(&token), json!({ "inputs": good() }).to_string())
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(server.test.lake.predictions("calls").is_empty(), "nothing was logged");
    let fine = server.send("POST", INFER, Some(&token), json!({ "inputs": good() }).to_string()).await;
    assert_eq!(fine.status, StatusCode::OK, "{}", fine.text);
    assert_eq!(server.test.lake.predictions("calls").len(), 1);
}

#[tokio::test]
async fn a_body_that_is_no_request_is_called_so() {
    let server = Server::start().await;
    let token = server.token(Role::Operator).await;
    for text in [
        "",
        "{",
        "[1,2",
        "null",
        "\u{0}",
        "{\"inputs\": [{\"name\": \"score\", \"data\": [NaN]}]}",
        "[1e999]",
    ] {
        let reply = server.send("POST", INFER, Some(&token), text).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{text}");
        assert!(reply.json["error"].as_str().unwrap().contains("not an inference request"));
    }
}

#[tokio::test]
async fn a_body_of_a_hundred_megabytes_is_refused_on_every_route() {
    let server = Server::start().await;
    let token = server.token(Role::Admin).await;
    let huge = "x".repeat(100 * 1024 * 1024);
    let infer = server.send("POST", INFER, Some(&token), huge.clone()).await;
    assert_eq!(infer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(infer.json["error"].as_str().unwrap().contains("larger than 16 MiB"));
    let outcomes = server.send("POST", OUTCOMES, Some(&token), huge).await;
    problem(&outcomes, 413, "larger than 16 MiB");
}

#[tokio::test]
async fn outcomes_are_recorded_all_or_none() {
    let server = Server::start().await;
    let token = server.token(Role::Operator).await;
    let answer = server.send("POST", INFER, Some(&token), json!({ "inputs": good() }).to_string()).await;
    let id = answer.json["outputs"][0]["data"][0].as_str().unwrap().to_owned();
    let outcome = |id: &str, name: &str, value: Value, at: &str| json!({ "prediction_id": id, "name": name, "value": value, "at": at });
    let fine = outcome(&id, "bought", json!(1), "2021-01-03");
    let cases = [
        (outcome("nonsense", "bought", json!(1), "2021-01-03"), "is not a UUIDv7"),
        (
            outcome("01968e2c-0000-7000-8000-000000000000", "bought", json!(1), "2021-01-03"),
            "was not issued by endpoint",
        ),
        (outcome(&id, "sold", json!(1), "2021-01-03"), "it is 'bought'"),
        (outcome(&id, "bought", json!(7), "2021-01-03"), "is not between 0 and 1"),
        (outcome(&id, "bought", json!(1), "2020-01-03"), "lies before the prediction"),
        (outcome(&id, "bought", json!(1), "2050-01-03"), "lies in the future"),
        (outcome(&id, "bought", json!(1), "2021-02-03"), "more than 7 days after the prediction"),
    ];
    for (bad, hint) in cases {
        let body = json!({ "outcomes": [fine, bad] });
        let reply = server.send("POST", OUTCOMES, Some(&token), body.to_string()).await;
        problem(&reply, 422, hint);
        assert!(reply.json["detail"].as_str().unwrap().contains("outcomes[1]"), "it says which one");
        assert!(reply.json["detail"].as_str().unwrap().contains("nothing was recorded"));
    }
    let too_many = json!({ "outcomes": vec![&fine; 10_001] });
    problem(&server.send("POST", OUTCOMES, Some(&token), too_many.to_string()).await, 422, "1 to 10000");
    let reply =
        server.send("POST", OUTCOMES, Some(&token), json!({ "outcomes": [fine, fine] }).to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "the same outcome twice is harmless: {}", reply.text);
}

#[tokio::test]
async fn problems_say_what_is_wrong_where_and_what_to_do() {
    let server = Server::start().await;
    let admin = server.token(Role::Admin).await;
    let send = |method: &'static str, path: &'static str, body: &'static str| {
        server.send(method, path, Some(&admin), body)
    };
    problem(&send("POST", "/v1/apply", "{").await, 400, "Failed to parse");
    problem(
        &send("POST", "/v1/apply", r#"{"documents": [{"kind": "Recipe"}]}"#).await,
        422,
        "unknown variant `Recipe`",
    );
    problem(&send("POST", "/v1/apply", r#"{"documents": []}"#).await, 422, "1 to 500 documents");
    problem(&send("GET", "/v1/releases/none", "").await, 404, "there is no release 'none'; list them with");
    problem(&send("POST", "/v1/releases/none/rollout", "").await, 404, "there is no release 'none'");
    problem(
        &send("POST", "/v1/trainings/none/runs", "").await,
        404,
        "apply a manifest of kind Training first",
    );
    problem(&send("GET", "/v1/nothing/here", "").await, 404, "there is no path");
    problem(
        &send("POST", "/v1/tokens", r#"{"name": "x<script>", "role": "viewer"}"#).await,
        422,
        "letters, digits",
    );
    problem(
        &send("POST", "/v1/tokens", r#"{"name": "x", "role": "king"}"#).await,
        422,
        "unknown variant `king`",
    );
    let digest = "/v1/artifacts/ABC";
    problem(&send("PUT", digest, "bytes").await, 422, "64 lower-case hexadecimal");
    let wrong = "/v1/artifacts/0000000000000000000000000000000000000000000000000000000000000000";
    problem(&send("PUT", wrong, "bytes").await, 422, "the bytes have SHA-256");
    let there = send("GET", wrong, "").await;
    assert_eq!(there.json["present"], false, "a wrong upload leaves nothing behind");
}

#[tokio::test]
async fn a_manifest_is_applied_whole_or_not_at_all() {
    let server = Server::start().await;
    let admin = server.token(Role::Admin).await;
    let initiatives = || async {
        server.send("GET", "/v1/initiatives", Some(&admin), "").await.json.as_array().unwrap().len()
    };
    let before = initiatives().await;
    let mut documents: Vec<Value> =
        greenlight_testkit::documents("00").iter().map(|d| serde_json::to_value(d).unwrap()).collect();
    let mut other = documents[0].clone();
    other["name"] = json!("another");
    documents[4]["spec"]["policy"] = json!("missing@9");
    let body = json!({ "documents": [other, documents[4]] });
    let reply = server.send("POST", "/v1/apply", Some(&admin), body.to_string()).await;
    problem(&reply, 404, "there is no policy 'missing@9'");
    assert_eq!(initiatives().await, before);
    documents[3]["spec"]["description"] = json!("changed after it was published");
    let body = json!({ "documents": [documents[3]] });
    let reply = server.send("POST", "/v1/apply", Some(&admin), body.to_string()).await;
    problem(&reply, 409, "a published version never changes; raise its version");
}

#[tokio::test]
async fn a_model_whose_artifact_was_changed_on_disk_does_not_serve() {
    let server = Server::start().await;
    let admin = server.token(Role::Admin).await;
    let trained = server.send("POST", "/v1/trainings/honest/runs", Some(&admin), "").await;
    assert_eq!(trained.status, StatusCode::OK, "{}", trained.text);
    let sha256 = trained.json["model"]["sha256"].as_str().unwrap();
    let file = server.test.app.artifacts.file(sha256).await.unwrap();
    std::fs::write(&file, b"{\"cut\": ").unwrap();
    let body = json!({ "endpoint": "calls", "model": "honest@1" });
    let reply = server.send("POST", "/v1/releases", Some(&admin), body.to_string()).await;
    problem(&reply, 422, "was changed on disk");
    let releases = server.send("GET", "/v1/releases", Some(&admin), "").await;
    assert_eq!(releases.json, json!([]), "no release without evidence");
}
