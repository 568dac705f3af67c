//! Logged models.

use axum::extract::{Path, State};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use greenlight_app::logged_model::{
    self, CreateLoggedModel, LoggedModel, MeasuredOn, ModelMetric, OrderBy, SearchLoggedModels,
};
use greenlight_app::run::Latest;
use greenlight_domain::logged_model::LoggedModelStatus;
use serde_json::{Map, Value, json};

use super::call::{Call, Change, Fields, experiment_id, missing};
use super::error::MlflowError;
use super::run::pairs;
use super::{metric, page};
use crate::ApiState;

type Answer = Result<Json<Value>, MlflowError>;

/// Models of a page when a client does not say how many.
const PAGE: i64 = 50;

pub(super) fn router() -> Router<ApiState> {
    Router::new()
        .route("/logged-models", post(create))
        .route("/logged-models/search", post(search))
        .route("/logged-models/{id}", get(show).patch(finalize).delete(remove))
        .route("/logged-models/{id}/tags", patch(set_tags))
        .route("/logged-models/{id}/tags/{key}", delete(delete_tag))
        .route("/logged-models/{id}/params", post(log_params))
}

fn measured(metric: &ModelMetric) -> Value {
    let point =
        Latest { key: metric.key.clone(), value: metric.value, at_ms: metric.at_ms, step: metric.step };
    let mut message = metric::message(&point);
    for (name, text) in [
        ("dataset_name", &metric.dataset_name),
        ("dataset_digest", &metric.dataset_digest),
        ("run_id", &metric.run_id),
    ] {
        if !text.is_empty() {
            message[name] = json!(text);
        }
    }
    message
}

fn message(model: &LoggedModel) -> Value {
    let mut info = json!({
        "model_id": model.id,
        "experiment_id": model.experiment_id.to_string(),
        "name": model.name,
        "creation_timestamp_ms": model.created_at.0 / 1_000,
        "last_updated_timestamp_ms": model.updated_at.0 / 1_000,
        "artifact_uri": model.artifact_uri,
        "status": model.status.as_str(),
        "model_type": model.model_type,
        "source_run_id": model.source_run_id,
    });
    if !model.tags.is_empty() {
        info["tags"] = pairs(&model.tags);
    }
    let mut data = Map::new();
    if !model.params.is_empty() {
        data.insert("params".to_owned(), pairs(&model.params));
    }
    if !model.metrics.is_empty() {
        let metrics = model.metrics.iter().map(|metric| {
            let mut message = measured(metric);
            message["model_id"] = json!(model.id);
            message
        });
        data.insert("metrics".to_owned(), metrics.collect());
    }
    json!({ "info": info, "data": data })
}

fn answer(model: &LoggedModel) -> Json<Value> {
    Json(json!({ "model": message(model) }))
}

async fn create(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let text = |name| fields.text(name).map(|text| text.unwrap_or_default().to_owned());
    let new = CreateLoggedModel {
        experiment_id: fields.experiment_id()?,
        name: fields.text("name")?.map(str::to_owned),
        model_type: text("model_type")?,
        source_run_id: text("source_run_id")?,
        params: fields.owned_pairs("params")?,
        tags: fields.owned_pairs("tags")?,
    };
    Ok(answer(&logged_model::create(&state.app, &call.actor, new).await?))
}

async fn show(State(state): State<ApiState>, Path(id): Path<String>, call: Call) -> Answer {
    let deleted_too =
        call.fields().given("allow_deleted")?.is_some_and(|yes| yes.eq_ignore_ascii_case("true"));
    Ok(answer(&logged_model::get(&state.app, &call.actor, &id, deleted_too).await?))
}

/// A word or a number that is none of MLflow's says nothing, as there.
fn status(fields: Fields<'_>) -> Result<LoggedModelStatus, MlflowError> {
    if let Ok(Some(number)) = fields.int("status") {
        return Ok(LoggedModelStatus::of_number(number));
    }
    let word = fields.text("status")?.ok_or_else(|| missing("status"))?;
    Ok(LoggedModelStatus::of_word(word).unwrap_or(LoggedModelStatus::Unspecified))
}

async fn finalize(State(state): State<ApiState>, Path(id): Path<String>, Change(call): Change) -> Answer {
    let fields = call.fields();
    fields.needed("model_id")?;
    let status = status(fields)?;
    Ok(answer(&logged_model::set_status(&state.app, &call.actor, &id, status).await?))
}

async fn remove(State(state): State<ApiState>, Path(id): Path<String>, Change(call): Change) -> Answer {
    logged_model::delete(&state.app, &call.actor, &id).await?;
    Ok(Json(json!({})))
}

async fn set_tags(State(state): State<ApiState>, Path(id): Path<String>, Change(call): Change) -> Answer {
    let tags = call.fields().owned_pairs("tags")?;
    logged_model::set_tags(&state.app, &call.actor, &id, &tags).await?;
    Ok(Json(json!({})))
}

async fn delete_tag(
    State(state): State<ApiState>,
    Path((id, key)): Path<(String, String)>,
    Change(call): Change,
) -> Answer {
    logged_model::delete_tag(&state.app, &call.actor, &id, &key).await?;
    Ok(Json(json!({})))
}

async fn log_params(State(state): State<ApiState>, Path(id): Path<String>, Change(call): Change) -> Answer {
    let fields = call.fields();
    fields.needed("model_id")?;
    logged_model::log_params(&state.app, &call.actor, &id, &fields.owned_pairs("params")?).await?;
    Ok(Json(json!({})))
}

fn order(fields: Fields<'_>) -> Result<OrderBy, MlflowError> {
    let text = |name| Ok::<_, MlflowError>(fields.text(name)?.map(str::to_owned));
    Ok(OrderBy {
        field: text("field_name")?.unwrap_or_default(),
        ascending: fields.flag_or("ascending", true)?,
        dataset_name: text("dataset_name")?,
        dataset_digest: text("dataset_digest")?,
    })
}

fn dataset(fields: Fields<'_>) -> Result<MeasuredOn, MlflowError> {
    let text = |name| fields.text(name).map(|text| text.unwrap_or_default().to_owned());
    Ok(MeasuredOn { name: text("dataset_name")?, digest: text("dataset_digest")? })
}

async fn search(State(state): State<ApiState>, call: Call) -> Answer {
    let fields = call.fields();
    let experiments = fields.needed_texts("experiment_ids")?.into_iter().map(experiment_id);
    let asked = SearchLoggedModels {
        experiments: experiments.collect::<Result<_, _>>()?,
        filter: fields.text("filter")?.unwrap_or_default().to_owned(),
        datasets: fields.messages("datasets")?.into_iter().map(dataset).collect::<Result<_, _>>()?,
        orders: fields.messages("order_by")?.into_iter().map(order).collect::<Result<_, _>>()?,
        limit: fields.int("max_results")?.unwrap_or(PAGE),
        offset: page::offset(fields.text("page_token")?)?,
    };
    let (found, more) = logged_model::search(&state.app, &call.actor, &asked).await?;
    let mut answer = Map::new();
    if !found.is_empty() {
        answer.insert("models".to_owned(), found.iter().map(message).collect());
    }
    if more {
        answer.insert("next_page_token".to_owned(), page::token(asked.offset + asked.limit).into());
    }
    Ok(Json(Value::Object(answer)))
}
