//! Model versions: the signature that a client must meet, and what the version was made from.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::frame::Field;
use crate::time::Micros;

/// What goes in and what comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Columns that the model needs.
    pub inputs: Arc<[Field]>,
    /// Columns that it yields.
    pub outputs: Arc<[Field]>,
}

/// A version of the registry, as MLflow's clients name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Name of the registered model.
    pub name: String,
    /// Number of its version.
    pub version: i64,
}

impl Registered {
    /// `models:/name/version`.
    pub fn uri(&self) -> String {
        format!("models:/{}/{}", self.name, self.version)
    }
}

/// One version of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelVersion {
    /// Name of the model.
    pub name: String,
    /// Counts up from 1.
    pub version: i64,
    /// The run that made it.
    pub run_id: String,
    /// What goes in and out.
    pub signature: Signature,
    /// Which runtime reads the artifact.
    pub flavor: String,
    /// SHA-256 of the artifact, by which it is stored and checked before it is loaded.
    pub sha256: String,
    /// Bytes of the artifact.
    pub size_bytes: i64,
    /// `name@version` of the data set it was trained on.
    pub dataset: String,
    /// End of its training window, exclusive; nothing before may be used to judge it.
    pub trained_until: Micros,
    /// Scores on the training window in equal-count bins: upper edges, then counts. Drift is measured against it.
    pub score_edges: Vec<f64>,
    /// Rows per bin of `score_edges` (one more than edges).
    pub score_counts: Vec<u64>,
    /// Who made it.
    pub author: String,
    /// When it was made.
    pub created_at: Micros,
    /// The version of the registry that its file comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Registered>,
}

impl ModelVersion {
    /// `name@version`.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}
