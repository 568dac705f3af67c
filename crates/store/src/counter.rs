//! Numbers that are given once and never again.

use crate::{Connection, StoreError};

/// The next number of the counter of that name. Others wait for the end of the transaction.
pub(crate) async fn next(connection: &mut Connection, name: &str) -> Result<i64, StoreError> {
    several(connection, name, 1).await
}

/// Takes as many numbers of the counter as are asked for; the last of them.
pub(crate) async fn several(connection: &mut Connection, name: &str, count: i64) -> Result<i64, StoreError> {
    let row: (i64,) = sqlx::query_as("update counter set value = value + $2 where name = $1 returning value")
        .bind(name)
        .bind(count)
        .fetch_one(connection)
        .await?;
    Ok(row.0)
}
