//! Data sets that clients log to their runs: each once an experiment, and which runs read it for what.

use std::collections::HashMap;

use greenlight_domain::dataset::record::place;
use serde::Serialize;
use sqlx::AssertSqlSafe;

use crate::packed::Runs;
use crate::tag::{self, Tags};
use crate::{Connection, StoreError, counter, rows};

/// A data set as a client describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedDataset {
    /// Name.
    pub name: String,
    /// Digest of its content, as the client has taken it.
    pub digest: String,
    /// Kind of its source, such as `s3`.
    pub source_type: String,
    /// Where it comes from, as JSON.
    pub source: String,
    /// Its columns, as JSON; may be empty.
    pub schema: String,
    /// What is known of its content, as JSON; may be empty.
    pub profile: String,
}

impl LoggedDataset {
    /// The place that its source names, in one spelling; empty when it names none.
    pub fn place(&self) -> String {
        let source: serde_json::Value = serde_json::from_str(&self.source).unwrap_or_default();
        let named = ["uri", "url", "path"].into_iter().find_map(|key| source.get(key)?.as_str());
        named.map(place).unwrap_or_default()
    }
}

/// A data set as runs logged it, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedUse {
    /// Name.
    pub name: String,
    /// Digest, as the client has taken it.
    pub digest: String,
    /// Kind of its source.
    pub source_type: String,
    /// Where it comes from, in one spelling; may be empty.
    pub place: String,
    /// Its columns, as JSON; may be empty.
    pub schema: String,
    /// What is known of its content, as JSON; may be empty.
    pub profile: String,
    /// Runs that read it.
    pub runs: i64,
    /// Initiatives that these runs belong to.
    pub initiatives: i64,
}

/// A data set that a run read, with what it read it for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInput {
    /// The data set.
    pub dataset: LoggedDataset,
    /// Tags of the use, such as `mlflow.data.context`.
    pub tags: Vec<(String, String)>,
}

/// A data set of an experiment and one use of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Number of the experiment.
    pub experiment_id: i64,
    /// Name.
    pub name: String,
    /// Digest.
    pub digest: String,
    /// What it was read for, if that was said.
    pub context: Option<String>,
}

/// Rows of one statement; a data set's row is long.
const AT_ONCE: usize = 64;

/// Says what a run read, each data set once. One that is known in the experiment is not written again, and a use that is
/// known keeps its tags.
pub async fn log(
    connection: &mut Connection,
    (run, experiment_id): (i64, i64),
    inputs: &[RunInput],
) -> Result<(), StoreError> {
    for some in inputs.chunks(AT_ONCE) {
        let numbers = numbers(connection, experiment_id, some).await?;
        let new = edges(connection, run, &numbers).await?;
        let mut tags: Vec<(i64, &str, &str)> = Vec::new();
        for (input, dataset) in some.iter().zip(&numbers) {
            let Some(owner) = new.get(dataset) else { continue };
            tags.extend(input.tags.iter().map(|(key, value)| (*owner, &**key, &**value)));
        }
        tag::insert(connection, Tags::RunInput, &tags).await?;
    }
    Ok(())
}

