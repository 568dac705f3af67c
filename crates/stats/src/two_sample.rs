//! Treatment against control, looked at once: Welch's test for means, absolute and relative, and the z-test
//! for two proportions. Owns fixed-sample intervals and p-values; refuses repeated looks, under which their
//! error rate grows from 5 % to 25 % over 20 looks ([`crate::confidence_sequence`] holds there), and paired
//! or clustered units.
//!
//! Differences are treatment minus control. Every function answers `OutOfRange` for a `level` not strictly
//! between 0 and 1, for a group too small, and for data without any variance, where no interval can be
//! formed.

use crate::{Interval, StatsError, check, distribution, moments::Moments};

/// A difference with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The difference and its ends.
    pub interval: Interval,
    /// The standard error of the difference, in its unit.
    pub standard_error: f64,
    /// Degrees of freedom of the t distribution; infinite where the normal distribution was used.
    pub degrees_of_freedom: f64,
    /// The two-sided p-value of no difference.
    pub p_value: f64,
}

/// Positives among units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proportion {
    /// Units with a positive outcome; at most `n`.
    pub positives: u64,
    /// Units.
    pub n: u64,
}

/// Difference of means, in the unit of the values, without assuming equal variances (Welch, Biometrika 1947).
///
/// Standard error `sqrt(v1 / n1 + v2 / n2)` and degrees of freedom by Satterthwaite's formula.
///
/// Worked example (gbstats 0.8.0): control `n = 3407, sum = 1396.87, sum_squares = 52377.9767` and treatment
/// `n = 3461, sum = 2422.7, sum_squares = 134698.29` differ by 0.29, interval `[0.04538, 0.53462]`, p
/// 0.02016.
///
/// Errors: `OutOfRange` with fewer than two units in a group, or values that were not finite.
pub fn welch_absolute(control: &Moments, treatment: &Moments, level: f64) -> Result<Comparison, StatsError> {
    let (control, treatment) = (Group::from_moments(control)?, Group::from_moments(treatment)?);
    let variance = control.variance_of_mean + treatment.variance_of_mean;
    compare(treatment.mean - control.mean, variance, satterthwaite(&control, &treatment), level)
}

/// Relative difference of means, `treatment / control - 1`, by the delta method.
///
/// Variance `v2 / (n2 m1^2) + v1 m2^2 / (n1 m1^4)` (Deng, Knoblich & Lu, KDD 2018), degrees of freedom as for
/// [`welch_absolute`]. The linearisation is sound when the control mean is many standard errors from 0.
///
/// Worked example (gbstats 0.8.0): for the groups above, 0.70732 with the interval `[-0.03526, 1.44989]`, p
/// 0.06191.
///
/// Errors: as [`welch_absolute`], and `OutOfRange` when the control mean is 0.
pub fn welch_relative(control: &Moments, treatment: &Moments, level: f64) -> Result<Comparison, StatsError> {
    let (control, treatment) = (Group::from_moments(control)?, Group::from_moments(treatment)?);
    if control.mean.abs() <= 0.0 {
        return Err(StatsError::OutOfRange { name: "control mean", value: control.mean });
    }
    let ratio = treatment.mean / control.mean;
    let variance = (treatment.variance_of_mean + control.variance_of_mean * ratio * ratio)
        / (control.mean * control.mean);
    let difference = (treatment.mean - control.mean) / control.mean;
    compare(difference, variance, satterthwaite(&control, &treatment), level)
}

/// Difference of two proportions by the z-test with unpooled variance, `p1 (1 - p1) / n1 + p2 (1 - p2) / n2`
/// (Fleiss, Levin & Paik, Statistical Methods for Rates and Proportions, 2003), as a share in `[-1, 1]`.
///
/// Worked example (spotify-confidence 4.1.0): 1,000 of 20,000 against 1,100 of 20,000 differ by 0.005,
/// interval `[0.000629, 0.009371]`, p 0.024964.
///
/// Errors: `OutOfRange` for an empty group or more positives than units.
pub fn proportions(control: Proportion, treatment: Proportion, level: f64) -> Result<Comparison, StatsError> {
    let (control, treatment) = (Group::from_proportion(control)?, Group::from_proportion(treatment)?);
    let variance = control.variance_of_mean + treatment.variance_of_mean;
    compare(treatment.mean - control.mean, variance, f64::INFINITY, level)
}

