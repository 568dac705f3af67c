//! What can be wrong with a word or a rule. Every message says what, where and what to do next.

use thiserror::Error;

/// A rule of the domain that was not met.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DomainError {
    /// A value that cannot be what it claims to be; `field` says where it stands.
    #[error("{field}: {problem}")]
    Invalid {
        /// Dotted path of the offending field.
        field: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// An SQL expression that does not parse, names an unknown column or mixes types.
    #[error("value expression: {0}")]
    Expression(String),
    /// A refusal in the words of another system, because its clients match on them.
    #[error("{0}")]
    Worded(String),
    /// A step that the present stage of a release does not allow.
    #[error("{0}")]
    Stage(String),
    /// A change to something that is immutable once it is published.
    #[error("{0}")]
    Immutable(String),
}

impl DomainError {
    /// An [`DomainError::Invalid`] for `field`.
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), problem: problem.into() }
    }
}