/// The numbers of the data sets, which are added where they are new.
async fn numbers(
    connection: &mut Connection,
    experiment_id: i64,
    inputs: &[RunInput],
) -> Result<Vec<i64>, StoreError> {
    let count = inputs.len() as i64;
    let first = counter::several(connection, "logged_dataset", count).await? - count + 1;
    let text = format!(
        "insert into logged_dataset (number, experiment_id, name, digest, source_type, source, schema, profile, \
         place) values {} on conflict (experiment_id, name, digest) do nothing",
        rows::placeholders(inputs.len(), 9)
    );
    let mut query = sqlx::query(AssertSqlSafe(text));
    for (RunInput { dataset, .. }, number) in inputs.iter().zip(first..) {
        query = query.bind(number).bind(experiment_id).bind(&dataset.name).bind(&dataset.digest);
        query = query
            .bind(&dataset.source_type)
            .bind(&dataset.source)
            .bind(&dataset.schema)
            .bind(&dataset.profile)
            .bind(dataset.place());
    }
    query.execute(&mut *connection).await?;
    let pairs: Vec<String> = (0..inputs.len())
        .map(|at| format!("(name = ${} and digest = ${})", at * 2 + 2, at * 2 + 3))
        .collect();
    let text = format!(
        "select number, name, digest from logged_dataset where experiment_id = $1 and ({})",
        pairs.join(" or ")
    );
    let mut query = sqlx::query_as(AssertSqlSafe(text)).bind(experiment_id);
    for RunInput { dataset, .. } in inputs {
        query = query.bind(&dataset.name).bind(&dataset.digest);
    }
    let found: Vec<(i64, String, String)> = query.fetch_all(connection).await?;
    let known: HashMap<(&str, &str), i64> =
        found.iter().map(|(number, name, digest)| ((&**name, &**digest), *number)).collect();
    let number = |input: &RunInput| known.get(&(&*input.dataset.name, &*input.dataset.digest)).copied();
    inputs.iter().map(|input| number(input).ok_or(StoreError::Database(sqlx::Error::RowNotFound))).collect()
}

/// Adds the uses that are new; their numbers by data set.
async fn edges(
    connection: &mut Connection,
    run: i64,
    datasets: &[i64],
) -> Result<HashMap<i64, i64>, StoreError> {
    let count = datasets.len() as i64;
    let first = counter::several(connection, "run_input", count).await? - count + 1;
    let text = format!(
        "insert into run_input (number, run, dataset) values {} on conflict (run, dataset) do nothing \
         returning dataset, number",
        rows::placeholders(datasets.len(), 3)
    );
    let mut query = sqlx::query_as(AssertSqlSafe(text));
    for (dataset, number) in datasets.iter().zip(first..) {
        query = query.bind(number).bind(run).bind(*dataset);
    }
    let new: Vec<(i64, i64)> = query.fetch_all(connection).await?;
    Ok(new.into_iter().collect())
}

type Row = (i64, i64, String, String, String, String, String, String);

/// What these runs read; by run, in the order in which it was logged.
pub(crate) async fn of_runs(
    connection: &mut Connection,
    runs: &Runs,
) -> Result<Vec<(i64, RunInput)>, StoreError> {
    let text = format!(
        "select i.number, i.run, d.name, d.digest, d.source_type, d.source, d.schema, d.profile \
         from run_input as i join logged_dataset as d on d.number = i.dataset \
         where i.run in ({runs}) order by i.run, i.number"
    );
    let found: Vec<Row> = runs.ask(text).fetch_all(&mut *connection).await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let text = format!(
        "select t.owner, t.key, t.value from run_input_tag as t join run_input as i on i.number = t.owner \
         where i.run in ({runs}) order by t.owner, t.key"
    );
    let pairs: Vec<(i64, String, String)> = runs.ask(text).fetch_all(connection).await?;
    let mut tags: HashMap<i64, Vec<(String, String)>> = HashMap::new();
    for (owner, key, value) in pairs {
        tags.entry(owner).or_default().push((key, value));
    }
    let inputs = found.into_iter().map(|row| {
        let (number, run, name, digest, source_type, source, schema, profile) = row;
        let dataset = LoggedDataset { name, digest, source_type, source, schema, profile };
        (run, RunInput { dataset, tags: tags.remove(&number).unwrap_or_default() })
    });
    Ok(inputs.collect())
}

/// A use of a data set, without what is long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Name of the data set.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// Kind of its source, such as `s3`.
    pub source_type: String,
    /// What it was read for, if that was said.
    pub context: Option<String>,
}

/// The first `limit` data sets that a run read, in the order in which that was logged.
pub async fn uses(connection: &mut Connection, run: i64, limit: i64) -> Result<Vec<Use>, StoreError> {
    let found: Vec<(String, String, String, Option<String>)> = sqlx::query_as(
        "select d.name, d.digest, d.source_type, t.value from run_input as i \
         join logged_dataset as d on d.number = i.dataset \
         left join run_input_tag as t on t.owner = i.number and t.key = 'mlflow.data.context' \
         where i.run = $1 order by i.number limit $2",
    )
    .bind(run)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    let uses = found.into_iter().map(|(name, digest, source_type, context)| Use {
        name,
        digest,
        source_type,
        context,
    });
    Ok(uses.collect())
}

