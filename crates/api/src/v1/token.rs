//! Tokens.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{delete, get};
use greenlight_app::Token;
use greenlight_app::token::IssuedToken;
use greenlight_domain::role::Role;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Answer;
use crate::ApiState;
use crate::auth::Caller;
use crate::body::Body;

pub(crate) fn router() -> Router<ApiState> {
    Router::new().route("/tokens", get(list).post(issue)).route("/tokens/{id}", delete(revoke))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Issue {
    name: String,
    role: Role,
    #[serde(default)]
    rate_per_second: Option<u32>,
}

async fn issue(
    State(state): State<ApiState>,
    caller: Caller,
    Body(body): Body<Issue>,
) -> Answer<IssuedToken> {
    let (name, rate) = (&body.name, body.rate_per_second);
    Ok(Json(state.app.issue_limited_token(&caller.0, name, body.role, rate).await?))
}

async fn list(State(state): State<ApiState>, caller: Caller) -> Answer<Vec<Token>> {
    Ok(Json(state.app.list_tokens(&caller.0).await?))
}

async fn revoke(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> Answer<Value> {
    state.app.revoke_token(&caller.0, &id).await?;
    Ok(Json(json!({ "revoked": id })))
}
