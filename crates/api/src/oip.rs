//! The Open Inference Protocol v2 over REST and gRPC: health, metadata, infer, model repository.

mod admission;
mod error;
#[cfg(test)]
pub(crate) mod fuzz;
mod grpc;
mod infer;
mod json;
mod metadata;
mod output;
mod repository;
mod tensor;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::get;
use axum::{Json, Router};
use greenlight_app::live::LiveEndpoint;
use greenlight_domain::trace::TraceParent;
use greenlight_serving::Trace;
use serde::Deserialize;
use serde_json::json;

use crate::ApiState;
pub(crate) use admission::admit;
pub(crate) use error::OipError;
pub(crate) use infer::{router as inference, too_large};
pub(crate) use output::OUTPUTS;
pub(crate) use tensor::{MAX_INPUTS, shown};

/// The name that the server goes by.
const SERVER: &str = "greenlight";
/// Extensions of the protocol that are answered.
const EXTENSIONS: [&str; 2] = ["binary_tensor_data", "model_repository"];

pub(crate) fn router() -> Router<ApiState> {
    let model = Router::new().route("/", get(metadata::model)).route("/ready", get(metadata::model_ready));
    Router::new()
        .route("/", get(metadata::server))
        .route("/health/live", get(|| async { Json(json!({ "live": true })) }))
        .route("/health/ready", get(health_ready))
        .nest("/models/{name}", model.clone())
        .nest("/models/{name}/versions/{version}", model)
        .nest("/repository", repository::router())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
}

/// Clients of the protocol read the status or the body; both say the same.
async fn health_ready(State(state): State<ApiState>) -> (StatusCode, Json<serde_json::Value>) {
    let ready = !state.app.is_draining();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready })))
}

async fn unknown_path(uri: Uri) -> OipError {
    let message = format!("there is nothing at '{}'", shown(uri.path()));
    OipError { status: StatusCode::NOT_FOUND, message }
}

/// Answers a method that a path does not have.
pub(crate) async fn wrong_method(method: Method, uri: Uri) -> OipError {
    let message = format!("{} is not answered at '{}'", shown(method.as_str()), shown(uri.path()));
    OipError { status: StatusCode::METHOD_NOT_ALLOWED, message }
}

/// The gRPC service as routes beside those of REST.
pub(crate) fn grpc(state: ApiState) -> Router {
    Router::new()
        .route_service("/inference.GRPCInferenceService/{method}", grpc::service(state.clone()))
        .layer(axum::middleware::from_fn_with_state(state, grpc::refuse_strangers))
}

/// The trace that a request with this `traceparent` belongs to.
pub(crate) fn trace(header: Option<&[u8]>) -> Option<Trace> {
    let header = header?;
    let parent = TraceParent::parse(header)?;
    let text = str::from_utf8(header).ok()?;
    Some(Trace { id: format!("{:032x}", parent.trace_id).into(), parent: text.into() })
}

/// The model that a path names.
#[derive(Deserialize)]
pub(crate) struct Model {
    name: String,
    #[serde(default)]
    version: Option<String>,
}

impl FromRequestParts<ApiState> for Model {
    type Rejection = OipError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, OipError> {
        let path = Path::<Self>::from_request_parts(parts, state).await;
        path.map(|Path(model)| model).map_err(|rejection| OipError::invalid(rejection.body_text()))
    }
}

/// The endpoint of that name. Its version is that of its routes; a client that names none gets the one in force.
pub(crate) fn find(
    state: &ApiState,
    name: &str,
    version: Option<&str>,
) -> Result<Arc<LiveEndpoint>, OipError> {
    let endpoint = state.app.live.served(name).ok_or_else(|| OipError::unknown(name))?;
    let current = endpoint.routes.version;
    match version.filter(|version| !version.is_empty()) {
        Some(version) if version.parse() != Ok(current) => Err(OipError {
            status: StatusCode::NOT_FOUND,
            message: format!("endpoint '{name}' has version {current}, not '{}'", shown(version)),
        }),
        _ => Ok(endpoint),
    }
}
