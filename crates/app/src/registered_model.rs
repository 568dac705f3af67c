//! The registry: models by name, their tags, and the aliases that name versions of them.
//!
//! Every change that decides what is used somewhere (an alias, a stage, a deletion) is in the audit trail with what it
//! was before, so that it can be said which version was in use when.

use greenlight_domain::registry::{
    MAX_DESCRIPTION, check_alias, check_model_name, check_new_alias, check_tag, version_number,
};
use greenlight_domain::registry_search::{PROMPT_TAG, Registry};
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::run::{check_key, check_words};
use greenlight_store::registry_search::{Question, search_models};
use greenlight_store::tag::{self, Tags};
use greenlight_store::{Connection, StoreError, registered_model, registered_version};
use serde_json::json;

pub use greenlight_store::registered_model::RegisteredModel;
pub use greenlight_store::registered_version::RegisteredVersion;

use crate::registered_version::find as find_version;
use crate::webhook::announce;
use crate::{App, AppError, allow};

/// The tag that says which kind of prompt it is.
const PROMPT_TYPE: &str = "_mlflow_prompt_type";
/// The tag that holds a prompt's text.
pub(crate) const PROMPT_TEXT: &str = "mlflow.prompt.text";
/// Most models of a page.
const MAX_MODELS: i64 = 1_000;

/// A model to register.
#[derive(Debug, Clone, Default)]
pub struct RegisterName {
    /// Its name.
    pub name: String,
    /// What people say of it.
    pub description: String,
    /// Tags; the last of equal keys counts.
    pub tags: Vec<(String, String)>,
}

/// A page of a search.
#[derive(Debug, Clone, Default)]
pub struct SearchRegistry {
    /// What all of them meet; empty for all.
    pub filter: String,
    /// In which order.
    pub orders: Vec<String>,
    /// Most of the page.
    pub limit: i64,
    /// Things before the page.
    pub offset: i64,
}

/// Whether tags make it a prompt, which stands in the same table.
pub fn is_prompt(tags: &[(String, String)]) -> bool {
    tags.iter()
        .rev()
        .find(|(key, _)| key == PROMPT_TAG)
        .is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"))
}

/// Tags as webhooks are told of them: without those that only say that it is a prompt.
pub(crate) fn told(tags: &[(String, String)]) -> serde_json::Value {
    let all =
        pairs(tags).into_iter().filter(|(key, _)| !matches!(*key, PROMPT_TAG | PROMPT_TYPE | PROMPT_TEXT));
    all.map(|(key, value)| (key.to_owned(), json!(value))).collect::<serde_json::Map<_, _>>().into()
}

pub(crate) fn pairs(tags: &[(String, String)]) -> Vec<(&str, &str)> {
    // The last of equal keys counts.
    let last: std::collections::BTreeMap<&str, &str> = tags.iter().map(|(k, v)| (&**k, &**v)).collect();
    last.into_iter().collect()
}

pub(crate) async fn tag_all(
    connection: &mut Connection,
    table: Tags,
    owner: i64,
    tags: &[(String, String)],
) -> Result<(), AppError> {
    Ok(tag::set(connection, table, owner, &pairs(tags)).await?)
}

/// Registers a name.
pub async fn create(app: &App, actor: &Actor, new: RegisterName) -> Result<RegisteredModel, AppError> {
    allow(actor, Action::Train)?;
    check_model_name("name", &new.name)?;
    check_words("description", &new.description, MAX_DESCRIPTION)?;
    for (key, value) in &new.tags {
        check_tag(key, value)?;
    }
    let mut transaction = app.store.begin().await?;
    let found = registered_model::get(&mut transaction, &new.name).await?;
    if let Some(found) = found {
        return Err(taken(&new, &found));
    }
    let made =
        registered_model::insert(&mut transaction, &new.name, &new.description, app.stamp(actor)).await;
    let number = match made {
        Err(StoreError::Conflict) => {
            return Err(AppError::Conflict(format!("Registered Model (name={}) already exists.", new.name)));
        }
        other => other?,
    };
    tag_all(&mut transaction, Tags::RegisteredModel, number, &new.tags).await?;
    app.audit(&mut transaction, actor, "registered_model.create", &new.name, json!({})).await?;
    let made = find(&mut transaction, &new.name).await?;
    let event = if is_prompt(&new.tags) { ("prompt", "created") } else { ("registered_model", "created") };
    announce(
        app,
        &mut transaction,
        event,
        vec![
            ("name", json!(new.name)),
            ("tags", json!(told(&new.tags))),
            ("description", json!(new.description)),
        ],
    )
    .await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(made)
}

