//! Web pages: rendered on the server, readable without JavaScript, in light and dark, on a phone and on paper.
//!
//! Owns how Greenlight looks: one file a noun below `pages`, the parts they share below `components`, and charts
//! below `chart`. It refuses rules and queries: a page shows what a use case of `greenlight-app` answered. Every page
//! is a pure function from a view and an actor to markup, so that it can be looked at without a server.

pub mod assets;
pub mod chart;
pub mod components;
pub mod pages;
pub mod session;

mod failure;
mod headers;
mod layout;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use greenlight_app::App;

pub use failure::error_page;
pub use layout::{Section, page};

/// Most bytes of a posted form: a decision with its comment, or a token.
const MAX_FORM_BYTES: usize = 16 * 1024;

/// All pages, with the page for a wrong address as their fallback.
///
/// Posts from other sites are refused before they reach a handler, and every answer carries the content security
/// policy of [`headers`].
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .merge(pages::routes())
        .merge(assets::routes())
        .fallback(failure::missing)
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(middleware::from_fn(session::refuse_cross_site))
        .layer(middleware::map_response(headers::add))
        .with_state(app)
}
