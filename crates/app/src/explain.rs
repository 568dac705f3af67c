//! Trying a row by hand: its score, what each decision is expected to be worth, and what each input adds to the score.
//!
//! Exact where the model explains itself; otherwise Shapley values by sampled orders against rows of the log. Refuses
//! to log anything: a tried row is no prediction and no traffic.

mod row;
mod sampling;

use std::sync::Arc;

use greenlight_domain::evidence::Grade;
use greenlight_domain::frame::{Field, Frame};
use greenlight_domain::ledger::Figure;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::training::split_version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::lake::log::{LogFilter, Window};
use crate::live::{LiveEndpoint, blocking, load};
use crate::prediction::{cells, live_endpoint, newest_days};
use crate::runtime::Model;
use crate::{App, AppError, allow};

pub use sampling::{MAX_PERMUTATIONS, Sampling};

/// Explanations that may be worked on at once; more are refused, so that they never starve serving.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// A row that somebody wants to try.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainRow {
    /// Features by name; `null` is missing. The unit and the event time may be there and are not read.
    pub row: Map<String, Value>,
    /// `name@version` of the model; the champion when left out.
    #[serde(default)]
    pub model: Option<String>,
    /// Orders to sample where the model does not explain itself, 2 to 2,048.
    #[serde(default)]
    pub permutations: Option<usize>,
    /// Seed of the sampled orders.
    #[serde(default)]
    pub seed: Option<u64>,
}

/// What one input adds to the score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contribution {
    /// Input of the model.
    pub feature: String,
    /// Its value in this row; `null` is missing.
    pub value: Value,
    /// What it adds, in the unit of the explanation.
    pub amount: f64,
    /// Standard error of the amount, where it was sampled.
    pub standard_error: Option<f64>,
}

/// Why a row has its score. `expected` and the amounts add up to `score`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreExplanation {
    /// How the contributions were found.
    pub method: String,
    /// Log-odds, or probability.
    pub unit: &'static str,
    /// The score where nothing is known of the row.
    pub expected: f64,
    /// The score of the row, in the same unit.
    pub score: f64,
    /// Inputs, the largest amount first.
    pub contributions: Vec<Contribution>,
    /// How it was sampled; absent when it is exact.
    pub sampling: Option<Sampling>,
}

/// What a decision would be worth for this row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecisionWorth {
    /// The decision.
    pub decision: String,
    /// Its expected worth, between what it is worth without and with the outcome. Asserted by the value model.
    pub expected: Figure,
    /// Worth if the outcome does not happen, minor units.
    pub if_not_minor: f64,
    /// Worth if it does, minor units.
    pub if_happened_minor: f64,
}

/// A tried row with everything that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Tried {
    /// Endpoint.
    pub endpoint: String,
    /// `name@version` of the model that scored.
    pub model: String,
    /// Which kind of model it is.
    pub flavor: &'static str,
    /// The features as they were read.
    pub row: Vec<(String, Value)>,
    /// The model's probability of the outcome.
    pub probability: f64,
    /// The outcome that it is the probability of.
    pub outcome: String,
    /// What the value model would decide.
    pub decision: String,
    /// What the holdout rule would do.
    pub holdout_decision: String,
    /// Every decision with its expected worth.
    pub worth: Vec<DecisionWorth>,
    /// What the value model assumes.
    pub assumptions: Vec<String>,
    /// Why the probability is what it is.
    pub explanation: ScoreExplanation,
}

/// What a form to try a row needs.
#[derive(Debug, Clone, Serialize)]
pub struct TryForm {
    /// Endpoint.
    pub endpoint: String,
    /// Features that the endpoint takes.
    pub fields: Vec<Field>,
    /// Values to begin with.
    pub row: Vec<(String, Value)>,
    /// Where these come from.
    pub source: String,
    /// Models that were released here, the champion first.
    pub models: Vec<String>,
}

/// Scores and explains a row.
pub async fn explain(
    app: &App,
    actor: &Actor,
    endpoint: &str,
    request: ExplainRow,
) -> Result<Tried, AppError> {
    allow(actor, Action::Read)?;
    let live = live_endpoint(app, endpoint)?;
    let plan = sampling::Plan::new(request.permutations, request.seed)?;
    let _turn = AT_ONCE.try_acquire().map_err(|_| {
        AppError::Unavailable(
            "two explanations are being worked on already; try again in a moment".to_owned(),
        )
    })?;
    let (reference, model) = model_of(app, &live, request.model.as_deref()).await?;
    let frame = row::read(&live, model.signature(), &request.row)?;
    let mut connection = app.store.read().await?;
    let initiative = greenlight_store::initiative::get(&mut connection, &live.spec.initiative)
        .await?
        .ok_or_else(|| AppError::not_found("initiative", &live.spec.initiative, ""))?;
    drop(connection);
    let (scored, shared) = (Arc::clone(&model), frame.clone());
    let (probability, own) = blocking(move || {
        let probability = score(scored.as_ref(), &shared)?;
        Ok::<_, AppError>((probability, sampling::own(scored.as_ref(), &shared, probability)))
    })
    .await??;
    let explanation = if let Some(own) = own {
        sampling::exact(model.as_ref(), &frame, own)?
    } else {
        let background = sampling::background(app, endpoint, &live).await?;
        let (scored, shared) = (Arc::clone(&model), frame.clone());
        blocking(move || sampling::sampled(scored.as_ref(), &shared, probability, &background, plan))
            .await??
    };
    let decision = live.value.decide(&frame, 0, probability).to_string();
    Ok(Tried {
        endpoint: endpoint.to_owned(),
        model: reference,
        flavor: model.flavor(),
        row: cells(&frame, 0),
        probability,
        outcome: initiative.value.outcome.clone(),
        decision,
        holdout_decision: live.holdout_decision.to_string(),
        worth: worth(&live, &frame, probability)?,
        assumptions: initiative.value.assumptions,
        explanation,
    })
}

