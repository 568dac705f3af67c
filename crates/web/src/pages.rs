//! One file a noun: its routes, its handlers, and its pages as pure functions from a view to markup.

pub mod endpoint;
pub mod initiative;
pub mod login;
pub mod portfolio;
pub mod release;

mod approval;
mod endpoint_request;
mod gate;
mod initiative_case;
mod rollout;

use std::sync::Arc;

use axum::Router;
use greenlight_app::App;

/// The routes of all pages.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .merge(portfolio::routes())
        .merge(initiative::routes())
        .merge(release::routes())
        .merge(endpoint::routes())
        .merge(login::routes())
}
