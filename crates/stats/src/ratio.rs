//! Ratio metrics, looked at once: orders per session, clicks per view, money per call, where users were
//! randomised and each brings several. Owns the delta method for a ratio of two means and for the comparison
//! of two such ratios. Refuses averages of per-user ratios, which are plain means ([`crate::two_sample`]), and
//! repeated looks: for those give the standard error to [`crate::confidence_sequence`].
//!
//! The metric of a group is `R = sum of y / sum of x` over its units, `y` the numerator and `x` the denominator
//! of [`BivariateMoments`]. The unit is what was randomised (a user), never the row that is counted in the
//! denominator (a session): rows of one user depend on each other, and a test that treats them as independent
//! finds effects that are not there. Deng, Knoblich & Lu, "Applying the Delta Method in Metric Analytics" (KDD
//! 2018), give
//!
//! `Var(R) = (v_y - 2 R c + R^2 v_x) / (n m_x^2)`
//!
//! with the variances `v`, the covariance `c` and the mean `m_x` over units. It is sound when the mean of `x`
//! is many standard errors from 0. A treatment that changes the denominator moves `R` as well: test `x` on
//! its own by [`crate::two_sample::welch_absolute`] of [`BivariateMoments::x`].
//!
//! Differences are treatment minus control. Every function answers `OutOfRange` for a `level` not strictly
//! between 0 and 1, for fewer than two units in a group, for sums that are not finite, for a denominator that
//! sums to 0, and where `y` is the same multiple of `x` in all units, so that no interval can be formed.

use crate::{
    Interval, StatsError,
    contrast::{self, Contrast, Estimate},
    moments::BivariateMoments,
    two_sample::{self, Comparison},
};

/// The ratio of one group with its interval (Student's t with `n - 1` degrees of freedom), in units of `y` per
/// unit of `x`.
///
/// Worked example: `x = [1, 2, 3]` with `y = [2, 1, 6]` has ratio 1.5 and variance
/// `(7 - 2 * 1.5 * 2 + 1.5^2 * 1) / (3 * 2^2) = 3.25 / 12`; with `t = 4.302653` the 0.95 interval is
/// `[-0.739171, 3.739171]`.
pub fn interval(group: &BivariateMoments, level: f64) -> Result<Interval, StatsError> {
    let Estimate { value, variance, freedom } = ratio_of_group(group)?;
    Ok(contrast::compare(value, variance, freedom, level)?.interval)
}

/// The difference of the two ratios, in units of `y` per unit of `x`. Standard error from the sum of both
/// variances, degrees of freedom by Satterthwaite's formula.
///
/// Worked example (tea-tasting 1.14.0, orders per session): 1,073 orders in 4,038 sessions of 2,023 users
/// against 1,133 in 3,920 of 1,977 differ by 0.0233050, interval `[-0.0024594, 0.0490694]`, p 0.0762.
pub fn absolute(
    control: &BivariateMoments,
    treatment: &BivariateMoments,
    level: f64,
) -> Result<Comparison, StatsError> {
    Contrast::of(ratio_of_group(control)?, ratio_of_group(treatment)?).difference(level)
}

/// The relative lift `R_treatment / R_control - 1`, linearised a second time:
/// `Var = (Var(R_t) + Var(R_c) (R_t / R_c)^2) / R_c^2`. The interval is symmetric; the p-value is that of no
/// lift on this scale.
///
/// Worked example: for the groups above, 0.0877033, interval `[-0.0135, 0.1889]`.
///
/// Errors: also `OutOfRange` when the control's ratio is 0.
pub fn relative(
    control: &BivariateMoments,
    treatment: &BivariateMoments,
    level: f64,
) -> Result<Comparison, StatsError> {
    Contrast::of(ratio_of_group(control)?, ratio_of_group(treatment)?).relative(level)
}

/// The relative lift with the interval formed on the logarithm of `R_treatment / R_control`, as in
/// [`two_sample::welch_relative_log`].
///
/// Worked example (tea-tasting 1.14.0): for the groups above, 0.0877033, interval `[-0.0089442, 0.1937758]`.
///
/// Errors: also `OutOfRange` unless both ratios are on the same side of 0.
pub fn relative_log(
    control: &BivariateMoments,
    treatment: &BivariateMoments,
    level: f64,
) -> Result<Comparison, StatsError> {
    Contrast::of(ratio_of_group(control)?, ratio_of_group(treatment)?).relative_log(level)
}

