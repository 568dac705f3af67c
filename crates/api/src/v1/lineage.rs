//! Lineage as JSON, and OpenLineage's events in and out.

use axum::Json;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use greenlight_app::AppError;
use greenlight_app::lineage::{self, Graph, MAX_FAN, Reach};
use greenlight_app::openlineage::{self, Events, RunEvent};
use greenlight_domain::lineage::Node;
use serde::Deserialize;

use super::Answer;
use crate::ApiState;
use crate::auth::Caller;
use crate::body::Body;
use crate::problem::ApiError;

/// Our own.
pub(crate) fn router() -> Router<ApiState> {
    Router::new().route("/lineage", get(show)).route("/lineage/events", get(events))
}

/// Where OpenLineage's clients send to unless told otherwise.
pub(crate) fn receiver() -> Router<ApiState> {
    Router::new().route("/api/v1/lineage", post(receive))
}

#[derive(Deserialize)]
struct Asked {
    node: String,
    depth: Option<i32>,
}

async fn show(State(state): State<ApiState>, caller: Caller, Query(asked): Query<Asked>) -> Answer<Graph> {
    let node: Node = asked.node.parse().map_err(AppError::from)?;
    let reach = Reach { depth: asked.depth.unwrap_or(Reach::default().depth), fan: MAX_FAN };
    Ok(Json(lineage::graph(&state.app, &caller.0, &node, reach).await?))
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: String,
    limit: Option<i64>,
}

async fn events(State(state): State<ApiState>, caller: Caller, Query(page): Query<After>) -> Answer<Events> {
    Ok(Json(openlineage::events(&state.app, &caller.0, &page.after, page.limit.unwrap_or(100)).await?))
}

async fn receive(
    State(state): State<ApiState>,
    caller: Caller,
    Body(event): Body<RunEvent>,
) -> Result<StatusCode, ApiError> {
    openlineage::record(&state.app, &caller.0, event).await?;
    Ok(StatusCode::CREATED)
}
