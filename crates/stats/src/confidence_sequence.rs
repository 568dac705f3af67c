//! Intervals that stay valid however often and whenever they are looked at.
//!
//! Owns asymptotic confidence sequences with the normal-mixture boundary: Waudby-Smith, Arbour, Sinha,
//! Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences" (Annals of
//! Statistics 2024, arXiv:2103.06476), and in [`known`] the boundary of Howard, Ramdas, McAuliffe & Sekhon,
//! "Time-uniform, nonparametric, nonasymptotic confidence sequences" (Annals of Statistics 2021) that they
//! rest on. Refuses interval methods for one look ([`crate::two_sample`], [`crate::bootstrap`]).
//!
//! # What is promised
//!
//! With probability about `1 - alpha`, the interval holds its target at *every* sample size from the first
//! look on. So one may look daily, stop at any moment for any reason, and act on the first interval that
//! excludes 0.
//!
//! *Asymptotic* means that sums of the units are treated as a Gaussian walk with the estimated variance. That
//! is right when the first look is late, and wrong after a handful of units or before the first large
//! payment: a gate should ask for a least number of units, and of units with a nonzero value, before it reads
//! an interval. When all values so far are equal, the variance is 0 and the interval is a point.
//!
//! # When effects and propensities change over time
//!
//! The target is then the *running average of the conditional effects*: with `x_i` the score of unit `i` and
//! `m_i` its expectation given everything before it, the interval at `n` holds `(m_1 + ... + m_n) / n`, and
//! that of the sum holds `m_1 + ... + m_n`. It says what has been earned so far. It promises nothing about
//! the effect of the next unit.
//!
//! This is the Lyapunov version in the paper (sequences for time-varying means under martingale dependence).
//! It allows propensities that follow earlier results, as in a rollout, and asks that
//!
//! - `x_i - m_i` has mean 0 given the past: true of the scores in [`crate::incremental`] with recorded
//!   propensities;
//! - moments slightly above the second stay bounded and the total variance grows without end: no unit
//!   dominates, which bounded values and propensities kept away from 0 and 1 ensure;
//! - the variance estimate tracks the average conditional variance. The sample variance used here also counts
//!   the spread of the `m_i`, so under drift it is too large and the interval too wide, never too narrow;
//! - the average variance settles. `rho_squared` is scaled to one unit's variance, which the sample supplies;
//!   where the variance itself keeps trending, fix a boundary in variance time beforehand with
//!   [`known::normal_mixture_two_sided`] instead.
//!
//! Choose `alpha` and the tuning before the first look. A tuning chosen after seeing the values voids the
//! promise.

pub mod known;

use crate::{Interval, StatsError, check, moments::Moments};

/// Steps of Newton's method allowed for the tuning; it needs about six.
const NEWTON_STEPS: u32 = 64;

/// A family of intervals, one for every sample size, that jointly cover with probability about `1 - alpha`.
///
/// The half-width of the mean after `n` units with sample variance `s^2` is
/// `s sqrt(2 (n rho^2 + 1) / (n^2 rho^2) ln(sqrt(n rho^2 + 1) / alpha))`.
/// `rho^2` (per unit) only decides at which `n` the interval is tightest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AsymptoticSequence {
    /// The chance of ever missing the target, in `(0, 1)`.
    pub alpha: f64,
    /// The mixture's precision, per unit; greater than 0.
    pub rho_squared: f64,
}

impl AsymptoticSequence {
    /// The sequence that is tightest at `n` units: `rho^2 = (-W(-alpha^2 / e) - 1) / n` with `W` the lower
    /// branch `W_-1` of the Lambert function (Waudby-Smith et al. 2024, on choosing `rho`).
    ///
    /// At `n` the half-width of the mean is then exactly `s sqrt((1 + n rho^2) / n)`. A wrong guess costs
    /// little: with `alpha = 0.05`, the interval at `n / 4` and at `4 n` is 7 % and 3 % wider than one tuned
    /// for there. Take the number of units at which the decision is due.
    ///
    /// Worked example: for `n = 1000` and `alpha = 0.05`, `rho^2 = 8.211968062068253 / 1000`, and the
    /// half-width at 1,000 units of variance 1 is `sqrt(9.211968 / 1000) = 0.095979`: 1.55 times that of an
    /// interval for one look.
    ///
    /// Errors: `OutOfRange` unless `n` is finite and greater than 0 and `alpha` strictly between 0 and 1.
    pub fn tuned_for(n: f64, alpha: f64) -> Result<Self, StatsError> {
        check::positive("n", n)?;
        check::open_unit("alpha", alpha)?;
        Ok(Self { alpha, rho_squared: optimal_numerator(alpha) / n })
    }

