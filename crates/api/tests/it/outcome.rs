//! Outcomes in every form, by prediction id and by unit.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use greenlight_app::lake::{Asked, JoinedBatch, Lake};
use greenlight_domain::frame::{Column, Field, Frame};
use greenlight_domain::role::Role;
use greenlight_domain::time::Micros;
use serde_json::{Value, json};

use crate::server::{Reply, Server};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv; charset=utf-8";
const PARQUET: &str = "application/vnd.apache.parquet";

struct World {
    server: Server,
    token: String,
}

impl World {
    async fn start() -> Self {
        let server = Server::start().await;
        let token = server.token(Role::Operator).await;
        Self { server, token }
    }

    /// A prediction for that unit; its id.
    async fn predict(&self, unit: &str, at: &str) -> String {
        let tensor = |name: &str, datatype: &str, value: Value| json!({ "name": name, "datatype": datatype, "shape": [1], "data": [value] });
        let body = json!({ "inputs": [
            tensor("client", "BYTES", json!(unit)), tensor("at", "BYTES", json!(at)),
            tensor("score", "FP64", json!(0.7)), tensor("noise", "FP64", json!(0.1))
        ] });
        let answer =
            self.server.send("POST", "/v2/models/calls/infer", Some(&self.token), body.to_string()).await;
        answer.json["outputs"][0]["data"][0].as_str().unwrap().to_owned()
    }

    async fn post(&self, content_type: &str, body: impl Into<axum::body::Body>) -> Reply {
        let path = "/v1/endpoints/calls/outcomes";
        self.server.send_as("POST", path, Some(&self.token), content_type, body).await
    }

    /// Outcomes that are known, by prediction id.
    async fn known(&self) -> Vec<(String, f64)> {
        let lake = &self.server.test.lake;
        lake.seal("calls").await.unwrap();
        let asked = Asked {
            outcome: "bought".into(),
            from: Micros(i64::MIN),
            until: Micros(i64::MAX),
            segment: i64::MAX,
            since: None,
            reads: [].into(),
            distinct: false,
        };
        let known: Arc<Mutex<Vec<(String, f64)>>> = Arc::default();
        let taken = Arc::clone(&known);
        let take = move |batch: JoinedBatch| {
            let rows = batch.rows.into_iter();
            taken.lock().unwrap().extend(rows.filter_map(|row| Some((row.id.to_string(), row.outcome?))));
            ControlFlow::Continue(())
        };
        lake.joined("calls", &asked, Arc::new(take)).await.unwrap();
        let mut known = std::mem::take(&mut *known.lock().unwrap());
        known.sort_by(|a, b| a.0.cmp(&b.0));
        known
    }
}

fn refused(reply: &Reply, status: u16, hint: &str) {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.text);
    let detail = reply.json["detail"].as_str().unwrap();
    assert!(detail.contains(hint), "'{detail}' does not say '{hint}'");
}

