//! The runtime that trains and loads models, in process and on other servers.
//!
//! Owns the choice of learner and of evaluator. It refuses to keep state: two runtimes are the same.

use std::sync::Arc;

use greenlight_app::runtime::{Model, ModelRuntime, RuntimeError, TrainedModel};
use greenlight_domain::frame::{Field, Frame};
use greenlight_domain::model::Signature;
use greenlight_domain::training::Learner;
use greenlight_evaluator::Evaluator;

use crate::artifact::{Artifact, MAX_BYTES, Payload, refused};
use crate::foreign::ForeignModel;
use crate::logistic::LogisticModel;
use crate::onnx_runtime::RuntimeGraph;
use crate::train;
use crate::trees::TreeModel;
use crate::upstream::{self, Spec, UpstreamModel};

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

    fn name_columns(&self, artifact: &[u8], names: &[String]) -> Result<Option<Vec<u8>>, RuntimeError> {
        if Spec::is(artifact) || is_own(artifact) {
            return Ok(None);
        }
        Evaluator::with_feature_names(artifact, names).map_err(|error| refused(error.to_string()))
    }

    fn connect(&self, wanted: &serde_json::Value, columns: &[Field]) -> Result<Vec<u8>, RuntimeError> {
        upstream::connect(wanted, columns)
    }
}

/// Reads and checks an artifact of any kind: our own format, or a file of another library.
pub(crate) fn load(bytes: &[u8]) -> Result<Arc<dyn Model>, RuntimeError> {
    if bytes.len() > MAX_BYTES {
        return Err(refused(format!("it has {} bytes and the limit is {MAX_BYTES}", bytes.len())));
    }
    if Spec::is(bytes) {
        return Ok(Arc::new(UpstreamModel::load(bytes)?));
    }
    if !is_own(bytes) {
        return Ok(match ForeignModel::load(bytes)? {
            Some(model) => Arc::new(model),
            None => Arc::new(RuntimeGraph::load(bytes)?),
        });
    }
    let artifact = Artifact::from_bytes(bytes)?;
    Ok(match artifact.payload {
        Payload::LogisticRegression(parts) => {
            Arc::new(LogisticModel::new(&artifact.inputs, artifact.encoder, parts)?)
        }
        Payload::TreeEnsemble(parts) => Arc::new(TreeModel::new(&artifact.inputs, artifact.encoder, &parts)?),
    })
}

/// Whether a file is of our own format, or a part of one: a JSON object that is not XGBoost's.
fn is_own(bytes: &[u8]) -> bool {
    let head = bytes[..bytes.len().min(256)].trim_ascii_start();
    if head.windows(17).any(|window| window == b"\"greenlight.model") {
        return true;
    }
    let object = head.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    let is_json = object.is_some_and(|rest| rest.is_empty() || rest[0] == b'"' || rest[0] == b'}');
    (is_json || head.is_empty()) && !head.windows(9).any(|window| window == b"\"learner\"")
}

/// The signature of a model with these inputs.
pub(crate) fn signature(inputs: &[Field]) -> Signature {
    Signature { inputs: inputs.into(), outputs: [Field::number(OUTPUT)].into() }
}
