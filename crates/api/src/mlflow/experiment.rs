//! Experiments.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use greenlight_app::AppError;
use greenlight_app::experiment::{self, CreateExperiment, Experiment, TAKEN};
use greenlight_app::experiment_search::{SearchExperiments, search_experiments};
use serde_json::{Map, Value, json};

use super::call::{Call, Change};
use super::error::MlflowError;
use super::page;
use super::run::{pairs, view};
use crate::ApiState;

type Answer = Result<Json<Value>, MlflowError>;

pub(super) fn router() -> Router<ApiState> {
    Router::new()
        .route("/experiments/create", post(create))
        .route("/experiments/get", get(show))
        .route("/experiments/get-by-name", get(show_by_name))
        .route("/experiments/search", get(search).post(search))
        .route("/experiments/update", post(rename))
        .route("/experiments/delete", post(delete))
        .route("/experiments/restore", post(restore))
        .route("/experiments/set-experiment-tag", post(set_tag))
        .route("/experiments/delete-experiment-tag", post(delete_tag))
}

fn message(experiment: &Experiment) -> Value {
    let mut message = json!({
        "experiment_id": experiment.id.to_string(),
        "name": experiment.name,
        "artifact_location": experiment.artifact_location,
        "lifecycle_stage": if experiment.deleted_at.is_some() { "deleted" } else { "active" },
        "last_update_time": experiment.updated_at.0 / 1_000,
        "creation_time": experiment.created_at.0 / 1_000,
        "workspace": "default",
    });
    if !experiment.tags.is_empty() {
        message["tags"] = pairs(&experiment.tags);
    }
    message
}

async fn create(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let tags = fields.pairs("tags")?;
    let new = CreateExperiment {
        name: fields.needed("name")?.to_owned(),
        artifact_location: fields.text("artifact_location")?.map(str::to_owned),
        tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    };
    let id = experiment::create(&state.app, &call.actor, new).await?;
    Ok(Json(json!({ "experiment_id": id.to_string() })))
}

async fn show(State(state): State<ApiState>, call: Call) -> Answer {
    let found = experiment::get(&state.app, &call.actor, call.fields().experiment_id()?).await?;
    Ok(Json(json!({ "experiment": message(&found) })))
}

async fn show_by_name(State(state): State<ApiState>, call: Call) -> Answer {
    let found =
        experiment::get_by_name(&state.app, &call.actor, call.fields().needed("experiment_name")?).await?;
    Ok(Json(json!({ "experiment": message(&found) })))
}

async fn search(State(state): State<ApiState>, call: Call) -> Answer {
    let fields = call.fields();
    let asked = SearchExperiments {
        filter: fields.text("filter")?.unwrap_or_default().to_owned(),
        orders: fields.texts("order_by")?.into_iter().map(str::to_owned).collect(),
        view: view(fields.text("view_type")?),
        // MLflow has no default here: without a number it refuses 0.
        limit: fields.int("max_results")?.unwrap_or_default(),
        offset: page::offset(fields.text("page_token")?)?,
    };
    let (found, more) = search_experiments(&state.app, &call.actor, &asked).await?;
    let mut answer = Map::new();
    if !found.is_empty() {
        answer.insert("experiments".to_owned(), found.iter().map(message).collect());
    }
    if more {
        answer.insert("next_page_token".to_owned(), page::token(asked.offset + asked.limit).into());
    }
    Ok(Json(Value::Object(answer)))
}

async fn rename(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let id = call.fields().experiment_id()?;
    let name = call.fields().needed("new_name")?;
    match experiment::rename(&state.app, &call.actor, id, name).await {
        // A name that is taken is a conflict of its own kind; otherwise the experiment is deleted.
        Err(AppError::Conflict(message)) if !message.ends_with(TAKEN) => Err(MlflowError::state(message)),
        other => Ok(other.map(|()| Json(json!({})))?),
    }
}

async fn delete(State(state): State<ApiState>, Change(call): Change) -> Answer {
    experiment::delete(&state.app, &call.actor, call.fields().experiment_id()?).await?;
    Ok(Json(json!({})))
}

async fn restore(State(state): State<ApiState>, Change(call): Change) -> Answer {
    experiment::restore(&state.app, &call.actor, call.fields().experiment_id()?).await?;
    Ok(Json(json!({})))
}

async fn set_tag(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let (id, key, value) = (fields.experiment_id()?, fields.needed("key")?, fields.any_text("value")?);
    experiment::set_tag(&state.app, &call.actor, id, key, value).await?;
    Ok(Json(json!({})))
}

async fn delete_tag(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let (id, key) = (call.fields().experiment_id()?, call.fields().needed("key")?);
    experiment::delete_tag(&state.app, &call.actor, id, key).await?;
    Ok(Json(json!({})))
}
