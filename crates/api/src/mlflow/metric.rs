//! What is logged to runs: metrics, parameters, tags, alone and in batches.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use greenlight_app::run::{self, Batch, Latest, MAX_HISTORY, OfModel, Page, Point, Sampled};
use serde_json::{Map, Value, json};

use super::call::{Call, Change, Fields, missing};
use super::error::MlflowError;
use super::page;
use crate::ApiState;

type Answer = Result<Json<Value>, MlflowError>;

pub(super) fn router() -> Router<ApiState> {
    Router::new()
        .route("/runs/log-metric", post(log_metric))
        .route("/runs/log-parameter", post(log_param))
        .route("/runs/set-tag", post(set_tag))
        .route("/runs/delete-tag", post(delete_tag))
        .route("/runs/log-batch", post(log_batch))
        .route("/metrics/get-history", get(history))
        .route("/metrics/get-history-bulk", get(histories))
        .route("/metrics/get-history-bulk-interval", get(sampled))
}

/// A point as MLflow writes it: JSON has no NaN and no infinities, so they are texts.
pub(super) fn message(point: &Latest) -> Value {
    let value = match point.value {
        value if value.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        value => json!(value),
    };
    json!({ "key": point.key, "value": value, "timestamp": point.at_ms, "step": point.step })
}

/// A point of a run, and of the model that it was measured of.
fn point<'a>(
    fields: Fields<'a>,
    missing: &impl Fn(&str) -> MlflowError,
) -> Result<(Point<'a>, Option<OfModel<'a>>), MlflowError> {
    let point = Point {
        key: fields.text("key")?.ok_or_else(|| missing("key"))?,
        value: fields.number("value")?.ok_or_else(|| missing("value"))?,
        at_ms: fields.int("timestamp")?.ok_or_else(|| missing("timestamp"))?,
        step: fields.int("step")?.unwrap_or_default(),
    };
    let text = |name| fields.text(name).map(Option::unwrap_or_default);
    let (dataset_name, dataset_digest) = (text("dataset_name")?, text("dataset_digest")?);
    if dataset_name.is_empty() != dataset_digest.is_empty() {
        return Err(MlflowError::invalid(
            "Both dataset_name and dataset_digest must be provided if one is provided",
        ));
    }
    let of_model = fields.text("model_id")?;
    let of_model = of_model.map(|model_id| OfModel { point, model_id, dataset_name, dataset_digest });
    Ok((point, of_model))
}

async fn log(state: &ApiState, call: &Call, run_id: &str, batch: Batch<'_>) -> Answer {
    run::log(&state.app, &call.actor, run_id, batch).await?;
    Ok(Json(json!({})))
}

async fn log_metric(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let id = call.fields().run_id()?;
    let (point, of_model) = point(call.fields(), &missing)?;
    let of_models = of_model.into_iter().collect();
    log(&state, &call, id, Batch { metrics: vec![point], of_models, single: true, ..Batch::default() }).await
}

async fn log_param(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let id = fields.run_id()?;
    let params = vec![(fields.needed("key")?, fields.given("value")?.unwrap_or_default())];
    log(&state, &call, id, Batch { params, single: true, ..Batch::default() }).await
}

async fn set_tag(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let id = fields.run_id()?;
    let tags = vec![(fields.needed("key")?, fields.given("value")?.unwrap_or_default())];
    log(&state, &call, id, Batch { tags, single: true, ..Batch::default() }).await
}

async fn delete_tag(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let (id, key) = (call.fields().run_id()?, call.fields().needed("key")?);
    run::delete_tag(&state.app, &call.actor, id, key).await?;
    Ok(Json(json!({})))
}

async fn log_batch(State(state): State<ApiState>, Change(call): Change) -> Answer {
    let fields = call.fields();
    let id = fields.needed("run_id")?;
    let (mut metrics, mut of_models) = (Vec::new(), Vec::new());
    for (at, metric) in fields.messages("metrics")?.into_iter().enumerate() {
        let (point, of_model) = point(metric, &|name| missing(&format!("metrics[{at}].{name}")))?;
        metrics.push(point);
        of_models.extend(of_model);
    }
    let (params, tags) = (fields.pairs("params")?, fields.pairs("tags")?);
    log(&state, &call, id, Batch { metrics, params, tags, of_models, single: false }).await
}

