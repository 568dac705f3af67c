//! What came from elsewhere: which runs and logged models an import wrote, and how they were when it did.

use sqlx::AssertSqlSafe;

use crate::{Connection, StoreError};

/// Ids of one statement.
const AT_ONCE: usize = 100;

/// The tags that an import leaves.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// Key of the one that says from where.
    pub source: &'a str,
    /// Key of the one that says how the source was.
    pub digest: &'a str,
}

/// Something that is here under an id that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Its id.
    pub id: String,
    /// Whether it was deleted.
    pub is_deleted: bool,
    /// Where it came from; none when no import wrote it.
    pub source: Option<String>,
    /// How it was there; none when the import did not end.
    pub digest: Option<String>,
}

/// Which of these runs are here.
pub async fn runs(
    connection: &mut Connection,
    ids: &[&str],
    keys: Keys<'_>,
) -> Result<Vec<Mark>, StoreError> {
    marks(connection, ids, keys, "run as t", "run_tag", "run").await
}

/// Which of these logged models are here.
pub async fn logged_models(
    connection: &mut Connection,
    ids: &[&str],
    keys: Keys<'_>,
) -> Result<Vec<Mark>, StoreError> {
    marks(connection, ids, keys, "logged_model as t", "logged_model_tag", "owner").await
}

type Row = (String, Option<i64>, Option<String>, Option<String>);

async fn marks(
    connection: &mut Connection,
    ids: &[&str],
    keys: Keys<'_>,
    table: &str,
    tags: &str,
    owner: &str,
) -> Result<Vec<Mark>, StoreError> {
    let mut found = Vec::new();
    for some in ids.chunks(AT_ONCE) {
        let places: Vec<String> = (3..some.len() + 3).map(|place| format!("${place}")).collect();
        let text = format!(
            "select t.id, t.deleted_at, s.value, d.value from {table} \
             left join {tags} as s on s.{owner} = t.number and s.key = $1 \
             left join {tags} as d on d.{owner} = t.number and d.key = $2 \
             where t.id in ({}) order by t.id",
            places.join(", ")
        );
        let mut query = sqlx::query_as(AssertSqlSafe(text)).bind(keys.source).bind(keys.digest);
        for id in some {
            query = query.bind(*id);
        }
        let rows: Vec<Row> = query.fetch_all(&mut *connection).await?;
        found.extend(rows.into_iter().map(|(id, deleted_at, source, digest)| Mark {
            id,
            is_deleted: deleted_at.is_some(),
            source,
            digest,
        }));
    }
    Ok(found)
}
