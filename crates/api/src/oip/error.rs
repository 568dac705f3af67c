//! Errors as the Open Inference Protocol wants them: `{"error": "…"}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use greenlight_app::AppError;
use greenlight_serving::ServingError;
use serde_json::json;
use tonic::Code;

use crate::problem::{later, status};

pub(crate) struct OipError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl OipError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message: message.into() }
    }

    pub(crate) fn unknown(name: &str) -> Self {
        let shown: String = name.chars().take(100).collect();
        Self { status: StatusCode::NOT_FOUND, message: format!("there is no endpoint '{shown}'") }
    }
}

impl From<OipError> for tonic::Status {
    fn from(error: OipError) -> Self {
        let code = match error.status {
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Code::InvalidArgument,
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::FORBIDDEN => Code::PermissionDenied,
            StatusCode::NOT_FOUND => Code::NotFound,
            StatusCode::CONFLICT => Code::FailedPrecondition,
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
            StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            _ => Code::Internal,
        };
        if code == Code::Internal {
            tracing::error!(error = %error.message, "an inference failed");
        }
        Self::new(code, error.message)
    }
}

impl From<AppError> for OipError {
    fn from(error: AppError) -> Self {
        Self { status: status(error.kind()), message: error.to_string() }
    }
}

impl From<ServingError> for OipError {
    fn from(error: ServingError) -> Self {
        let status = match error {
            ServingError::Invalid(_) => StatusCode::BAD_REQUEST,
            ServingError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            ServingError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, message: error.to_string() }
    }
}

impl IntoResponse for OipError {
    fn into_response(self) -> Response {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %self.message, "an inference failed");
        }
        let mut response = (self.status, Json(json!({ "error": self.message }))).into_response();
        if later(self.status) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
