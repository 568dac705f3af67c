//! Tensors while a graph is scored: values, their shape and what they stand for.
//!
//! Owns broadcasting and the picking of values by place, which most operators that only move values come down to.
//! It refuses to round: a number is a double whatever the graph says, and [`single`] is called where a single-precision
//! number decides something.

use std::sync::Arc;

/// What the values of a tensor are in the graph. All numbers are kept as doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Float,
    Double,
    /// Of any width. Beyond 2^53 a constant is refused and a computed value loses its last digits.
    Integer,
    Boolean,
    Text,
}

impl Element {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Double => "double",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Text => "text",
        }
    }

    /// Of the numbers of `TensorProto.DataType`.
    pub(super) const fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::Float,
            2..=7 | 12 | 13 => Self::Integer,
            8 => Self::Text,
            9 => Self::Boolean,
            11 => Self::Double,
            _ => return None,
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    Numbers(Vec<f64>),
    Texts(Vec<Arc<str>>),
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    /// The values at these places, all of which exist.
    pub(super) fn pick(&self, places: &[usize]) -> Self {
        match self {
            Self::Numbers(numbers) => Self::Numbers(
                places.iter().map(|place| numbers.get(*place).copied().unwrap_or(f64::NAN)).collect(),
            ),
            Self::Texts(texts) => Self::Texts(
                places.iter().map(|place| texts.get(*place).cloned().unwrap_or_default()).collect(),
            ),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
    pub(super) values: Values,
}

impl Tensor {
    pub(super) fn numbers(element: Element, shape: Vec<usize>, numbers: Vec<f64>) -> Self {
        Self { element, shape, values: Values::Numbers(numbers) }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The numbers; none for text, which planning has excluded where numbers are needed.
    pub(super) fn as_numbers(&self) -> &[f64] {
        if let Values::Numbers(numbers) = &self.values { numbers } else { &[] }
    }

    pub(super) fn as_texts(&self) -> &[Arc<str>] {
        if let Values::Texts(texts) = &self.values { texts } else { &[] }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.shape.len() * size_of::<usize>()
            + match &self.values {
                Values::Numbers(numbers) => numbers.capacity() * size_of::<f64>(),
                Values::Texts(texts) => texts.iter().map(|text| text.len() + 2 * size_of::<Arc<str>>()).sum(),
            }
    }

    /// The values as they lie in a larger shape, repeated along axes that are missing here or have length one.
    pub(super) fn spread(&self, shape: &[usize]) -> Spread<'_> {
        if self.shape == shape || self.len() == 1 {
            return Spread::Borrowed(&self.values);
        }
        let own = strides(&self.shape);
        let missing = shape.len().saturating_sub(own.len());
        let steps: Vec<usize> = (0..shape.len())
            .map(|axis| match axis.checked_sub(missing) {
                Some(axis) if self.shape[axis] > 1 => own[axis],
                _ => 0,
            })
            .collect();
        Spread::Owned(self.values.pick(&walk(shape, &steps, 0)))
    }
}

/// Values as [`Tensor::spread`] gives them: as long as the shape, or one value for all of it.
pub(super) enum Spread<'a> {
    Borrowed(&'a Values),
    Owned(Values),
}

impl Spread<'_> {
    fn values(&self) -> &Values {
        match self {
            Self::Borrowed(values) => values,
            Self::Owned(values) => values,
        }
    }

    pub(super) fn number(&self, place: usize) -> f64 {
        match self.values() {
            Values::Numbers(numbers) if numbers.len() == 1 => numbers[0],
            Values::Numbers(numbers) => numbers.get(place).copied().unwrap_or(f64::NAN),
            Values::Texts(_) => f64::NAN,
        }
    }

    pub(super) fn text(&self, place: usize) -> Arc<str> {
        match self.values() {
            Values::Texts(texts) => {
                texts.get(if texts.len() == 1 { 0 } else { place }).cloned().unwrap_or_default()
            }
            Values::Numbers(_) => Arc::default(),
        }
    }
}

/// How far apart neighbours along each axis lie.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// The places that a walk over `shape` meets, last axis first, where a step along an axis goes `steps[axis]` places.
pub(super) fn walk(shape: &[usize], steps: &[usize], start: usize) -> Vec<usize> {
    let mut places = vec![start];
    for (extent, step) in shape.iter().zip(steps) {
        places =
            places.iter().flat_map(|place| (0..*extent).map(move |index| place + index * step)).collect();
    }
    places
}

/// The number of values of a shape; `None` if it is beyond what can be counted.
pub(super) fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, extent| product.checked_mul(*extent))
}

/// The nearest single-precision number.
pub(super) fn single(number: f64) -> f64 {
    f64::from(number as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreading_follows_the_rules_of_numpy() {
        // numpy.broadcast_to([[1], [2]], (2, 3)) and numpy.broadcast_to([1, 2, 3], (2, 3)).
        let column = Tensor::numbers(Element::Double, vec![2, 1], vec![1.0, 2.0]);
        let row = Tensor::numbers(Element::Double, vec![3], vec![1.0, 2.0, 3.0]);
        let read = |tensor: &Tensor| {
            let spread = tensor.spread(&[2, 3]);
            (0..6).map(|place| spread.number(place)).collect::<Vec<_>>()
        };
        assert_eq!(read(&column), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
        assert_eq!(read(&row), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn a_walk_transposes() {
        // numpy.arange(6).reshape(2, 3).T.ravel()
        assert_eq!(walk(&[3, 2], &[1, 3], 0), [0, 3, 1, 4, 2, 5]);
    }
}
