//! A server of both HTTP protocols that answers each row with its first number, or as it is told.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Honest,
    Hang,
    Status(u16),
    Body(String),
    Redirect(String),
}

struct Shared {
    always: Mutex<Answer>,
    next: Mutex<VecDeque<Answer>>,
    unready: AtomicBool,
    scored: AtomicUsize,
    probes: AtomicUsize,
    trace: Mutex<Option<String>>,
}

pub(crate) struct Server {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared {
            always: Mutex::new(Answer::Honest),
            next: Mutex::default(),
            unready: AtomicBool::new(false),
            scored: AtomicUsize::new(0),
            probes: AtomicUsize::new(0),
            trace: Mutex::default(),
        });
        let metadata = json!({
            "name": "m", "inputs": [{"name": "input", "datatype": "FP64", "shape": [-1, 2]}],
            "outputs": [{"name": "p", "datatype": "FP64", "shape": [-1]}],
        });
        let routes = Router::new()
            .route("/v2/health/ready", get(ready))
            .route("/v2/models/m/ready", get(ready))
            .route("/ping", get(ready))
            .route("/v2/models/m", get(|| async { Json(metadata) }))
            .route("/v2/models/m/infer", post(score))
            .route("/invocations", post(score))
            .with_state(Arc::clone(&shared));
        Self { url: serve(routes).await, shared }
    }

    /// An address where nobody listens.
    pub(crate) async fn unused() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }

    pub(crate) fn always(&self, answer: Answer) {
        *self.shared.always.lock().unwrap() = answer;
    }

    pub(crate) fn next(&self, answer: Answer) {
        self.shared.next.lock().unwrap().push_back(answer);
    }

    pub(crate) fn unready(&self, unready: bool) {
        self.shared.unready.store(unready, Ordering::Relaxed);
    }

    pub(crate) fn scored(&self) -> usize {
        self.shared.scored.load(Ordering::Relaxed)
    }

    pub(crate) fn probes(&self) -> usize {
        self.shared.probes.load(Ordering::Relaxed)
    }

    pub(crate) fn trace(&self) -> Option<String> {
        self.shared.trace.lock().unwrap().clone()
    }
}

pub(crate) async fn serve(routes: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    url
}

async fn ready(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.probes.fetch_add(1, Ordering::Relaxed);
    Json(json!({ "ready": !shared.unready.load(Ordering::Relaxed) }))
}

async fn score(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    shared.scored.fetch_add(1, Ordering::Relaxed);
    let trace = headers.get("traceparent").and_then(|value| value.to_str().ok());
    *shared.trace.lock().unwrap() = trace.map(str::to_owned);
    let next = shared.next.lock().unwrap().pop_front();
    let answer = next.unwrap_or_else(|| shared.always.lock().unwrap().clone());
    match answer {
        Answer::Honest => Json(honest(&serde_json::from_slice(&body).unwrap())).into_response(),
        Answer::Hang => std::future::pending().await,
        Answer::Status(status) => {
            (StatusCode::from_u16(status).unwrap(), Json(json!({"error": "as told"}))).into_response()
        }
        Answer::Body(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Answer::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
    }
}

fn honest(request: &Value) -> Value {
    if let Some(rows) = request["dataframe_split"]["data"].as_array() {
        return json!({ "predictions": rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>() });
    }
    let numbers = request["inputs"][0]["data"].as_array().unwrap();
    let first: Vec<&Value> = numbers.iter().step_by(2).collect();
    json!({ "model_name": "m", "outputs": [
        {"name": "p", "datatype": "FP64", "shape": [first.len(), 1], "data": first}
    ] })
}