/// The data sets that runs of these experiments read, with what for.
pub async fn summaries(
    connection: &mut Connection,
    experiments: &[i64],
    limit: i64,
) -> Result<Vec<Summary>, StoreError> {
    let text = format!(
        "select distinct d.experiment_id, d.name, d.digest, t.value from logged_dataset as d \
         join run_input as i on i.dataset = d.number \
         left join run_input_tag as t on t.owner = i.number and t.key = 'mlflow.data.context' \
         where d.experiment_id in ({}) order by d.experiment_id, d.name, d.digest, t.value limit $1",
        rows::list(experiments.iter().copied())
    );
    let found: Vec<(i64, String, String, Option<String>)> =
        sqlx::query_as(AssertSqlSafe(text)).bind(limit).fetch_all(connection).await?;
    let summaries = found.into_iter().map(|(experiment_id, name, digest, context)| Summary {
        experiment_id,
        name,
        digest,
        context,
    });
    Ok(summaries.collect())
}

/// Names that runs logged and that follow `after`, with how many digests each has; those of registered data sets left out.
pub async fn unregistered(
    connection: &mut Connection,
    after: &str,
    limit: i64,
) -> Result<Vec<(String, i64)>, StoreError> {
    Ok(sqlx::query_as(
        "select l.name, cast(count(distinct l.digest) as bigint) from logged_dataset as l where l.name > $1 \
         and not exists (select 1 from dataset_version as d where d.name = l.name) \
         group by l.name order by l.name limit $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?)
}

/// The digests under which runs logged this name, those of the newest first.
pub async fn by_name(
    connection: &mut Connection,
    name: &str,
    limit: i64,
) -> Result<Vec<LoggedUse>, StoreError> {
    type Found = (String, String, String, String, String, String, i64, i64);
    let rows: Vec<Found> = sqlx::query_as(
        "select l.name, l.digest, min(l.source_type), min(l.place), min(l.schema), min(l.profile), \
         cast(count(distinct r.number) as bigint), cast(count(distinct nullif(r.initiative, '')) as bigint) \
         from logged_dataset as l left join run_input as i on i.dataset = l.number \
         left join run as r on r.number = i.run and r.deleted_at is null \
         where l.name = $1 group by l.name, l.digest order by max(l.number) desc limit $2",
    )
    .bind(name)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    let uses =
        rows.into_iter().map(|(name, digest, source_type, place, schema, profile, runs, initiatives)| {
            LoggedUse { name, digest, source_type, place, schema, profile, runs, initiatives }
        });
    Ok(uses.collect())
}

/// How many runs read data of this name, and the initiatives that they belong to, at most 100.
pub async fn readers(connection: &mut Connection, name: &str) -> Result<(i64, Vec<String>), StoreError> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select r.initiative, cast(count(distinct r.number) as bigint) from logged_dataset as l \
         join run_input as i on i.dataset = l.number join run as r on r.number = i.run \
         where l.name = $1 and r.deleted_at is null group by r.initiative order by r.initiative limit 100",
    )
    .bind(name)
    .fetch_all(connection)
    .await?;
    let runs = rows.iter().map(|row| row.1).sum();
    Ok((runs, rows.into_iter().map(|row| row.0).filter(|name| !name.is_empty()).collect()))
}

/// Where the data set of that name and digest comes from; nothing when it is unknown.
pub async fn place_of(
    connection: &mut Connection,
    name: &str,
    digest: &str,
) -> Result<Option<String>, StoreError> {
    let row: Option<(String,)> = sqlx::query_as(
        "select place from logged_dataset where name = $1 and digest = $2 order by number limit 1",
    )
    .bind(name)
    .bind(digest)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.0))
}
