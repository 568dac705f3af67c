//! Who sends a request: a bearer token, checked against hashes in memory.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use greenlight_app::AppError;
use greenlight_domain::role::Actor;

use crate::ApiState;
use crate::problem::ApiError;

/// The actor of a request. A handler that takes it refuses requests without a valid token.
pub(crate) struct Caller(pub(crate) Arc<Actor>);

impl FromRequestParts<ApiState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Self::Rejection> {
        let token = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or(AppError::Unauthenticated)?;
        Ok(Self(state.app.authenticate(token.trim())?))
    }
}