fn taken(new: &RegisterName, found: &RegisteredModel) -> AppError {
    let is_prompt = |tags: &[(String, String)]| tags.iter().any(|(key, _)| key == PROMPT_TAG);
    AppError::Conflict(match (is_prompt(&new.tags), is_prompt(&found.tags)) {
        (false, false) => format!("Registered Model (name={}) already exists.", new.name),
        (true, true) => format!("Prompt (name={}) already exists.", new.name),
        (prompt, _) => {
            let (wanted, there) =
                if prompt { ("prompt", "registered model") } else { ("registered model", "prompt") };
            format!(
                "Tried to create a {wanted} with name '{}', but the name is already taken by a {there}. MLflow does not \
                 allow creating a model and a prompt with the same name.",
                new.name
            )
        }
    })
}

pub(crate) async fn find(connection: &mut Connection, name: &str) -> Result<RegisteredModel, AppError> {
    let found = registered_model::get(connection, name).await?;
    found.ok_or_else(|| AppError::not_found("registered model", name, ""))
}

/// The model of that name.
pub async fn get(app: &App, actor: &Actor, name: &str) -> Result<RegisteredModel, AppError> {
    allow(actor, Action::Read)?;
    check_model_name("name", name)?;
    let mut connection = app.store.read().await?;
    find(&mut connection, name).await
}

/// Gives a model another name.
pub async fn rename(app: &App, actor: &Actor, name: &str, to: &str) -> Result<RegisteredModel, AppError> {
    allow(actor, Action::Train)?;
    check_model_name("new_name", to)?;
    check_model_name("name", name)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, name).await?;
    match registered_model::rename(&mut transaction, found.number, to, app.clock.now()).await {
        Err(StoreError::Conflict) => {
            return Err(AppError::Conflict(format!("Registered Model (name={to}) already exists.")));
        }
        other => other?,
    }
    // Under both names, so that whoever asks for one of them finds the other.
    app.audit(&mut transaction, actor, "registered_model.rename", to, json!({ "from": name })).await?;
    app.audit(&mut transaction, actor, "registered_model.rename", name, json!({ "to": to })).await?;
    let renamed = find(&mut transaction, to).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(renamed)
}

/// Says something else of a model.
pub async fn describe(
    app: &App,
    actor: &Actor,
    name: &str,
    description: &str,
) -> Result<RegisteredModel, AppError> {
    allow(actor, Action::Train)?;
    check_model_name("name", name)?;
    check_words("description", description, MAX_DESCRIPTION)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, name).await?;
    registered_model::describe(&mut transaction, found.number, description, app.clock.now()).await?;
    let changed = find(&mut transaction, name).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(changed)
}

/// Removes a model with its versions. Their files stay, and so do releases that were made of them.
pub async fn delete(app: &App, actor: &Actor, name: &str) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    check_model_name("name", name)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, name).await?;
    registered_model::delete(&mut transaction, found.number).await?;
    app.audit(&mut transaction, actor, "registered_model.delete", name, json!({})).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Sets a tag of a model; the model, for whoever tells others.
pub async fn set_tag(
    app: &App,
    actor: &Actor,
    name: &str,
    (key, value): (&str, &str),
) -> Result<RegisteredModel, AppError> {
    allow(actor, Action::Train)?;
    check_model_name("name", name)?;
    check_tag(key, value)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, name).await?;
    tag::set(&mut transaction, Tags::RegisteredModel, found.number, &[(key, value)]).await?;
    if is_prompt(&found.tags) {
        let data = vec![("name", json!(name)), ("key", json!(key)), ("value", json!(value))];
        announce(app, &mut transaction, ("prompt_tag", "set"), data).await?;
    }
    let changed = find(&mut transaction, name).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(changed)
}

/// Removes a tag of a model; nothing happens when there is none.
pub async fn delete_tag(
    app: &App,
    actor: &Actor,
    name: &str,
    key: &str,
) -> Result<RegisteredModel, AppError> {
    allow(actor, Action::Train)?;
    check_model_name("name", name)?;
    check_key("key", "key", key)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, name).await?;
    tag::delete(&mut transaction, Tags::RegisteredModel, found.number, key).await?;
    if is_prompt(&found.tags) {
        let data = vec![("name", json!(name)), ("key", json!(key))];
        announce(app, &mut transaction, ("prompt_tag", "deleted"), data).await?;
    }
    let changed = find(&mut transaction, name).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(changed)
}

