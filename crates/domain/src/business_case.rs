//! A business case: a dated forecast, low / expected / high. Never edited, only superseded.

use serde::{Deserialize, Serialize};

use crate::DomainError;
use crate::money::Amount;
use crate::time::Micros;

/// Where the money would come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// More comes in.
    Revenue,
    /// Less goes out.
    Saving,
}

/// A forecast as it was dated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusinessCaseSpec {
    /// Which initiative.
    pub initiative: String,
    /// The day it was made; what was known later must not be in it.
    pub dated: Micros,
    /// First day that it speaks of.
    pub starts: Micros,
    /// Days that it speaks of.
    pub horizon_days: u32,
    /// Revenue or saving.
    pub effect: Effect,
    /// One in ten cases should end below.
    pub low: Amount,
    /// The middle.
    pub expected: Amount,
    /// One in ten cases should end above.
    pub high: Amount,
    /// What the figures rest on.
    pub drivers: Vec<String>,
}

impl BusinessCaseSpec {
    /// Checks order and horizon.
    pub fn validate(&self) -> Result<(), DomainError> {
        if !(self.low <= self.expected && self.expected <= self.high) {
            return Err(DomainError::invalid("expected", "must lie between low and high"));
        }
        if self.horizon_days == 0 || self.horizon_days > 3_650 {
            return Err(DomainError::invalid("horizon_days", "must be between 1 and 3650"));
        }
        if self.dated > self.starts {
            return Err(DomainError::invalid(
                "dated",
                "lies after the first day that the forecast speaks of",
            ));
        }
        Ok(())
    }

    /// The share of the horizon that has passed at `at`, from 0 to 1.
    pub fn elapsed(&self, at: Micros) -> f64 {
        let horizon = f64::from(self.horizon_days) * crate::time::DAY_US as f64;
        ((at.0 - self.starts.0) as f64 / horizon).clamp(0.0, 1.0)
    }

    /// Low, expected and high accumulated evenly until `at`, in minor units.
    pub fn until(&self, at: Micros) -> [f64; 3] {
        let share = self.elapsed(at);
        [self.low, self.expected, self.high].map(|amount| amount.0 as f64 * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forecast_accrues_evenly_and_stops_at_its_horizon() {
        let case = BusinessCaseSpec {
            initiative: "calls".into(),
            dated: "2008-10-31".parse().unwrap(),
            starts: "2009-05-01".parse().unwrap(),
            horizon_days: 100,
            effect: Effect::Saving,
            low: Amount(100),
            expected: Amount(1_000),
            high: Amount(2_000),
            drivers: vec![],
        };
        case.validate().unwrap();
        assert_eq!(case.until(case.starts.plus_days(50)), [50.0, 500.0, 1_000.0]);
        assert_eq!(case.until(case.starts.plus_days(-1)), [0.0; 3]);
        assert_eq!(case.until(case.starts.plus_days(400)), [100.0, 1_000.0, 2_000.0]);
        assert!(BusinessCaseSpec { low: Amount(1_500), ..case }.validate().is_err());
    }
}
