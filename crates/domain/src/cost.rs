//! What an initiative costs to run, as its owner states it. Each line is accrued by day into the ledger.

use serde::{Deserialize, Serialize};

use crate::DomainError;
use crate::money::Amount;

/// One line of cost, in the initiative's currency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostLine {
    /// What is paid for.
    pub name: String,
    /// For a month of 365.25 / 12 days.
    #[serde(default)]
    pub per_month: Amount,
    /// For a thousand predictions.
    #[serde(default)]
    pub per_thousand_predictions: Amount,
}

impl CostLine {
    /// Refuses negative amounts.
    pub fn validate(&self) -> Result<(), DomainError> {
        if self.per_month.0 < 0 || self.per_thousand_predictions.0 < 0 {
            return Err(DomainError::invalid(format!("costs.{}", self.name), "a cost cannot be negative"));
        }
        Ok(())
    }
}

/// Minor units that `lines` cost over `days` with `predictions`, rounded half up once at the end.
///
/// Worked example: €1,200 a month for 7 days is 120,000 × 7 / 30.4375 = 27,597.5… → 27,598 cents.
pub fn accrue(lines: &[CostLine], days: u32, predictions: u64) -> i64 {
    // In integers: a month is 48 / 1461 of a day's share (365.25 / 12 = 1461 / 48 days).
    let mut thousandths: i128 = 0;
    for line in lines {
        thousandths += i128::from(line.per_month.0) * i128::from(days) * 48 * 1_000 / 1_461;
        thousandths += i128::from(line.per_thousand_predictions.0) * i128::from(predictions);
    }
    i64::try_from((thousandths + 500).div_euclid(1_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_of_a_monthly_line_and_some_predictions() {
        let month = CostLine {
            name: "analyst".into(),
            per_month: Amount(120_000),
            per_thousand_predictions: Amount(0),
        };
        assert_eq!(accrue(std::slice::from_ref(&month), 7, 0), 27_598);
        let serving =
            CostLine { name: "serving".into(), per_month: Amount(0), per_thousand_predictions: Amount(40) };
        assert_eq!(accrue(&[serving], 7, 12_500), 500);
        assert_eq!(accrue(&[month], 0, 0), 0);
    }
}