/// Models by filter and order; whether there are more.
pub async fn search(
    app: &App,
    actor: &Actor,
    asked: &SearchRegistry,
) -> Result<(Vec<RegisteredModel>, bool), AppError> {
    allow(actor, Action::Read)?;
    if !(1..=MAX_MODELS).contains(&asked.limit) {
        return Err(AppError::Invalid(format!(
            "Invalid value for max_results. It must be a positive integer of at most {MAX_MODELS}, but got {}",
            asked.limit
        )));
    }
    let filter = Registry::Models.filter(&asked.filter)?;
    let orders = orders(Registry::Models, &asked.orders)?;
    let mut connection = app.store.read().await?;
    let question =
        Question { filter: &filter, orders: &orders, limit: asked.limit + 1, offset: asked.offset.max(0) };
    let mut found = search_models(&mut connection, question).await?;
    let more = found.len() as i64 > asked.limit;
    found.truncate(usize::try_from(asked.limit).unwrap_or(0));
    Ok((found, more))
}

/// The parts of an order, each column once.
pub(crate) fn orders(
    registry: Registry,
    texts: &[String],
) -> Result<Vec<greenlight_domain::registry_search::RegistryOrder>, AppError> {
    let orders = texts.iter().map(|text| registry.order(text)).collect::<Result<Vec<_>, _>>()?;
    for (at, order) in orders.iter().enumerate() {
        if orders[..at].iter().any(|other| other.subject == order.subject) {
            return Err(AppError::Invalid(format!("`order_by` contains duplicate fields: {texts:?}")));
        }
    }
    Ok(orders)
}

/// Lets an alias name a version; the model, for whoever tells others.
pub async fn set_alias(
    app: &App,
    actor: &Actor,
    name: &str,
    alias: &str,
    version: &str,
) -> Result<RegisteredModel, AppError> {
    allow(actor, Action::Train)?;
    check_model_name("name", name)?;
    check_new_alias(alias)?;
    let number = version_number(version)?;
    let mut transaction = app.store.begin().await?;
    let found = find_version(&mut transaction, name, number).await?;
    let before = registered_version::set_alias(&mut transaction, found.model, alias, number).await?;
    let detail = json!({ "alias": alias, "version": number, "before": before });
    app.audit(&mut transaction, actor, "registered_model.set_alias", name, detail).await?;
    let changed = find(&mut transaction, name).await?;
    let entity = if is_prompt(&changed.tags) { "prompt_alias" } else { "model_version_alias" };
    let data = vec![("name", json!(name)), ("alias", json!(alias)), ("version", json!(version))];
    announce(app, &mut transaction, (entity, "created"), data).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(changed)
}

/// Removes an alias; nothing happens when there is none.
pub async fn delete_alias(
    app: &App,
    actor: &Actor,
    name: &str,
    alias: &str,
) -> Result<RegisteredModel, AppError> {
    allow(actor, Action::Train)?;
    check_model_name("name", name)?;
    check_alias(alias)?;
    let mut transaction = app.store.begin().await?;
    let found = find(&mut transaction, name).await?;
    if let Some(before) = registered_version::delete_alias(&mut transaction, found.number, alias).await? {
        let detail = json!({ "alias": alias, "before": before });
        app.audit(&mut transaction, actor, "registered_model.delete_alias", name, detail).await?;
    }
    let changed = find(&mut transaction, name).await?;
    let entity = if is_prompt(&changed.tags) { "prompt_alias" } else { "model_version_alias" };
    let data = vec![("name", json!(name)), ("alias", json!(alias))];
    announce(app, &mut transaction, (entity, "deleted"), data).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(changed)
}

/// The version that an alias names; `latest` is the highest one.
pub async fn by_alias(
    app: &App,
    actor: &Actor,
    name: &str,
    alias: &str,
) -> Result<RegisteredVersion, AppError> {
    allow(actor, Action::Read)?;
    check_model_name("name", name)?;
    check_alias(alias)?;
    let mut connection = app.store.read().await?;
    version_of_alias(&mut connection, name, alias).await
}

pub(crate) async fn version_of_alias(
    connection: &mut Connection,
    name: &str,
    alias: &str,
) -> Result<RegisteredVersion, AppError> {
    let model = find(connection, name).await?;
    if alias.eq_ignore_ascii_case("latest") {
        let newest = model.latest.into_iter().max_by_key(|version| version.version);
        return newest.ok_or_else(|| AppError::not_found("latest version", name, ""));
    }
    match registered_version::by_alias(connection, model.number, alias).await? {
        Some(version) => find_version(connection, name, version).await,
        None => Err(AppError::Invalid(format!("Registered model alias {alias} not found."))),
    }
}
