//! What the log answers to a person who looks at it: pages of it, one entry, samples, traffic by time.
//!
//! Variants are read as text, so that a page of an old log never fails on a word that came later. Every question
//! carries a window of event time; none reads the whole log.

use greenlight_domain::frame::Frame;
use greenlight_domain::prediction::PredictionId;
use greenlight_domain::time::Micros;
use serde::Serialize;

/// Most rows of one page of the log.
pub const MAX_PAGE: usize = 100;
/// Most buckets that traffic is counted in.
pub const MAX_BUCKETS: usize = 200;
/// Most rows of one sample.
pub const MAX_SAMPLE: usize = 10_000;

/// Event times from the first up to the second, which is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Window {
    /// The first moment in it.
    pub from: Micros,
    /// The first moment after it.
    pub until: Micros,
}

impl Window {
    /// Whether `at` lies in it.
    pub fn contains(&self, at: Micros) -> bool {
        self.from <= at && at < self.until
    }
}

/// Where the sealed log of an endpoint begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LogExtent {
    /// Oldest event time.
    pub oldest: Micros,
    /// Newest event time.
    pub newest: Micros,
    /// Rows, mirrored ones included.
    pub predictions: u64,
}

/// Which rows of the log are wanted, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct LogFilter {
    /// Event times.
    pub window: Window,
    /// Only this unit.
    pub unit: Option<String>,
    /// Only this variant.
    pub variant: Option<String>,
    /// Only this decision.
    pub decision: Option<String>,
    /// Only this model, `name@version`.
    pub model: Option<String>,
    /// Only rows whose model failed, or only the others.
    pub failed: Option<bool>,
    /// Only probabilities of at least this.
    pub least: Option<f64>,
    /// Only probabilities of at most this.
    pub most: Option<f64>,
    /// Only what comes after this row: the last one of the page before.
    pub after: Option<(Micros, PredictionId)>,
    /// Most rows, 1 to [`MAX_PAGE`].
    pub limit: usize,
}

impl LogFilter {
    /// Everything in the window, up to `limit` rows.
    pub fn all(window: Window, limit: usize) -> Self {
        Self {
            window,
            unit: None,
            variant: None,
            decision: None,
            model: None,
            failed: None,
            least: None,
            most: None,
            after: None,
            limit,
        }
    }
}

/// One logged prediction, without its features.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogRow {
    /// Its id.
    pub id: PredictionId,
    /// Event time.
    pub at: Micros,
    /// Who or what was assigned.
    pub unit: String,
    /// Which side answered.
    pub variant: String,
    /// Probability with which the unit got it.
    pub propensity: Option<f64>,
    /// The release that was live or in shadow.
    pub release: Option<String>,
    /// `name@version` of the model that scored.
    pub model: Option<String>,
    /// The model's probability; absent when none was asked, or it failed.
    pub probability: Option<f64>,
    /// What was decided.
    pub decision: String,
    /// What the champion would have decided.
    pub champion_decision: Option<String>,
    /// For a shadow: the live prediction that it mirrors.
    pub mirrors: Option<PredictionId>,
    /// Microseconds spent scoring.
    pub latency_us: i64,
    /// Why scoring failed.
    pub error: Option<String>,
}

/// An outcome as it was received.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoggedOutcome {
    /// Its name in the value model.
    pub name: String,
    /// 0 or 1, or an amount.
    pub value: f64,
    /// When it happened.
    pub at: Micros,
}

/// One prediction with everything that the lake knows about it.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// The row.
    pub row: LogRow,
    /// Every other column that holds something, by name.
    pub more: Vec<(String, String)>,
    /// Its features, one row.
    pub features: Frame,
    /// Outcomes in the order in which they were received.
    pub outcomes: Vec<LoggedOutcome>,
    /// Shadows that mirrored it.
    pub mirrors: Vec<LogRow>,
}

/// Rows drawn from a window by the random part of their ids: the same window gives the same rows.
#[derive(Debug, Clone, PartialEq)]
pub struct LogSample {
    /// Rows in the window, shadows left out.
    pub population: u64,
    /// Features of those drawn.
    pub features: Frame,
    /// Probability of each; NaN when no model was asked.
    pub probabilities: Vec<f64>,
    /// Model that scored each.
    pub models: Vec<Option<String>>,
}

/// Traffic of one variant in one stretch of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrafficBucket {
    /// Where the stretch begins.
    pub at: Micros,
    /// Which variant.
    pub variant: String,
    /// Predictions.
    pub predictions: u64,
    /// Of those, how many failed.
    pub errors: u64,
    /// Median scoring time, microseconds.
    pub p50_latency_us: f64,
    /// 99th percentile of scoring time, microseconds.
    pub p99_latency_us: f64,
}

/// A shadow and the live prediction that it mirrors, where the two say different things.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disagreement {
    /// The live prediction.
    pub id: PredictionId,
    /// Event time.
    pub at: Micros,
    /// Its unit.
    pub unit: String,
    /// The model that answered live, when one did.
    pub live_model: Option<String>,
    /// Its probability; absent for a unit of the holdout.
    pub live_probability: Option<f64>,
    /// What the champion decided or would have; the live decision where no champion was asked.
    pub live_decision: String,
    /// The model in shadow.
    pub shadow_model: Option<String>,
    /// Its probability.
    pub shadow_probability: Option<f64>,
    /// What it would have decided.
    pub shadow_decision: String,
}

/// How shadows and live answers compare in a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disagreements {
    /// Mirrored predictions whose live answer is in the log and that did not fail.
    pub compared: u64,
    /// Of those, how many decisions differ.
    pub decisions_differ: u64,
    /// Mean absolute difference of the probabilities, where both are known.
    pub mean_difference: Option<f64>,
    /// The largest differences, largest first.
    pub top: Vec<Disagreement>,
}
