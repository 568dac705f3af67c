//! Two independent groups, each reduced to an estimate with its variance, compared by difference and by
//! ratio. Owns the arithmetic that every comparison of two groups shares; refuses to know where the estimates
//! came from.

use crate::{Interval, StatsError, check, distribution, two_sample::Comparison};

/// An estimate of one group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Estimate {
    /// In the unit of the metric.
    pub(crate) value: f64,
    /// Of the estimate, not of one unit.
    pub(crate) variance: f64,
    /// Degrees of freedom behind the variance; infinite where it is taken as known.
    pub(crate) freedom: f64,
}

/// Two groups whose estimates have independent errors, and perhaps further errors from a source in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contrast {
    pub(crate) control: Estimate,
    pub(crate) treatment: Estimate,
    pub(crate) shared: Shared,
}

/// What a common source of error adds to the variances of both estimates and to their covariance.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shared {
    pub(crate) control: f64,
    pub(crate) treatment: f64,
    pub(crate) covariance: f64,
}

impl Shared {
    /// The variance that the source adds to `treatment_weight * treatment - control_weight * control`.
    fn variance(&self, control_weight: f64, treatment_weight: f64) -> f64 {
        control_weight * control_weight * self.control + treatment_weight * treatment_weight * self.treatment
            - 2.0 * control_weight * treatment_weight * self.covariance
    }
}

impl Contrast {
    pub(crate) fn of(control: Estimate, treatment: Estimate) -> Self {
        Self { control, treatment, shared: Shared::default() }
    }

    /// `treatment - control`.
    pub(crate) fn difference(&self, level: f64) -> Result<Comparison, StatsError> {
        let (control, treatment) = (self.control, self.treatment);
        let variance = control.variance + treatment.variance + self.shared.variance(1.0, 1.0);
        let freedom = satterthwaite(control, treatment);
        compare(treatment.value - control.value, variance, freedom, level)
    }

    /// `treatment / control - 1`, linearised in both estimates.
    pub(crate) fn relative(&self, level: f64) -> Result<Comparison, StatsError> {
        let (control, treatment) = (self.control, self.treatment);
        if control.value.abs() <= 0.0 {
            return Err(StatsError::OutOfRange { name: "control mean", value: control.value });
        }
        let ratio = treatment.value / control.value;
        let variance =
            treatment.variance + control.variance * ratio * ratio + self.shared.variance(ratio, 1.0);
        let relative_variance = variance / (control.value * control.value);
        let lift = (treatment.value - control.value) / control.value;
        compare(lift, relative_variance, satterthwaite(control, treatment), level)
    }

    /// `treatment / control - 1`, with ends that are symmetric around the logarithm of the ratio.
    pub(crate) fn relative_log(&self, level: f64) -> Result<Comparison, StatsError> {
        let ratio = self.treatment.value / self.control.value;
        check::positive("ratio of treatment to control", ratio)?;
        let scaled = |estimate: Estimate| Estimate {
            variance: estimate.variance / (estimate.value * estimate.value),
            ..estimate
        };
        let (control, treatment) = (scaled(self.control), scaled(self.treatment));
        let shared = self.shared.variance(1.0 / self.control.value, 1.0 / self.treatment.value);
        let variance = control.variance + treatment.variance + shared;
        let log = compare(ratio.ln(), variance, satterthwaite(control, treatment), level)?;
        let Interval { low, high, .. } = log.interval;
        // Not `exp_m1` of the logarithm: the estimate is to be that of `relative` to the last digit.
        let estimate = (self.treatment.value - self.control.value) / self.control.value;
        Ok(Comparison {
            interval: Interval { estimate, low: low.exp_m1(), high: high.exp_m1(), level },
            ..log
        })
    }
}

/// Degrees of freedom of the sum of two estimated variances (Satterthwaite, Biometrics Bulletin 1946).
fn satterthwaite(control: Estimate, treatment: Estimate) -> f64 {
    pooled_freedom([control, treatment].map(|group| (group.variance, group.freedom)))
}

/// Satterthwaite's degrees of freedom for a sum of independent variances, each with its own. Infinite where no
/// part varies: such a sum is known.
pub(crate) fn pooled_freedom(parts: impl IntoIterator<Item = (f64, f64)> + Clone) -> f64 {
    let total: f64 = parts.clone().into_iter().map(|(variance, _)| variance).sum();
    if total <= 0.0 {
        return f64::INFINITY;
    }
    // Shares first: squares of tiny variances would underflow.
    let square = |share: f64| share * share;
    let terms = parts.into_iter().map(|(variance, freedom)| square(variance / total) / freedom);
    1.0 / terms.sum::<f64>()
}

