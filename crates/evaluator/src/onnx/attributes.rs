//! The attributes of a node and the constants of a graph, checked and turned into values.
//!
//! Owns the reading of attributes by name and of tensors by type. It refuses a tensor whose numbers lie in another
//! file, whose dimensions do not match the numbers that are there, and whose integers are not exact as doubles.

use std::sync::Arc;

use super::plan::{Refusal, malformed, unsupported};
use super::tensor::{Element, Tensor, Values, count};
use super::wire::{Attribute, TensorMessage};

/// The largest integer up to which every integer is a double.
const EXACT_LIMIT: f64 = 9_007_199_254_740_992.0;
/// From here on an integer says "to the end", as exporters write it for slices.
const ENDLESS: f64 = 9e18;

/// `TensorProto.DataLocation.EXTERNAL`.
pub(super) const EXTERNAL: i32 = 1;
/// Why such a tensor is no part of a model, whatever evaluates it: a model is one file.
pub(super) const OUTSIDE: &str = "its numbers lie in another file, which is not there (mlflow and onnx leave them in this \
                                  one with save_as_external_data=False)";

#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a>(pub(super) &'a [Attribute]);

impl<'a> Attributes<'a> {
    fn find(self, name: &str) -> Option<&'a Attribute> {
        self.0.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn has(self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(super) fn float(self, name: &str) -> Option<f64> {
        self.find(name)?.float.map(f64::from)
    }

    pub(super) fn integer(self, name: &str) -> Option<i64> {
        self.find(name)?.integer
    }

    /// `None` where the list is not there; an empty list counts as not there.
    pub(super) fn integers(self, name: &str) -> Option<&'a [i64]> {
        self.find(name).map(|attribute| attribute.integers.as_slice()).filter(|list| !list.is_empty())
    }

    pub(super) fn floats(self, name: &str) -> Option<Vec<f64>> {
        let floats = &self.find(name)?.floats;
        (!floats.is_empty()).then(|| floats.iter().copied().map(f64::from).collect())
    }

    pub(super) fn text(self, name: &str) -> Result<Option<&'a str>, Refusal> {
        self.find(name).and_then(|attribute| attribute.text.as_deref()).map(utf8).transpose()
    }

    /// A list of texts as the file holds them.
    pub(super) fn raw_texts(self, name: &str) -> &'a [Vec<u8>] {
        self.find(name).map(|attribute| attribute.texts.as_slice()).unwrap_or_default()
    }

    pub(super) fn texts(self, name: &str) -> Result<Option<Vec<Arc<str>>>, Refusal> {
        let Some(texts) = self.find(name).map(|attribute| &attribute.texts).filter(|texts| !texts.is_empty())
        else {
            return Ok(None);
        };
        texts.iter().map(|text| utf8(text).map(Arc::from)).collect::<Result<_, _>>().map(Some)
    }

    pub(super) fn tensor(self, name: &str) -> Result<Option<Tensor>, Refusal> {
        self.find(name).and_then(|attribute| attribute.tensor.as_deref()).map(tensor).transpose()
    }

    /// Numbers that are a list of floats in old versions and a tensor, perhaps of doubles, in new ones.
    pub(super) fn numbers(self, floats: &str, tensor: &str) -> Result<Option<Vec<f64>>, Refusal> {
        if let Some(list) = self.floats(floats) {
            return Ok(Some(list));
        }
        Ok(self.tensor(tensor)?.map(|tensor| tensor.as_numbers().to_vec()).filter(|list| !list.is_empty()))
    }
}

/// Whether an integer is the same as a double, or stands for one without bound.
pub(super) fn is_exact(integer: f64) -> bool {
    integer.abs() <= EXACT_LIMIT || integer.abs() >= ENDLESS
}

pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| Refusal::Malformed("a text is not UTF-8".into()))
}

