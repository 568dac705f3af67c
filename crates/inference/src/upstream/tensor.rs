//! From the rows of a frame to the tensors of the Open Inference Protocol, and from an answer to one number a row.
//!
//! Missing numbers travel as `null` in JSON and as NaN over gRPC; missing text as empty text, for the protocol has no
//! other. A number that the datatype cannot hold is refused rather than bent.

use std::sync::Arc;

use bytes::Bytes;
use greenlight_app::runtime::RuntimeError;
use greenlight_domain::frame::{Column, Field, Frame};
use serde::Serialize;

use super::failed::CallError;
use super::spec::{Datatype, Input, Output};
use crate::encoder::column;

/// The elements of a tensor, in row-major order. NaN is written as `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Cells {
    Fp32(Vec<f32>),
    Fp64(Vec<f64>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Bytes(Vec<Arc<str>>),
}

/// One input of a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Tensor<'a> {
    pub(crate) name: &'a str,
    pub(crate) shape: Vec<usize>,
    pub(crate) datatype: &'static str,
    pub(crate) data: Cells,
}

/// The rows as the input wants them.
pub(crate) fn tensors<'a>(
    input: &'a Input,
    columns: &'a [Field],
    rows: &Frame,
) -> Result<Vec<Tensor<'a>>, RuntimeError> {
    let count = rows.rows();
    let found = columns.iter().enumerate().map(|(position, field)| column(rows, position, field));
    match input {
        Input::Frame {} => Ok(vec![]),
        Input::Matrix { name, datatype } => {
            let mut matrix = vec![0.0; count * columns.len()];
            for (position, found) in found.enumerate() {
                let cells = matrix.iter_mut().skip(position).step_by(columns.len());
                if let Column::Number(values) = found? {
                    cells.zip(values).for_each(|(cell, value)| *cell = *value);
                }
            }
            let shape = vec![count, columns.len()];
            let data = numbers(*datatype, &matrix, name)?;
            Ok(vec![Tensor { name, shape, datatype: datatype.as_str(), data }])
        }
        Input::Columns { datatypes, rank } => found
            .zip(columns.iter().zip(datatypes))
            .map(|(found, (field, datatype))| {
                let data = match found? {
                    Column::Number(values) => numbers(*datatype, values, &field.name)?,
                    Column::Text(texts) => Cells::Bytes(
                        texts.iter().map(|text| text.clone().unwrap_or_else(|| "".into())).collect(),
                    ),
                };
                let shape = if *rank == 2 { vec![count, 1] } else { vec![count] };
                Ok(Tensor { name: &field.name, shape, datatype: datatype.as_str(), data })
            })
            .collect(),
    }
}

fn numbers(datatype: Datatype, values: &[f64], name: &str) -> Result<Cells, RuntimeError> {
    let wrong = |value: f64| {
        RuntimeError::Signature(format!(
            "'{name}' holds {value} and the upstream takes {}",
            datatype.as_str()
        ))
    };
    let whole = |value: &f64, least: f64, most: f64| {
        let fits = value.fract() == 0.0 && *value >= least && *value <= most;
        if fits { Ok(*value) } else { Err(wrong(*value)) }
    };
    if let Some(infinite) = values.iter().find(|value| value.is_infinite()) {
        return Err(wrong(*infinite));
    }
    Ok(match datatype {
        Datatype::Fp64 => Cells::Fp64(values.to_vec()),
        Datatype::Fp32 => {
            let narrow = values.iter().map(|value| {
                let narrow = *value as f32;
                if narrow.is_infinite() { Err(wrong(*value)) } else { Ok(narrow) }
            });
            Cells::Fp32(narrow.collect::<Result<_, _>>()?)
        }
        Datatype::Int32 => {
            let whole =
                values.iter().map(|v| whole(v, f64::from(i32::MIN), f64::from(i32::MAX)).map(|v| v as i32));
            Cells::Int32(whole.collect::<Result<_, _>>()?)
        }
        Datatype::Int64 => {
            // Beyond 2^53 a double is no longer one whole number.
            let most = 9_007_199_254_740_992.0;
            let whole = values.iter().map(|v| whole(v, -most, most).map(|v| v as i64));
            Cells::Int64(whole.collect::<Result<_, _>>()?)
        }
        Datatype::Bytes => return Err(wrong(values.first().copied().unwrap_or_default())),
    })
}

impl Cells {
    /// Little-endian, as `raw_input_contents` wants it.
    pub(crate) fn raw(&self) -> Bytes {
        let raw: Vec<u8> = match self {
            Self::Fp32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::Fp64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::Int32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::Int64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::Bytes(texts) => {
                let element =
                    |text: &Arc<str>| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
                texts.iter().flat_map(element).collect()
            }
        };
        raw.into()
    }
}

/// Numbers of an answer with their shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answered {
    pub(crate) name: String,
    pub(crate) shape: Vec<i64>,
    pub(crate) numbers: Vec<f64>,
}

/// Which of the outputs is meant: the named one, or the only one.
pub(crate) fn meant<'a>(
    mut names: impl Iterator<Item = &'a str> + Clone,
    output: &Output,
) -> Result<usize, CallError> {
    let list = names.clone();
    let found = match &output.name {
        Some(name) => names.position(|other| other == name),
        None => (list.clone().count() == 1).then_some(0),
    };
    found.ok_or_else(|| {
        let list: Vec<String> = list.take(10).map(super::failed::clean).collect();
        let wanted = output.name.as_deref().unwrap_or("the only one, for none is named");
        CallError::Answer(format!("the output is to be {wanted} and it has: {}", list.join(", ")))
    })
}

