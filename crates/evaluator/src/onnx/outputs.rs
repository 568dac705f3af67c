//! Which outputs of a graph are scores, and how they leave it.
//!
//! Owns the choice: probabilities before other numbers, numbers before nothing. It refuses labels, and a graph that
//! yields nothing else.

use super::load::Producers;
use super::plan::{Dim, TensorType};
use super::tensor::{Element, Tensor};
use super::wire::{Graph, ValueInfo};
use super::{malformed, unsupported};
use crate::{EvaluatorError, Output};

/// What exporters call probabilities.
const PROBABILITIES: &[&str] = &["probabilities", "probability", "output_probability"];

/// The name of the probability of the second of two classes.
const SECOND_CLASS: &str = "probability";

/// A tensor that becomes outputs of the model.
#[derive(Debug)]
pub(super) struct Exit {
    slot: usize,
    width: usize,
    /// Whether the probability of the second class is yielded first.
    leads_with_second: bool,
}

/// An output of the graph that is wanted.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    is_probability: bool,
}

/// Chooses among the outputs by their names and declared types.
pub(super) fn choose<'a>(
    graph: &'a Graph,
    producers: &Producers<'_>,
) -> Result<Vec<Wanted<'a>>, EvaluatorError> {
    let is_map = |info: &ValueInfo| producers.operator(&info.name) == Some("ZipMap");
    let numbers: Vec<&ValueInfo> =
        graph.outputs.iter().filter(|info| is_map(info) || is_number(info)).collect();
    let probability = numbers
        .iter()
        .find(|info| PROBABILITIES.contains(&info.name.as_str()))
        .or_else(|| numbers.iter().find(|info| is_map(info)));
    if let Some(info) = probability {
        return Ok(vec![Wanted { name: &info.name, is_probability: true }]);
    }
    if numbers.is_empty() {
        return Err(unsupported("a graph without an output of probabilities or other numbers"));
    }
    Ok(numbers.iter().map(|info| Wanted { name: &info.name, is_probability: false }).collect())
}

fn is_number(info: &ValueInfo) -> bool {
    let element =
        info.kind.as_ref().and_then(|kind| kind.tensor.as_ref()).map(|tensor| i64::from(tensor.element));
    matches!(element.and_then(Element::from_number), Some(Element::Float | Element::Double))
}

/// Checks what a wanted output turned out to be.
pub(super) fn exit(
    wanted: &Wanted<'_>,
    slot: usize,
    found: &TensorType,
    outputs: &mut Vec<Output>,
) -> Result<Exit, EvaluatorError> {
    let width = match (found.dims.split_first(), found.elements()) {
        (Some((Dim::Rows, _)), Some(width)) if width > 0 && !found.is_text() => width,
        _ => {
            let problem = format!("it is {}, not numbers for each row", found.describe());
            return Err(malformed(format!("output `{}`", wanted.name), problem));
        }
    };
    let leads_with_second = wanted.is_probability && width == 2;
    let mut name = wanted.name.to_owned();
    if leads_with_second {
        outputs.push(Output { name: SECOND_CLASS.to_owned(), width: 1 });
        if name == SECOND_CLASS {
            PROBABILITIES[0].clone_into(&mut name);
        }
    }
    outputs.push(Output { name, width });
    Ok(Exit { slot, width, leads_with_second })
}

impl Exit {
    pub(super) fn slot(&self) -> usize {
        self.slot
    }

    pub(super) fn leave(&self, slots: &[Option<Tensor>], row: usize, out: &mut Vec<f64>) {
        let numbers = slots[self.slot].as_ref().map(Tensor::as_numbers).unwrap_or_default();
        let scores = numbers.get(row * self.width..(row + 1) * self.width).unwrap_or_default();
        if self.leads_with_second {
            out.extend(scores.last());
        }
        out.extend_from_slice(scores);
    }
}
