//! Where the values of a row come from: columns of a request, or a matrix of an earlier step.
//!
//! Owns the look-up of texts in vocabularies. It refuses to fail while scoring: shapes are checked before, and what is
//! not there reads as missing.

use std::collections::HashMap;
use std::sync::Arc;

use crate::Column;

/// The code of each category of an input, as its library numbered them.
#[derive(Clone, Debug)]
pub(crate) enum Vocabulary {
    Texts(HashMap<Arc<str>, f64>),
    /// By the bits of the number.
    Numbers(HashMap<u64, f64>),
}

impl Vocabulary {
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::Texts(codes) => {
                codes.capacity() * size_of::<(Arc<str>, f64)>()
                    + codes.keys().map(|text| text.len()).sum::<usize>()
            }
            Self::Numbers(codes) => codes.capacity() * size_of::<(u64, f64)>(),
        }
    }

    fn text(&self, text: &str) -> f64 {
        match self {
            Self::Texts(codes) => codes.get(text).copied().unwrap_or(f64::NAN),
            Self::Numbers(_) => f64::NAN,
        }
    }

    fn number(&self, number: f64) -> f64 {
        match self {
            // Adding zero turns -0 into 0, which is the same category.
            Self::Numbers(codes) => codes.get(&(number + 0.0).to_bits()).copied().unwrap_or(f64::NAN),
            Self::Texts(_) => f64::NAN,
        }
    }
}

/// The values that an ensemble reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// One column an input; a text column is read through the vocabulary of its input.
    Columns { columns: &'a [Column<'a>], vocabularies: &'a [Option<Vocabulary>] },
    /// Rows one after the other, `width` values each.
    Rows { values: &'a [f64], width: usize },
}

impl Source<'_> {
    pub(crate) fn value(&self, input: usize, row: usize) -> f64 {
        match self {
            Self::Columns { columns, vocabularies } => {
                let vocabulary = vocabularies.get(input).and_then(Option::as_ref);
                match columns.get(input) {
                    Some(Column::Number(values)) => {
                        let value = values.get(row).copied().unwrap_or(f64::NAN);
                        vocabulary.map_or(value, |vocabulary| vocabulary.number(value))
                    }
                    Some(Column::Text(texts)) => {
                        let text = texts.get(row).and_then(Option::as_ref);
                        vocabulary.zip(text).map_or(f64::NAN, |(vocabulary, text)| vocabulary.text(text))
                    }
                    None => f64::NAN,
                }
            }
            Self::Rows { values, width } if input < *width => {
                values.get(row * width + input).copied().unwrap_or(f64::NAN)
            }
            Self::Rows { .. } => f64::NAN,
        }
    }

    /// Fills `into` with the values of `input` in the rows from `first`.
    pub(crate) fn fill(&self, input: usize, first: usize, into: &mut [f64]) {
        if let Self::Columns { columns, vocabularies } = self
            && let Some(Column::Number(values)) = columns.get(input)
            && let Some(values) = values.get(first..first + into.len())
            && !matches!(vocabularies.get(input), Some(Some(_)))
        {
            into.copy_from_slice(values);
            return;
        }
        for (row, value) in (first..).zip(into) {
            *value = self.value(input, row);
        }
    }
}
