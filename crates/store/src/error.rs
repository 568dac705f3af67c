//! What can go wrong in the database, told apart by what a caller can do about it.

use thiserror::Error;

/// A failed query or connection.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Something with that key exists already.
    #[error("it exists already")]
    Conflict,
    /// A row refers to something that does not exist.
    #[error("it refers to something that does not exist")]
    MissingReference,
    /// A stored specification does not read as its type.
    #[error("a stored {what} cannot be read: {source}")]
    Stored {
        /// Which noun.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// A stored word is not one of its kind.
    #[error(transparent)]
    Word(#[from] greenlight_domain::DomainError),
    /// The database cannot be reached, is full or is read-only.
    #[error("the database does not answer: {0}")]
    Database(sqlx::Error),
    /// The URL names no database that we speak.
    #[error("'{0}' is not a database URL; use sqlite:PATH or postgres://HOST/DATABASE")]
    Url(String),
    /// The schema could not be brought up to date.
    #[error("the schema cannot be migrated: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().map(sqlx::error::DatabaseError::kind) {
            Some(sqlx::error::ErrorKind::UniqueViolation) => Self::Conflict,
            Some(sqlx::error::ErrorKind::ForeignKeyViolation) => Self::MissingReference,
            _ => Self::Database(error),
        }
    }
}
