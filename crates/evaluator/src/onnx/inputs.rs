//! From the columns of a request to the tensors that a graph reads.
//!
//! Owns the names of inputs and what a value becomes when it enters. It refuses inputs that are not tensors of rows,
//! and, in a request, numbers that are not whole where the graph reads integers.

use std::collections::BTreeSet;
use std::sync::Arc;

use prost::Message;

use super::operators::trees::Features;
use super::plan::{Dim, TensorType};
use super::tensor::{Element, Tensor, Values, single};
use super::wire::{Entry, Model, ValueInfo};
use super::{malformed, request, unsupported};
use crate::{Column, EvaluatorError, Input, InputKind};

/// The most columns that a model may have.
const COLUMNS_LIMIT: u64 = 100_000;

/// The entry of the file's metadata with the names of the columns of a matrix, as a JSON list.
const FEATURE_NAMES: &str = "feature_names";

/// An input of the graph.
#[derive(Debug)]
pub(super) struct Entrance {
    pub(super) name: String,
    pub(super) tensor_type: TensorType,
    /// The columns of the request that it is made of.
    pub(super) columns: std::ops::Range<usize>,
    /// Where it goes, unless no operator reads it as a tensor.
    pub(super) slot: Option<usize>,
}

/// Reads the inputs of a graph that the file gives no constant for.
pub(super) fn read(
    model: &Model,
    declared: &[&ValueInfo],
) -> Result<(Vec<Input>, Vec<Entrance>), EvaluatorError> {
    let mut inputs: Vec<Input> = Vec::new();
    let mut entrances = Vec::new();
    let names = feature_names(model);
    for info in declared {
        let tensor_type = tensor_type(info)?;
        let width = tensor_type.width().unwrap_or(1);
        if (inputs.len() as u64).saturating_add(width as u64) > COLUMNS_LIMIT {
            return Err(super::wire::too_large("the number of columns", width as u64, COLUMNS_LIMIT));
        }
        let kind = if tensor_type.is_text() { InputKind::Text } else { InputKind::Number };
        let first = inputs.len();
        inputs.extend((0..width).map(|index| {
            let name = match names.as_ref().filter(|names| names.len() == width && declared.len() == 1) {
                Some(names) => names[index].clone(),
                None if width == 1 => info.name.clone(),
                None => format!("{}[{index}]", info.name),
            };
            Input { name, kind }
        }));
        entrances.push(Entrance {
            name: info.name.clone(),
            tensor_type,
            columns: first..inputs.len(),
            slot: None,
        });
    }
    let mut sorted: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(malformed("inputs", format!("two columns are called `{}`", pair[0]))),
        None if inputs.is_empty() => Err(malformed("inputs", "there is none")),
        None => Ok((inputs, entrances)),
    }
}

/// The file with an entry that names the columns of its only matrix. A repeated field of a message may go on behind
/// the others, so that the bytes before it stay what they were.
pub(crate) fn with_feature_names(bytes: &[u8], names: &[String]) -> Result<Option<Vec<u8>>, EvaluatorError> {
    let model = super::wire::decode(bytes)?;
    let Some(graph) = model.graph.as_ref().filter(|_| feature_names(&model).is_none()) else {
        return Ok(None);
    };
    let is_constant = |info: &&ValueInfo| graph.initializers.iter().any(|tensor| tensor.name == info.name);
    let declared: Vec<&ValueInfo> = graph.inputs.iter().filter(|info| !is_constant(info)).collect();
    let [only] = declared.as_slice() else { return Ok(None) };
    let width = tensor_type(only).map_or(0, |tensor_type| tensor_type.width().unwrap_or(1));
    let distinct: BTreeSet<&String> = names.iter().collect();
    if width != names.len() || distinct.len() != width || *names == [only.name.clone()] {
        return Ok(None);
    }
    let value = serde_json::to_string(names).map_err(|error| malformed("metadata", error.to_string()))?;
    let entry = Entry { key: FEATURE_NAMES.to_owned(), value };
    let more = Model { metadata: vec![entry], ..Model::default() };
    let mut named = bytes.to_vec();
    more.encode(&mut named).map_err(|error| malformed("metadata", error.to_string()))?;
    Ok(Some(named))
}

