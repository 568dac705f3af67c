//! OpenLineage, in and out: what jobs of other systems read and wrote, and what runs here did.
//!
//! Shapes follow the specification 2-0-2 (`RunEvent`). Of an event that comes in, the job, its inputs and its outputs are
//! kept, facets are not. Events that go out are read from the runs themselves whenever somebody asks, in the order in
//! which the runs ended, so that none is lost and none is stored twice.

use greenlight_domain::dataset::record::place;
use greenlight_domain::lineage::{Direction, Edge, Node, NodeKind};
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::Micros;
use greenlight_store::run::EndedRun;
use greenlight_store::{Connection, StoreError, dataset, lineage, logged_dataset};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{App, AppError, allow};

/// Most inputs, and most outputs, of an event.
const MAX_DATASETS: usize = 1_000;
/// Longest name of a job or a place.
const MAX_NAME: usize = 2_000;
/// Most events of an answer.
const MAX_EVENTS: i64 = 500;
/// The namespace of what lives here.
const OWN: &str = "greenlight";
const PRODUCER: &str = concat!("https://greenlight.invalid/", env!("CARGO_PKG_VERSION"));
const SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// A data set in an event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct EventDataset {
    /// Where it lives, such as `s3://bucket`.
    pub namespace: String,
    /// Which one there.
    pub name: String,
}

/// A job in an event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct EventJob {
    /// The scheduler's name.
    pub namespace: String,
    /// Which job.
    pub name: String,
}

/// What a job of another system did.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunEvent {
    /// When, RFC 3339.
    pub event_time: String,
    /// Who.
    pub job: EventJob,
    /// What it read.
    #[serde(default)]
    pub inputs: Vec<EventDataset>,
    /// What it wrote.
    #[serde(default)]
    pub outputs: Vec<EventDataset>,
}

/// Where to go on reading events, and the events.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Events {
    /// `RunEvent`s of the specification.
    pub events: Vec<Value>,
    /// Send it as `after` to get what follows; the same as before when nothing came.
    pub next: String,
}

impl EventDataset {
    /// Its place in one spelling.
    fn place(&self) -> String {
        let name = self.name.trim_start_matches('/');
        match self.namespace.as_str() {
            "file" => format!("file:///{name}"),
            OWN => match self.name.rsplit_once('@') {
                Some((dataset, version)) => format!("/v1/datasets/{dataset}/versions/{version}/content"),
                None => format!("{OWN}:{name}"),
            },
            namespace if namespace.contains("://") => {
                place(&format!("{}/{name}", namespace.trim_end_matches('/')))
            }
            namespace => format!("{namespace}:{}", self.name),
        }
    }

    /// The data set at a place; the other way round than [`Self::place`].
    fn at(place: &str) -> Self {
        let new =
            |namespace: &str, name: &str| Self { namespace: namespace.to_owned(), name: name.to_owned() };
        if let Some(path) = place.strip_prefix("file://") {
            return new("file", path);
        }
        if let Some((scheme, rest)) = place.split_once("://") {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            return new(&format!("{scheme}://{host}"), path);
        }
        new(OWN, place)
    }
}

/// Takes in an event. Events without inputs and outputs are accepted and change nothing.
pub async fn record(app: &App, actor: &Actor, event: RunEvent) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    let at: jiff::Timestamp = event.event_time.parse().map_err(|_| {
        AppError::Invalid(format!("eventTime: '{}' is not a time as RFC 3339 writes it", event.event_time))
    })?;
    if event.inputs.len() > MAX_DATASETS || event.outputs.len() > MAX_DATASETS {
        return Err(AppError::Invalid(format!(
            "an event has at most {MAX_DATASETS} inputs and as many outputs"
        )));
    }
    let job = format!("{}:{}", event.job.namespace, event.job.name);
    check("job", &job)?;
    let sides = event.inputs.iter().map(|d| (d, false)).chain(event.outputs.iter().map(|d| (d, true)));
    let mut transaction = app.store.begin().await?;
    for (dataset, is_output) in sides {
        let place = dataset.place();
        check("dataset", &place)?;
        lineage::report(&mut transaction, (&job, &place, is_output), Micros(at.as_microsecond())).await?;
    }
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

fn check(what: &str, name: &str) -> Result<(), AppError> {
    if name.len() <= 2 || name.len() > MAX_NAME || name.contains('\0') {
        return Err(AppError::Invalid(format!(
            "{what}: namespace and name are needed, together at most {MAX_NAME} bytes"
        )));
    }
    Ok(())
}

