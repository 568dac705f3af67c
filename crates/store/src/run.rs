//! Runs with their parameters and metrics.

use greenlight_domain::time::Micros;
use serde::Serialize;

use crate::{Connection, StoreError};

/// A run as it is stored.
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

/// Stores a finished run with its parameters and metrics.
pub async fn insert(connection: &mut Connection, run: &Run) -> Result<(), StoreError> {
    sqlx::query(
        "insert into run (id, experiment, name, status, initiative, dataset, code_version, author, started_at, ended_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(&run.id)
    .bind(&run.experiment)
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
    for (key, value) in &run.params {
        sqlx::query("insert into run_param (run_id, key, value) values ($1, $2, $3)")
            .bind(&run.id)
            .bind(key)
            .bind(value)
            .execute(&mut *connection)
            .await?;
    }
    for (key, value) in &run.metrics {
        sqlx::query("insert into run_metric (run_id, key, value, at) values ($1, $2, $3, $4)")
            .bind(&run.id)
            .bind(key)
            .bind(value)
            .bind(run.started_at.0)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

type Row = (String, String, String, String, String, String, String, String, i64, Option<i64>);

/// The run of that id.
pub async fn get(connection: &mut Connection, id: &str) -> Result<Option<Run>, StoreError> {
    let row: Option<Row> = sqlx::query_as(
        "select id, experiment, name, status, initiative, dataset, code_version, author, started_at, ended_at \
         from run where id = $1",
    )
    .bind(id)
    .fetch_optional(&mut *connection)
    .await?;
    match row {
        Some(row) => Ok(Some(fill(connection, row).await?)),
        None => Ok(None),
    }
}

/// The newest `limit` runs, newest first.
pub async fn newest(connection: &mut Connection, limit: i64) -> Result<Vec<Run>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, experiment, name, status, initiative, dataset, code_version, author, started_at, ended_at \
         from run order by started_at desc, id desc limit $1",
    )
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let mut runs = Vec::with_capacity(rows.len());
    for row in rows {
        runs.push(fill(connection, row).await?);
    }
    Ok(runs)
}

async fn fill(connection: &mut Connection, row: Row) -> Result<Run, StoreError> {
    let params = sqlx::query_as("select key, value from run_param where run_id = $1 order by key")
        .bind(&row.0)
        .fetch_all(&mut *connection)
        .await?;
    let metrics = sqlx::query_as("select key, value from run_metric where run_id = $1 order by key")
        .bind(&row.0)
        .fetch_all(&mut *connection)
        .await?;
    Ok(Run {
        id: row.0,
        experiment: row.1,
        name: row.2,
        status: row.3,
        initiative: row.4,
        dataset: row.5,
        code_version: row.6,
        author: row.7,
        started_at: Micros(row.8),
        ended_at: row.9.map(Micros),
        params,
        metrics,
    })
}
