//! What a policy that was not in force would have brought, from the log of one that was.
//!
//! Owns the off-policy estimators of a policy's value per decision, their standard errors, the choice of their
//! tuning parameters, and in [`evaluate`] the judgement whether the log can answer at all. Refuses to fit the
//! reward model, and refuses an answer where the log has none: a target policy that does what was never tried
//! cannot be evaluated by arithmetic, and then [`evaluate`] says which traffic would repair it.
//!
//! # The setting
//!
//! For row `i` a context `x_i` arrived, the logging policy drew action `a_i` with probability
//! `p_i = b(a_i | x_i)`, which was recorded at that moment, and the reward `r_i` followed. The target policy
//! would have drawn the same action with probability `e(a_i | x_i)`. The importance weight is
//! `w_i = e(a_i | x_i) / b(a_i | x_i)`, and its expectation is 1 where the log supports the target.
//!
//! | estimator | score of a row | bias |
//! | --- | --- | --- |
//! | [`inverse_propensity`] (IPS) | `w r` | none |
//! | [`self_normalised`] (SNIPS) | `w r / mean of w` | of order `1 / n` |
//! | [`clipped_inverse_propensity`] | `min(w, c) r` | lasting |
//! | [`direct`] (DM) | `q(x, e)` | lasting, unless the model is right |
//! | [`doubly_robust`] (DR) | `q(x, e) + w (r - q(x, a))` | none |
//! | [`switch_doubly_robust`] | `q(x, e) + w [w <= t] (r - q(x, a))` | lasting |
//! | [`shrunk_doubly_robust`] (DRos) | `q(x, e) + l w / (w^2 + l) (r - q(x, a))` | lasting |
//!
//! *None* holds when the propensities are those that were in force, every action that the target may take had a
//! chance, one row's action does not change another row's reward, and the reward model did not see the rows that
//! it is applied to (fit it on other folds: Chernozhukov et al., Econometrics Journal 2018).
//!
//! # Intervals
//!
//! Each interval is `estimate -+ t se` with the standard error over rows and Student's `t` with `n - 1` degrees of
//! freedom. It is for one look at a fixed number of rows; for daily looks, feed [`score`] to
//! [`crate::confidence_sequence`]. Rows may come from a bandit that learns: the scores minus their expectations
//! are then martingale differences, and the interval holds as long as propensities stay off 0 (keep a floor;
//! Hadad, Hirshberg, Zhan, Wager & Athey, PNAS 2021, show what happens without one). The interval of an estimator
//! with a lasting bias covers its own expectation and not the value.

mod diagnostics;
mod estimator;
mod evaluation;
mod repair;
mod support;
mod tuning;

use crate::{Interval, StatsError, check};

pub use diagnostics::{Diagnostics, diagnostics};
pub use estimator::{
    clipped_inverse_propensity, direct, doubly_robust, inverse_propensity, score, self_normalised,
    shrunk_doubly_robust, switch_doubly_robust,
};
pub use evaluation::{Evaluation, Reason, Refusal, Report, Requirements, evaluate};
pub use repair::{Exploration, Repair};
pub use support::{ActionTable, Support, support};
pub use tuning::{BiasBound, MAX_CANDIDATES, Tuned, WeightRule, default_candidates, tune};

/// The log, one entry a row in each slice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Log<'a> {
    /// What each row brought, in any unit.
    pub rewards: &'a [f64],
    /// The probability with which the logging policy took the logged action, in `(0, 1]`.
    pub logged_propensities: &'a [f64],
    /// The probability with which the target policy takes the logged action, in `[0, 1]`.
    pub target_propensities: &'a [f64],
}

/// What a model of the reward says about the rows of a [`Log`], in the unit of the rewards. The model must not
/// have been fitted on the rows that it speaks about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RewardModel<'a> {
    /// The expected reward of the logged action, `q(x_i, a_i)`.
    pub logged_action: &'a [f64],
    /// The expected reward under the target policy, the sum over actions of `e(a | x_i) q(x_i, a)`.
    pub target_policy: &'a [f64],
}

