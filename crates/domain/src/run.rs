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
/// `place` says where it stands, `what` it is called when it is too long.
pub fn check_key(place: &str, what: &str, key: &str) -> Result<(), DomainError> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '/' | ':');
    if !key.chars().all(allowed) {
        return Err(DomainError::Worded(format!(
            "Invalid value {} for parameter '{place}' supplied: Names may only contain alphanumerics, underscores (_), \
             dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).",
            shown(key)
        )));
    }
    is_path_below(place, key)?;
    check_words(what, key, MAX_KEY)
}

/// Refuses a name that, read as a path, is another one or leads out of its folder.
pub fn is_path_below(place: &str, name: &str) -> Result<(), DomainError> {
    let normal = normal_path(name);
    if normal == name && normal != "." && !normal.starts_with("..") && !normal.starts_with('/') {
        return Ok(());
    }
    Err(DomainError::Worded(format!(
        "Invalid value {} for parameter '{place}' supplied: Names may be treated as files in certain cases, and must not \
         resolve to other names when treated as such. This name would resolve to '{normal}'",
        shown(name)
    )))
}

/// A path without `.`, `..` and doubled slashes, as POSIX resolves it where there are no links.
fn normal_path(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// Checks the length of a text, in characters, in MLflow's words.
pub fn check_words(what: &str, text: &str, most: usize) -> Result<(), DomainError> {
    // A character takes a byte at least.
    if text.len() <= most || text.chars().count() <= most {
        return Ok(());
    }
    Err(DomainError::Worded(format!("'{what}' exceeds the maximum length of {most} characters")))
}

/// As JSON, cut where it is long.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(300).collect();
    serde_json::Value::from(cut).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_words_and_paths_below() {
        for key in ["auc", "val/auc:1", "größe 2", "a.b-c_d"] {
            assert_eq!(check_key("key", "Key", key), Ok(()), "{key}");
        }
        for key in ["", "/a", "a/", "a//b", "../a", "a/./b", "a*b", "a\nb", "a,b"] {
            assert!(check_key("key", "Key", key).is_err(), "{key}");
        }
        assert_eq!(check_key("key", "Key", &"é".repeat(MAX_KEY)), Ok(()));
        assert!(check_key("key", "Key", &"e".repeat(MAX_KEY + 1)).is_err());
    }

    #[test]
    fn a_status_is_read_as_it_is_written() {
        for status in RunStatus::ALL {
            assert_eq!(status.to_string().parse(), Ok(status));
        }
        assert!("running".parse::<RunStatus>().is_err());
    }
}
