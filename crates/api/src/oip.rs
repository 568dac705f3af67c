//! The Open Inference Protocol v2 over REST: health, metadata, infer.

mod error;
mod infer;
mod tensor;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use greenlight_app::allow;
use greenlight_app::live::LiveEndpoint;
use greenlight_domain::frame::ColumnType;
use greenlight_domain::role::Action;
use serde_json::{Value, json};

use crate::ApiState;
use crate::auth::Caller;
use error::OipError;

pub(crate) fn router() -> Router<ApiState> {
    Router::new()
        .route("/", get(server))
        .route("/health/live", get(|| async { Json(json!({ "live": true })) }))
        .route("/health/ready", get(|| async { Json(json!({ "ready": true })) }))
        .route("/models/{name}", get(metadata))
        .route("/models/{name}/ready", get(model_ready))
        .route("/models/{name}/infer", post(infer::infer))
}

async fn server() -> Json<Value> {
    Json(json!({ "name": "greenlight", "version": env!("CARGO_PKG_VERSION"), "extensions": [] }))
}

async fn model_ready(
    State(state): State<ApiState>,
    Path(name): Path<String>,
) -> Result<Json<Value>, OipError> {
    match state.app.live.get(&name) {
        Some(_) => Ok(Json(json!({ "name": name, "ready": true }))),
        None => Err(OipError::unknown(&name)),
    }
}

async fn metadata(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Value>, OipError> {
    allow(&caller.0, Action::Read)?;
    let endpoint = state.app.live.get(&name).ok_or_else(|| OipError::unknown(&name))?;
    Ok(Json(describe(&endpoint)))
}

fn describe(endpoint: &LiveEndpoint) -> Value {
    let tensor = |name: &str, datatype: &str| json!({ "name": name, "datatype": datatype, "shape": [-1] });
    let own = std::iter::once(&endpoint.spec.unit).chain(&endpoint.spec.event_time);
    let features = endpoint.features.iter().map(|field| {
        tensor(&field.name, if field.column_type == ColumnType::Number { "FP64" } else { "BYTES" })
    });
    let inputs: Vec<Value> = own.map(|name| tensor(name, "BYTES")).chain(features).collect();
    let outputs: Vec<Value> = infer::OUTPUTS.iter().map(|(name, datatype)| tensor(name, datatype)).collect();
    json!({
        "name": endpoint.name, "versions": [endpoint.routes.version.to_string()], "platform": "greenlight",
        "inputs": inputs, "outputs": outputs,
    })
}
