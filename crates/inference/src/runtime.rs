//! The runtime that trains and loads models in process.
//!
//! Owns the choice of learner and of evaluator. It refuses to keep state: two runtimes are the same.

use std::sync::Arc;

use greenlight_app::runtime::{Model, ModelRuntime, RuntimeError, TrainedModel};
use greenlight_domain::frame::{Field, Frame};
use greenlight_domain::model::Signature;
use greenlight_domain::training::Learner;

use crate::artifact::{Artifact, Payload};
use crate::logistic::LogisticModel;
use crate::train;
use crate::trees::TreeModel;

/// The flavor of every model that this runtime trains.
pub const FLAVOR: &str = "greenlight";

/// The one column that every model yields: the probability of the outcome, between 0 and 1.
pub const OUTPUT: &str = "probability";

/// Trains and loads models in this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Runtime;

impl ModelRuntime for Runtime {
    fn train(
        &self,
        learner: &Learner,
        rows: &Frame,
        outcomes: &[bool],
    ) -> Result<TrainedModel, RuntimeError> {
        train::train(learner, rows, outcomes)
    }

    fn load(&self, artifact: &[u8]) -> Result<Arc<dyn Model>, RuntimeError> {
        load(artifact)
    }
}

/// Reads and checks an artifact of any kind.
pub(crate) fn load(bytes: &[u8]) -> Result<Arc<dyn Model>, RuntimeError> {
    let artifact = Artifact::from_bytes(bytes)?;
    Ok(match artifact.payload {
        Payload::LogisticRegression(parts) => {
            Arc::new(LogisticModel::new(&artifact.inputs, artifact.encoder, parts)?)
        }
        Payload::TreeEnsemble(parts) => Arc::new(TreeModel::new(&artifact.inputs, artifact.encoder, &parts)?),
    })
}

/// The signature of a model with these inputs.
pub(crate) fn signature(inputs: &[Field]) -> Signature {
    Signature { inputs: inputs.into(), outputs: [Field::number(OUTPUT)].into() }
}
