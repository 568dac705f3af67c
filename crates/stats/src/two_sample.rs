//! Treatment against control, looked at once: Welch's test for means, absolute and relative, and the z-test
//! for two proportions. Owns fixed-sample intervals and p-values; refuses repeated looks, under which their
//! error rate grows from 5 % to 25 % over 20 looks ([`crate::confidence_sequence`] holds there), and paired
//! or clustered units ([`crate::ratio`] holds where the outcomes are clustered within the units).
//!
//! Differences are treatment minus control. Every function answers `OutOfRange` for a `level` not strictly
//! between 0 and 1, for a group too small, and for data without any variance, where no interval can be
//! formed.

use crate::{
    Interval, StatsError, check,
    contrast::{self, Contrast, Estimate},
    moments::Moments,
};

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
    Contrast::of(mean_of_group(control)?, mean_of_group(treatment)?).difference(level)
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
    Contrast::of(mean_of_group(control)?, mean_of_group(treatment)?).relative(level)
}

/// Relative difference of means, `treatment / control - 1`, by the delta method on the logarithm of the ratio.
///
/// The logarithm has variance `v1 / (n1 m1^2) + v2 / (n2 m2^2)`; its interval is formed there and carried back,
/// so it never reaches below -1, and swapping the groups turns its ends into their reciprocals. Prefer it to
/// [`welch_relative`] when the means are only a few standard errors from 0; with many the two agree.
/// `standard_error` is that of the logarithm, the p-value that of a ratio of 1, and the degrees of freedom are
/// Satterthwaite's for the two terms.
///
/// Worked example (tea-tasting 1.14.0): control `n = 2023, sum = 10602.6, sum_squares = 243736.4268` and
/// treatment `n = 1977, sum = 11328.43, sum_squares = 278029.8889` differ by 0.093318, interval
/// `[-0.023738, 0.224409]`.
///
/// Errors: as [`welch_absolute`], and `OutOfRange` unless both means are on the same side of 0.
pub fn welch_relative_log(
    control: &Moments,
    treatment: &Moments,
    level: f64,
) -> Result<Comparison, StatsError> {
    Contrast::of(mean_of_group(control)?, mean_of_group(treatment)?).relative_log(level)
}

/// Difference of two proportions by the z-test with unpooled variance, `p1 (1 - p1) / n1 + p2 (1 - p2) / n2`
/// (Fleiss, Levin & Paik, Statistical Methods for Rates and Proportions, 2003), as a share in `[-1, 1]`.
///
/// Worked example (spotify-confidence 4.1.0): 1,000 of 20,000 against 1,100 of 20,000 differ by 0.005,
/// interval `[0.000629, 0.009371]`, p 0.024964.
///
/// Errors: `OutOfRange` for an empty group or more positives than units.
pub fn proportions(control: Proportion, treatment: Proportion, level: f64) -> Result<Comparison, StatsError> {
    Contrast::of(share_of_group(control)?, share_of_group(treatment)?).difference(level)
}

/// A difference whose variance is known from elsewhere, such as one weighted over strata, as a normal variable: the
/// interval `difference -+ z sqrt(variance)`.
///
/// Worked example: 1.959964 with variance 1 has the interval `[0, 3.919928]` at the level 0.95, and p 0.05.
///
/// Errors: `OutOfRange` for a variance that is not finite and greater than 0; `NotFinite` for a difference that is not.
pub fn normal(difference: f64, variance: f64, level: f64) -> Result<Comparison, StatsError> {
    check::finite(&[difference])?;
    check::positive("variance", variance)?;
    contrast::compare(difference, variance, f64::INFINITY, level)
}

/// The mean of a group as an estimate; refuses fewer than two units and values that were not finite.
pub(crate) fn mean_of_group(moments: &Moments) -> Result<Estimate, StatsError> {
    let n = moments.n as f64;
    let too_few = StatsError::OutOfRange { name: "units in a group", value: n };
    let not_finite = StatsError::OutOfRange { name: "sum of a group", value: moments.sum };
    if moments.n < 2 {
        return Err(too_few);
    }
    let value = moments.mean().ok_or(not_finite)?;
    let variance = moments.variance().ok_or(not_finite)?;
    Ok(Estimate { value, variance: variance / n, freedom: n - 1.0 })
}

/// The share of positives as an estimate whose variance is taken as known.
pub(crate) fn share_of_group(proportion: Proportion) -> Result<Estimate, StatsError> {
    let n = proportion.n as f64;
    if proportion.n == 0 {
        return Err(StatsError::OutOfRange { name: "units in a group", value: n });
    }
    if proportion.positives > proportion.n {
        return Err(StatsError::OutOfRange { name: "positives", value: proportion.positives as f64 });
    }
    let value = proportion.positives as f64 / n;
    Ok(Estimate { value, variance: value * (1.0 - value) / n, freedom: f64::INFINITY })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn a_known_variance_gives_the_normal_interval() {
        let found = normal(1.959_964, 1.0, 0.95).unwrap();
        assert_close(found.interval.low, 0.0, 1e-6);
        assert_close(found.interval.high, 3.919_928, 1e-6);
        assert_close(found.p_value, 0.05, 1e-7);
        assert!(normal(1.0, 0.0, 0.95).is_err() && normal(f64::NAN, 1.0, 0.95).is_err());
    }

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
        assert_eq!(name(welch_relative_log(&centred, &fine, 0.95)), "ratio of treatment to control");
        let proportion = |positives, n| Proportion { positives, n };
        assert_eq!(name(proportions(proportion(0, 0), proportion(1, 2), 0.95)), "units in a group");
        assert_eq!(name(proportions(proportion(3, 2), proportion(1, 2), 0.95)), "positives");
        assert_eq!(name(proportions(proportion(0, 2), proportion(2, 2), 0.95)), "variance");
    }
}
