//! What an operator is given when a graph is read, and what it answers.
//!
//! Owns symbolic shapes: of every tensor that depends on the request one axis is [`Dim::Rows`] and all others have a
//! known length. An operator that would mix rows is refused here, so rows can be scored in blocks of any size.

use std::sync::Arc;

use super::attributes::Attributes;
use super::tensor::{Element, Tensor, Values, count};

/// The longest list of axes.
const RANK_LIMIT: usize = 8;
/// The most values that a tensor may hold a row, or in all if it is the same for all rows.
pub(super) const ELEMENTS_LIMIT: usize = 1 << 24;

/// The length of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dim {
    /// As many as the request has rows.
    Rows,
    Fixed(usize),
}

/// What is known of a tensor before there is a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorType {
    pub(super) element: Element,
    pub(super) dims: Vec<Dim>,
}

impl TensorType {
    pub(super) fn with_element(&self, element: Element) -> Self {
        Self { element, dims: self.dims.clone() }
    }

    pub(super) fn with_dims(&self, dims: Vec<Dim>) -> Self {
        Self { element: self.element, dims }
    }

    pub(super) fn is_text(&self) -> bool {
        self.element == Element::Text
    }

    pub(super) fn rows_axis(&self) -> Option<usize> {
        self.dims.iter().position(|dim| *dim == Dim::Rows)
    }

    /// The number of values a row; `None` if it is beyond what can be counted.
    pub(super) fn elements(&self) -> Option<usize> {
        fixed_product(&self.dims)
    }

    pub(super) fn rank(&self) -> usize {
        self.dims.len()
    }

    /// As sentences name it: `float [rows, 3]`.
    pub(super) fn describe(&self) -> String {
        let dims: Vec<String> = self
            .dims
            .iter()
            .map(|dim| match dim {
                Dim::Rows => "rows".to_owned(),
                Dim::Fixed(extent) => extent.to_string(),
            })
            .collect();
        format!("{} [{}]", self.element.name(), dims.join(", "))
    }

    /// Width of `[rows, width]`, or of one value a row.
    pub(super) fn width(&self) -> Option<usize> {
        match self.dims.as_slice() {
            [Dim::Rows] => Some(1),
            [Dim::Rows, Dim::Fixed(width)] => Some(*width),
            _ => None,
        }
    }
}

/// The product of all lengths but that of the rows.
pub(super) fn fixed_product(dims: &[Dim]) -> Option<usize> {
    let fixed = dims.iter().filter_map(|dim| if let Dim::Fixed(extent) = dim { Some(*extent) } else { None });
    fixed.into_iter().try_fold(1_usize, usize::checked_mul)
}

pub(super) fn concrete(dims: &[Dim], rows: usize) -> Vec<usize> {
    dims.iter().map(|dim| if let Dim::Fixed(extent) = dim { *extent } else { rows }).collect()
}

/// Why an operator of a graph is not planned.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal {
    /// The file may be fine for another runtime.
    Unsupported(String),
    /// No runtime could score it.
    Malformed(String),
}

pub(super) fn unsupported<T>(feature: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Unsupported(feature.into()))
}

pub(super) fn malformed<T>(problem: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Malformed(problem.into()))
}

/// What an operator reads.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Absent,
    Constant(Arc<Tensor>),
    Varying(TensorType),
}

impl Operand {
    pub(super) fn tensor_type(&self) -> Option<TensorType> {
        match self {
            Self::Absent => None,
            Self::Constant(tensor) => Some(TensorType {
                element: tensor.element,
                dims: tensor.shape.iter().map(|extent| Dim::Fixed(*extent)).collect(),
            }),
            Self::Varying(tensor_type) => Some(tensor_type.clone()),
        }
    }

    pub(super) fn constant(&self) -> Option<&Tensor> {
        if let Self::Constant(tensor) = self { Some(tensor) } else { None }
    }

    /// Whether it is a shape with the number of rows in it, which stands there as not-a-number.
    pub(super) fn counts_rows(&self) -> bool {
        self.constant().is_some_and(|tensor| {
            tensor.element == Element::Integer && tensor.as_numbers().iter().any(|number| number.is_nan())
        })
    }
}

/// A node of a graph, with what is known of its inputs.
pub(super) struct Site<'a> {
    pub(super) operator: &'a str,
    /// The version of the set of operators that the node is from.
    pub(super) version: i64,
    pub(super) attributes: Attributes<'a>,
    pub(super) operands: Vec<Operand>,
    pub(super) outputs: usize,
}

impl Site<'_> {
    /// The type of an input that must be there.
    pub(super) fn input(&self, index: usize) -> Result<TensorType, Refusal> {
        match self.operands.get(index).and_then(Operand::tensor_type) {
            Some(tensor_type) => Ok(tensor_type),
            None => malformed(format!("input {index} is missing")),
        }
    }

    /// The type of an input that must be there and must be numbers.
    pub(super) fn numbers(&self, index: usize) -> Result<TensorType, Refusal> {
        let tensor_type = self.input(index)?;
        if tensor_type.is_text() {
            return malformed(format!("input {index} is {}, numbers are needed", tensor_type.describe()));
        }
        Ok(tensor_type)
    }

    pub(super) fn is_there(&self, index: usize) -> bool {
        !matches!(self.operands.get(index), None | Some(Operand::Absent))
    }

    /// An input that decides shapes and so must be the same for every request; `None` if it is not there.
    pub(super) fn constant(&self, index: usize) -> Result<Option<&Tensor>, Refusal> {
        match self.operands.get(index) {
            None | Some(Operand::Absent) => Ok(None),
            Some(Operand::Constant(tensor)) => Ok(Some(tensor)),
            Some(Operand::Varying(_)) => unsupported(format!("an input {index} that depends on the request")),
        }
    }

    /// A list of integers that is an attribute in old versions and a constant input in new ones.
    pub(super) fn integers(&self, attribute: &str, index: usize) -> Result<Option<Vec<i64>>, Refusal> {
        if let Some(integers) = self.attributes.integers(attribute) {
            return Ok(Some(integers.to_vec()));
        }
        let Some(tensor) = self.constant(index)? else { return Ok(None) };
        if tensor.as_numbers().iter().any(|number| number.is_nan()) {
            return unsupported(format!("an input {index} that depends on the number of rows"));
        }
        Ok(Some(tensor.as_numbers().iter().map(|number| *number as i64).collect()))
    }
}

