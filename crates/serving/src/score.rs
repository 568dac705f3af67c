//! Asking models: in process or upstream, with another one behind each that can fail.
//!
//! Owns the order champion → previous version → holdout rule. A failure is recorded and the next one answers, so that
//! a broken model never costs an answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use greenlight_app::live::{LiveEndpoint, LiveModel};
use greenlight_app::runtime::CallContext;
use greenlight_domain::assignment::{Arm, Assigned};
use greenlight_domain::frame::Frame;
use tokio::runtime::RuntimeFlavor;

use crate::request::Trace;

/// Rows that are scored on the thread of their request; more of them would keep the next one waiting.
const INLINE_ROWS: usize = 256;
/// Longest that a request waits for its models together.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is logged where the holdout's rule answered for a model.
pub(crate) const HOLDOUT: &str = "holdout";

/// What a chain of models said about some rows.
pub(crate) struct Scored<'a> {
    /// One for each row; empty when nobody could say.
    pub probabilities: Vec<f64>,
    /// Who said it.
    pub model: Option<&'a LiveModel>,
    /// Why the first of the chain did not.
    pub error: Option<Arc<str>>,
    pub latency_us: i64,
}

/// The scores of a request: rows of challengers apart from all others.
pub(crate) struct Scores<'a> {
    groups: Vec<Scored<'a>>,
    /// For each row its group and its place there; `None` when every row stands in the first group.
    places: Option<Vec<(usize, usize)>>,
}

impl<'a> Scores<'a> {
    /// What was said about that row, and at which place; `None` when no model was asked.
    pub(crate) fn of(&self, row: usize) -> Option<(&Scored<'a>, usize)> {
        let (group, place) = self.places.as_ref().map_or((0, row), |places| places[row]);
        self.groups.get(group).map(|scored| (scored, place))
    }

    /// The scoring time of the champion's rows.
    pub(crate) fn champion_latency_us(&self) -> Option<i64> {
        self.groups.first().map(|scored| scored.latency_us)
    }
}

/// Scores every row by the model that it was assigned to. Rows of the holdout are scored by the champion as well:
/// what it would decide is logged.
pub(crate) async fn score_all<'a>(
    endpoint: &'a LiveEndpoint,
    features: &Frame,
    assigned: &[Assigned<'_>],
    trace: Option<&Trace>,
) -> Scores<'a> {
    let context = CallContext {
        deadline: Instant::now() + PATIENCE,
        traceparent: trace.map(|trace| Arc::clone(&trace.parent)),
    };
    let backup = || endpoint.champion.iter().chain(&endpoint.previous);
    let challenged = |a: &Assigned<'_>| matches!(a.arm, Arm::Challenger(_));
    if endpoint.challengers.is_empty() || !assigned.iter().any(challenged) {
        let chain: Vec<&LiveModel> = backup().collect();
        let groups = if chain.is_empty() { Vec::new() } else { vec![ask(&chain, features, &context).await] };
        return Scores { groups, places: None };
    }
    let mut groups = Vec::new();
    let mut places = vec![(0, 0); assigned.len()];
    let own: Vec<usize> = (0..assigned.len()).filter(|row| !challenged(&assigned[*row])).collect();
    let asked = (!own.is_empty()).then_some((None, own));
    let challengers = endpoint.challengers.iter().filter_map(|challenger| {
        let is_its =
            |row: &usize| matches!(assigned[*row].arm, Arm::Challenger(r) if **r == *challenger.release);
        let rows: Vec<usize> = (0..assigned.len()).filter(is_its).collect();
        (!rows.is_empty()).then_some((Some(challenger), rows))
    });
    for (first, rows) in asked.into_iter().chain(challengers) {
        let chain: Vec<&LiveModel> = first.into_iter().chain(backup()).collect();
        for (place, row) in rows.iter().enumerate() {
            places[*row] = (groups.len(), place);
        }
        groups.push(if rows.len() == assigned.len() {
            ask(&chain, features, &context).await
        } else {
            ask(&chain, &features.take(&rows), &context).await
        });
    }
    Scores { groups, places: Some(places) }
}

/// Asks the models of a chain in turn until one answers.
async fn ask<'a>(chain: &[&'a LiveModel], rows: &Frame, context: &CallContext) -> Scored<'a> {
    let started = Instant::now();
    let mut error: Option<Arc<str>> = None;
    let mut answer = (Vec::new(), None);
    for model in chain {
        match ask_one(model, rows, context).await {
            Ok(probabilities) => {
                answer = (probabilities, Some(*model));
                break;
            }
            Err(problem) => {
                error.get_or_insert_with(|| problem.into());
            }
        }
    }
    let latency_us = i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX);
    Scored { probabilities: answer.0, model: answer.1, error, latency_us }
}

async fn ask_one(model: &LiveModel, rows: &Frame, context: &CallContext) -> Result<Vec<f64>, String> {
    let scores = match model.model.upstream() {
        Some(upstream) => upstream.score(rows, context).await,
        None => aside(rows.rows(), || model.model.score(rows)),
    };
    let scores = scores.map_err(|error| error.to_string())?;
    if scores.len() == rows.rows() && scores.iter().all(|score| score.is_finite()) {
        return Ok(scores);
    }
    Err(format!(
        "{} gave {} scores for {} rows, or one that is no number",
        model.reference,
        scores.len(),
        rows.rows()
    ))
}

/// Runs the scoring of many rows where it does not keep other requests waiting.
fn aside<T>(rows: usize, work: impl FnOnce() -> T) -> T {
    let many = rows > INLINE_ROWS;
    if many && tokio::runtime::Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
        return tokio::task::block_in_place(work);
    }
    work()
}
