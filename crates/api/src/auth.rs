//! Who sends a request: a bearer token, checked against hashes in memory, and how often it may.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use greenlight_app::AppError;
use greenlight_domain::role::Actor;

use crate::ApiState;
use crate::oip::OipError;
use crate::problem::ApiError;

/// Who sends a request with this `Authorization`. The request counts against the rate of its token.
pub(crate) fn actor(state: &ApiState, authorization: Option<&[u8]>) -> Result<Arc<Actor>, AppError> {
    state.app.admit(bearer(authorization)?)
}

/// The same for a request that was counted already.
pub(crate) fn counted_actor(state: &ApiState, authorization: Option<&[u8]>) -> Result<Arc<Actor>, AppError> {
    state.app.authenticate(bearer(authorization)?)
}

fn bearer(authorization: Option<&[u8]>) -> Result<&str, AppError> {
    authorization
        .and_then(|value| value.strip_prefix(b"Bearer "))
        .and_then(|value| str::from_utf8(value).ok())
        .map(str::trim)
        .ok_or(AppError::Unauthenticated)
}

/// The actor of a request. A handler that takes it refuses requests without a valid token.
pub(crate) struct Caller(pub(crate) Arc<Actor>);

impl FromRequestParts<ApiState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Self::Rejection> {
        let header = parts.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        Ok(Self(actor(state, header)?))
    }
}

/// The same, where a refusal is an error of the Open Inference Protocol.
pub(crate) struct OipCaller(pub(crate) Arc<Actor>);

impl FromRequestParts<ApiState> for OipCaller {
    type Rejection = OipError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Self::Rejection> {
        let header = parts.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        Ok(Self(actor(state, header)?))
    }
}
