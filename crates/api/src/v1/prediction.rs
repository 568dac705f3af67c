//! Looking into an endpoint: its log, traffic over time, drift, disagreements, and a row tried by hand.

use axum::Json;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use greenlight_app::AppError;
use greenlight_app::drift::{self, DriftView};
use greenlight_app::explain::{self, ExplainRow, Tried};
use greenlight_app::prediction::{self, LogPage, LogQuery, PredictionView};
use greenlight_app::traffic::{self, DisagreementView, TrafficView};
use serde::Deserialize;

use super::Answer;
use crate::ApiState;
use crate::auth::Caller;
use crate::body::Body;
use crate::problem::ApiError;

pub(crate) fn router() -> Router<ApiState> {
    Router::new()
        .route("/endpoints/{name}/predictions", get(list))
        .route("/endpoints/{name}/predictions/{id}", get(show))
        .route("/endpoints/{name}/traffic", get(show_traffic))
        .route("/endpoints/{name}/drift", get(show_drift))
        .route("/endpoints/{name}/disagreements", get(show_disagreements))
        .route("/endpoints/{name}/explain", post(explain_row))
}

/// The parameters of an address, or a problem that names the wrong one.
pub(super) fn parsed<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, ApiError> {
    let Query(query) = query.map_err(|rejection| AppError::Invalid(rejection.body_text()))?;
    Ok(query)
}

async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Answer<LogPage> {
    Ok(Json(prediction::list(&state.app, &caller.0, &name, parsed(query)?).await?))
}

async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
) -> Answer<PredictionView> {
    Ok(Json(prediction::view(&state.app, &caller.0, &name, &id).await?))
}

/// How much of the log is looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Extent {
    days: Option<i64>,
    buckets: Option<usize>,
    reference_days: Option<i64>,
}

impl Extent {
    fn days(&self) -> i64 {
        self.days.unwrap_or(prediction::DEFAULT_DAYS)
    }
}

async fn show_traffic(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    query: Result<Query<Extent>, QueryRejection>,
) -> Answer<TrafficView> {
    let extent = parsed(query)?;
    let buckets = extent.buckets.unwrap_or(traffic::DEFAULT_BUCKETS);
    Ok(Json(traffic::over_time(&state.app, &caller.0, &name, extent.days(), buckets).await?))
}

async fn show_drift(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    query: Result<Query<Extent>, QueryRejection>,
) -> Answer<DriftView> {
    let extent = parsed(query)?;
    let reference = extent.reference_days.unwrap_or(drift::REFERENCE_DAYS);
    Ok(Json(drift::of_endpoint(&state.app, &caller.0, &name, extent.days(), reference).await?))
}

async fn show_disagreements(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    query: Result<Query<Extent>, QueryRejection>,
) -> Answer<DisagreementView> {
    let extent = parsed(query)?;
    Ok(Json(traffic::disagreements(&state.app, &caller.0, &name, extent.days()).await?))
}

async fn explain_row(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    Body(row): Body<ExplainRow>,
) -> Answer<Tried> {
    Ok(Json(explain::explain(&state.app, &caller.0, &name, row).await?))
}
