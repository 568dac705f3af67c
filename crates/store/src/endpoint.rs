//! Endpoints and how far each of them is settled.

use greenlight_domain::endpoint::EndpointSpec;
use greenlight_domain::time::Micros;

use crate::{Connection, Stamp, StoreError, json};

/// How far an endpoint is settled. Written in the same transaction as the statistics of a settle run, so that a run
/// counts once or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SettleCursor {
    /// Predictions before this event time are settled.
    pub settled_until: Micros,
    /// The newest event time seen in an outcome.
    pub watermark: Micros,
    /// Number of the last settle run.
    pub run: i64,
    /// Outcome segments up to this number were looked at.
    pub outcome_segment: i64,
    /// Costs are posted until this event time; 0 before the first posting.
    pub cost_until: Micros,
}

/// Creates or replaces an endpoint; its cursor stays.
pub async fn upsert(
    connection: &mut Connection,
    name: &str,
    spec: &EndpointSpec,
    stamp: Stamp<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into endpoint (name, initiative, spec, created_at, created_by, settled_until, watermark, settle_run, \
         outcome_segment, cost_until) values ($1, $2, $3, $4, $5, 0, 0, 0, 0, 0) \
         on conflict (name) do update set initiative = excluded.initiative, spec = excluded.spec",
    )
    .bind(name)
    .bind(&spec.initiative)
    .bind(json::write("endpoint", spec)?)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(connection)
    .await?;
    Ok(())
}

/// The endpoint of that name.
pub async fn get(connection: &mut Connection, name: &str) -> Result<Option<EndpointSpec>, StoreError> {
    let row: Option<(String,)> = sqlx::query_as("select spec from endpoint where name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    row.map(|r| json::read("endpoint", &r.0)).transpose()
}

/// All endpoints by name.
pub async fn list(connection: &mut Connection) -> Result<Vec<(String, EndpointSpec)>, StoreError> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("select name, spec from endpoint order by name").fetch_all(connection).await?;
    rows.into_iter().map(|(name, spec)| Ok((name, json::read("endpoint", &spec)?))).collect()
}

/// Everything about an endpoint that a server publishes, as it is stored: two that are equal publish the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its name.
    pub name: String,
    /// Its specification, JSON.
    pub spec: String,
    /// The specification of its initiative, JSON.
    pub initiative: String,
    /// Version of its routes; 0 when none were written.
    pub route_version: i64,
    /// Predictions before this event time are settled.
    pub settled_until: Micros,
}

/// What servers publish of every endpoint, by name, in one query. Data sets are missing: a version never changes.
pub async fn published(connection: &mut Connection) -> Result<Vec<Published>, StoreError> {
    let rows: Vec<(String, String, String, i64, i64)> = sqlx::query_as(
        "select e.name, e.spec, i.spec, \
         cast(coalesce((select max(r.version) from route r where r.endpoint = e.name), 0) as bigint), \
         e.settled_until \
         from endpoint e join initiative i on i.name = e.initiative order by e.name",
    )
    .fetch_all(connection)
    .await?;
    let read = |(name, spec, initiative, route_version, settled_until)| Published {
        name,
        spec,
        initiative,
        route_version,
        settled_until: Micros(settled_until),
    };
    Ok(rows.into_iter().map(read).collect())
}

/// How far the endpoint is settled.
pub async fn cursor(connection: &mut Connection, name: &str) -> Result<Option<SettleCursor>, StoreError> {
    let row: Option<(i64, i64, i64, i64, i64)> = sqlx::query_as(
        "select settled_until, watermark, settle_run, outcome_segment, cost_until from endpoint where name = $1",
    )
    .bind(name)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(settled_until, watermark, run, outcome_segment, cost_until)| SettleCursor {
        settled_until: Micros(settled_until),
        watermark: Micros(watermark),
        run,
        outcome_segment,
        cost_until: Micros(cost_until),
    }))
}

/// Moves the cursor from `before`; false when another settle moved it meanwhile.
pub async fn advance_cursor(
    connection: &mut Connection,
    name: &str,
    before: &SettleCursor,
    after: &SettleCursor,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "update endpoint set settled_until = $2, settle_run = $3, outcome_segment = $4, cost_until = $5 \
         where name = $1 and settle_run = $6",
    )
    .bind(name)
    .bind(after.settled_until.0)
    .bind(after.run)
    .bind(after.outcome_segment)
    .bind(after.cost_until.0)
    .bind(before.run)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Raises the watermark; it never falls.
pub async fn raise_watermark(connection: &mut Connection, name: &str, at: Micros) -> Result<(), StoreError> {
    sqlx::query("update endpoint set watermark = $2 where name = $1 and watermark < $2")
        .bind(name)
        .bind(at.0)
        .execute(connection)
        .await?;
    Ok(())
}
