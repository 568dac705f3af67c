//! Versions of registered models: adding them from a source, describing, staging, deleting, finding them.

use greenlight_domain::registry::{
    MAX_DESCRIPTION, MAX_SOURCE, VersionStage, check_model_name, check_tag, version_number,
};
use greenlight_domain::registry_search::Registry;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::run::{check_key, check_words};
use greenlight_store::registered_version::NewVersion;
use greenlight_store::registry_search::{Question, search_versions};
use greenlight_store::tag::{self, Tags};
use greenlight_store::{Connection, StoreError, registered_version};
use serde_json::json;

pub use greenlight_store::registered_version::RegisteredVersion;

use crate::registered_model::{self, PROMPT_TEXT, SearchRegistry, is_prompt, orders, tag_all, told};
use crate::version_source::{Given, resolve};
use crate::webhook::announce;
use crate::{App, AppError, allow, logged_model};

/// Most versions of a page.
const MAX_VERSIONS: i64 = 200_000;

/// A version to add.
#[derive(Debug, Clone, Default)]
pub struct CreateVersion {
    /// Its model.
    pub name: String,
    /// Where it comes from.
    pub source: String,
    /// The run that made it, if it was given.
    pub run_id: Option<String>,
    /// The logged model that it is, if it was given.
    pub model_id: Option<String>,
    /// A link to the run elsewhere.
    pub run_link: String,
    /// What people say of it.
    pub description: String,
    /// Tags; the last of equal keys counts.
    pub tags: Vec<(String, String)>,
}

pub(crate) async fn find(
    connection: &mut Connection,
    name: &str,
    version: i64,
) -> Result<RegisteredVersion, AppError> {
    let found = registered_version::get(connection, name, version).await?;
    found.ok_or_else(|| {
        AppError::not_found("registered version", &format!("(name={name}, version={version})"), "")
    })
}

/// Adds a version.
pub async fn create(app: &App, actor: &Actor, new: CreateVersion) -> Result<RegisteredVersion, AppError> {
    allow(actor, Action::Train)?;
    check_words("source", &new.source, MAX_SOURCE)?;
    check_words("description", &new.description, MAX_DESCRIPTION)?;
    let given = Given {
        source: &new.source,
        run_id: new.run_id.as_deref(),
        model_id: new.model_id.as_deref(),
        is_prompt: is_prompt(&new.tags),
    };
    let mut transaction = app.store.begin().await?;
    registered_version::hold(&mut transaction).await?;
    let source = resolve(&mut transaction, given).await?;
    check_model_name("name", &new.name)?;
    for (key, value) in &new.tags {
        check_tag(key, value)?;
    }
    let model = registered_model::find(&mut transaction, &new.name).await?;
    let row = NewVersion {
        model: model.number,
        version: None,
        description: Some(&new.description),
        source: &source.uri,
        storage_location: &source.storage_location,
        run_id: source.run_id.as_deref(),
        run_link: Some(&new.run_link),
    };
    let (number, version) = registered_version::insert(&mut transaction, row, app.stamp(actor)).await?;
    tag_all(&mut transaction, Tags::RegisteredVersion, number, &new.tags).await?;
    let detail = json!({ "version": version, "source": source.uri, "run": source.run_id });
    app.audit(&mut transaction, actor, "registered_version.create", &new.name, detail).await?;
    let made = find(&mut transaction, &new.name, version).await?;
    note_on_model(&mut transaction, &new, version).await?;
    announce_version(app, &mut transaction, &new, &made).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(made)
}

/// The tag of a logged model that says under which names it is registered.
const VERSIONS_TAG: &str = "mlflow.modelVersions";

