//! What can go wrong, told apart by what a caller can do about it.

use thiserror::Error;

/// A refused or failed call.
#[derive(Debug, Error)]
pub enum OnlineError {
    /// The backend does not answer, or another process holds it. The same call may succeed later.
    #[error("the online store at {place} is not available: {reason}")]
    Unavailable {
        /// Folder or server, without credentials.
        place: String,
        /// Why, and the next step.
        reason: String,
    },
    /// The call breaks a bound or an order. Repeating it is of no use.
    #[error("{0}")]
    Invalid(String),
    /// The load was abandoned, its table was dropped, or another load of the table has begun since.
    #[error("the load of generation '{generation}' into table '{table}' is over: {reason}")]
    Superseded {
        /// The table.
        table: String,
        /// The generation that was being loaded.
        generation: String,
        /// What happened, and the next step.
        reason: String,
    },
    /// What is stored cannot be read back.
    #[error("the online store at {place} is corrupt: {reason}; drop the table and load it again")]
    Corrupt {
        /// Folder, file or key.
        place: String,
        /// What was found.
        reason: String,
    },
    /// The disk or the server refused to store or to read.
    #[error("the online store at {place} failed: {reason}")]
    Storage {
        /// Folder, file or server.
        place: String,
        /// The backend's own words.
        reason: String,
    },
}

impl OnlineError {
    pub(crate) fn corrupt(place: impl ToString, reason: impl ToString) -> Self {
        Self::Corrupt { place: place.to_string(), reason: reason.to_string() }
    }

    pub(crate) fn storage(place: impl ToString, reason: impl ToString) -> Self {
        Self::Storage { place: place.to_string(), reason: reason.to_string() }
    }

    pub(crate) fn superseded(table: &str, generation: &str) -> Self {
        Self::Superseded {
            table: table.to_owned(),
            generation: generation.to_owned(),
            reason: "it was abandoned, or another load has begun since; begin again".to_owned(),
        }
    }

    pub(crate) fn no_generation(table: &str) -> Self {
        Self::Invalid(format!(
            "table '{table}' has no active generation; publish one first (it may be empty), then upsert"
        ))
    }
}
