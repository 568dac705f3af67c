//! Experiments: create, find, rename, tag, delete and bring back.

use greenlight_domain::role::{Action, Actor};
use greenlight_domain::run::{
    MAX_EXPERIMENT_NAME, MAX_EXPERIMENT_TAG_VALUE, MAX_LOCATION, check_key, check_words,
};
use greenlight_store::experiment::Location;
use greenlight_store::{Connection, StoreError, experiment};
use serde_json::json;

pub use greenlight_store::experiment::Experiment;

use crate::location::{check_host, scheme};
use crate::run_artifact::is_proxy;
use crate::{App, AppError, allow};

/// An experiment to create.
#[derive(Debug, Clone, Default)]
pub struct CreateExperiment {
    /// Its name.
    pub name: String,
    /// Where artifacts of its runs lie; with ours when absent.
    pub artifact_location: Option<String>,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

fn check_name(name: &str) -> Result<(), AppError> {
    if name.is_empty() {
        return Err(AppError::Invalid("Invalid experiment name: ''".to_owned()));
    }
    Ok(check_words("name", name, MAX_EXPERIMENT_NAME)?)
}

/// Refuses places that this server would have to connect to, and what is no place.
fn check_location(location: &str) -> Result<(), AppError> {
    if location.contains('#') {
        let problem = "'artifact_location' URL can't include fragments or params.";
        return Err(AppError::Invalid(problem.to_owned()));
    }
    if location.split_once('?').is_some_and(|(_, query)| query.contains("..") || query.contains("%2e")) {
        return Err(AppError::Invalid("Invalid query string".to_owned()));
    }
    if location.starts_with("runs:") {
        return Err(AppError::Invalid(format!(
            "Artifact location cannot be a runs:/ URI. Given: '{location}'"
        )));
    }
    check_host("artifact_location", location)?;
    if location.chars().count() > MAX_LOCATION {
        return Err(AppError::Invalid(format!(
            "Invalid artifact path length. The length of the artifact path cannot be greater than {MAX_LOCATION} \
             characters."
        )));
    }
    Ok(())
}

/// A path from this server's folder, when it is one; URIs and absolute paths stay as they are.
fn absolute(location: &str) -> Result<String, AppError> {
    if location.is_empty() || location.starts_with('/') || scheme(location).is_some() {
        return Ok(location.to_owned());
    }
    let here = std::env::current_dir().map_err(|error| AppError::Internal(error.to_string()))?;
    Ok(format!("{}/{location}", here.display()))
}

/// Refuses what can be no root of the artifacts of new experiments.
pub(crate) fn check_root(root: &str) -> Result<(), AppError> {
    if is_proxy(root) {
        return Ok(());
    }
    check_location(root)?;
    if root.starts_with('/') || scheme(root).is_some() {
        return Ok(());
    }
    Err(AppError::Invalid(format!("the root of artifacts '{root}' is neither a URI nor an absolute path")))
}

fn check_tag(key: &str, value: &str) -> Result<(), AppError> {
    check_key("key", "key", key)?;
    Ok(check_words("value", value, MAX_EXPERIMENT_TAG_VALUE)?)
}

/// Creates an experiment and returns its number.
pub async fn create(app: &App, actor: &Actor, new: CreateExperiment) -> Result<i64, AppError> {
    allow(actor, Action::Train)?;
    check_name(&new.name)?;
    if let Some(location) = &new.artifact_location {
        check_location(location)?;
    }
    for (key, value) in &new.tags {
        check_tag(key, value)?;
    }
    let mut transaction = app.store.begin().await?;
    let given = new.artifact_location.as_deref().map(absolute).transpose()?;
    let location = given.as_deref().map_or(Location::Below(&app.artifact_root), Location::At);
    let made = experiment::insert(&mut transaction, &new.name, location, app.stamp(actor)).await;
    let id = made.map_err(|error| taken(error, &new.name))?;
    for (key, value) in &new.tags {
        experiment::set_tag(&mut transaction, id, key, value).await?;
    }
    let detail = json!({ "name": new.name });
    app.audit(&mut transaction, actor, "experiment.create", &id.to_string(), detail).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(id)
}

/// How the message ends when a name is taken.
pub const TAKEN: &str = "already exists.";

fn taken(error: StoreError, name: &str) -> AppError {
    match error {
        StoreError::Conflict => AppError::Conflict(format!("Experiment(name={name}) {TAKEN}")),
        other => other.into(),
    }
}

/// The experiment of that number, deleted or not.
pub async fn get(app: &App, actor: &Actor, id: i64) -> Result<Experiment, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    find(&mut connection, id).await
}