fn ratio_of_group(group: &BivariateMoments) -> Result<Estimate, StatsError> {
    let y = two_sample::mean_of_group(&group.y())?;
    let x = two_sample::mean_of_group(&group.x())?;
    let not_finite = StatsError::OutOfRange { name: "sum of products of a group", value: group.sum_products };
    let covariance_of_means = group.covariance().ok_or(not_finite)? / group.n as f64;
    if x.value.abs() <= 0.0 {
        return Err(StatsError::OutOfRange { name: "denominator", value: x.value });
    }
    let ratio = y.value / x.value;
    let residual = y.variance - 2.0 * ratio * covariance_of_means + ratio * ratio * x.variance;
    Ok(Estimate {
        value: ratio,
        variance: without_noise(residual, group, ratio) / (x.value * x.value),
        freedom: y.freedom,
    })
}

/// 0 instead of a residual variance that is only what subtraction left of equal numbers, so that a metric
/// without any variance is refused and not reported with an interval of width 1e-16.
fn without_noise(residual: f64, group: &BivariateMoments, ratio: f64) -> f64 {
    let n = group.n as f64;
    let raw = (group.sum_squares_y + ratio * ratio * group.sum_squares_x) / n / (n - 1.0);
    if residual <= 16.0 * f64::EPSILON * raw { 0.0 } else { residual }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{close::assert_close, moments::Moments};

    fn small() -> BivariateMoments {
        BivariateMoments::from_pairs(&[1.0, 2.0, 3.0], &[2.0, 1.0, 6.0]).unwrap()
    }

    #[test]
    fn the_worked_example_of_one_group() {
        let interval = interval(&small(), 0.95).unwrap();
        assert_close(interval.estimate, 1.5, 1e-15);
        assert_close(interval.half_width(), 4.302_653 * (3.25_f64 / 12.0).sqrt(), 1e-6);
        assert_close(interval.low, -0.739_171, 1e-6);
        assert_close(interval.high, 3.739_171, 1e-6);
    }

    /// A denominator of 1 per unit leaves a plain mean.
    #[test]
    fn a_constant_denominator_is_welch() {
        let values = [[3.0, 5.0, 9.0, 2.0], [4.0, 8.0, 9.0, 1.0]];
        let ones = [1.0; 4];
        let [a, b] = values.map(|y| BivariateMoments::from_pairs(&ones, &y).unwrap());
        let [c, d] = values.map(|y| Moments::from_values(&y));
        assert_eq!(absolute(&a, &b, 0.9), two_sample::welch_absolute(&c, &d, 0.9));
        assert_eq!(relative(&a, &b, 0.9), two_sample::welch_relative(&c, &d, 0.9));
        assert_eq!(relative_log(&a, &b, 0.9), two_sample::welch_relative_log(&c, &d, 0.9));
    }

    #[test]
    fn what_they_refuse() {
        let name = |result: Result<Comparison, StatsError>| match result {
            Err(StatsError::OutOfRange { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        let pairs = |x: &[f64], y: &[f64]| BivariateMoments::from_pairs(x, y).unwrap();
        let lone = pairs(&[1.0], &[1.0]);
        assert_eq!(name(absolute(&small(), &lone, 0.9)), "units in a group");
        assert_eq!(name(absolute(&small(), &small(), 0.0)), "level");
        let centred = pairs(&[-1.0, 1.0], &[2.0, 3.0]);
        assert_eq!(name(absolute(&centred, &small(), 0.9)), "denominator");
        let empty = pairs(&[1.0, 2.0, 1.0], &[1.0, -1.0, 0.0]);
        assert_eq!(name(relative(&empty, &small(), 0.9)), "control mean");
        assert_eq!(name(relative_log(&empty, &small(), 0.9)), "ratio of treatment to control");
        // Binary rounding of 0.1 x must not pass for variance.
        let multiple = pairs(&[1.0, 2.0, 3.0, 7.0], &[0.1, 0.2, 0.3, 0.7]);
        assert_eq!(name(absolute(&multiple, &multiple, 0.9)), "variance");
        let mut spoiled = small();
        spoiled.push(f64::NAN, 1.0);
        assert_eq!(name(absolute(&small(), &spoiled, 0.9)), "sum of a group");
        let overflowed = BivariateMoments { sum_products: f64::INFINITY, ..small() };
        assert_eq!(name(absolute(&small(), &overflowed, 0.9)), "sum of products of a group");
    }
}
