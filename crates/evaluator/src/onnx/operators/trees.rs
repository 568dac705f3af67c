//! Tree ensembles.
//!
//! Owns `TreeEnsembleClassifier`, `TreeEnsembleRegressor` and `TreeEnsemble`: the lists of their attributes become the
//! ensemble that all formats share. A value of a single-precision tensor is rounded before it is compared, as ONNX
//! defines; leaves are added up in double precision. It refuses smallest and largest leaves, and the
//! membership tests of `TreeEnsemble`.

mod by_leaf;
mod by_node;
mod chain;

use super::super::plan::{Dim, Planned, Refusal, Site, TensorType, malformed, unsupported};
use super::super::tensor::{Element, Tensor};
use super::linear::classification;
use super::scores::Scores;
use crate::ensemble::{Ensemble, EnsembleBuilder, Missing, Node, Reading, Source, Split, Test};
use crate::{EvaluatorError, Format};

/// Where the features of an ensemble come from.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::onnx) struct Features {
    /// For each feature the value of the source that it is.
    pub(in crate::onnx) places: Vec<usize>,
    /// How many values a row of the source has.
    pub(in crate::onnx) width: usize,
    /// Whether the values are rounded to single precision before they are compared.
    pub(in crate::onnx) single: bool,
}

/// An ensemble with what its sums mean.
#[derive(Debug)]
pub(in crate::onnx) struct Trees {
    ensemble: Ensemble,
    scores: Scores,
    /// Whether labels of classes come before the scores.
    classifies: bool,
}

impl Trees {
    /// Reads the node.
    pub(in crate::onnx) fn read(site: &Site<'_>, features: &Features) -> Result<Self, Refusal> {
        match site.operator {
            "TreeEnsembleClassifier" => by_node::classifier(site, features),
            "TreeEnsembleRegressor" => by_node::regressor(site, features),
            _ => by_leaf::read(site, features),
        }
    }

    pub(in crate::onnx) fn width(&self) -> usize {
        self.scores.width(self.ensemble.outputs())
    }

    /// The place of the scores among the outputs of the node.
    pub(in crate::onnx) fn output(&self) -> usize {
        usize::from(self.classifies)
    }

    pub(in crate::onnx) fn memory_bytes(&self) -> usize {
        self.ensemble.memory_bytes()
    }

    pub(in crate::onnx) fn score(&self, source: &Source<'_>, rows: usize) -> Vec<f64> {
        let mut sums = vec![0.0; rows * self.ensemble.outputs()];
        self.ensemble.margins(source, rows, &mut sums);
        self.scores.apply(sums, self.ensemble.outputs())
    }
}

pub(super) fn plan(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.numbers(0)?;
    let Some(width) = input.width() else { return unsupported(format!("trees over {}", input.describe())) };
    let single = input.element == Element::Float;
    let trees = Trees::read(site, &Features { places: (0..width).collect(), width, single })?;
    let (bytes, scores) = (trees.memory_bytes(), trees.width());
    let classifies = trees.classifies;
    let run = move |inputs: &[&Tensor], rows: usize| {
        trees.score(&Source::Rows { values: inputs[0].as_numbers(), width }, rows)
    };
    if classifies {
        return Ok(classification(scores, bytes, run));
    }
    let output = TensorType { element: Element::Float, dims: vec![Dim::Rows, Dim::Fixed(scores)] };
    let run = move |inputs: &[&Tensor], rows: usize| {
        Ok(vec![Tensor::numbers(Element::Float, vec![rows, scores], run(inputs, rows))])
    };
    Ok(Planned::with_run(vec![output], Box::new(run)).with_memory(bytes))
}

fn builder(features: &Features, outputs: usize) -> Result<EnsembleBuilder, Refusal> {
    EnsembleBuilder::new(Format::Onnx, features.width, outputs).map_err(refusal)
}

fn refusal(error: EvaluatorError) -> Refusal {
    match error {
        EvaluatorError::Malformed { place, problem, .. } => Refusal::Malformed(format!("{place}: {problem}")),
        EvaluatorError::Unsupported { feature, .. } => Refusal::Unsupported(feature),
        other => Refusal::Unsupported(other.to_string()),
    }
}

/// A split whose children are at `yes` and `no` in the list of nodes of its tree.
fn split(
    features: &Features,
    feature: i64,
    test: Test,
    tracks_true: bool,
    [yes, no]: [usize; 2],
) -> Result<Node, Refusal> {
    let Some(input) = usize::try_from(feature).ok().and_then(|feature| features.places.get(feature)) else {
        return malformed(format!("a node asks for feature {feature} of {}", features.places.len()));
    };
    // Not-a-number is different from everything, so it passes a test for inequality like any other value.
    let missing_is_yes = tracks_true || matches!(test, Test::NotEqual(_));
    let reading = match (&test, features.single) {
        (Test::In(_), true) => Reading::SingleCategory,
        (Test::In(_), false) => Reading::Category,
        (_, true) => Reading::Single,
        (_, false) => Reading::Double,
    };
    Ok(Node::split(
        Split { input: *input, reading, missing: Missing::Nan, test, missing_is_yes, yes, no },
        None,
    ))
}
