//! What to train: learner, features, window. A training yields a run and a model version.

use serde::{Deserialize, Serialize};

use crate::DomainError;
use crate::time::Micros;

/// A learner that runs in process, with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Learner {
    /// L2-regularised logistic regression on standardised numbers and one-hot text.
    LogisticRegression {
        /// Strength of the L2 penalty.
        #[serde(default = "one")]
        alpha: f64,
        /// Bound on optimiser iterations.
        #[serde(default = "two_hundred")]
        max_iterations: u32,
    },
    /// Gradient-boosted trees for log loss.
    GradientBoosting {
        /// How much may be learnt: higher grows more and finer trees.
        #[serde(default = "one_budget")]
        budget: f32,
        /// Bound on the number of trees.
        #[serde(default = "five_hundred")]
        max_trees: u32,
        /// Seed of the sampling inside the learner.
        #[serde(default)]
        seed: u64,
    },
}

fn one() -> f64 {
    1.0
}
fn one_budget() -> f32 {
    1.0
}
fn two_hundred() -> u32 {
    200
}
fn five_hundred() -> u32 {
    500
}

impl Learner {
    /// Name as people read it.
    pub fn title(&self) -> &'static str {
        match self {
            Self::LogisticRegression { .. } => "logistic regression",
            Self::GradientBoosting { .. } => "gradient boosting",
        }
    }

    /// Settings as run parameters.
    pub fn parameters(&self) -> Vec<(String, String)> {
        match self {
            Self::LogisticRegression { alpha, max_iterations } => vec![
                ("learner".into(), "logistic_regression".into()),
                ("alpha".into(), alpha.to_string()),
                ("max_iterations".into(), max_iterations.to_string()),
            ],
            Self::GradientBoosting { budget, max_trees, seed } => vec![
                ("learner".into(), "gradient_boosting".into()),
                ("budget".into(), budget.to_string()),
                ("max_trees".into(), max_trees.to_string()),
                ("seed".into(), seed.to_string()),
            ],
        }
    }
}

/// A training as a manifest writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSpec {
    /// MLflow's experiment that gathers the runs.
    pub experiment: String,
    /// Which initiative it serves.
    pub initiative: String,
    /// `name@version` of the data set.
    pub dataset: String,
    /// First day of the window, inclusive.
    pub from: Micros,
    /// End of the window, exclusive.
    pub until: Micros,
    /// Columns that the model may use.
    pub features: Vec<String>,
    /// How to learn.
    pub learner: Learner,
}

impl TrainingSpec {
    /// Checks what needs no data.
    pub fn validate(&self) -> Result<(), DomainError> {
        if self.from >= self.until {
            return Err(DomainError::invalid("until", "the window ends before it starts"));
        }
        if self.features.is_empty() {
            return Err(DomainError::invalid("features", "name at least one column"));
        }
        split_version(&self.dataset).map(|_| ())
    }
}

/// Splits `name@version`.
pub fn split_version(reference: &str) -> Result<(&str, i64), DomainError> {
    reference
        .rsplit_once('@')
        .and_then(|(name, version)| Some((name, version.parse().ok()?)))
        .filter(|(name, version)| !name.is_empty() && *version > 0)
        .ok_or_else(|| DomainError::invalid("reference", format!("'{reference}' is not of the form name@1")))
}