struct Group {
    n: f64,
    mean: f64,
    variance_of_mean: f64,
}

impl Group {
    fn from_moments(moments: &Moments) -> Result<Self, StatsError> {
        let n = moments.n as f64;
        let too_few = StatsError::OutOfRange { name: "units in a group", value: n };
        let not_finite = StatsError::OutOfRange { name: "sum of a group", value: moments.sum };
        if moments.n < 2 {
            return Err(too_few);
        }
        let mean = moments.mean().ok_or(not_finite)?;
        let variance = moments.variance().ok_or(not_finite)?;
        Ok(Self { n, mean, variance_of_mean: variance / n })
    }

    fn from_proportion(proportion: Proportion) -> Result<Self, StatsError> {
        let n = proportion.n as f64;
        if proportion.n == 0 {
            return Err(StatsError::OutOfRange { name: "units in a group", value: n });
        }
        if proportion.positives > proportion.n {
            return Err(StatsError::OutOfRange { name: "positives", value: proportion.positives as f64 });
        }
        let mean = proportion.positives as f64 / n;
        Ok(Self { n, mean, variance_of_mean: mean * (1.0 - mean) / n })
    }
}

fn satterthwaite(control: &Group, treatment: &Group) -> f64 {
    let total = control.variance_of_mean + treatment.variance_of_mean;
    // Shares first: squares of tiny variances would underflow.
    let (a, b) = (control.variance_of_mean / total, treatment.variance_of_mean / total);
    1.0 / (a * a / (control.n - 1.0) + b * b / (treatment.n - 1.0))
}

/// The comparison with this estimate and squared standard error; an infinite `freedom` is the normal
/// distribution.
pub(crate) fn compare(
    estimate: f64,
    variance: f64,
    freedom: f64,
    level: f64,
) -> Result<Comparison, StatsError> {
    check::open_unit("level", level)?;
    check::positive("variance", variance)?;
    let standard_error = variance.sqrt();
    let statistic = estimate / standard_error;
    let (critical, p_value) = if freedom.is_finite() {
        (
            distribution::student_two_sided_critical(level, freedom),
            distribution::student_two_sided_p(statistic, freedom),
        )
    } else {
        (distribution::normal_two_sided_critical(level), distribution::normal_two_sided_p(statistic))
    };
    let half_width = critical * standard_error;
    let interval = Interval { estimate, low: estimate - half_width, high: estimate + half_width, level };
    Ok(Comparison { interval, standard_error, degrees_of_freedom: freedom, p_value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_they_refuse() {
        let fine = Moments::from_values(&[1.0, 2.0, 4.0]);
        let lone = Moments::from_values(&[1.0]);
        let name = |result: Result<Comparison, StatsError>| match result {
            Err(StatsError::OutOfRange { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(welch_absolute(&lone, &fine, 0.95)), "units in a group");
        assert_eq!(name(welch_absolute(&fine, &fine, 1.0)), "level");
        let constant = Moments::from_values(&[2.0, 2.0]);
        assert_eq!(name(welch_absolute(&constant, &constant, 0.95)), "variance");
        let spoiled = Moments::from_values(&[2.0, f64::INFINITY]);
        assert_eq!(name(welch_absolute(&fine, &spoiled, 0.95)), "sum of a group");
        let centred = Moments::from_values(&[-1.0, 1.0]);
        assert_eq!(name(welch_relative(&centred, &fine, 0.95)), "control mean");
        let proportion = |positives, n| Proportion { positives, n };
        assert_eq!(name(proportions(proportion(0, 0), proportion(1, 2), 0.95)), "units in a group");
        assert_eq!(name(proportions(proportion(3, 2), proportion(1, 2), 0.95)), "positives");
        assert_eq!(name(proportions(proportion(0, 2), proportion(2, 2), 0.95)), "variance");
    }
}
