//! Logged models: what a run produced, with parameters, metrics and tags, before it has a name in the registry.

use greenlight_domain::logged_model::{
    LoggedModelOrder, LoggedModelStatus, logged_model_order, parse_logged_model_filter,
};
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::run::{
    MAX_BATCH, MAX_EXPERIMENT_NAME, MAX_EXPERIMENT_TAG_VALUE, MAX_KEY, check_words,
};
use greenlight_store::logged_model::NewLoggedModel;
use greenlight_store::logged_model_search::{LoggedModelSearch, search as find_all};
use greenlight_store::tag::{self, Tags};
use greenlight_store::{Connection, StoreError};
use serde_json::json;

pub use greenlight_store::logged_model::{LoggedModel, ModelMetric};
pub use greenlight_store::logged_model_search::MeasuredOn;

use crate::registered_model::pairs;
use crate::{App, AppError, allow, experiment, run};

/// Most models of a page.
const MAX_MODELS: i64 = 1_000;

/// A model to log.
#[derive(Debug, Clone, Default)]
pub struct CreateLoggedModel {
    /// Number of its experiment.
    pub experiment_id: i64,
    /// Name for people; one is made up when it is absent.
    pub name: Option<String>,
    /// Kind of model, in its author's words.
    pub model_type: String,
    /// The run that logs it.
    pub source_run_id: String,
    /// Parameters.
    pub params: Vec<(String, String)>,
    /// Tags; the last of equal keys counts.
    pub tags: Vec<(String, String)>,
}

/// What logged models are looked for.
#[derive(Debug, Clone, Default)]
pub struct SearchLoggedModels {
    /// Numbers of experiments.
    pub experiments: Vec<i64>,
    /// MLflow's filter clause; empty for all.
    pub filter: String,
    /// Data sets, one of which the metrics of the filter were measured on.
    pub datasets: Vec<MeasuredOn>,
    /// In which order.
    pub orders: Vec<OrderBy>,
    /// Most of the page.
    pub limit: i64,
    /// Models before the page.
    pub offset: i64,
}

/// A part of an order.
#[derive(Debug, Clone, Default)]
pub struct OrderBy {
    /// An attribute, or `metrics.` and a name.
    pub field: String,
    /// From the least to the greatest.
    pub ascending: bool,
    /// Only values that were measured on a data set of that name.
    pub dataset_name: Option<String>,
    /// Only values that were measured on a data set of that digest.
    pub dataset_digest: Option<String>,
}

pub(crate) fn check_name(name: &str) -> Result<(), AppError> {
    if name.contains(['/', ':', '.', '%', '"', '\'']) {
        return Err(AppError::Invalid(format!(
            "Invalid model name ('{name}') provided. Model name must be a non-empty string and cannot contain the following \
             characters: ('/', ':', '.', '%', '\"', \"'\")"
        )));
    }
    Ok(check_words("name", name, MAX_EXPERIMENT_NAME)?)
}

pub(crate) fn check_pairs(pairs: &[(String, String)]) -> Result<(), AppError> {
    if pairs.len() > MAX_BATCH {
        return Err(AppError::Invalid(format!("send at most {MAX_BATCH} parameters or tags at once")));
    }
    for (key, value) in pairs {
        check_words("key", key, MAX_KEY)?;
        check_words("value", value, MAX_EXPERIMENT_TAG_VALUE)?;
    }
    Ok(())
}

pub(crate) async fn find(connection: &mut Connection, id: &str) -> Result<LoggedModel, AppError> {
    let found = greenlight_store::logged_model::get(connection, id).await?;
    found.ok_or_else(|| AppError::not_found("logged model", id, ""))
}

/// The same, not found when it is deleted.
pub(crate) async fn find_active(connection: &mut Connection, id: &str) -> Result<LoggedModel, AppError> {
    let found = find(connection, id).await?;
    if found.deleted_at.is_some() {
        return Err(AppError::not_found("logged model", id, ""));
    }
    Ok(found)
}

/// Logs a model whose files are on their way.
pub async fn create(app: &App, actor: &Actor, new: CreateLoggedModel) -> Result<LoggedModel, AppError> {
    allow(actor, Action::Train)?;
    let name = new.name.filter(|name| !name.is_empty()).unwrap_or_else(run::made_up_name);
    check_name(&name)?;
    check_words("model_type", &new.model_type, MAX_EXPERIMENT_NAME)?;
    check_words("source_run_id", &new.source_run_id, MAX_KEY)?;
    check_pairs(&new.params)?;
    check_pairs(&new.tags)?;
    let id = format!("m-{}", uuid::Uuid::now_v7().simple());
    let mut transaction = app.store.begin().await?;
    experiment::find_active(&mut transaction, new.experiment_id).await?;
    let row = NewLoggedModel {
        id: &id,
        experiment_id: new.experiment_id,
        name: &name,
        model_type: &new.model_type,
        source_run_id: &new.source_run_id,
    };
    let number = greenlight_store::logged_model::insert(&mut transaction, row, app.stamp(actor)).await?;
    tag::set(&mut transaction, Tags::LoggedModel, number, &pairs(&new.tags)).await?;
    add_params(&mut transaction, number, &new.params).await?;
    let made = find(&mut transaction, &id).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(made)
}

