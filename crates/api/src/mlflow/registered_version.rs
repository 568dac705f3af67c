//! Versions of registered models.

use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use greenlight_app::registered_version::{self, CreateVersion, RegisteredVersion};
use serde_json::{Value, json};

use super::call::{Call, Change, Fields};
use super::error::MlflowError;
use super::registered_model::{asked, listed};
use super::run::pairs;
use crate::ApiState;

type Answer = Result<Json<Value>, MlflowError>;

/// Versions of a page when a client does not say how many.
const PAGE: i64 = 200_000;

pub(super) fn router() -> Router<ApiState> {
    Router::new()
        .route("/model-versions/create", post(create))
        .route("/model-versions/get", get(show))
        .route("/model-versions/search", get(search))
        .route("/model-versions/update", patch(update))
        .route("/model-versions/delete", delete(remove))
        .route("/model-versions/transition-stage", post(set_stage))
        .route("/model-versions/get-download-uri", get(download_uri))
        .route("/model-versions/set-tag", post(set_tag))
        .route("/model-versions/delete-tag", delete(delete_tag))
        .route("/registered-models/get-latest-versions", get(read_latest).post(latest))
}

/// A version as MLflow writes it; in lists it comes without aliases.
pub(super) fn message(version: &RegisteredVersion, with_aliases: bool) -> Value {
    let mut message = json!({
        "name": version.name,
        "version": version.version.to_string(),
        "creation_timestamp": version.created_at.0 / 1_000,
        "last_updated_timestamp": version.updated_at.0 / 1_000,
        "current_stage": version.stage,
        "source": version.source,
        "status": "READY",
    });
    let texts =
        [("description", &version.description), ("run_id", &version.run_id), ("run_link", &version.run_link)];
    for (name, text) in texts {
        if let Some(text) = text {
            message[name] = json!(text);
        }
    }
    if !version.tags.is_empty() {
        message["tags"] = pairs(&version.tags);
    }
    if with_aliases && !version.aliases.is_empty() {
        message["aliases"] = json!(version.aliases);
    }
    message
}

pub(super) fn answer(version: &RegisteredVersion) -> Json<Value> {
    Json(json!({ "model_version": message(version, true) }))
}

fn named(fields: Fields<'_>) -> Result<(&str, &str), MlflowError> {
    Ok((fields.needed("name")?, fields.needed("version")?))
}

async fn create(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let new = CreateVersion {
        name: fields.needed("name")?.to_owned(),
        source: fields.needed("source")?.to_owned(),
        run_id: fields.given("run_id")?.map(str::to_owned),
        model_id: fields.given("model_id")?.map(str::to_owned),
        run_link: fields.text("run_link")?.unwrap_or_default().to_owned(),
        description: fields.text("description")?.unwrap_or_default().to_owned(),
        tags: fields.owned_pairs("tags")?,
    };
    Ok(answer(&registered_version::create(&state.app, &call.actor, new).await?))
}

async fn show(State(state): State<ApiState>, call: Call) -> Answer {
    let (name, version) = named(call.fields())?;
    Ok(answer(&registered_version::get(&state.app, &call.actor, name, version).await?))
}

async fn search(State(state): State<ApiState>, call: Call) -> Answer {
    let asked = asked(&call, PAGE)?;
    let (found, more) = registered_version::search(&state.app, &call.actor, &asked).await?;
    let next = more.then_some(asked.offset + asked.limit);
    Ok(listed("model_versions", found.iter().map(|version| message(version, false)).collect(), next))
}

async fn update(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let description = fields.given("description")?;
    let changed = registered_version::describe(&state.app, &call.actor, named(fields)?, description).await?;
    Ok(answer(&changed))
}

async fn remove(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let (name, version) = named(call.fields())?;
    registered_version::delete(&state.app, &call.actor, name, version).await?;
    Ok(Json(json!({})))
}

async fn set_stage(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let (version, stage) = (named(fields)?, fields.needed("stage")?);
    let archive = fields.flag("archive_existing_versions")?;
    let changed = registered_version::set_stage(&state.app, &call.actor, version, stage, archive).await?;
    Ok(answer(&changed))
}

async fn download_uri(State(state): State<ApiState>, call: Call) -> Answer {
    let fields = call.fields();
    let (name, version) =
        (fields.text("name")?.unwrap_or_default(), fields.text("version")?.unwrap_or_default());
    let found = registered_version::get(&state.app, &call.actor, name, version).await?;
    Ok(Json(json!({ "artifact_uri": found.storage_location })))
}

async fn set_tag(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let tag = (fields.needed("key")?, fields.text("value")?.unwrap_or_default());
    registered_version::set_tag(&state.app, &call.actor, named(fields)?, tag).await?;
    Ok(Json(json!({})))
}

async fn delete_tag(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    registered_version::delete_tag(&state.app, &call.actor, named(fields)?, fields.needed("key")?).await?;
    Ok(Json(json!({})))
}

async fn latest(State(state): State<ApiState>, call: Call) -> Answer {
    let fields = call.fields();
    let (name, stages) = (fields.needed("name")?, fields.texts("stages")?);
    let found = registered_version::latest(&state.app, &call.actor, name, &stages).await?;
    Ok(listed("model_versions", found.iter().map(|version| message(version, true)).collect(), None))
}

async fn read_latest(state: State<ApiState>, call: Call) -> Answer {
    latest(state, call).await
}
