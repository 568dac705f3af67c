//! What was deleted long ago: what of it may go, what still holds it, and what is left to remove of what went.
//!
//! A run and a logged model lose their own row first, in the transaction that writes a row of `garbage`. From then on
//! nothing finds them; what hangs on them is named by a number that is never given again, and goes in small
//! transactions, last of all the row of `garbage`. Whoever adds a table that hangs on either names it here.

use greenlight_domain::time::Micros;
use sqlx::AssertSqlSafe;

use crate::{Connection, StoreError, counter, logged_model, registered_version, rows, run};

/// What has files of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A run.
    Run,
    /// A logged model.
    LoggedModel,
}

/// A deleted run or logged model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What its rows in other tables are named by.
    pub number: i64,
    /// Its id.
    pub id: String,
    /// Number of its experiment.
    pub experiment_id: i64,
    /// Where its files lie.
    pub place: String,
    /// What refers to it and is not deleted.
    pub held_by: Option<Holder>,
}

/// What refers to something that is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A model version that can be released, as `name@version`.
    Model(String),
    /// A version of a registered model, as `name version 1`.
    Registered(String),
    /// A logged model, by id.
    Logged(String),
    /// An experiment whose artifacts lie below its own, by name.
    Experiment(String),
}

/// A deleted experiment and how much is in it, deleted or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExperimentCandidate {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Runs.
    pub runs: i64,
    /// Logged models.
    pub models: i64,
}

/// What is left to remove of something whose own row is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbage {
    /// What it was.
    pub kind: Kind,
    /// Its number.
    pub owner: i64,
    /// Its id.
    pub id: String,
    /// Where its files lie.
    pub place: String,
}

/// A part of a list: what comes after a number, at most so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Deleted then or before.
    pub before: Micros,
    /// The number before the page.
    pub after: i64,
    /// Most of the page.
    pub limit: i64,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::LoggedModel => "logged_model",
        }
    }
}

/// Model versions, registered versions, logged models and experiments that refer to the run `r`, the least of each.
const HOLDERS_OF_RUN: &str = "\
    (select min(o.name || '@' || cast(o.version as text)) from model_version as o where o.run_id = r.id), \
    (select min(g.name || ' version ' || cast(v.version as text)) from registered_version as v \
     join registered_model as g on g.number = v.model where v.deleted_at is null and (v.run_id = r.id \
     or v.source like '%' || r.id || '%' or v.storage_location like '%' || r.id || '%')), \
    (select min(m.id) from logged_model as m join experiment as x on x.id = m.experiment_id \
     where m.source_run_id = r.id and m.deleted_at is null and x.deleted_at is null), \
    (select min(x.name) from experiment as x where x.artifact_location like '%' || r.id || '%')";

type Held = Option<String>;
type RunRow = (i64, String, i64, String, Held, Held, Held, Held);
type ModelRow = (i64, String, i64, String, Held, Held);

/// Deleted runs, by number.
pub async fn runs(connection: &mut Connection, page: Page) -> Result<Vec<Candidate>, StoreError> {
    let text = format!(
        "select r.number, r.id, r.experiment_id, e.artifact_location, {HOLDERS_OF_RUN} \
         from run as r join experiment as e on e.id = r.experiment_id \
         where r.deleted_at is not null and r.deleted_at <= $1 and r.number > $2 order by r.number limit $3"
    );
    let found: Vec<RunRow> = sqlx::query_as(AssertSqlSafe(text))
        .bind(page.before.0)
        .bind(page.after)
        .bind(page.limit)
        .fetch_all(connection)
        .await?;
    let candidates = found.into_iter().map(|row| {
        let (number, id, experiment_id, location, own, registered, logged, experiment) = row;
        let held_by = own.map(Holder::Model).or(registered.map(Holder::Registered));
        let held_by = held_by.or(logged.map(Holder::Logged)).or(experiment.map(Holder::Experiment));
        let place = run::artifact_uri(&location, &id);
        Candidate { number, id, experiment_id, place, held_by }
    });
    Ok(candidates.collect())
}