async fn add_params(
    connection: &mut Connection,
    number: i64,
    params: &[(String, String)],
) -> Result<(), AppError> {
    let rows: Vec<(i64, &str, &str)> =
        params.iter().map(|(key, value)| (number, key.as_str(), value.as_str())).collect();
    match tag::insert(connection, Tags::LoggedModelParam, &rows).await {
        Err(StoreError::Conflict) => Err(AppError::Invalid(
            "a parameter of a logged model is logged once; one of these was logged before".to_owned(),
        )),
        other => Ok(other?),
    }
}

/// A logged model; a deleted one only when it is asked for.
pub async fn get(app: &App, actor: &Actor, id: &str, deleted_too: bool) -> Result<LoggedModel, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    if deleted_too { find(&mut connection, id).await } else { find_active(&mut connection, id).await }
}

/// Says how far a model is.
pub async fn set_status(
    app: &App,
    actor: &Actor,
    id: &str,
    status: LoggedModelStatus,
) -> Result<LoggedModel, AppError> {
    allow(actor, Action::Train)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, id).await?;
    let now = app.clock.now();
    greenlight_store::logged_model::set_status(&mut transaction, found.number, status, now).await?;
    let changed = find(&mut transaction, id).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(changed)
}

/// Deletes a model; a second time it does nothing.
pub async fn delete(app: &App, actor: &Actor, id: &str) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, id).await?;
    if found.deleted_at.is_none() {
        greenlight_store::logged_model::delete(&mut transaction, found.number, app.clock.now()).await?;
        app.audit(&mut transaction, actor, "logged_model.delete", id, json!({})).await?;
    }
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Sets tags; the last of equal keys counts.
pub async fn set_tags(app: &App, actor: &Actor, id: &str, tags: &[(String, String)]) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    check_pairs(tags)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, id).await?;
    tag::set(&mut transaction, Tags::LoggedModel, found.number, &pairs(tags)).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Removes a tag.
pub async fn delete_tag(app: &App, actor: &Actor, id: &str, key: &str) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, id).await?;
    if !tag::delete(&mut transaction, Tags::LoggedModel, found.number, key).await? {
        let name = format!("{key}' found for model with ID '{id}");
        return Err(AppError::not_found("logged model tag", &name, ""));
    }
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Adds parameters, each once.
pub async fn log_params(
    app: &App,
    actor: &Actor,
    id: &str,
    params: &[(String, String)],
) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    check_pairs(params)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, id).await?;
    add_params(&mut transaction, found.number, params).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Models by filter and order; whether there are more.
pub async fn search(
    app: &App,
    actor: &Actor,
    asked: &SearchLoggedModels,
) -> Result<(Vec<LoggedModel>, bool), AppError> {
    allow(actor, Action::Read)?;
    if !(1..=MAX_MODELS).contains(&asked.limit) {
        return Err(AppError::Invalid(format!(
            "Invalid value for max_results. It must be a positive integer of at most {MAX_MODELS}, but got {}",
            asked.limit
        )));
    }
    if asked.datasets.iter().any(|dataset| dataset.name.is_empty()) {
        return Err(AppError::Invalid(
            "`dataset_name` in the `datasets` clause must be specified.".to_owned(),
        ));
    }
    let conditions =
        if asked.filter.trim().is_empty() { Vec::new() } else { parse_logged_model_filter(&asked.filter)? };
    let orders = asked.orders.iter().map(order).collect::<Result<Vec<_>, AppError>>()?;
    let mut connection = app.store.read().await?;
    let question = LoggedModelSearch {
        experiments: &asked.experiments,
        conditions: &conditions,
        datasets: &asked.datasets,
        orders: &orders,
        limit: asked.limit + 1,
        offset: asked.offset.max(0),
    };
    let mut found = find_all(&mut connection, question).await?;
    let more = found.len() as i64 > asked.limit;
    found.truncate(usize::try_from(asked.limit).unwrap_or(0));
    Ok((found, more))
}

fn order(by: &OrderBy) -> Result<LoggedModelOrder, AppError> {
    Ok(LoggedModelOrder {
        subject: logged_model_order(&by.field)?,
        ascending: by.ascending,
        dataset_name: by.dataset_name.clone(),
        dataset_digest: by.dataset_digest.clone(),
    })
}
