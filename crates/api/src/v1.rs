//! Our own JSON. One module a noun; each has its `router()`.

mod artifact;
mod audit;
mod dataset;
mod endpoint;
mod garbage;
mod hypothesis;
mod import;
mod initiative;
mod kv;
pub(crate) mod lineage;
mod manifest;
mod model;
mod outcome;
mod prediction;
mod release;
mod token;

use axum::Router;
use axum::http::Uri;
use greenlight_app::AppError;

use crate::ApiState;
use crate::problem::ApiError;

pub(crate) type Answer<T> = Result<axum::Json<T>, ApiError>;

pub(crate) fn router() -> Router<ApiState> {
    Router::new()
        .merge(artifact::router())
        .merge(audit::router())
        .merge(dataset::router())
        .merge(endpoint::router())
        .merge(garbage::router())
        .merge(hypothesis::router())
        .merge(import::router())
        .merge(initiative::router())
        .merge(kv::router())
        .merge(lineage::router())
        .merge(manifest::router())
        .merge(model::router())
        .merge(outcome::router())
        .merge(prediction::router())
        .merge(release::router())
        .merge(token::router())
        .fallback(|uri: Uri| async move { ApiError(AppError::not_found("path", uri.path(), "")) })
}
