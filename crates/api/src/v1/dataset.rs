//! Data sets and their versions.

use axum::Json;
use axum::Router;
use axum::body::Body as Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use greenlight_app::dataset::{self, DatasetVersion, DatasetView, Listed, RegisterDataset, Registered};
use serde::Deserialize;

use super::Answer;
use crate::ApiState;
use crate::auth::Caller;
use crate::body::Body;
use crate::problem::ApiError;

pub(crate) fn router() -> Router<ApiState> {
    Router::new()
        .route("/datasets", get(list))
        .route("/datasets/{name}", get(show))
        .route("/datasets/{name}/versions", axum::routing::post(register))
        .route("/datasets/{name}/versions/{version}", get(version))
        .route("/datasets/{name}/versions/{version}/content", get(content))
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: String,
}

async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(page): Query<After>,
) -> Answer<Vec<Listed>> {
    Ok(Json(dataset::list(&state.app, &caller.0, &page.after).await?))
}

async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Answer<DatasetView> {
    Ok(Json(dataset::view(&state.app, &caller.0, &name).await?))
}

async fn register(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    Body(request): Body<RegisterDataset>,
) -> Answer<Registered> {
    Ok(Json(dataset::register(&state.app, &caller.0, &name, request).await?))
}

async fn version(
    State(state): State<ApiState>,
    caller: Caller,
    Path((name, version)): Path<(String, i64)>,
) -> Answer<DatasetVersion> {
    Ok(Json(dataset::version(&state.app, &caller.0, &name, version).await?))
}

async fn content(
    State(state): State<ApiState>,
    caller: Caller,
    Path((name, version)): Path<(String, i64)>,
) -> Result<Response, ApiError> {
    let found = dataset::content(&state.app, &caller.0, (&name, version)).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, found.size.to_string()),
        (header::CONTENT_DISPOSITION, "attachment".to_owned()),
    ];
    Ok((headers, Bytes::from_stream(found.bytes)).into_response())
}
