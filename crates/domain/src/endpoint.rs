//! An endpoint: what a client calls. It asks for the decision-time columns of a data set and always has a holdout.

use serde::{Deserialize, Serialize};

use crate::DomainError;
use crate::assignment::AssignmentSpec;
use crate::decision::DecisionSpec;
use crate::log::LogSpec;

/// The business without the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldoutRule {
    /// The rule in words, as pages show it.
    pub title: String,
    /// What it decides for every unit.
    pub decision: String,
}

/// An endpoint as its owner writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSpec {
    /// Which initiative its money belongs to.
    pub initiative: String,
    /// `name@version` of the data set whose decision-time columns a request carries.
    pub dataset: String,
    /// `name@version` of the policy that a release must pass.
    pub policy: String,
    /// Request column that names the unit of assignment.
    pub unit: String,
    /// Request column with the event time, for replays; without it the server's clock counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<String>,
    /// The business without the model.
    pub holdout: HoldoutRule,
    /// Who gets which variant, beside what rollouts decide.
    #[serde(default, skip_serializing_if = "is_default")]
    pub assignment: AssignmentSpec,
    /// How a score becomes a decision.
    #[serde(default, skip_serializing_if = "is_default")]
    pub decision: DecisionSpec,
    /// What is logged, and for how long.
    #[serde(default, skip_serializing_if = "is_default")]
    pub log: LogSpec,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Most bytes that a name may have; it becomes a folder and a path of an URL.
pub const MAX_NAME: usize = 100;

/// Refuses a name that could not be a folder, a path of an URL and a word in a command alike.
pub fn check_name(field: &str, name: &str) -> Result<(), DomainError> {
    let fits = !name.is_empty()
        && name.len() <= MAX_NAME
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        && name.as_bytes()[0].is_ascii_alphanumeric();
    if fits {
        return Ok(());
    }
    let shown: String = name.chars().take(MAX_NAME).collect();
    let problem =
        format!("'{shown}' must be 1 to {MAX_NAME} of a-z, 0-9, - and _, starting with a letter or digit");
    Err(DomainError::invalid(field, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_folder() {
        assert!(check_name("name", "term-deposit-calls").is_ok());
        for bad in ["", "../x", "a/b", "A", "-x", "a b", ".hidden", &"x".repeat(101)] {
            assert!(check_name("name", bad).is_err(), "{bad}");
        }
    }
}
