//! Runs: MLflow's by every column of theirs, those that we train ourselves also with their data set and initiative.

use std::collections::HashMap;

use greenlight_domain::time::Micros;
use serde::Serialize;
use sqlx::AssertSqlSafe;

use crate::experiment::{Location, OWN_ROOT};
use crate::logged_dataset::RunInput;
use crate::metric::{Latest, Point};
use crate::packed::Runs;
use crate::run_model::ModelOutput;
use crate::{
    Connection, Stamp, StoreError, counter, experiment, logged_dataset, metric, packed, param, run_model,
};

/// A finished run of our own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Experiment.
    pub experiment: String,
    /// Name for people.
    pub name: String,
    /// `RUNNING`, `FINISHED` or `FAILED`, MLflow's words.
    pub status: String,
    /// Which initiative it serves.
    pub initiative: String,
    /// `name@version` of its data.
    pub dataset: String,
    /// Version of the code that trained.
    pub code_version: String,
    /// Who started it.
    pub author: String,
    /// When it started.
    pub started_at: Micros,
    /// When it ended.
    pub ended_at: Option<Micros>,
    /// Parameters.
    pub params: Vec<(String, String)>,
    /// Metrics.
    pub metrics: Vec<(String, f64)>,
}

/// A run without what was logged to it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunInfo {
    /// What its rows in other tables are named by.
    pub number: i64,
    /// 32 hexadecimal digits.
    pub id: String,
    /// Number of its experiment.
    pub experiment_id: i64,
    /// Name for people.
    pub name: String,
    /// One of MLflow's words.
    pub status: String,
    /// Who started it.
    pub author: String,
    /// When it started.
    pub started_at: Micros,
    /// When it ended.
    pub ended_at: Option<Micros>,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Micros>,
    /// Where its artifacts lie.
    pub artifact_uri: String,
}

/// A run with what was logged to it; each list by key.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// The run.
    pub info: RunInfo,
    /// Parameters.
    pub params: Vec<(String, String)>,
    /// The newest point of each metric.
    pub metrics: Vec<Latest>,
    /// Tags.
    pub tags: Vec<(String, String)>,
    /// Data sets that it read.
    pub inputs: Vec<RunInput>,
    /// Ids of logged models that it read.
    pub model_inputs: Vec<String>,
    /// Logged models that it wrote.
    pub model_outputs: Vec<ModelOutput>,
}

impl RunRecord {
    /// A run that has just begun, to which nothing but tags was logged.
    pub fn begun(number: i64, run: NewRun<'_>, artifact_location: &str, tags: Vec<(String, String)>) -> Self {
        let info = info_of((
            number,
            run.id.to_owned(),
            run.experiment_id,
            run.name.to_owned(),
            RUNNING.to_owned(),
            run.author.to_owned(),
            run.started_at.0,
            None,
            None,
            artifact_location.to_owned(),
        ));
        Self { tags, ..Self::of(info) }
    }

    fn of(info: RunInfo) -> Self {
        Self {
            info,
            params: Vec::new(),
            metrics: Vec::new(),
            tags: Vec::new(),
            inputs: Vec::new(),
            model_inputs: Vec::new(),
            model_outputs: Vec::new(),
        }
    }
}

/// A run that begins.
#[derive(Debug, Clone, Copy)]
pub struct NewRun<'a> {
    /// 32 hexadecimal digits.
    pub id: &'a str,
    /// Number of its experiment.
    pub experiment_id: i64,
    /// Name for people.
    pub name: &'a str,
    /// Who starts it.
    pub author: &'a str,
    /// When it started.
    pub started_at: Micros,
}

