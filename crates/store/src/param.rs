//! Parameters of runs: written once, never changed.

use sqlx::AssertSqlSafe;

use crate::{Connection, StoreError, rows};

/// A parameter that has another value already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Which one.
    pub key: String,
    /// What it is.
    pub old: String,
    /// What it should have become.
    pub new: String,
}

/// Writes parameters, each key once. Those that have another value already are answered and stay what they are.
pub async fn log(
    connection: &mut Connection,
    run: i64,
    params: &[(&str, &str)],
) -> Result<Vec<Changed>, StoreError> {
    let mut changed = Vec::new();
    for some in params.chunks(rows::AT_ONCE) {
        let text = format!(
            "insert into param (run, key, value) values {} on conflict (run, key) do nothing",
            rows::placeholders_with(some.len(), 1, 2)
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(run);
        for (key, value) in some {
            query = query.bind(*key).bind(*value);
        }
        let done = query.execute(&mut *connection).await?;
        if done.rows_affected() < some.len() as u64 {
            changed.extend(differing(connection, run, some).await?);
        }
    }
    Ok(changed)
}

async fn differing(
    connection: &mut Connection,
    run: i64,
    params: &[(&str, &str)],
) -> Result<Vec<Changed>, StoreError> {
    let stored: Vec<(String, String)> =
        sqlx::query_as("select key, value from param where run = $1").bind(run).fetch_all(connection).await?;
    let stored: std::collections::HashMap<String, String> = stored.into_iter().collect();
    let changed = params.iter().filter_map(|(key, new)| {
        let old = stored.get(*key).filter(|old| old.as_str() != *new)?;
        Some(Changed { key: (*key).to_owned(), old: old.clone(), new: (*new).to_owned() })
    });
    Ok(changed.collect())
}
