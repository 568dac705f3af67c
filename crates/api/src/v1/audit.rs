//! The audit trail.

use axum::Json;
use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use greenlight_app::AuditLine;
use serde::Deserialize;

use super::Answer;
use crate::ApiState;
use crate::auth::Caller;

pub(crate) fn router() -> Router<ApiState> {
    Router::new().route("/audit", get(list))
}

#[derive(Deserialize)]
struct Filter {
    subject: Option<String>,
    limit: Option<i64>,
}

async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Answer<Vec<AuditLine>> {
    let lines =
        state.app.audit_trail(&caller.0, filter.subject.as_deref(), filter.limit.unwrap_or(100)).await?;
    Ok(Json(lines))
}
