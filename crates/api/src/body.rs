//! JSON bodies whose rejections are problems like every other.

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use crate::problem::respond;

/// A JSON body of type `T`.
pub(crate) struct Body<T>(pub(crate) T);

/// Why a body was not read.
pub(crate) struct BodyRejection(JsonRejection);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = BodyRejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let axum::Json(value) = axum::Json::<T>::from_request(request, state).await.map_err(BodyRejection)?;
        Ok(Self(value))
    }
}

impl IntoResponse for BodyRejection {
    fn into_response(self) -> Response {
        let status = self.0.status();
        let detail = explain(&self.0);
        respond(status, "The body cannot be read", "GL0004", detail)
    }
}

/// What was wrong with a body, in our words.
pub(crate) fn explain(rejection: &JsonRejection) -> String {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            format!("the body is larger than {} MiB", crate::MAX_BODY / 1024 / 1024)
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "send Content-Type: application/json".to_owned(),
        _ => rejection.body_text(),
    }
}
