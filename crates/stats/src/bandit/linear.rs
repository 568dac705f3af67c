//! Bandits on linear rewards with a model for each action (disjoint models). Owns the three rules; refuses to
//! share coefficients between actions, which context entries can express.

use super::{RidgeStatistics, check_actions, check_exploration, explored, greedy, largest};
use crate::{StatsError, check};

/// How a [`LinearBandit`] turns what it knows into probabilities. Each rule plays a share of decisions evenly among
/// all actions, so that every action keeps the propensity `share / actions` or more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// The highest posterior mean, and all evenly with probability `epsilon` in `(0, 1]`.
    EpsilonGreedy {
        /// The share that is played evenly.
        epsilon: f64,
    },
    /// Each action with the posterior probability that it is the best (Thompson, Biometrika 1933; Agrawal & Goyal,
    /// ICML 2013). The posteriors of the actions are independent and normal, so the probabilities are integrals
    /// over one line, found by quadrature to about 12 digits and without random numbers: some 0.1 ms for 10 actions,
    /// 0.7 ms for 30 and up to 40 ms for 256.
    Thompson {
        /// The standard deviation of the rewards around their expectation, in their unit; see
        /// [`RidgeStatistics::noise_variance`]. Too large explores too long.
        noise_standard_deviation: f64,
        /// The share that is played evenly, in `(0, 1]`.
        exploration: f64,
    },
    /// The highest upper bound `mean + width * spread` (LinUCB with disjoint models: Li, Chu, Langford & Schapire,
    /// WWW 2010). The rule itself never plays dice, so its support is all in the even share.
    UpperConfidence {
        /// The width in spreads, in the unit of the rewards; at least 0. The paper calls it alpha and takes
        /// `1 + sqrt(ln(2 / delta) / 2)` for rewards in `[0, 1]` and bounds that fail with chance `delta`.
        width: f64,
        /// The share that is played evenly, in `(0, 1]`.
        exploration: f64,
    },
}

/// The most numbers that the models of a bandit may remember, in all: 4 Mi, so that it takes less than 64 MiB.
const MAX_NUMBERS: usize = 1 << 22;

/// What one action brought at a context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation<'a> {
    /// The action that was drawn, counted from 0.
    pub action: usize,
    /// The context at which it was drawn.
    pub context: &'a [f64],
    /// What it brought, in the unit of the rewards.
    pub reward: f64,
}

/// A linear model for each action, and the rule that chooses by them.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearBandit {
    rule: Rule,
    actions: Vec<RidgeStatistics>,
}

impl LinearBandit {
    /// Nothing seen yet: `actions` models of contexts with `dimension` entries.
    ///
    /// Errors: `OutOfRange` for `actions` outside `1..=256`, for more than 4,194,304 sums in all, of which an action
    /// has `dimension (dimension + 1) / 2` (256 actions may have 180 entries, 31 may have 512), and as [`RidgeStatistics::new`] and
    /// [`from_statistics`](Self::from_statistics).
    pub fn new(actions: usize, dimension: usize, ridge: f64, rule: Rule) -> Result<Self, StatsError> {
        check_actions(actions)?;
        let fresh = RidgeStatistics::new(dimension, ridge)?;
        check_numbers(actions, dimension)?;
        Self::from_statistics(vec![fresh; actions], rule)
    }

    /// From the statistics of each action, for instance stored ones.
    ///
    /// A bandit that was stored and restored chooses with the same probabilities up to rounding; each choice logs those
    /// that it was drawn from.
    ///
    /// Errors: `OutOfRange` for a number of actions or of sums as in [`new`](Self::new), an even share outside `(0, 1]`, a noise that
    /// is not finite and above 0, and a width that is not finite and at least 0; `LengthMismatch` for actions of
    /// different dimension.
    pub fn from_statistics(actions: Vec<RidgeStatistics>, rule: Rule) -> Result<Self, StatsError> {
        check_actions(actions.len())?;
        rule.check()?;
        for statistics in &actions {
            check::same_length(actions[0].dimension(), statistics.dimension())?;
        }
        check_numbers(actions.len(), actions[0].dimension())?;
        Ok(Self { rule, actions })
    }

    /// The rule.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// The statistics of each action, to be stored.
    pub fn statistics(&self) -> &[RidgeStatistics] {
        &self.actions
    }

