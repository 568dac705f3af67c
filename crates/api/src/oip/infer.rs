//! `POST /v2/models/{endpoint}/infer`, in JSON and with the protocol's binary tensor extension, either way.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::{Path, Request as HttpRequest, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::FutureExt;
use greenlight_app::allow;
use greenlight_app::live::LiveEndpoint;
use greenlight_domain::frame::Field;
use greenlight_domain::role::Action;
use greenlight_serving::Request;

use super::error::OipError;
use super::find;
use super::json::{Data, InferRequest, Parameters, WantedOutput, parse};
use super::output::{Body, OUTPUTS, Output, Wanted, write};
use super::tensor::{Columns, from_bytes, shown};
use crate::auth::actor;
use crate::{ApiState, MAX_BODY};

/// Length of the JSON before the binary tensors.
pub(super) const HEADER_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// The routes of inference. They stand outside the layers of the other routes, which cost more than scoring does.
pub(crate) fn router() -> Router<ApiState> {
    Router::new()
        .route("/v2/models/{name}/infer", post(infer))
        .route("/v2/models/{name}/versions/{version}/infer", post(infer_version))
        .method_not_allowed_fallback(super::wrong_method)
}

async fn infer(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    request: HttpRequest,
) -> Result<Response, OipError> {
    guarded(state, name, None, request).await
}

async fn infer_version(
    State(state): State<ApiState>,
    Path((name, version)): Path<(String, String)>,
    request: HttpRequest,
) -> Result<Response, OipError> {
    guarded(state, name, Some(version), request).await
}

/// A defect of ours costs its own request and no other.
async fn guarded(
    state: ApiState,
    name: String,
    version: Option<String>,
    request: HttpRequest,
) -> Result<Response, OipError> {
    let answer = AssertUnwindSafe(handle(&state, &name, version.as_deref(), request)).catch_unwind().await;
    answer.unwrap_or_else(|_| Err(OipError::internal("a defect of ours; the server's log says more")))
}

async fn handle(
    state: &ApiState,
    name: &str,
    version: Option<&str>,
    request: HttpRequest,
) -> Result<Response, OipError> {
    let (parts, body) = request.into_parts();
    let authorization = parts.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let actor = actor(state, authorization)?;
    allow(&actor, Action::Infer)?;
    let endpoint = find(state, name, version)?;
    let _admitted = super::admit(state, &endpoint).await?;
    let body = axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| too_large())?;
    let (id, wanted, request) = tracing::info_span!(target: "trace", "parse")
        .in_scope(|| understand(&endpoint, &parts.headers, &body))
        .inspect_err(|_| {
            endpoint.meters.invalid.inc();
        })?;
    let answer = state.serving.infer(&endpoint, request).await?;
    let body = write(&endpoint.name, id.as_deref(), &answer, &wanted)
        .map_err(|e| OipError::internal(format!("the response cannot be written: {e}")))?;
    Ok(respond(body))
}

/// The id that the client chose, what it wants back, and its rows.
#[expect(clippy::type_complexity, reason = "three things that come out of one body")]
fn understand<'a>(
    endpoint: &'a LiveEndpoint,
    headers: &HeaderMap,
    body: &'a [u8],
) -> Result<(Option<Cow<'a, str>>, Vec<Wanted>, Request<'a>), OipError> {
    let (json, tail) = split(headers, body)?;
    let request = parse(json)?;
    let wanted = wanted(&request.outputs, &request.parameters)?;
    let id = request.id.clone();
    let mut request = columns(&endpoint.features, request, tail)?;
    request.trace = super::trace(headers.get("traceparent").map(HeaderValue::as_bytes));
    Ok((id, wanted, request))
}

pub(crate) fn too_large() -> OipError {
    OipError {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        message: format!("the body is larger than {} MiB, or it was cut off", MAX_BODY / 1024 / 1024),
    }
}

/// The JSON of a body and the binary tensors after it.
pub(super) fn split<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), OipError> {
    let Some(length) = headers.get(HEADER_LENGTH) else { return Ok((body, &[])) };
    let length = length.to_str().ok().and_then(|text| text.parse().ok());
    length.and_then(|length| body.split_at_checked(length)).ok_or_else(|| {
        let problem =
            "Inference-Header-Content-Length must be the length of the JSON at the start of the body";
        OipError::invalid(problem)
    })
}

pub(super) fn wanted(outputs: &[WantedOutput<'_>], request: &Parameters) -> Result<Vec<Wanted>, OipError> {
    let all_binary = request.all_outputs.unwrap_or(false);
    if outputs.is_empty() {
        return Ok(OUTPUTS.into_iter().map(|output| Wanted { output, binary: all_binary }).collect());
    }
    let mut wanted: Vec<Wanted> = Vec::with_capacity(outputs.len().min(OUTPUTS.len()));
    for asked in outputs {
        let output = Output::find(&asked.name)?;
        if wanted.iter().any(|w| w.output == output) {
            return Err(OipError::invalid(format!("output '{}' is asked for twice", output.name())));
        }
        wanted.push(Wanted { output, binary: asked.parameters.output.unwrap_or(all_binary) });
    }
    Ok(wanted)
}

pub(super) fn columns<'a>(
    features: &'a [Field],
    request: InferRequest<'a>,
    mut tail: &[u8],
) -> Result<Request<'a>, OipError> {
    let mut columns = Columns::new(request.inputs.len())?;
    for input in request.inputs {
        let column = match input.data {
            Data::Column(column) => column,
            Data::Binary(size) => {
                let Some((bytes, rest)) = tail.split_at_checked(size) else {
                    return Err(OipError::invalid(format!(
                        "input '{}': binary_data_size is {size}, and {} bytes are left after the JSON",
                        shown(&input.name),
                        tail.len()
                    )));
                };
                tail = rest;
                from_bytes(&input.name, input.datatype, input.shape, bytes)?
            }
        };
        columns.push(input.name, input.shape, column, features)?;
    }
    if !tail.is_empty() {
        let problem = format!("{} bytes after the JSON belong to no input", tail.len());
        return Err(OipError::invalid(problem));
    }
    Ok(columns.into_request())
}

fn respond(body: Body) -> Response {
    let Some(length) = body.header else {
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        return (json, body.bytes).into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (HEADER_LENGTH, HeaderValue::from(length)),
    ];
    (headers, body.bytes).into_response()
}
