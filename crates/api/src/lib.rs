//! HTTP: our own JSON under `/v1`, the Open Inference Protocol under `/v2`, health for operators.
//!
//! Handlers parse, call a use case, answer. The mapping of errors to answers stands in `problem.rs` (RFC 9457) and
//! `oip/error.rs`. It refuses rules, SQL and pages.

pub mod oip;
pub mod problem;
pub mod v1;

mod auth;
mod body;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use greenlight_app::App;
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
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CatchPanicLayer::custom(problem::after_panic))
        .with_state(state)
}

/// Ready when the database answers.
async fn ready(axum::extract::State(state): axum::extract::State<ApiState>) -> impl IntoResponse {
    match state.app.store.read().await {
        Ok(_) => (StatusCode::OK, "ready".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}
