//! The JSON encoding.
//!
//! Owns the one way in which XGBoost's JSON is none: before version 3.1 it writes a bare `NaN` as the threshold of a
//! categorical split, which has none. It refuses nesting deeper than 128 levels, which `serde_json` counts.

use std::borrow::Cow;

use super::document::Document;
use crate::evaluator::MarginModel;
use crate::{EvaluatorError, Format};

const NAN: &[u8] = b"NaN";

/// Reads a model from JSON.
pub(crate) fn read_json(bytes: &[u8]) -> Result<MarginModel, EvaluatorError> {
    let document: Document = serde_json::from_slice(&without_nan(bytes)).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        EvaluatorError::malformed(Format::XgboostJson, place, error.to_string())
    })?;
    super::build(document, Format::XgboostJson)
}

/// The same with `null` for each `NaN` outside of texts.
fn without_nan(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.windows(NAN.len()).any(|window| window == NAN) {
        return Cow::Borrowed(bytes);
    }
    let mut written = Vec::with_capacity(bytes.len() + bytes.len() / 8);
    let mut is_text = false;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let (taken, replaced): (usize, &[u8]) = match byte {
            b'"' => {
                is_text = !is_text;
                (1, b"\"")
            }
            b'\\' if is_text => (2, bytes.get(at..at + 2).unwrap_or(b"\\")),
            b'N' if !is_text && bytes[at..].starts_with(NAN) => (NAN.len(), b"null"),
            _ => (1, &bytes[at..=at]),
        };
        written.extend_from_slice(replaced);
        at += taken;
    }
    Cow::Owned(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_ones_are_replaced() {
        assert_eq!(&*without_nan(br#"["NaN",NaN,"\"NaN",1]"#), br#"["NaN",null,"\"NaN",1]"#);
        assert_eq!(&*without_nan(b"[NaN"), b"[null");
        assert_eq!(&*without_nan(b"NaN\"\\"), b"null\"\\");
    }
}