/// Logged models that are deleted, or whose experiment is, by number.
pub async fn logged_models(connection: &mut Connection, page: Page) -> Result<Vec<Candidate>, StoreError> {
    let found: Vec<ModelRow> = sqlx::query_as(
        "select m.number, m.id, m.experiment_id, e.artifact_location, \
         (select min(g.name || ' version ' || cast(v.version as text)) from registered_version as v \
         join registered_model as g on g.number = v.model where v.deleted_at is null \
         and (v.source like '%' || m.id || '%' or v.storage_location like '%' || m.id || '%')), \
         (select min(x.name) from experiment as x where x.artifact_location like '%' || m.id || '%') \
         from logged_model as m join experiment as e on e.id = m.experiment_id \
         where (m.deleted_at <= $1 or e.deleted_at <= $1) and m.number > $2 order by m.number limit $3",
    )
    .bind(page.before.0)
    .bind(page.after)
    .bind(page.limit)
    .fetch_all(connection)
    .await?;
    let candidates = found.into_iter().map(|row| {
        let (number, id, experiment_id, location, registered, experiment) = row;
        let held_by = registered.map(Holder::Registered).or(experiment.map(Holder::Experiment));
        let place = logged_model::artifact_uri(&location, &id);
        Candidate { number, id, experiment_id, place, held_by }
    });
    Ok(candidates.collect())
}

/// Keeps new versions of registered models away until this transaction ends, so that who is found to hold nothing
/// holds nothing. Call it before candidates are looked for that are to be removed.
pub async fn hold(connection: &mut Connection) -> Result<(), StoreError> {
    registered_version::hold(connection).await
}

/// Removes the rows of these candidates and notes what is left of them; the numbers of those that were still deleted.
pub async fn remove(
    connection: &mut Connection,
    kind: Kind,
    candidates: &[&Candidate],
    (before, now): (Micros, Micros),
) -> Result<Vec<i64>, StoreError> {
    let numbers = rows::list(candidates.iter().map(|candidate| candidate.number));
    let still = match kind {
        Kind::Run => "deleted_at <= $1",
        Kind::LoggedModel => {
            "(deleted_at <= $1 or experiment_id in (select id from experiment where deleted_at <= $1))"
        }
    };
    let text =
        format!("delete from {} where number in ({numbers}) and {still} returning number", kind.as_str());
    let gone: Vec<(i64,)> =
        sqlx::query_as(AssertSqlSafe(text)).bind(before.0).fetch_all(&mut *connection).await?;
    let gone: Vec<i64> = gone.into_iter().map(|row| row.0).collect();
    for candidate in candidates.iter().filter(|candidate| gone.contains(&candidate.number)) {
        sqlx::query(
            "insert into garbage (kind, owner, id, place, at) values ($1, $2, $3, $4, $5) on conflict do nothing",
        )
        .bind(kind.as_str())
        .bind(candidate.number)
        .bind(&candidate.id)
        .bind(&candidate.place)
        .bind(now.0)
        .execute(&mut *connection)
        .await?;
    }
    Ok(gone)
}

/// What is left to remove, at most so much of it.
pub async fn pending(connection: &mut Connection, limit: i64) -> Result<Vec<Garbage>, StoreError> {
    let found: Vec<(String, i64, String, String)> =
        sqlx::query_as("select kind, owner, id, place from garbage order by kind, owner limit $1")
            .bind(limit)
            .fetch_all(connection)
            .await?;
    let garbage = found.into_iter().map(|(kind, owner, id, place)| {
        let kind = if kind == Kind::Run.as_str() { Kind::Run } else { Kind::LoggedModel };
        Garbage { kind, owner, id, place }
    });
    Ok(garbage.collect())
}

/// Tables whose rows name a run by number, with the rest of their keys.
const OF_RUN: [(&str, &str, &str); 5] = [
    ("metric", "run", "key, step, at_ms, value, is_nan"),
    ("latest_metric", "run", "key"),
    ("param", "run", "key"),
    ("run_tag", "run", "key"),
    ("run_model", "run", "is_output, model_id"),
];

