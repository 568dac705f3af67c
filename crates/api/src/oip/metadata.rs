//! What an endpoint takes and answers, for clients that ask before they send.

use axum::Json;
use axum::extract::State;
use greenlight_app::allow;
use greenlight_app::live::LiveEndpoint;
use greenlight_domain::frame::ColumnType;
use greenlight_domain::role::Action;
use serde_json::{Value, json};

use super::error::OipError;
use super::output::OUTPUTS;
use super::{EXTENSIONS, Model, SERVER, find};
use crate::ApiState;
use crate::auth::OipCaller;

/// Name and datatype of every input: unit, event time, features.
pub(crate) fn inputs(endpoint: &LiveEndpoint) -> impl Iterator<Item = (&str, &'static str)> {
    let own = std::iter::once(endpoint.spec.unit.as_str()).chain(endpoint.spec.event_time.as_deref());
    let features = endpoint.features.iter().map(|field| {
        (field.name.as_ref(), if field.column_type == ColumnType::Number { "FP64" } else { "BYTES" })
    });
    own.map(|name| (name, "BYTES")).chain(features)
}

/// Name and datatype of every output.
pub(crate) fn outputs() -> impl Iterator<Item = (&'static str, &'static str)> {
    OUTPUTS.into_iter().map(|output| (output.name(), output.datatype()))
}

pub(crate) async fn server() -> Json<Value> {
    Json(json!({ "name": SERVER, "version": env!("CARGO_PKG_VERSION"), "extensions": EXTENSIONS }))
}

pub(crate) async fn model_ready(
    State(state): State<ApiState>,
    model: Model,
) -> Result<Json<Value>, OipError> {
    find(&state, &model.name, model.version.as_deref())?;
    Ok(Json(json!({ "name": model.name, "ready": true })))
}

pub(crate) async fn model(
    State(state): State<ApiState>,
    caller: OipCaller,
    model: Model,
) -> Result<Json<Value>, OipError> {
    allow(&caller.0, Action::Read)?;
    let endpoint = find(&state, &model.name, model.version.as_deref())?;
    let tensor =
        |(name, datatype): (&str, &str)| json!({ "name": name, "datatype": datatype, "shape": [-1] });
    Ok(Json(json!({
        "name": endpoint.name,
        "versions": [endpoint.routes.version.to_string()],
        "platform": SERVER,
        "inputs": inputs(&endpoint).map(tensor).collect::<Vec<_>>(),
        "outputs": outputs().map(tensor).collect::<Vec<_>>(),
    })))
}
