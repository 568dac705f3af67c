//! What is logged to runs: metrics, parameters, tags, alone and in batches.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use greenlight_app::run::{self, Batch, Latest, MAX_HISTORY, Page, Point};
use serde_json::{Map, Value, json};

use super::call::{Call, Change, Fields};
use super::error::MlflowError;
use super::page;
use crate::ApiState;

type Answer = Result<Json<Value>, MlflowError>;

pub(super) fn router() -> Router<ApiState> {
    Router::new()
        .route("/runs/log-metric", post(log_metric))
        .route("/runs/log-parameter", post(log_param))
        .route("/runs/set-tag", post(set_tag))
        .route("/runs/delete-tag", post(delete_tag))
        .route("/runs/log-batch", post(log_batch))
        .route("/metrics/get-history", get(history))
}

/// A point as MLflow writes it: JSON has no NaN and no infinities, so they are texts.
pub(super) fn message(point: &Latest) -> Value {
    let value = match point.value {
        value if value.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        value => json!(value),
    };
    json!({ "key": point.key, "value": value, "timestamp": point.at_ms, "step": point.step })
}

fn point(fields: Fields<'_>) -> Result<Point<'_>, MlflowError> {
    let at_ms = fields.int("timestamp")?.ok_or_else(|| super::call::missing("timestamp"))?;
    Ok(Point {
        key: fields.needed("key")?,
        value: fields.number("value")?,
        at_ms,
        step: fields.int("step")?.unwrap_or_default(),
    })
}

async fn log(state: &ApiState, call: &Call, batch: Batch<'_>) -> Answer {
    run::log(&state.app, &call.actor, call.fields().run_id()?, batch).await?;
    Ok(Json(json!({})))
}

async fn log_metric(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let metrics = vec![point(call.fields())?];
    log(&state, &call, Batch { metrics, single: true, ..Batch::default() }).await
}

async fn log_param(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let params = vec![(fields.needed("key")?, fields.any_text("value")?)];
    log(&state, &call, Batch { params, single: true, ..Batch::default() }).await
}

async fn set_tag(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let tags = vec![(fields.needed("key")?, fields.any_text("value")?)];
    log(&state, &call, Batch { tags, single: true, ..Batch::default() }).await
}

async fn delete_tag(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let (id, key) = (call.fields().run_id()?, call.fields().needed("key")?);
    run::delete_tag(&state.app, &call.actor, id, key).await?;
    Ok(Json(json!({})))
}

async fn log_batch(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let metrics = fields.messages("metrics")?.into_iter().map(point).collect::<Result<_, _>>()?;
    let (params, tags) = (fields.pairs("params")?, fields.pairs("tags")?);
    log(&state, &call, Batch { metrics, params, tags, single: false }).await
}

async fn history(State(state): State<ApiState>, call: Call) -> Answer {
    let fields = call.fields();
    let (id, key) = (fields.run_id()?, fields.needed("metric_key")?);
    let limit = fields.int("max_results")?.unwrap_or(MAX_HISTORY).clamp(1, MAX_HISTORY);
    let offset = page::offset(fields.text("page_token")?)?;
    // One more than asked tells whether there are more.
    let page = Page { limit: limit + 1, offset };
    let mut points = run::history(&state.app, &call.actor, id, key, page).await?;
    let more = points.len() as i64 > limit;
    points.truncate(usize::try_from(limit).unwrap_or(0));
    let mut answer = Map::new();
    if !points.is_empty() {
        answer.insert("metrics".to_owned(), points.iter().map(message).collect());
    }
    if more {
        answer.insert("next_page_token".to_owned(), page::token(offset + limit).into());
    }
    Ok(Json(Value::Object(answer)))
}
