//! Tables of keys and values: look up what a batch wrote, load the next generation, publish it.

use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use greenlight_app::kv::{self, Begin, Chunk, Found, FoundMany, LoadLine, TableLine};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Answer;
use crate::ApiState;
use crate::auth::Caller;
use crate::body::Body;

pub(crate) fn router() -> Router<ApiState> {
    Router::new()
        .route("/kv", get(list))
        .route("/kv/{table}", post(read_many).delete(drop_table))
        .route("/kv/{table}/{key}", get(read))
        .route("/kv/{table}/loads/{generation}", post(begin).delete(abandon))
        .route("/kv/{table}/loads/{generation}/publish", post(publish))
        .route("/kv/{table}/loads/{generation}/{sequence}", put(load))
}

async fn list(State(state): State<ApiState>, caller: Caller) -> Answer<Vec<TableLine>> {
    Ok(Json(kv::list(&state.app, &caller.0).await?))
}

async fn read(
    State(state): State<ApiState>,
    caller: Caller,
    Path((table, key)): Path<(String, String)>,
) -> Answer<Found> {
    Ok(Json(kv::get(&state.app, &caller.0, &table, &key).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    keys: Vec<String>,
}

async fn read_many(
    State(state): State<ApiState>,
    caller: Caller,
    Path(table): Path<String>,
    Body(body): Body<Keys>,
) -> Answer<FoundMany> {
    Ok(Json(kv::get_many(&state.app, &caller.0, &table, &body.keys).await?))
}

async fn drop_table(
    State(state): State<ApiState>,
    caller: Caller,
    Path(table): Path<String>,
) -> Answer<Value> {
    kv::drop_table(&state.app, &caller.0, &table).await?;
    Ok(Json(json!({ "dropped": table })))
}

async fn begin(
    State(state): State<ApiState>,
    caller: Caller,
    Path((table, generation)): Path<(String, String)>,
    Body(body): Body<Begin>,
) -> Answer<LoadLine> {
    Ok(Json(kv::begin(&state.app, &caller.0, &table, &generation, body).await?))
}

async fn load(
    State(state): State<ApiState>,
    caller: Caller,
    Path((table, generation, sequence)): Path<(String, String, u64)>,
    Body(chunk): Body<Chunk>,
) -> Answer<LoadLine> {
    Ok(Json(kv::put(&state.app, &caller.0, (&table, &generation), sequence, chunk).await?))
}

async fn publish(
    State(state): State<ApiState>,
    caller: Caller,
    Path((table, generation)): Path<(String, String)>,
) -> Answer<LoadLine> {
    Ok(Json(kv::publish(&state.app, &caller.0, &table, &generation).await?))
}

async fn abandon(
    State(state): State<ApiState>,
    caller: Caller,
    Path((table, generation)): Path<(String, String)>,
) -> Answer<Value> {
    kv::abandon(&state.app, &caller.0, &table, &generation).await?;
    Ok(Json(json!({ "abandoned": generation })))
}
