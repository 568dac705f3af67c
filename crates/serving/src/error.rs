//! Why a request was not answered. Nothing was logged and nothing was decided.

use greenlight_app::lake::LakeError;
use thiserror::Error;

/// A request that was not answered.
#[derive(Debug, Error)]
pub enum ServingError {
    /// Columns, types, shapes or values are wrong; the message names them.
    #[error("{0}")]
    Invalid(String),
    /// The log cannot follow; try again later.
    #[error("{0}")]
    Unavailable(String),
    /// Something that should not happen.
    #[error("{0}")]
    Internal(String),
}

impl From<LakeError> for ServingError {
    fn from(error: LakeError) -> Self {
        match error {
            LakeError::Unavailable(_) => Self::Unavailable(error.to_string()),
            other => Self::Internal(other.to_string()),
        }
    }
}
