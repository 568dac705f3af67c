//! Choosing among actions while learning which is best, with the exact probability of every choice.
//!
//! Owns the decision rules, what they remember of the past, and the draw. Refuses a choice whose probability is not
//! known, and a rule that never explores: every rule here first computes the probability of each action, mixes in
//! an even exploration, and only then draws from those very numbers. So the logged propensity is exact by
//! construction, however roughly a rule found its probabilities, and the log can be evaluated for any other policy
//! ([`crate::off_policy`]).
//!
//! | rule | knows contexts | module |
//! | --- | --- | --- |
//! | ε-greedy, Thompson sampling, upper confidence bounds (LinUCB) on linear rewards | yes | [`LinearBandit`] |
//! | Thompson sampling on success rates | no | [`BetaBandit`] |
//! | ε-greedy on anybody's values | as the values do | [`epsilon_greedy`] |
//!
//! What is remembered are sums ([`Sums`], [`Outcomes`]): they can be stored, merged from parts, and outlive a
//! restart. An outcome may come late and out of order; only what has come is known, and a reward must not be
//! recorded before it is complete, or early refunds and late purchases teach the wrong lesson.
//!
//! With rewards that arrive days later, upper confidence bounds and ε-greedy repeat one choice until they do, while
//! Thompson sampling keeps spreading its choices (Chapelle & Li, NeurIPS 2011).
//!
//! With `K` actions and an even share `s`, no importance weight of the log exceeds `K / s`, and that is how the share
//! should be chosen: too small, and the log says little about other policies, if correctly.
//!
//! Regret is not promised: the bounds of the papers need rewards that are linear in the context and stay so.

mod beta;
mod cholesky;
mod largest;
mod linear;
mod ridge;

use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};

use crate::{StatsError, check};

pub use beta::{BetaBandit, Outcomes};
pub use linear::{LinearBandit, Observation, Rule};
pub use ridge::{MAX_DIMENSION, Prediction, RidgeStatistics, Sums};

/// The most actions of a bandit.
pub const MAX_ACTIONS: usize = 256;

/// How far probabilities may sum to something other than 1.
const TOLERANCE: f64 = 1e-9;

/// An action that was drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The action, counted from 0.
    pub action: usize,
    /// The probability with which it was drawn: what the log must keep.
    pub propensity: f64,
}

/// The probabilities of ε-greedy: the action with the highest value with probability `1 - epsilon + epsilon / K`,
/// each of the other `K - 1` with `epsilon / K` (Sutton & Barto, Reinforcement Learning, 2018, section 2.2). Several
/// highest share evenly, so that a start without any knowledge does not favour an action until its first reward,
/// which may be days away. `values` are in any unit.
///
/// Worked example: values 1, 5, 2 and `epsilon = 0.3` give 0.1, 0.8 and 0.1.
///
/// Errors: `Empty`; `NotFinite`; `OutOfRange` for an `epsilon` outside `(0, 1]` or more than [`MAX_ACTIONS`].
pub fn epsilon_greedy(values: &[f64], epsilon: f64) -> Result<Vec<f64>, StatsError> {
    check::finite(values)?;
    check_actions(values.len())?;
    check_exploration("epsilon", epsilon)?;
    Ok(explored(&greedy(values), epsilon))
}

/// Draws an action from `probabilities` with a number that is uniform on `[0, 1)`: the action in whose stretch of
/// the cumulated probabilities it falls. An action of probability 0 is never drawn.
///
/// Worked example: from 0.2, 0.5 and 0.3 the number 0.6 draws action 1 with propensity 0.5.
///
/// Errors: `Empty`; `NotFinite`; `OutOfRange` for a probability below 0, a sum that is not 1 within `1e-9`, and a
/// number outside `[0, 1)`.
pub fn draw(probabilities: &[f64], uniform: f64) -> Result<Choice, StatsError> {
    check::finite(probabilities)?;
    if let Some(&value) = probabilities.iter().find(|probability| **probability < 0.0) {
        return Err(StatsError::OutOfRange { name: "probability", value });
    }
    let sum: f64 = probabilities.iter().sum();
    if (sum - 1.0).abs() > TOLERANCE {
        return Err(StatsError::OutOfRange { name: "sum of the probabilities", value: sum });
    }
    if !(0.0..1.0).contains(&uniform) {
        return Err(StatsError::OutOfRange { name: "uniform number", value: uniform });
    }
    let mut cumulated = 0.0;
    let mut choice = Choice { action: 0, propensity: 0.0 };
    for (action, &propensity) in probabilities.iter().enumerate() {
        if propensity > 0.0 {
            // Kept in case rounding leaves the number beyond the last sum.
            choice = Choice { action, propensity };
            cumulated += propensity;
            if uniform < cumulated {
                break;
            }
        }
    }
    Ok(choice)
}

