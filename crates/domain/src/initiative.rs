//! An initiative: a problem worth money, the outcome that would show it solved, and how money is counted.

use serde::{Deserialize, Serialize};

use crate::DomainError;
use crate::cost::CostLine;
use crate::time::Micros;
use crate::value_model::ValueModelSpec;

/// The measure by which the business would notice success.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeMetric {
    /// What is measured.
    pub name: String,
    /// In which unit.
    pub unit: String,
    /// Where it stood at the start.
    pub baseline: f64,
    /// Where it should get to.
    pub target: f64,
    /// By when.
    pub target_date: Micros,
}

/// An initiative as its owner writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitiativeSpec {
    /// Title for people.
    pub title: String,
    /// What is wrong today, and for whom.
    pub problem: String,
    /// Who answers for it.
    pub owner: String,
    /// How success is noticed.
    pub metric: OutcomeMetric,
    /// How one decision becomes money.
    pub value: ValueModelSpec,
    /// What it costs to run.
    #[serde(default)]
    pub costs: Vec<CostLine>,
}

impl InitiativeSpec {
    /// Checks what needs nothing else.
    pub fn validate(&self) -> Result<(), DomainError> {
        for (field, text) in [("title", &self.title), ("problem", &self.problem), ("owner", &self.owner)] {
            if text.trim().is_empty() {
                return Err(DomainError::invalid(field, "must say something"));
            }
        }
        if !(self.metric.baseline.is_finite() && self.metric.target.is_finite()) {
            return Err(DomainError::invalid("metric", "baseline and target must be finite numbers"));
        }
        self.costs.iter().try_for_each(CostLine::validate)
    }
}