#[tokio::test]
async fn every_form_records_and_names_the_line_that_is_wrong() {
    let world = World::start().await;
    let id = world.predict("c1", "2021-01-01T09:00:00Z").await;
    let one =
        |value: f64| json!({ "prediction_id": id, "name": "bought", "value": value, "at": "2021-01-03" });
    let lines = |second: &str| format!("{}\n\n{second}\n", one(0.5));
    let records =
        |second: &str| format!("prediction_id,name,value,at\n{id},bought,0.25,2021-01-03\n{second}\n");
    for (content_type, bad, hint) in [
        (JSON, one(7.0).to_string(), "value: 7 is not between 0 and 1"),
        (NDJSON, lines(&one(7.0).to_string()), "line 3: value: 7 is not between 0 and 1"),
        (NDJSON, lines("nonsense"), "line 3: expected ident"),
        (CSV, records(&format!("{id},sold,1,2021-01-03")), "line 3: name: 'sold' is not an outcome"),
        (CSV, records(",bought,1,2021-01-03"), "line 3: prediction_id: say which prediction"),
    ] {
        let reply = world.post(content_type, bad).await;
        refused(&reply, 422, hint);
        assert!(reply.text.contains("nothing was recorded"), "{}", reply.text);
    }
    assert!(world.known().await.is_empty(), "nothing of a refused request is recorded");
    for (content_type, body, value) in [
        (JSON, one(1.0).to_string(), 1.0),
        (NDJSON, lines(&one(0.75).to_string()), 0.75),
        (CSV, records(&format!("{id},bought,0,2021-01-03")), 0.0),
    ] {
        let reply = world.post(content_type, body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        assert_eq!(world.known().await, [(id.clone(), value)], "the one received last counts");
    }
    refused(&world.post("application/xml", "<a/>").await, 415, "application/x-ndjson, text/csv");
    refused(&world.post(CSV, "id,when\n").await, 400, "column 'id' is unknown");
    refused(&world.post(NDJSON, "{}\n".repeat(10_001)).await, 400, "send 1 to 10000 at once, not 10001");
    refused(&world.post(NDJSON, "\n").await, 422, "send 1 to 10000, not 0");
}

#[tokio::test]
async fn the_rows_of_a_parquet_file_are_recorded_like_any_other() {
    let world = World::start().await;
    let id = world.predict("c1", "2021-01-01T09:00:00Z").await;
    let at: Micros = "2021-01-03".parse().unwrap();
    let frame = |value: f64| {
        let fields: Arc<[Field]> = vec![
            Field::text("prediction_id"),
            Field::text("name"),
            Field::number("value"),
            Field::number("at"),
        ]
        .into();
        let columns = vec![
            Column::Text(vec![Some(id.as_str().into())]),
            Column::Text(vec![Some("bought".into())]),
            Column::Number(vec![value]),
            Column::Number(vec![at.0 as f64]),
        ];
        Frame::new(fields, columns).unwrap()
    };
    world.server.test.lake.set_upload(frame(2.0));
    refused(&world.post(PARQUET, "PAR1").await, 422, "row 1: value: 2 is not between 0 and 1");
    world.server.test.lake.set_upload(frame(1.0));
    assert_eq!(world.post(PARQUET, "PAR1").await.json["accepted"], 1);
    assert_eq!(world.known().await, [(id, 1.0)]);
}

#[tokio::test]
async fn a_unit_stands_for_its_newest_prediction_within_the_window() {
    let world = World::start().await;
    let first = world.predict("c1", "2021-01-01T09:00:00Z").await;
    let second = world.predict("c1", "2021-01-05T09:00:00Z").await;
    let other = world.predict("c2", "2021-01-01T09:00:00Z").await;
    let lines =
        "unit,name,value,at\nc1,bought,0,2021-01-02\nc1,bought,1,2021-01-06\nc2,bought,1,2021-01-02\n";
    let reply = world.post(CSV, lines).await;
    assert_eq!(reply.json["accepted"], 3, "{}", reply.text);
    let mut expected = vec![(first, 0.0), (second, 1.0), (other, 1.0)];
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    let mut known = world.known().await;
    known.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(known, expected);

    let unit = |unit: &str, at: &str| json!({ "unit": unit, "name": "bought", "value": 1, "at": at });
    let list = json!({ "outcomes": [unit("c1", "2021-01-02"), unit("c9", "2021-01-02")] });
    refused(
        &world.post(JSON, list.to_string()).await,
        422,
        "outcomes[1].unit: 'c9' has no prediction in the 7 days",
    );
    for (at, why) in [("2020-12-31", "before the first one"), ("2021-02-01", "after the window")] {
        let reply = world.post(JSON, unit("c2", at).to_string()).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{why}: {}", reply.text);
    }
    let mut both = unit("c1", "2021-01-02");
    both["prediction_id"] = json!(expected[0].0);
    refused(&world.post(JSON, both.to_string()).await, 422, "either prediction_id or unit");
    refused(&world.post(JSON, unit("", "2021-01-02").to_string()).await, 422, "1 to 256 bytes");
    let late = unit("c1", "2022-02-01");
    refused(&world.post(JSON, late.to_string()).await, 422, "lies in the future");
    assert_eq!(world.known().await.len(), 3, "what was refused changed nothing");
}
