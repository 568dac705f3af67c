//! What operators do to servers: several over one store, stopping them, too many connections, traces.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;

use crate::kill::{ENDPOINT, request};
use crate::process::{Server, manifests};

/// Nothing here takes so long on any machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Asks again until the answer is the one that is waited for; how long that took.
async fn until<F: Future<Output = bool>>(what: &str, ask: impl Fn() -> F) -> Duration {
    let started = Instant::now();
    while !ask().await {
        assert!(started.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    started.elapsed()
}

async fn status(url: String, token: &str) -> Option<u16> {
    let asked = reqwest::Client::new().get(url).bearer_auth(token).send().await;
    asked.ok().map(|response| response.status().as_u16())
}

#[tokio::test]
async fn two_servers_on_one_database_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("shared.db").display());
    let artifacts = folder.path().join("artifacts");
    let shared = ["--database", &database, "--artifacts", artifacts.to_str().unwrap()];
    let one = Server::start_with(&folder.path().join("one"), &shared);
    let two = Server::start_with(&folder.path().join("two"), &shared);
    assert!(two.first_token.is_none(), "there is a token already");
    let token = one.first_token.clone().unwrap();

    one.json(&token, &["apply", "-f", manifests().to_str().unwrap()]);
    let endpoint = format!("{}/v2/models/{ENDPOINT}/ready", two.url);
    let made = until("the endpoint of the other server", || async {
        status(endpoint.clone(), &token).await == Some(200)
    })
    .await;

    let issued = two.json(&token, &["token", "issue", "--name", "vera", "--role", "viewer"]);
    let (id, viewer) = (issued["id"].as_str().unwrap(), issued["token"].as_str().unwrap().to_owned());
    let endpoints = format!("{}/v1/endpoints", one.url);
    let known = until("the token of the other server", || async {
        status(endpoints.clone(), &viewer).await == Some(200)
    })
    .await;
    two.json(&token, &["token", "revoke", id]);
    let revoked = until("the revocation by the other server", || async {
        status(endpoints.clone(), &viewer).await == Some(401)
    })
    .await;
    eprintln!("seen by the other server after: endpoint {made:?}, token {known:?}, revocation {revoked:?}");
    let metrics = reqwest::Client::new().get(format!("{}/metrics", two.url)).bearer_auth(&token);
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("greenlight_reload_delay_seconds_count 1"), "{metrics}");
}

/// A connection that speaks HTTP/1.1 by hand.
struct Wire(TcpStream);

impl Wire {
    fn open(server: &Server) -> Self {
        let stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Everything until the server closes.
    fn rest(mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).unwrap();
        text
    }
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_says_so_answers_what_was_begun_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--drain-seconds", "1"]);
    let token = server.first_token.clone().unwrap();
    server.json(&token, &["apply", "-f", manifests().to_str().unwrap()]);
    let ready = format!("{}/readyz", server.url);
    assert_eq!(status(ready.clone(), &token).await, Some(200));

