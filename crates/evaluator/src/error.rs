//! The errors of this crate: what is wrong, where in the file or the request, and the next step.
//!
//! Owns the one enum of errors and the names of the formats. It refuses to carry an error of a library that it uses:
//! the text of such an error becomes the `problem` of a variant.

use std::fmt;

use thiserror::Error;

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    LightGbm,
    XgboostJson,
    XgboostUbj,
    Onnx,
}

impl Format {
    /// The name that manifests and pages use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LightGbm => "lightgbm",
            Self::XgboostJson => "xgboost-json",
            Self::XgboostUbj => "xgboost-ubj",
            Self::Onnx => "onnx",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::LightGbm => "LightGBM",
            Self::XgboostJson => "XGBoost JSON",
            Self::XgboostUbj => "XGBoost UBJSON",
            Self::Onnx => "ONNX",
        })
    }
}

/// Who can act on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The file cannot be scored as it is: its author writes another one.
    File,
    /// The columns that were sent do not fit the model: the caller sends others.
    Request,
    /// The model is fine and lacks what the question needs.
    Unanswerable,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvaluatorError {
    #[error(
        "the file is no model that is read here: it begins with {start}; save it as LightGBM text, XGBoost JSON or \
         UBJSON, or ONNX"
    )]
    UnknownFormat { start: String },
    #[error(
        "{format} file, {place}: {problem}; save the model again with its own library and submit that file"
    )]
    Malformed { format: Format, place: String, problem: String },
    #[error("{format} file: {feature} is not scored here; {next}")]
    Unsupported { format: Format, feature: String, next: String },
    #[error("{format} file: {what} is {found} and the limit is {limit}; train a smaller model")]
    TooLarge { format: Format, what: &'static str, found: u64, limit: u64 },
    #[error(
        "columns: {problem}; send one column of the right kind and length for each input of the model, in order"
    )]
    Columns { problem: String },
    #[error("this score cannot be explained: {reason}; {next}")]
    NotExplained { reason: String, next: String },
}

impl EvaluatorError {
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownFormat { .. }
            | Self::Malformed { .. }
            | Self::Unsupported { .. }
            | Self::TooLarge { .. } => ErrorKind::File,
            Self::Columns { .. } => ErrorKind::Request,
            Self::NotExplained { .. } => ErrorKind::Unanswerable,
        }
    }

    pub(crate) fn malformed(format: Format, place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Malformed { format, place: place.into(), problem: problem.into() }
    }

    pub(crate) fn unsupported(format: Format, feature: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Unsupported { format, feature: feature.into(), next: next.into() }
    }
}
