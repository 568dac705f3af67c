//! Hypotheses and findings.

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use greenlight_app::hypothesis::{self, HypothesisLine, HypothesisSearch, HypothesisView, Opened};
use greenlight_domain::hypothesis::{Finding, HypothesisSpec};
use serde::Deserialize;

use super::Answer;
use crate::ApiState;
use crate::auth::Caller;
use crate::body::Body;
use crate::problem::ApiError;

pub(crate) fn router() -> Router<ApiState> {
    Router::new()
        .route("/hypotheses", get(search).post(open))
        .route("/hypotheses/{id}", get(show))
        .route("/hypotheses/{id}/findings", post(close))
        .route("/hypotheses/{id}/reopen", post(reopen))
        .route("/hypotheses/{id}/runs/{run}", post(add_run).delete(remove_run))
}

async fn search(
    State(state): State<ApiState>,
    caller: Caller,
    Query(asked): Query<HypothesisSearch>,
) -> Answer<Vec<HypothesisLine>> {
    Ok(Json(hypothesis::search(&state.app, &caller.0, &asked).await?))
}

async fn open(
    State(state): State<ApiState>,
    caller: Caller,
    Body(spec): Body<HypothesisSpec>,
) -> Answer<Opened> {
    Ok(Json(hypothesis::open(&state.app, &caller.0, spec).await?))
}

async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<HypothesisView> {
    Ok(Json(hypothesis::view(&state.app, &caller.0, &id).await?))
}

async fn close(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Body(finding): Body<Finding>,
) -> Answer<HypothesisView> {
    Ok(Json(hypothesis::close(&state.app, &caller.0, &id, finding).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    reason: String,
}

async fn reopen(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Body(why): Body<Reason>,
) -> Answer<HypothesisView> {
    Ok(Json(hypothesis::reopen(&state.app, &caller.0, &id, &why.reason).await?))
}

async fn add_run(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, run)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    hypothesis::set_run(&state.app, &caller.0, &id, &run, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_run(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, run)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    hypothesis::set_run(&state.app, &caller.0, &id, &run, false).await?;
    Ok(StatusCode::NO_CONTENT)
}
