//! Keys and values that hang on something with a number: one way to write them for every such table.

use sqlx::AssertSqlSafe;

use crate::{Connection, StoreError, rows};

/// A table of `owner`, `key`, `value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tags {
    /// Of registered models.
    RegisteredModel,
    /// Of their versions.
    RegisteredVersion,
    /// Of logged models.
    LoggedModel,
    /// Parameters of logged models, which are never changed.
    LoggedModelParam,
    /// Of what a run read.
    RunInput,
}

impl Tags {
    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::RegisteredModel => "registered_model_tag",
            Self::RegisteredVersion => "registered_version_tag",
            Self::LoggedModel => "logged_model_tag",
            Self::LoggedModelParam => "logged_model_param",
            Self::RunInput => "run_input_tag",
        }
    }
}

/// Sets tags, whatever they were; each key once.
pub async fn set(
    connection: &mut Connection,
    tags: Tags,
    owner: i64,
    pairs: &[(&str, &str)],
) -> Result<(), StoreError> {
    let rows: Vec<(i64, &str, &str)> = pairs.iter().map(|(key, value)| (owner, *key, *value)).collect();
    let replace = " on conflict (owner, key) do update set value = excluded.value";
    write(connection, tags, &rows, replace).await
}

/// Adds pairs of several owners. Fails with `Conflict` when there is one of that key.
pub async fn insert(
    connection: &mut Connection,
    tags: Tags,
    rows: &[(i64, &str, &str)],
) -> Result<(), StoreError> {
    write(connection, tags, rows, "").await
}

async fn write(
    connection: &mut Connection,
    tags: Tags,
    all: &[(i64, &str, &str)],
    on_conflict: &str,
) -> Result<(), StoreError> {
    for some in all.chunks(rows::AT_ONCE) {
        let text = format!(
            "insert into {} (owner, key, value) values {}{on_conflict}",
            tags.table(),
            rows::placeholders(some.len(), 3)
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        for (owner, key, value) in some {
            query = query.bind(*owner).bind(*key).bind(*value);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Removes a tag; false when there was none.
pub async fn delete(
    connection: &mut Connection,
    tags: Tags,
    owner: i64,
    key: &str,
) -> Result<bool, StoreError> {
    let text = format!("delete from {} where owner = $1 and key = $2", tags.table());
    let done = sqlx::query(AssertSqlSafe(text)).bind(owner).bind(key).execute(connection).await?;
    Ok(done.rows_affected() > 0)
}

/// All tags of these owners, by owner and key.
pub(crate) async fn of(
    connection: &mut Connection,
    tags: Tags,
    owners: impl IntoIterator<Item = i64>,
) -> Result<Vec<(i64, String, String)>, StoreError> {
    let text = format!(
        "select owner, key, value from {} where owner in ({}) order by owner, key",
        tags.table(),
        rows::list(owners)
    );
    Ok(sqlx::query_as(AssertSqlSafe(text)).fetch_all(connection).await?)
}