async fn history(State(state): State<ApiState>, call: Call) -> Answer {
    let fields = call.fields();
    let (id, key) = (fields.run_id()?, fields.needed("metric_key")?);
    let limit = fields.int("max_results")?.unwrap_or(MAX_HISTORY);
    if limit < 1 {
        return Err(MlflowError::invalid(format!(
            "Invalid value {limit} for parameter 'max_results' supplied. It must be a positive integer."
        )));
    }
    let limit = limit.min(MAX_HISTORY);
    let offset = page::offset(fields.text("page_token")?)?;
    // One more than asked tells whether there are more.
    let page = Page { limit: limit + 1, offset };
    let mut points = run::history(&state.app, &call.actor, id, key, page).await?;
    let more = points.len() as i64 > limit;
    points.truncate(usize::try_from(limit).unwrap_or(0));
    let mut answer = Map::new();
    if !points.is_empty() {
        answer.insert("metrics".to_owned(), points.iter().map(message).collect());
    }
    if more {
        answer.insert("next_page_token".to_owned(), page::token(offset + limit).into());
    }
    Ok(Json(Value::Object(answer)))
}

/// Most runs whose points are asked for at once.
const MAX_RUNS: usize = 100;
/// Most points of each run where many are compared.
const MAX_SAMPLE: i64 = 2_500;

fn of_run(run_id: &str, point: &Latest) -> Value {
    let mut message = message(point);
    message["run_id"] = json!(run_id);
    message
}

/// The first points of several runs, for MLflow's own pages.
async fn histories(State(state): State<ApiState>, call: Call) -> Answer {
    const NAME: &str = "GetMetricHistoryBulk";
    let fields = call.fields();
    let runs = fields.texts("run_id")?;
    if runs.is_empty() {
        return Err(MlflowError::invalid(format!("{NAME} request must specify at least one run_id.")));
    }
    if runs.len() > MAX_RUNS {
        return Err(MlflowError::invalid(format!(
            "{NAME} request cannot specify more than {MAX_RUNS} run_ids. Received {} run_ids.",
            runs.len()
        )));
    }
    let key = fields.given("metric_key")?;
    let key =
        key.ok_or_else(|| MlflowError::invalid(format!("{NAME} request must specify a metric_key.")))?;
    let most = fields.int("max_results")?.unwrap_or(MAX_HISTORY);
    let points = run::histories(&state.app, &call.actor, &runs, key, most).await?;
    let points: Vec<Value> = points.iter().map(|(run_id, point)| of_run(run_id, point)).collect();
    Ok(Json(json!({ "metrics": points })))
}

/// Points of several runs, thinned where there are many.
async fn sampled(State(state): State<ApiState>, call: Call) -> Answer {
    let fields = call.fields();
    let runs = fields.texts("run_ids")?;
    if runs.is_empty() {
        return Err(missing("run_ids"));
    }
    if runs.len() > MAX_RUNS {
        return Err(MlflowError::invalid(format!(
            "GetMetricHistoryBulkInterval request must specify at most {MAX_RUNS} run_ids. Received {} run_ids.",
            runs.len()
        )));
    }
    let key = fields.needed("metric_key")?;
    let most = fields.int("max_results")?.unwrap_or(MAX_SAMPLE);
    if !(1..=MAX_SAMPLE).contains(&most) {
        return Err(MlflowError::invalid(format!("max_results must be between 1 and {MAX_SAMPLE}.")));
    }
    let steps = match (fields.int("start_step")?, fields.int("end_step")?) {
        (None, None) => (i64::MIN, i64::MAX),
        (Some(first), Some(last)) if first > last => {
            return Err(MlflowError::invalid(format!(
                "end_step must be greater than start_step. Found start_step={first} and end_step={last}."
            )));
        }
        (Some(first), Some(last)) => (first, last),
        _ => {
            return Err(MlflowError::invalid(
                "If either start step or end step are specified, both must be specified.",
            ));
        }
    };
    let asked = Sampled { runs: &runs, key, steps, most };
    let points = run::sampled(&state.app, &call.actor, asked).await?;
    let points: Vec<Value> = points.iter().map(|(run_id, point)| of_run(run_id, point)).collect();
    Ok(Json(if points.is_empty() { json!({}) } else { json!({ "metrics": points }) }))
}
