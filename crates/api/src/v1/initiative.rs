//! Initiatives.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use greenlight_app::initiative::{self, InitiativeView};
use greenlight_app::value_version::{self, ValueHistory};

use super::Answer;
use crate::ApiState;
use crate::auth::Caller;

pub(crate) fn router() -> Router<ApiState> {
    Router::new()
        .route("/initiatives", get(list))
        .route("/initiatives/{name}", get(show))
        .route("/initiatives/{name}/value-versions", get(value_versions))
}

async fn list(State(state): State<ApiState>, caller: Caller) -> Answer<Vec<InitiativeView>> {
    Ok(Json(initiative::portfolio(&state.app, &caller.0).await?))
}

async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Answer<InitiativeView> {
    Ok(Json(initiative::view(&state.app, &caller.0, &name).await?))
}

async fn value_versions(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Answer<ValueHistory> {
    Ok(Json(value_version::history(&state.app, &caller.0, &name).await?))
}
