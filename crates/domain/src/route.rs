//! Routes: what an endpoint does with the next request. Versioned, written by rollouts, read by serving.

use serde::{Deserialize, Serialize};

/// A model that a release put behind an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutedModel {
    /// Release id.
    pub release: String,
    /// Name of the model.
    pub model: String,
    /// Version of the model.
    pub version: i64,
}

impl RoutedModel {
    /// `name@version`.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.model, self.version)
    }
}

/// The routes of one endpoint. Without a champion every unit gets the holdout rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Routes {
    /// Counts up; logged with every prediction.
    pub version: i64,
    /// The released model.
    pub champion: Option<RoutedModel>,
    /// Percent of units that get the champion; the rest is the holdout.
    pub champion_percent: u8,
    /// A model that scores beside the live answer.
    pub shadow: Option<RoutedModel>,
}

impl Routes {
    /// Probability with which a unit gets the champion.
    pub fn champion_weight(&self) -> f64 {
        if self.champion.is_some() { f64::from(self.champion_percent.min(100)) / 100.0 } else { 0.0 }
    }
}
