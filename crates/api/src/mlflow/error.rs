//! Refusals in MLflow's form: `{"error_code": …, "message": …}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use greenlight_app::{AppError, Kind};
use serde::Serialize;

/// MLflow's words for what went wrong, as far as they are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Code {
    ResourceDoesNotExist,
    ResourceAlreadyExists,
    InvalidParameterValue,
    PermissionDenied,
    Unauthenticated,
    RequestLimitExceeded,
    TemporarilyUnavailable,
    NotImplemented,
    InternalError,
}

/// A refusal.
#[derive(Debug)]
pub(crate) struct MlflowError {
    pub(crate) status: StatusCode,
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl MlflowError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: Code::InvalidParameterValue, message: message.into() }
    }
}

impl From<AppError> for MlflowError {
    fn from(error: AppError) -> Self {
        let (status, code) = match error.kind() {
            Kind::NotFound => (StatusCode::NOT_FOUND, Code::ResourceDoesNotExist),
            Kind::Invalid => (StatusCode::BAD_REQUEST, Code::InvalidParameterValue),
            Kind::Conflict => (StatusCode::BAD_REQUEST, Code::ResourceAlreadyExists),
            Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, Code::Unauthenticated),
            Kind::Forbidden => (StatusCode::FORBIDDEN, Code::PermissionDenied),
            Kind::TooMany => (StatusCode::TOO_MANY_REQUESTS, Code::RequestLimitExceeded),
            Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, Code::TemporarilyUnavailable),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, Code::InternalError),
        };
        Self { status, code, message: error.to_string() }
    }
}

#[derive(Serialize)]
struct Body {
    error_code: Code,
    message: String,
}

impl IntoResponse for MlflowError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED {
            tracing::error!(code = ?self.code, message = self.message, "a tracking request failed");
        }
        (self.status, Json(Body { error_code: self.code, message: self.message })).into_response()
    }
}
