//! What the house needs from a model runtime: train in process, load an artifact, score rows.
//!
//! The second of the two traits of the house. The real one stands in `greenlight-inference`, a small one in
//! `greenlight-testkit`.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use greenlight_domain::frame::{Field, Frame};
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
    /// The server behind a forwarded model did not answer, or not with scores.
    #[error("the upstream cannot score: {0}")]
    Upstream(String),
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

/// What a call to another server may take, and what it carries along.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// When the caller stops waiting; retries end before it.
    pub deadline: Instant,
    /// W3C trace context of the request that is being answered.
    pub traceparent: Option<Arc<str>>,
}

/// A model on another server. Waiting for it never holds a thread.
#[async_trait]
pub trait Upstream: Send + Sync {
    /// The probability of each row, as [`Model::score`] has it. Dropping the future gives the call up.
    async fn score(&self, rows: &Frame, context: &CallContext) -> Result<Vec<f64>, RuntimeError>;

    /// How its addresses are at this moment.
    fn health(&self) -> UpstreamHealth;
}

/// How an upstream is. Counts begin when the model is loaded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpstreamHealth {
    /// `oip-rest`, `oip-grpc` or `mlflow`.
    pub protocol: &'static str,
    /// The model's name on the server; empty where the protocol has none.
    pub model: String,
    /// Calls that wait for an answer.
    pub in_flight: usize,
    /// Calls that were turned away at once: too many in flight, or every breaker open.
    pub refused: u64,
    /// Calls sent a second time.
    pub retries: u64,
    /// One entry an address, in the order of the registration.
    pub addresses: Vec<AddressHealth>,
}

/// How one address of an upstream is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AddressHealth {
    /// Such as `http://127.0.0.1:8080`.
    pub address: String,
    /// Whether calls go there.
    pub breaker: BreakerState,
    /// It failed more often than the others and rests.
    pub ejected: bool,
    /// What the last health probe said; `None` before the first.
    pub ready: Option<bool>,
    /// Calls that wait for its answer.
    pub in_flight: usize,
    /// Calls sent there.
    pub requests: u64,
    /// Calls that failed for a reason of its own.
    pub failures: u64,
    /// The last failure.
    pub last_error: Option<String>,
}

/// A circuit breaker's three states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// No call passes until some time is over.
    Open,
    /// One call may try.
    HalfOpen,
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

    /// Why the row at position `row` got its probability, when the model can say so exactly.
    fn explain(&self, _rows: &Frame, _row: usize) -> Result<Explanation, RuntimeError> {
        Err(RuntimeError::Scoring("this kind of model does not explain itself".to_owned()))
    }

    /// The other server that scores, for callers that can wait without holding a thread. [`Model::score`] works all
    /// the same, and blocks.
    fn upstream(&self) -> Option<&dyn Upstream> {
        None
    }
}

/// Trains and loads models.
pub trait ModelRuntime: Send + Sync + 'static {
    /// Trains on `rows` (the features, in order) against `outcomes`. Blocks; call it off the async threads.
    fn train(&self, learner: &Learner, rows: &Frame, outcomes: &[bool])
    -> Result<TrainedModel, RuntimeError>;

    /// Loads an artifact and checks it. Blocks.
    fn load(&self, artifact: &[u8]) -> Result<Arc<dyn Model>, RuntimeError>;

    /// A copy of an artifact that names its input columns, in order. Nothing when it names them itself, when it has
    /// not as many, or when its kind of file has no place for names.
    fn name_columns(&self, _artifact: &[u8], _names: &[String]) -> Result<Option<Vec<u8>>, RuntimeError> {
        Ok(None)
    }

    /// Asks a server what its model takes and answers, and completes `wanted` with it to an artifact that
    /// [`ModelRuntime::load`] reads. `columns` are those that may go in, in order. Blocks.
    fn connect(&self, _wanted: &serde_json::Value, _columns: &[Field]) -> Result<Vec<u8>, RuntimeError> {
        Err(RuntimeError::Artifact("this runtime has no upstreams".to_owned()))
    }
}
