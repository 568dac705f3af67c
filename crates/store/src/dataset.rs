//! Dataset versions: inserted, never changed.

use greenlight_domain::dataset::record::DatasetRecord;
use greenlight_domain::dataset::{ContractReport, DatasetSpec};
use greenlight_domain::time::Micros;
use serde::Serialize;
use sqlx::AssertSqlSafe;

use crate::{Connection, Stamp, StoreError, json};

/// A version with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetVersion {
    /// Name of the data set.
    pub name: String,
    /// Counts up from 1.
    pub version: i64,
    /// Description, licence and contract; the contract is empty where nobody wrote one.
    pub spec: DatasetSpec,
    /// How the contract was met.
    pub report: ContractReport,
    /// Where it lies and what is in it; absent for versions that are older than profiles.
    pub record: Option<DatasetRecord>,
    /// When it was added.
    pub created_at: Micros,
    /// By whom.
    pub created_by: String,
}

impl DatasetVersion {
    /// `name@version`.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// A data set's newest version in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetSummary {
    /// How many versions there are.
    pub versions: i64,
    /// The newest.
    pub newest: DatasetVersion,
}

/// Adds a dataset version with the report on its contract and what is in it.
pub async fn insert(
    connection: &mut Connection,
    (name, version): (&str, i64),
    spec: &DatasetSpec,
    report: &ContractReport,
    record: &DatasetRecord,
    stamp: Stamp<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into dataset_version (name, version, spec, report, record, source, digest, run_id, created_at, created_by) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(name)
    .bind(version)
    .bind(json::write("dataset", spec)?)
    .bind(json::write("contract report", report)?)
    .bind(json::write("dataset record", record)?)
    .bind(&record.source)
    .bind(&record.profile.digest)
    .bind(&record.run_id)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(connection)
    .await?;
    Ok(())
}

/// The number that the next version of `name` gets.
pub async fn next_version(connection: &mut Connection, name: &str) -> Result<i64, StoreError> {
    let row: (i64,) = sqlx::query_as(
        "select cast(coalesce(max(version), 0) as bigint) from dataset_version where name = $1",
    )
    .bind(name)
    .fetch_one(connection)
    .await?;
    Ok(row.0 + 1)
}

/// A dataset version and the report on its contract.
pub async fn get(
    connection: &mut Connection,
    name: &str,
    version: i64,
) -> Result<Option<(DatasetSpec, ContractReport)>, StoreError> {
    let row: Option<(String, String)> =
        sqlx::query_as("select spec, report from dataset_version where name = $1 and version = $2")
            .bind(name)
            .bind(version)
            .fetch_optional(connection)
            .await?;
    row.map(|(spec, report)| Ok((json::read("dataset", &spec)?, json::read("contract report", &report)?)))
        .transpose()
}

type Row = (String, i64, String, String, Option<String>, i64, String);
type Counted = (String, i64, String, String, Option<String>, i64, String, i64);

const OWN: &str = "select d.name, d.version, d.spec, d.report, d.record, d.created_at, d.created_by \
                   from dataset_version as d";

fn read(row: Row) -> Result<DatasetVersion, StoreError> {
    let (name, version, spec, report, record, created_at, created_by) = row;
    Ok(DatasetVersion {
        name,
        version,
        spec: json::read("dataset", &spec)?,
        report: json::read("contract report", &report)?,
        record: record.map(|record| json::read("dataset record", &record)).transpose()?,
        created_at: Micros(created_at),
        created_by,
    })
}

/// The newest `limit` versions of `name`, newest first.
pub async fn versions(
    connection: &mut Connection,
    name: &str,
    limit: i64,
) -> Result<Vec<DatasetVersion>, StoreError> {
    let text = format!("{OWN} where d.name = $1 order by d.version desc limit $2");
    let rows: Vec<Row> =
        sqlx::query_as(AssertSqlSafe(text)).bind(name).bind(limit).fetch_all(connection).await?;
    rows.into_iter().map(read).collect()
}

/// One version.
pub async fn version(
    connection: &mut Connection,
    name: &str,
    version: i64,
) -> Result<Option<DatasetVersion>, StoreError> {
    let text = format!("{OWN} where d.name = $1 and d.version = $2");
    let row: Option<Row> =
        sqlx::query_as(AssertSqlSafe(text)).bind(name).bind(version).fetch_optional(connection).await?;
    row.map(read).transpose()
}

/// Name and number of the versions whose content lies at a place, at most ten.
pub async fn at_place(connection: &mut Connection, place: &str) -> Result<Vec<(String, i64)>, StoreError> {
    Ok(sqlx::query_as(
        "select name, version from dataset_version where source = $1 order by name, version limit 10",
    )
    .bind(place)
    .fetch_all(connection)
    .await?)
}

/// The versions that a run wrote.
pub async fn of_run(connection: &mut Connection, run_id: &str) -> Result<Vec<DatasetVersion>, StoreError> {
    let text = format!("{OWN} where d.run_id = $1 order by d.name, d.version limit 100");
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(text)).bind(run_id).fetch_all(connection).await?;
    rows.into_iter().map(read).collect()
}

/// Data sets whose name follows `after`, by name, each with its newest version.
pub async fn list(
    connection: &mut Connection,
    after: &str,
    limit: i64,
) -> Result<Vec<DatasetSummary>, StoreError> {
    let text = "select d.name, d.version, d.spec, d.report, d.record, d.created_at, d.created_by, \
                (select cast(count(*) as bigint) from dataset_version as e where e.name = d.name) \
                from dataset_version as d where d.name > $1 \
                and d.version = (select max(e.version) from dataset_version as e where e.name = d.name) \
                order by d.name limit $2";
    let rows: Vec<Counted> = sqlx::query_as(text).bind(after).bind(limit).fetch_all(connection).await?;
    rows.into_iter()
        .map(|(name, version, spec, report, record, created_at, created_by, versions)| {
            let newest = read((name, version, spec, report, record, created_at, created_by))?;
            Ok(DatasetSummary { versions, newest })
        })
        .collect()
}

/// Who reads a version, given as `name@version` and its source: runs that name it, and runs that logged data from its
/// place. Each initiative (may be empty) with how many.
pub async fn reads(
    connection: &mut Connection,
    reference: &str,
    source: &str,
) -> Result<Vec<(String, i64)>, StoreError> {
    Ok(sqlx::query_as(
        "select u.initiative, cast(count(*) as bigint) from ( \
         select r.number, r.initiative from run as r \
         where r.dataset <> '' and r.dataset = $1 and r.deleted_at is null \
         union \
         select r.number, r.initiative from logged_dataset as l join run_input as i on i.dataset = l.number \
         join run as r on r.number = i.run \
         where l.place <> '' and l.place = $2 and r.deleted_at is null) as u \
         group by u.initiative order by u.initiative",
    )
    .bind(reference)
    .bind(source)
    .fetch_all(connection)
    .await?)
}