/// An estimate with the interval and the p-value of Student's t distribution, or of the normal one where
/// `freedom` is infinite.
pub(crate) fn compare(
    estimate: f64,
    variance: f64,
    freedom: f64,
    level: f64,
) -> Result<Comparison, StatsError> {
    check::open_unit("level", level)?;
    check::positive("variance", variance)?;
    if !estimate.is_finite() {
        return Err(StatsError::OutOfRange { name: "estimate", value: estimate });
    }
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
    use crate::close::assert_close;

    const CONTROL: Estimate = Estimate { value: 4.0, variance: 0.01, freedom: f64::INFINITY };
    const TREATMENT: Estimate = Estimate { value: 5.0, variance: 0.02, freedom: f64::INFINITY };

    /// The variance of `(5 + t + e) / (4 + c + e)` by hand: `0.02 / 16 + 0.01 * 25 / 256` from `t` and `c`, and
    /// `0.04 / 16 / 16` from an error `e` of variance 0.04 that both share.
    #[test]
    fn a_common_error_moves_the_ratio_and_not_the_difference() {
        let alone = Contrast::of(CONTROL, TREATMENT);
        let common =
            Contrast { shared: Shared { control: 0.04, treatment: 0.04, covariance: 0.04 }, ..alone };
        assert_eq!(alone.difference(0.9), common.difference(0.9));
        let by_hand: f64 = 0.02 / 16.0 + 0.01 * 25.0 / 256.0 + 0.04 / 256.0;
        assert_close(common.relative(0.9).unwrap().standard_error, by_hand.sqrt(), 1e-16);
        let log_by_hand = 0.02 / 25.0 + 0.01 / 16.0 + 0.04 * (0.2_f64 - 0.25).powi(2);
        assert_close(common.relative_log(0.9).unwrap().standard_error, log_by_hand.sqrt(), 1e-16);
    }

    /// A source that multiplies both by `1 + e` leaves the ratio alone.
    #[test]
    fn a_common_factor_moves_the_difference_and_not_the_ratio() {
        let alone = Contrast::of(CONTROL, TREATMENT);
        let factor = Contrast { shared: Shared { control: 0.16, treatment: 0.25, covariance: 0.2 }, ..alone };
        let errors = |compare: fn(&Contrast, f64) -> Result<Comparison, StatsError>| {
            [alone, factor].map(|contrast| compare(&contrast, 0.9).unwrap().standard_error)
        };
        let [without, with] = errors(Contrast::relative);
        assert_close(without, with, 1e-15);
        let [without, with] = errors(Contrast::relative_log);
        assert_close(without, with, 1e-15);
        let [without, with] = errors(Contrast::difference);
        assert_close(with * with - without * without, 0.01, 1e-15);
    }

    /// Two groups swapped turn `ratio` into `1 / ratio`, and the ends of the logarithmic interval with it.
    #[test]
    fn the_logarithmic_interval_does_not_care_which_group_is_the_control() {
        let there = Contrast::of(CONTROL, TREATMENT).relative_log(0.95).unwrap();
        let back = Contrast::of(TREATMENT, CONTROL).relative_log(0.95).unwrap();
        assert_close((1.0 + there.interval.low) * (1.0 + back.interval.high), 1.0, 1e-15);
        assert_close(there.p_value, back.p_value, 1e-15);
    }

    #[test]
    fn equal_groups_pool_their_degrees_of_freedom() {
        assert_close(pooled_freedom([(2.0, 9.0), (2.0, 9.0)]), 18.0, 1e-14);
        assert_close(pooled_freedom([(1e-300, 9.0), (0.0, 9.0)]), 9.0, 1e-14);
    }

    #[test]
    fn what_has_no_ratio_is_refused() {
        let negative = Estimate { value: -1.0, ..CONTROL };
        let zero = Estimate { value: 0.0, ..CONTROL };
        assert!(Contrast::of(zero, TREATMENT).relative(0.9).is_err());
        assert!(Contrast::of(zero, TREATMENT).relative_log(0.9).is_err());
        assert!(Contrast::of(TREATMENT, zero).relative_log(0.9).is_err());
        assert!(Contrast::of(negative, TREATMENT).relative_log(0.9).is_err());
        let huge = Estimate { value: 1e308, ..CONTROL };
        assert!(Contrast::of(Estimate { value: -1e308, ..huge }, huge).difference(0.9).is_err());
    }
}
