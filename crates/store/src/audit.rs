//! The audit trail: who changed what, in the same transaction as the change.

use greenlight_domain::role::Actor;
use greenlight_domain::time::Micros;
use serde::Serialize;

use crate::{Connection, StoreError};

/// One line of the trail.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditLine {
    /// UUIDv7; sorts by time.
    pub id: String,
    /// When.
    pub at: Micros,
    /// Who.
    pub actor: String,
    /// In which role.
    pub role: String,
    /// What was done, such as `release.submit`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Particulars.
    pub detail: serde_json::Value,
}

type Row = (String, i64, String, String, String, String, String);

fn read((id, at, actor, role, action, subject, detail): Row) -> Result<AuditLine, StoreError> {
    let detail = crate::json::read("audit detail", &detail)?;
    Ok(AuditLine { id, at: Micros(at), actor, role, action, subject, detail })
}

/// Appends a line.
pub async fn append(
    connection: &mut Connection,
    id: &str,
    at: Micros,
    actor: &Actor,
    (action, subject, detail): (&str, &str, &serde_json::Value),
) -> Result<(), StoreError> {
    sqlx::query("insert into audit (id, at, actor, role, action, subject, detail) values ($1, $2, $3, $4, $5, $6, $7)")
        .bind(id)
        .bind(at.0)
        .bind(&actor.name)
        .bind(actor.role.as_str())
        .bind(action)
        .bind(subject)
        .bind(detail.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// How many lines have an id above `floor`, and the newest time among them. Lines are never removed, so a count that
/// stands still says that nothing was changed.
pub async fn count_above(connection: &mut Connection, floor: &str) -> Result<(i64, Micros), StoreError> {
    let (count, newest): (i64, i64) = sqlx::query_as(
        "select cast(count(*) as bigint), cast(coalesce(max(at), 0) as bigint) from audit where id > $1",
    )
    .bind(floor)
    .fetch_one(connection)
    .await?;
    Ok((count, Micros(newest)))
}

/// The newest `limit` lines, newest first; with `subject`, only those about it.
pub async fn newest(
    connection: &mut Connection,
    subject: Option<&str>,
    limit: i64,
) -> Result<Vec<AuditLine>, StoreError> {
    let rows: Vec<Row> =
        match subject {
            Some(subject) => {
                sqlx::query_as(
                    "select id, at, actor, role, action, subject, detail from audit where subject = $1 \
                 order by id desc limit $2",
                )
                .bind(subject)
                .bind(limit)
                .fetch_all(connection)
                .await?
            }
            None => sqlx::query_as(
                "select id, at, actor, role, action, subject, detail from audit order by id desc limit $1",
            )
            .bind(limit)
            .fetch_all(connection)
            .await?,
        };
    rows.into_iter().map(read).collect()
}

/// The newest `limit` lines about a registered model of that name and its versions that were written before the line
/// `before`, newest first; all of them without one. Other nouns may have the same name.
pub async fn of_registered_model(
    connection: &mut Connection,
    name: &str,
    before: Option<&str>,
    limit: i64,
) -> Result<Vec<AuditLine>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, at, actor, role, action, subject, detail from audit where subject = $1 \
         and (action like 'registered_model.%' or action like 'registered_version.%') \
         and ($2 = '' or id < $2) order by id desc limit $3",
    )
    .bind(name)
    .bind(before.unwrap_or_default())
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(read).collect()
}
