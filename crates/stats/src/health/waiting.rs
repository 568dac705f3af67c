//! Whether enough time has passed. Owns the count of whole weeks and the share of outcomes that can still
//! arrive; refuses the clock, which the caller reads.

use crate::StatsError;

const DAYS_PER_WEEK: u32 = 7;

/// The result of [`runtime`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runtime {
    /// Days that were seen from their beginning to their end.
    pub full_days: u32,
    /// Whole weeks in them.
    pub whole_weeks: u32,
    /// The days that a verdict may use, from the first on: whole weeks only, so that every weekday counts
    /// equally.
    pub days_to_use: u32,
    /// The least number of whole weeks.
    pub least_weeks: u32,
    /// Whether fewer whole weeks were seen.
    pub blocks: bool,
}

/// Units of one group, and how many of them are past the age at which outcomes are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arm {
    /// Units.
    pub units: u64,
    /// Units whose outcome is final; at most `units`.
    pub mature: u64,
}

/// The result of [`maturity`].
#[derive(Debug, Clone, PartialEq)]
pub struct Maturity {
    /// The share of immature units in each group, in the order given.
    pub immature_share: Vec<f64>,
    /// The largest of them.
    pub worst: f64,
    /// The tolerated share.
    pub tolerated: f64,
    /// Whether the worst exceeds what is tolerated.
    pub blocks: bool,
}

/// Whether the test has run for the least number of whole weeks.
///
/// Weekdays differ in who comes and what they buy, so part of a week weights the answer towards some of them
/// (Kohavi, Tang & Xu, Trustworthy Online Controlled Experiments, 2020, chapter 2). The days beyond the last
/// whole week are not to be used.
///
/// Worked example: 17 full days are 2 whole weeks, of which 14 days may be used.
pub fn runtime(full_days: u32, least_weeks: u32) -> Runtime {
    let whole_weeks = full_days / DAYS_PER_WEEK;
    Runtime {
        full_days,
        whole_weeks,
        days_to_use: whole_weeks * DAYS_PER_WEEK,
        least_weeks,
        blocks: whole_weeks < least_weeks,
    }
}

/// Whether the share of units whose outcome may still change is at most `tolerated` in every group.
///
/// An immature unit counts as less than it will be, and it biases a comparison when the groups' units differ
/// in age, as in a rollout. There is no sampling in this count, so there is no test.
///
/// Worked example: groups of 1,000 units with 990 and 960 mature ones have immature shares of 0.01 and 0.04;
/// the worst blocks when 0.02 is tolerated.
///
/// Errors: `Empty` without groups or with an empty group; `OutOfRange` for more mature units than units, and
/// for `tolerated` outside `[0, 1]`.
pub fn maturity(arms: &[Arm], tolerated: f64) -> Result<Maturity, StatsError> {
    if !(0.0..=1.0).contains(&tolerated) {
        return Err(StatsError::OutOfRange { name: "tolerated", value: tolerated });
    }
    if arms.is_empty() || arms.iter().any(|arm| arm.units == 0) {
        return Err(StatsError::Empty);
    }
    if let Some(arm) = arms.iter().find(|arm| arm.mature > arm.units) {
        return Err(StatsError::OutOfRange { name: "mature", value: arm.mature as f64 });
    }
    let immature_share: Vec<f64> =
        arms.iter().map(|arm| (arm.units - arm.mature) as f64 / arm.units as f64).collect();
    let worst = immature_share.iter().copied().fold(0.0, f64::max);
    Ok(Maturity { immature_share, worst, tolerated, blocks: worst > tolerated })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_examples() {
        let found = runtime(17, 2);
        assert_eq!((found.whole_weeks, found.days_to_use, found.blocks), (2, 14, false));
        assert!(runtime(13, 2).blocks);
        let arms = [Arm { units: 1_000, mature: 990 }, Arm { units: 1_000, mature: 960 }];
        let found = maturity(&arms, 0.02).unwrap();
        assert_eq!(found.immature_share, [0.01, 0.04]);
        assert!(found.blocks);
        assert!(!maturity(&arms, 0.04).unwrap().blocks);
    }

    #[test]
    fn what_it_refuses() {
        assert_eq!(maturity(&[], 0.1), Err(StatsError::Empty));
        assert_eq!(maturity(&[Arm { units: 0, mature: 0 }], 0.1), Err(StatsError::Empty));
        assert!(maturity(&[Arm { units: 1, mature: 2 }], 0.1).is_err());
        assert!(maturity(&[Arm { units: 1, mature: 1 }], f64::NAN).is_err());
        assert_eq!(runtime(u32::MAX, 1).whole_weeks, u32::MAX / 7);
    }
}
