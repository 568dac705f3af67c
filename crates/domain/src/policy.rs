//! Release policy: the gates, thresholds, approvals and rollout steps. Immutable once published.

use serde::{Deserialize, Serialize};

use crate::DomainError;
use crate::money::Amount;

/// Thresholds of the history gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryPolicy {
    /// Calendar months after the training window that are judged one by one.
    pub months: u32,
    /// Smallest area under the ROC curve over all months together.
    pub min_auc: f64,
    /// Observed outcomes per predicted one over all months, at least.
    pub min_observed_over_expected: f64,
    /// Observed outcomes per predicted one over all months, at most.
    pub max_observed_over_expected: f64,
    /// The lower end of the interval of value against the holdout rule must be above this.
    pub min_value_against_holdout: Amount,
    /// The lower end of the interval of value against doing nothing at all must be above this.
    pub min_value_against_idle: Amount,
    /// Months in which the value against the holdout rule must be positive.
    pub min_months_ahead: u32,
    /// Bootstrap resamples.
    pub resamples: u32,
    /// Level of the interval.
    pub level: f64,
    /// Seed of the bootstrap, recorded with the evidence.
    pub seed: u64,
}

/// Thresholds of the shadow gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowPolicy {
    /// Mirrored predictions needed.
    pub min_predictions: u64,
    /// Largest 99th percentile of scoring time.
    pub max_p99_latency_ms: f64,
    /// Largest share of mirrored predictions that failed.
    pub max_error_share: f64,
    /// Largest population stability index of the scores against training.
    pub max_drift_psi: f64,
}

/// What must hold before a rollout goes on from a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdvanceWhen {
    /// The confidence sequence does not lie wholly below zero.
    NoHarm,
    /// The confidence sequence lies wholly above zero.
    Proven,
}

/// One step of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutStep {
    /// Percent of units that get the champion; below 100, because the holdout is permanent.
    pub percent: u8,
    /// Matured units needed at this step.
    pub min_matured: u64,
    /// What must hold to go on.
    pub advance_when: AdvanceWhen,
}

/// How a rollout is watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutPolicy {
    /// Steps in order; the last one stays.
    pub steps: Vec<RolloutStep>,
    /// Error of the verdict over all looks together.
    pub alpha: f64,
    /// Number of units at which the confidence sequence is tightest.
    pub tuned_for_units: f64,
    /// Guardrail: largest share of champion predictions that failed and fell back.
    pub max_error_share: f64,
    /// Guardrail: largest 99th percentile of scoring time.
    pub max_p99_latency_ms: f64,
}

/// Who must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalPolicy {
    /// How many different people other than the author.
    pub count: u32,
}

/// A policy as it is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySpec {
    /// What it is for.
    pub description: String,
    /// The history gate.
    pub history: HistoryPolicy,
    /// The shadow gate.
    pub shadow: ShadowPolicy,
    /// Approvals.
    pub approvals: ApprovalPolicy,
    /// The rollout.
    pub rollout: RolloutPolicy,
}

impl PolicySpec {
    /// Checks that thresholds make sense and that a holdout remains at every step.
    pub fn validate(&self) -> Result<(), DomainError> {
        let history = &self.history;
        if !(1..=36).contains(&history.months) || history.min_months_ahead > history.months {
            return Err(DomainError::invalid("history.months", "must be 1 to 36 and cover min_months_ahead"));
        }
        if !(1..=20_000).contains(&history.resamples) {
            return Err(DomainError::invalid("history.resamples", "must be 1 to 20000"));
        }
        if self.approvals.count == 0 {
            return Err(DomainError::invalid("approvals.count", "at least one person must approve"));
        }
        let unit = |field: &str, value: f64| {
            if value > 0.0 && value < 1.0 {
                return Ok(());
            }
            Err(DomainError::invalid(field, "must lie between 0 and 1"))
        };
        unit("history.level", history.level)?;
        unit("rollout.alpha", self.rollout.alpha)?;
        if !(self.rollout.tuned_for_units >= 1.0 && self.rollout.tuned_for_units.is_finite()) {
            return Err(DomainError::invalid("rollout.tuned_for_units", "must be at least 1"));
        }
        let steps = &self.rollout.steps;
        let grows = steps.windows(2).all(|pair| pair[0].percent < pair[1].percent);
        if steps.is_empty() || !grows || steps.iter().any(|s| s.percent == 0 || s.percent > 99) {
            let problem = "must grow from 1 to at most 99 percent: the holdout is permanent";
            return Err(DomainError::invalid("rollout.steps", problem));
        }
        Ok(())
    }
}
