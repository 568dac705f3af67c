//! Who sends a request: a bearer token, checked against hashes in memory, and how often it may.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use greenlight_app::AppError;
use greenlight_domain::role::Actor;

use crate::ApiState;
use crate::oip::OipError;
use crate::problem::ApiError;

/// Who sends a request with this `Authorization`. The request counts against the rate of its token.
pub(crate) fn actor(state: &ApiState, authorization: Option<&[u8]>) -> Result<Arc<Actor>, AppError> {
    match (authorization, &state.app.anonymous) {
        (None, Some(anonymous)) => Ok(Arc::clone(anonymous)),
        _ => state.app.admit(&token(authorization)?),
    }
}

/// The same for a request that was counted already.
pub(crate) fn counted_actor(state: &ApiState, authorization: Option<&[u8]>) -> Result<Arc<Actor>, AppError> {
    match (authorization, &state.app.anonymous) {
        (None, Some(anonymous)) => Ok(Arc::clone(anonymous)),
        _ => state.app.authenticate(&token(authorization)?),
    }
}

/// The token in `Bearer TOKEN` (RFC 6750), or in the place of the password in `Basic …` (RFC 7617), for clients that
/// know nothing else; the name before it is not looked at.
fn token(authorization: Option<&[u8]>) -> Result<Cow<'_, str>, AppError> {
    let value = authorization.ok_or(AppError::Unauthenticated)?;
    let found = if let Some(encoded) = value.strip_prefix(b"Basic ") {
        let pair = STANDARD.decode(encoded.trim_ascii()).ok().and_then(|pair| String::from_utf8(pair).ok());
        pair.and_then(|pair| Some(Cow::Owned(pair.split_once(':')?.1.to_owned())))
    } else {
        let bearer = value.strip_prefix(b"Bearer ").and_then(|value| str::from_utf8(value).ok());
        bearer.map(|token| Cow::Borrowed(token.trim()))
    };
    found.ok_or(AppError::Unauthenticated)
}

/// For servers that ask for no token: refuses requests that a page of another site makes a browser of this machine
/// send, also under a name that it has pointed here (DNS rebinding).
pub async fn only_from_here(request: Request, next: Next) -> Response {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let named = named.or_else(|| request.uri().authority().map(Authority::as_str));
    let origin = match request.headers().get(header::ORIGIN).map(HeaderValue::to_str) {
        None => Some("localhost"),
        Some(origin) => origin.ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host),
    };
    if named.is_some_and(is_here) && origin.is_some_and(is_here) {
        return next.run(request).await;
    }
    let problem = "this server asks for no token, so it answers only to localhost and pages of its own\n";
    (StatusCode::FORBIDDEN, problem).into_response()
}

/// Whether a host, with its port or without, is this machine's loopback.
fn is_here(host: &str) -> bool {
    let Ok(host) = host.parse::<Authority>() else { return false };
    let host = host.host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_as_bearer_or_as_a_password() {
        // RFC 7617, section 2: Aladdin and "open sesame".
        assert_eq!(token(Some(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")).unwrap(), "open sesame");
        assert_eq!(token(Some(b"Bearer  gl_1 ")).unwrap(), "gl_1");
        for bad in [None, Some(&b"Basic !"[..]), Some(b"Basic QQ=="), Some(b"gl_1"), Some(b"Bearer \xff")] {
            assert!(token(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_the_loopback_is_here() {
        for here in ["localhost", "LOCALHOST:5170", "127.0.0.1:80", "127.9.9.9", "[::1]:5170"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in
            ["", "localhost.evil.com", "evil.com:5170", "10.0.0.1", "[::2]", "null", "127.0.0.1.nip.io"]
        {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }
}