/// A policy's value per row with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value and its ends, in the unit of the rewards.
    pub interval: Interval,
    /// The standard error of the value, in its unit.
    pub standard_error: f64,
    /// What the interval does not cover.
    pub bias: Bias,
}

/// The systematic error of an estimator, which no interval over rows can show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bias {
    /// None, where the propensities are right.
    None,
    /// Of order `1 / n`, hidden by the standard error as rows come in.
    Vanishing,
    /// It stays however many rows come in.
    Lasting {
        /// This estimate minus the unbiased one (IPS or DR) on the same rows, in the unit of the rewards.
        estimated: f64,
        /// The standard error of that difference.
        standard_error: f64,
    },
}

impl Log<'_> {
    /// The importance weights `target propensity / logged propensity`, one a row, each at least 0 and finite.
    ///
    /// Worked example: logged 0.5 and 0.25, target 1 and 0: the weights are 2 and 0.
    ///
    /// Errors: `Empty`; `NotFinite`; `LengthMismatch`; `OutOfRange` for a logged propensity outside `(0, 1]`, a
    /// target propensity outside `[0, 1]`, and a weight that overflows.
    pub fn weights(&self) -> Result<Vec<f64>, StatsError> {
        self.check_shape()?;
        let pairs = self.logged_propensities.iter().zip(self.target_propensities);
        pairs.map(|(&logged, &target)| weight(logged, target)).collect()
    }

    /// Refuses slices that are empty, of different length or not finite.
    fn check_shape(&self) -> Result<(), StatsError> {
        let rows = self.rewards.len();
        for slice in [self.rewards, self.logged_propensities, self.target_propensities] {
            check::same_length(rows, slice.len())?;
            check::finite(slice)?;
        }
        Ok(())
    }
}

impl RewardModel<'_> {
    fn check_shape(&self, rows: usize) -> Result<(), StatsError> {
        for slice in [self.logged_action, self.target_policy] {
            check::same_length(rows, slice.len())?;
            check::finite(slice)?;
        }
        Ok(())
    }
}

fn valid_logged(propensity: f64) -> bool {
    propensity > 0.0 && propensity <= 1.0
}

fn valid_target(propensity: f64) -> bool {
    (0.0..=1.0).contains(&propensity)
}

fn weight(logged: f64, target: f64) -> Result<f64, StatsError> {
    if !valid_logged(logged) {
        return Err(StatsError::OutOfRange { name: "logged propensity", value: logged });
    }
    if !valid_target(target) {
        return Err(StatsError::OutOfRange { name: "target propensity", value: target });
    }
    let weight = target / logged;
    if weight.is_finite() {
        Ok(weight)
    } else {
        Err(StatsError::OutOfRange { name: "importance weight", value: weight })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_example() {
        let log =
            Log { rewards: &[1.0, 1.0], logged_propensities: &[0.5, 0.25], target_propensities: &[1.0, 0.0] };
        assert_eq!(log.weights().unwrap(), [2.0, 0.0]);
    }

    #[test]
    fn what_it_refuses() {
        let of = |rewards: &[f64], logged: &[f64], target: &[f64]| {
            Log { rewards, logged_propensities: logged, target_propensities: target }.weights()
        };
        assert_eq!(of(&[], &[], &[]), Err(StatsError::Empty));
        assert_eq!(of(&[1.0], &[0.5, 0.5], &[0.5]), Err(StatsError::LengthMismatch { left: 1, right: 2 }));
        assert_eq!(of(&[f64::NAN], &[0.5], &[0.5]), Err(StatsError::NotFinite { index: 0 }));
        let name = |logged: f64, target: f64| match of(&[1.0], &[logged], &[target]) {
            Err(StatsError::OutOfRange { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(0.0, 0.5), "logged propensity");
        assert_eq!(name(1.1, 0.5), "logged propensity");
        assert_eq!(name(0.5, -0.1), "target propensity");
        assert_eq!(name(0.5, 1.1), "target propensity");
        assert_eq!(name(1e-310, 1.0), "importance weight");
    }
}
