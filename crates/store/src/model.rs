//! Model versions: inserted, never changed.

use greenlight_domain::model::ModelVersion;

use crate::{Connection, StoreError, json};

/// The number that the next version of `name` gets.
pub async fn next_version(connection: &mut Connection, name: &str) -> Result<i64, StoreError> {
    let row: (i64,) =
        sqlx::query_as("select cast(coalesce(max(version), 0) as bigint) from model_version where name = $1")
            .bind(name)
            .fetch_one(connection)
            .await?;
    Ok(row.0 + 1)
}

/// Stores a model version.
pub async fn insert(connection: &mut Connection, model: &ModelVersion) -> Result<(), StoreError> {
    sqlx::query(
        "insert into model_version (name, version, run_id, spec, created_at) values ($1, $2, $3, $4, $5)",
    )
    .bind(&model.name)
    .bind(model.version)
    .bind(&model.run_id)
    .bind(json::write("model version", model)?)
    .bind(model.created_at.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// A model version.
pub async fn get(
    connection: &mut Connection,
    name: &str,
    version: i64,
) -> Result<Option<ModelVersion>, StoreError> {
    let row: Option<(String,)> =
        sqlx::query_as("select spec from model_version where name = $1 and version = $2")
            .bind(name)
            .bind(version)
            .fetch_optional(connection)
            .await?;
    row.map(|r| json::read("model version", &r.0)).transpose()
}

/// The newest `limit` model versions, newest first.
pub async fn newest(connection: &mut Connection, limit: i64) -> Result<Vec<ModelVersion>, StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "select spec from model_version order by created_at desc, name, version desc limit $1",
    )
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|r| json::read("model version", &r.0)).collect()
}