    /// The probability of each action at a context; they sum to 1, and none is below the even share over the number
    /// of actions. Pass them to [`draw`](super::draw), and log what it answers.
    ///
    /// Worked example: two actions of which nothing is known, Thompson with exploration 0.1: 0.5 each. After each was
    /// played ten times at `x = [1]`, action 0 bringing 0 and action 1 bringing 1, with noise 1 and ridge 1, the
    /// posteriors are normal with means 0 and 10/11 and variance 1/11, so action 1 has the probability
    /// `0.9 Phi((10/11) / sqrt(2/11)) + 0.05 = 0.935147`.
    ///
    /// Errors: `LengthMismatch` for a context of another dimension; `NotFinite`; `OutOfRange` when a prediction
    /// overflows.
    pub fn probabilities(&self, context: &[f64]) -> Result<Vec<f64>, StatsError> {
        let predictions: Result<Vec<_>, _> =
            self.actions.iter().map(|action| action.predict(context)).collect();
        let predictions = predictions?;
        let means = predictions.iter().map(|prediction| prediction.mean);
        let spreads = predictions.iter().map(|prediction| prediction.spread);
        let (chosen, exploration) = match self.rule {
            Rule::EpsilonGreedy { epsilon } => (greedy(&means.collect::<Vec<_>>()), epsilon),
            Rule::UpperConfidence { width, exploration } => {
                let bounds: Vec<f64> =
                    means.zip(spreads).map(|(mean, spread)| mean + width * spread).collect();
                check_predictions(&bounds)?;
                (greedy(&bounds), exploration)
            }
            Rule::Thompson { noise_standard_deviation, exploration } => {
                let means: Vec<f64> = means.collect();
                let deviations: Vec<f64> = spreads.map(|spread| spread * noise_standard_deviation).collect();
                check_predictions(&deviations)?;
                check_predictions(&means.iter().map(|mean| mean - means[0]).collect::<Vec<_>>())?;
                (largest::of_normals(&means, &deviations), exploration)
            }
        };
        Ok(explored(&chosen, exploration))
    }

    /// The expected reward of each action at a context, in the unit of the rewards: a reward model for
    /// [`doubly_robust`](crate::off_policy::doubly_robust), as long as it is asked before it learns the row.
    ///
    /// Errors: as [`probabilities`](Self::probabilities).
    pub fn expected_rewards(&self, context: &[f64]) -> Result<Vec<f64>, StatsError> {
        self.actions.iter().map(|action| Ok(action.predict(context)?.mean)).collect()
    }

    /// Learns what an action brought at a context, whenever that becomes known: the order of the rows does not matter
    /// beyond rounding. Keep the context of the decision until its reward is complete. On an error nothing has
    /// changed.
    ///
    /// Errors: `OutOfRange` for an action that does not exist, and as [`RidgeStatistics::update`].
    pub fn update(&mut self, action: usize, context: &[f64], reward: f64) -> Result<(), StatsError> {
        self.statistics_of(action)?.update(context, reward)
    }

    /// Learns several rows. On an error in any of them nothing has changed.
    ///
    /// Worked example: two rows in a batch are two updates.
    ///
    /// Errors: as [`update`](Self::update).
    pub fn update_batch(&mut self, rows: &[Observation<'_>]) -> Result<(), StatsError> {
        let mut learned = self.clone();
        for row in rows {
            learned.update(row.action, row.context, row.reward)?;
        }
        *self = learned;
        Ok(())
    }

    /// Replaces the reward of a row that was learned before; see [`RidgeStatistics::correct`]. On an error nothing has
    /// changed.
    ///
    /// Errors: as [`update`](Self::update).
    pub fn correct(
        &mut self,
        action: usize,
        context: &[f64],
        before: f64,
        after: f64,
    ) -> Result<(), StatsError> {
        self.statistics_of(action)?.correct(context, before, after)
    }

    /// The bandit that has seen the rows of both, by this one's rule.
    ///
    /// Errors: `LengthMismatch` for another number of actions, and as [`RidgeStatistics::merge`].
    pub fn merge(&self, other: &Self) -> Result<Self, StatsError> {
        check::same_length(self.actions.len(), other.actions.len())?;
        let pairs = self.actions.iter().zip(&other.actions);
        let actions: Result<Vec<_>, _> = pairs.map(|(one, other)| one.merge(other)).collect();
        Ok(Self { rule: self.rule, actions: actions? })
    }

    fn statistics_of(&mut self, action: usize) -> Result<&mut RidgeStatistics, StatsError> {
        self.actions.get_mut(action).ok_or(StatsError::OutOfRange { name: "action", value: action as f64 })
    }
}

impl Rule {
    fn check(&self) -> Result<(), StatsError> {
        match *self {
            Self::EpsilonGreedy { epsilon } => check_exploration("epsilon", epsilon),
            Self::Thompson { noise_standard_deviation, exploration } => {
                check::positive("noise standard deviation", noise_standard_deviation)?;
                check_exploration("exploration", exploration)
            }
            Self::UpperConfidence { width, exploration } => {
                if !(width.is_finite() && width >= 0.0) {
                    return Err(StatsError::OutOfRange { name: "width", value: width });
                }
                check_exploration("exploration", exploration)
            }
        }
    }
}

/// Refuses bandits that would take too much memory; the arguments are within their own bounds.
fn check_numbers(actions: usize, dimension: usize) -> Result<(), StatsError> {
    let numbers = actions * (dimension * (dimension + 1) / 2);
    if numbers <= MAX_NUMBERS {
        Ok(())
    } else {
        Err(StatsError::OutOfRange { name: "sums of a bandit", value: numbers as f64 })
    }
}

fn check_predictions(values: &[f64]) -> Result<(), StatsError> {
    match values.iter().find(|value| !value.is_finite()) {
        Some(&value) => Err(StatsError::OutOfRange { name: "prediction", value }),
        None => Ok(()),
    }
}
