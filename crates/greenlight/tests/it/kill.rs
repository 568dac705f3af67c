//! SIGKILL in the middle of live traffic: every acknowledged prediction and outcome is there exactly once.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{BINARY, Server, manifests};

pub(crate) const ENDPOINT: &str = "term-deposit-calls";
const WORKERS: usize = 8;
/// Three in every run of the tests; `GREENLIGHT_KILLS=50` for a long one.
static KILLS: LazyLock<usize> =
    LazyLock::new(|| std::env::var("GREENLIGHT_KILLS").map_or(3, |kills| kills.parse().expect("a number")));

/// What the clients know: ids that the server acknowledged, and those whose outcome it acknowledged.
#[derive(Default)]
struct Known {
    predictions: BTreeSet<String>,
    outcomes: BTreeSet<String>,
    duplicates: usize,
}

pub(crate) fn request(client: &str, at: &str) -> Value {
    let tensor = |name: &str, datatype: &str, value: Value| json!({ "name": name, "datatype": datatype, "shape": [1], "data": [value] });
    let text = |name: &str, value: &str| tensor(name, "BYTES", json!(value));
    let number = |name: &str, value: f64| tensor(name, "FP64", json!(value));
    json!({ "inputs": [
        text("client_id", client), text("contacted_at", at), number("age", 40.0),
        number("balance", 2_000.0), number("campaign", 1.0), text("contact", "cellular"), number("day", 4.0),
        text("default", "no"), text("education", "tertiary"), text("housing", "no"), text("job", "management"),
        text("loan", "no"), text("marital", "single"), text("month", "may"), number("pdays", -1.0),
        text("poutcome", "unknown"), number("previous", 0.0)
    ] })
}

/// Posts until the server dies; remembers only what was answered with 200.
async fn client(worker: usize, round: usize, url: String, token: String, known: Arc<Mutex<Known>>) {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let send = |path: String, body: Value| {
        let request = http.post(format!("{url}{path}")).bearer_auth(&token).body(body.to_string());
        async move {
            let response = request.header("content-type", "application/json").send().await.ok()?;
            assert!(response.status().is_success(), "{}", response.status());
            let bytes = response.bytes().await.ok()?;
            serde_json::from_slice::<Value>(&bytes).ok()
        }
    };
    for number in 0.. {
        let unit = format!("client-{round}-{worker}-{number}");
        let Some(answer) =
            send(format!("/v2/models/{ENDPOINT}/infer"), request(&unit, "2009-05-04T10:00:00Z")).await
        else {
            return;
        };
        let id = answer["outputs"][0]["data"][0].as_str().unwrap().to_owned();
        if !known.lock().unwrap().predictions.insert(id.clone()) {
            known.lock().unwrap().duplicates += 1;
        }
        let outcome = json!({ "prediction_id": id, "name": "subscribed", "value": 1, "at": "2009-05-06" });
        let body = json!({ "outcomes": [outcome, outcome] });
        let Some(_) = send(format!("/v1/endpoints/{ENDPOINT}/outcomes"), body).await else { return };
        known.lock().unwrap().outcomes.insert(id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_prediction_and_outcome_survives_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    let known = Arc::new(Mutex::new(Known::default()));
    let mut token = None;
    for round in 0..*KILLS {
        let server = Server::start(folder.path());
        let token: &String = token.get_or_insert_with(|| server.first_token.clone().expect("a first start"));
        if round == 0 {
            server.json(token, &["apply", "-f", manifests().to_str().unwrap()]);
        }
        let before = known.lock().unwrap().outcomes.len();
        let clients: Vec<_> = (0..WORKERS)
            .map(|w| tokio::spawn(client(w, round, server.url.clone(), token.clone(), Arc::clone(&known))))
            .collect();
        // Settling and sealing go on meanwhile, so that the kill may fall into either.
        let settler = tokio::spawn({
            let (url, token) = (server.url.clone(), token.clone());
            async move {
                let http = reqwest::Client::new();
                let path = format!("{url}/v1/endpoints/{ENDPOINT}/settle");
                while http.post(&path).bearer_auth(&token).send().await.is_ok() {}
            }
        });
        while known.lock().unwrap().outcomes.len() < before + 150 {
            tokio::task::yield_now().await;
        }
        server.kill();
        for client in clients {
            client.await.unwrap();
        }
        settler.await.unwrap();
    }
    let known = std::mem::take(&mut *known.lock().unwrap());
    check(folder.path(), &token.unwrap(), &known).await;
}

async fn check(data: &std::path::Path, token: &str, known: &Known) {
    assert_eq!(known.duplicates, 0, "no id was issued twice");
    // One more start recovers what the last kill left; an outcome weeks later lets everything mature.
    let server = Server::start(data);
    assert!(server.first_token.is_none(), "the tokens survived too");
    let http = reqwest::Client::new();
    let infer = http.post(format!("{}/v2/models/{ENDPOINT}/infer", server.url)).bearer_auth(token);
    let later = request("client-later", "2009-06-30T10:00:00Z").to_string();
    let answer = infer.header("content-type", "application/json").body(later).send().await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let file = data.join("later.json");
    let id = &answer["outputs"][0]["data"][0];
    let outcome = json!({ "prediction_id": id, "name": "subscribed", "value": 1, "at": "2009-07-02" });
    std::fs::write(&file, json!({ "outcomes": [outcome] }).to_string()).unwrap();
    server.json(token, &["outcome", "post", ENDPOINT, "-f", file.to_str().unwrap()]);
    // The first settle finishes the run that a kill may have cut off, with the range it began with; the next goes on.
    server.json(token, &["endpoint", "settle", ENDPOINT]);
    server.json(token, &["endpoint", "settle", ENDPOINT]);
    let ledger = server.json(token, &["ledger", "show", ENDPOINT]);
    server.kill();

    let output =
        Command::new(BINARY).args(["lake", "ids", ENDPOINT, "--json", "--data"]).arg(data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ids: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    let unique: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "nothing is there twice");
    assert!(known.predictions.iter().all(|id| unique.contains(id)), "nothing acknowledged is lost");
    let unanswered = ids.len() - 1 - known.predictions.len();
    assert!(unanswered <= WORKERS * *KILLS, "{unanswered} rows that no client asked for");

    let matured = ledger["matured"].as_u64().unwrap();
    assert_eq!(matured, ids.len() as u64 - 1, "every durable prediction but the newest is settled once");
    let positives: i64 =
        ledger["variants"].as_array().unwrap().iter().map(|v| v["positives"].as_i64().unwrap()).sum();
    let acknowledged = i64::try_from(known.outcomes.len()).unwrap();
    assert!(positives >= acknowledged, "{positives} outcomes counted, {acknowledged} acknowledged");
    assert!(positives <= acknowledged + i64::try_from(WORKERS * *KILLS).unwrap());
}
