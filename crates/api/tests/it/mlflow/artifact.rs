//! Files of runs through the proxy.

use axum::http::StatusCode;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use serde_json::json;

use super::{Client, refused};
use crate::server::Reply;

const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";

impl Client {
    async fn put(&self, path: &str, bytes: impl Into<axum::body::Body>) -> Reply {
        let path = format!("{PROXY}/{path}");
        self.server.send_as("PUT", &path, Some(&self.token), "application/octet-stream", bytes).await
    }

    async fn proxy(&self, method: &str, path: &str) -> Reply {
        self.server.send(method, &format!("{PROXY}{path}"), Some(&self.token), "").await
    }

    async fn ranged(&self, path: &str, range: &str) -> (StatusCode, String, Vec<u8>) {
        let request = Request::get(format!("{PROXY}/{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::RANGE, range)
            .body(axum::body::Body::empty())
            .unwrap();
        let response = self.server.raw(request).await;
        let status = response.status();
        let range = response.headers().get(header::CONTENT_RANGE);
        let range = range.map_or("", |value| value.to_str().unwrap()).to_owned();
        (status, range, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    /// Every file below the folder of the artifacts.
    fn files(&self) -> Vec<String> {
        fn walk(folder: &std::path::Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    walk(&entry.path(), found);
                } else {
                    found.push(entry.path().display().to_string());
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.server.test.folder().join("artifacts"), &mut found);
        found.retain(|path| !path.contains("/sha256/"));
        found
    }
}

#[tokio::test]
async fn a_file_is_uploaded_listed_read_and_deleted() {
    let client = Client::start().await;
    let run = client.run().await;
    let root = format!("0/{run}/artifacts");
    for (path, bytes) in
        [("model/MLmodel", "flavors: {}"), ("model/a b.txt", "ü"), ("z.csv", "a,b"), ("none", "")]
    {
        let path = format!("{root}/{}", path.replace(' ', "%20"));
        let reply = client.put(&path, bytes).await;
        assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, ""), "{path}");
    }
    let listed = client.get(&format!("artifacts/list?run_id={run}")).await.json;
    assert_eq!(
        listed,
        json!({ "root_uri": format!("mlflow-artifacts:/{root}"), "files": [
            { "path": "model", "is_dir": true },
            { "path": "none", "is_dir": false },
            { "path": "z.csv", "is_dir": false, "file_size": 3 },
        ] })
    );
    let listed = client.get(&format!("artifacts/list?run_id={run}&path=model")).await.json;
    assert_eq!(listed["files"][0], json!({ "path": "model/MLmodel", "is_dir": false, "file_size": 11 }));
    assert_eq!(listed["files"][1]["path"], json!("model/a b.txt"));
    let listed = client.proxy("GET", &format!("?path={root}/model")).await.json;
    assert_eq!(listed["files"][0]["path"], json!("MLmodel"), "the proxy says names, not paths");
    let read = client.proxy("GET", &format!("/{root}/model/a%20b.txt")).await;
    assert_eq!((read.text.as_str(), read.content_type.as_str()), ("ü", "text/plain"));
    let (status, range, bytes) = client.ranged(&format!("{root}/model/MLmodel"), "bytes=2-4").await;
    assert_eq!(
        (status, range.as_str(), &bytes[..]),
        (StatusCode::PARTIAL_CONTENT, "bytes 2-4/11", &b"avo"[..])
    );

    assert_eq!(client.proxy("DELETE", &format!("/{root}/model")).await.json, json!({}));
    let listed = client.get(&format!("artifacts/list?run_id={run}")).await.json;
    assert_eq!(listed["files"].as_array().unwrap().len(), 2);
    let gone = client.proxy("GET", &format!("/{root}/model/MLmodel")).await;
    refused(&gone, StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST");
    assert_eq!(client.proxy("DELETE", &format!("/{root}/model")).await.status, StatusCode::OK, "twice");
}

/// Paths of CVE-2023-1177, CVE-2023-6018, CVE-2023-6831, CVE-2024-1483, CVE-2024-1594, CVE-2024-3848 and their kin, in
/// every place that takes a path.
#[tokio::test]
async fn a_path_never_leaves_its_folder() {
    let client = Client::start().await;
    let run = client.run().await;
    let before = client.files();
    for path in [
        "..%2Fescape",
        "%2e%2e/escape",
        "a/%252e%252e/%252e%252e/escape",
        "a/..%2f..%2fescape",
        "%2Fetc/escape",
        "..%5Cescape",
        "C:%5Cescape",
        "a/%00escape",
        "a%23/../escape",
        "file:%2F%2F%2Fetc%2Fescape",
    ] {
        let bad = StatusCode::BAD_REQUEST;
        let invalid = "INVALID_PARAMETER_VALUE";
        refused(&client.put(path, "x").await, bad, invalid);
        refused(&client.proxy("GET", &format!("/{path}")).await, bad, invalid);
        refused(&client.proxy("DELETE", &format!("/{path}")).await, bad, invalid);
        refused(&client.proxy("GET", &format!("?path={path}")).await, bad, invalid);
        refused(&client.get(&format!("artifacts/list?run_id={run}&path={path}")).await, bad, invalid);
        let upload = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path={path}");
        refused(&client.server.send("POST", &upload, Some(&client.token), "x").await, bad, invalid);
        let page = format!("/get-artifact?run_uuid={run}&path={path}");
        refused(&client.server.send("GET", &page, Some(&client.token), "").await, bad, invalid);
    }
    assert_eq!(client.files(), before, "nothing was written");
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let client = Client::start().await;
    let before = client.files();
    let chunks = [Ok(bytes::Bytes::from(vec![7; 9 << 20])), Err(std::io::Error::other("the line went dead"))];
    let reply =
        client.put("0/r/artifacts/a", axum::body::Body::from_stream(futures::stream::iter(chunks))).await;
    assert!(refused(&reply, StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE").contains("broke off"));
    assert_eq!(client.files(), before);
    let there = client.put("0/r/artifacts/a", "1").await;
    assert_eq!(there.status, StatusCode::OK);
    for (path, why) in [("0/r/artifacts", "is a folder"), ("0/r/artifacts/a/b", "is a file, and no folder")] {
        let reply = client.put(path, "2").await;
        let message = refused(&reply, StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE");
        assert!(message.contains(why), "{path}: {message}");
    }
    assert_eq!(client.files().len(), before.len() + 1);
    assert_eq!(client.proxy("GET", "/0/r/artifacts/a").await.text, "1");
}

/// MLflow's client knows by this message that it has to send the file whole.
#[tokio::test]
async fn parts_are_refused_in_mlflows_words() {
    let client = Client::start().await;
    let path = "/api/2.0/mlflow-artifacts/mpu/create/0/r/artifacts";
    let reply =
        client.server.send("POST", path, Some(&client.token), r#"{"path": "a", "num_parts": 2}"#).await;
    let message = refused(&reply, StatusCode::NOT_IMPLEMENTED, "NOT_IMPLEMENTED");
    assert!(message.starts_with("Multipart upload is not supported for the current artifact repository"));
}