/// The champion, or a version that was named.
async fn model_of(
    app: &App,
    live: &LiveEndpoint,
    wanted: Option<&str>,
) -> Result<(String, Arc<dyn Model>), AppError> {
    if let Some(wanted) = wanted.map(str::trim).filter(|wanted| !wanted.is_empty()) {
        let loaded = live.champion.iter().chain(&live.shadows).find(|m| *m.reference == *wanted);
        if let Some(found) = loaded {
            return Ok((wanted.to_owned(), Arc::clone(&found.model)));
        }
        let (name, version) = split_version(wanted)?;
        return Ok((wanted.to_owned(), load(app, name, version).await?));
    }
    let champion = live.champion.as_ref().ok_or_else(|| {
        AppError::Conflict(format!(
            "endpoint '{}' has no champion, so the holdout rule decides; name a model version (name@1)",
            live.name
        ))
    })?;
    Ok((champion.reference.to_string(), Arc::clone(&champion.model)))
}

fn score(model: &dyn Model, frame: &Frame) -> Result<f64, AppError> {
    let scores = model.score(frame)?;
    match scores.as_slice() {
        [probability] => Ok(*probability),
        other => Err(AppError::Invalid(format!("the model scored {} numbers for one row", other.len()))),
    }
}

/// Every decision with `p · v(d, 1) + (1 − p) · v(d, 0)`, as serving weighs them.
fn worth(live: &LiveEndpoint, frame: &Frame, probability: f64) -> Result<Vec<DecisionWorth>, AppError> {
    let value = |decision: &str, outcome: f64| {
        let valued = greenlight_domain::value_model::Valued { frame, row: 0, probability, decision, outcome };
        live.value.value_minor(valued).map(|minor| minor as f64)
    };
    let worth = live.value.decisions.iter().map(|decision| {
        let (not, happened) = (value(decision, 0.0)?, value(decision, 1.0)?);
        Ok(DecisionWorth {
            decision: decision.to_string(),
            expected: Figure {
                minor: probability * happened + (1.0 - probability) * not,
                low_minor: Some(not.min(happened)),
                high_minor: Some(not.max(happened)),
                grade: Grade::D,
                currency: live.value.currency,
            },
            if_not_minor: not,
            if_happened_minor: happened,
        })
    });
    worth.collect()
}

/// The row to begin with: a logged one that was named, or the newest.
pub async fn form(
    app: &App,
    actor: &Actor,
    endpoint: &str,
    prediction: Option<&str>,
) -> Result<TryForm, AppError> {
    allow(actor, Action::Read)?;
    let live = live_endpoint(app, endpoint)?;
    let logged = match prediction.map(str::trim).filter(|id| !id.is_empty()) {
        Some(id) => Some(id.parse()?),
        None => newest(app, endpoint).await?,
    };
    let entry = match logged {
        Some(id) => app.lake.log_entry(endpoint, id).await?,
        None => None,
    };
    let (row, source) = if let Some(entry) = entry {
        (cells(&entry.features, 0), format!("prediction {} of {}", entry.row.id, entry.row.at))
    } else {
        let empty = live.features.iter().map(|field| (field.name.to_string(), Value::Null)).collect();
        (empty, "missing values, because no prediction is in the log yet".to_owned())
    };
    let mut connection = app.store.read().await?;
    let releases = greenlight_store::release::list(&mut connection, Some(endpoint)).await?;
    drop(connection);
    let routed = live.routes.champion.iter().chain(&live.routes.shadows);
    let mut models: Vec<String> = routed.map(greenlight_domain::route::RoutedModel::reference).collect();
    for release in releases {
        let reference = format!("{}@{}", release.model, release.model_version);
        if !models.contains(&reference) {
            models.push(reference);
        }
    }
    Ok(TryForm { endpoint: endpoint.to_owned(), fields: live.features.to_vec(), row, source, models })
}

async fn newest(
    app: &App,
    endpoint: &str,
) -> Result<Option<greenlight_domain::prediction::PredictionId>, AppError> {
    let Some((extent, _)) = newest_days(app, endpoint, 1).await? else { return Ok(None) };
    let until = greenlight_domain::time::Micros(extent.newest.0.saturating_add(1));
    let window = Window { from: extent.newest, until };
    Ok(app.lake.log_page(endpoint, &LogFilter::all(window, 1)).await?.first().map(|row| row.id))
}
