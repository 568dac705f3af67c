//! Facts about this installation, such as the key of its prediction ids.

use crate::{Connection, StoreError};

/// The value of `key`.
pub async fn get(connection: &mut Connection, key: &str) -> Result<Option<String>, StoreError> {
    let row: Option<(String,)> =
        sqlx::query_as("select value from meta where key = $1").bind(key).fetch_optional(connection).await?;
    Ok(row.map(|r| r.0))
}

/// Writes `key` unless it exists; the first writer wins.
pub async fn put_if_absent(connection: &mut Connection, key: &str, value: &str) -> Result<(), StoreError> {
    sqlx::query("insert into meta (key, value) values ($1, $2) on conflict (key) do nothing")
        .bind(key)
        .bind(value)
        .execute(connection)
        .await?;
    Ok(())
}
