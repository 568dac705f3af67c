//! Runs, logged models and versions that were made on another server: they keep their ids, numbers, dates and authors.
//!
//! Owns only what no call of MLflow can say. Everything else that an import brings (points, parameters, tags, inputs,
//! files, aliases) comes through the calls that every client uses, with their checks.
//!
//! Each of these functions may be called again with the same thing. What was not imported is never touched: an id or a
//! number that somebody here took is refused.

use std::collections::BTreeMap;

use greenlight_domain::logged_model::LoggedModelStatus;
use greenlight_domain::registry::{MAX_DESCRIPTION, MAX_SOURCE, VersionStage, check_model_name, check_tag};
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::run::{
    MAX_BATCH, MAX_EXPERIMENT_NAME, MAX_KEY, MAX_LOCATION, MAX_TAG_VALUE, RunStatus, check_words,
};
use greenlight_store::import::{Keys, Mark};
use greenlight_store::logged_model::NewLoggedModel;
use greenlight_store::registered_version::NewVersion;
use greenlight_store::run::NewRun;
use greenlight_store::tag::{self, Tags};
use greenlight_store::{Connection, Stamp, StoreError, registered_version, run_tag};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::logged_model::ModelMetric;
use crate::run::{NAME_TAG, check_id, made_up_name, micros};
use crate::version_source::{Given, resolve};
use crate::{App, AppError, allow, experiment, logged_model, registered_model};

/// The tag that says from which server something came.
pub const SOURCE_TAG: &str = "greenlight.import.source";
/// The tag that says how it was there when all of it had arrived.
pub const DIGEST_TAG: &str = "greenlight.import.digest";
const KEYS: Keys<'static> = Keys { source: SOURCE_TAG, digest: DIGEST_TAG };
/// Most ids of a question.
const MAX_IDS: usize = 1_000;
/// Longest digest, in characters.
const MAX_DIGEST: usize = 128;

/// Ids of another server.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ids {
    /// Of runs.
    pub runs: Vec<String>,
    /// Of logged models.
    pub logged_models: Vec<String>,
}

/// How far something that is here already is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// How it was where it came from, when all of it arrived; none while something is missing.
    pub digest: Option<String>,
    /// Whether an import wrote it; what others wrote is theirs.
    pub is_imported: bool,
    /// Whether it was deleted here.
    pub is_deleted: bool,
}

/// What is here already, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Runs.
    pub runs: BTreeMap<String, State>,
    /// Logged models.
    pub logged_models: BTreeMap<String, State>,
}

/// A run of another server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRun {
    /// Its id, which stays.
    pub id: String,
    /// Number of the experiment here.
    pub experiment_id: i64,
    /// Name for people; one is made up when it is empty.
    #[serde(default)]
    pub name: String,
    /// Who started it; the actor when it is empty.
    #[serde(default)]
    pub user: String,
    /// When it started, epoch milliseconds.
    pub start_ms: i64,
    /// From which server it comes.
    pub source: String,
    /// How it ended, when all of it has arrived.
    #[serde(default)]
    pub arrived: Option<ArrivedRun>,
}

/// The end of a run, and of its import.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArrivedRun {
    /// One of MLflow's words.
    pub status: String,
    /// When it ended, epoch milliseconds.
    #[serde(default)]
    pub end_ms: Option<i64>,
    /// How it was where it came from.
    pub digest: String,
}

/// A logged model of another server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportLoggedModel {
    /// Its id, which stays.
    pub id: String,
    /// Number of the experiment here.
    pub experiment_id: i64,
    /// Name for people.
    pub name: String,
    /// Kind of model, in its author's words.
    #[serde(default)]
    pub model_type: String,
    /// The run that logged it.
    #[serde(default)]
    pub source_run_id: String,
    /// Who created it; the actor when it is empty.
    #[serde(default)]
    pub user: String,
    /// When it was created, epoch milliseconds.
    pub created_ms: i64,
    /// When it changed last, epoch milliseconds.
    pub updated_ms: i64,
    /// One of MLflow's words.
    pub status: String,
    /// Parameters.
    #[serde(default)]
    pub params: Vec<(String, String)>,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<(String, String)>,
    /// Values of metrics.
    #[serde(default)]
    pub metrics: Vec<ImportModelMetric>,
    /// From which server it comes.
    pub source: String,
    /// How it was there, when all of its files have arrived.
    #[serde(default)]
    pub digest: Option<String>,
}

