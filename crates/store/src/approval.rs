//! Approvals: one a person and release, never changed.

use greenlight_domain::release::Approval;
use greenlight_domain::time::Micros;

use crate::{Connection, StoreError};

/// Stores a decision; fails with a conflict when that person has decided already.
pub async fn insert(
    connection: &mut Connection,
    release: &str,
    approval: &Approval,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into approval (release_id, actor, approved, comment, at) values ($1, $2, $3, $4, $5)",
    )
    .bind(release)
    .bind(&approval.actor)
    .bind(i64::from(approval.approved))
    .bind(&approval.comment)
    .bind(approval.at.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// The decisions about a release, oldest first.
pub async fn of_release(connection: &mut Connection, release: &str) -> Result<Vec<Approval>, StoreError> {
    let rows: Vec<(String, i64, String, i64)> = sqlx::query_as(
        "select actor, approved, comment, at from approval where release_id = $1 order by at, actor",
    )
    .bind(release)
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(actor, approved, comment, at)| Approval {
            actor,
            approved: approved != 0,
            comment,
            at: Micros(at),
        })
        .collect())
}
