//! Manifests: plan and apply.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use greenlight_app::apply;
use greenlight_domain::manifest::Document;
use greenlight_domain::plan::Change;
use serde::Deserialize;

use super::Answer;
use crate::ApiState;
use crate::auth::Caller;
use crate::body::Body;

pub(crate) fn router() -> Router<ApiState> {
    Router::new().route("/plan", post(plan)).route("/apply", post(apply_all))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Documents {
    documents: Vec<Document>,
}

async fn plan(
    State(state): State<ApiState>,
    caller: Caller,
    Body(body): Body<Documents>,
) -> Answer<Vec<Change>> {
    Ok(Json(apply::plan(&state.app, &caller.0, &body.documents).await?))
}

async fn apply_all(
    State(state): State<ApiState>,
    caller: Caller,
    Body(body): Body<Documents>,
) -> Answer<Vec<Change>> {
    Ok(Json(apply::apply(&state.app, &caller.0, &body.documents).await?))
}