/// A value of a metric of a logged model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportModelMetric {
    /// Name of the metric.
    pub key: String,
    /// A number, also `NaN`, `Infinity` and `-Infinity`.
    pub value: String,
    /// When, epoch milliseconds.
    pub at_ms: i64,
    /// At which step.
    #[serde(default)]
    pub step: i64,
    /// The run that measured it.
    pub run_id: String,
    /// Name of the data set it was measured on.
    #[serde(default)]
    pub dataset_name: String,
    /// Digest of that data set.
    #[serde(default)]
    pub dataset_digest: String,
}

/// A version of a registered model of another server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportVersion {
    /// Its model, which is here.
    pub name: String,
    /// Its number, which stays.
    pub version: i64,
    /// Where its files lie, as this server names the place.
    pub source_uri: String,
    /// The run that made it.
    #[serde(default)]
    pub run_id: Option<String>,
    /// The logged model that it is.
    #[serde(default)]
    pub model_id: Option<String>,
    /// A link to the run elsewhere.
    #[serde(default)]
    pub run_link: String,
    /// What people say of it.
    #[serde(default)]
    pub description: String,
    /// In which stage it stands; none when that is empty.
    #[serde(default)]
    pub stage: String,
    /// Who created it; the actor when it is empty.
    #[serde(default)]
    pub user: String,
    /// When it was created, epoch milliseconds.
    pub created_ms: i64,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<(String, String)>,
    /// From which server it comes.
    pub source: String,
}

/// Where the files of something go, and whether it is new here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Where its files lie here.
    pub artifact_uri: String,
    /// Whether this call made it.
    pub created: bool,
}

/// Which of these are here already, and how far.
pub async fn known(app: &App, actor: &Actor, ids: &Ids) -> Result<Known, AppError> {
    allow(actor, Action::Train)?;
    if ids.runs.len() > MAX_IDS || ids.logged_models.len() > MAX_IDS {
        return Err(AppError::Invalid(format!("ask for at most {MAX_IDS} runs and logged models at once")));
    }
    let runs: Vec<&str> = ids.runs.iter().map(String::as_str).collect();
    let models: Vec<&str> = ids.logged_models.iter().map(String::as_str).collect();
    let mut connection = app.store.read().await?;
    let states = |marks: Vec<Mark>| marks.into_iter().map(|mark| (mark.id.clone(), state(mark))).collect();
    Ok(Known {
        runs: states(greenlight_store::import::runs(&mut connection, &runs, KEYS).await?),
        logged_models: states(greenlight_store::import::logged_models(&mut connection, &models, KEYS).await?),
    })
}

fn state(mark: Mark) -> State {
    State { digest: mark.digest, is_imported: mark.source.is_some(), is_deleted: mark.is_deleted }
}

fn check_source(source: &str) -> Result<(), AppError> {
    if source.is_empty() {
        return Err(AppError::Invalid("'source' must say from which server it comes".to_owned()));
    }
    Ok(check_words("source", source, MAX_LOCATION)?)
}

/// Refuses what is here already but did not come by an import, or was deleted since.
fn check_mine(what: &str, mark: &Mark) -> Result<(), AppError> {
    let problem = if mark.source.is_none() {
        "is here already and was not imported; it stays as it is"
    } else if mark.is_deleted {
        "was imported and then deleted here; restore it first, or leave it out"
    } else {
        return Ok(());
    };
    Err(AppError::Conflict(format!("the {what} {} {problem}", mark.id)))
}

/// Makes a run with the id that it had elsewhere, or finds it again; when it has arrived, says how it ended.
pub async fn run(app: &App, actor: &Actor, new: &ImportRun) -> Result<Imported, AppError> {
    allow(actor, Action::Train)?;
    check_id(&new.id)?;
    check_source(&new.source)?;
    check_words("name", &new.name, MAX_TAG_VALUE)?;
    check_words("user", &new.user, MAX_KEY)?;
    let mut transaction = app.store.begin().await?;
    let mark = greenlight_store::import::runs(&mut transaction, &[&new.id], KEYS).await?.pop();
    let experiment = experiment::find_active(&mut transaction, new.experiment_id).await?;
    if let Some(mark) = &mark {
        check_mine("run", mark)?;
    } else {
        let made_up = made_up_name();
        let name = if new.name.is_empty() { &made_up } else { &new.name };
        let begun = NewRun {
            id: &new.id,
            experiment_id: experiment.id,
            name,
            author: if new.user.is_empty() { &actor.name } else { &new.user },
            started_at: micros(new.start_ms),
        };
        let number = greenlight_store::run::create(&mut transaction, begun).await?;
        run_tag::set(&mut transaction, number, &[(SOURCE_TAG, &new.source), (NAME_TAG, name)]).await?;
    }
    let info = crate::run::find(&mut transaction, &new.id).await?;
    if info.experiment_id != new.experiment_id {
        return Err(AppError::Conflict(format!(
            "the run {} was imported into experiment {}; it stays there",
            new.id, info.experiment_id
        )));
    }
    let artifact_uri = info.artifact_uri.clone();
    if let Some(arrived) = &new.arrived {
        end(&mut transaction, info, arrived).await?;
    }
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(Imported { artifact_uri, created: mark.is_none() })
}

