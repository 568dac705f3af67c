//! Why a verb did not succeed, and the exit code that scripts see.

use std::process::ExitCode;

use greenlight_app::{AppError, Kind};
use serde_json::json;
use thiserror::Error;

/// The request or the manifest is wrong.
pub(crate) const INVALID: u8 = 2;
/// No token, or not allowed.
pub(crate) const DENIED: u8 = 3;
/// No such thing.
pub(crate) const NOT_FOUND: u8 = 4;
/// The present state does not allow it.
pub(crate) const CONFLICT: u8 = 5;
/// The server does not answer or says to try again.
pub(crate) const UNAVAILABLE: u8 = 6;
/// A defect.
pub(crate) const INTERNAL: u8 = 1;

/// A failed verb.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The server said no.
    #[error("{detail}")]
    Server { status: u16, code: String, detail: String },
    /// A use case of our own process said no.
    #[error(transparent)]
    App(#[from] AppError),
    /// Something in the arguments, a file or a manifest.
    #[error("{0}")]
    Input(String),
    /// Some of it was done; the report, which was printed, says what was not.
    #[error("{0}")]
    Partly(&'static str),
    /// The server cannot be reached.
    #[error("{0}")]
    Unreachable(String),
}

impl Failure {
    fn exit(&self) -> u8 {
        match self {
            Self::Server { status, .. } => match status {
                401 | 403 => DENIED,
                404 => NOT_FOUND,
                409 => CONFLICT,
                429 | 503 => UNAVAILABLE,
                400..=499 => INVALID,
                _ => INTERNAL,
            },
            Self::App(error) => match error.kind() {
                Kind::Unauthenticated | Kind::Forbidden => DENIED,
                Kind::NotFound => NOT_FOUND,
                Kind::Invalid => INVALID,
                Kind::Conflict => CONFLICT,
                Kind::TooMany | Kind::Unavailable => UNAVAILABLE,
                Kind::Internal => INTERNAL,
            },
            Self::Input(_) | Self::Partly(_) => INVALID,
            Self::Unreachable(_) => UNAVAILABLE,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Server { code, .. } => code,
            Self::App(error) => error.code(),
            Self::Input(_) | Self::Partly(_) => "GL0004",
            Self::Unreachable(_) => "GL0006",
        }
    }

    /// Prints the failure and gives the exit code.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        if json {
            // One answer: the report was that.
            if matches!(self, Self::Partly(_)) {
                return ExitCode::from(self.exit());
            }
            println!("{}", json!({ "error": self.to_string(), "code": self.code() }));
        } else {
            eprintln!("error: {self}");
            eprintln!("       more about {}: greenlight explain {}", self.code(), self.code());
        }
        ExitCode::from(self.exit())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Input(error.to_string())
    }
}
