//! Logged models, and what runs read and wrote.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Client, refused};

impl Client {
    async fn model(&self, name: &str, run: &str) -> String {
        let new = json!({
            "experiment_id": "0", "name": name, "source_run_id": run,
            "params": [{ "key": "depth", "value": "3" }], "tags": [{ "key": "team", "value": "crm" }],
        });
        let made = self.post("logged-models", new).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.text);
        made.json["model"]["info"]["model_id"].as_str().unwrap().to_owned()
    }

    async fn models(&self, body: Value) -> Vec<String> {
        let found = self.post("logged-models/search", body).await;
        assert_eq!(found.status, StatusCode::OK, "{}", found.text);
        let models = found.json["models"].as_array().into_iter().flatten();
        models.map(|model| model["info"]["name"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_model_is_logged_measured_finished_and_deleted() {
    let client = Client::start().await;
    let run = client.run().await;
    let id = client.model("trees", &run).await;
    let batch = json!({ "run_id": run, "metrics": [
        { "key": "auc", "value": 0.8, "timestamp": 5, "step": 1, "model_id": id,
          "dataset_name": "gold", "dataset_digest": "d1" },
        { "key": "loss", "value": 0.3, "timestamp": 5 },
    ] });
    let logged = client.post("runs/log-batch", batch).await;
    assert_eq!(logged.status, StatusCode::OK, "{}", logged.text);
    let ready = json!({ "model_id": id, "status": "LOGGED_MODEL_READY" });
    let finished = client.send("PATCH", &format!("logged-models/{id}"), ready).await.json;
    assert_eq!(finished["model"]["info"]["status"], json!("LOGGED_MODEL_READY"));
    let model = client.get(&format!("logged-models/{id}")).await.json["model"].clone();
    assert_eq!(model["info"]["artifact_uri"], json!(format!("mlflow-artifacts:/0/models/{id}/artifacts")));
    assert_eq!(model["data"]["params"], json!([{ "key": "depth", "value": "3" }]));
    let metrics = model["data"]["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 1, "the other point is the run's alone");
    assert_eq!((&metrics[0]["dataset_name"], &metrics[0]["run_id"]), (&json!("gold"), &json!(run)));
    let points = client.get(&format!("runs/get?run_id={run}")).await.json;
    assert_eq!(points["run"]["data"]["metrics"].as_array().unwrap().len(), 2, "and the run has both");

    let again = json!({ "model_id": id, "params": [{ "key": "depth", "value": "4" }] });
    let again = client.post(&format!("logged-models/{id}/params"), again).await;
    refused(&again, StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE");
    client.send("DELETE", &format!("logged-models/{id}"), json!({})).await;
    let gone = client.get(&format!("logged-models/{id}")).await;
    refused(&gone, StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST");
    let kept = client.get(&format!("logged-models/{id}?allow_deleted=true")).await;
    assert_eq!(kept.status, StatusCode::OK);
}

#[tokio::test]
async fn models_are_found_by_what_was_measured_of_them() {
    let client = Client::start().await;
    let run = client.run().await;
    for (name, auc, dataset) in [("a", 0.7, "gold"), ("b", 0.9, "gold"), ("c", 0.8, "other")] {
        let id = client.model(name, &run).await;
        let metric = json!({
            "run_id": run, "key": "auc", "value": auc, "timestamp": 1, "model_id": id,
            "dataset_name": dataset, "dataset_digest": "d",
        });
        assert_eq!(client.post("runs/log-metric", metric).await.json, json!({}));
    }
    let all = json!({ "experiment_ids": ["0"] });
    assert_eq!(client.models(all).await, ["a", "b", "c"], "logged at one time, so by id");
    let ordered =
        json!({ "experiment_ids": ["0"], "order_by": [{ "field_name": "metrics.auc", "ascending": false }] });
    assert_eq!(client.models(ordered).await, ["b", "c", "a"]);
    let gold = json!({
        "experiment_ids": ["0"], "filter": "metrics.auc > 0.5",
        "datasets": [{ "dataset_name": "gold", "dataset_digest": "d" }],
    });
    assert_eq!(client.models(gold).await, ["a", "b"]);
    let named = json!({ "experiment_ids": ["0"], "filter": "name = 'a' AND params.depth = '3'" });
    assert_eq!(client.models(named).await, ["a"]);
    let page =
        client.post("logged-models/search", json!({ "experiment_ids": ["0"], "max_results": 2 })).await.json;
    let token = page["next_page_token"].clone();
    let rest = json!({ "experiment_ids": ["0"], "max_results": 2, "page_token": token });
    assert_eq!(client.models(rest).await, ["c"]);
    let wrong =
        client.post("logged-models/search", json!({ "experiment_ids": ["0"], "filter": "metric.a > 1" }));
    refused(&wrong.await, StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE");
}

#[tokio::test]
async fn what_a_run_read_is_kept_once_and_found_again() {
    let client = Client::start().await;
    let run = client.run().await;
    let input = |name: &str, context: &str| {
        json!({
            "tags": [{ "key": "mlflow.data.context", "value": context }],
            "dataset": { "name": name, "digest": "d1", "source_type": "s3", "source": "{}", "profile": "{\"rows\": 3}" },
        })
    };
    for context in ["train", "other"] {
        let body = json!({ "run_id": run, "datasets": [input("bank", context)] });
        let logged = client.post("runs/log-inputs", body).await;
        assert_eq!((logged.status, &logged.json), (StatusCode::OK, &json!({})), "{}", logged.text);
    }
    let id = client.model("trees", &run).await;
    client.post("runs/outputs", json!({ "run_id": run, "models": [{ "model_id": id, "step": 4 }] })).await;
    let found = client.get(&format!("runs/get?run_id={run}")).await.json["run"].clone();
    let inputs = found["inputs"]["dataset_inputs"].as_array().unwrap();
    assert_eq!(inputs.len(), 1);
    assert_eq!(inputs[0]["tags"], json!([{ "key": "mlflow.data.context", "value": "train" }]));
    assert_eq!(inputs[0]["dataset"]["profile"], json!("{\"rows\": 3}"));
    assert!(inputs[0]["dataset"].get("schema").is_none());
    assert_eq!(found["outputs"], json!({ "model_outputs": [{ "model_id": id, "step": 4 }] }));
    for (filter, count) in [
        ("datasets.name = 'bank'", 1),
        ("dataset.name = 'none'", 0),
        ("dataset.digest LIKE 'd%' AND dataset.context = 'train'", 1),
    ] {
        let found =
            client.post("runs/search", json!({ "experiment_ids": ["0"], "filter": filter })).await.json;
        assert_eq!(found["runs"].as_array().map_or(0, Vec::len), count, "{filter}");
    }
    let found = client.post("experiments/search-datasets", json!({ "experiment_ids": ["0"] })).await.json;
    assert_eq!(
        found["dataset_summaries"],
        json!([{ "experiment_id": "0", "name": "bank", "digest": "d1", "context": "train" }])
    );
}

#[tokio::test]
async fn points_of_many_runs_are_read_at_once() {
    let client = Client::start().await;
    let run = client.run().await;
    let metrics: Vec<Value> =
        (0..10).map(|i| json!({ "key": "l", "value": i, "timestamp": i, "step": i })).collect();
    client.post("runs/log-batch", json!({ "run_id": run, "metrics": metrics })).await;
    // What mlflow 3.17.2 samples of ten rows.
    for (most, expected) in [
        (1, vec![9]),
        (2, vec![0, 9]),
        (3, vec![0, 4, 9]),
        (4, vec![0, 3, 6, 9]),
        (7, vec![0, 2, 4, 6, 7, 8, 9]),
        (9, vec![0, 2, 3, 4, 5, 6, 7, 8, 9]),
        (20, (0..10).collect()),
    ] {
        let path = format!("metrics/get-history-bulk-interval?run_ids={run}&metric_key=l&max_results={most}");
        let found = client.get(&path).await.json;
        let steps: Vec<i64> =
            found["metrics"].as_array().unwrap().iter().map(|p| p["step"].as_i64().unwrap()).collect();
        assert_eq!(steps, expected, "{most}");
    }
    let path =
        format!("metrics/get-history-bulk-interval?run_ids={run}&metric_key=l&start_step=3&end_step=4");
    assert_eq!(client.get(&path).await.json["metrics"].as_array().unwrap().len(), 2);
    let bulk =
        client.get(&format!("metrics/get-history-bulk?run_id={run}&metric_key=l&max_results=3")).await.json;
    assert_eq!(bulk["metrics"][2]["run_id"], json!(run));
    assert_eq!(bulk["metrics"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_logged_model_becomes_a_version() {
    let client = Client::start().await;
    let run = client.run().await;
    let (id, other) = (client.model("trees", &run).await, client.model("other", &run).await);
    client.post("registered-models/create", json!({ "name": "churn" })).await;
    let source = format!("models:/{id}");
    let new = |model: &str| json!({ "name": "churn", "source": source, "model_id": model });
    refused(
        &client.post("model-versions/create", new(&other)).await,
        StatusCode::BAD_REQUEST,
        "INVALID_PARAMETER_VALUE",
    );
    let made = client.post("model-versions/create", new(&id)).await.json["model_version"].clone();
    assert_eq!((&made["version"], &made["run_id"]), (&json!("1"), &json!(run)));
    let found = client.get("model-versions/get-download-uri?name=churn&version=1").await.json;
    assert_eq!(found["artifact_uri"], json!(format!("mlflow-artifacts:/0/models/{id}/artifacts")));
    let model = client.get(&format!("logged-models/{id}")).await.json;
    let tags = model["model"]["info"]["tags"].as_array().unwrap();
    let known = tags.iter().find(|tag| tag["key"] == "mlflow.modelVersions").unwrap();
    assert_eq!(known["value"], json!(r#"[{"name": "churn", "version": 1}]"#));
}