/// As [`draw`], with the number that `seed` determines on every machine (ChaCha with 8 rounds, the upper 53 bits).
/// Use a seed once: the same seed draws the same number whatever the probabilities.
///
/// Worked example: any seed draws action 1 from 0 and 1, with propensity 1.
pub fn draw_seeded(probabilities: &[f64], seed: u64) -> Result<Choice, StatsError> {
    let bits = ChaCha8Rng::seed_from_u64(seed).next_u64() >> 11;
    draw(probabilities, bits as f64 / (1_u64 << 53) as f64)
}

/// All probability on the highest, evenly where several are equal.
fn greedy(values: &[f64]) -> Vec<f64> {
    let highest = values.iter().fold(f64::NEG_INFINITY, |most, &value| most.max(value));
    let ties = values.iter().filter(|value| **value >= highest).count() as f64;
    values.iter().map(|value| if *value >= highest { 1.0 / ties } else { 0.0 }).collect()
}

/// `(1 - exploration) p + exploration / K`.
fn explored(probabilities: &[f64], exploration: f64) -> Vec<f64> {
    let floor = exploration / probabilities.len() as f64;
    probabilities.iter().map(|probability| (1.0 - exploration) * probability + floor).collect()
}

fn check_actions(actions: usize) -> Result<(), StatsError> {
    if (1..=MAX_ACTIONS).contains(&actions) {
        Ok(())
    } else {
        Err(StatsError::OutOfRange { name: "actions", value: actions as f64 })
    }
}

/// Refuses a share outside `(0, 1]`: without any exploration nothing can be learned about what was not chosen.
fn check_exploration(name: &'static str, share: f64) -> Result<(), StatsError> {
    if share > 0.0 && share <= 1.0 { Ok(()) } else { Err(StatsError::OutOfRange { name, value: share }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn the_worked_examples() {
        let found = epsilon_greedy(&[1.0, 5.0, 2.0], 0.3).unwrap();
        for (found, expected) in found.iter().zip([0.1, 0.8, 0.1]) {
            assert_close(*found, expected, 1e-15);
        }
        assert_eq!(draw(&[0.2, 0.5, 0.3], 0.6), Ok(Choice { action: 1, propensity: 0.5 }));
        for seed in 0..20 {
            assert_eq!(draw_seeded(&[0.0, 1.0], seed), Ok(Choice { action: 1, propensity: 1.0 }));
        }
    }

    /// A number through the whole unit interval draws each action as often as its propensity says.
    #[test]
    fn an_action_is_drawn_with_the_propensity_it_reports() {
        let probabilities = [0.0, 0.125, 0.5, 0.0, 0.375, 0.0];
        let mut counts = [0.0; 6];
        for step in 0..1_000 {
            let choice = draw(&probabilities, f64::from(step) / 1_000.0).unwrap();
            assert_eq!(choice.propensity, probabilities[choice.action]);
            counts[choice.action] += 0.001;
        }
        for (count, probability) in counts.iter().zip(probabilities) {
            assert_close(*count, probability, 1e-9);
        }
        // A sum short of 1 by rounding draws the last possible action, not the last.
        assert_eq!(draw(&[1.0 - 1e-10, 0.0], 1.0 - f64::EPSILON / 2.0).unwrap().action, 0);
    }

    #[test]
    fn seeds_draw_evenly() {
        let second = (0..4_000).filter(|seed| draw_seeded(&[0.7, 0.3], *seed).unwrap().action == 1).count();
        assert_close(second as f64 / 4_000.0, 0.3, 0.03);
    }

    #[test]
    fn what_they_refuse() {
        assert_eq!(epsilon_greedy(&[], 0.1), Err(StatsError::Empty));
        assert_eq!(epsilon_greedy(&[f64::NAN], 0.1), Err(StatsError::NotFinite { index: 0 }));
        assert!(epsilon_greedy(&[1.0], 0.0).is_err() && epsilon_greedy(&[1.0], 1.1).is_err());
        assert!(epsilon_greedy(&[1.0; MAX_ACTIONS + 1], 0.1).is_err());
        let name = |probabilities: &[f64], uniform| match draw(probabilities, uniform) {
            Err(StatsError::OutOfRange { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(&[1.5, -0.5], 0.5), "probability");
        assert_eq!(name(&[0.5, 0.4], 0.5), "sum of the probabilities");
        assert_eq!(name(&[0.5, 0.5], 1.0), "uniform number");
        assert_eq!(name(&[0.5, 0.5], f64::NAN), "uniform number");
    }
}