    /// As [`tuned_for`](Self::tuned_for) with the usual closed-form approximation,
    /// `rho^2 = (-2 ln alpha + ln(-2 ln alpha + 1)) / n`, which gbstats and confseq use. Only for agreement with them.
    ///
    /// Worked example: for `n = 1000` and `alpha = 0.05`, `rho^2 = 7.936154601737565 / 1000`.
    pub fn tuned_for_approximate(n: f64, alpha: f64) -> Result<Self, StatsError> {
        check::positive("n", n)?;
        check::open_unit("alpha", alpha)?;
        Ok(Self { alpha, rho_squared: approximate_numerator(alpha) / n })
    }

    /// The half-width of the interval of the mean after `n` units whose values have `variance`, in the unit
    /// of the values. Infinite at `n <= 0`, where nothing is known yet.
    ///
    /// For an estimate that is not a plain mean, such as a relative difference with standard error `e` over
    /// `n` units in all, pass `variance = e^2 n`.
    pub fn half_width_of_mean(&self, n: f64, variance: f64) -> f64 {
        if n <= 0.0 {
            return f64::INFINITY;
        }
        let growth = n * self.rho_squared + 1.0;
        let log_term = 0.5 * growth.ln() - self.alpha.ln();
        (variance * 2.0 * growth / (n * n * self.rho_squared) * log_term).sqrt()
    }

    /// The interval of the mean of the values in `m`; `None` before two units or after a value that was not
    /// finite.
    ///
    /// Worked example: 1,000 units, half of them 0 and half 2, with the tuning above: mean 1, variance 1000 /
    /// 999, interval `1 -+ 0.096027`.
    pub fn mean(&self, m: &Moments) -> Option<Interval> {
        let estimate = m.mean()?;
        let half_width = self.half_width_of_mean(m.n as f64, m.variance()?);
        Some(Interval {
            estimate,
            low: estimate - half_width,
            high: estimate + half_width,
            level: 1.0 - self.alpha,
        })
    }

    /// The interval of the sum of the values in `m`: [`mean`](Self::mean) times `n`. With the scores of
    /// [`earned`](crate::incremental::earned) it is the money earned so far against the holdout.
    pub fn sum(&self, m: &Moments) -> Option<Interval> {
        Some(self.mean(m)?.scale(m.n as f64))
    }

    /// The p-value that may be read at any time: the least `alpha`, with this `rho_squared`, at which the
    /// interval still excludes a target `deviation` away from the estimate. In `[0, 1]`; 1 before any unit.
    ///
    /// `p = min(1, sqrt(n rho^2 + 1) exp(-n^2 rho^2 deviation^2 / (2 variance (n rho^2 + 1))))`; `deviation`
    /// is in the unit of the values, `variance` is that of one unit.
    pub fn p_value(&self, n: f64, variance: f64, deviation: f64) -> f64 {
        if n <= 0.0 || deviation.abs() <= 0.0 {
            return 1.0;
        }
        let growth = n * self.rho_squared + 1.0;
        let exponent = n * n * self.rho_squared * deviation * deviation / (2.0 * variance * growth);
        (0.5 * growth.ln() - exponent).exp().min(1.0)
    }
}

/// `-W_-1(-alpha^2 / e) - 1`: the root `x > 0` of `x - ln(1 + x) = -2 ln alpha`.
///
/// Derivation: the squared half-width is proportional to `(x + 1) / x * ln((x + 1) / alpha^2)` with
/// `x = n rho^2`; setting its derivative to 0 leaves the equation above. The left side is convex, and the start
/// lies right of the root (Chatzigeorgiou, IEEE Communications Letters 2013:
/// `-W_-1(-e^(-u-1)) < 1 + sqrt(2u) + u`), so Newton's method descends to it without overshooting.
fn optimal_numerator(alpha: f64) -> f64 {
    let target = -2.0 * alpha.ln();
    let mut x = target + (2.0 * target).sqrt();
    for _ in 0..NEWTON_STEPS {
        let step = (x - x.ln_1p() - target) * (1.0 + x) / x;
        x -= step;
        if step.abs() <= f64::EPSILON * x {
            break;
        }
    }
    x
}

