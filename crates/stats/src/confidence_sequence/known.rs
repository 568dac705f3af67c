//! Boundaries for sums whose variance is known, in variance time: Howard, Ramdas, McAuliffe & Sekhon (Annals
//! of Statistics 2021), as in their package confseq.
//!
//! Here the clock is not the number of units but `v`, the variance accumulated so far (`n` units of variance
//! `s^2` make `v = n s^2`), in the squared unit of the values. For increments that are sub-Gaussian with that
//! variance the promise is exact at every sample size; with an estimated variance it is asymptotic, as in the
//! parent module.

use crate::{StatsError, check, confidence_sequence::approximate_numerator, distribution};

/// Halvings of the bracket around the one-sided boundary; 100 exhaust the digits of an `f64`.
const BISECTION_STEPS: u32 = 100;

/// The distance that the sum stays within, on both sides, at all times with probability at least `1 - alpha`:
/// `sqrt((v + r) ln((v + r) / (alpha^2 r)))` with `r = v_opt / (2 ln(1/alpha) + ln(1 + 2 ln(1/alpha)))`.
///
/// `v` is the variance accumulated so far, `v_opt` the one at which the boundary shall be tightest, both in
/// squared units of the sum; the result is in units of the sum.
///
/// Worked example: `v = v_opt = 100` and `alpha = 0.05` give 30.35209 (confseq 0.0.11).
///
/// Errors: `OutOfRange` unless `v >= 0`, `v_opt > 0` (both finite) and `0 < alpha < 1`.
pub fn normal_mixture_two_sided(v: f64, alpha: f64, v_opt: f64) -> Result<f64, StatsError> {
    check_arguments(v, alpha, v_opt)?;
    let r = v_opt / approximate_numerator(alpha);
    Ok(((v + r) * (((v + r) / r).ln() - 2.0 * alpha.ln())).sqrt())
}

/// The height that the sum stays below at all times with probability at least `1 - alpha`: the `s` at which
/// `ln(4 r / (v + r)) / 2 + s^2 / (2 (v + r)) + ln Phi(s / sqrt(v + r)) = ln(1 / alpha)`, with `r` as in
/// [`normal_mixture_two_sided`] at twice the `alpha`.
///
/// Units and errors are the same, except that `alpha` must be below 0.5.
///
/// Worked example: `v = v_opt = 100` and `alpha = 0.05` give 27.66071 (confseq 0.0.11).
pub fn normal_mixture_one_sided(v: f64, alpha: f64, v_opt: f64) -> Result<f64, StatsError> {
    check_arguments(v, alpha, v_opt)?;
    if alpha >= 0.5 {
        return Err(StatsError::OutOfRange { name: "alpha", value: alpha });
    }
    let r = v_opt / approximate_numerator(2.0 * alpha);
    let spread = (v + r).sqrt();
    let log_ratio = ((v + r) / r).ln();
    let target = 0.5 * log_ratio - std::f64::consts::LN_2 - alpha.ln();
    let log_mixture = |z: f64| 0.5 * z * z + distribution::normal_cdf(z).ln();
    // The mixture rises in z. It is below the target at 0; at the top, the closed-form bound of the paper,
    // above.
    let mut low = 0.0;
    let mut high = (2.0 * ((0.5 * log_ratio).exp() / (2.0 * alpha)).ln_1p()).sqrt();
    for _ in 0..BISECTION_STEPS {
        let middle = f64::midpoint(low, high);
        if log_mixture(middle) < target {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(high * spread)
}

fn check_arguments(v: f64, alpha: f64, v_opt: f64) -> Result<(), StatsError> {
    check::open_unit("alpha", alpha)?;
    check::positive("v_opt", v_opt)?;
    if v.is_finite() && v >= 0.0 { Ok(()) } else { Err(StatsError::OutOfRange { name: "v", value: v }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;
    use crate::confidence_sequence::AsymptoticSequence;

    /// With unit variance and `rho^2 = 1 / r`, the sum's boundary is `n` times the half-width of the mean.
    #[test]
    fn the_two_parametrisations_agree() {
        let sequence = AsymptoticSequence::tuned_for_approximate(100.0, 0.05).unwrap();
        for n in [1.0, 40.0, 100.0, 5_000.0] {
            let boundary = normal_mixture_two_sided(n, 0.05, 100.0).unwrap();
            assert_close(sequence.half_width_of_mean(n, 1.0) * n, boundary, 1e-12 * boundary);
        }
    }

    #[test]
    fn one_side_is_nearer_than_two() {
        for v in [0.0, 1.0, 100.0, 1e6] {
            let one = normal_mixture_one_sided(v, 0.05, 100.0).unwrap();
            assert!(one > 0.0 && one < normal_mixture_two_sided(v, 0.05, 100.0).unwrap());
        }
    }

    #[test]
    fn what_they_refuse() {
        assert!(matches!(
            normal_mixture_two_sided(-1.0, 0.05, 1.0),
            Err(StatsError::OutOfRange { name: "v", .. })
        ));
        assert!(normal_mixture_two_sided(1.0, 0.05, 0.0).is_err());
        assert!(normal_mixture_one_sided(1.0, 0.5, 1.0).is_err());
        assert!(normal_mixture_one_sided(1.0, 0.0, 1.0).is_err());
    }
}
