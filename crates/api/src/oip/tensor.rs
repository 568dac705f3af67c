//! Tensors of the Open Inference Protocol as columns: datatypes, shapes, and values as bytes.
//!
//! Owns what JSON, the binary extension and gRPC share. A tensor is one column of shape `[rows]` or `[rows, 1]`, or,
//! under the name of [`MATRIX`], every feature at once. Little endian, as the protocol's binary extension has it; text
//! is a 32-bit length and then its bytes. Refuses to read past what a shape announces.

use std::borrow::Cow;
use std::sync::Arc;

use greenlight_domain::frame::{Column, Field};
use greenlight_serving::MAX_ROWS;

use super::error::OipError;

/// Most input tensors of a request.
pub(crate) const MAX_INPUTS: usize = 2_000;
/// Most values of one tensor.
const MAX_ELEMENTS: u64 = 10_000_000;
/// Name of a tensor `[rows, features]` that carries all features, numbers, in the order of the metadata.
pub(crate) const MATRIX: &str = "features";

/// A datatype of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Fp32,
    Fp64,
    Bytes,
}

impl Datatype {
    /// The datatype of that name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "BOOL" => Self::Bool,
            "UINT8" => Self::Uint8,
            "UINT16" => Self::Uint16,
            "UINT32" => Self::Uint32,
            "UINT64" => Self::Uint64,
            "INT8" => Self::Int8,
            "INT16" => Self::Int16,
            "INT32" => Self::Int32,
            "INT64" => Self::Int64,
            "FP16" => Self::Fp16,
            "FP32" => Self::Fp32,
            "FP64" => Self::Fp64,
            "BYTES" => Self::Bytes,
            _ => return None,
        })
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, Self::Fp16 | Self::Fp32 | Self::Fp64)
    }

    /// Whether a value in JSON is one of this type.
    pub(crate) fn holds(self, value: f64, is_integer: bool) -> bool {
        let limits = match self {
            Self::Fp16 | Self::Fp32 | Self::Fp64 => return true,
            Self::Bool | Self::Bytes => return false,
            Self::Uint8 => (0.0, 255.0),
            Self::Uint16 => (0.0, 65_535.0),
            Self::Uint32 => (0.0, f64::from(u32::MAX)),
            Self::Uint64 => (0.0, u64::MAX as f64),
            Self::Int8 => (-128.0, 127.0),
            Self::Int16 => (-32_768.0, 32_767.0),
            Self::Int32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
            Self::Int64 => (i64::MIN as f64, i64::MAX as f64),
        };
        is_integer && (limits.0..=limits.1).contains(&value)
    }

    /// What the JSON data of this type must be.
    pub(crate) fn values(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Fp16 | Self::Fp32 | Self::Fp64 => "finite numbers or null",
            Self::Bytes => "strings or null",
            _ => "integers within its range",
        }
    }

    /// Reads values of this type, all of `bytes`; `None` when they do not end evenly or, for text, not as announced.
    fn read(self, bytes: &[u8], elements: usize) -> Option<Column> {
        Some(Column::Number(match self {
            Self::Bool => fixed(bytes, elements, |[b]: [u8; 1]| f64::from(u8::from(b != 0)))?,
            Self::Uint8 => fixed(bytes, elements, |[b]: [u8; 1]| f64::from(b))?,
            Self::Int8 => fixed(bytes, elements, |b| f64::from(i8::from_le_bytes(b)))?,
            Self::Uint16 => fixed(bytes, elements, |b| f64::from(u16::from_le_bytes(b)))?,
            Self::Int16 => fixed(bytes, elements, |b| f64::from(i16::from_le_bytes(b)))?,
            Self::Uint32 => fixed(bytes, elements, |b| f64::from(u32::from_le_bytes(b)))?,
            Self::Int32 => fixed(bytes, elements, |b| f64::from(i32::from_le_bytes(b)))?,
            Self::Uint64 => fixed(bytes, elements, |b| u64::from_le_bytes(b) as f64)?,
            Self::Int64 => fixed(bytes, elements, |b| i64::from_le_bytes(b) as f64)?,
            Self::Fp16 => fixed(bytes, elements, |b| half(u16::from_le_bytes(b)))?,
            Self::Fp32 => fixed(bytes, elements, |b| f64::from(f32::from_le_bytes(b)))?,
            Self::Fp64 => fixed(bytes, elements, f64::from_le_bytes)?,
            Self::Bytes => return texts(bytes, elements),
        }))
    }
}

fn fixed<const N: usize>(bytes: &[u8], elements: usize, value: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    (rest.is_empty() && chunks.len() == elements).then(|| chunks.iter().map(|chunk| value(*chunk)).collect())
}

fn texts(mut bytes: &[u8], elements: usize) -> Option<Column> {
    // Each text has four bytes at least, so a shape cannot ask for more memory than was sent.
    if elements > bytes.len() / 4 {
        return None;
    }
    let mut texts: Vec<Option<Arc<str>>> = Vec::with_capacity(elements);
    for _ in 0..elements {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        texts.push(Some(str::from_utf8(text).ok()?.into()));
        bytes = rest;
    }
    bytes.is_empty().then_some(Column::Text(texts))
}

/// An IEEE 754 binary16 as a double.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2.0_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1_024.0) * 2.0_f64.powi(exponent - 15),
    }
}

/// How many rows, and how many values a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) rows: usize,
    pub(crate) width: usize,
}

