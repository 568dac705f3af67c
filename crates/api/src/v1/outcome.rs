//! Recording outcomes: one JSON object, a list of them, NDJSON, CSV with a header, or Parquet.
//!
//! Whatever the form, a request is recorded whole or not at all, and a problem names the item, line or row.

mod text;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use greenlight_app::outcome::{self, Recorded};
use greenlight_app::{AppError, allow};
use greenlight_domain::role::Action;

use crate::auth::Caller;
use crate::problem::{ApiError, respond};
use crate::{ApiState, MAX_BODY};

pub(crate) fn router() -> Router<ApiState> {
    Router::new().route("/endpoints/{name}/outcomes", post(record))
}

/// Why nothing was recorded.
enum Refused {
    App(AppError),
    Body(StatusCode, String),
}

impl<E: Into<AppError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::App(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::App(error) => ApiError(error).into_response(),
            Self::Body(status, detail) => respond(status, "The body cannot be read", "GL0004", detail),
        }
    }
}

async fn record(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Recorded>, Refused> {
    allow(&caller.0, Action::Record)?;
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| {
        let problem = format!("the body is larger than {} MiB, or it broke off", MAX_BODY / 1024 / 1024);
        Refused::Body(StatusCode::PAYLOAD_TOO_LARGE, problem)
    })?;
    let unreadable = |problem| Refused::Body(StatusCode::BAD_REQUEST, problem);
    let sent = match media_type(&parts.headers) {
        "" | "application/json" => text::from_json(&body).map_err(unreadable)?,
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => {
            text::from_lines(&body).map_err(unreadable)?
        }
        "text/csv" => text::from_csv(&body).map_err(unreadable)?,
        "application/vnd.apache.parquet" => {
            return Ok(Json(outcome::record_parquet(&state.app, &caller.0, &name, body).await?));
        }
        _ => {
            let problem = "send Content-Type: application/json, application/x-ndjson, text/csv or \
                           application/vnd.apache.parquet";
            return Err(Refused::Body(StatusCode::UNSUPPORTED_MEDIA_TYPE, problem.to_owned()));
        }
    };
    Ok(Json(outcome::record_sent(&state.app, &caller.0, &name, sent).await?))
}

/// The media type of a body, without parameters; empty when none is given.
fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim()
}
