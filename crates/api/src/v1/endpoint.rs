//! Endpoints: look, settle, the ledger.

use axum::Json;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::routing::{delete, get, post};
use greenlight_app::endpoint::{EndpointLine, EndpointView};
use greenlight_app::lake::Erased;
use greenlight_app::ledger::LedgerView;
use greenlight_app::posting::{self, PostingQuery, Postings};
use greenlight_app::reconciliation::{self, Days, Reconciliation};
use greenlight_app::restatement::{self, Restate, Restated};
use greenlight_app::settle::Settled;
use greenlight_app::{endpoint, erase, ledger, settle};

use super::Answer;
use super::prediction::parsed;
use crate::ApiState;
use crate::auth::Caller;
use crate::body::Body;

pub(crate) fn router() -> Router<ApiState> {
    Router::new()
        .route("/endpoints", get(list))
        .route("/endpoints/{name}", get(show))
        .route("/endpoints/{name}/settle", post(settle_now))
        .route("/endpoints/{name}/ledger", get(show_ledger))
        .route("/endpoints/{name}/ledger/verification", get(verify_ledger))
        .route("/endpoints/{name}/ledger/postings", get(list_postings))
        .route("/endpoints/{name}/ledger/restatements", post(restate_ledger))
        .route("/endpoints/{name}/units/{unit}", delete(erase_unit))
}

async fn list(State(state): State<ApiState>, caller: Caller) -> Answer<Vec<EndpointLine>> {
    Ok(Json(endpoint::list(&state.app, &caller.0).await?))
}

async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Answer<EndpointView> {
    Ok(Json(endpoint::view(&state.app, &caller.0, &name).await?))
}

async fn settle_now(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Answer<Settled> {
    Ok(Json(settle::settle(&state.app, &caller.0, &name).await?))
}

async fn erase_unit(
    State(state): State<ApiState>,
    caller: Caller,
    Path((name, unit)): Path<(String, String)>,
) -> Answer<Erased> {
    Ok(Json(erase::erase(&state.app, &caller.0, &name, &unit).await?))
}

async fn show_ledger(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Answer<LedgerView> {
    Ok(Json(ledger::of_endpoint(&state.app, &caller.0, &name).await?))
}

async fn list_postings(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    query: Result<Query<PostingQuery>, QueryRejection>,
) -> Answer<Postings> {
    Ok(Json(posting::list(&state.app, &caller.0, &name, &parsed(query)?).await?))
}

async fn restate_ledger(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    Body(request): Body<Restate>,
) -> Answer<Restated> {
    Ok(Json(restatement::restate(&state.app, &caller.0, &name, &request).await?))
}

async fn verify_ledger(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    query: Result<Query<Days>, QueryRejection>,
) -> Answer<Reconciliation> {
    Ok(Json(reconciliation::reconcile(&state.app, &caller.0, &name, parsed(query)?).await?))
}
