//! Evidence: the immutable result of a gate, and the grade of a money figure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::DomainError;

/// How a money figure is known. Only [`Grade::A`] counts as earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Grade {
    /// Randomised on live traffic.
    A,
    /// Estimated off-policy or from shadow.
    B,
    /// Backtest on history.
    C,
    /// Asserted in a business case.
    D,
}

impl Grade {
    /// What the letter means.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::A => "randomised on live traffic",
            Self::B => "estimated off-policy or from shadow",
            Self::C => "backtest on history",
            Self::D => "asserted in a business case",
        }
    }
}

impl FromStr for Grade {
    type Err = DomainError;

    fn from_str(letter: &str) -> Result<Self, Self::Err> {
        let all = [Self::A, Self::B, Self::C, Self::D];
        all.into_iter().find(|grade| grade.to_string() == letter).ok_or_else(|| {
            DomainError::invalid("grade", format!("'{letter}' is not a grade; use A, B, C or D"))
        })
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The gates that a release passes, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// Features known at decision time; no overlap of training and test windows.
    Contract,
    /// Month by month on data after the training window.
    History,
    /// Beside live traffic.
    Shadow,
}

impl Gate {
    /// The word in tables and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contract => "contract",
            Self::History => "history",
            Self::Shadow => "shadow",
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One requirement of a gate: what was asked, what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What is required, in words with the threshold.
    pub requirement: String,
    /// What was found.
    pub found: String,
    /// Whether it is met.
    pub passed: bool,
}

impl Check {
    /// A check from its parts.
    pub fn new(requirement: impl Into<String>, found: impl Into<String>, passed: bool) -> Self {
        Self { requirement: requirement.into(), found: found.into(), passed }
    }
}

/// What a gate found out. Once stored it is never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    /// Which gate.
    pub gate: Gate,
    /// Whether every check is met.
    pub passed: bool,
    /// One sentence: why it passed or what stopped it.
    pub summary: String,
    /// The requirements one by one.
    pub checks: Vec<Check>,
    /// The numbers, by month or feature.
    pub detail: serde_json::Value,
}

impl GateResult {
    /// Gathers checks: passes when all do; the summary of a failure names each failed requirement.
    pub fn gather(gate: Gate, praise: String, checks: Vec<Check>, detail: serde_json::Value) -> Self {
        let failed: Vec<String> =
            checks.iter().filter(|c| !c.passed).map(|c| format!("{}: {}", c.requirement, c.found)).collect();
        let passed = failed.is_empty();
        let summary = if passed { praise } else { failed.join("; ") };
        Self { gate, passed, summary, checks, detail }
    }

    /// SHA-256 over its canonical JSON, so that a later change would show.
    pub fn digest(&self) -> String {
        // serde_json keeps struct order and sorts maps: the text is canonical for one build of the type.
        let text = serde_json::to_vec(self).unwrap_or_default();
        hex(&Sha256::digest(&text))
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
