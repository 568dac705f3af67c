//! Uploading artifacts by their digest.

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::routing::put;
use greenlight_app::allow;
use greenlight_domain::role::Action;
use serde_json::{Value, json};

use super::Answer;
use crate::ApiState;
use crate::auth::Caller;

/// Largest artifact.
const MAX_ARTIFACT: u64 = 2 * 1024 * 1024 * 1024;

pub(crate) fn router() -> Router<ApiState> {
    Router::new().route("/artifacts/{sha256}", put(upload).get(has).layer(DefaultBodyLimit::disable()))
}

async fn upload(
    State(state): State<ApiState>,
    caller: Caller,
    Path(sha256): Path<String>,
    body: Body,
) -> Answer<Value> {
    allow(&caller.0, Action::Apply)?;
    let bytes = state.app.artifacts.put_stream(&sha256, MAX_ARTIFACT, body.into_data_stream()).await?;
    Ok(Json(json!({ "sha256": sha256, "bytes": bytes })))
}

async fn has(State(state): State<ApiState>, caller: Caller, Path(sha256): Path<String>) -> Answer<Value> {
    allow(&caller.0, Action::Read)?;
    Ok(Json(json!({ "sha256": sha256, "present": state.app.artifacts.has(&sha256).await? })))
}
