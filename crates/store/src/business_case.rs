//! Business cases: inserted, never changed; the newest dated one of an initiative counts.

use greenlight_domain::business_case::BusinessCaseSpec;

use crate::{Connection, Stamp, StoreError, json};

/// Adds a business case.
pub async fn insert(
    connection: &mut Connection,
    name: &str,
    spec: &BusinessCaseSpec,
    stamp: Stamp<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into business_case (name, initiative, dated, spec, created_at, created_by) \
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(name)
    .bind(&spec.initiative)
    .bind(spec.dated.0)
    .bind(json::write("business case", spec)?)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(connection)
    .await?;
    Ok(())
}

/// The business case of that name.
pub async fn get(connection: &mut Connection, name: &str) -> Result<Option<BusinessCaseSpec>, StoreError> {
    let row: Option<(String,)> = sqlx::query_as("select spec from business_case where name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    row.map(|r| json::read("business case", &r.0)).transpose()
}

/// The newest business case of an initiative, with its name.
pub async fn newest(
    connection: &mut Connection,
    initiative: &str,
) -> Result<Option<(String, BusinessCaseSpec)>, StoreError> {
    let row: Option<(String, String)> = sqlx::query_as(
        "select name, spec from business_case where initiative = $1 order by dated desc, created_at desc, name desc limit 1",
    )
    .bind(initiative)
    .fetch_optional(connection)
    .await?;
    row.map(|(name, spec)| Ok((name, json::read("business case", &spec)?))).transpose()
}
