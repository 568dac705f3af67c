//! Trainings, runs and model versions.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use greenlight_app::Run;
use greenlight_app::model::{self, RegisterModel};
use greenlight_app::training::{self, Trained};
use greenlight_domain::model::ModelVersion;

use super::Answer;
use crate::ApiState;
use crate::auth::Caller;
use crate::body::Body;
use crate::problem::ApiError;

pub(crate) fn router() -> Router<ApiState> {
    Router::new()
        .route("/trainings/{name}/runs", post(train))
        .route("/runs", get(runs))
        .route("/models", get(list))
        .route("/models/{name}/versions", post(register))
        .route("/models/{name}/versions/{version}", get(show))
        .route("/models/{name}/versions/{version}/artifact", get(artifact))
}

async fn train(State(state): State<ApiState>, caller: Caller, Path(name): Path<String>) -> Answer<Trained> {
    Ok(Json(training::train(&state.app, &caller.0, &name).await?))
}

async fn runs(State(state): State<ApiState>, caller: Caller) -> Answer<Vec<Run>> {
    Ok(Json(training::runs(&state.app, &caller.0).await?))
}

async fn list(State(state): State<ApiState>, caller: Caller) -> Answer<Vec<ModelVersion>> {
    Ok(Json(model::list(&state.app, &caller.0).await?))
}

async fn register(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    Body(request): Body<RegisterModel>,
) -> Answer<Trained> {
    Ok(Json(model::register(&state.app, &caller.0, &name, request).await?))
}

async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Path((name, version)): Path<(String, i64)>,
) -> Answer<Trained> {
    Ok(Json(model::view(&state.app, &caller.0, &name, version).await?))
}

async fn artifact(
    State(state): State<ApiState>,
    caller: Caller,
    Path((name, version)): Path<(String, i64)>,
) -> Result<impl IntoResponse, ApiError> {
    let bytes = model::artifact(&state.app, &caller.0, &name, version).await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes))
}
