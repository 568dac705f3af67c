//! Registered models and their aliases.

use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use greenlight_app::registered_model::{self, RegisterName, RegisteredModel, SearchRegistry};
use serde_json::{Map, Value, json};

use super::call::{Call, Change};
use super::error::MlflowError;
use super::run::pairs;
use super::{page, registered_version};
use crate::ApiState;

type Answer = Result<Json<Value>, MlflowError>;

/// Models of a page when a client does not say how many.
const PAGE: i64 = 100;

pub(super) fn router() -> Router<ApiState> {
    Router::new()
        .route("/registered-models/create", post(create))
        .route("/registered-models/get", get(show))
        .route("/registered-models/search", get(search))
        .route("/registered-models/rename", post(rename))
        .route("/registered-models/update", patch(update))
        .route("/registered-models/delete", delete(remove))
        .route("/registered-models/set-tag", post(set_tag))
        .route("/registered-models/delete-tag", delete(delete_tag))
        .route("/registered-models/alias", post(set_alias).delete(delete_alias).get(by_alias))
}

fn message(model: &RegisteredModel) -> Value {
    let mut message = json!({
        "name": model.name,
        "creation_timestamp": model.created_at.0 / 1_000,
        "last_updated_timestamp": model.updated_at.0 / 1_000,
    });
    if !model.description.is_empty() {
        message["description"] = json!(model.description);
    }
    if !model.latest.is_empty() {
        message["latest_versions"] =
            model.latest.iter().map(|version| registered_version::message(version, false)).collect();
    }
    if !model.tags.is_empty() {
        message["tags"] = pairs(&model.tags);
    }
    if !model.aliases.is_empty() {
        let alias =
            |(alias, version): &(String, i64)| json!({ "alias": alias, "version": version.to_string() });
        message["aliases"] = model.aliases.iter().map(alias).collect();
    }
    message
}

fn answer(model: &RegisteredModel) -> Json<Value> {
    Json(json!({ "registered_model": message(model) }))
}

async fn create(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let new = RegisterName {
        name: fields.needed("name")?.to_owned(),
        description: fields.text("description")?.unwrap_or_default().to_owned(),
        tags: fields.owned_pairs("tags")?,
    };
    Ok(answer(&registered_model::create(&state.app, &call.actor, new).await?))
}

async fn show(State(state): State<ApiState>, call: Call) -> Answer {
    Ok(answer(&registered_model::get(&state.app, &call.actor, call.fields().needed("name")?).await?))
}

/// The page that a search asks for.
pub(super) fn asked(call: &Call, usual: i64) -> Result<SearchRegistry, MlflowError> {
    let fields = call.fields();
    Ok(SearchRegistry {
        filter: fields.text("filter")?.unwrap_or_default().to_owned(),
        orders: fields.texts("order_by")?.into_iter().map(str::to_owned).collect(),
        limit: fields.int("max_results")?.unwrap_or(usual),
        offset: page::offset(fields.text("page_token")?)?,
    })
}

/// A page of messages under their name, with the token of the next one.
pub(super) fn listed(name: &str, messages: Vec<Value>, next: Option<i64>) -> Json<Value> {
    let mut answer = Map::new();
    if !messages.is_empty() {
        answer.insert(name.to_owned(), Value::Array(messages));
    }
    if let Some(offset) = next {
        answer.insert("next_page_token".to_owned(), page::token(offset).into());
    }
    Json(Value::Object(answer))
}

async fn search(State(state): State<ApiState>, call: Call) -> Answer {
    let asked = asked(&call, PAGE)?;
    let (found, more) = registered_model::search(&state.app, &call.actor, &asked).await?;
    let next = more.then_some(asked.offset + asked.limit);
    Ok(listed("registered_models", found.iter().map(message).collect(), next))
}

async fn rename(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let (name, to) = (call.fields().needed("name")?, call.fields().needed("new_name")?);
    Ok(answer(&registered_model::rename(&state.app, &call.actor, name, to).await?))
}

async fn update(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let (name, description) = (fields.needed("name")?, fields.text("description")?.unwrap_or_default());
    Ok(answer(&registered_model::describe(&state.app, &call.actor, name, description).await?))
}

async fn remove(State(state): State<ApiState>, Change(call): Change) -> Answer {
    registered_model::delete(&state.app, &call.actor, call.fields().needed("name")?).await?;
    Ok(Json(json!({})))
}

async fn set_tag(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let (name, tag) =
        (fields.needed("name")?, (fields.needed("key")?, fields.text("value")?.unwrap_or_default()));
    registered_model::set_tag(&state.app, &call.actor, name, tag).await?;
    Ok(Json(json!({})))
}

async fn delete_tag(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let (name, key) = (call.fields().needed("name")?, call.fields().needed("key")?);
    registered_model::delete_tag(&state.app, &call.actor, name, key).await?;
    Ok(Json(json!({})))
}

async fn set_alias(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let (name, alias) = (fields.needed("name")?, fields.needed("alias")?);
    registered_model::set_alias(&state.app, &call.actor, name, alias, fields.needed("version")?).await?;
    Ok(Json(json!({})))
}

async fn delete_alias(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let (name, alias) = (call.fields().needed("name")?, call.fields().needed("alias")?);
    registered_model::delete_alias(&state.app, &call.actor, name, alias).await?;
    Ok(Json(json!({})))
}

async fn by_alias(State(state): State<ApiState>, call: Call) -> Answer {
    let (name, alias) = (call.fields().needed("name")?, call.fields().needed("alias")?);
    let found = registered_model::by_alias(&state.app, &call.actor, name, alias).await?;
    Ok(registered_version::answer(&found))
}
