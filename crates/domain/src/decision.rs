//! From scores to decisions: the best per row, the best few of a request, or a bandit that explores.
//!
//! Owns which decision a row gets and with what probability. Refuses randomness of its own: a draw comes from the
//! caller, so that it can be logged and repeated.

use serde::{Deserialize, Serialize};

use crate::DomainError;

/// How an endpoint decides, as its owner writes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DecisionSpec {
    /// Every row gets the decision that is worth most (Elkan 2001).
    #[default]
    Best,
    /// Of the rows of one request, only so many get anything but the first decision of the value model: those that
    /// gain most by it.
    TopK {
        /// Most rows of a request that are acted upon.
        budget: u32,
    },
    /// An ε-greedy bandit over the decisions of the value model (Sutton and Barto, "Reinforcement Learning", 2018,
    /// section 2.2): mostly the best one, else any with equal probability. Each decision's probability is logged.
    EpsilonGreedy {
        /// Probability of exploring, above 0 and at most 0.5.
        epsilon: f64,
        /// A decision is explored only where it is expected to lose at most this against the best, in major units of
        /// the value model's currency; without it every decision may be tried anywhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_regret: Option<f64>,
    },
}

/// What a row gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    /// Position of the decision in the value model.
    pub decision: usize,
    /// Probability with which it is chosen for this row.
    pub propensity: f64,
}

impl DecisionSpec {
    /// Checks its bounds.
    pub fn validate(&self) -> Result<(), DomainError> {
        match self {
            Self::TopK { budget: 0 } => {
                Err(DomainError::invalid("decision.top_k.budget", "must be at least 1"))
            }
            Self::EpsilonGreedy { epsilon, .. } if !(*epsilon > 0.0 && *epsilon <= 0.5) => Err(
                DomainError::invalid("decision.epsilon_greedy.epsilon", "must be above 0 and at most 0.5"),
            ),
            Self::EpsilonGreedy { max_regret: Some(most), .. } if !(most.is_finite() && *most >= 0.0) => {
                Err(DomainError::invalid("decision.epsilon_greedy.max_regret", "must be at least 0"))
            }
            _ => Ok(()),
        }
    }

    /// Chooses for every row. `expected` holds what each decision is expected to be worth, row after row, with
    /// `decisions` entries a row (negative infinity for one that cannot be valued); `draw` gives a row's number in
    /// `[0, 1)`.
    pub fn choose(&self, expected: &[f64], decisions: usize, draw: impl Fn(usize) -> f64) -> Vec<Chosen> {
        let rows = expected.chunks_exact(decisions.max(1));
        let best = |row: &[f64]| Chosen { decision: best_of(row), propensity: 1.0 };
        match *self {
            Self::Best => rows.map(best).collect(),
            Self::TopK { budget } => {
                let mut chosen: Vec<Chosen> = rows.clone().map(best).collect();
                let gain = |row: usize| {
                    let worth = &expected[row * decisions..][..decisions];
                    worth[chosen[row].decision] - worth[0]
                };
                let mut acted: Vec<usize> =
                    (0..chosen.len()).filter(|row| chosen[*row].decision != 0).collect();
                // The earlier row wins a tie, so that the same request is answered the same way.
                acted.sort_by(|a, b| gain(*b).total_cmp(&gain(*a)).then(a.cmp(b)));
                let left: Vec<usize> = acted.into_iter().skip(budget as usize).collect();
                for row in left {
                    chosen[row].decision = 0;
                }
                chosen
            }
            Self::EpsilonGreedy { epsilon, max_regret } => {
                let most = max_regret.unwrap_or(f64::INFINITY);
                rows.enumerate().map(|(row, worth)| explore(worth, epsilon, most, draw(row))).collect()
            }
        }
    }
}

/// The first of the highest.
fn best_of(worth: &[f64]) -> usize {
    let mut best = 0;
    for (decision, value) in worth.iter().enumerate() {
        if *value > worth[best] {
            best = decision;
        }
    }
    best
}

fn explore(worth: &[f64], epsilon: f64, most: f64, draw: f64) -> Chosen {
    let best = best_of(worth);
    let allowed = |value: f64| value > f64::NEG_INFINITY && worth[best] - value <= most;
    let count = worth.iter().filter(|value| allowed(**value)).count();
    if count < 2 {
        return Chosen { decision: best, propensity: 1.0 };
    }
    let each = epsilon / count as f64;
    let mut mark = draw;
    for (decision, value) in worth.iter().enumerate() {
        if allowed(*value) && decision != best {
            if mark < each {
                return Chosen { decision, propensity: each };
            }
            mark -= each;
        }
    }
    Chosen { decision: best, propensity: 1.0 - epsilon + each }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_goes_to_the_rows_that_gain_most() {
        let expected = [0.0, 5.0, 0.0, -1.0, 0.0, 9.0, 0.0, 5.0];
        let decisions = |spec: DecisionSpec| {
            let chosen = spec.choose(&expected, 2, |_| 0.0);
            chosen.iter().map(|c| c.decision).collect::<Vec<_>>()
        };
        assert_eq!(decisions(DecisionSpec::Best), [1, 0, 1, 1]);
        assert_eq!(decisions(DecisionSpec::TopK { budget: 2 }), [1, 0, 1, 0]);
        assert_eq!(decisions(DecisionSpec::TopK { budget: 9 }), [1, 0, 1, 1]);
    }

    #[test]
    fn a_bandit_chooses_with_the_probability_it_says() {
        let spec = DecisionSpec::EpsilonGreedy { epsilon: 0.3, max_regret: Some(4.0) };
        // The third decision loses more than the bound, the fourth cannot be valued: neither is tried.
        let expected = [1.0, 2.0, -3.0, f64::NEG_INFINITY];
        let mut counts = [0.0; 4];
        let draws = 10_000;
        for i in 0..draws {
            let chosen = spec.choose(&expected, 4, |_| f64::from(i) / f64::from(draws))[0];
            counts[chosen.decision] += 1.0 / f64::from(draws);
            let p = [0.15, 0.85, 0.0, 0.0][chosen.decision];
            assert!((chosen.propensity - p).abs() < 1e-12);
        }
        assert!((counts[0] - 0.15_f64).abs() < 1e-3 && (counts[1] - 0.85_f64).abs() < 1e-3, "{counts:?}");
        assert_eq!((counts[2], counts[3]), (0.0, 0.0));
    }

    #[test]
    fn bounds_are_checked_and_the_manifest_reads_well() {
        assert!(DecisionSpec::TopK { budget: 0 }.validate().is_err());
        assert!(DecisionSpec::EpsilonGreedy { epsilon: 0.6, max_regret: None }.validate().is_err());
        let spec: DecisionSpec = serde_json::from_str(r#"{"top_k":{"budget":100}}"#).unwrap();
        assert_eq!(spec, DecisionSpec::TopK { budget: 100 });
        assert_eq!(serde_json::from_str::<DecisionSpec>("\"best\"").unwrap(), DecisionSpec::Best);
    }
}
