//! Policy versions: inserted, never changed.

use greenlight_domain::policy::PolicySpec;

use crate::{Connection, Stamp, StoreError, json};

/// Publishes a policy version.
pub async fn insert(
    connection: &mut Connection,
    (name, version): (&str, i64),
    spec: &PolicySpec,
    stamp: Stamp<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into policy_version (name, version, spec, created_at, created_by) values ($1, $2, $3, $4, $5)",
    )
    .bind(name)
    .bind(version)
    .bind(json::write("policy", spec)?)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(connection)
    .await?;
    Ok(())
}

/// A policy version.
pub async fn get(
    connection: &mut Connection,
    name: &str,
    version: i64,
) -> Result<Option<PolicySpec>, StoreError> {
    let row: Option<(String,)> =
        sqlx::query_as("select spec from policy_version where name = $1 and version = $2")
            .bind(name)
            .bind(version)
            .fetch_optional(connection)
            .await?;
    row.map(|r| json::read("policy", &r.0)).transpose()
}