fn feature_names(model: &Model) -> Option<Vec<String>> {
    let entry = model.metadata.iter().find(|entry| entry.key == FEATURE_NAMES)?;
    serde_json::from_str(&entry.value).ok()
}

fn tensor_type(info: &ValueInfo) -> Result<TensorType, EvaluatorError> {
    let refuse = |problem: &str| Err(unsupported(format!("the input `{}`, {problem},", info.name)));
    let Some(tensor) = info.kind.as_ref().and_then(|kind| kind.tensor.as_ref()) else {
        return refuse("which is no tensor");
    };
    let Some(element) = Element::from_number(i64::from(tensor.element)) else {
        return refuse("whose numbers are of a type that is not read");
    };
    let dims = tensor.shape.as_ref().map(|shape| shape.dims.as_slice()).unwrap_or_default();
    let (rows, width) = match dims {
        [rows] => (rows, None),
        [rows, width] => (rows, Some(width)),
        _ => return refuse("which is neither a column nor a matrix"),
    };
    // A graph that was exported for one row at a time is scored row by row like any other.
    if rows.value.is_some_and(|rows| rows > 1) {
        return refuse("which has a fixed number of rows");
    }
    let dims = match width.map(|width| width.value.and_then(|width| usize::try_from(width).ok())) {
        None => vec![Dim::Rows],
        Some(Some(width)) if width > 0 => vec![Dim::Rows, Dim::Fixed(width)],
        Some(_) => return refuse("which does not say how many columns it has"),
    };
    Ok(TensorType { element, dims })
}

impl Entrance {
    /// What trees that read the columns themselves need to know; `None` where a value changes more than by rounding.
    pub(super) fn features(&self, width: usize) -> Option<Features> {
        let single = match self.tensor_type.element {
            Element::Float => true,
            Element::Double => false,
            Element::Integer | Element::Boolean | Element::Text => return None,
        };
        Some(Features { places: self.columns.clone().collect(), width, single })
    }

    /// Makes the tensor of a block of rows.
    pub(super) fn enter(
        &self,
        columns: &[Column<'_>],
        rows: usize,
        inputs: &[Input],
        slots: &mut [Option<Tensor>],
    ) -> Result<(), EvaluatorError> {
        let Some(slot) = self.slot else { return Ok(()) };
        let element = self.tensor_type.element;
        let width = self.columns.len();
        let mut values = match element {
            Element::Text => Values::Texts(vec![Arc::default(); rows * width]),
            _ => Values::Numbers(vec![f64::NAN; rows * width]),
        };
        for (offset, (column, input)) in
            columns[self.columns.clone()].iter().zip(&inputs[self.columns.clone()]).enumerate()
        {
            match (column, &mut values) {
                (Column::Number(numbers), Values::Numbers(values)) => {
                    for (value, number) in values.iter_mut().skip(offset).step_by(width).zip(*numbers) {
                        *value = entering(*number, element, input)?;
                    }
                }
                (Column::Text(texts), Values::Texts(values)) => {
                    for (value, text) in values.iter_mut().skip(offset).step_by(width).zip(*texts) {
                        *value = text.clone().unwrap_or_default();
                    }
                }
                _ => return Err(request(format!("input `{}` is of the wrong kind", input.name))),
            }
        }
        let shape = super::plan::concrete(&self.tensor_type.dims, rows);
        slots[slot] = Some(Tensor { element, shape, values });
        Ok(())
    }
}

fn entering(number: f64, element: Element, input: &Input) -> Result<f64, EvaluatorError> {
    match element {
        Element::Float => Ok(single(number)),
        Element::Double | Element::Text => Ok(number),
        Element::Integer | Element::Boolean if number.trunc() == number && number.is_finite() => {
            Ok(if element == Element::Boolean { f64::from(u8::from(number != 0.0)) } else { number })
        }
        Element::Integer | Element::Boolean => {
            let problem = format!("input `{}` takes whole numbers and {number} was sent", input.name);
            Err(request(problem))
        }
    }
}
