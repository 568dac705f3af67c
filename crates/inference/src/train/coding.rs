//! How rows are coded for the boosting library.
//!
//! Owns the matrix that the library reads, and the codes of texts. It refuses columns with too many texts.

use std::collections::HashSet;

use greenlight_app::runtime::RuntimeError;
use greenlight_domain::frame::{ColumnType, Frame};

use super::flatten::TextCodes;
use super::vocabulary;
use crate::artifact::{Bounded, ColumnEncoding};
use crate::encoder::{Encoder, Reading, Vocabulary};

/// Coding that all members share: numbers as they are, text as its position in the vocabulary, NaN for missing.
pub(super) struct Coding {
    pub(super) encodings: Vec<ColumnEncoding>,
    /// Sizes of the vocabularies; `None` for numbers.
    sizes: Vec<Option<usize>>,
    encoder: Encoder,
}

impl Coding {
    /// Gathers the vocabularies of the rows.
    pub(super) fn new(rows: &Frame) -> Result<Self, RuntimeError> {
        let (mut encodings, mut sizes, mut readings) = (Vec::new(), Vec::new(), Vec::new());
        for (field, column) in rows.fields().iter().zip(rows.columns()) {
            match column.column_type() {
                ColumnType::Number => {
                    encodings.push(ColumnEncoding::AsIs {});
                    sizes.push(None);
                    readings.push(Reading::Number);
                }
                ColumnType::Text => {
                    let texts = vocabulary(&field.name, column)?;
                    encodings.push(ColumnEncoding::Ordinal { vocabulary: Bounded(texts.clone()) });
                    sizes.push(Some(texts.len()));
                    readings.push(Reading::Position(Vocabulary::new(&field.name, texts)?));
                }
            }
        }
        Ok(Self { encodings, sizes, encoder: Encoder::new(rows.fields(), readings) })
    }

    /// The coded rows, column after column: cell `[row, column]` is at `column * rows + row`.
    pub(super) fn matrix(&self, rows: &Frame) -> Result<Vec<f64>, RuntimeError> {
        let width = self.encoder.width();
        let mut row_major = vec![0.0; rows.rows() * width];
        self.encoder.fill(rows, 0, &mut row_major)?;
        let mut columns = Vec::with_capacity(row_major.len());
        for position in 0..width {
            columns.extend(row_major.iter().skip(position).step_by(width));
        }
        Ok(columns)
    }

    /// Positions of the columns that hold text.
    pub(super) fn text_columns(&self) -> HashSet<usize> {
        self.sizes.iter().enumerate().filter_map(|(position, size)| size.map(|_| position)).collect()
    }
}

/// From positions of the vocabulary to the codes of one member: 1, 2, 3 and so on for the texts among its rows.
///
/// The library splits its training rows by comparing *bins*, which it counts from 1 without gaps, with a set of
/// *codes*. Only when codes are counted in the same way does a tree score a row as it was trained.
pub(super) struct MemberCodes(Vec<Option<TextCodes>>);

impl MemberCodes {
    /// Codes the texts that occur in `matrix`, as [`Coding::matrix`] yields it.
    pub(super) fn new(coding: &Coding, matrix: &[f64], rows: usize) -> Self {
        let codes = coding.sizes.iter().zip(matrix.chunks(rows)).map(|(size, column)| {
            let mut seen = vec![false; (*size)?];
            for value in column.iter().filter(|value| !value.is_nan()) {
                seen[*value as usize] = true;
            }
            let mut next = 0;
            let mut code = |seen: bool| {
                next += usize::from(seen);
                seen.then_some(next)
            };
            Some(seen.into_iter().map(&mut code).collect())
        });
        Self(codes.collect())
    }

    /// For each input of text, the code of each position of its vocabulary.
    pub(super) fn texts(&self) -> &[Option<TextCodes>] {
        &self.0
    }

    /// Replaces positions by codes; a text that the member has not seen becomes missing.
    pub(super) fn apply(&self, matrix: &mut [f64], rows: usize) {
        for (codes, column) in self.0.iter().zip(matrix.chunks_mut(rows)) {
            let Some(codes) = codes else {
                continue;
            };
            for value in column.iter_mut().filter(|value| !value.is_nan()) {
                *value = codes[*value as usize].map_or(f64::NAN, |code| code as f64);
            }
        }
    }
}
