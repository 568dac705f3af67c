//! The choice of SWITCH's threshold and of DRos' shrinkage from the data. Owns the bounds on the mean squared
//! error and the search over candidates; refuses any other criterion, in particular looking at the estimates.

use super::{
    Log, RewardModel,
    estimator::{augmented, mean_and_variance, optimistic, residuals, switched},
};
use crate::{StatsError, check, quantile};

/// The most candidates that a call accepts.
pub const MAX_CANDIDATES: usize = 1_000;

/// Candidates of [`default_candidates`] between the ends.
const GRID_STEPS: i32 = 30;

/// Keeps rounding from putting a threshold just below the weight that it was taken from: the weights of a policy
/// that explores evenly are a few values only.
const ROUNDED_UP: f64 = 1.0 + 1e-9;

/// How an estimator changes its weights, and what its parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightRule {
    /// SWITCH: weights above the threshold become 0.
    Switch,
    /// Optimistic shrinkage: `lambda w / (w^2 + lambda)`.
    OptimisticShrinkage,
}

/// How the squared bias of a candidate is bounded. `d_i = (w_i - kept weight_i) (r_i - q(x_i, a_i))` is what the
/// candidate drops of row `i`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BiasBound {
    /// The estimate itself, `|mean of d|`. It is not a bound, and with few rows the choice follows noise.
    Estimated,
    /// A bound that holds with probability `1 - delta`, by Bernstein's inequality: `|mean of d|` plus
    /// `c sqrt(2 mean of w^2 ln(2 / delta) / n)` plus `2 c max w ln(2 / delta) / (3 n)`, with `c` the largest
    /// residual `|r_i - q(x_i, a_i)|` seen (Su et al. 2020, direct bias estimation, there with `c = 1`).
    HighProbability {
        /// The chance that the bound fails, in `(0, 1)`.
        delta: f64,
    },
    /// The worst case, `largest residual * mean of |w_i - kept weight_i|`, which needs no estimate of the bias
    /// (Wang et al. 2017, section 4, with the target's mass beyond the threshold estimated from the rows).
    WorstCase {
        /// The largest `|E[r | x, a] - q(x, a)|` that can be, in the unit of the rewards: for rewards and
        /// predictions in `[0, R]` it is `R`.
        largest_residual: f64,
    },
}

/// The candidate with the least bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuned {
    /// The threshold, in weights, or `lambda`, in squared weights.
    pub parameter: f64,
    /// Its bound on the mean squared error, in the squared unit of the rewards.
    pub squared_error_bound: f64,
}

/// The candidate that minimises `estimated variance + bias bound^2` (Wang et al. 2017; Su et al. 2020, section 5).
/// The variance is that of the mean of the candidate's scores, with `n` in the denominator of the rows' spread. Of
/// equal bounds the largest parameter wins, which is the least biased. `O(rows * candidates)`.
///
/// Worked example: two rows with weights 10 and 0, rewards 1 and 0 and a model that always expects 0.5: keeping the
/// weight gives the scores 5.5 and 0.5, variance 3.125 and no bias; switching it off gives 0.5 twice, no variance
/// and an estimated bias of 2.5, squared 6.25. So [`BiasBound::Estimated`] keeps it.
///
/// Errors: those of [`Log::weights`]; `OutOfRange` for no candidate or more than [`MAX_CANDIDATES`], a candidate
/// that is NaN or below 0, a `delta` outside `(0, 1)`, a largest residual that is not finite and above 0, fewer
/// than two rows, and when every bound overflows.
pub fn tune(
    log: &Log<'_>,
    model: &RewardModel<'_>,
    rule: WeightRule,
    candidates: &[f64],
    bound: BiasBound,
) -> Result<Tuned, StatsError> {
    check_candidates(candidates)?;
    let weights = log.weights()?;
    if weights.len() < 2 {
        return Err(StatsError::OutOfRange { name: "number of rows", value: weights.len() as f64 });
    }
    let residuals = residuals(log, model)?;
    let margin = margin(&weights, &residuals, bound)?;
    let mut best: Option<Tuned> = None;
    for &parameter in candidates {
        let kept: Vec<f64> = weights.iter().map(|&weight| rule.keep(weight, parameter)).collect();
        let n = weights.len() as f64;
        let variance = mean_and_variance(&augmented(model, &kept, &residuals)).1 * ((n - 1.0) / n);
        let bias = margin + dropped(&weights, &kept, &residuals, bound);
        let found = Tuned { parameter, squared_error_bound: variance + bias * bias };
        if found.squared_error_bound.is_finite() && best.is_none_or(|best| found.beats(&best)) {
            best = Some(found);
        }
    }
    best.ok_or(StatsError::OutOfRange { name: "bound on the squared error", value: f64::INFINITY })
}

