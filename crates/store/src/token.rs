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
    /// When it was issued.
    pub created_at: Micros,
    /// Who issued it.
    pub created_by: String,
    /// When it was revoked.
    pub revoked_at: Option<Micros>,
}

/// Stores a new token.
pub async fn insert(
    connection: &mut Connection,
    id: &str,
    actor: &Actor,
    secret_hash: &str,
    stamp: Stamp<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into token (id, name, role, secret_hash, created_at, created_by) values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id)
    .bind(&actor.name)
    .bind(actor.role.as_str())
    .bind(secret_hash)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(connection)
    .await?;
    Ok(())
}

/// Hash and actor of every token that is not revoked.
pub async fn valid(connection: &mut Connection) -> Result<Vec<(String, Actor)>, StoreError> {
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("select secret_hash, name, role from token where revoked_at is null")
            .fetch_all(connection)
            .await?;
    rows.into_iter().map(|(hash, name, role)| Ok((hash, Actor { name, role: role.parse()? }))).collect()
}

/// All tokens, oldest first.
pub async fn list(connection: &mut Connection) -> Result<Vec<Token>, StoreError> {
    let rows: Vec<(String, String, String, i64, String, Option<i64>)> = sqlx::query_as(
        "select id, name, role, created_at, created_by, revoked_at from token order by created_at, id",
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(id, name, role, created_at, created_by, revoked_at)| {
            Ok(Token {
                id,
                name,
                role: role.parse()?,
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
