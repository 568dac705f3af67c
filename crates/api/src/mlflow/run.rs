//! Runs.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use greenlight_app::run::{self, CreateRun, ModelOutput, RunInfo, RunRecord, UpdateRun};
use greenlight_app::run_input::{self, LoggedDataset, RunInput, Summary};
use greenlight_app::run_search::{SearchRuns, View, search_runs};
use serde_json::{Map, Value, json};

use super::call::{Call, Change, Fields, experiment_id};
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
        .route("/runs/log-inputs", post(log_inputs))
        .route("/runs/outputs", post(log_outputs))
        .route("/runs/log-model", post(log_model))
        .route("/experiments/search-datasets", post(search_datasets))
}

/// Keys and values as MLflow writes them.
pub(super) fn pairs(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(key, value)| pair(key, value)).collect()
}

fn pair(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": value })
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
    let pairs = |list: &[(String, String)]| list.iter().map(|(key, value)| pair(key, value)).collect();
    let data = lists([("metrics", metrics), ("params", pairs(&run.params)), ("tags", pairs(&run.tags))]);
    let model_inputs: Vec<Value> = run.model_inputs.iter().map(|id| json!({ "model_id": id })).collect();
    let model_outputs: Vec<Value> = run
        .model_outputs
        .iter()
        .map(|output| json!({ "model_id": output.model_id, "step": output.step }))
        .collect();
    json!({
        "info": info(&run.info),
        "data": data,
        "inputs": lists([
            ("dataset_inputs", run.inputs.iter().map(dataset_input).collect()),
            ("model_inputs", model_inputs),
        ]),
        "outputs": lists([("model_outputs", model_outputs)]),
    })
}

/// Lists by name; those without anything are left out, as protocol buffers do.
fn lists<const N: usize>(lists: [(&str, Vec<Value>); N]) -> Value {
    let some = lists.into_iter().filter(|(_, list)| !list.is_empty());
    Value::Object(some.map(|(name, list)| (name.to_owned(), Value::Array(list))).collect())
}

fn dataset_input(input: &RunInput) -> Value {
    let LoggedDataset { name, digest, source_type, source, schema, profile } = &input.dataset;
    let mut dataset = json!({ "name": name, "digest": digest, "source_type": source_type, "source": source });
    for (field, text) in [("schema", schema), ("profile", profile)] {
        if !text.is_empty() {
            dataset[field] = json!(text);
        }
    }
    let mut message = Map::new();
    if !input.tags.is_empty() {
        message.insert("tags".to_owned(), pairs(&input.tags));
    }
    message.insert("dataset".to_owned(), dataset);
    Value::Object(message)
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
    let mut made = message(&made);
    // As MLflow answers: a run that was just begun has no outputs, not an empty list of them.
    if let Some(made) = made.as_object_mut() {
        made.remove("outputs");
    }
    Ok(Json(json!({ "run": made })))
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

fn input(fields: Fields<'_>) -> Result<RunInput, MlflowError> {
    let of = fields.message("dataset")?;
    let text = |name| of.map_or(Ok(None), |of| of.text(name)).map(|text| text.unwrap_or_default().to_owned());
    let dataset = LoggedDataset {
        name: text("name")?,
        digest: text("digest")?,
        source_type: text("source_type")?,
        source: text("source")?,
        schema: text("schema")?,
        profile: text("profile")?,
    };
    Ok(RunInput { dataset, tags: fields.owned_pairs("tags")? })
}

async fn log_inputs(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let id = fields.run_id()?;
    let inputs = fields.messages("datasets")?.into_iter().map(input).collect::<Result<_, _>>()?;
    let models = fields.messages("models")?.into_iter().map(|model| model.needed("model_id"));
    let models = models.collect::<Result<Vec<_>, _>>()?;
    run_input::log_inputs(&state.app, &call.actor, id, inputs, &models).await?;
    Ok(Json(json!({})))
}

async fn log_outputs(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let id = fields.run_id()?;
    let output = |model: Fields<'_>| {
        let model_id = model.needed("model_id")?.to_owned();
        Ok(ModelOutput { model_id, step: model.int("step")?.unwrap_or_default() })
    };
    let models = fields.needed_messages("models")?.into_iter().map(output);
    let models = models.collect::<Result<Vec<_>, MlflowError>>()?;
    run_input::log_outputs(&state.app, &call.actor, id, &models).await?;
    Ok(Json(json!({})))
}

/// The history of models that older clients keep in a tag of the run.
async fn log_model(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let (id, model) = (fields.needed("run_id")?, fields.needed("model_json")?);
    run::log_model(&state.app, &call.actor, id, model).await?;
    Ok(Json(json!({})))
}

async fn search_datasets(State(state): State<ApiState>, call: Call) -> Answer {
    let experiments = call.fields().texts("experiment_ids").unwrap_or_default();
    run_input::check_experiments(experiments.len())?;
    let experiments = experiments.into_iter().map(experiment_id).collect::<Result<Vec<_>, _>>()?;
    let found = run_input::summaries(&state.app, &call.actor, &experiments).await?;
    let summary = |summary: &Summary| {
        let mut message = json!({
            "experiment_id": summary.experiment_id.to_string(), "name": summary.name, "digest": summary.digest,
        });
        if let Some(context) = &summary.context {
            message["context"] = json!(context);
        }
        message
    };
    Ok(Json(lists([("dataset_summaries", found.iter().map(summary).collect())])))
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
