//! What a unit adds to the money earned against the holdout. Owns the two scores that turn a recorded random
//! assignment and an outcome into an unbiased contribution; refuses anything observational, adjusted or
//! modelled.
//!
//! For a unit with potential outcomes `Y(1)` under treatment and `Y(0)` under the holdout, assignment `A`
//! drawn with `P(A = 1) = p`, and observed value `Y = Y(A)`, both scores weight by the inverse of the chance
//! of what happened (Horvitz & Thompson, Journal of the American Statistical Association 1952). They are
//! unbiased when
//!
//! - `p` is the probability in force at the moment of assignment, recorded then, and neither 0 nor 1. It may
//!   change from unit to unit and may depend on everything seen before, as in a rollout that follows its own
//!   results;
//! - the treatment of one unit does not change the outcome of another;
//! - a unit is counted, or left out, by a rule that does not look at `A`: outcomes mature at the same age in
//!   both arms, and a unit without an outcome counts as 0 in both.
//!
//! Averages of the scores stay unbiased when propensities and outcomes drift together, where a difference of
//! pooled means does not. The price is variance: a unit's effect score varies by up to
//! `Y^2 / p + Y^2 / (1 - p)`, so keep `p` off the ends.
//!
//! Both functions answer `OutOfRange` unless `0 < p < 1`, and when the weighted value overflows; `NotFinite`
//! with index 0 when the value is not finite.

use crate::{StatsError, check};

/// The unit's contribution to the money actually earned, `A Y - (1 - A) Y p / (1 - p)`, in the unit of
/// `value`.
///
/// Its expectation over the assignment is `p (Y(1) - Y(0))`, so the sum over all units, treated and held out,
/// estimates `sum of Y(1) - Y(0)` over the units that were treated: what the treatment has earned so far.
///
/// Worked example: at `p = 0.8` a treated unit that paid 10 contributes 10, and a held-out unit that paid 10
/// contributes -40, because it stands for the four treated units it was drawn against.
pub fn earned(treated: bool, propensity_treated: f64, value: f64) -> Result<f64, StatsError> {
    let holdout_weight = propensity_treated / (1.0 - propensity_treated);
    let weight = if treated { 1.0 } else { -holdout_weight };
    weighted(weight, propensity_treated, value)
}

/// The unit's score for the average treatment effect, `A Y / p - (1 - A) Y / (1 - p)`, in the unit of
/// `value`.
///
/// Its expectation over the assignment is `Y(1) - Y(0)`, so the mean over all units estimates what treating
/// everyone instead of no one changes per unit.
///
/// Worked example: at `p = 0.8` a treated unit that paid 10 scores 12.5, and a held-out unit that paid 10
/// scores -50.
pub fn effect(treated: bool, propensity_treated: f64, value: f64) -> Result<f64, StatsError> {
    let weight = if treated { 1.0 / propensity_treated } else { -1.0 / (1.0 - propensity_treated) };
    weighted(weight, propensity_treated, value)
}

fn weighted(weight: f64, propensity_treated: f64, value: f64) -> Result<f64, StatsError> {
    check::open_unit("propensity_treated", propensity_treated)?;
    check::finite(&[value])?;
    let score = weight * value;
    if score.is_finite() {
        Ok(score)
    } else {
        Err(StatsError::OutOfRange { name: "weighted value", value: score })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn the_worked_examples() {
        assert_close(earned(true, 0.8, 10.0).unwrap(), 10.0, 0.0);
        assert_close(earned(false, 0.8, 10.0).unwrap(), -40.0, 1e-13);
        assert_close(effect(true, 0.8, 10.0).unwrap(), 12.5, 0.0);
        assert_close(effect(false, 0.8, 10.0).unwrap(), -50.0, 1e-13);
    }

    /// The expectation over the assignment is a sum of two terms and can be written out.
    #[test]
    fn both_scores_are_unbiased_exactly() {
        for p in [0.05, 0.3, 0.5, 0.9] {
            let (treated, held_out) = (7.0, 4.0);
            let mean = |score: fn(bool, f64, f64) -> Result<f64, StatsError>| {
                p * score(true, p, treated).unwrap() + (1.0 - p) * score(false, p, held_out).unwrap()
            };
            assert_close(mean(earned), p * 3.0, 1e-14);
            assert_close(mean(effect), 3.0, 1e-14);
        }
    }

    #[test]
    fn a_certain_assignment_teaches_nothing() {
        for p in [0.0, 1.0, -0.1, 1.1, f64::NAN] {
            assert!(matches!(
                earned(true, p, 1.0),
                Err(StatsError::OutOfRange { name: "propensity_treated", .. })
            ));
            assert!(effect(false, p, 1.0).is_err());
        }
        assert_eq!(earned(true, 0.5, f64::NAN), Err(StatsError::NotFinite { index: 0 }));
        assert!(effect(true, 1e-300, 1e300).is_err());
    }
}