/// The experiment of that name, deleted or not.
pub async fn get_by_name(app: &App, actor: &Actor, name: &str) -> Result<Experiment, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    let found = experiment::get_by_name(&mut connection, name).await?;
    found.ok_or_else(|| AppError::not_found("experiment of that name", name, ""))
}

pub(crate) async fn find(connection: &mut Connection, id: i64) -> Result<Experiment, AppError> {
    let found = experiment::get(connection, id).await?;
    found.ok_or_else(|| AppError::not_found("experiment", &id.to_string(), ""))
}

/// The same, refused when it is deleted.
pub(crate) async fn find_active(connection: &mut Connection, id: i64) -> Result<Experiment, AppError> {
    let found = find(connection, id).await?;
    if found.deleted_at.is_none() {
        return Ok(found);
    }
    Err(AppError::Invalid(format!(
        "The experiment {id} must be in the 'active' state. Current state is deleted."
    )))
}

/// Gives an experiment another name.
pub async fn rename(app: &App, actor: &Actor, id: i64, name: &str) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    check_name(name)?;
    let mut transaction = app.store.begin().await?;
    if find(&mut transaction, id).await?.deleted_at.is_some() {
        return Err(AppError::Conflict("Cannot rename a non-active experiment.".to_owned()));
    }
    let renamed = experiment::rename(&mut transaction, id, name, app.clock.now()).await;
    renamed.map_err(|error| taken(error, name))?;
    let detail = json!({ "name": name });
    app.audit(&mut transaction, actor, "experiment.rename", &id.to_string(), detail).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Deletes an experiment with its runs. Both can be brought back.
pub async fn delete(app: &App, actor: &Actor, id: i64) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    let mut transaction = app.store.begin().await?;
    if find(&mut transaction, id).await?.deleted_at.is_some() {
        return Err(AppError::not_found("experiment", &id.to_string(), "it is deleted already"));
    }
    let now = app.clock.now();
    experiment::set_deleted(&mut transaction, id, Some(now), now).await?;
    app.audit(&mut transaction, actor, "experiment.delete", &id.to_string(), json!({})).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Brings a deleted experiment back, with the runs that were deleted with it.
pub async fn restore(app: &App, actor: &Actor, id: i64) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    let mut transaction = app.store.begin().await?;
    if find(&mut transaction, id).await?.deleted_at.is_none() {
        return Err(AppError::not_found("experiment", &id.to_string(), "among the deleted ones"));
    }
    experiment::set_deleted(&mut transaction, id, None, app.clock.now()).await?;
    app.audit(&mut transaction, actor, "experiment.restore", &id.to_string(), json!({})).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Sets a tag, whatever it was.
pub async fn set_tag(app: &App, actor: &Actor, id: i64, key: &str, value: &str) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    check_tag(key, value)?;
    let mut transaction = app.store.begin().await?;
    find_active(&mut transaction, id).await?;
    experiment::set_tag(&mut transaction, id, key, value).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Removes a tag.
pub async fn delete_tag(app: &App, actor: &Actor, id: i64, key: &str) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    let mut transaction = app.store.begin().await?;
    find_active(&mut transaction, id).await?;
    if !experiment::delete_tag(&mut transaction, id, key).await? {
        return Err(AppError::not_found("tag", key, ""));
    }
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}
