//! Models of other servers, against servers on the loopback: what they answer, and what becomes of bad days.

mod grpc;
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use greenlight_app::runtime::{BreakerState, CallContext, Model, ModelRuntime, RuntimeError};
use greenlight_domain::frame::{Column, Field, Frame};
use greenlight_inference::Runtime;
use serde_json::{Value, json};

use server::{Answer, Server};

/// Rows of two numbers; servers answer with the first.
fn rows(first: &[f64]) -> Frame {
    let fields: Arc<[Field]> = vec![Field::number("a"), Field::number("b")].into();
    Frame::new(fields, vec![Column::Number(first.to_vec()), Column::Number(vec![7.0; first.len()])]).unwrap()
}

fn document(protocol: &str, addresses: &[&str], more: Value) -> Vec<u8> {
    let input = if protocol == "mlflow" {
        json!({"kind": "frame"})
    } else {
        json!({"kind": "matrix", "name": "input", "datatype": "FP64"})
    };
    let mut document = json!({
        "format": "greenlight-upstream/1", "protocol": protocol, "addresses": addresses,
        "model": if protocol == "mlflow" { "" } else { "m" }, "input": input, "retries": 0,
        "columns": [{"name": "a", "type": "number"}, {"name": "b", "type": "number"}],
    });
    for (key, value) in more.as_object().unwrap() {
        document[key] = value.clone();
    }
    document.to_string().into_bytes()
}

fn load(protocol: &str, servers: &[&Server], more: Value) -> Arc<dyn Model> {
    let addresses: Vec<&str> = servers.iter().map(|server| server.url.as_str()).collect();
    Runtime.load(&document(protocol, &addresses, more)).unwrap()
}

async fn ask_within(model: &dyn Model, first: &[f64], time: Duration) -> Result<Vec<f64>, RuntimeError> {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let context = CallContext { deadline: Instant::now() + time, traceparent: Some(trace.into()) };
    model.upstream().unwrap().score(&rows(first), &context).await
}