/// Scores one node: from its inputs and the number of rows to its outputs.
pub(super) type Run = Box<dyn Fn(&[&Tensor], usize) -> Result<Vec<Tensor>, String> + Send + Sync>;

/// A node that was checked.
pub(super) struct Planned {
    pub(super) outputs: Vec<TensorType>,
    pub(super) run: Run,
    /// What it holds beside the constants of the graph.
    pub(super) memory_bytes: usize,
    /// Multiplications a row beyond one for each value that is read.
    pub(super) work: usize,
}

impl Planned {
    /// An operator with one output, whose values are computed for the shape that it will have.
    pub(super) fn new(
        output: TensorType,
        values: impl Fn(&[&Tensor], &[usize]) -> Result<Values, String> + Send + Sync + 'static,
    ) -> Self {
        let TensorType { element, dims } = output.clone();
        let run: Run = Box::new(move |inputs, rows| {
            let shape = concrete(&dims, rows);
            let values = values(inputs, &shape)?;
            if count(&shape) != Some(values.len()) {
                return Err(format!("{} values were computed for a tensor of {shape:?}", values.len()));
            }
            Ok(vec![Tensor { element, shape, values }])
        });
        Self::with_run(vec![output], run)
    }

    /// An operator that makes its tensors itself.
    pub(super) fn with_run(outputs: Vec<TensorType>, run: Run) -> Self {
        Self { outputs, run, memory_bytes: 0, work: 0 }
    }

    /// An operator that yields its first input, perhaps in another shape.
    pub(super) fn same_values(output: TensorType) -> Self {
        Self::new(output, |inputs, _| Ok(inputs[0].values.clone()))
    }

    pub(super) fn with_memory(mut self, bytes: usize) -> Self {
        self.memory_bytes = bytes;
        self
    }

    pub(super) fn with_work(mut self, work: usize) -> Self {
        self.work = work;
        self
    }

    /// Refuses outputs beyond the limits.
    pub(super) fn check(self) -> Result<Self, Refusal> {
        for output in &self.outputs {
            if output.rank() > RANK_LIMIT {
                return unsupported(format!("a tensor of {} axes; the limit is {RANK_LIMIT}", output.rank()));
            }
            if output.dims.iter().filter(|dim| **dim == Dim::Rows).count() > 1 {
                return unsupported("a tensor with more than one axis of rows");
            }
            if output.elements().is_none_or(|elements| elements > ELEMENTS_LIMIT) {
                return unsupported(format!(
                    "a tensor of {}; the limit is {ELEMENTS_LIMIT}",
                    output.describe()
                ));
            }
        }
        Ok(self)
    }
}

/// An axis counted from the front; negative ones count from the back.
pub(super) fn axis(index: i64, rank: usize) -> Result<usize, Refusal> {
    let counted = if index < 0 { index.saturating_add(rank as i64) } else { index };
    match usize::try_from(counted) {
        Ok(counted) if counted < rank => Ok(counted),
        _ => malformed(format!("axis {index} of a tensor with {rank} axes")),
    }
}

/// The dims of an operator that combines tensors value by value, after the rules of numpy.
pub(super) fn broadcast(left: &[Dim], right: &[Dim]) -> Result<Vec<Dim>, Refusal> {
    let rank = left.len().max(right.len());
    let at = |dims: &[Dim], axis: usize| {
        (axis + dims.len())
            .checked_sub(rank)
            .and_then(|axis| dims.get(axis).copied())
            .unwrap_or(Dim::Fixed(1))
    };
    let mut dims = Vec::with_capacity(rank);
    for axis in 0..rank {
        dims.push(match (at(left, axis), at(right, axis)) {
            (Dim::Rows, Dim::Rows) => Dim::Rows,
            (one, Dim::Fixed(1)) | (Dim::Fixed(1), one) => one,
            (one, other) if one == other => one,
            (Dim::Rows, Dim::Fixed(extent)) | (Dim::Fixed(extent), Dim::Rows) => {
                return unsupported(format!("rows beside a fixed number of {extent}, which mixes them"));
            }
            (Dim::Fixed(one), Dim::Fixed(other)) => {
                return malformed(format!("lengths {one} and {other} on one axis"));
            }
        });
    }
    Ok(dims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_never_mixed_by_broadcasting() {
        use Dim::{Fixed, Rows};
        assert_eq!(broadcast(&[Rows, Fixed(3)], &[Fixed(3)]).unwrap(), [Rows, Fixed(3)]);
        assert_eq!(broadcast(&[Rows, Fixed(1)], &[Fixed(1), Fixed(4)]).unwrap(), [Rows, Fixed(4)]);
        assert!(broadcast(&[Rows], &[Rows, Fixed(3)]).is_err());
        assert!(broadcast(&[Rows, Fixed(3)], &[Fixed(2), Fixed(1)]).is_err());
    }
}
