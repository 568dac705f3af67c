//! Versions of value models, the periods that each of them values, and the runs that restated a period.

use greenlight_domain::time::Micros;
use greenlight_domain::value_model::{Period, ValueModelSpec};
use serde::Serialize;

use crate::{Connection, Stamp, StoreError, json};

/// A value model of an initiative.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ValueVersion {
    /// 1 for the first.
    pub version: i64,
    /// As its owner wrote it.
    pub spec: ValueModelSpec,
    /// When it was applied; 0 for one that is older than the record of versions.
    pub created_at: Micros,
    /// By whom.
    pub created_by: String,
}

/// A run that valued settled predictions again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restatement {
    /// The settle run that posted the differences.
    pub settle_run: i64,
    /// The version that these predictions are valued by since.
    pub version: i64,
    /// First event time.
    pub from: Micros,
    /// Event time after the last.
    pub until: Micros,
    /// Why.
    pub reason: String,
    /// What was posted as gross, minor units.
    pub gross_change_minor: i64,
    /// What was posted as incremental, minor units.
    pub incremental_change_minor: i64,
    /// When.
    pub at: Micros,
    /// By whom.
    pub by: String,
}

/// Writes a version.
pub async fn insert(
    connection: &mut Connection,
    initiative: &str,
    (version, spec): (i64, &ValueModelSpec),
    stamp: Stamp<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into value_version (initiative, version, spec, created_at, created_by) values ($1, $2, $3, $4, $5)",
    )
    .bind(initiative)
    .bind(version)
    .bind(json::write("value model", spec)?)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(connection)
    .await?;
    Ok(())
}

/// All versions of an initiative, oldest first.
pub async fn list(connection: &mut Connection, initiative: &str) -> Result<Vec<ValueVersion>, StoreError> {
    let rows: Vec<(i64, String, i64, String)> = sqlx::query_as(
        "select version, spec, created_at, created_by from value_version where initiative = $1 order by version",
    )
    .bind(initiative)
    .fetch_all(connection)
    .await?;
    let read = |(version, spec, at, created_by): (i64, String, i64, String)| {
        let spec = json::read("value model", &spec)?;
        Ok(ValueVersion { version, spec, created_at: Micros(at), created_by })
    };
    rows.into_iter().map(read).collect()
}

/// Which version values the predictions of an endpoint when, in order of time.
pub async fn periods(connection: &mut Connection, endpoint: &str) -> Result<Vec<Period>, StoreError> {
    let rows: Vec<(i64, i64)> =
        sqlx::query_as("select from_at, version from value_period where endpoint = $1 order by from_at")
            .bind(endpoint)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|(from, version)| Period { from: Micros(from), version }).collect())
}

/// Replaces the periods of an endpoint.
pub async fn set_periods(
    connection: &mut Connection,
    endpoint: &str,
    periods: &[Period],
) -> Result<(), StoreError> {
    sqlx::query("delete from value_period where endpoint = $1")
        .bind(endpoint)
        .execute(&mut *connection)
        .await?;
    for period in periods {
        sqlx::query("insert into value_period (endpoint, from_at, version) values ($1, $2, $3)")
            .bind(endpoint)
            .bind(period.from.0)
            .bind(period.version)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Notes a restatement.
pub async fn restated(
    connection: &mut Connection,
    endpoint: &str,
    restatement: &Restatement,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into restatement (endpoint, settle_run, version, from_at, until_at, reason, gross_change_minor, \
         incremental_change_minor, created_at, created_by) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(endpoint)
    .bind(restatement.settle_run)
    .bind(restatement.version)
    .bind(restatement.from.0)
    .bind(restatement.until.0)
    .bind(&restatement.reason)
    .bind(restatement.gross_change_minor)
    .bind(restatement.incremental_change_minor)
    .bind(restatement.at.0)
    .bind(&restatement.by)
    .execute(connection)
    .await?;
    Ok(())
}

/// The restatements of an endpoint, oldest first.
pub async fn restatements(
    connection: &mut Connection,
    endpoint: &str,
) -> Result<Vec<Restatement>, StoreError> {
    type Row = (i64, i64, i64, i64, String, i64, i64, i64, String);
    let rows: Vec<Row> = sqlx::query_as(
        "select settle_run, version, from_at, until_at, reason, gross_change_minor, incremental_change_minor, \
         created_at, created_by from restatement where endpoint = $1 order by settle_run",
    )
    .bind(endpoint)
    .fetch_all(connection)
    .await?;
    let read = |row: Row| Restatement {
        settle_run: row.0,
        version: row.1,
        from: Micros(row.2),
        until: Micros(row.3),
        reason: row.4,
        gross_change_minor: row.5,
        incremental_change_minor: row.6,
        at: Micros(row.7),
        by: row.8,
    };
    Ok(rows.into_iter().map(read).collect())
}