/// Says of a logged model that it is registered now.
async fn note_on_model(
    connection: &mut Connection,
    new: &CreateVersion,
    version: i64,
) -> Result<(), AppError> {
    let Some(id) = new.model_id.as_deref().filter(|id| !id.is_empty()) else { return Ok(()) };
    let model = logged_model::find_active(connection, id).await?;
    let known = model.tags.iter().find(|(key, _)| key == VERSIONS_TAG);
    let mut versions: Vec<(String, i64)> = Vec::new();
    let known: Vec<serde_json::Value> =
        known.and_then(|(_, value)| serde_json::from_str(value).ok()).unwrap_or_default();
    for one in known {
        if let (Some(name), Some(version)) = (one["name"].as_str(), one["version"].as_i64()) {
            versions.push((name.to_owned(), version));
        }
    }
    versions.push((new.name.clone(), version));
    // With the blanks that MLflow's own server writes: its clients compare texts.
    let one =
        |(name, version): &(String, i64)| format!("{{\"name\": {}, \"version\": {version}}}", json!(name));
    let text = format!("[{}]", versions.iter().map(one).collect::<Vec<_>>().join(", "));
    Ok(tag::set(connection, Tags::LoggedModel, model.number, &[(VERSIONS_TAG, &text)]).await?)
}

async fn announce_version(
    app: &App,
    connection: &mut Connection,
    new: &CreateVersion,
    made: &RegisteredVersion,
) -> Result<(), AppError> {
    let description = Some(&new.description).filter(|text| !text.is_empty());
    if is_prompt(&new.tags) {
        let template = new.tags.iter().rev().find(|(key, _)| key == PROMPT_TEXT).map(|(_, text)| text);
        return announce(
            app,
            connection,
            ("prompt_version", "created"),
            vec![
                ("name", json!(made.name)),
                ("version", json!(made.version.to_string())),
                ("template", json!(template)),
                ("tags", json!(told(&new.tags))),
                ("description", json!(description)),
            ],
        )
        .await;
    }
    announce(
        app,
        connection,
        ("model_version", "created"),
        vec![
            ("name", json!(made.name)),
            ("version", json!(made.version.to_string())),
            ("source", json!(made.source)),
            ("run_id", json!(made.run_id.as_ref().filter(|id| !id.is_empty()))),
            ("tags", json!(told(&new.tags))),
            ("description", json!(description)),
        ],
    )
    .await
}

async fn is_of_prompt(connection: &mut Connection, name: &str) -> Result<bool, AppError> {
    Ok(is_prompt(&registered_model::find(connection, name).await?.tags))
}

fn checked(name: &str, version: &str) -> Result<i64, AppError> {
    check_model_name("name", name)?;
    Ok(version_number(version)?)
}

/// A version.
pub async fn get(app: &App, actor: &Actor, name: &str, version: &str) -> Result<RegisteredVersion, AppError> {
    allow(actor, Action::Read)?;
    let version = checked(name, version)?;
    let mut connection = app.store.read().await?;
    find(&mut connection, name, version).await
}

/// Says something else of a version, or nothing.
pub async fn describe(
    app: &App,
    actor: &Actor,
    (name, version): (&str, &str),
    description: Option<&str>,
) -> Result<RegisteredVersion, AppError> {
    allow(actor, Action::Train)?;
    let version = checked(name, version)?;
    check_words("description", description.unwrap_or_default(), MAX_DESCRIPTION)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, name, version).await?;
    registered_version::describe(&mut transaction, found.number, description, app.clock.now()).await?;
    let changed = find(&mut transaction, name, version).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(changed)
}

/// Puts a version into a stage, and if it is asked for every other one of that stage away.
pub async fn set_stage(
    app: &App,
    actor: &Actor,
    (name, version): (&str, &str),
    stage: &str,
    archive_others: bool,
) -> Result<RegisteredVersion, AppError> {
    allow(actor, Action::Train)?;
    let to: VersionStage = stage.parse()?;
    if archive_others && !to.is_active() {
        return Err(AppError::Invalid(format!(
            "Model version transition cannot archive existing model versions because '{stage}' is not an Active stage. \
             Valid stages are ['Staging', 'Production']"
        )));
    }
    let version = checked(name, version)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, name, version).await?;
    let now = app.clock.now();
    let mut archived = Vec::new();
    if archive_others {
        let away = VersionStage::Archived.as_str();
        archived =
            registered_version::move_others(&mut transaction, &found, (to.as_str(), away), now).await?;
    }
    registered_version::set_stage(&mut transaction, &found, to.as_str(), now).await?;
    let detail = json!({ "version": version, "from": found.stage, "to": to.as_str(), "archived": archived });
    app.audit(&mut transaction, actor, "registered_version.set_stage", name, detail).await?;
    let changed = find(&mut transaction, name, version).await?;
    let data = vec![
        ("name", json!(name)),
        ("version", json!(version.to_string())),
        ("from_stage", json!(found.stage)),
        ("stage", json!(changed.stage)),
    ];
    announce(app, &mut transaction, ("model_version", "updated"), data).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(changed)
}

