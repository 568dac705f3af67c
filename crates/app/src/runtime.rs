//! What the house needs from a model runtime: train in process, load an artifact, score rows.
//!
//! The second of the two traits of the house. The real one stands in `greenlight-inference`, a small one in
//! `greenlight-testkit`.

use std::sync::Arc;

use async_trait::async_trait;
use greenlight_domain::frame::Frame;
use greenlight_domain::model::Signature;
use greenlight_domain::training::Learner;
use serde::Serialize;
use thiserror::Error;

/// Why a model could not be trained, loaded or asked.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// The artifact is not a model, is cut off, or claims something impossible.
    #[error("the model artifact cannot be loaded: {0}")]
    Artifact(String),
    /// The rows do not fit the signature.
    #[error("{0}")]
    Signature(String),
    /// The learner gave up.
    #[error("training failed: {0}")]
    Training(String),
    /// The model yielded something that is not a probability.
    #[error("scoring failed: {0}")]
    Scoring(String),
}

/// A freshly trained model.
#[derive(Debug, Clone)]
pub struct TrainedModel {
    /// What is stored and loaded again.
    pub artifact: Vec<u8>,
    /// Which runtime reads it.
    pub flavor: String,
    /// What goes in and comes out.
    pub signature: Signature,
    /// What the learner reports, such as the number of trees.
    pub facts: Vec<(String, f64)>,
}

/// Why one row got its probability: additive contributions on the model's own scale.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// How the contributions were found.
    pub method: &'static str,
    /// What they are measured in, such as log-odds.
    pub unit: &'static str,
    /// The score of a row of which nothing is known.
    pub expected: f64,
    /// What each input of the signature adds; with `expected` they sum to the score of the row.
    pub contributions: Vec<f64>,
}

/// What a call to an upstream has to keep to.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// When the answer is of no use any more.
    pub deadline: std::time::Instant,
    /// The W3C `traceparent` to send along.
    pub traceparent: Option<Arc<str>>,
}

/// A model server of others that scores for us.
#[async_trait]
pub trait Upstream: Send + Sync {
    /// The probability of each row.
    async fn score(&self, rows: &Frame, context: &CallContext) -> Result<Vec<f64>, RuntimeError>;
}

/// A loaded model. Scoring is pure: the same rows give the same probabilities.
pub trait Model: Send + Sync + 'static {
    /// What goes in and comes out.
    fn signature(&self) -> &Signature;

    /// The probability of each row. The frame must have at least the columns of the signature, found by name.
    fn score(&self, rows: &Frame) -> Result<Vec<f64>, RuntimeError>;

    /// Which kind of file it was loaded from.
    fn flavor(&self) -> &'static str;

    /// About how much memory it takes.
    fn memory_bytes(&self) -> usize;

    /// The server behind it, when scoring means asking one; waiting for it must not hold a thread.
    fn upstream(&self) -> Option<&dyn Upstream> {
        None
    }

    /// Why the row at position `row` got its probability, when the model can say so exactly.
    fn explain(&self, _rows: &Frame, _row: usize) -> Result<Explanation, RuntimeError> {
        Err(RuntimeError::Scoring("this kind of model does not explain itself".to_owned()))
    }
}

/// Trains and loads models.
pub trait ModelRuntime: Send + Sync + 'static {
    /// Trains on `rows` (the features, in order) against `outcomes`. Blocks; call it off the async threads.
    fn train(&self, learner: &Learner, rows: &Frame, outcomes: &[bool])
    -> Result<TrainedModel, RuntimeError>;

    /// Loads an artifact and checks it. Blocks.
    fn load(&self, artifact: &[u8]) -> Result<Arc<dyn Model>, RuntimeError>;
}