/// Stores a finished run of our own with its parameters and metrics; its experiment is made when there is none.
pub async fn insert(connection: &mut Connection, run: &Run) -> Result<(), StoreError> {
    // First of all: whoever removes an experiment for good waits for the same counter.
    let number = counter::next(connection, "run").await?;
    let experiment_id = if let Some(found) = experiment::get_by_name(connection, &run.experiment).await? {
        found.id
    } else {
        let stamp = Stamp { at: run.started_at, actor: &run.author };
        experiment::insert(connection, &run.experiment, Location::Below(OWN_ROOT), stamp).await?
    };
    sqlx::query(
        "insert into run (id, number, experiment_id, name, status, initiative, dataset, code_version, author, \
         started_at, ended_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&run.id)
    .bind(number)
    .bind(experiment_id)
    .bind(&run.name)
    .bind(&run.status)
    .bind(&run.initiative)
    .bind(&run.dataset)
    .bind(&run.code_version)
    .bind(&run.author)
    .bind(run.started_at.0)
    .bind(run.ended_at.map(|t| t.0))
    .execute(&mut *connection)
    .await?;
    let params: Vec<(&str, &str)> = run.params.iter().map(|(key, value)| (&**key, &**value)).collect();
    param::log(connection, number, &params).await?;
    let at_ms = run.started_at.0 / 1_000;
    let points: Vec<Point<'_>> =
        run.metrics.iter().map(|(key, value)| Point { key, value: *value, at_ms, step: 0 }).collect();
    metric::log(connection, (number, experiment_id), &points).await
}

const RUNNING: &str = "RUNNING";

/// Begins a run and returns its number. Fails with `Conflict` when there is one of that id.
pub async fn create(connection: &mut Connection, run: NewRun<'_>) -> Result<i64, StoreError> {
    let number = counter::next(connection, "run").await?;
    insert_begun(connection, number, run).await?;
    Ok(number)
}

/// The same in an experiment that is not deleted, with the place of its artifacts; none when there is no such experiment.
pub async fn create_in_active(
    connection: &mut Connection,
    run: NewRun<'_>,
) -> Result<Option<(i64, String)>, StoreError> {
    // In one statement with the number: each takes a trip to the database.
    let (number, location): (i64, Option<String>) = sqlx::query_as(
        "update counter set value = value + 1 where name = 'run' \
         returning value, (select artifact_location from experiment where id = $1 and deleted_at is null)",
    )
    .bind(run.experiment_id)
    .fetch_one(&mut *connection)
    .await?;
    let Some(location) = location else { return Ok(None) };
    insert_begun(connection, number, run).await?;
    Ok(Some((number, location)))
}

async fn insert_begun(connection: &mut Connection, number: i64, run: NewRun<'_>) -> Result<(), StoreError> {
    sqlx::query(
        "insert into run (id, number, experiment_id, name, status, initiative, dataset, code_version, author, started_at) \
         values ($1, $2, $3, $4, $5, '', '', '', $6, $7)",
    )
    .bind(run.id)
    .bind(number)
    .bind(run.experiment_id)
    .bind(run.name)
    .bind(RUNNING)
    .bind(run.author)
    .bind(run.started_at.0)
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) type InfoRow = (i64, String, i64, String, String, String, i64, Option<i64>, Option<i64>, String);

pub(crate) const INFO: &str = "run.number, run.id, run.experiment_id, run.name, run.status, run.author, run.started_at, \
                               run.ended_at, run.deleted_at, experiment.artifact_location";

pub(crate) const FROM: &str = "from run join experiment on experiment.id = run.experiment_id";

/// Where the artifacts of a run lie, in an experiment that has its own there.
pub(crate) fn artifact_uri(location: &str, id: &str) -> String {
    format!("{}/{id}/artifacts", location.trim_end_matches('/'))
}

pub(crate) fn info_of(row: InfoRow) -> RunInfo {
    let (number, id, experiment_id, name, status, author, started_at, ended_at, deleted_at, location) = row;
    let artifact_uri = artifact_uri(&location, &id);
    RunInfo {
        number,
        id,
        experiment_id,
        name,
        status,
        author,
        started_at: Micros(started_at),
        ended_at: ended_at.map(Micros),
        deleted_at: deleted_at.map(Micros),
        artifact_uri,
    }
}

/// The run of that id, deleted or not.
pub async fn info(connection: &mut Connection, id: &str) -> Result<Option<RunInfo>, StoreError> {
    let text = format!("select {INFO} {FROM} where run.id = $1");
    let row: Option<InfoRow> =
        sqlx::query_as(AssertSqlSafe(text)).bind(id).fetch_optional(connection).await?;
    Ok(row.map(info_of))
}

/// The runs with their parameters, metrics and tags, in the same order; what they read and wrote is left out.
pub async fn described(
    connection: &mut Connection,
    runs: Vec<RunInfo>,
) -> Result<Vec<RunRecord>, StoreError> {
    let mut found: Vec<RunRecord> = runs.into_iter().map(RunRecord::of).collect();
    let places = places(&found);
    let runs = Runs::of(&found.iter().map(|run| run.info.number).collect::<Vec<_>>());
    for (run, params) in packed::pairs(connection, "param", &runs).await? {
        if let Some(record) = places.get(&run).and_then(|place| found.get_mut(*place)) {
            record.params = params;
        }
    }
    for (run, tags) in packed::pairs(connection, "run_tag", &runs).await? {
        if let Some(record) = places.get(&run).and_then(|place| found.get_mut(*place)) {
            record.tags = tags;
        }
    }
    for (run, latest) in metric::latest(connection, &runs).await? {
        if let Some(record) = places.get(&run).and_then(|place| found.get_mut(*place)) {
            record.metrics.push(latest);
        }
    }
    Ok(found)
}

/// Where each run stands, by its number.
fn places(runs: &[RunRecord]) -> HashMap<i64, usize> {
    runs.iter().enumerate().map(|(place, run)| (run.info.number, place)).collect()
}

/// The runs with everything that was logged to them, in the same order.
pub async fn records(connection: &mut Connection, runs: Vec<RunInfo>) -> Result<Vec<RunRecord>, StoreError> {
    let mut found = described(connection, runs).await?;
    let places = places(&found);
    let runs = Runs::of(&found.iter().map(|run| run.info.number).collect::<Vec<_>>());
    for (run, input) in logged_dataset::of_runs(connection, &runs).await? {
        if let Some(record) = places.get(&run).and_then(|place| found.get_mut(*place)) {
            record.inputs.push(input);
        }
    }
    for (run, is_output, model) in run_model::of_runs(connection, &runs).await? {
        let Some(record) = places.get(&run).and_then(|place| found.get_mut(*place)) else { continue };
        if is_output {
            record.model_outputs.push(model);
        } else {
            record.model_inputs.push(model.model_id);
        }
    }
    Ok(found)
}

/// How many runs of an experiment are not deleted, counted up to `most`, and when the newest of them started.
pub async fn extent(
    connection: &mut Connection,
    experiment_id: i64,
    most: i64,
) -> Result<(i64, Option<Micros>), StoreError> {
    let (count,): (i64,) = sqlx::query_as(
        "select cast(count(*) as bigint) from (select run.number from run where experiment_id = $1 and deleted_at is null \
         limit $2) as counted",
    )
    .bind(experiment_id)
    .bind(most)
    .fetch_one(&mut *connection)
    .await?;
    let newest: Option<(i64,)> = sqlx::query_as(
        "select started_at from run where experiment_id = $1 and deleted_at is null order by started_at desc limit 1",
    )
    .bind(experiment_id)
    .fetch_optional(connection)
    .await?;
    Ok((count, newest.map(|row| Micros(row.0))))
}

/// Writes status, end and name of a run.
pub async fn update(connection: &mut Connection, run: &RunInfo) -> Result<(), StoreError> {
    sqlx::query("update run set status = $2, ended_at = $3, name = $4 where number = $1")
        .bind(run.number)
        .bind(&run.status)
        .bind(run.ended_at.map(|at| at.0))
        .bind(&run.name)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes who started a run.
pub async fn set_author(connection: &mut Connection, number: i64, author: &str) -> Result<(), StoreError> {
    sqlx::query("update run set author = $2 where number = $1")
        .bind(number)
        .bind(author)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes which initiative a run works for.
pub async fn set_initiative(
    connection: &mut Connection,
    number: i64,
    initiative: &str,
) -> Result<(), StoreError> {
    sqlx::query("update run set initiative = $2 where number = $1")
        .bind(number)
        .bind(initiative)
        .execute(connection)
        .await?;
    Ok(())
}

/// Says which data set a run read and which initiative it serves, where it does not say so itself.
pub async fn complete(
    connection: &mut Connection,
    id: &str,
    dataset: &str,
    initiative: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "update run set dataset = case when dataset = '' then $2 else dataset end, \
         initiative = case when initiative = '' then $3 else initiative end where id = $1",
    )
    .bind(id)
    .bind(dataset)
    .bind(initiative)
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes a run, or brings it back.
pub async fn set_deleted(
    connection: &mut Connection,
    number: i64,
    deleted_at: Option<Micros>,
) -> Result<(), StoreError> {
    sqlx::query("update run set deleted_at = $2 where number = $1")
        .bind(number)
        .bind(deleted_at.map(|at| at.0))
        .execute(connection)
        .await?;
    Ok(())
}

type Row = (String, i64, String, String, String, String, String, String, String, i64, Option<i64>);

const OWN: &str = "select run.id, run.number, experiment.name, run.name, run.status, run.initiative, run.dataset, \
                   run.code_version, run.author, run.started_at, run.ended_at \
                   from run join experiment on experiment.id = run.experiment_id";

/// The run of that id.
pub async fn get(connection: &mut Connection, id: &str) -> Result<Option<Run>, StoreError> {
    let text = format!("{OWN} where run.id = $1");
    let row: Option<Row> =
        sqlx::query_as(AssertSqlSafe(text)).bind(id).fetch_optional(&mut *connection).await?;
    match row {
        Some(row) => Ok(Some(fill(connection, row).await?)),
        None => Ok(None),
    }
}

/// The newest `limit` runs, newest first.
pub async fn newest(connection: &mut Connection, limit: i64) -> Result<Vec<Run>, StoreError> {
    let text =
        format!("{OWN} where run.deleted_at is null order by run.started_at desc, run.id desc limit $1");
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(text)).bind(limit).fetch_all(&mut *connection).await?;
    let mut runs = Vec::with_capacity(rows.len());
    for row in rows {
        runs.push(fill(connection, row).await?);
    }
    Ok(runs)
}

async fn fill(connection: &mut Connection, row: Row) -> Result<Run, StoreError> {
    let (
        id,
        number,
        experiment,
        name,
        status,
        initiative,
        dataset,
        code_version,
        author,
        started_at,
        ended_at,
    ) = row;
    let params = sqlx::query_as("select key, value from param where run = $1 order by key")
        .bind(number)
        .fetch_all(&mut *connection)
        .await?;
    let metrics = metric::latest(connection, &Runs::of(&[number])).await?;
    Ok(Run {
        id,
        experiment,
        name,
        status,
        initiative,
        dataset,
        code_version,
        author,
        started_at: Micros(started_at),
        ended_at: ended_at.map(Micros),
        params,
        metrics: metrics.into_iter().map(|(_, latest)| (latest.key, latest.value)).collect(),
    })
}

/// A run that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRun {
    /// Its id.
    pub id: String,
    /// Name of its experiment.
    pub experiment: String,
    /// Its status.
    pub status: String,
    /// When it ended.
    pub ended_at: Micros,
}

/// Runs that ended after that one, in the order of their end; deleted ones left out.
pub async fn ended(
    connection: &mut Connection,
    (after, id): (Micros, &str),
    limit: i64,
) -> Result<Vec<EndedRun>, StoreError> {
    let rows: Vec<(String, String, String, i64)> = sqlx::query_as(
        "select run.id, experiment.name, run.status, run.ended_at \
         from run join experiment on experiment.id = run.experiment_id \
         where run.ended_at is not null and (run.ended_at, run.id) > ($1, $2) and run.deleted_at is null \
         order by run.ended_at, run.id limit $3",
    )
    .bind(after.0)
    .bind(id)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    let read =
        |(id, experiment, status, ended_at)| EndedRun { id, experiment, status, ended_at: Micros(ended_at) };
    Ok(rows.into_iter().map(read).collect())
}
