//! Runs of experiments: MLflow's words and bounds.
//!
//! Owns what a key, a value and a batch may be. The bounds are MLflow's own, so that a client that was written for its
//! server meets no other.

use std::fmt;
use std::str::FromStr;

use crate::DomainError;

/// Most metrics of one batch, and most entities of all kinds.
pub const MAX_BATCH: usize = 1_000;
/// Most parameters, and most tags, of one batch.
pub const MAX_BATCH_PAIRS: usize = 100;
/// Longest key, in characters.
pub const MAX_KEY: usize = 250;
/// Longest value of a parameter, in characters.
pub const MAX_PARAM_VALUE: usize = 6_000;
/// Longest value of a run's tag, in characters.
pub const MAX_TAG_VALUE: usize = 8_000;
/// Longest value of an experiment's tag, in characters.
pub const MAX_EXPERIMENT_TAG_VALUE: usize = 20_000;
/// Longest name of an experiment, in characters.
pub const MAX_EXPERIMENT_NAME: usize = 500;
/// Longest place for artifacts, in characters.
pub const MAX_LOCATION: usize = 2_048;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// It goes on.
    Running,
    /// It waits for its turn.
    Scheduled,
    /// It ended well.
    Finished,
    /// It ended with an error.
    Failed,
    /// Somebody ended it.
    Killed,
}

impl RunStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Running, Self::Scheduled, Self::Finished, Self::Failed, Self::Killed];

    /// MLflow's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Scheduled => "SCHEDULED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RunStatus {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.into_iter().map(Self::as_str).collect();
            DomainError::invalid("status", format!("'{text}' is none of {}", words.join(", ")))
        })
    }
}

/// Checks the key of a metric, parameter or tag: it also names a file in MLflow's folders, so it may not leave its own.
/// `field` says where it stands.
pub fn check_key(field: &str, key: &str) -> Result<(), DomainError> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '/' | ':');
    if key.is_empty() || !key.chars().all(allowed) {
        return Err(DomainError::invalid(
            field,
            format!(
                "'{}' must be letters, digits, underscores, dashes, periods, spaces, colons and slashes",
                shortened(key)
            ),
        ));
    }
    if leaves_its_folder(key) {
        return Err(DomainError::invalid(
            field,
            format!("'{}' must be a path below where it stands, without '..' and '//'", shortened(key)),
        ));
    }
    check_length(field, key, MAX_KEY)
}

/// Checks the length of a text, in characters.
pub fn check_length(field: &str, text: &str, most: usize) -> Result<(), DomainError> {
    // A character takes a byte at least.
    if text.len() <= most {
        return Ok(());
    }
    let length = text.chars().count();
    if length <= most {
        return Ok(());
    }
    Err(DomainError::invalid(field, format!("has {length} characters; at most {most} are taken")))
}

fn leaves_its_folder(key: &str) -> bool {
    key.starts_with('/') || key.ends_with('/') || key.split('/').any(|part| matches!(part, "" | "." | ".."))
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_words_and_paths_below() {
        for key in ["auc", "val/auc:1", "größe 2", "a.b-c_d"] {
            assert_eq!(check_key("key", key), Ok(()), "{key}");
        }
        for key in ["", "/a", "a/", "a//b", "../a", "a/./b", "a*b", "a\nb", "a,b"] {
            assert!(check_key("key", key).is_err(), "{key}");
        }
        assert_eq!(check_key("key", &"é".repeat(MAX_KEY)), Ok(()));
        assert!(check_key("key", &"e".repeat(MAX_KEY + 1)).is_err());
    }

    #[test]
    fn a_status_is_read_as_it_is_written() {
        for status in RunStatus::ALL {
            assert_eq!(status.to_string().parse(), Ok(status));
        }
        assert!("running".parse::<RunStatus>().is_err());
    }
}
