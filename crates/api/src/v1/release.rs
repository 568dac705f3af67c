//! Releases and their rollouts.

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use greenlight_app::ab_test::{self, AbTestView};
use greenlight_app::challenge::{self, Challenge};
use greenlight_app::release::{self, Decide, ReleaseView, SubmitRelease};
use greenlight_app::rollout::{self, Looked};
use greenlight_domain::release::Release;
use serde::Deserialize;

use super::Answer;
use crate::ApiState;
use crate::auth::Caller;
use crate::body::Body;

pub(crate) fn router() -> Router<ApiState> {
    Router::new()
        .route("/releases", get(list).post(submit))
        .route("/releases/{id}", get(show))
        .route("/releases/{id}/ab-test", get(show_ab_test))
        .route("/releases/{id}/shadow", post(start_shadow))
        .route("/releases/{id}/shadow/judge", post(judge_shadow))
        .route("/releases/{id}/decisions", post(decide))
        .route("/releases/{id}/rollout", post(start))
        .route("/releases/{id}/rollout/look", post(look))
        .route("/releases/{id}/challenge", post(start_challenge))
        .route("/releases/{id}/rollback", post(roll_back))
}

#[derive(Deserialize)]
struct Filter {
    endpoint: Option<String>,
}

async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Answer<Vec<Release>> {
    Ok(Json(release::list(&state.app, &caller.0, filter.endpoint.as_deref()).await?))
}

async fn submit(
    State(state): State<ApiState>,
    caller: Caller,
    Body(body): Body<SubmitRelease>,
) -> Answer<ReleaseView> {
    Ok(Json(release::submit(&state.app, &caller.0, body).await?))
}

async fn show(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> Answer<ReleaseView> {
    Ok(Json(release::view(&state.app, &caller.0, &id).await?))
}

async fn show_ab_test(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<AbTestView> {
    Ok(Json(ab_test::of_release(&state.app, &caller.0, &id).await?))
}

async fn start_shadow(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<ReleaseView> {
    Ok(Json(release::start_shadow(&state.app, &caller.0, &id).await?))
}

async fn judge_shadow(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<ReleaseView> {
    Ok(Json(release::judge_shadow(&state.app, &caller.0, &id).await?))
}

async fn decide(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<Decide>,
) -> Answer<ReleaseView> {
    Ok(Json(release::decide(&state.app, &caller.0, &id, body).await?))
}

async fn start(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> Answer<ReleaseView> {
    Ok(Json(rollout::start(&state.app, &caller.0, &id).await?))
}

async fn start_challenge(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<Challenge>,
) -> Answer<ReleaseView> {
    Ok(Json(challenge::challenge(&state.app, &caller.0, &id, body).await?))
}

async fn look(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> Answer<Looked> {
    Ok(Json(rollout::look(&state.app, &caller.0, &id).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RollBack {
    reason: String,
}

async fn roll_back(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<RollBack>,
) -> Answer<ReleaseView> {
    Ok(Json(rollout::roll_back(&state.app, &caller.0, &id, &body.reason).await?))
}
