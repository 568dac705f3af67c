//! The file format `greenlight.model/1`: what a trained model is stored as.
//!
//! Owns the layout, its bounds and the checks that need no knowledge of an evaluator: size, version, syntax, names.
//! It refuses unknown fields, other versions and anything past a bound. What the numbers mean is checked by the
//! model that they become ([`crate::logistic`], [`crate::trees`]).
//!
//! The file is one JSON object, because it can be read by people and by any language in ten years:
//!
//! | field | holds |
//! | --- | --- |
//! | `format` | `greenlight.model/1` |
//! | `kind` | `logistic_regression` or `tree_ensemble` |
//! | `inputs` | the columns that the model needs: `name`, `type` (`number` or `text`) |
//! | `encoder` | one entry an input: how its values become numbers |
//! | `payload` | the weights; its shape depends on `kind` |
//!
//! A reader of version 1 must go on reading version 1 for ever; a change of meaning is version 2.

mod bounded;

use std::collections::HashSet;

use greenlight_app::runtime::RuntimeError;
use greenlight_domain::frame::{ColumnType, Field};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(crate) use bounded::Bounded;

/// Name and version of the format.
pub(crate) const FORMAT: &str = "greenlight.model/1";
/// Most bytes of an artifact: 256 MiB.
pub(crate) const MAX_BYTES: usize = 256 << 20;
/// Most input columns of a model.
pub(crate) const MAX_FEATURES: usize = 4_096;
/// Most different texts that a model knows of one column.
pub(crate) const MAX_VOCABULARY: usize = 10_000;
/// Most members of an ensemble.
pub(crate) const MAX_MEMBERS: usize = 10_000;
/// Most trees of an ensemble.
pub(crate) const MAX_TREES: usize = 100_000;
/// Most splits and leaves of an ensemble, taken together.
pub(crate) const MAX_NODES: usize = 64_000_000;
/// How many predictions each leaf holds; the probability is the mean over them.
///
/// The learner fits every leaf on five folds of the rows and scores with the mean of the five, so that a leaf that
/// only one fold believes in counts for less.
pub(crate) const FOLDS: usize = 5;

const LOGISTIC_REGRESSION: &str = "logistic_regression";
const TREE_ENSEMBLE: &str = "tree_ensemble";

/// A column, as the file writes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    name: String,
    #[serde(rename = "type")]
    column_type: ColumnType,
}

/// How the values of one column become numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ColumnEncoding {
    /// `(value - mean) / standard_deviation`; a missing number counts as the mean.
    Standardised { mean: f64, standard_deviation: f64 },
    /// One coefficient a text of the vocabulary; a missing or unknown text has none.
    OneHot { vocabulary: Bounded<String, MAX_VOCABULARY> },
    /// The number itself; missing stays missing.
    AsIs {},
    /// Position in the vocabulary; a missing or unknown text is missing.
    Ordinal { vocabulary: Bounded<String, MAX_VOCABULARY> },
}

/// Weights of a logistic regression: the logit is the intercept plus the terms of each column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogisticParts {
    /// The logit of a row whose columns all contribute nothing.
    pub(crate) intercept: f64,
    /// One list an input: a single weight for a standardised number, one an entry of the vocabulary for text.
    pub(crate) coefficients: Bounded<Bounded<f64, MAX_VOCABULARY>, MAX_FEATURES>,
}

/// Weights of a tree ensemble: the probability is the mean of what its members say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnsembleParts {
    /// Models that were trained apart from one another.
    pub(crate) members: Bounded<MemberParts, MAX_MEMBERS>,
}

/// One boosted model. In each fold its logit is the base plus one leaf of each tree; it says the mean over the folds
/// of the logistic function of the logit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberParts {
    /// The logit before the first tree.
    pub(crate) base_logit: f64,
    /// The trees, in the order in which they are added up.
    pub(crate) trees: Bounded<TreeParts, MAX_TREES>,
}

/// One tree as lists: entry `i` of `feature`, `threshold`, `left`, `right` and `missing` belongs to split `i`. The walk starts at split 0, or at
/// leaf 0 when there is no split. A child is the index of a later split, or `-1 - l` for leaf `l`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TreeParts {
    /// Which input is asked.
    pub(crate) feature: Vec<u32>,
    /// A number goes left when it is less than this. Zero where text is asked.
    pub(crate) threshold: Vec<f64>,
    /// The sets of the splits that ask text, one after the other, each as many words as its vocabulary has started
    /// 32 texts: a text goes left when bit `position % 32` of word `position / 32` is set.
    pub(crate) left_categories: Vec<u32>,
    /// Child on the left.
    pub(crate) left: Vec<i32>,
    /// Child on the right.
    pub(crate) right: Vec<i32>,
    /// Child for a missing value.
    pub(crate) missing: Vec<i32>,
    /// Logit added by each leaf, in each fold. In single precision, as the learner has it: a reader must round the
    /// decimal to single precision before it adds in double precision.
    pub(crate) leaf: Vec<[f32; FOLDS]>,
}

