//! Trainings: what to train, as manifests say it.

use greenlight_domain::training::TrainingSpec;

use crate::{Connection, Stamp, StoreError, json};

/// Creates or replaces a training.
pub async fn upsert(
    connection: &mut Connection,
    name: &str,
    spec: &TrainingSpec,
    stamp: Stamp<'_>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into training (name, spec, created_at, created_by, updated_at) values ($1, $2, $3, $4, $3) \
         on conflict (name) do update set spec = excluded.spec, updated_at = excluded.updated_at",
    )
    .bind(name)
    .bind(json::write("training", spec)?)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(connection)
    .await?;
    Ok(())
}

/// The training of that name.
pub async fn get(connection: &mut Connection, name: &str) -> Result<Option<TrainingSpec>, StoreError> {
    let row: Option<(String,)> = sqlx::query_as("select spec from training where name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    row.map(|r| json::read("training", &r.0)).transpose()
}

/// Names of all trainings.
pub async fn names(connection: &mut Connection) -> Result<Vec<String>, StoreError> {
    let rows: Vec<(String,)> =
        sqlx::query_as("select name from training order by name").fetch_all(connection).await?;
    Ok(rows.into_iter().map(|r| r.0).collect())
}
