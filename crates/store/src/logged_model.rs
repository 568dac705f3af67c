//! Logged models: what a run produced, before anybody gives it a name in the registry.

use std::collections::HashMap;

use greenlight_domain::logged_model::LoggedModelStatus;
use greenlight_domain::time::Micros;
use sqlx::AssertSqlSafe;

use crate::metric::{stored, value_of};
use crate::tag::{self, Tags};
use crate::{Connection, Stamp, StoreError, counter, rows};

/// Most values that are read of the models of one answer.
const MAX_VALUES: i64 = 25_000;

/// A logged model.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedModel {
    /// What its rows in other tables are named by.
    pub number: i64,
    /// `m-` and 32 hexadecimal digits.
    pub id: String,
    /// Number of its experiment.
    pub experiment_id: i64,
    /// Name for people.
    pub name: String,
    /// How far it is.
    pub status: LoggedModelStatus,
    /// Kind of model, in its author's words; may be empty.
    pub model_type: String,
    /// The run that logged it; may be empty.
    pub source_run_id: String,
    /// When it was created.
    pub created_at: Micros,
    /// When it changed last.
    pub updated_at: Micros,
    /// Who created it.
    pub created_by: String,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Micros>,
    /// Where its files lie.
    pub artifact_uri: String,
    /// Tags, by key.
    pub tags: Vec<(String, String)>,
    /// Parameters, by key.
    pub params: Vec<(String, String)>,
    /// Values of its metrics.
    pub metrics: Vec<ModelMetric>,
}

/// A value of a metric of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelMetric {
    /// Name of the metric.
    pub key: String,
    /// Any number, also NaN and the infinities.
    pub value: f64,
    /// When, epoch milliseconds.
    pub at_ms: i64,
    /// At which step.
    pub step: i64,
    /// The run that measured it.
    pub run_id: String,
    /// Name of the data set it was measured on; may be empty.
    pub dataset_name: String,
    /// Digest of that data set; may be empty.
    pub dataset_digest: String,
}

/// A model to add.
#[derive(Debug, Clone, Copy)]
pub struct NewLoggedModel<'a> {
    /// `m-` and 32 hexadecimal digits.
    pub id: &'a str,
    /// Number of its experiment.
    pub experiment_id: i64,
    /// Name for people.
    pub name: &'a str,
    /// Kind of model, in its author's words.
    pub model_type: &'a str,
    /// The run that logged it.
    pub source_run_id: &'a str,
}

pub(crate) type Row = (i64, String, i64, String, i64, String, String, i64, i64, String, Option<i64>, String);

pub(crate) const COLUMNS: &str = "m.number, m.id, m.experiment_id, m.name, m.status, m.model_type, m.source_run_id, \
                                  m.created_at, m.updated_at, m.created_by, m.deleted_at, e.artifact_location \
                                  from logged_model as m join experiment as e on e.id = m.experiment_id";

/// Where the files of a model lie, in an experiment that has its artifacts there.
pub(crate) fn artifact_uri(location: &str, id: &str) -> String {
    format!("{}/models/{id}/artifacts", location.trim_end_matches('/'))
}

fn of_row(row: Row) -> LoggedModel {
    let artifact_uri = artifact_uri(&row.11, &row.1);
    LoggedModel {
        number: row.0,
        id: row.1,
        experiment_id: row.2,
        name: row.3,
        status: LoggedModelStatus::of_number(row.4),
        model_type: row.5,
        source_run_id: row.6,
        created_at: Micros(row.7),
        updated_at: Micros(row.8),
        created_by: row.9,
        deleted_at: row.10.map(Micros),
        artifact_uri,
        tags: Vec::new(),
        params: Vec::new(),
        metrics: Vec::new(),
    }
}

/// Adds a model whose files are on their way, and returns its number.
pub async fn insert(
    connection: &mut Connection,
    new: NewLoggedModel<'_>,
    stamp: Stamp<'_>,
) -> Result<i64, StoreError> {
    let number = counter::next(connection, "logged_model").await?;
    sqlx::query(
        "insert into logged_model (number, id, experiment_id, name, status, model_type, source_run_id, created_at, \
         updated_at, created_by) values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)",
    )
    .bind(number)
    .bind(new.id)
    .bind(new.experiment_id)
    .bind(new.name)
    .bind(LoggedModelStatus::Pending.number())
    .bind(new.model_type)
    .bind(new.source_run_id)
    .bind(stamp.at.0)
    .bind(stamp.actor)
    .execute(connection)
    .await?;
    Ok(number)
}

