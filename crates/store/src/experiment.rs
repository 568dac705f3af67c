//! Experiments, MLflow's folders of runs, with their tags.

use greenlight_domain::time::Micros;
use sqlx::AssertSqlSafe;

use crate::{Connection, Stamp, StoreError, counter, rows};

/// An experiment as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Number; 0 is the default experiment.
    pub id: i64,
    /// Name, unique also among deleted ones.
    pub name: String,
    /// Where artifacts of its runs lie.
    pub artifact_location: String,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Micros>,
    /// When it was created.
    pub created_at: Micros,
    /// When its name or stage changed last.
    pub updated_at: Micros,
    /// Who created it.
    pub created_by: String,
    /// Tags, by key.
    pub tags: Vec<(String, String)>,
}

pub(crate) type Row = (i64, String, String, Option<i64>, i64, i64, String);

pub(crate) const COLUMNS: &str =
    "id, name, artifact_location, deleted_at, created_at, updated_at, created_by";

pub(crate) fn of_row(row: Row) -> Experiment {
    let (id, name, artifact_location, deleted_at, created_at, updated_at, created_by) = row;
    Experiment {
        id,
        name,
        artifact_location,
        deleted_at: deleted_at.map(Micros),
        created_at: Micros(created_at),
        updated_at: Micros(updated_at),
        created_by,
        tags: Vec::new(),
    }
}

/// Where artifacts lie that this server keeps itself.
pub const OWN_ROOT: &str = "mlflow-artifacts:/";

/// Where the artifacts of an experiment lie.
#[derive(Debug, Clone, Copy)]
pub enum Location<'a> {
    /// There.
    At(&'a str),
    /// Below that, under the number of the experiment.
    Below(&'a str),
}

/// Adds an experiment and returns its number. Fails with `Conflict` when the name is taken.
pub async fn insert(
    connection: &mut Connection,
    name: &str,
    location: Location<'_>,
    stamp: Stamp<'_>,
) -> Result<i64, StoreError> {
    let id = counter::next(connection, "experiment").await?;
    let location = match location {
        Location::At(location) => location.to_owned(),
        Location::Below(root) => format!("{}/{id}", root.trim_end_matches('/')),
    };
    sqlx::query(
        "insert into experiment (id, name, artifact_location, created_at, updated_at, created_by) \
         values ($1, $2, $3, $4, $4, $5)",
    )
    .bind(id)
    .bind(name)
    .bind(location)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(connection)
    .await?;
    Ok(id)
}

/// The experiment of that number, deleted or not.
pub async fn get(connection: &mut Connection, id: i64) -> Result<Option<Experiment>, StoreError> {
    let text = format!("select {COLUMNS} from experiment where id = $1");
    let row: Option<Row> =
        sqlx::query_as(AssertSqlSafe(text)).bind(id).fetch_optional(&mut *connection).await?;
    with_tags(connection, row.map(of_row)).await
}

/// The experiment of that name, deleted or not.
pub async fn get_by_name(connection: &mut Connection, name: &str) -> Result<Option<Experiment>, StoreError> {
    let text = format!("select {COLUMNS} from experiment where name = $1");
    let row: Option<Row> =
        sqlx::query_as(AssertSqlSafe(text)).bind(name).fetch_optional(&mut *connection).await?;
    with_tags(connection, row.map(of_row)).await
}

async fn with_tags(
    connection: &mut Connection,
    found: Option<Experiment>,
) -> Result<Option<Experiment>, StoreError> {
    let Some(experiment) = found else { return Ok(None) };
    let mut one = vec![experiment];
    fill_tags(connection, &mut one).await?;
    Ok(one.pop())
}

/// Reads the tags of all of them.
pub(crate) async fn fill_tags(
    connection: &mut Connection,
    experiments: &mut [Experiment],
) -> Result<(), StoreError> {
    let ids = rows::list(experiments.iter().map(|e| e.id));
    let text = format!(
        "select experiment_id, key, value from experiment_tag where experiment_id in ({ids}) order by experiment_id, key"
    );
    let tags: Vec<(i64, String, String)> = sqlx::query_as(AssertSqlSafe(text)).fetch_all(connection).await?;
    for (id, key, value) in tags {
        if let Some(experiment) = experiments.iter_mut().find(|e| e.id == id) {
            experiment.tags.push((key, value));
        }
    }
    Ok(())
}

/// Gives an experiment another name. Fails with `Conflict` when it is taken.
pub async fn rename(connection: &mut Connection, id: i64, name: &str, now: Micros) -> Result<(), StoreError> {
    sqlx::query("update experiment set name = $2, updated_at = $3 where id = $1")
        .bind(id)
        .bind(name)
        .bind(now.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes an experiment with its runs, or brings both back. Runs that were deleted before it stay deleted.
pub async fn set_deleted(
    connection: &mut Connection,
    id: i64,
    deleted_at: Option<Micros>,
    now: Micros,
) -> Result<(), StoreError> {
    let before = get(connection, id).await?.and_then(|e| e.deleted_at);
    sqlx::query("update experiment set deleted_at = $2, updated_at = $3 where id = $1")
        .bind(id)
        .bind(deleted_at.map(|at| at.0))
        .bind(now.0)
        .execute(&mut *connection)
        .await?;
    let runs = match deleted_at {
        Some(at) => {
            sqlx::query("update run set deleted_at = $2 where experiment_id = $1 and deleted_at is null")
                .bind(id)
                .bind(at.0)
        }
        None => sqlx::query("update run set deleted_at = null where experiment_id = $1 and deleted_at = $2")
            .bind(id)
            .bind(before.map(|at| at.0)),
    };
    runs.execute(connection).await?;
    Ok(())
}

/// Sets a tag, whatever it was.
pub async fn set_tag(connection: &mut Connection, id: i64, key: &str, value: &str) -> Result<(), StoreError> {
    sqlx::query(
        "insert into experiment_tag (experiment_id, key, value) values ($1, $2, $3) \
         on conflict (experiment_id, key) do update set value = excluded.value",
    )
    .bind(id)
    .bind(key)
    .bind(value)
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes a tag; false when there was none.
pub async fn delete_tag(connection: &mut Connection, id: i64, key: &str) -> Result<bool, StoreError> {
    let done = sqlx::query("delete from experiment_tag where experiment_id = $1 and key = $2")
        .bind(id)
        .bind(key)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() > 0)
}
