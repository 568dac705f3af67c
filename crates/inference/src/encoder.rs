//! From the columns of a frame to the numbers that a model reads.
//!
//! Owns the vocabularies and how a column is found: by name, whatever its position. It refuses columns that are
//! absent or of another type, and says which. It knows neither weights nor learners.

use std::sync::Arc;

use greenlight_app::runtime::RuntimeError;
use greenlight_domain::frame::{Column, ColumnType, Field, Frame};

use crate::artifact::{refused, shortened};

/// The texts that a model knows of one column, sorted, so that a text is found by halving.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vocabulary(Vec<String>);

impl Vocabulary {
    /// Accepts texts that ascend strictly.
    pub(crate) fn new(column: &str, texts: Vec<String>) -> Result<Self, RuntimeError> {
        if let Some([_, late]) = texts.array_windows().find(|[earlier, later]| earlier >= later) {
            return Err(refused(format!(
                "the vocabulary of column '{}' is not sorted at '{}'; store the model again",
                shortened(column),
                shortened(late)
            )));
        }
        Ok(Self(texts))
    }

    /// Number of texts.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Position of a text; `None` when it is missing or unknown.
    pub(crate) fn position(&self, text: Option<&Arc<str>>) -> Option<usize> {
        let text = text?.as_ref();
        self.0.binary_search_by(|known| known.as_str().cmp(text)).ok()
    }
}

/// How one column is read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reading {
    /// The number itself.
    Number,
    /// Position in the vocabulary.
    Position(Vocabulary),
}

/// Reads rows into a matrix: numbers as they are, text as its position in a vocabulary, NaN for missing and unknown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Encoder {
    inputs: Vec<Field>,
    readings: Vec<Reading>,
}

impl Encoder {
    /// One reading an input, in the same order.
    pub(crate) fn new(inputs: &[Field], readings: Vec<Reading>) -> Self {
        Self { inputs: inputs.to_vec(), readings }
    }

    /// Number of columns.
    pub(crate) fn width(&self) -> usize {
        self.readings.len()
    }

    /// Fails when a column is absent or of another type.
    pub(crate) fn check(&self, rows: &Frame) -> Result<(), RuntimeError> {
        for (position, field) in self.inputs.iter().enumerate() {
            column(rows, position, field)?;
        }
        Ok(())
    }

    /// Fills `matrix` (row-major, `[rows, width]`) with the rows from `start` on.
    pub(crate) fn fill(&self, rows: &Frame, start: usize, matrix: &mut [f64]) -> Result<(), RuntimeError> {
        let width = self.width();
        for (position, (field, reading)) in self.inputs.iter().zip(&self.readings).enumerate() {
            let cells = matrix.iter_mut().skip(position).step_by(width);
            match (column(rows, position, field)?, reading) {
                (Column::Number(values), Reading::Number) => {
                    for (cell, value) in cells.zip(values.iter().skip(start)) {
                        *cell = *value;
                    }
                }
                (Column::Text(texts), Reading::Position(vocabulary)) => {
                    for (cell, text) in cells.zip(texts.iter().skip(start)) {
                        *cell = vocabulary.position(text.as_ref()).map_or(f64::NAN, |at| at as f64);
                    }
                }
                (found, _) => return Err(other_type(field, found.column_type())),
            }
        }
        Ok(())
    }
}

/// The column of that field. `position` is where it is looked for first, because most callers send the columns in
/// the order of the signature.
pub(crate) fn column<'a>(
    rows: &'a Frame,
    position: usize,
    field: &Field,
) -> Result<&'a Column, RuntimeError> {
    let expected = rows.fields().get(position).is_some_and(|there| there.name == field.name);
    let found = if expected { rows.columns().get(position) } else { rows.column(&field.name) };
    let Some(found) = found else {
        return Err(RuntimeError::Signature(format!(
            "the model needs a column '{}' of type {}, and the rows have none of that name; add it, with missing \
             values where nothing is known",
            field.name,
            type_name(field.column_type)
        )));
    };
    if found.column_type() == field.column_type {
        Ok(found)
    } else {
        Err(other_type(field, found.column_type()))
    }
}

fn other_type(field: &Field, found: ColumnType) -> RuntimeError {
    RuntimeError::Signature(format!(
        "column '{}' must be of type {} and the rows have it as {}; convert it before scoring",
        field.name,
        type_name(field.column_type),
        type_name(found)
    ))
}

fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Number => "number",
        ColumnType::Text => "text",
    }
}
