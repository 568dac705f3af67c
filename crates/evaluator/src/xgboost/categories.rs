//! The categories that training data named, in files since version 3.1.
//!
//! Owns the way from the arrays of the file to a vocabulary for each input. It refuses offsets that do not cut the
//! bytes, and bytes that are no UTF-8.

use std::collections::HashMap;
use std::sync::Arc;

use super::document::{Categories, Encoding};
use crate::ensemble::Vocabulary;
use crate::{EvaluatorError, Format};

pub(super) fn vocabularies(
    format: Format,
    categories: &Categories,
    inputs: usize,
) -> Result<Vec<Option<Vocabulary>>, EvaluatorError> {
    if categories.enc.is_empty() {
        return Ok((0..inputs).map(|_| None).collect());
    }
    if categories.enc.len() != inputs {
        let problem = format!("{} encodings for {inputs} features", categories.enc.len());
        return Err(EvaluatorError::malformed(format, "cats", problem));
    }
    let encodings = categories.enc.iter().enumerate();
    encodings
        .map(|(input, encoding)| {
            vocabulary(encoding).map_err(|problem| {
                EvaluatorError::malformed(format, format!("cats, feature {input}"), problem)
            })
        })
        .collect()
}

/// The code of a category is its place. An input without categories has no vocabulary.
fn vocabulary(encoding: &Encoding) -> Result<Option<Vocabulary>, &'static str> {
    if encoding.values.is_empty() && encoding.offsets.len() < 2 {
        return Ok(None);
    }
    if encoding.number_type.is_some() {
        let codes = encoding.values.iter().zip(0_u32..);
        let codes = codes.map(|(value, code)| ((value + 0.0).to_bits(), f64::from(code))).collect();
        return Ok(Some(Vocabulary::Numbers(codes)));
    }
    // The bytes are written as signed numbers.
    let bytes: Vec<u8> = encoding.values.iter().map(|value| *value as i64 as u8).collect();
    let mut codes: HashMap<Arc<str>, f64> = HashMap::new();
    for (bounds, code) in encoding.offsets.windows(2).zip(0_u32..) {
        let start = usize::try_from(bounds[0]).map_err(|_| "an offset is negative")?;
        let end = usize::try_from(bounds[1]).map_err(|_| "an offset is negative")?;
        let text = bytes.get(start..end).ok_or("an offset lies outside the bytes")?;
        let text = std::str::from_utf8(text).map_err(|_| "a category is no UTF-8")?;
        codes.insert(text.into(), f64::from(code));
    }
    Ok(Some(Vocabulary::Texts(codes)))
}