/// Tables whose rows name a logged model by number, with the rest of their keys.
const OF_LOGGED_MODEL: [(&str, &str, &str); 3] = [
    ("logged_model_metric", "model", "key, run_id, step, at_ms, dataset_name, dataset_digest, value, is_nan"),
    ("logged_model_param", "owner", "key"),
    ("logged_model_tag", "owner", "key"),
];

/// Removes rows that hang on what is gone, at most `limit` of a table; how many, and none when there are no more.
pub async fn remove_rows(
    connection: &mut Connection,
    garbage: &Garbage,
    limit: i64,
) -> Result<u64, StoreError> {
    let tables: &[(&str, &str, &str)] = match garbage.kind {
        Kind::Run => &OF_RUN,
        Kind::LoggedModel => &OF_LOGGED_MODEL,
    };
    for (table, owner, key) in tables {
        let text = format!(
            "delete from {table} where {owner} = $1 \
             and ({key}) in (select {key} from {table} where {owner} = $1 limit $2)"
        );
        let query = sqlx::query(AssertSqlSafe(text)).bind(garbage.owner).bind(limit);
        let done = query.execute(&mut *connection).await?.rows_affected();
        if done > 0 {
            return Ok(done);
        }
    }
    match garbage.kind {
        Kind::Run => remove_inputs(connection, garbage.owner, limit).await,
        Kind::LoggedModel => remove_uses(connection, &garbage.id, limit).await,
    }
}

/// Removes what says which data sets a run read.
async fn remove_inputs(connection: &mut Connection, run: i64, limit: i64) -> Result<u64, StoreError> {
    let inputs: Vec<(i64,)> =
        sqlx::query_as("select number from run_input where run = $1 order by number limit $2")
            .bind(run)
            .bind(limit)
            .fetch_all(&mut *connection)
            .await?;
    let numbers = rows::list(inputs.iter().map(|row| row.0));
    let text = format!("delete from run_input_tag where owner in ({numbers})");
    sqlx::query(AssertSqlSafe(text)).execute(&mut *connection).await?;
    let text = format!("delete from run_input where number in ({numbers})");
    Ok(sqlx::query(AssertSqlSafe(text)).execute(connection).await?.rows_affected())
}

/// Removes what says which runs read and wrote a logged model.
async fn remove_uses(connection: &mut Connection, id: &str, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "delete from run_model where model_id = $1 \
         and (run, is_output) in (select run, is_output from run_model where model_id = $1 limit $2)",
    )
    .bind(id)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Says that nothing is left of it.