/// Candidates to try: 30 in geometric steps, and infinity, so that the unbiased estimator always competes. For
/// SWITCH the steps go from the 0.05 to the 0.95 quantile of the positive weights, for DRos from a hundredth of the
/// first squared to a hundred times the second squared.
///
/// Worked example: weights that are all 2 give SWITCH the candidates 2 (once) and infinity, and DRos 30 from 0.04
/// to 400 and infinity.
///
/// Errors: `Empty` without a positive weight; `NotFinite`.
pub fn default_candidates(weights: &[f64], rule: WeightRule) -> Result<Vec<f64>, StatsError> {
    check::finite(weights)?;
    let mut positive: Vec<f64> = weights.iter().copied().filter(|weight| *weight > 0.0).collect();
    check::finite(&positive)?;
    let (low, high) = (quantile::quantile(&mut positive, 0.05)?, quantile::quantile(&mut positive, 0.95)?);
    let (low, high) = match rule {
        WeightRule::Switch => (low, high),
        WeightRule::OptimisticShrinkage => (0.01 * low * low, 100.0 * high * high),
    };
    // Logarithms, and a floor for what underflowed, so that extreme weights give no NaN.
    let (low, high) = (low.max(f64::MIN_POSITIVE).ln(), high.clamp(f64::MIN_POSITIVE, f64::MAX).ln());
    let mut candidates: Vec<f64> = (0..GRID_STEPS)
        .map(|step| (low + (high - low) * f64::from(step) / f64::from(GRID_STEPS - 1)).exp() * ROUNDED_UP)
        .collect();
    candidates.push(f64::INFINITY);
    candidates.dedup();
    Ok(candidates)
}

impl WeightRule {
    pub(super) fn keep(self, weight: f64, parameter: f64) -> f64 {
        match self {
            Self::Switch => switched(weight, parameter),
            Self::OptimisticShrinkage => optimistic(weight, parameter),
        }
    }
}

impl Tuned {
    fn beats(&self, best: &Self) -> bool {
        self.squared_error_bound < best.squared_error_bound
            || (self.squared_error_bound <= best.squared_error_bound && self.parameter > best.parameter)
    }
}

fn check_candidates(candidates: &[f64]) -> Result<(), StatsError> {
    if candidates.is_empty() || candidates.len() > MAX_CANDIDATES {
        return Err(StatsError::OutOfRange { name: "number of candidates", value: candidates.len() as f64 });
    }
    match candidates.iter().find(|candidate| candidate.is_nan() || **candidate < 0.0) {
        Some(&value) => Err(StatsError::OutOfRange { name: "candidate", value }),
        None => Ok(()),
    }
}

/// The part of the bound that is the same for every candidate.
fn margin(weights: &[f64], residuals: &[f64], bound: BiasBound) -> Result<f64, StatsError> {
    match bound {
        BiasBound::Estimated => Ok(0.0),
        BiasBound::WorstCase { largest_residual } => {
            check::positive("largest residual", largest_residual)?;
            Ok(0.0)
        }
        BiasBound::HighProbability { delta } => {
            check::open_unit("delta", delta)?;
            let n = weights.len() as f64;
            let confidence = (2.0 / delta).ln();
            let largest_residual = residuals.iter().fold(0.0_f64, |most, residual| most.max(residual.abs()));
            let largest_weight = weights.iter().fold(0.0_f64, |most, &weight| most.max(weight));
            let mean_square = weights.iter().map(|weight| weight * weight).sum::<f64>() / n;
            let deviation = (2.0 * mean_square * confidence / n).sqrt();
            Ok(largest_residual * (deviation + 2.0 * largest_weight * confidence / (3.0 * n)))
        }
    }
}