/// The first step of a fixed-point iteration for [`optimal_numerator`].
pub(crate) fn approximate_numerator(alpha: f64) -> f64 {
    let target = -2.0 * alpha.ln();
    target + target.ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn the_worked_examples() {
        let sequence = AsymptoticSequence::tuned_for(1_000.0, 0.05).unwrap();
        assert_close(sequence.half_width_of_mean(1_000.0, 1.0), 0.095_979, 5e-7);
        assert_close(sequence.half_width_of_mean(1_000.0, 1.0) * 1_000_f64.sqrt() / 1.959_964, 1.55, 0.005);
        let m = Moments { n: 1_000, sum: 1_000.0, sum_squares: 2_000.0 };
        let interval = sequence.mean(&m).unwrap();
        assert_close(interval.half_width(), 0.096_027, 5e-7);
        assert_close(interval.level, 0.95, 1e-15);
        assert_eq!(sequence.sum(&m), Some(interval.scale(1_000.0)));
    }

    /// The tuning is the Lambert root, for every alpha: `y = 1 + x` must solve `y e^-y = alpha^2 / e`.
    #[test]
    fn the_tuning_solves_its_equation() {
        for alpha in [1e-12, 0.001, 0.05, 0.2, 0.5, 0.9, 0.999] {
            let y = 1.0 + optimal_numerator(alpha);
            let expected = alpha * alpha / std::f64::consts::E;
            assert_close(y * (-y).exp() / expected, 1.0, 1e-11);
        }
    }

    #[test]
    fn no_other_tuning_is_tighter_at_its_sample_size() {
        let tuned = AsymptoticSequence::tuned_for(500.0, 0.1).unwrap();
        for factor in [0.5, 0.9, 1.1, 2.0] {
            let other = AsymptoticSequence { rho_squared: tuned.rho_squared * factor, ..tuned };
            assert!(other.half_width_of_mean(500.0, 3.0) > tuned.half_width_of_mean(500.0, 3.0));
        }
    }

    #[test]
    fn a_wrong_guess_of_the_sample_size_costs_little() {
        let sequence = AsymptoticSequence::tuned_for(1_000.0, 0.05).unwrap();
        for (n, cost) in [(250.0, 1.07), (4_000.0, 1.03)] {
            let tuned_there = AsymptoticSequence::tuned_for(n, 0.05).unwrap();
            let ratio = sequence.half_width_of_mean(n, 1.0) / tuned_there.half_width_of_mean(n, 1.0);
            assert_close(ratio, cost, 0.005);
        }
    }

    #[test]
    fn the_p_value_reaches_alpha_where_the_interval_reaches_the_target() {
        let sequence = AsymptoticSequence::tuned_for(800.0, 0.05).unwrap();
        for n in [10.0, 800.0, 1e6] {
            let half_width = sequence.half_width_of_mean(n, 2.5);
            assert_close(sequence.p_value(n, 2.5, half_width), 0.05, 1e-12);
            assert_close(sequence.p_value(n, 2.5, 0.0), 1.0, 0.0);
        }
        assert_close(sequence.p_value(10.0, 0.0, 1.0), 0.0, 0.0);
    }

    #[test]
    fn what_it_refuses() {
        assert!(matches!(
            AsymptoticSequence::tuned_for(0.0, 0.05),
            Err(StatsError::OutOfRange { name: "n", .. })
        ));
        assert!(AsymptoticSequence::tuned_for(f64::INFINITY, 0.05).is_err());
        assert!(AsymptoticSequence::tuned_for_approximate(10.0, 1.0).is_err());
        let sequence = AsymptoticSequence::tuned_for(10.0, 0.05).unwrap();
        assert_eq!(sequence.mean(&Moments::from_values(&[1.0])), None);
        assert!(sequence.half_width_of_mean(0.0, 1.0).is_infinite());
    }
}
