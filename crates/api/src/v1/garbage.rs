//! Collections: removing for good what was deleted long ago.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use greenlight_app::garbage::{self, Collect, Collection};

use super::Answer;
use crate::ApiState;
use crate::auth::Caller;
use crate::body::Body;

pub(crate) fn router() -> Router<ApiState> {
    Router::new().route("/garbage-collections", post(collect))
}

async fn collect(
    State(state): State<ApiState>,
    caller: Caller,
    Body(asked): Body<Collect>,
) -> Answer<Collection> {
    Ok(Json(garbage::collect(&state.app, &caller.0, asked).await?))
}
