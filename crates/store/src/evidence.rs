//! Evidence: inserted, never changed, with the digest of what was written.

use greenlight_domain::evidence::GateResult;
use greenlight_domain::time::Micros;
use serde::Serialize;

use crate::{Connection, Stamp, StoreError, json};

/// Evidence as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    /// UUIDv7; sorts by time.
    pub id: String,
    /// What the gate found.
    #[serde(flatten)]
    pub result: GateResult,
    /// SHA-256 of the result when it was written.
    pub digest: String,
    /// When.
    pub at: Micros,
    /// Who ran the gate.
    pub actor: String,
}

/// Stores the result of a gate.
pub async fn insert(
    connection: &mut Connection,
    id: &str,
    release: &str,
    result: &GateResult,
    stamp: Stamp<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into evidence (id, release_id, gate, passed, result, digest, at, actor) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id)
    .bind(release)
    .bind(result.gate.as_str())
    .bind(i64::from(result.passed))
    .bind(json::write("evidence", result)?)
    .bind(result.digest())
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(connection)
    .await?;
    Ok(())
}

/// The evidence of a release in the order in which it was found.
pub async fn of_release(connection: &mut Connection, release: &str) -> Result<Vec<Evidence>, StoreError> {
    let rows: Vec<(String, String, String, i64, String)> = sqlx::query_as(
        "select id, result, digest, at, actor from evidence where release_id = $1 order by id",
    )
    .bind(release)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(id, result, digest, at, actor)| {
            Ok(Evidence { id, result: json::read("evidence", &result)?, digest, at: Micros(at), actor })
        })
        .collect()
}