    let body = request("slow-client", "2009-05-04T10:00:00Z").to_string();
    let (first, last) = body.split_at(body.len() / 2);
    let mut begun = Wire::open(&server);
    begun.send(&format!(
        "POST /v2/models/{ENDPOINT}/infer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {}\r\n\r\n{first}",
        body.len()
    ));
    // Its head is read before the signal, so that the request is in flight then.
    until("the request in flight", || async {
        let metrics = reqwest::Client::new().get(format!("{}/metrics", server.url)).bearer_auth(&token);
        metrics.send().await.unwrap().text().await.unwrap().contains("greenlight_inference_in_flight 1")
    })
    .await;
    server.terminate();
    until("not ready", || async { status(ready.clone(), &token).await == Some(503) }).await;
    let health = reqwest::get(format!("{}/v2/health/ready", server.url)).await.unwrap();
    assert_eq!(health.status(), 503);
    assert_eq!(health.headers()["connection"], "close");
    assert_eq!(health.text().await.unwrap(), r#"{"ready":false}"#);
    until("no longer accepting", || async { status(ready.clone(), &token).await.is_none() }).await;

    begun.send(last);
    let answer = begun.rest();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let json: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let id = json["outputs"][0]["data"][0].as_str().unwrap();
    assert!(server.ended(), "it ends by itself, and well");
    let output = std::process::Command::new(crate::process::BINARY)
        .args(["lake", "ids", ENDPOINT, "--json", "--data"])
        .arg(folder.path())
        .output()
        .unwrap();
    let ids: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(ids, [id], "what was acknowledged is there");
}

#[test]
fn a_second_signal_ends_a_server_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--drain-seconds", "600", "--drain-limit", "600"]);
    let mut open = Wire::open(&server);
    open.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    open.0.read_exact(&mut [0; 12]).unwrap();
    server.terminate();
    let mut wire = Wire::open(&server);
    wire.send("GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    // The signal may be seen after this request; the next one is sent only when it was.
    let mut text = wire.rest();
    while !text.contains("stopping") {
        let mut wire = Wire::open(&server);
        wire.send("GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        text = wire.rest();
    }
    let started = Instant::now();
    server.terminate();
    assert!(server.ended());
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn a_connection_too_many_waits_until_another_ends() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--max-connections", "2"]);
    let ask = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut answer = [0; 15];
    let mut open = [Wire::open(&server), Wire::open(&server)];
    for wire in &mut open {
        wire.send(ask);
        wire.0.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
    let mut third = Wire::open(&server);
    third.send(ask);
    third.0.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let waits = third.0.read_exact(&mut answer).unwrap_err();
    assert!(matches!(waits.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{waits}");
    drop(open);
    third.0.set_read_timeout(Some(PATIENCE)).unwrap();
    third.0.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut wire = Wire::open(&server);
    let head = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "a".repeat(1 << 20));
    // The server may close before it has read all of it.
    let _ = wire.0.write_all(head.as_bytes());
    let mut text = Vec::new();
    let _ = wire.0.read_to_end(&mut text);
    assert!(text.is_empty() || text.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&text));
}

/// An OpenTelemetry collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let resources = request.into_inner().resource_spans;
        let scopes = resources.into_iter().flat_map(|resource| resource.scope_spans);
        self.0.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test]
async fn a_traced_request_reaches_the_collector_under_the_clients_trace() {
    let collector = Collector::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = TraceServiceServer::new(collector.clone());
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/{method}";
    let routes = axum::Router::new().route_service(path, service);
    tokio::spawn(async move { axum::serve(listener, routes).await });

    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--otlp", &url, "--trace-ratio", "0"]);
    let token = server.first_token.clone().unwrap();
    server.json(&token, &["apply", "-f", manifests().to_str().unwrap()]);
    let ask = |flags: &'static str| {
        let infer = format!("{}/v2/models/{ENDPOINT}/infer", server.url);
        let body = request("client-1", "2009-05-04T10:00:00Z").to_string();
        let trace = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        let asked = reqwest::Client::new().post(infer).bearer_auth(&token).header("traceparent", trace);
        async move { asked.body(body).send().await.unwrap().status() }
    };
    assert_eq!(ask("00").await, 200, "not sampled: nothing is sent");
    assert_eq!(ask("01").await, 200);
    until("spans", || async {
        collector
            .0
            .lock()
            .unwrap()
            .iter()
            .any(|span| span.parent_span_id == [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7])
    })
    .await;
    let spans = collector.0.lock().unwrap().clone();
    let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
    assert!(spans.iter().all(|span| span.trace_id == trace), "only the sampled request: {spans:?}");
    let of = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let served = of("POST /v2/models/{name}/infer");
    assert_eq!(served.len(), 1, "{spans:?}");
    let parsed = of("parse");
    assert_eq!(parsed.len(), 1, "{spans:?}");
    assert_eq!(parsed[0].parent_span_id, served[0].span_id);
}
