//! Bearer tokens: only the SHA-256 of their secret is kept.

use greenlight_domain::role::{Actor, Role};
use greenlight_domain::time::Micros;
use serde::Serialize;

use crate::{Connection, Stamp, StoreError};

/// A token as it may be shown: never its secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Token {
    /// Its id, for revoking.
    pub id: String,
    /// Whom it names in the audit trail.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Most requests a second; as many as it likes when absent.
    pub rate_per_second: Option<u32>,
    /// When it was issued.
    pub created_at: Micros,
    /// Who issued it.
    pub created_by: String,
    /// When it was revoked.
    pub revoked_at: Option<Micros>,
}

/// A token that is not revoked, as requests are checked against it.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidToken {
    /// SHA-256 of its secret, hexadecimal.
    pub secret_hash: String,
    /// Whom it names, in which role.
    pub actor: Actor,
    /// Most requests a second; as many as it likes when absent.
    pub rate_per_second: Option<u32>,
}

/// Stores a new token.
pub async fn insert(
    connection: &mut Connection,
    id: &str,
    actor: &Actor,
    (secret_hash, rate_per_second): (&str, Option<u32>),
    stamp: Stamp<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into token (id, name, role, secret_hash, created_at, created_by, rate_per_second) \
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id)
    .bind(&actor.name)
    .bind(actor.role.as_str())
    .bind(secret_hash)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .bind(rate_per_second.map(i64::from))
    .execute(connection)
    .await?;
    Ok(())
}

/// Every token that is not revoked.
pub async fn valid(connection: &mut Connection) -> Result<Vec<ValidToken>, StoreError> {
    let rows: Vec<(String, String, String, Option<i64>)> =
        sqlx::query_as("select secret_hash, name, role, rate_per_second from token where revoked_at is null")
            .fetch_all(connection)
            .await?;
    rows.into_iter()
        .map(|(secret_hash, name, role, rate)| {
            let actor = Actor { name, role: role.parse()? };
            Ok(ValidToken { secret_hash, actor, rate_per_second: per_second(rate) })
        })
        .collect()
}

fn per_second(stored: Option<i64>) -> Option<u32> {
    stored.and_then(|rate| u32::try_from(rate).ok())
}

/// All tokens, oldest first.
pub async fn list(connection: &mut Connection) -> Result<Vec<Token>, StoreError> {
    type Row = (String, String, String, Option<i64>, i64, String, Option<i64>);
    let rows: Vec<Row> = sqlx::query_as(
        "select id, name, role, rate_per_second, created_at, created_by, revoked_at from token \
         order by created_at, id",
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(id, name, role, rate, created_at, created_by, revoked_at)| {
            Ok(Token {
                id,
                name,
                role: role.parse()?,
                rate_per_second: per_second(rate),
                created_at: Micros(created_at),
                created_by,
                revoked_at: revoked_at.map(Micros),
            })
        })
        .collect()
}

/// Revokes a token; false when there is no valid one of that id.
pub async fn revoke(connection: &mut Connection, id: &str, at: Micros) -> Result<bool, StoreError> {
    let done = sqlx::query("update token set revoked_at = $2 where id = $1 and revoked_at is null")
        .bind(id)
        .bind(at.0)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}