/// The weights of either kind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Payload {
    LogisticRegression(LogisticParts),
    TreeEnsemble(EnsembleParts),
}

/// A model as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Artifact {
    pub(crate) inputs: Vec<Field>,
    pub(crate) encoder: Vec<ColumnEncoding>,
    pub(crate) payload: Payload,
}

#[derive(Serialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    format: &'a str,
    kind: &'a str,
    inputs: &'a [Input],
    encoder: &'a [ColumnEncoding],
    payload: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    format: String,
    kind: String,
    inputs: Bounded<Input, MAX_FEATURES>,
    encoder: Bounded<ColumnEncoding, MAX_FEATURES>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Artifact {
    /// Writes the file.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, RuntimeError> {
        let (kind, payload) = match &self.payload {
            Payload::LogisticRegression(parts) => {
                (LOGISTIC_REGRESSION, serde_json::value::to_raw_value(parts).map_err(not_written)?)
            }
            Payload::TreeEnsemble(parts) => {
                (TREE_ENSEMBLE, serde_json::value::to_raw_value(parts).map_err(not_written)?)
            }
        };
        let inputs: Vec<Input> = self
            .inputs
            .iter()
            .map(|field| Input { name: field.name.to_string(), column_type: field.column_type })
            .collect();
        let written =
            Written { format: FORMAT, kind, inputs: &inputs, encoder: &self.encoder, payload: &payload };
        serde_json::to_vec(&written).map_err(not_written)
    }

    /// Reads the file and checks it, as far as that needs no evaluator.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, RuntimeError> {
        if bytes.len() > MAX_BYTES {
            return Err(refused(format!(
                "it has {} bytes and the limit is {MAX_BYTES}; train with fewer trees or a lower budget",
                bytes.len()
            )));
        }
        let envelope: Envelope = match serde_json::from_slice(bytes) {
            Ok(envelope) => envelope,
            Err(error) => return Err(other_format(bytes).unwrap_or_else(|| not_read(&error))),
        };
        if envelope.format != FORMAT {
            return Err(wrong_format(&envelope.format));
        }
        let inputs = inputs(envelope.inputs.0)?;
        let encoder = envelope.encoder.0;
        if inputs.len() != encoder.len() {
            return Err(refused(format!(
                "it has {} inputs and {} encoder entries where each input needs one; store the model again",
                inputs.len(),
                encoder.len()
            )));
        }
        let payload = payload(&envelope.kind, envelope.payload.get())?;
        Ok(Self { inputs, encoder, payload })
    }
}

fn payload(kind: &str, json: &str) -> Result<Payload, RuntimeError> {
    match kind {
        LOGISTIC_REGRESSION => {
            serde_json::from_str(json).map(Payload::LogisticRegression).map_err(|error| not_read(&error))
        }
        TREE_ENSEMBLE => {
            serde_json::from_str(json).map(Payload::TreeEnsemble).map_err(|error| not_read(&error))
        }
        other => Err(refused(format!(
            "its kind is '{}', and this version of Greenlight knows {LOGISTIC_REGRESSION} and {TREE_ENSEMBLE}",
            shortened(other)
        ))),
    }
}

fn inputs(inputs: Vec<Input>) -> Result<Vec<Field>, RuntimeError> {
    if inputs.is_empty() {
        return Err(refused("it needs no input column; train it again with at least one feature"));
    }
    let mut seen = HashSet::new();
    for input in &inputs {
        if !seen.insert(input.name.as_str()) {
            return Err(refused(format!(
                "two inputs are named '{}'; give each column a name of its own",
                shortened(&input.name)
            )));
        }
    }
    Ok(inputs
        .iter()
        .map(|input| Field { name: input.name.as_str().into(), column_type: input.column_type })
        .collect())
}

/// An artifact that is refused, with the reason and the next step.
pub(crate) fn refused(problem: impl Into<String>) -> RuntimeError {
    RuntimeError::Artifact(problem.into())
}

fn not_written(error: serde_json::Error) -> RuntimeError {
    RuntimeError::Training(format!("the trained model cannot be written: {error}"))
}

fn not_read(error: &serde_json::Error) -> RuntimeError {
    let hint = if error.is_eof() {
        "it is cut off; upload it again"
    } else {
        "it is not a file that Greenlight wrote, or it was changed since"
    };
    refused(format!("{hint} ({error})"))
}

/// A file of another version may have other fields, so that its version is the better complaint.
fn other_format(bytes: &[u8]) -> Option<RuntimeError> {
    #[derive(Deserialize)]
    struct Head {
        format: String,
    }
    let head: Head = serde_json::from_slice(bytes).ok()?;
    (head.format != FORMAT).then(|| wrong_format(&head.format))
}

fn wrong_format(format: &str) -> RuntimeError {
    refused(format!(
        "its format is '{}' and this version of Greenlight reads {FORMAT}; upgrade, or train the model again",
        shortened(format)
    ))
}

/// What a message quotes of a text that may be long.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 64;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}
