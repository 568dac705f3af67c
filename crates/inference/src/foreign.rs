//! Model files of other libraries, scored in process: LightGBM text, XGBoost JSON and UBJSON, and ONNX graphs.
//!
//! Owns how a frame meets the inputs of such a file, and which of its outputs is the probability. The arithmetic is
//! that of `greenlight-evaluator`. Refuses files that do not end in one probability a row.

use greenlight_app::runtime::{Explanation, Model, RuntimeError};
use greenlight_domain::frame::{Column, Field, Frame};
use greenlight_domain::model::Signature;
use greenlight_evaluator::{self as evaluator, Evaluator, EvaluatorError, Format, InputKind};

use crate::artifact::{MAX_FEATURES, refused};
use crate::encoder::column;
use crate::logistic::probabilities;
use crate::runtime::signature;

/// A loaded file.
#[derive(Debug)]
pub(crate) struct ForeignModel {
    signature: Signature,
    evaluator: Evaluator,
    /// Numbers that a row scores, and which of them is the probability.
    width: usize,
    positive: usize,
}

impl ForeignModel {
    /// Reads a file. `Ok(None)` when it is an ONNX graph with operators that the evaluator does not have.
    pub(crate) fn load(bytes: &[u8]) -> Result<Option<Self>, RuntimeError> {
        match Evaluator::from_bytes(bytes) {
            Ok(evaluator) => Self::new(evaluator).map(Some),
            Err(EvaluatorError::Unsupported { format: Format::Onnx, .. }) => Ok(None),
            Err(error) => Err(refused(error.to_string())),
        }
    }

    fn new(evaluator: Evaluator) -> Result<Self, RuntimeError> {
        let inputs: Vec<Field> = evaluator
            .inputs()
            .iter()
            .map(|input| match input.kind {
                InputKind::Number => Field::number(&input.name),
                InputKind::Text => Field::text(&input.name),
            })
            .collect();
        if inputs.is_empty() || inputs.len() > MAX_FEATURES {
            return Err(refused(format!(
                "it has {} inputs; 1 to {MAX_FEATURES} can be served",
                inputs.len()
            )));
        }
        // The evaluator puts the probability first; what follows are the same numbers in another form.
        let positive = positive(evaluator.outputs().first().map_or(0, |output| output.width))?;
        let width = evaluator.outputs().iter().map(|output| output.width).sum();
        Ok(Self { signature: signature(&inputs), evaluator, width, positive })
    }

    fn columns<'a>(&self, rows: &'a Frame) -> Result<Vec<evaluator::Column<'a>>, RuntimeError> {
        let found = self.signature.inputs.iter().enumerate().map(|(position, field)| {
            Ok(match column(rows, position, field)? {
                Column::Number(values) => evaluator::Column::Number(values),
                Column::Text(texts) => evaluator::Column::Text(texts),
            })
        });
        found.collect()
    }
}

/// Which of the `width` numbers of an output is the probability that the outcome is 1.
pub(crate) fn positive(width: usize) -> Result<usize, RuntimeError> {
    match width {
        1 => Ok(0),
        // Two classes: the second is the one that happens.
        2 => Ok(1),
        other => Err(refused(format!(
            "it scores {other} numbers a row and an endpoint decides on one probability; send a model of two classes"
        ))),
    }
}

fn scoring(error: EvaluatorError) -> RuntimeError {
    RuntimeError::Scoring(error.to_string())
}

impl Model for ForeignModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn flavor(&self) -> &'static str {
        match self.evaluator.format() {
            Format::LightGbm => "lightgbm",
            Format::XgboostJson | Format::XgboostUbj => "xgboost",
            Format::Onnx => "onnx",
        }
    }

    fn memory_bytes(&self) -> usize {
        self.evaluator.memory_bytes()
    }

    fn score(&self, rows: &Frame) -> Result<Vec<f64>, RuntimeError> {
        let columns = self.columns(rows)?;
        let mut scores = Vec::with_capacity(rows.rows() * self.width);
        self.evaluator.score(&columns, rows.rows(), &mut scores).map_err(scoring)?;
        if self.width > 1 {
            scores = scores.chunks_exact(self.width).map(|row| row[self.positive]).collect();
        }
        probabilities(scores)
    }

    fn explain(&self, rows: &Frame, row: usize) -> Result<Explanation, RuntimeError> {
        let columns = self.columns(rows)?;
        let mut margins = self.evaluator.explain(&columns, row).map_err(scoring)?;
        let explained = margins.pop().filter(|_| margins.is_empty());
        let explained =
            explained.ok_or_else(|| RuntimeError::Scoring("it has more than one margin".to_owned()))?;
        Ok(Explanation {
            method: "exact TreeSHAP, path-dependent",
            unit: "log-odds",
            expected: explained.expected,
            contributions: explained.contributions,
        })
    }
}
