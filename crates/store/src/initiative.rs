//! Initiatives.

use greenlight_domain::initiative::InitiativeSpec;

use crate::{Connection, Stamp, StoreError, json};

/// Creates or replaces an initiative.
pub async fn upsert(
    connection: &mut Connection,
    name: &str,
    spec: &InitiativeSpec,
    stamp: Stamp<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into initiative (name, spec, created_at, created_by, updated_at) values ($1, $2, $3, $4, $3) \
         on conflict (name) do update set spec = excluded.spec, updated_at = excluded.updated_at",
    )
    .bind(name)
    .bind(json::write("initiative", spec)?)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(connection)
    .await?;
    Ok(())
}

/// The initiative of that name.
pub async fn get(connection: &mut Connection, name: &str) -> Result<Option<InitiativeSpec>, StoreError> {
    let row: Option<(String,)> = sqlx::query_as("select spec from initiative where name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    row.map(|r| json::read("initiative", &r.0)).transpose()
}

/// All initiatives by name.
pub async fn list(connection: &mut Connection) -> Result<Vec<(String, InitiativeSpec)>, StoreError> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("select name, spec from initiative order by name").fetch_all(connection).await?;
    rows.into_iter().map(|(name, spec)| Ok((name, json::read("initiative", &spec)?))).collect()
}
