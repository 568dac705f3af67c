//! HTTP: our own JSON under `/v1`, the Open Inference Protocol under `/v2`, health for operators.
//!
//! Handlers parse, call a use case, answer. The mapping of errors to answers stands in `problem.rs` (RFC 9457) and
//! `oip/error.rs`. It refuses rules, SQL and pages.

pub mod oip;
pub mod problem;
pub mod v1;

mod auth;
mod body;
mod invocations;
mod mlflow;

use std::sync::Arc;

pub use auth::only_from_here;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use greenlight_app::App;
use greenlight_domain::role::Action;
use greenlight_serving::Serving;
use tower_http::catch_panic::CatchPanicLayer;

/// What handlers share.
#[derive(Clone)]
pub struct ApiState {
    /// Use cases.
    pub app: Arc<App>,
    /// The hot path.
    pub serving: Arc<Serving>,
}

/// Largest body of a request, except for uploads of artifacts.
pub const MAX_BODY: usize = 16 * 1024 * 1024;

/// All routes of the API.
pub fn router(state: ApiState) -> Router {
    Router::new()
        .nest("/v1", v1::router())
        .nest("/v2", oip::router())
        .merge(invocations::router())
        .merge(mlflow::router())
        .merge(v1::lineage::receiver())
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CatchPanicLayer::custom(problem::after_panic))
        .merge(oip::inference())
        .with_state(state.clone())
        .merge(oip::grpc(state))
}

/// OpenMetrics text, for whoever may read.
async fn metrics(
    State(state): State<ApiState>,
    caller: auth::Caller,
) -> Result<impl IntoResponse, problem::ApiError> {
    greenlight_app::allow(&caller.0, Action::Read)?;
    let text = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, text)], state.app.metrics.text()))
}

/// Ready when the database answers and nobody has told the server to stop.
async fn ready(State(state): State<ApiState>) -> impl IntoResponse {
    if state.app.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping".to_owned());
    }
    match state.app.store.read().await {
        Ok(_) => (StatusCode::OK, "ready".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}
