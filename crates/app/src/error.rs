//! What a use case can answer instead of a result. Surfaces map `kind` to a status and show `code` and message.

use greenlight_domain::DomainError;
use greenlight_domain::role::{Action, Actor};
use greenlight_store::StoreError;
use thiserror::Error;

use crate::lake::LakeError;
use crate::runtime::RuntimeError;

/// What a caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Say who you are.
    Unauthenticated,
    /// Somebody else may.
    Forbidden,
    /// Look for another name.
    NotFound,
    /// Mend the request.
    Invalid,
    /// Look at the present state first.
    Conflict,
    /// Ask more slowly.
    TooMany,
    /// Try again later.
    Unavailable,
    /// Tell the operator.
    Internal,
}

/// A failed use case.
#[derive(Debug, Error)]
pub enum AppError {
    /// No token, an unknown one or a revoked one.
    #[error("a valid bearer token is needed: send 'Authorization: Bearer gl_…'")]
    Unauthenticated,
    /// The role does not allow it.
    #[error("{actor} is {role} and may not do this; it needs {needed}")]
    Forbidden {
        /// Who asked.
        actor: String,
        /// In which role.
        role: &'static str,
        /// Roles that may.
        needed: String,
    },
    /// There is no such thing.
    #[error("there is no {what} '{name}'{hint}")]
    NotFound {
        /// Which noun.
        what: &'static str,
        /// The name asked for.
        name: String,
        /// How to find the right one; begins with a separator.
        hint: String,
    },
    /// The request cannot be right.
    #[error("{0}")]
    Invalid(String),
    /// The present state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// The token asked more often than it may.
    #[error(
        "this token may send {per_second} requests a second and sent more; wait a second, or ask an admin for a token with a higher --rate"
    )]
    TooMany {
        /// What it may send.
        per_second: u32,
    },
    /// Nothing was done; later it may be.
    #[error("{0}")]
    Unavailable(String),
    /// Something that should not happen.
    #[error("{0}")]
    Internal(String),
}

impl AppError {
    /// A [`AppError::NotFound`] with a hint such as `; list them with 'greenlight release list'`.
    pub fn not_found(what: &'static str, name: &str, hint: &str) -> Self {
        let name = name.chars().take(120).collect();
        let hint = if hint.is_empty() { String::new() } else { format!("; {hint}") };
        Self::NotFound { what, name, hint }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unauthenticated => Kind::Unauthenticated,
            Self::Forbidden { .. } => Kind::Forbidden,
            Self::NotFound { .. } => Kind::NotFound,
            Self::Invalid(_) => Kind::Invalid,
            Self::Conflict(_) => Kind::Conflict,
            Self::TooMany { .. } => Kind::TooMany,
            Self::Unavailable(_) => Kind::Unavailable,
            Self::Internal(_) => Kind::Internal,
        }
    }

    /// A stable code with a help page: `greenlight explain GL0003`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "GL0001",
            Self::Forbidden { .. } => "GL0002",
            Self::NotFound { .. } => "GL0003",
            Self::Invalid(_) => "GL0004",
            Self::Conflict(_) => "GL0005",
            Self::Unavailable(_) => "GL0006",
            Self::Internal(_) => "GL0007",
            Self::TooMany { .. } => "GL0008",
        }
    }
}

impl From<DomainError> for AppError {
    fn from(error: DomainError) -> Self {
        match error {
            DomainError::Stage(message) | DomainError::Immutable(message) => Self::Conflict(message),
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<greenlight_stats::StatsError> for AppError {
    fn from(error: greenlight_stats::StatsError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => {
                Self::Conflict("somebody else made the same change first; look again".to_owned())
            }
            StoreError::MissingReference => {
                Self::Invalid("it refers to something that does not exist; apply that first".to_owned())
            }
            StoreError::Database(_) => Self::Unavailable(error.to_string()),
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<LakeError> for AppError {
    fn from(error: LakeError) -> Self {
        match error {
            LakeError::Unavailable(_) => Self::Unavailable(error.to_string()),
            LakeError::Corrupt(_) | LakeError::Schema(_) => Self::Invalid(error.to_string()),
            LakeError::Storage(_) | LakeError::Repeated(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<RuntimeError> for AppError {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Upstream(_) => Self::Unavailable(error.to_string()),
            other => Self::Invalid(other.to_string()),
        }
    }
}

/// Refuses what the actor's role does not allow.
pub fn allow(actor: &Actor, action: Action) -> Result<(), AppError> {
    if actor.role.may(action) {
        return Ok(());
    }
    Err(AppError::Forbidden {
        actor: actor.name.clone(),
        role: actor.role.as_str(),
        needed: action.needed_roles(),
    })
}