/// Reads a tensor of a file.
pub(super) fn tensor(message: &TensorMessage) -> Result<Tensor, Refusal> {
    if message.location == EXTERNAL {
        return malformed(OUTSIDE);
    }
    let Some(element) = Element::from_number(i64::from(message.element)) else {
        return unsupported(format!("a tensor of element type {}", message.element));
    };
    let values = match (&message.raw, element) {
        (_, Element::Text) => Values::Texts(
            message.texts.iter().map(|text| utf8(text).map(Arc::from)).collect::<Result<_, _>>()?,
        ),
        (Some(raw), _) => Values::Numbers(raw_numbers(raw, message.element)?),
        (None, _) => Values::Numbers(listed_numbers(message, element)),
    };
    let shape: Option<Vec<usize>> = message.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    match shape {
        Some(shape) if count(&shape) == Some(values.len()) => {
            if let (Element::Integer, Values::Numbers(numbers)) = (element, &values)
                && numbers.iter().any(|number| !is_exact(*number))
            {
                return unsupported("a tensor of integers beyond 2^53");
            }
            Ok(Tensor { element, shape, values })
        }
        _ => malformed(format!("a tensor of dimensions {:?} holds {} values", message.dims, values.len())),
    }
}

fn listed_numbers(message: &TensorMessage, element: Element) -> Vec<f64> {
    match element {
        Element::Float => message.floats.iter().copied().map(f64::from).collect(),
        Element::Double => message.doubles.clone(),
        _ if !message.integers.is_empty() => message.integers.iter().map(|number| *number as f64).collect(),
        _ if !message.naturals.is_empty() => message.naturals.iter().map(|number| *number as f64).collect(),
        _ => message.short_integers.iter().copied().map(f64::from).collect(),
    }
}

/// Numbers as bytes, little end first, by the number of their type in `TensorProto.DataType`.
fn raw_numbers(raw: &[u8], element: i32) -> Result<Vec<f64>, Refusal> {
    fn read<const BYTES: usize>(
        raw: &[u8],
        number: impl Fn([u8; BYTES]) -> f64,
    ) -> Result<Vec<f64>, Refusal> {
        let (whole, rest) = raw.as_chunks::<BYTES>();
        if !rest.is_empty() {
            return malformed(format!("a tensor of {BYTES} bytes a number holds {} bytes", raw.len()));
        }
        Ok(whole.iter().map(|bytes| number(*bytes)).collect())
    }
    match element {
        1 => read(raw, |bytes| f64::from(f32::from_le_bytes(bytes))),
        2 | 9 => read(raw, |[byte]: [u8; 1]| f64::from(byte)),
        3 => read(raw, |bytes| f64::from(i8::from_le_bytes(bytes))),
        4 => read(raw, |bytes| f64::from(u16::from_le_bytes(bytes))),
        5 => read(raw, |bytes| f64::from(i16::from_le_bytes(bytes))),
        6 => read(raw, |bytes| f64::from(i32::from_le_bytes(bytes))),
        7 => read(raw, |bytes| i64::from_le_bytes(bytes) as f64),
        11 => read(raw, f64::from_le_bytes),
        12 => read(raw, |bytes| f64::from(u32::from_le_bytes(bytes))),
        13 => read(raw, |bytes| u64::from_le_bytes(bytes) as f64),
        _ => unsupported(format!("a tensor of element type {element}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_holds_what_its_dimensions_say() {
        let message =
            TensorMessage { dims: vec![2, 2], element: 1, floats: vec![1.0; 4], ..TensorMessage::default() };
        assert_eq!(tensor(&message).unwrap().shape, [2, 2]);
        for dims in [vec![3, 2], vec![1 << 40, 1 << 40], vec![-1, -4], vec![]] {
            let wrong = TensorMessage { dims, ..message.clone() };
            assert!(matches!(tensor(&wrong), Err(Refusal::Malformed(_))));
        }
    }

    #[test]
    fn bytes_are_numbers_little_end_first() {
        assert_eq!(raw_numbers(&[0, 0, 0x80, 0x3f], 1).unwrap(), [1.0]);
        assert_eq!(raw_numbers(&[0xff, 0xff, 0xff, 0xff], 6).unwrap(), [-1.0]);
        assert!(raw_numbers(&[0, 0, 0], 1).is_err());
    }
}
