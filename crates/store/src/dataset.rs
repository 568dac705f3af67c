//! Dataset versions: inserted, never changed.

use greenlight_domain::dataset::{ContractReport, DatasetSpec};

use crate::{Connection, Stamp, StoreError, json};

/// Adds a dataset version with the report on its contract.
pub async fn insert(
    connection: &mut Connection,
    (name, version): (&str, i64),
    spec: &DatasetSpec,
    report: &ContractReport,
    stamp: Stamp<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into dataset_version (name, version, spec, report, created_at, created_by) \
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(name)
    .bind(version)
    .bind(json::write("dataset", spec)?)
    .bind(json::write("contract report", report)?)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(connection)
    .await?;
    Ok(())
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
