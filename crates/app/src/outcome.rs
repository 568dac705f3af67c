//! Recording what happened to predicted units.

use greenlight_domain::prediction::{Outcome, PredictionId};
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::{DAY_US, Micros};
use serde::{Deserialize, Serialize};

use crate::{App, AppError, allow};

/// An outcome as a client posts it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostedOutcome {
    /// The id that infer returned.
    pub prediction_id: String,
    /// Name of the outcome in the value model.
    pub name: String,
    /// What happened: 0 or 1.
    pub value: f64,
    /// When it happened.
    pub at: Micros,
}

/// What became of a post.
#[derive(Debug, Serialize)]
pub struct Recorded {
    /// Outcomes that are durable now.
    pub accepted: usize,
}

/// Most outcomes in one post.
pub const MAX_OUTCOMES: usize = 10_000;
const SHOWN_PROBLEMS: usize = 5;

/// Records outcomes: all of them or none.
pub async fn record(
    app: &App,
    actor: &Actor,
    endpoint: &str,
    posted: Vec<PostedOutcome>,
) -> Result<Recorded, AppError> {
    allow(actor, Action::Record)?;
    let live = app.live.get(endpoint).ok_or_else(|| {
        AppError::not_found("endpoint", endpoint, "list them with 'greenlight endpoint list'")
    })?;
    if posted.is_empty() || posted.len() > MAX_OUTCOMES {
        return Err(AppError::Invalid(format!("outcomes: send 1 to {MAX_OUTCOMES}, not {}", posted.len())));
    }
    let (name, window_days) = expected_outcome(app, &live.spec.initiative).await?;
    let latest = Micros(app.clock.now().0 + DAY_US);
    let mut outcomes = Vec::with_capacity(posted.len());
    let mut problems = Vec::new();
    for (index, post) in posted.iter().enumerate() {
        match check(app, endpoint, (&name, window_days), post, latest) {
            Ok(outcome) => outcomes.push(outcome),
            Err(problem) => problems.push(format!("outcomes[{index}].{problem}")),
        }
    }
    if !problems.is_empty() {
        let more = problems.len().saturating_sub(SHOWN_PROBLEMS);
        problems.truncate(SHOWN_PROBLEMS);
        let tail = if more > 0 { format!("; and {more} more") } else { String::new() };
        return Err(AppError::Invalid(format!("{}{tail}; nothing was recorded", problems.join("; "))));
    }
    let newest = outcomes.iter().map(|o| o.at).max().unwrap_or_default();
    let accepted = outcomes.len();
    app.lake.append_outcomes(endpoint, outcomes).await?;
    let mut transaction = app.store.begin().await?;
    greenlight_store::endpoint::raise_watermark(&mut transaction, endpoint, newest).await?;
    transaction.commit().await.map_err(greenlight_store::StoreError::from)?;
    Ok(Recorded { accepted })
}

/// Name of the outcome, and the days within which it counts.
async fn expected_outcome(app: &App, initiative: &str) -> Result<(String, u16), AppError> {
    let mut connection = app.store.read().await?;
    greenlight_store::initiative::get(&mut connection, initiative)
        .await?
        .map(|spec| (spec.value.outcome, spec.value.window_days))
        .ok_or_else(|| AppError::not_found("initiative", initiative, ""))
}

fn check(
    app: &App,
    endpoint: &str,
    (name, window_days): (&str, u16),
    post: &PostedOutcome,
    latest: Micros,
) -> Result<Outcome, String> {
    let id: PredictionId = post.prediction_id.parse().map_err(|e| format!("{e}"))?;
    if !id.is_genuine(&app.id_key, endpoint) {
        return Err(format!("prediction_id: '{id}' was not issued by endpoint '{endpoint}'"));
    }
    if post.name != name {
        let shown: String = post.name.chars().take(60).collect();
        return Err(format!("name: '{shown}' is not an outcome of this endpoint; it is '{name}'"));
    }
    if !(0.0..=1.0).contains(&post.value) {
        return Err(format!("value: {} is not between 0 and 1", post.value));
    }
    if post.at < Micros(id.time().0 - 1_000) {
        return Err(format!("at: {} lies before the prediction ({})", post.at, id.time()));
    }
    if post.at > latest {
        return Err(format!("at: {} lies in the future", post.at));
    }
    if post.at > id.time().plus_days(i64::from(window_days)) {
        return Err(format!(
            "at: {} lies more than {window_days} days after the prediction, so it does not count",
            post.at
        ));
    }
    Ok(Outcome { prediction_id: id, name: name.into(), value: post.value, at: post.at })
}