/// The model of that id, deleted or not, with tags, parameters and metrics.
pub async fn get(connection: &mut Connection, id: &str) -> Result<Option<LoggedModel>, StoreError> {
    let text = format!("select {COLUMNS} where m.id = $1");
    let row: Option<Row> =
        sqlx::query_as(AssertSqlSafe(text)).bind(id).fetch_optional(&mut *connection).await?;
    Ok(filled(connection, row.into_iter().collect()).await?.pop())
}

/// The first `limit` models that a run logged, without their tags, parameters and values; deleted ones are left out.
pub async fn of_run(
    connection: &mut Connection,
    run_id: &str,
    limit: i64,
) -> Result<Vec<LoggedModel>, StoreError> {
    let text = format!(
        "select {COLUMNS} where m.source_run_id = $1 and m.deleted_at is null order by m.created_at, m.id limit $2"
    );
    let rows: Vec<Row> =
        sqlx::query_as(AssertSqlSafe(text)).bind(run_id).bind(limit).fetch_all(connection).await?;
    Ok(rows.into_iter().map(of_row).collect())
}

/// Rows with what hangs on them.
pub(crate) async fn filled(
    connection: &mut Connection,
    found: Vec<Row>,
) -> Result<Vec<LoggedModel>, StoreError> {
    let mut models: Vec<LoggedModel> = found.into_iter().map(of_row).collect();
    if models.is_empty() {
        return Ok(models);
    }
    let numbers: Vec<i64> = models.iter().map(|model| model.number).collect();
    let tags = tag::of(connection, Tags::LoggedModel, numbers.iter().copied()).await?;
    let params = tag::of(connection, Tags::LoggedModelParam, numbers.iter().copied()).await?;
    let text = format!(
        "select model, key, value, is_nan, at_ms, step, run_id, dataset_name, dataset_digest \
         from logged_model_metric where model in ({}) order by model, key, step, at_ms limit {MAX_VALUES}",
        rows::list(numbers)
    );
    let metrics: Vec<MetricRow> = sqlx::query_as(AssertSqlSafe(text)).fetch_all(connection).await?;
    let mut by_number: HashMap<i64, &mut LoggedModel> =
        models.iter_mut().map(|model| (model.number, model)).collect();
    for (owner, key, value) in tags {
        if let Some(model) = by_number.get_mut(&owner) {
            model.tags.push((key, value));
        }
    }
    for (owner, key, value) in params {
        if let Some(model) = by_number.get_mut(&owner) {
            model.params.push((key, value));
        }
    }
    for (owner, key, value, is_nan, at_ms, step, run_id, dataset_name, dataset_digest) in metrics {
        if let Some(model) = by_number.get_mut(&owner) {
            let value = value_of((value, is_nan));
            model.metrics.push(ModelMetric { key, value, at_ms, step, run_id, dataset_name, dataset_digest });
        }
    }
    Ok(models)
}

type MetricRow = (i64, String, f64, i64, i64, i64, String, String, String);

/// Says how far a model is.
pub async fn set_status(
    connection: &mut Connection,
    number: i64,
    status: LoggedModelStatus,
    now: Micros,
) -> Result<(), StoreError> {
    sqlx::query("update logged_model set status = $2, updated_at = $3 where number = $1")
        .bind(number)
        .bind(status.number())
        .bind(now.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes a model. Its files stay until they are collected.
pub async fn delete(connection: &mut Connection, number: i64, now: Micros) -> Result<(), StoreError> {
    sqlx::query("update logged_model set deleted_at = $2, updated_at = $2 where number = $1")
        .bind(number)
        .bind(now.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Adds values of metrics to a model. A value that was logged before is not logged twice.
pub async fn log_metrics(
    connection: &mut Connection,
    model: i64,
    metrics: &[ModelMetric],
) -> Result<(), StoreError> {
    for some in metrics.chunks(rows::AT_ONCE) {
        let text = format!(
            "insert into logged_model_metric \
             (model, key, run_id, step, at_ms, dataset_name, dataset_digest, value, is_nan) \
             values {} on conflict do nothing",
            rows::placeholders(some.len(), 9)
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        for metric in some {
            let (value, is_nan) = stored(metric.value);
            query = query.bind(model).bind(&metric.key).bind(&metric.run_id).bind(metric.step);
            query = query.bind(metric.at_ms).bind(&metric.dataset_name).bind(&metric.dataset_digest);
            query = query.bind(value).bind(is_nan);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
