//! Replaying recorded history as live traffic: predictions over HTTP in order of time, outcomes days later, out of
//! order, some of them twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use greenlight_app::AppError;
use greenlight_app::lake::Lake;
use greenlight_domain::frame::{Column, Frame};
use greenlight_domain::time::{DAY_US, Micros};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::client::Client;
use crate::failure::Failure;

/// What to replay and how the world answers.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// Endpoint to call.
    pub endpoint: String,
    /// Input that names the unit.
    pub unit: String,
    /// Input that carries the event time.
    pub event_time: String,
    /// Name of the outcome in the value model.
    pub outcome: String,
    /// Columns that a request carries.
    pub features: Vec<String>,
    /// Column with the day of the event.
    pub time: String,
    /// Column with what happened, and the text that counts as 1.
    pub truth: (String, String),
    /// The decision after which something can happen at all.
    pub acts_on: String,
    /// Seed of delays, order and repetition.
    pub seed: u64,
}

/// Requests in flight at once; the events of a day go out in order.
const IN_FLIGHT: usize = 16;
const WORKDAY_START_US: i64 = 9 * 3_600_000_000;
const WORKDAY_US: i64 = 8 * 3_600_000_000;
const MAX_DELAY_DAYS: i64 = 5;
const REPEATED_SHARE: f64 = 0.03;
const OUTCOMES_PER_POST: usize = 200;

/// A replay that goes forward a day at a time.
pub(crate) struct Replay {
    script: Script,
    client: Client,
    frame: Frame,
    happened: Vec<bool>,
    days: Vec<(i32, Vec<usize>)>,
    next_day: usize,
    due: BTreeMap<i32, Vec<Value>>,
    random: StdRng,
    /// Predictions answered so far.
    pub sent: usize,
    /// Outcomes posted so far, repetitions included.
    pub posted: usize,
}

impl Replay {
    /// Reads the events of `window` from a Parquet file.
    pub(crate) async fn read(
        lake: &dyn Lake,
        file: &Path,
        script: Script,
        client: Client,
        window: (Micros, Micros),
    ) -> Result<Self, Failure> {
        let mut columns = script.features.clone();
        columns.push(script.truth.0.clone());
        columns.push(script.time.clone());
        let frame =
            lake.read_dataset(file, &columns, &script.time, Some(window)).await.map_err(AppError::from)?;
        let truth = frame.texts(&script.truth.0).map_err(AppError::from)?;
        let happened = truth.iter().map(|t| t.as_deref() == Some(script.truth.1.as_str())).collect();
        let mut days: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for (row, time) in frame.numbers(&script.time).map_err(AppError::from)?.iter().enumerate() {
            days.entry(Micros(*time as i64).day()).or_default().push(row);
        }
        let random = StdRng::seed_from_u64(script.seed);
        Ok(Self {
            script,
            client,
            frame,
            happened,
            days: days.into_iter().collect(),
            next_day: 0,
            due: BTreeMap::new(),
            random,
            sent: 0,
            posted: 0,
        })
    }

    /// Number of events to be sent.
    pub(crate) fn total(&self) -> usize {
        self.frame.rows()
    }

    /// Sends the next day's predictions and every outcome that is due by then. `None` when the history is over.
    pub(crate) async fn day(&mut self) -> Result<Option<Micros>, Failure> {
        let Some((day, rows)) = self.days.get(self.next_day).cloned() else {
            return Ok(None);
        };
        self.next_day += 1;
        self.post_due(day).await?;
        let count = rows.len() as i64;
        let path = format!("/v2/models/{}/infer", self.script.endpoint);
        let requests: Vec<(usize, Micros, Value)> = rows
            .iter()
            .enumerate()
            .map(|(index, row)| {
                let offset = WORKDAY_START_US + WORKDAY_US * index as i64 / count;
                let at = Micros(Micros::from_day(day).0 + offset);
                (*row, at, self.request(*row, at))
            })
            .collect();
        let client = self.client.clone();
        let answers: Vec<(usize, Micros, Value)> = stream::iter(requests)
            .map(|(row, at, body)| {
                let (client, path) = (client.clone(), path.clone());
                async move { Ok::<_, Failure>((row, at, client.post(&path, &body).await?)) }
            })
            .buffered(IN_FLIGHT)
            .try_collect()
            .await?;
        for (row, at, answer) in answers {
            self.sent += 1;
            self.await_outcome(row, at, &answer)?;
        }
        Ok(Some(Micros::from_day(day)))
    }

    /// Posts everything that is still to come.
    pub(crate) async fn finish(&mut self) -> Result<(), Failure> {
        self.post_due(i32::MAX).await
    }

    fn request(&self, row: usize, at: Micros) -> Value {
        let tensor = |name: &str, datatype: &str, value: Value| json!({ "name": name, "shape": [1], "datatype": datatype, "data": [value] });
        let mut inputs = vec![
            tensor(&self.script.unit, "BYTES", json!(format!("client-{row:05}"))),
            tensor(&self.script.event_time, "BYTES", json!(at)),
        ];
        for name in &self.script.features {
            inputs.push(match self.frame.column(name) {
                Some(Column::Number(values)) => tensor(name, "FP64", json!(values[row])),
                Some(Column::Text(values)) => tensor(name, "BYTES", json!(values[row].as_deref())),
                None => continue,
            });
        }
        json!({ "inputs": inputs })
    }

    /// Something happens only where something was done: nobody subscribes on a call that was not made.
    fn await_outcome(&mut self, row: usize, at: Micros, answer: &Value) -> Result<(), Failure> {
        let output = |name: &str| {
            answer["outputs"]
                .as_array()
                .and_then(|o| o.iter().find(|t| t["name"] == name))
                .map(|t| t["data"][0].clone())
        };
        let (Some(id), Some(decision)) = (output("prediction_id"), output("decision")) else {
            return Err(Failure::Input("the server's answer has no prediction_id or decision".to_owned()));
        };
        if decision != self.script.acts_on.as_str() {
            return Ok(());
        }
        let delay = self.random.random_range(1..=MAX_DELAY_DAYS);
        let happens = Micros(at.0 + delay * DAY_US);
        let value = f64::from(u8::from(self.happened[row]));
        let outcome =
            json!({ "prediction_id": id, "name": self.script.outcome, "value": value, "at": happens });
        self.due.entry(happens.day()).or_default().push(outcome.clone());
        if self.random.random_bool(REPEATED_SHARE) {
            self.due.entry(happens.day() + 1).or_default().push(outcome);
        }
        Ok(())
    }

    async fn post_due(&mut self, until: i32) -> Result<(), Failure> {
        let later = self.due.split_off(&until.saturating_add(1));
        let mut now: Vec<Value> = std::mem::replace(&mut self.due, later).into_values().flatten().collect();
        now.shuffle(&mut self.random);
        let path = format!("/v1/endpoints/{}/outcomes", self.script.endpoint);
        for chunk in now.chunks(OUTCOMES_PER_POST) {
            self.client.post(&path, &json!({ "outcomes": chunk })).await?;
            self.posted += chunk.len();
        }
        Ok(())
    }
}

/// A lake only for reading files.
pub(crate) fn reader(folder: &Path) -> Result<Arc<dyn Lake>, Failure> {
    Ok(Arc::new(greenlight_lake::LocalLake::open(folder).map_err(AppError::from)?))
}