/// One probability a row: `[rows]`, `[rows, 1]` or `[rows, k]` with the position that the output names.
pub(crate) fn probabilities(
    answered: &Answered,
    rows: usize,
    output: &Output,
) -> Result<Vec<f64>, CallError> {
    let wrong = |problem: String| Err(CallError::Answer(problem));
    let size = answered.shape.iter().try_fold(1_usize, |size, &extent| {
        usize::try_from(extent).ok().and_then(|extent| size.checked_mul(extent))
    });
    let first = answered.shape.first().and_then(|&first| usize::try_from(first).ok());
    if first != Some(rows) {
        return wrong(format!(
            "{rows} rows were sent and output '{}' has the shape {:?}",
            answered.name, answered.shape
        ));
    }
    if size != Some(answered.numbers.len()) || answered.shape.len() > 8 {
        let count = answered.numbers.len();
        return wrong(format!(
            "output '{}' of shape {:?} has {count} numbers",
            answered.name, answered.shape
        ));
    }
    one_a_row(&answered.numbers, rows, output)
}

/// Takes the meant number of each row, and checks that it is a probability.
pub(crate) fn one_a_row(numbers: &[f64], rows: usize, output: &Output) -> Result<Vec<f64>, CallError> {
    let wrong = |problem: String| Err(CallError::Answer(problem));
    if rows == 0 {
        return Ok(vec![]);
    }
    let width = numbers.len() / rows;
    let index = match (output.index, width) {
        (Some(index), _) if index < width => index,
        (None, 1) => 0,
        // Two classes: the second is the one that happens.
        (None, 2) => 1,
        (Some(index), _) => return wrong(format!("number {index} of a row is meant and it has {width}")),
        (None, _) => {
            return wrong(format!(
                "it has {width} numbers a row; say which is the probability with output.index"
            ));
        }
    };
    let scores: Vec<f64> = numbers.chunks_exact(width).map(|row| row[index]).collect();
    match scores.iter().position(|score| !(0.0..=1.0).contains(score)) {
        Some(row) => wrong(format!("row {row} scored {}, which is not a probability", scores[row])),
        None => Ok(scores),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let fields: Arc<[Field]> = vec![Field::number("b"), Field::number("a"), Field::text("t")].into();
        let columns = vec![
            Column::Number(vec![1.0, f64::NAN]),
            Column::Number(vec![3.0, 4.0]),
            Column::Text(vec![Some("x".into()), None]),
        ];
        Frame::new(fields, columns).unwrap()
    }

    #[test]
    fn a_matrix_has_the_order_of_the_signature_and_null_for_missing() {
        let input = Input::Matrix { name: "input".to_owned(), datatype: Datatype::Fp64 };
        let columns = [Field::number("a"), Field::number("b")];
        let made = tensors(&input, &columns, &frame()).unwrap();
        let json = serde_json::to_value(&made).unwrap();
        let expected = serde_json::json!([
            {"name": "input", "shape": [2, 2], "datatype": "FP64", "data": [3.0, 1.0, 4.0, null]}
        ]);
        assert_eq!(json, expected);
    }

    #[test]
    fn columns_keep_their_types_and_raw_is_little_endian() {
        let input = Input::Columns { datatypes: vec![Datatype::Int32, Datatype::Bytes], rank: 2 };
        let columns = [Field::number("a"), Field::text("t")];
        let made = tensors(&input, &columns, &frame()).unwrap();
        assert_eq!(made[0].shape, [2, 1]);
        assert_eq!(made[0].data.raw().as_ref(), [3, 0, 0, 0, 4, 0, 0, 0]);
        assert_eq!(made[1].data.raw().as_ref(), [1, 0, 0, 0, b'x', 0, 0, 0, 0]);
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        for (datatype, value) in [
            (Datatype::Int32, 0.5),
            (Datatype::Int32, f64::NAN),
            (Datatype::Int32, 3e9),
            (Datatype::Int64, 1e300),
            (Datatype::Fp32, 1e300),
            (Datatype::Fp64, f64::INFINITY),
        ] {
            assert!(numbers(datatype, &[value], "a").is_err(), "{datatype:?} {value}");
        }
    }

    #[test]
    fn hostile_shapes_and_numbers_are_refused() {
        let any = Output::default();
        let answered = |shape: &[i64], numbers: &[f64]| Answered {
            name: "p".to_owned(),
            shape: shape.to_vec(),
            numbers: numbers.to_vec(),
        };
        for (shape, numbers) in [
            (&[3][..], &[0.1, 0.2, 0.3][..]),
            (&[2], &[0.1]),
            (&[2, -1], &[0.1, 0.2]),
            (&[2, i64::MAX, 4], &[0.1, 0.2]),
            (&[], &[0.1, 0.2]),
            (&[2], &[0.1, f64::NAN]),
            (&[2], &[0.1, 1.5]),
            (&[2, 3], &[0.1, 0.2, 0.3, 0.1, 0.2, 0.3]),
            (&[2, 0], &[]),
        ] {
            assert!(probabilities(&answered(shape, numbers), 2, &any).is_err(), "{shape:?} {numbers:?}");
        }
        let pairs = answered(&[2, 2], &[0.9, 0.1, 0.8, 0.2]);
        assert_eq!(probabilities(&pairs, 2, &any).unwrap(), [0.1, 0.2]);
        let first = Output { name: None, index: Some(0) };
        assert_eq!(probabilities(&pairs, 2, &first).unwrap(), [0.9, 0.8]);
    }
}
