//! Dataset versions and their contracts: what each column is, and whether it is known before the decision.

pub mod profile;
pub mod record;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::DomainError;
use crate::frame::{ColumnType, Field};

/// When the value of a column becomes known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// Before the decision: a model may use it.
    Before,
    /// Only after the decision: a model that uses it leaks.
    After,
}

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum ColumnRole {
    /// An attribute of the unit or the moment.
    #[default]
    Feature,
    /// The event time by which history is walked forward.
    Time,
    /// What happened.
    Outcome,
}

/// What one column must look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnContract {
    /// Number or text.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Before or after the decision.
    pub known: Known,
    /// What it is for.
    #[serde(default)]
    pub role: ColumnRole,
    /// What it means, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Smallest number allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest number allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Texts allowed; empty allows all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Whether a value may be missing.
    #[serde(default)]
    pub nullable: bool,
}

/// A data set as its owner writes it: a file and the contract that it must meet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetSpec {
    /// Where the data came from and under which licence.
    pub description: String,
    /// SPDX identifier or name of the licence.
    pub licence: String,
    /// Parquet file, relative to the manifest; uploaded and addressed by its digest.
    pub file: String,
    /// SHA-256 of the file, filled in by `greenlight apply`.
    #[serde(default)]
    pub sha256: String,
    /// Text of the outcome column that counts as 1.
    pub positive: String,
    /// Contract by column name.
    pub contract: BTreeMap<String, ColumnContract>,
}

impl DatasetSpec {
    /// Checks the spec by itself: one time column, one outcome, ranges the right way round.
    pub fn validate(&self) -> Result<(), DomainError> {
        for role in [ColumnRole::Time, ColumnRole::Outcome] {
            let count = self.contract.values().filter(|c| c.role == role).count();
            if count != 1 {
                let problem = format!("needs exactly one column of role {role:?}, found {count}");
                return Err(DomainError::invalid("contract", problem));
            }
        }
        for (name, column) in &self.contract {
            if let (Some(min), Some(max)) = (column.min, column.max)
                && min > max
            {
                return Err(DomainError::invalid(format!("contract.{name}"), "min is greater than max"));
            }
        }
        Ok(())
    }

    /// Refuses a version that was registered without a contract where one is needed.
    pub fn check_has_contract(&self, reference: &str) -> Result<(), DomainError> {
        if !self.contract.is_empty() {
            return Ok(());
        }
        let problem = format!(
            "{reference} has no contract, so nobody knows what is known before the decision; describe it in a manifest \
             of kind Dataset and apply that"
        );
        Err(DomainError::invalid("dataset", problem))
    }

    /// Name of the column with that role.
    pub fn column_of(&self, role: ColumnRole) -> Option<&str> {
        self.contract.iter().find(|(_, c)| c.role == role).map(|(name, _)| name.as_str())
    }

    /// The features that are known before the decision, in name order: what an endpoint may ask its clients for.
    pub fn decision_time_features(&self) -> Arc<[Field]> {
        self.contract
            .iter()
            .filter(|(_, c)| c.role == ColumnRole::Feature && c.known == Known::Before)
            .map(|(name, c)| Field { name: name.as_str().into(), column_type: c.column_type })
            .collect()
    }
}

/// How a data set met its contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContractReport {
    /// Rows read.
    pub rows: u64,
    /// What was violated: column, rule and how many rows.
    pub violations: Vec<String>,
}

impl ContractReport {
    /// True when every expectation was met.
    pub fn passed(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Checks the values of one chunk of a column against its contract; returns violations as rule and count.
pub fn check_column(
    name: &str,
    column: &crate::frame::Column,
    contract: &ColumnContract,
) -> Vec<(String, u64)> {
    use crate::frame::Column;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut note = |rule: String| *counts.entry(rule).or_default() += 1;
    match column {
        Column::Number(values) => {
            for value in values {
                if value.is_nan() {
                    if !contract.nullable {
                        note(format!("{name} is missing"));
                    }
                } else if contract.min.is_some_and(|min| *value < min) {
                    note(format!("{name} is below {}", contract.min.unwrap_or_default()));
                } else if contract.max.is_some_and(|max| *value > max) {
                    note(format!("{name} is above {}", contract.max.unwrap_or_default()));
                }
            }
        }
        Column::Text(values) => {
            for value in values {
                match value {
                    None if !contract.nullable => note(format!("{name} is missing")),
                    Some(text)
                        if !contract.values.is_empty()
                            && !contract.values.iter().any(|v| v == text.as_ref()) =>
                    {
                        note(format!("{name} holds a value that the contract does not list"));
                    }
                    _ => {}
                }
            }
        }
    }
    counts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Column;

    #[test]
    fn a_column_is_checked_for_missing_range_and_values() {
        let contract = ColumnContract {
            column_type: ColumnType::Number,
            known: Known::Before,
            role: ColumnRole::Feature,
            description: None,
            min: Some(0.0),
            max: Some(10.0),
            values: vec![],
            nullable: false,
        };
        let found = check_column("age", &Column::Number(vec![1.0, -1.0, f64::NAN, 11.0, -2.0]), &contract);
        assert_eq!(
            found,
            vec![
                ("age is above 10".to_owned(), 1),
                ("age is below 0".to_owned(), 2),
                ("age is missing".to_owned(), 1)
            ]
        );
        let listed = ColumnContract { values: vec!["a".into()], column_type: ColumnType::Text, ..contract };
        let found = check_column("job", &Column::Text(vec![Some("a".into()), Some("b".into())]), &listed);
        assert_eq!(found.len(), 1);
    }
}
