//! The model repository extension: which endpoints there are, and taking one away from clients or bringing it back.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use greenlight_app::live::{load_endpoint, unload_endpoint};
use greenlight_app::{AppError, endpoint};
use greenlight_domain::role::Actor;
use serde::{Deserialize, Serialize};

use super::error::OipError;
use crate::ApiState;
use crate::auth::OipCaller;

pub(crate) fn router() -> Router<ApiState> {
    Router::new()
        .route("/index", post(index))
        .route("/models/{name}/load", post(load))
        .route("/models/{name}/unload", post(unload))
}

/// An endpoint as the index lists it.
#[derive(Serialize)]
pub(crate) struct IndexedModel {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) state: &'static str,
    pub(crate) reason: &'static str,
}

/// Every endpoint, or those that answer now.
pub(crate) async fn models(
    state: &ApiState,
    actor: &Actor,
    only_ready: bool,
) -> Result<Vec<IndexedModel>, AppError> {
    let lines = endpoint::list(&state.app, actor).await?;
    let models = lines.into_iter().map(|line| {
        let live = state.app.live.served(&line.name).is_some();
        let (state, reason) =
            if live { ("READY", "") } else { ("UNAVAILABLE", "unloaded, or it cannot be served") };
        IndexedModel { name: line.name, version: line.routes.version.to_string(), state, reason }
    });
    Ok(models.filter(|model| !only_ready || model.state == "READY").collect())
}

#[derive(Default, Deserialize)]
struct IndexRequest {
    #[serde(default)]
    ready: bool,
}

async fn index(
    State(state): State<ApiState>,
    caller: OipCaller,
    body: Bytes,
) -> Result<Json<Vec<IndexedModel>>, OipError> {
    let request = if body.is_empty() {
        IndexRequest::default()
    } else {
        serde_json::from_slice(&body)
            .map_err(|e| OipError::invalid(format!("the body is not an index request: {e}")))?
    };
    Ok(Json(models(&state, &caller.0, request.ready).await?))
}

async fn load(
    State(state): State<ApiState>,
    caller: OipCaller,
    Path(name): Path<String>,
) -> Result<StatusCode, OipError> {
    load_endpoint(&state.app, &caller.0, &name).await?;
    Ok(StatusCode::OK)
}

async fn unload(
    State(state): State<ApiState>,
    caller: OipCaller,
    Path(name): Path<String>,
) -> Result<StatusCode, OipError> {
    unload_endpoint(&state.app, &caller.0, &name).await?;
    Ok(StatusCode::OK)
}
