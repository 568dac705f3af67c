//! Imports: runs, logged models and versions that keep the ids, numbers and dates which they had on another server.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use greenlight_app::import::{self, Ids, ImportLoggedModel, ImportRun, ImportVersion, Imported, Known};

use super::Answer;
use crate::ApiState;
use crate::auth::Caller;
use crate::body::Body;

pub(crate) fn router() -> Router<ApiState> {
    Router::new()
        .route("/imports/known", post(known))
        .route("/imports/runs", post(run))
        .route("/imports/logged-models", post(logged_model))
        .route("/imports/versions", post(version))
}

async fn known(State(state): State<ApiState>, caller: Caller, Body(ids): Body<Ids>) -> Answer<Known> {
    Ok(Json(import::known(&state.app, &caller.0, &ids).await?))
}

async fn run(State(state): State<ApiState>, caller: Caller, Body(new): Body<ImportRun>) -> Answer<Imported> {
    Ok(Json(import::run(&state.app, &caller.0, &new).await?))
}

async fn logged_model(
    State(state): State<ApiState>,
    caller: Caller,
    Body(new): Body<ImportLoggedModel>,
) -> Answer<Imported> {
    Ok(Json(import::logged_model(&state.app, &caller.0, &new).await?))
}

async fn version(
    State(state): State<ApiState>,
    caller: Caller,
    Body(new): Body<ImportVersion>,
) -> Answer<Imported> {
    Ok(Json(import::version(&state.app, &caller.0, &new).await?))
}
