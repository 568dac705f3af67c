//! A model runtime that does what it is told: the probability is one of the columns.

use std::sync::Arc;

use greenlight_app::runtime::{Model, ModelRuntime, RuntimeError, TrainedModel};
use greenlight_domain::frame::{Field, Frame};
use greenlight_domain::model::Signature;
use greenlight_domain::training::Learner;
use serde::{Deserialize, Serialize};

/// Trains and loads models whose probability is their first feature.
#[derive(Debug, Default)]
pub struct ColumnRuntime;

#[derive(Debug, Serialize, Deserialize)]
struct ColumnModel {
    inputs: Vec<Field>,
    #[serde(skip)]
    signature: Option<Signature>,
}

/// The artifact of a model that reads these columns; the first one is its probability.
pub fn artifact(inputs: &[Field]) -> Vec<u8> {
    serde_json::to_vec(&ColumnModel { inputs: inputs.to_vec(), signature: None }).unwrap()
}

fn signature(inputs: &[Field]) -> Signature {
    Signature { inputs: inputs.into(), outputs: vec![Field::number("probability")].into() }
}

impl Model for ColumnModel {
    fn flavor(&self) -> &'static str {
        "column"
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn signature(&self) -> &Signature {
        self.signature.as_ref().expect("set when it is loaded")
    }

    fn score(&self, rows: &Frame) -> Result<Vec<f64>, RuntimeError> {
        let first = &self.inputs[0].name;
        let values = rows.numbers(first).map_err(|e| RuntimeError::Signature(e.to_string()))?;
        // A probability above 1 stands for a model that breaks on such a row.
        if values.iter().any(|p| !(0.0..=1.0).contains(p)) {
            return Err(RuntimeError::Scoring(format!("{first} is not a probability")));
        }
        Ok(values.to_vec())
    }
}

impl ModelRuntime for ColumnRuntime {
    fn train(&self, _: &Learner, rows: &Frame, _: &[bool]) -> Result<TrainedModel, RuntimeError> {
        Ok(TrainedModel {
            artifact: artifact(rows.fields()),
            flavor: "column".to_owned(),
            signature: signature(rows.fields()),
            facts: vec![],
        })
    }

    fn name_columns(&self, bytes: &[u8], names: &[String]) -> Result<Option<Vec<u8>>, RuntimeError> {
        let model: ColumnModel =
            serde_json::from_slice(bytes).map_err(|e| RuntimeError::Artifact(e.to_string()))?;
        let is_named = model.inputs.iter().all(|field| !field.name.contains('['));
        if is_named || model.inputs.len() != names.len() {
            return Ok(None);
        }
        let named = model.inputs.iter().zip(names);
        let named = named.map(|(field, name)| Field { name: name.as_str().into(), ..field.clone() });
        Ok(Some(artifact(&named.collect::<Vec<_>>())))
    }

    fn load(&self, bytes: &[u8]) -> Result<Arc<dyn Model>, RuntimeError> {
        let mut model: ColumnModel =
            serde_json::from_slice(bytes).map_err(|e| RuntimeError::Artifact(e.to_string()))?;
        model.signature = Some(signature(&model.inputs));
        Ok(Arc::new(model))
    }
}
