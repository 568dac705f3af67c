//! The Open Inference Protocol v2 over REST and gRPC: health, metadata, infer, model repository.

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
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::get;
use axum::{Json, Router};
use greenlight_app::live::LiveEndpoint;
use greenlight_app::metrics::Rejected;
use greenlight_domain::trace::TraceParent;
use greenlight_serving::Trace;
use serde::Deserialize;
use serde_json::json;

use crate::ApiState;
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

/// Most inference requests that are answered at a time; the next ones are refused, so that those which were taken stay
/// quick and their bodies fit into memory. Enough to keep a disk busy that takes 10 ms for a sync.
const MAX_IN_FLIGHT: i64 = 256;
/// How long a refusal is held back. A client that asks again as soon as it is refused would else spend, refusal by
/// refusal, the processor time that the accepted requests need (bench/overload).
const REFUSAL_HELD: Duration = Duration::from_millis(100);
/// Most refusals that are held back at a time; the next ones are sent at once.
const MAX_HELD: usize = 10_000;

/// A request that is being answered.
pub(crate) struct Admitted<'a>(&'a ApiState);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.app.metrics.in_flight.dec();
    }
}

/// Admits a request as [`admit`] does; a refusal comes late. For callers that hold nothing of the request yet but its
/// head.
pub(crate) async fn admit_or_wait(state: &ApiState) -> Result<Admitted<'_>, OipError> {
    static HELD: AtomicUsize = AtomicUsize::new(0);
    let refusal = match admit(state) {
        Ok(admitted) => return Ok(admitted),
        Err(refusal) => refusal,
    };
    if HELD.fetch_add(1, Ordering::Relaxed) < MAX_HELD {
        let _held = Held(&HELD);
        tokio::time::sleep(REFUSAL_HELD).await;
    } else {
        HELD.fetch_sub(1, Ordering::Relaxed);
    }
    Err(refusal)
}

/// A refusal that is held back; a client that goes away meanwhile is counted out too.
struct Held(&'static AtomicUsize);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Admits a request, unless too many are being answered.
pub(crate) fn admit(state: &ApiState) -> Result<Admitted<'_>, OipError> {
    let before = state.app.metrics.in_flight.inc();
    let admitted = Admitted(state);
    if before < MAX_IN_FLIGHT {
        return Ok(admitted);
    }
    state.app.metrics.reject(Rejected::Overload);
    let message = format!("{MAX_IN_FLIGHT} requests are being answered; try again in a moment");
    Err(OipError { status: StatusCode::SERVICE_UNAVAILABLE, message })
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
