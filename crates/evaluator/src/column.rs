//! What goes into a model and what comes out: named inputs, columns of values, named outputs.
//!
//! Owns the shapes of a request to this crate. It refuses to convert: a text is looked up in the vocabulary of the
//! model or it is missing, never parsed as a number.

use std::sync::Arc;

/// What a column of an input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    Number,
    Text,
}

/// One input of a model, in the order in which its columns are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    pub name: String,
    pub kind: InputKind,
}

/// One output of a model: `width` numbers a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub name: String,
    pub width: usize,
}

/// The values of one input, one a row. `NaN` and `None` are missing.
#[derive(Clone, Copy, Debug)]
pub enum Column<'a> {
    Number(&'a [f64]),
    Text(&'a [Option<Arc<str>>]),
}

impl Column<'_> {
    pub fn rows(&self) -> usize {
        match self {
            Self::Number(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    pub const fn kind(&self) -> InputKind {
        match self {
            Self::Number(_) => InputKind::Number,
            Self::Text(_) => InputKind::Text,
        }
    }
}
