//! `POST /endpoints/{name}/invocations`: the shapes of MLflow's scoring server, for people who come from there.
//!
//! Takes JSON as `dataframe_split`, `dataframe_records`, `instances` or `inputs`, and CSV with a header; answers
//! `{"predictions": [{…}]}` with one object a row. Refuses tables whose rows are not equally long.

#[cfg(test)]
mod fuzz;
mod table;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use greenlight_app::allow;
use greenlight_domain::role::Action;
use greenlight_serving::Answer;
use serde_json::{Map, Value, json};

use crate::auth::actor;
use crate::oip::{OUTPUTS, OipError};
use crate::{ApiState, MAX_BODY};
use table::Table;

pub(crate) fn router() -> Router<ApiState> {
    Router::new()
        .route("/endpoints/{name}/invocations", post(invoke))
        .route("/endpoints/{name}/ping", get(ping))
        .route("/ping", get(|| async { "\n" }))
}

/// A refusal as MLflow's clients read it.
struct Refused(OipError);

impl<E: Into<OipError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let code = match self.0.status {
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => "BAD_REQUEST",
            StatusCode::NOT_FOUND => "RESOURCE_DOES_NOT_EXIST",
            StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
            StatusCode::FORBIDDEN => "PERMISSION_DENIED",
            StatusCode::TOO_MANY_REQUESTS => "REQUEST_LIMIT_EXCEEDED",
            StatusCode::SERVICE_UNAVAILABLE => "TEMPORARILY_UNAVAILABLE",
            status if status.is_client_error() => "BAD_REQUEST",
            _ => "INTERNAL_ERROR",
        };
        let (status, message) = (self.0.status, self.0.message.clone());
        let mut response = self.0.into_response();
        let body = Json(json!({ "error_code": code, "message": message })).into_response().into_body();
        *response.body_mut() = body;
        response.headers_mut().remove(header::CONTENT_LENGTH);
        debug_assert_eq!(response.status(), status);
        response
    }
}

async fn ping(State(state): State<ApiState>, Path(name): Path<String>) -> Result<&'static str, Refused> {
    state.app.live.served(&name).map(|_| "\n").ok_or_else(|| Refused(OipError::unknown(&name)))
}

async fn invoke(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    request: axum::extract::Request,
) -> Result<Json<Value>, Refused> {
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let caller = actor(&state, headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes))?;
    allow(&caller, Action::Infer)?;
    let endpoint = state.app.live.served(&name).ok_or_else(|| OipError::unknown(&name))?;
    let _admitted = crate::oip::admit(&state, &endpoint).await?;
    let body = axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| crate::oip::too_large())?;
    let table = tracing::info_span!(target: "trace", "parse")
        .in_scope(|| parse(&headers, &body).and_then(|table| table.into_request(&endpoint.features)));
    let mut request = table.inspect_err(|_| {
        endpoint.meters.invalid.inc();
    })?;
    request.trace = crate::oip::trace(headers.get("traceparent").map(HeaderValue::as_bytes));
    let answer = state.serving.infer(&endpoint, request).await?;
    Ok(Json(json!({ "predictions": predictions(&answer) })))
}

fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Table, OipError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    match content_type.split(';').next().unwrap_or("").trim() {
        "text/csv" => Table::from_csv(body),
        "application/json" | "" => Table::from_json(body),
        other => {
            let message =
                format!("Content-Type '{}' is not application/json or text/csv", crate::oip::shown(other));
            Err(OipError { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, message })
        }
    }
}

fn predictions(answer: &Answer) -> Vec<Value> {
    let cell = |prediction: &greenlight_domain::prediction::Prediction| {
        let outputs = OUTPUTS.into_iter().map(|output| {
            let value = match output.number() {
                Some(number) => Value::from(number(prediction)),
                None => output.text(prediction, |text| Value::from(text)),
            };
            (output.name().to_owned(), value)
        });
        Value::Object(outputs.collect::<Map<_, _>>())
    };
    answer.batch.predictions.iter().map(cell).collect()
}
