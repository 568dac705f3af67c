//! `POST /v2/models/{endpoint}/infer`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use greenlight_app::allow;
use greenlight_domain::role::Action;
use greenlight_serving::{Answer, MAX_ROWS, Request};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::OipError;
use super::tensor::{InputTensor, OutputTensor, read};
use crate::ApiState;
use crate::auth::Caller;

/// Outputs of every endpoint: name and datatype.
pub(crate) const OUTPUTS: [(&str, &str); 5] = [
    ("prediction_id", "BYTES"),
    ("probability", "FP64"),
    ("decision", "BYTES"),
    ("variant", "BYTES"),
    ("propensity", "FP64"),
];

const MAX_INPUTS: usize = 2_000;

#[derive(Deserialize)]
pub(crate) struct InferRequest<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default, rename = "parameters")]
    _parameters: Option<serde::de::IgnoredAny>,
    #[serde(borrow)]
    inputs: Vec<InputTensor<'a>>,
    #[serde(default)]
    outputs: Option<Vec<WantedOutput>>,
}

#[derive(Deserialize)]
struct WantedOutput {
    name: String,
}

#[derive(Serialize)]
pub(crate) struct InferResponse {
    model_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    outputs: Vec<OutputTensor>,
}

pub(crate) async fn infer(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<InferResponse>, OipError> {
    allow(&caller.0, Action::Infer)?;
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => OipError {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            message: format!("the body is larger than {} MiB", crate::MAX_BODY / 1024 / 1024),
        },
        status => OipError { status, message: rejection.body_text() },
    })?;
    let request: InferRequest<'_> = serde_json::from_slice(&body)
        .map_err(|e| OipError::invalid(format!("the body is not an inference request: {e}")))?;
    let wanted = wanted(request.outputs)?;
    let id = request.id;
    let rows = columns(request.inputs)?;
    let answer = state.serving.infer(&name, rows).await?;
    Ok(Json(respond(name, id, &answer, &wanted)))
}

fn wanted(outputs: Option<Vec<WantedOutput>>) -> Result<Vec<&'static str>, OipError> {
    let Some(outputs) = outputs.filter(|o| !o.is_empty()) else {
        return Ok(OUTPUTS.iter().map(|o| o.0).collect());
    };
    outputs
        .iter()
        .map(|wanted| {
            OUTPUTS.iter().map(|o| o.0).find(|name| *name == wanted.name).ok_or_else(|| {
                let names: Vec<&str> = OUTPUTS.iter().map(|o| o.0).collect();
                let shown: String = wanted.name.chars().take(100).collect();
                OipError::invalid(format!("output '{shown}' is unknown; there are {}", names.join(", ")))
            })
        })
        .collect()
}

fn columns(inputs: Vec<InputTensor<'_>>) -> Result<Request, OipError> {
    if inputs.is_empty() || inputs.len() > MAX_INPUTS {
        return Err(OipError::invalid(format!("send 1 to {MAX_INPUTS} inputs, not {}", inputs.len())));
    }
    let mut columns = Vec::with_capacity(inputs.len());
    let mut rows = None;
    for input in inputs {
        let (name, column) = read(input)?;
        if *rows.get_or_insert(column.len()) != column.len() {
            let expected = rows.unwrap_or_default();
            return Err(OipError::invalid(format!(
                "input '{name}' has {} rows where the first input has {expected}",
                column.len()
            )));
        }
        columns.push((name, column));
    }
    let rows = rows.unwrap_or_default();
    if rows > MAX_ROWS {
        return Err(OipError::invalid(format!("send at most {MAX_ROWS} rows, not {rows}")));
    }
    Ok(Request { columns, rows })
}

fn respond(
    model_name: String,
    id: Option<String>,
    answer: &Answer,
    wanted: &[&'static str],
) -> InferResponse {
    let rows = answer.rows.len();
    let outputs = wanted
        .iter()
        .map(|name| {
            let data: Vec<Value> = answer
                .rows
                .iter()
                .map(|row| match *name {
                    "prediction_id" => Value::from(row.id.to_string()),
                    // JSON has no NaN: null says that no model decided.
                    "probability" => Value::from(row.probability),
                    "decision" => Value::from(row.decision.as_ref()),
                    "variant" => Value::from(row.variant.as_str()),
                    _ => Value::from(row.propensity),
                })
                .collect();
            let datatype = OUTPUTS.iter().find(|o| o.0 == *name).map_or("BYTES", |o| o.1);
            OutputTensor { name, datatype, shape: [rows], data }
        })
        .collect();
    InferResponse { model_name, model_version: answer.model.as_deref().map(str::to_owned), id, outputs }
}