async fn end(
    connection: &mut Connection,
    mut info: greenlight_store::run::RunInfo,
    arrived: &ArrivedRun,
) -> Result<(), AppError> {
    check_words("digest", &arrived.digest, MAX_DIGEST)?;
    let status: RunStatus = arrived.status.parse()?;
    status.as_str().clone_into(&mut info.status);
    info.ended_at = arrived.end_ms.map(micros);
    greenlight_store::run::update(connection, &info).await?;
    Ok(run_tag::set(connection, info.number, &[(DIGEST_TAG, &arrived.digest)]).await?)
}

/// Makes a logged model with the id that it had elsewhere, or finds it again, with what hangs on it.
pub async fn logged_model(app: &App, actor: &Actor, new: &ImportLoggedModel) -> Result<Imported, AppError> {
    allow(actor, Action::Train)?;
    check_logged_model(new)?;
    let status = LoggedModelStatus::of_word(&new.status)
        .ok_or_else(|| AppError::Invalid(format!("'{}' is no status of a logged model", new.status)))?;
    let metrics = new.metrics.iter().map(model_metric).collect::<Result<Vec<_>, AppError>>()?;
    let mut transaction = app.store.begin().await?;
    let mark = greenlight_store::import::logged_models(&mut transaction, &[&new.id], KEYS).await?.pop();
    experiment::find_active(&mut transaction, new.experiment_id).await?;
    let number = if let Some(mark) = &mark {
        check_mine("logged model", mark)?;
        logged_model::find(&mut transaction, &new.id).await?.number
    } else {
        let row = NewLoggedModel {
            id: &new.id,
            experiment_id: new.experiment_id,
            name: &new.name,
            model_type: &new.model_type,
            source_run_id: &new.source_run_id,
        };
        let creator = if new.user.is_empty() { &actor.name } else { &new.user };
        let stamp = Stamp { at: micros(new.created_ms), actor: creator };
        greenlight_store::logged_model::insert(&mut transaction, row, stamp).await?
    };
    let mut tags = new.tags.clone();
    tags.push((SOURCE_TAG.to_owned(), new.source.clone()));
    tags.extend(new.digest.iter().map(|digest| (DIGEST_TAG.to_owned(), digest.clone())));
    tag::set(&mut transaction, Tags::LoggedModel, number, &registered_model::pairs(&tags)).await?;
    let found = logged_model::find(&mut transaction, &new.id).await?;
    let missing: Vec<(i64, &str, &str)> = registered_model::pairs(&new.params)
        .into_iter()
        .filter(|(key, _)| !found.params.iter().any(|(known, _)| known == key))
        .map(|(key, value)| (number, key, value))
        .collect();
    tag::insert(&mut transaction, Tags::LoggedModelParam, &missing).await?;
    greenlight_store::logged_model::log_metrics(&mut transaction, number, &metrics).await?;
    let at = micros(new.updated_ms);
    greenlight_store::logged_model::set_status(&mut transaction, number, status, at).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(Imported { artifact_uri: found.artifact_uri, created: mark.is_none() })
}

fn check_logged_model(new: &ImportLoggedModel) -> Result<(), AppError> {
    check_id(&new.id)?;
    check_source(&new.source)?;
    logged_model::check_name(&new.name)?;
    logged_model::check_pairs(&new.params)?;
    logged_model::check_pairs(&new.tags)?;
    check_words("model_type", &new.model_type, MAX_EXPERIMENT_NAME)?;
    check_words("source_run_id", &new.source_run_id, MAX_KEY)?;
    check_words("user", &new.user, MAX_KEY)?;
    check_words("digest", new.digest.as_deref().unwrap_or_default(), MAX_DIGEST)?;
    if new.metrics.len() > MAX_BATCH {
        return Err(AppError::Invalid(format!("send at most {MAX_BATCH} values of metrics at once")));
    }
    Ok(())
}

