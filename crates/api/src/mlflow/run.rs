//! Runs.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use greenlight_app::run::{self, CreateRun, RunInfo, RunRecord, UpdateRun};
use greenlight_app::run_search::{SearchRuns, View, search_runs};
use serde_json::{Map, Value, json};

use super::call::{Call, Change, experiment_id};
use super::error::MlflowError;
use super::{metric, page};
use crate::ApiState;

type Answer = Result<Json<Value>, MlflowError>;

/// Runs of a page when a client does not say how many.
const PAGE: i64 = 1_000;

pub(super) fn router() -> Router<ApiState> {
    Router::new()
        .route("/runs/create", post(create))
        .route("/runs/get", get(show))
        .route("/runs/update", post(update))
        .route("/runs/delete", post(delete))
        .route("/runs/restore", post(restore))
        .route("/runs/search", post(search))
}

/// Keys and values as MLflow writes them.
pub(super) fn pairs(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

fn info(run: &RunInfo) -> Value {
    let mut info = json!({
        "run_id": run.id,
        "run_uuid": run.id,
        "run_name": run.name,
        "experiment_id": run.experiment_id.to_string(),
        "user_id": run.author,
        "status": run.status,
        "start_time": run.started_at.0 / 1_000,
        "artifact_uri": run.artifact_uri,
        "lifecycle_stage": if run.deleted_at.is_some() { "deleted" } else { "active" },
    });
    if let Some(ended) = run.ended_at {
        info["end_time"] = json!(ended.0 / 1_000);
    }
    info
}

fn message(run: &RunRecord) -> Value {
    let metrics: Vec<Value> = run.metrics.iter().map(metric::message).collect();
    let mut data = Map::new();
    // Lists without anything are left out, as protocol buffers do.
    for (name, list) in
        [("metrics", Value::Array(metrics)), ("params", pairs(&run.params)), ("tags", pairs(&run.tags))]
    {
        if list.as_array().is_some_and(|list| !list.is_empty()) {
            data.insert(name.to_owned(), list);
        }
    }
    json!({ "info": info(&run.info), "data": data, "inputs": {} })
}

/// Which of them are looked at. A word that is none of MLflow's means the active ones, as there.
pub(super) fn view(word: Option<&str>) -> View {
    match word {
        Some("DELETED_ONLY" | "2") => View::Deleted,
        Some("ALL" | "3") => View::All,
        _ => View::Active,
    }
}

async fn create(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let tags = fields.pairs("tags")?;
    let new = CreateRun {
        experiment_id: fields.text("experiment_id")?.map_or(Ok(0), experiment_id)?,
        name: fields.text("run_name")?.map(str::to_owned),
        user: fields.text("user_id")?.map(str::to_owned),
        start_ms: fields.int("start_time")?.unwrap_or_default(),
        tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    };
    let made = run::create(&state.app, &call.actor, new).await?;
    Ok(Json(json!({ "run": message(&made) })))
}

async fn show(State(state): State<ApiState>, call: Call) -> Answer {
    let found = run::get(&state.app, &call.actor, call.fields().run_id()?).await?;
    Ok(Json(json!({ "run": message(&found) })))
}

async fn update(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let change = UpdateRun {
        // A word that is none of MLflow's leaves the status as it is, as there.
        status: fields.text("status")?.and_then(|word| word.parse().ok()),
        end_ms: fields.int("end_time")?,
        name: fields.text("run_name")?.map(str::to_owned),
    };
    let changed = run::update(&state.app, &call.actor, fields.run_id()?, change).await?;
    Ok(Json(json!({ "run_info": info(&changed) })))
}

async fn delete(State(state): State<ApiState>, Change(call): Change) -> Answer {
    run::delete(&state.app, &call.actor, call.fields().run_id()?).await?;
    Ok(Json(json!({})))
}

async fn restore(State(state): State<ApiState>, Change(call): Change) -> Answer {
    run::restore(&state.app, &call.actor, call.fields().run_id()?).await?;
    Ok(Json(json!({})))
}

async fn search(State(state): State<ApiState>, call: Call) -> Answer {
    let fields = call.fields();
    let experiments = fields.texts("experiment_ids")?.into_iter().map(experiment_id);
    let asked = SearchRuns {
        experiments: experiments.collect::<Result<_, _>>()?,
        filter: fields.text("filter")?.unwrap_or_default().to_owned(),
        orders: fields.texts("order_by")?.into_iter().map(str::to_owned).collect(),
        view: view(fields.text("run_view_type")?),
        limit: fields.int("max_results")?.unwrap_or(PAGE),
        offset: page::offset(fields.text("page_token")?)?,
    };
    let found = search_runs(&state.app, &call.actor, &asked).await?;
    let mut answer = Map::new();
    if !found.runs.is_empty() {
        answer.insert("runs".to_owned(), found.runs.iter().map(message).collect());
    }
    if found.more {
        answer.insert("next_page_token".to_owned(), page::token(asked.offset + asked.limit).into());
    }
    Ok(Json(Value::Object(answer)))
}