/// Deletes a version. Its number is never given again; its files stay.
pub async fn delete(app: &App, actor: &Actor, name: &str, version: &str) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    let version = checked(name, version)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, name, version).await?;
    registered_version::delete(&mut transaction, &found, app.clock.now()).await?;
    let detail = json!({ "version": version, "stage": found.stage, "aliases": found.aliases });
    app.audit(&mut transaction, actor, "registered_version.delete", name, detail).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Sets a tag of a version; the version, for whoever tells others.
pub async fn set_tag(
    app: &App,
    actor: &Actor,
    (name, version): (&str, &str),
    (key, value): (&str, &str),
) -> Result<RegisteredVersion, AppError> {
    allow(actor, Action::Train)?;
    let version = checked(name, version)?;
    check_tag(key, value)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, name, version).await?;
    tag::set(&mut transaction, Tags::RegisteredVersion, found.number, &[(key, value)]).await?;
    let prompt = is_of_prompt(&mut transaction, name).await?;
    let entity = if prompt { "prompt_version_tag" } else { "model_version_tag" };
    let data = vec![
        ("name", json!(name)),
        ("version", json!(version.to_string())),
        ("key", json!(key)),
        ("value", json!(value)),
    ];
    announce(app, &mut transaction, (entity, "set"), data).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(found)
}

/// Removes a tag of a version; nothing happens when there is none.
pub async fn delete_tag(
    app: &App,
    actor: &Actor,
    (name, version): (&str, &str),
    key: &str,
) -> Result<RegisteredVersion, AppError> {
    allow(actor, Action::Train)?;
    let version = checked(name, version)?;
    check_key("key", "key", key)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, name, version).await?;
    tag::delete(&mut transaction, Tags::RegisteredVersion, found.number, key).await?;
    let prompt = is_of_prompt(&mut transaction, name).await?;
    let entity = if prompt { "prompt_version_tag" } else { "model_version_tag" };
    let data = vec![("name", json!(name)), ("version", json!(version.to_string())), ("key", json!(key))];
    announce(app, &mut transaction, (entity, "deleted"), data).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(found)
}

/// The newest version in each of these stages, or in every one.
pub async fn latest(
    app: &App,
    actor: &Actor,
    name: &str,
    stages: &[&str],
) -> Result<Vec<RegisteredVersion>, AppError> {
    allow(actor, Action::Read)?;
    check_model_name("name", name)?;
    let mut connection = app.store.read().await?;
    let mut found = registered_model::find(&mut connection, name).await?.latest;
    let wanted = stages.iter().map(|stage| stage.parse()).collect::<Result<Vec<VersionStage>, _>>()?;
    if !wanted.is_empty() {
        found.retain(|version| wanted.iter().any(|stage| stage.as_str() == version.stage));
    }
    Ok(found)
}

/// Versions by filter and order; whether there are more.
pub async fn search(
    app: &App,
    actor: &Actor,
    asked: &SearchRegistry,
) -> Result<(Vec<RegisteredVersion>, bool), AppError> {
    allow(actor, Action::Read)?;
    if asked.limit < 1 {
        return Err(AppError::Invalid(format!(
            "Invalid value for max_results. It must be a positive integer, but got {}",
            asked.limit
        )));
    }
    if asked.limit > MAX_VERSIONS {
        return Err(AppError::Invalid(format!(
            "Invalid value for request parameter max_results. It must be at most {MAX_VERSIONS}, but got value {}",
            asked.limit
        )));
    }
    let filter = Registry::Versions.filter(&asked.filter)?;
    let orders = orders(Registry::Versions, &asked.orders)?;
    let mut connection = app.store.read().await?;
    let question =
        Question { filter: &filter, orders: &orders, limit: asked.limit + 1, offset: asked.offset.max(0) };
    let mut found = search_versions(&mut connection, question).await?;
    let more = found.len() as i64 > asked.limit;
    found.truncate(usize::try_from(asked.limit).unwrap_or(0));
    Ok((found, more))
}
