//! Releases and the stage that each is in.

use greenlight_domain::release::{Release, Stage};
use greenlight_domain::time::Micros;

use crate::{Connection, StoreError};

type Row = (String, String, String, i64, String, String, String, i64, Option<i64>, Option<String>, i64, i64);

fn read(row: Row) -> Result<Release, StoreError> {
    Ok(Release {
        id: row.0,
        endpoint: row.1,
        model: row.2,
        model_version: row.3,
        policy: row.4,
        author: row.5,
        stage: Stage::parse(&row.6)?,
        step: u32::try_from(row.7).unwrap_or(0),
        step_since: row.8.map(Micros),
        reason: row.9,
        submitted_at: Micros(row.10),
        value_version: row.11,
    })
}

/// The number that the next release of `endpoint` gets.
pub async fn next_number(connection: &mut Connection, endpoint: &str) -> Result<i64, StoreError> {
    let row: (i64,) =
        sqlx::query_as("select cast(coalesce(max(number), 0) as bigint) from release where endpoint = $1")
            .bind(endpoint)
            .fetch_one(connection)
            .await?;
    Ok(row.0 + 1)
}

/// Stores a new release with its number.
pub async fn insert(connection: &mut Connection, release: &Release, number: i64) -> Result<(), StoreError> {
    sqlx::query(
        "insert into release (id, endpoint, number, model, model_version, policy, author, stage, step, step_since, \
         reason, submitted_at, value_version) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(&release.id)
    .bind(&release.endpoint)
    .bind(number)
    .bind(&release.model)
    .bind(release.model_version)
    .bind(&release.policy)
    .bind(&release.author)
    .bind(release.stage.as_str())
    .bind(i64::from(release.step))
    .bind(release.step_since.map(|t| t.0))
    .bind(release.reason.as_deref())
    .bind(release.submitted_at.0)
    .bind(release.value_version)
    .execute(connection)
    .await?;
    Ok(())
}

/// The release of that id.
pub async fn get(connection: &mut Connection, id: &str) -> Result<Option<Release>, StoreError> {
    let row: Option<Row> = sqlx::query_as(
        "select id, endpoint, model, model_version, policy, author, stage, step, step_since, reason, submitted_at, value_version \
         from release where id = $1",
    )
    .bind(id)
    .fetch_optional(connection)
    .await?;
    row.map(read).transpose()
}

/// All releases, newest first; with `endpoint`, only its own.
pub async fn list(connection: &mut Connection, endpoint: Option<&str>) -> Result<Vec<Release>, StoreError> {
    let rows: Vec<Row> =
        match endpoint {
            Some(endpoint) => sqlx::query_as(
                "select id, endpoint, model, model_version, policy, author, stage, step, step_since, reason, \
                 submitted_at, value_version from release where endpoint = $1 order by number desc",
            )
            .bind(endpoint)
            .fetch_all(connection)
            .await?,
            None => sqlx::query_as(
                "select id, endpoint, model, model_version, policy, author, stage, step, step_since, reason, \
                 submitted_at, value_version from release order by submitted_at desc, id desc",
            )
            .fetch_all(connection)
            .await?,
        };
    rows.into_iter().map(read).collect()
}

/// The newest `limit` releases of versions of a model, newest first.
pub async fn of_model(
    connection: &mut Connection,
    model: &str,
    limit: i64,
) -> Result<Vec<Release>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, endpoint, model, model_version, policy, author, stage, step, step_since, reason, submitted_at, value_version \
         from release where model = $1 order by submitted_at desc, id desc limit $2",
    )
    .bind(model)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(read).collect()
}

/// Writes stage, step and reason of `release`, provided that it still is in `stage_before` and `step_before`;
/// false when another change came first.
pub async fn change(
    connection: &mut Connection,
    release: &Release,
    stage_before: Stage,
    step_before: u32,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "update release set stage = $2, step = $3, step_since = $4, reason = $5 \
         where id = $1 and stage = $6 and step = $7",
    )
    .bind(&release.id)
    .bind(release.stage.as_str())
    .bind(i64::from(release.step))
    .bind(release.step_since.map(|t| t.0))
    .bind(release.reason.as_deref())
    .bind(stage_before.as_str())
    .bind(i64::from(step_before))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