/// Events of runs that ended, in that order, from `after` on.
pub async fn events(app: &App, actor: &Actor, after: &str, limit: i64) -> Result<Events, AppError> {
    allow(actor, Action::Read)?;
    let (ended_at, id) = cursor(after)?;
    let mut connection = app.store.read().await?;
    let runs =
        greenlight_store::run::ended(&mut connection, (ended_at, &id), limit.clamp(1, MAX_EVENTS)).await?;
    let next = runs.last().map_or_else(|| after.to_owned(), |run| format!("{}:{}", run.ended_at.0, run.id));
    let mut events = Vec::with_capacity(runs.len());
    for run in &runs {
        events.push(event(&mut connection, run).await?);
    }
    Ok(Events { events, next })
}

fn cursor(after: &str) -> Result<(Micros, String), AppError> {
    if after.is_empty() {
        return Ok((Micros(i64::MIN), String::new()));
    }
    let parsed = after.split_once(':').and_then(|(at, id)| Some((Micros(at.parse().ok()?), id.to_owned())));
    parsed
        .ok_or_else(|| AppError::Invalid("after: send what an answer gave as 'next', or nothing".to_owned()))
}

async fn event(connection: &mut Connection, run: &EndedRun) -> Result<Value, AppError> {
    let most = 1_000;
    let ids = [run.id.as_str()];
    let read = lineage::edges(connection, Direction::Up, NodeKind::Run, &ids, most).await?;
    let made = lineage::edges(connection, Direction::Down, NodeKind::Run, &ids, most).await?;
    let mut inputs = Vec::with_capacity(read.len());
    for Edge { from, .. } in &read {
        inputs.push(named(connection, from).await?);
    }
    let mut outputs = Vec::with_capacity(made.len());
    for Edge { to, .. } in &made {
        outputs.push(named(connection, to).await?);
    }
    let event_type = match run.status.as_str() {
        "FINISHED" => "COMPLETE",
        "FAILED" => "FAIL",
        "KILLED" => "ABORT",
        _ => "OTHER",
    };
    let run_id =
        uuid::Uuid::parse_str(&run.id).map_or_else(|_| run.id.clone(), |id| id.hyphenated().to_string());
    Ok(json!({
        "eventType": event_type,
        "eventTime": run.ended_at.to_string(),
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": { "runId": run_id },
        "job": { "namespace": OWN, "name": run.experiment },
        "inputs": inputs,
        "outputs": outputs,
    }))
}

/// A node as a data set of an event: data by their place, all else by its kind and name.
async fn named(connection: &mut Connection, node: &Node) -> Result<EventDataset, AppError> {
    let own = || EventDataset { namespace: OWN.to_owned(), name: node.to_string() };
    match node.kind {
        NodeKind::Dataset => {
            let (name, version) = greenlight_domain::training::split_version(&node.name)?;
            let found = dataset::version(connection, name, version).await?;
            let source = found.and_then(|found| found.record).map(|record| record.source).unwrap_or_default();
            if source.contains("://") {
                return Ok(EventDataset::at(&source));
            }
            Ok(EventDataset { namespace: OWN.to_owned(), name: node.name.clone() })
        }
        NodeKind::LoggedDataset => {
            let (name, digest) = node.name.rsplit_once('#').unwrap_or((&node.name, ""));
            let place = logged_dataset::place_of(connection, name, digest).await?;
            Ok(place.filter(|place| place.contains("://")).map_or_else(own, |place| EventDataset::at(&place)))
        }
        _ => Ok(own()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_and_its_data_set_are_one() {
        for (namespace, name, place) in [
            ("s3://bucket", "a/b.parquet", "s3://bucket/a/b.parquet"),
            ("file", "/data/a.csv", "file:///data/a.csv"),
            ("https://host:1", "a.csv", "https://host:1/a.csv"),
        ] {
            let dataset = EventDataset { namespace: namespace.to_owned(), name: name.to_owned() };
            assert_eq!(dataset.place(), place);
            assert_eq!(EventDataset::at(place), dataset);
        }
        let own = EventDataset { namespace: OWN.to_owned(), name: "bank@2".to_owned() };
        assert_eq!(own.place(), "/v1/datasets/bank/versions/2/content");
        let table = EventDataset {
            namespace: "postgres://db:5432".to_owned(),
            name: "shop.public.orders".to_owned(),
        };
        assert_eq!(EventDataset::at(&table.place()), table);
    }
}