fn model_metric(given: &ImportModelMetric) -> Result<ModelMetric, AppError> {
    greenlight_domain::run::check_key("key", "Metric name", &given.key)?;
    check_words("run_id", &given.run_id, MAX_KEY)?;
    check_words("dataset_name", &given.dataset_name, MAX_EXPERIMENT_NAME)?;
    check_words("dataset_digest", &given.dataset_digest, MAX_KEY)?;
    let value = given.value.parse().map_err(|_| {
        AppError::Invalid(format!("the value '{}' of metric '{}' is no number", given.value, given.key))
    })?;
    Ok(ModelMetric {
        key: given.key.clone(),
        value,
        at_ms: given.at_ms,
        step: given.step,
        run_id: given.run_id.clone(),
        dataset_name: given.dataset_name.clone(),
        dataset_digest: given.dataset_digest.clone(),
    })
}

/// Adds a version under the number that it had elsewhere; one that was imported before stays as it is.
pub async fn version(app: &App, actor: &Actor, new: &ImportVersion) -> Result<Imported, AppError> {
    allow(actor, Action::Train)?;
    check_source(&new.source)?;
    check_model_name("name", &new.name)?;
    check_words("source_uri", &new.source_uri, MAX_SOURCE)?;
    check_words("description", &new.description, MAX_DESCRIPTION)?;
    check_words("user", &new.user, MAX_KEY)?;
    for (key, value) in &new.tags {
        check_tag(key, value)?;
    }
    if new.version < 1 {
        return Err(AppError::Invalid(format!("the number of a version is 1 or more, not {}", new.version)));
    }
    let stage: VersionStage = if new.stage.is_empty() { VersionStage::None } else { new.stage.parse()? };
    let mut transaction = app.store.begin().await?;
    registered_version::hold(&mut transaction).await?;
    let model = registered_model::find(&mut transaction, &new.name).await?;
    if let Some(found) = registered_version::get(&mut transaction, &new.name, new.version).await? {
        if found.tags.iter().any(|(key, _)| key == SOURCE_TAG) {
            return Ok(Imported { artifact_uri: found.storage_location, created: false });
        }
        return Err(AppError::Conflict(format!(
            "version {} of '{}' is here already and was not imported; it stays as it is",
            new.version, new.name
        )));
    }
    let given = Given {
        source: &new.source_uri,
        run_id: new.run_id.as_deref(),
        model_id: new.model_id.as_deref(),
        is_prompt: false,
    };
    let source = resolve(&mut transaction, given).await?;
    let row = NewVersion {
        model: model.number,
        version: Some(new.version),
        description: Some(&new.description),
        source: &source.uri,
        storage_location: &source.storage_location,
        run_id: source.run_id.as_deref(),
        run_link: Some(&new.run_link),
    };
    let creator = if new.user.is_empty() { &actor.name } else { &new.user };
    let stamp = Stamp { at: micros(new.created_ms), actor: creator };
    let inserted = registered_version::insert(&mut transaction, row, stamp).await;
    let (number, _) = inserted.map_err(|error| match error {
        StoreError::Conflict => AppError::Conflict(format!(
            "version {} of '{}' was here and was deleted; its number is never given again",
            new.version, new.name
        )),
        other => other.into(),
    })?;
    let mut tags = new.tags.clone();
    tags.push((SOURCE_TAG.to_owned(), new.source.clone()));
    registered_model::tag_all(&mut transaction, Tags::RegisteredVersion, number, &tags).await?;
    let made = crate::registered_version::find(&mut transaction, &new.name, new.version).await?;
    if stage != VersionStage::None {
        let now = app.clock.now();
        registered_version::set_stage(&mut transaction, &made, stage.as_str(), now).await?;
    }
    let detail =
        json!({ "version": new.version, "source": source.uri, "from": new.source, "stage": stage.as_str() });
    app.audit(&mut transaction, actor, "registered_version.import", &new.name, detail).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(Imported { artifact_uri: source.storage_location, created: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_or_deleted_here_is_left_alone() {
        let mark = Mark { id: "a".into(), is_deleted: false, source: Some("s".into()), digest: None };
        assert!(check_mine("run", &mark).is_ok());
        let deleted = Mark { is_deleted: true, ..mark.clone() };
        assert!(check_mine("run", &deleted).unwrap_err().to_string().contains("deleted here"));
        let own = Mark { source: None, ..deleted };
        assert!(check_mine("run", &own).unwrap_err().to_string().contains("was not imported"));
    }
}
