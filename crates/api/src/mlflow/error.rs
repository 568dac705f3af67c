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
    BadRequest,
    InvalidParameterValue,
    InvalidState,
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
    /// The present state of a thing does not allow it; MLflow calls that a failure of its own.
    pub(crate) fn state(message: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, code: Code::InvalidState, message: message.into() }
    }

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
        let message = absent(&error).unwrap_or_else(|| error.to_string());
        Self { status, code, message }
    }
}

/// MLflow's words for what is not there, which its users look for.
fn absent(error: &AppError) -> Option<String> {
    let AppError::NotFound { what, name, .. } = error else { return None };
    Some(match *what {
        "experiment" => format!("No Experiment with id={name} exists"),
        "experiment of that name" => format!("Could not find experiment with name '{name}'"),
        "run" => format!("Run with id={name} not found"),
        "registered model" => format!("Registered Model with name={name} not found"),
        "registered version" => format!("Model Version {name} not found"),
        "latest version" => format!("Latest version not found for model {name}."),
        "logged model" => format!("Logged model with ID '{name}' not found."),
        "logged model tag" => format!("No tag with key '{name}'."),
        "tag" => format!("No tag with name: {name}"),
        "artifact" => format!("No such artifact: '{name}'"),
        "webhook" => format!("Webhook with ID {name} not found."),
        _ => return None,
    })
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