impl Shape {
    /// Checks the shape of the input `name`.
    pub(crate) fn check(name: &str, shape: &[i64]) -> Result<Self, OipError> {
        let (rows, width) = match *shape {
            [rows] if rows >= 0 => (rows as u64, 1),
            [rows, width] if rows >= 0 && (width == 1 || (name == MATRIX && width > 0)) => {
                (rows as u64, width as u64)
            }
            _ => {
                return Err(OipError::invalid(format!(
                    "input '{}': shape must be [rows] or [rows, 1], not {:?}",
                    shown(name),
                    &shape[..shape.len().min(8)]
                )));
            }
        };
        if rows > MAX_ROWS as u64 || rows.saturating_mul(width) > MAX_ELEMENTS {
            let name = shown(name);
            return Err(OipError::invalid(format!(
                "input '{name}': send at most {MAX_ROWS} rows, not {rows}"
            )));
        }
        Ok(Self { rows: rows as usize, width: width as usize })
    }

    pub(crate) fn elements(self) -> usize {
        self.rows * self.width
    }
}

/// What a message quotes of a name that a client made up.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(100).collect()
}

/// The values of an input whose bytes follow the header, or come as raw contents.
pub(crate) fn from_bytes(
    name: &str,
    datatype: Datatype,
    shape: Shape,
    bytes: &[u8],
) -> Result<Column, OipError> {
    datatype.read(bytes, shape.elements()).ok_or_else(|| {
        OipError::invalid(format!(
            "input '{}': its {} bytes are not {} values of {datatype:?}",
            shown(name),
            bytes.len(),
            shape.elements()
        ))
    })
}

/// Columns by name, and how many rows they have. A matrix is taken apart into the features of the endpoint.
pub(crate) struct Columns<'a> {
    named: Vec<(Cow<'a, str>, Column)>,
    rows: Option<usize>,
    has_matrix: bool,
}

impl<'a> Columns<'a> {
    pub(crate) fn new(inputs: usize) -> Result<Self, OipError> {
        if inputs == 0 || inputs > MAX_INPUTS {
            return Err(OipError::invalid(format!("send 1 to {MAX_INPUTS} inputs, not {inputs}")));
        }
        Ok(Self { named: Vec::with_capacity(inputs + 32), rows: None, has_matrix: false })
    }

    /// Adds an input; `features` are those of the endpoint, in order.
    pub(crate) fn push(
        &mut self,
        name: Cow<'a, str>,
        shape: Shape,
        column: Column,
        features: &'a [Field],
    ) -> Result<(), OipError> {
        let expected = *self.rows.get_or_insert(shape.rows);
        if expected != shape.rows {
            return Err(OipError::invalid(format!(
                "input '{}' has {} rows where the first input has {expected}",
                shown(&name),
                shape.rows
            )));
        }
        match column {
            Column::Number(values) if name == MATRIX && shape.width > 1 => {
                if features.len() != shape.width {
                    return Err(OipError::invalid(format!(
                        "input '{MATRIX}' has {} values a row; this endpoint has {} features",
                        shape.width,
                        features.len()
                    )));
                }
                // Without rows it costs nothing to send, and each one would take memory for every feature.
                if std::mem::replace(&mut self.has_matrix, true) {
                    return Err(OipError::invalid(format!("input '{MATRIX}' was sent twice")));
                }
                for (at, feature) in features.iter().enumerate() {
                    let column = values.iter().skip(at).step_by(shape.width).copied().collect();
                    self.named.push((Cow::Borrowed(&feature.name), Column::Number(column)));
                }
            }
            column if shape.width == 1 => self.named.push((name, column)),
            _ => return Err(OipError::invalid(format!("input '{MATRIX}' must be numbers"))),
        }
        Ok(())
    }

    /// The request that they make.
    pub(crate) fn into_request(self) -> greenlight_serving::Request<'a> {
        greenlight_serving::Request { columns: self.named, rows: self.rows.unwrap_or_default(), trace: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(datatype: Datatype, bytes: &[u8], elements: usize) -> Option<Vec<f64>> {
        match datatype.read(bytes, elements)? {
            Column::Number(values) => Some(values),
            Column::Text(_) => None,
        }
    }

    #[test]
    fn half_precision_is_read_as_ieee_754_says() {
        // IEEE 754-2019, table 3.5: 1, -2, the largest, the smallest normal and the smallest number above zero.
        let bits: [u16; 6] = [0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x7c00];
        let bytes: Vec<u8> = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
        let values = [1.0, -2.0, 65_504.0, 2.0_f64.powi(-14), 2.0_f64.powi(-24), f64::INFINITY];
        assert_eq!(numbers(Datatype::Fp16, &bytes, 6).unwrap(), values);
    }

    #[test]
    fn values_that_end_early_or_late_are_refused() {
        assert_eq!(numbers(Datatype::Int16, &[1, 0, 255, 255], 2), Some(vec![1.0, -1.0]));
        assert_eq!(numbers(Datatype::Int16, &[1, 0, 255], 2), None);
        assert_eq!(numbers(Datatype::Int16, &[1, 0, 255, 255], 1), None);
        let text = [2, 0, 0, 0, b'o', b'k', 0, 0, 0, 0];
        assert_eq!(
            Datatype::Bytes.read(&text, 2),
            Some(Column::Text(vec![Some("ok".into()), Some("".into())]))
        );
        assert_eq!(Datatype::Bytes.read(&text, 1), None);
        assert_eq!(Datatype::Bytes.read(&[255, 255, 255, 255], 1), None);
        assert_eq!(Datatype::Bytes.read(&[], usize::MAX), None);
    }
}
