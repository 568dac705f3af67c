//! Errors as `application/problem+json` (RFC 9457): what was wrong, where, and what to do; never a stack trace.

use std::any::Any;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use greenlight_app::{AppError, Kind};
use serde::Serialize;

/// A problem as clients read it.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: &'static str,
    /// The HTTP status again, for logs.
    pub status: u16,
    /// What was wrong, where, and what to do.
    pub detail: String,
    /// Code with a help page: `greenlight explain CODE`.
    pub code: &'static str,
}

/// An [`AppError`] on its way to a client.
#[derive(Debug)]
pub struct ApiError(pub AppError);

impl<E: Into<AppError>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// HTTP status of a kind of error.
pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Unauthenticated => "Say who you are",
        Kind::Forbidden => "Not allowed",
        Kind::NotFound => "Not found",
        Kind::Invalid => "The request cannot be right",
        Kind::Conflict => "The present state does not allow it",
        Kind::TooMany => "Ask more slowly",
        Kind::Unavailable => "Try again later",
        Kind::Internal => "Something went wrong here",
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let kind = self.0.kind();
        if kind == Kind::Internal {
            tracing::error!(error = %self.0, "a request failed");
        }
        respond(status(kind), title(kind), self.0.code(), self.0.to_string())
    }
}

/// A problem with another status than its kind implies, such as 400 or 413.
pub fn respond(status: StatusCode, title: &'static str, code: &'static str, detail: String) -> Response {
    let problem = Problem {
        kind: format!("urn:greenlight:problem:{}", code.to_lowercase()),
        title,
        status: status.as_u16(),
        detail,
        code,
    };
    let mut response = (status, Json(problem)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"greenlight\""));
    }
    if later(status) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Whether the same request may succeed in a second. Rates are counted a second at a time, so that one is enough.
pub(crate) fn later(status: StatusCode) -> bool {
    matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
}

/// A defect of ours: the client learns that it happened, the log learns what.
pub(crate) fn after_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(message, "a handler panicked");
    let detail = "a defect of ours; the server's log says more".to_owned();
    respond(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here", "GL0007", detail)
}
