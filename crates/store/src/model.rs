//! Model versions: inserted, never changed.

use greenlight_domain::model::{ModelVersion, Registered};
use greenlight_domain::time::Micros;

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
        "insert into model_version (name, version, run_id, spec, created_at, registered_name, registered_version) \
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&model.name)
    .bind(model.version)
    .bind(&model.run_id)
    .bind(json::write("model version", model)?)
    .bind(model.created_at.0)
    .bind(model.registered.as_ref().map(|registered| registered.name.as_str()))
    .bind(model.registered.as_ref().map(|registered| registered.version))
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

/// The newest `limit` versions of one name, newest first.
pub async fn versions(
    connection: &mut Connection,
    name: &str,
    limit: i64,
) -> Result<Vec<ModelVersion>, StoreError> {
    let rows: Vec<(String,)> =
        sqlx::query_as("select spec from model_version where name = $1 order by version desc limit $2")
            .bind(name)
            .bind(limit)
            .fetch_all(connection)
            .await?;
    rows.iter().map(|r| json::read("model version", &r.0)).collect()
}

/// The first `limit` model versions that a run made, by name.
pub async fn of_run(
    connection: &mut Connection,
    run_id: &str,
    limit: i64,
) -> Result<Vec<ModelVersion>, StoreError> {
    let rows: Vec<(String,)> =
        sqlx::query_as("select spec from model_version where run_id = $1 order by name, version limit $2")
            .bind(run_id)
            .bind(limit)
            .fetch_all(connection)
            .await?;
    rows.iter().map(|r| json::read("model version", &r.0)).collect()
}

/// A name with its newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    /// The name.
    pub name: String,
    /// How many versions it has.
    pub versions: i64,
    /// The newest of them.
    pub newest: i64,
    /// When that was made.
    pub created_at: Micros,
}

/// The first `limit` names that contain `part`, in any case, by name.
pub async fn names(
    connection: &mut Connection,
    part: &str,
    limit: i64,
) -> Result<Vec<ModelName>, StoreError> {
    let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "select name, cast(count(*) as bigint), cast(max(version) as bigint), cast(max(created_at) as bigint) \
         from model_version where lower(name) like '%' || lower($1) || '%' group by name order by name limit $2",
    )
    .bind(part)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    let names = rows.into_iter().map(|(name, versions, newest, created_at)| ModelName {
        name,
        versions,
        newest,
        created_at: Micros(created_at),
    });
    Ok(names.collect())
}

/// The newest `limit` model versions whose file comes from that version of the registry, newest first.
pub async fn of_registered(
    connection: &mut Connection,
    registered: &Registered,
    limit: i64,
) -> Result<Vec<ModelVersion>, StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "select spec from model_version where registered_name = $1 and registered_version = $2 \
         order by created_at desc, name, version desc limit $3",
    )
    .bind(&registered.name)
    .bind(registered.version)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|r| json::read("model version", &r.0)).collect()
}