/// The part of the bound that is the candidate's own.
fn dropped(weights: &[f64], kept: &[f64], residuals: &[f64], bound: BiasBound) -> f64 {
    let n = weights.len() as f64;
    let changes = weights.iter().zip(kept).map(|(weight, kept)| weight - kept);
    if let BiasBound::WorstCase { largest_residual } = bound {
        return largest_residual * changes.map(f64::abs).sum::<f64>() / n;
    }
    (changes.zip(residuals).map(|(change, residual)| change * residual).sum::<f64>() / n).abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    const LOG: Log<'static> =
        Log { rewards: &[1.0, 0.0], logged_propensities: &[0.1, 0.5], target_propensities: &[1.0, 0.0] };
    const MODEL: RewardModel<'static> =
        RewardModel { logged_action: &[0.5, 0.5], target_policy: &[0.5, 0.5] };

    #[test]
    fn the_worked_examples() {
        let candidates = [1.0, f64::INFINITY];
        let kept = tune(&LOG, &MODEL, WeightRule::Switch, &candidates, BiasBound::Estimated).unwrap();
        assert_eq!(kept, Tuned { parameter: f64::INFINITY, squared_error_bound: 3.125 });
        let alone = tune(&LOG, &MODEL, WeightRule::Switch, &[1.0], BiasBound::Estimated).unwrap();
        assert_eq!(alone, Tuned { parameter: 1.0, squared_error_bound: 6.25 });
        let switch = default_candidates(&[2.0, 2.0, 0.0], WeightRule::Switch).unwrap();
        assert_eq!(switch.len(), 2);
        assert!(switch[0] >= 2.0 && switch[0] < 2.000_001);
        let lambda = default_candidates(&[2.0, 2.0, 0.0], WeightRule::OptimisticShrinkage).unwrap();
        assert_eq!(lambda.len(), 31);
        assert_close(lambda[0], 0.04, 1e-9);
        assert_close(lambda[29], 400.0, 1e-5);
    }

    /// By hand: dropping the weight 10 costs at most `R * 10 / 2`.
    #[test]
    fn the_worst_case_by_hand() {
        let bound = BiasBound::WorstCase { largest_residual: 0.2 };
        let found = tune(&LOG, &MODEL, WeightRule::Switch, &[1.0, 10.0], bound).unwrap();
        assert_close(found.parameter, 1.0, 0.0);
        assert_close(found.squared_error_bound, 1.0, 1e-15);
    }

    #[test]
    fn what_it_refuses() {
        let name = |rule, candidates: &[f64], bound| match tune(&LOG, &MODEL, rule, candidates, bound) {
            Err(StatsError::OutOfRange { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        let rule = WeightRule::Switch;
        assert_eq!(name(rule, &[], BiasBound::Estimated), "number of candidates");
        assert_eq!(name(rule, &vec![1.0; MAX_CANDIDATES + 1], BiasBound::Estimated), "number of candidates");
        assert_eq!(name(rule, &[f64::NAN], BiasBound::Estimated), "candidate");
        assert_eq!(name(rule, &[1.0], BiasBound::HighProbability { delta: 0.0 }), "delta");
        assert_eq!(name(rule, &[1.0], BiasBound::WorstCase { largest_residual: 0.0 }), "largest residual");
        assert_eq!(default_candidates(&[0.0], rule), Err(StatsError::Empty));
        assert_eq!(default_candidates(&[f64::NAN], rule), Err(StatsError::NotFinite { index: 0 }));
    }

    #[test]
    fn no_threshold_falls_just_below_the_weight_it_was_taken_from() {
        for logged in 1..200 {
            let weight = 1.0 / (0.005 * f64::from(logged));
            let candidates = default_candidates(&[weight; 3], WeightRule::Switch).unwrap();
            assert!(candidates.iter().all(|candidate| *candidate >= weight), "{weight} {candidates:?}");
        }
    }

    #[test]
    fn extreme_weights_give_candidates_that_are_numbers() {
        for rule in [WeightRule::Switch, WeightRule::OptimisticShrinkage] {
            let candidates = default_candidates(&[1e-300, 1.0, 1e300], rule).unwrap();
            assert!(candidates.iter().all(|candidate| *candidate > 0.0), "{candidates:?}");
        }
    }
}
