//! Routes: every version is kept, so that a logged route version can be read years later.

use greenlight_domain::route::Routes;
use greenlight_domain::time::Micros;
use serde::Serialize;

use crate::{Connection, Stamp, StoreError, json};

/// One version of an endpoint's routes with why it came to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteChange {
    /// What it routes.
    pub routes: Routes,
    /// When.
    pub at: Micros,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// Appends a version; a conflict means that another change came first.
pub async fn insert(
    connection: &mut Connection,
    endpoint: &str,
    routes: &Routes,
    reason: &str,
    stamp: Stamp<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into route (endpoint, version, spec, at, actor, reason) values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(endpoint)
    .bind(routes.version)
    .bind(json::write("routes", routes)?)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .bind(reason)
    .execute(connection)
    .await?;
    Ok(())
}

/// The routes in force; version 0 without any model when none were written.
pub async fn current(connection: &mut Connection, endpoint: &str) -> Result<Routes, StoreError> {
    let row: Option<(String,)> =
        sqlx::query_as("select spec from route where endpoint = $1 order by version desc limit 1")
            .bind(endpoint)
            .fetch_optional(connection)
            .await?;
    row.map_or_else(|| Ok(Routes::default()), |r| json::read("routes", &r.0))
}

/// All versions, newest first.
pub async fn history(connection: &mut Connection, endpoint: &str) -> Result<Vec<RouteChange>, StoreError> {
    let rows: Vec<(String, i64, String, String)> = sqlx::query_as(
        "select spec, at, actor, reason from route where endpoint = $1 order by version desc limit 200",
    )
    .bind(endpoint)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(spec, at, actor, reason)| {
            Ok(RouteChange { routes: json::read("routes", &spec)?, at: Micros(at), actor, reason })
        })
        .collect()
}