pub async fn finish(connection: &mut Connection, garbage: &Garbage) -> Result<(), StoreError> {
    sqlx::query("delete from garbage where kind = $1 and owner = $2")
        .bind(garbage.kind.as_str())
        .bind(garbage.owner)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deleted experiments, by number. The default one, into which clients log when they name none, is not among them.
pub async fn experiments(
    connection: &mut Connection,
    page: Page,
) -> Result<Vec<ExperimentCandidate>, StoreError> {
    let found: Vec<(i64, String, i64, i64)> = sqlx::query_as(
        "select e.id, e.name, (select count(*) from run as r where r.experiment_id = e.id), \
         (select count(*) from logged_model as m where m.experiment_id = e.id) from experiment as e \
         where e.deleted_at <= $1 and e.id > $2 and e.id <> 0 order by e.id limit $3",
    )
    .bind(page.before.0)
    .bind(page.after)
    .bind(page.limit)
    .fetch_all(connection)
    .await?;
    let candidates =
        found.into_iter().map(|(id, name, runs, models)| ExperimentCandidate { id, name, runs, models });
    Ok(candidates.collect())
}

/// Removes an experiment in which nothing is left; false when there is something, or it is not deleted any more. Roll
/// back then.
pub async fn remove_experiment(
    connection: &mut Connection,
    id: i64,
    before: Micros,
) -> Result<bool, StoreError> {
    // Runs of our own are added to an experiment of that name whether it is deleted or not.
    counter::several(connection, "run", 0).await?;
    sqlx::query("delete from experiment_tag where experiment_id = $1")
        .bind(id)
        .execute(&mut *connection)
        .await?;
    let done = sqlx::query(
        "delete from experiment where id = $1 and deleted_at <= $2 \
         and not exists (select 1 from run as r where r.experiment_id = $1) \
         and not exists (select 1 from logged_model as m where m.experiment_id = $1)",
    )
    .bind(id)
    .bind(before.0)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Deleted versions of registered models that still say something, by number; with what names them.
pub async fn versions(connection: &mut Connection, page: Page) -> Result<Vec<(i64, String)>, StoreError> {
    let found = sqlx::query_as(
        "select v.number, g.name || ' version ' || cast(v.version as text) from registered_version as v \
         join registered_model as g on g.number = v.model \
         where v.deleted_at <= $1 and v.number > $2 and v.source <> '' order by v.number limit $3",
    )
    .bind(page.before.0)
    .bind(page.after)
    .bind(page.limit)
    .fetch_all(connection)
    .await?;
    Ok(found)
}

/// Removes deleted versions. The last of a model leaves a row that says nothing but its number, because a number is never
/// given twice.
pub async fn remove_versions(connection: &mut Connection, numbers: &[i64]) -> Result<(), StoreError> {
    let numbers = rows::list(numbers.iter().copied());
    let text = format!("delete from registered_version_tag where owner in ({numbers})");
    sqlx::query(AssertSqlSafe(text)).execute(&mut *connection).await?;
    let text = format!(
        "delete from registered_version where number in ({numbers}) and version < (select max(o.version) \
         from registered_version as o where o.model = registered_version.model)"
    );
    sqlx::query(AssertSqlSafe(text)).execute(&mut *connection).await?;
    let text = format!(
        "update registered_version set source = '', storage_location = '', description = null, run_id = null, \
         run_link = null where number in ({numbers})"
    );
    sqlx::query(AssertSqlSafe(text)).execute(connection).await?;
    Ok(())
}

/// Data sets that no run read, by number.
pub async fn unread_datasets(
    connection: &mut Connection,
    after: i64,
    limit: i64,
) -> Result<Vec<i64>, StoreError> {
    let found: Vec<(i64,)> = sqlx::query_as(
        "select d.number from logged_dataset as d where d.number > $1 \
         and not exists (select 1 from run_input as i where i.dataset = d.number) order by d.number limit $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(|row| row.0).collect())
}

/// Removes those of these data sets that still no run read; how many.
pub async fn remove_datasets(connection: &mut Connection, numbers: &[i64]) -> Result<u64, StoreError> {
    // Whoever logs a data set takes this counter first, and ends before what is read here.
    counter::several(connection, "logged_dataset", 0).await?;
    let text = format!(
        "delete from logged_dataset where number in ({}) \
         and not exists (select 1 from run_input as i where i.dataset = logged_dataset.number)",
        rows::list(numbers.iter().copied())
    );
    Ok(sqlx::query(AssertSqlSafe(text)).execute(connection).await?.rows_affected())
}

/// How many data sets no run would have read, were everything collected that may go.
pub async fn count_unread_datasets(connection: &mut Connection, before: Micros) -> Result<u64, StoreError> {
    let text = format!(
        "select count(*) from logged_dataset as d where not exists (select 1 from run_input as i \
         join run as r on r.number = i.run where i.dataset = d.number and (r.deleted_at is null \
         or r.deleted_at > $1 or coalesce({HOLDERS_OF_RUN}) is not null))"
    );
    let (count,): (i64,) = sqlx::query_as(AssertSqlSafe(text)).bind(before.0).fetch_one(connection).await?;
    Ok(u64::try_from(count).unwrap_or(0))
}
