//! Tags of runs.

use sqlx::AssertSqlSafe;

use crate::{Connection, StoreError, rows};

/// Sets tags, whatever they were; each key once, in ascending order, so that two writers never wait for each other.
pub async fn set(connection: &mut Connection, run: i64, tags: &[(&str, &str)]) -> Result<(), StoreError> {
    for some in tags.chunks(rows::AT_ONCE) {
        let text = format!(
            "insert into run_tag (run, key, value) values {} \
             on conflict (run, key) do update set value = excluded.value",
            rows::placeholders_with(some.len(), 1, 2)
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(run);
        for (key, value) in some {
            query = query.bind(*key).bind(*value);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Removes a tag; false when there was none.
pub async fn delete(connection: &mut Connection, run: i64, key: &str) -> Result<bool, StoreError> {
    let done = sqlx::query("delete from run_tag where run = $1 and key = $2")
        .bind(run)
        .bind(key)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() > 0)
}