async fn ask(model: &dyn Model) -> Result<Vec<f64>, String> {
    ask_within(model, &[0.25, 0.5], Duration::from_secs(20)).await.map_err(|e| e.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_protocol_scores_alike_in_parts_and_from_any_thread() {
    let (http, grpc) = (Server::start().await, grpc::start().await);
    let many: Vec<f64> = (0..25).map(|row| f64::from(row) / 100.0).collect();
    for (protocol, url) in [("oip-rest", &http.url), ("mlflow", &http.url), ("oip-grpc", &grpc)] {
        let model = Runtime.load(&document(protocol, &[url.as_str()], json!({"max_rows": 10}))).unwrap();
        assert_eq!(ask(model.as_ref()).await, Ok(vec![0.25, 0.5]), "{protocol}");
        let scores = ask_within(model.as_ref(), &many, Duration::from_secs(20)).await.unwrap();
        assert_eq!(scores, many, "{protocol}");
        assert_eq!(ask_within(model.as_ref(), &[], Duration::from_secs(20)).await.unwrap(), [0.0; 0]);
        // As gates call it, and on a thread that drives tasks.
        assert_eq!(model.score(&rows(&many)).unwrap(), many, "{protocol}");
        let (again, frame) = (Arc::clone(&model), rows(&many));
        let scores = tokio::task::spawn_blocking(move || again.score(&frame).unwrap()).await.unwrap();
        assert_eq!(scores, many, "{protocol}");
        assert_eq!(model.flavor(), "upstream");
        assert!(model.upstream().unwrap().health().in_flight == 0);
    }
    assert_eq!(ask(load("mlflow", &[&http], json!({})).as_ref()).await, Ok(vec![0.25, 0.5]));
    assert_eq!(http.trace().as_deref(), Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
}

#[tokio::test]
async fn a_blocking_thread_beside_a_single_threaded_runtime_scores_too() {
    let server = Server::start().await;
    let model = load("oip-rest", &[&server], json!({}));
    let scores = tokio::task::spawn_blocking(move || model.score(&rows(&[0.5])).unwrap()).await.unwrap();
    assert_eq!(scores, [0.5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_costs_its_timeout_or_the_deadline_and_is_not_asked_twice() {
    for (protocol, timeout_ms, time_ms) in [("oip-rest", 50, 20_000), ("mlflow", 10_000, 50)] {
        let server = Server::start().await;
        server.always(Answer::Hang);
        let model = load(protocol, &[&server], json!({"timeout_ms": timeout_ms, "retries": 3}));
        let begun = Instant::now();
        let error = ask_within(model.as_ref(), &[0.5], Duration::from_millis(time_ms)).await.unwrap_err();
        assert!(error.to_string().contains("did not answer within"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{protocol} took {:?}", begun.elapsed());
        assert_eq!(server.scored(), 1, "{protocol}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_available_is_asked_again_and_what_was_refused_is_not() {
    for (status, answered, asked) in [
        (503, true, 2),
        (502, true, 2),
        (504, true, 2),
        (500, false, 1),
        (400, false, 1),
        (404, false, 1),
        (429, false, 1),
    ] {
        let server = Server::start().await;
        server.next(Answer::Status(status));
        let model = load("oip-rest", &[&server], json!({"retries": 2}));
        let answer = ask(model.as_ref()).await;
        assert_eq!((answer.is_ok(), server.scored()), (answered, asked), "{status}: {answer:?}");
        let health = model.upstream().unwrap().health();
        assert_eq!(health.addresses[0].failures, u64::from(status >= 500), "{status}");
        assert_eq!(health.retries, u64::from(answered), "{status}");
        if let Err(error) = answer {
            assert!(error.contains(&format!("status {status}, 'as told'")), "{error}");
        }
    }
    let server = Server::start().await;
    server.always(Answer::Status(503));
    let model = load("oip-rest", &[&server], json!({"retries": 2}));
    assert!(ask(model.as_ref()).await.is_err());
    assert_eq!(server.scored(), 3, "retries are bounded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sick_server_gets_little_more_than_its_usual_load() {
    let server = Server::start().await;
    server.always(Answer::Status(503));
    let model = load("oip-rest", &[&server], json!({"retries": 5, "breaker": {"failures": 1000}}));
    for _ in 0..30 {
        assert!(ask(model.as_ref()).await.is_err());
    }
    // Thirty calls, ten saved retries, and a fifth of one for each call.
    assert!((40..=46).contains(&server.scored()), "{}", server.scored());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_opens_spares_the_server_and_closes_again() {
    let server = Server::start().await;
    server.always(Answer::Status(500));
    let model = load(
        "oip-rest",
        &[&server],
        json!({"breaker": {"failures": 2, "open_ms": 60_000, "max_open_ms": 60_000}}),
    );
    for _ in 0..5 {
        assert!(ask(model.as_ref()).await.is_err());
    }
    assert_eq!(server.scored(), 2);
    let health = model.upstream().unwrap().health();
    assert_eq!((health.addresses[0].breaker, health.refused), (BreakerState::Open, 3));
    let error = ask(model.as_ref()).await.unwrap_err();
    assert!(error.contains("may try in"), "{error}");

    let brief =
        load("oip-rest", &[&server], json!({"breaker": {"failures": 1, "open_ms": 20, "max_open_ms": 20}}));
    assert!(ask(brief.as_ref()).await.is_err());
    server.always(Answer::Honest);
    let mut answered = false;
    for _ in 0..200 {
        answered = answered || ask(brief.as_ref()).await.is_ok();
        tokio::time::sleep(Duration::from_millis(if answered { 0 } else { 5 })).await;
    }
    assert!(answered);
    assert_eq!(brief.upstream().unwrap().health().addresses[0].breaker, BreakerState::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sick_one_of_two_addresses_rests() {
    let (sick, well) = (Server::start().await, Server::start().await);
    sick.always(Answer::Status(500));
    let settings = json!({"breaker": {"failures": 1000}, "ejection": {"min_requests": 5, "rest_ms": 60_000}});
    let model = load("oip-rest", &[&sick, &well], settings);
    for _ in 0..20 {
        let _ = ask(model.as_ref()).await;
    }
    let health = model.upstream().unwrap().health();
    assert!(health.addresses[0].ejected && !health.addresses[1].ejected, "{health:?}");
    let before = sick.scored();
    for _ in 0..20 {
        assert!(ask(model.as_ref()).await.is_ok());
    }
    assert_eq!(sick.scored(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_nobody_listens_costs_no_call() {
    let well = Server::start().await;
    let nobody = Server::unused().await;
    let addresses = [nobody.as_str(), well.url.as_str()];
    let grpc = grpc::start().await;
    let grpc_addresses = [nobody.as_str(), grpc.as_str()];
    for (protocol, addresses) in [("oip-rest", addresses), ("oip-grpc", grpc_addresses)] {
        let model = Runtime.load(&document(protocol, &addresses, json!({"retries": 1}))).unwrap();
        for _ in 0..6 {
            assert_eq!(ask(model.as_ref()).await, Ok(vec![0.25, 0.5]), "{protocol}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_answers_are_errors_that_say_why() {
    let server = Server::start().await;
    let output = |data: &str, shape: &str| {
        format!(r#"{{"outputs": [{{"name": "p", "datatype": "FP64", "shape": {shape}, "data": {data}}}]}}"#)
    };
    for (body, part) in [
        (output("[0.5]", "[1]"), "2 rows were sent"),
        (output("[0.5]", "[2]"), "has 1 numbers"),
        (output("[0.5, 1.5]", "[2]"), "not a probability"),
        (output("[0.5, NaN]", "[2]"), "not the JSON"),
        (output("[0.5, 1e999]", "[2]"), "not the JSON"),
        (output("[0.5, null]", "[2]"), "null"),
        (output(r#"["0.5", "0.5"]"#, "[2]"), "text"),
        (output("[0.5, 0.5]", "[2, -1]"), "shape"),
        (output("[0.5, 0.5]", "[2, 9223372036854775807, 9]"), "shape"),
        (r#"{"outputs": []}"#.to_owned(), "output"),
        (
            r#"{"outputs": [{"name": "p", "datatype": "INT64", "shape": [2], "data": [0, 1]}]}"#.to_owned(),
            "INT64",
        ),
        ("<html>".to_owned(), "not the JSON"),
        ("[".repeat(100_000), "not the JSON"),
        (" ".repeat(2_000_000), "more than"),
    ] {
        server.always(Answer::Body(body.clone()));
        let model = load("oip-rest", &[&server], json!({}));
        let error = ask(model.as_ref()).await.unwrap_err();
        assert!(error.contains(part), "{}: {error}", body.get(..100).unwrap_or(&body));
        assert!(error.len() < 600, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_lead_nowhere() {
    let (server, elsewhere) = (Server::start().await, Server::start().await);
    server.always(Answer::Redirect(format!("{}/v2/models/m/infer", elsewhere.url)));
    let model = load("oip-rest", &[&server], json!({}));
    assert!(ask(model.as_ref()).await.unwrap_err().contains("redirects are not followed"));
    assert_eq!(elsewhere.scored(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_the_bound_are_refused_and_given_up_ones_are_not_counted_for_ever() {
    let server = Server::start().await;
    server.always(Answer::Hang);
    let model = load("oip-rest", &[&server], json!({"max_in_flight": 1, "timeout_ms": 10_000}));
    let waiting = {
        let model = Arc::clone(&model);
        tokio::spawn(async move { ask(model.as_ref()).await })
    };
    while model.upstream().unwrap().health().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    assert!(ask(model.as_ref()).await.unwrap_err().contains("max_in_flight"));
    waiting.abort();
    assert!(waiting.await.is_err());
    assert_eq!(model.upstream().unwrap().health().in_flight, 0);
    server.always(Answer::Honest);
    assert!(ask(model.as_ref()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_find_a_server_that_is_not_ready_and_end_with_the_model() {
    let server = Server::start().await;
    server.unready(true);
    let model = load("oip-rest", &[&server], json!({"probe_ms": 100}));
    let ready = || model.upstream().unwrap().health().addresses[0].ready;
    let soon = Instant::now() + Duration::from_secs(20);
    while ready() != Some(false) && Instant::now() < soon {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(ready(), Some(false));
    assert!(ask(model.as_ref()).await.is_ok(), "the only address is asked all the same");
    server.unready(false);
    while ready() != Some(true) && Instant::now() < soon {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(ready(), Some(true));
    drop(model);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let probes = server.probes();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(server.probes(), probes);
}

#[tokio::test(flavor = "multi_thread")]
async fn registration_asks_the_server_what_it_takes() {
    let (http, grpc) = (Server::start().await, grpc::start().await);
    let columns = [Field::number("a"), Field::number("b")];
    for (protocol, url) in [("oip-rest", &http.url), ("mlflow", &http.url), ("oip-grpc", &grpc)] {
        let model = if protocol == "mlflow" { "" } else { "m" };
        let wanted = json!({"protocol": protocol, "addresses": [url], "model": model});
        let artifact = Runtime.connect(&wanted, &columns).unwrap();
        let model = Runtime.load(&artifact).unwrap();
        assert_eq!(model.signature().inputs.as_ref(), columns);
        assert_eq!(ask(model.as_ref()).await, Ok(vec![0.25, 0.5]), "{protocol}");
    }
    let wanted = json!({"protocol": "oip-rest", "addresses": [http.url], "model": "other"});
    let error = Runtime.connect(&wanted, &columns).unwrap_err();
    assert!(matches!(error, RuntimeError::Upstream(_)) && error.to_string().contains("404"), "{error}");
    let three = [columns.as_slice(), &[Field::number("c")]].concat();
    let wanted = json!({"protocol": "oip-rest", "addresses": [http.url], "model": "m"});
    assert!(Runtime.connect(&wanted, &three).unwrap_err().to_string().contains("a, b, c"));
    let wanted =
        json!({"protocol": "mlflow", "addresses": [http.url], "bearer_env": "GREENLIGHT_UPSTREAM_NOT_SET"});
    assert!(
        Runtime.connect(&wanted, &columns).unwrap_err().to_string().contains("GREENLIGHT_UPSTREAM_NOT_SET")
    );
}
