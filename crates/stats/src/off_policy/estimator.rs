//! The estimators themselves. Owns their scores and standard errors; refuses to judge whether the log supports
//! them, which is [`super::evaluate`]'s business.
//!
//! All answer `Empty`, `NotFinite` and `LengthMismatch` for bad slices, and `OutOfRange` for an invalid
//! propensity, fewer than two rows, a `level` not strictly between 0 and 1, a score that overflows, and scores
//! that are all equal: they would give an interval of width 0, which is a claim and not an estimate.

use super::{Bias, Estimate, Log, RewardModel, weight};
use crate::{Interval, StatsError, check, distribution};

/// Scores that are all equal give no interval.
pub(super) const NO_VARIANCE: StatsError =
    StatsError::OutOfRange { name: "variance of the scores", value: 0.0 };

/// Inverse propensity scoring: the mean of `w_i r_i` (Horvitz & Thompson, Journal of the American Statistical
/// Association 1952), in the unit of the rewards. Unbiased; its variance grows with the weights.
///
/// Worked example: two actions logged at 0.5 each, the target always takes the first. Rewards 3 and 1 for the
/// first, 7 for the second: the scores are 6, 2 and 0, the mean 8/3 and the standard error `sqrt(28/9)`.
pub fn inverse_propensity(log: &Log<'_>, level: f64) -> Result<Estimate, StatsError> {
    let weights = log.weights()?;
    let scores = products(&weights, log.rewards);
    from_scores(&scores, Bias::None, level)
}

/// Self-normalised inverse propensity scoring: `sum of w_i r_i / sum of w_i` (Hájek 1971; Swaminathan & Joachims,
/// NeurIPS 2015), in the unit of the rewards and never outside their range.
///
/// The standard error is that of the linearised ratio: the influence of row `i` is `w_i (r_i - V) / mean of w`,
/// and the variance of the estimate is the sum of their squares over `n (n - 1)` (Owen, Monte Carlo Theory,
/// Methods and Examples, 2013, section 9.2). Shifting all rewards shifts the estimate, which IPS does not do.
///
/// Worked example: for the rows of [`inverse_propensity`] the value is `(2 * 3 + 2 * 1) / 4 = 2`, the influences
/// are 1.5, -1.5 and 0, and the standard error `sqrt(4.5 / 6)`.
///
/// Errors: also `OutOfRange` when all weights are 0.
pub fn self_normalised(log: &Log<'_>, level: f64) -> Result<Estimate, StatsError> {
    let weights = log.weights()?;
    let total: f64 = weights.iter().sum();
    check::positive("sum of the weights", total)?;
    // Ratios first: a product of a huge weight and a huge reward may overflow where the estimate does not.
    let share = |weight: f64| weight / total;
    let value: f64 = weights.iter().zip(log.rewards).map(|(&weight, reward)| share(weight) * reward).sum();
    let rows = weights.len() as f64;
    let influences: Vec<f64> = weights
        .iter()
        .zip(log.rewards)
        .map(|(&weight, reward)| rows * share(weight) * (reward - value))
        .collect();
    let standard_error = spread_of_mean(&influences, 0.0)?;
    around(value, standard_error, Bias::Vanishing, rows, level)
}

/// Inverse propensity scoring with weights cut at `clip`: the mean of `min(w_i, clip) r_i` (Ionides, Journal of
/// Computational and Graphical Statistics 2008), in the unit of the rewards. *Biased*: rows that stand for many
/// are counted for fewer, so that it is too low for positive rewards; [`Bias::Lasting`] says by how much on these
/// rows. Ionides recommends a clip of `sqrt(n)`.
///
/// Worked example: for the rows of [`inverse_propensity`] and a clip of 1 the value is 4/3, half of the unbiased
/// 8/3, and the estimated bias is -4/3.
///
/// Errors: also `OutOfRange` for a `clip` that is not greater than 0; infinity is allowed and gives IPS.
pub fn clipped_inverse_propensity(log: &Log<'_>, clip: f64, level: f64) -> Result<Estimate, StatsError> {
    if clip.is_nan() || clip <= 0.0 {
        return Err(StatsError::OutOfRange { name: "clip", value: clip });
    }
    let weights = log.weights()?;
    let clipped: Vec<f64> = weights.iter().map(|weight| weight.min(clip)).collect();
    let scores = products(&clipped, log.rewards);
    let bias = lasting(&weights, &clipped, log.rewards)?;
    from_scores(&scores, bias, level)
}

/// The direct method: the mean of what the reward model expects under the target policy, in the unit of the
/// rewards. *Biased* as far as the model is wrong. The standard error covers the spread of contexts and nothing of
/// the model's own error, so it is nearly always too small; [`Bias::Lasting`] compares with [`doubly_robust`].
///
/// Worked example: a model that expects 2 and 4 under the target has the value 3 and the standard error 1.
pub fn direct(log: &Log<'_>, model: &RewardModel<'_>, level: f64) -> Result<Estimate, StatsError> {
    shrunk(log, model, |_| 0.0, level)
}

/// The doubly robust estimator: the mean of `q(x_i, e) + w_i (r_i - q(x_i, a_i))` (Robins, Rotnitzky & Zhao,
/// Journal of the American Statistical Association 1994; Dudík, Langford & Li, ICML 2011), in the unit of the
/// rewards. Unbiased with right propensities whatever the model, and of less variance than IPS when the model
/// predicts; with a model of 0 it is IPS.
///
/// Worked example: two rows with weights 2 and 0, rewards 3 and 7, a model that expects 2 and 5 of the logged
/// actions and 2 and 3 under the target: the scores are `2 + 2 (3 - 2) = 4` and 3, the value 3.5 and the standard
/// error 0.5.
pub fn doubly_robust(log: &Log<'_>, model: &RewardModel<'_>, level: f64) -> Result<Estimate, StatsError> {
    let weights = log.weights()?;
    let residuals = residuals(log, model)?;
    from_scores(&augmented(model, &weights, &residuals), Bias::None, level)
}

/// SWITCH-DR: doubly robust where the weight is at most `threshold`, the direct method beyond (Wang, Agarwal &
/// Dudík, ICML 2017), in the unit of the rewards. *Biased* as far as the model is wrong where the weights are
/// large. A threshold of infinity gives DR, one below every positive weight the direct method. [`super::tune`]
/// chooses one; the interval takes it as given.
///
/// Worked example: for the rows of [`doubly_robust`] and a threshold of 1 the scores are 2 and 3.
///
/// Errors: also `OutOfRange` for a `threshold` that is NaN or below 0.
pub fn switch_doubly_robust(
    log: &Log<'_>,
    model: &RewardModel<'_>,
    threshold: f64,
    level: f64,
) -> Result<Estimate, StatsError> {
    check_parameter("threshold", threshold)?;
    shrunk(log, model, |weight| switched(weight, threshold), level)
}

/// Doubly robust with optimistic shrinkage (DRos): the weight `w` becomes `lambda w / (w^2 + lambda)` (Su,
/// Dimakopoulou, Krishnamurthy & Dudík, ICML 2020), in the unit of the rewards. *Biased* as far as the model is
/// wrong. `lambda = 0` gives the direct method, infinity DR; in between no weight exceeds `sqrt(lambda) / 2`.
/// [`super::tune`] chooses one; the interval takes it as given.
///
/// Worked example: for the rows of [`doubly_robust`] and `lambda = 4` the weight 2 becomes 1, and the scores are 3
/// and 3.
///
/// Errors: also `OutOfRange` for a `lambda` that is NaN or below 0.
pub fn shrunk_doubly_robust(
    log: &Log<'_>,
    model: &RewardModel<'_>,
    lambda: f64,
    level: f64,
) -> Result<Estimate, StatsError> {
    check_parameter("lambda", lambda)?;
    shrunk(log, model, |weight| optimistic(weight, lambda), level)
}

/// The doubly robust score of one row, for streams: `q_target + w (r - q_logged)`, in the unit of the reward. Pass
/// 0 for both model values to get the score of IPS.
///
/// Its expectation given the past is the target's value at this context, so that
/// [`AsymptoticSequence`](crate::confidence_sequence::AsymptoticSequence) over the scores holds the target's
/// running average value at every look (Waudby-Smith, Wu, Ramdas, Karampatziakis & Mineiro, "Anytime-valid
/// off-policy inference for contextual bandits", 2024).
///
/// Worked example: an action logged at 0.5 that the target always takes brought 3 where the model expected 2: the
/// score is `2 + 2 (3 - 2) = 4`.
///
/// Errors: `NotFinite` for a reward (index 0) or model value (1 and 2); `OutOfRange` for a logged propensity
/// outside `(0, 1]`, a target propensity outside `[0, 1]`, and a score that overflows.
pub fn score(
    reward: f64,
    logged_propensity: f64,
    target_propensity: f64,
    q_logged: f64,
    q_target: f64,
) -> Result<f64, StatsError> {
    check::finite(&[reward, q_logged, q_target])?;
    let score = q_target + weight(logged_propensity, target_propensity)? * (reward - q_logged);
    if score.is_finite() { Ok(score) } else { Err(overflow(score)) }
}

/// The weight of SWITCH: itself up to the threshold, 0 beyond.
pub(super) fn switched(weight: f64, threshold: f64) -> f64 {
    if weight <= threshold { weight } else { 0.0 }
}

/// The optimistically shrunk weight. Written so that neither `w^2` nor an infinite `lambda` makes it NaN.
pub(super) fn optimistic(weight: f64, lambda: f64) -> f64 {
    if lambda <= 0.0 || weight <= 0.0 { 0.0 } else { weight / (1.0 + weight * (weight / lambda)) }
}

/// What the model leaves unexplained, `r_i - q(x_i, a_i)`.
pub(super) fn residuals(log: &Log<'_>, model: &RewardModel<'_>) -> Result<Vec<f64>, StatsError> {
    model.check_shape(log.rewards.len())?;
    Ok(log.rewards.iter().zip(model.logged_action).map(|(reward, expected)| reward - expected).collect())
}

/// `q(x_i, e) + w_i residual_i`.
pub(super) fn augmented(model: &RewardModel<'_>, weights: &[f64], residuals: &[f64]) -> Vec<f64> {
    let corrections = weights.iter().zip(residuals);
    model
        .target_policy
        .iter()
        .zip(corrections)
        .map(|(expected, (w, residual))| expected + w * residual)
        .collect()
}

/// The mean of the scores, and the sum of squared deviations from it over `n (n - 1)`: the squared standard error.
pub(super) fn mean_and_variance(scores: &[f64]) -> (f64, f64) {
    let n = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / n;
    let squares: f64 = scores.iter().map(|score| (score - mean) * (score - mean)).sum();
    (mean, squares / n / (n - 1.0))
}

fn shrunk(
    log: &Log<'_>,
    model: &RewardModel<'_>,
    rule: impl Fn(f64) -> f64,
    level: f64,
) -> Result<Estimate, StatsError> {
    let weights = log.weights()?;
    let residuals = residuals(log, model)?;
    let kept: Vec<f64> = weights.iter().map(|&weight| rule(weight)).collect();
    let bias = lasting(&weights, &kept, &residuals)?;
    from_scores(&augmented(model, &kept, &residuals), bias, level)
}

fn products(weights: &[f64], values: &[f64]) -> Vec<f64> {
    weights.iter().zip(values).map(|(weight, value)| weight * value).collect()
}

/// What changing the weights did on these rows: the mean of `(kept - w) residual` with its standard error.
fn lasting(weights: &[f64], kept: &[f64], residuals: &[f64]) -> Result<Bias, StatsError> {
    let changes = weights.iter().zip(kept).map(|(weight, kept)| kept - weight);
    let effects: Vec<f64> = changes.zip(residuals).map(|(change, residual)| change * residual).collect();
    check_scores(&effects)?;
    let (estimated, variance) = mean_and_variance(&effects);
    Ok(Bias::Lasting { estimated, standard_error: variance.sqrt() })
}

fn from_scores(scores: &[f64], bias: Bias, level: f64) -> Result<Estimate, StatsError> {
    check_scores(scores)?;
    let (value, _) = mean_and_variance(scores);
    around(value, spread_of_mean(scores, value)?, bias, scores.len() as f64, level)
}

/// The standard error of the mean of scores that vary around `centre`.
fn spread_of_mean(scores: &[f64], centre: f64) -> Result<f64, StatsError> {
    check_scores(scores)?;
    // Compared and not subtracted: the mean of equal numbers may be off by a rounding.
    if scores.iter().all(|score| *score == scores[0]) {
        return Err(NO_VARIANCE);
    }
    let n = scores.len() as f64;
    let squares: f64 = scores.iter().map(|score| (score - centre) * (score - centre)).sum();
    Ok((squares / n / (n - 1.0)).sqrt())
}

fn around(value: f64, error: f64, bias: Bias, rows: f64, level: f64) -> Result<Estimate, StatsError> {
    check::open_unit("level", level)?;
    let half_width = distribution::student_two_sided_critical(level, rows - 1.0) * error;
    let (low, high) = (value - half_width, value + half_width);
    if !(low.is_finite() && high.is_finite()) {
        return Err(overflow(half_width));
    }
    Ok(Estimate { interval: Interval { estimate: value, low, high, level }, standard_error: error, bias })
}

fn check_scores(scores: &[f64]) -> Result<(), StatsError> {
    if scores.len() < 2 {
        return Err(StatsError::OutOfRange { name: "number of rows", value: scores.len() as f64 });
    }
    match scores.iter().find(|score| !score.is_finite()) {
        Some(&score) => Err(overflow(score)),
        None => Ok(()),
    }
}

fn check_parameter(name: &'static str, value: f64) -> Result<(), StatsError> {
    if value >= 0.0 { Ok(()) } else { Err(StatsError::OutOfRange { name, value }) }
}

fn overflow(value: f64) -> StatsError {
    StatsError::OutOfRange { name: "weighted reward", value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    const THREE: Log<'static> = Log {
        rewards: &[3.0, 1.0, 7.0],
        logged_propensities: &[0.5, 0.5, 0.5],
        target_propensities: &[1.0, 1.0, 0.0],
    };
    const TWO: Log<'static> =
        Log { rewards: &[3.0, 7.0], logged_propensities: &[0.5, 0.5], target_propensities: &[1.0, 0.0] };
    const MODEL: RewardModel<'static> =
        RewardModel { logged_action: &[2.0, 5.0], target_policy: &[2.0, 3.0] };

    #[test]
    fn the_worked_examples_without_a_model() {
        let plain = inverse_propensity(&THREE, 0.95).unwrap();
        assert_close(plain.interval.estimate, 8.0 / 3.0, 1e-15);
        assert_close(plain.standard_error, (28.0_f64 / 9.0).sqrt(), 1e-15);
        // Student's t at 2 degrees of freedom: 4.303 (NIST table).
        assert_close(plain.interval.half_width() / plain.standard_error, 4.303, 5e-4);
        assert_eq!(plain.bias, Bias::None);
        let normalised = self_normalised(&THREE, 0.95).unwrap();
        assert_close(normalised.interval.estimate, 2.0, 1e-15);
        assert_close(normalised.standard_error, 0.75_f64.sqrt(), 1e-15);
        assert_eq!(normalised.bias, Bias::Vanishing);
        let clipped = clipped_inverse_propensity(&THREE, 1.0, 0.95).unwrap();
        assert_close(clipped.interval.estimate, 4.0 / 3.0, 1e-15);
        let Bias::Lasting { estimated, .. } = clipped.bias else { panic!("{:?}", clipped.bias) };
        assert_close(estimated, -4.0 / 3.0, 1e-15);
    }

    #[test]
    fn the_worked_examples_with_a_model() {
        let model = RewardModel { logged_action: &[0.0, 0.0], target_policy: &[2.0, 4.0] };
        let modelled = direct(&TWO, &model, 0.9).unwrap();
        assert_eq!((modelled.interval.estimate, modelled.standard_error), (3.0, 1.0));
        let robust = doubly_robust(&TWO, &MODEL, 0.9).unwrap();
        assert_eq!((robust.interval.estimate, robust.standard_error), (3.5, 0.5));
        assert_eq!(robust.bias, Bias::None);
        let switched = switch_doubly_robust(&TWO, &MODEL, 1.0, 0.9).unwrap();
        assert_eq!(switched.interval.estimate, 2.5);
        assert_eq!(switched.bias, Bias::Lasting { estimated: -1.0, standard_error: 1.0 });
        assert_eq!(optimistic(2.0, 4.0), 1.0);
        // The two scores of the example are equal, so there is no interval; a third row makes one.
        assert!(shrunk_doubly_robust(&TWO, &MODEL, 4.0, 0.9).is_err());
        assert_eq!(score(3.0, 0.5, 1.0, 2.0, 2.0).unwrap(), 4.0);
    }

    #[test]
    fn no_shrunk_weight_exceeds_half_the_root_of_lambda() {
        for lambda in [1e-9, 0.3, 1.0, 50.0, 1e12] {
            for step in 0..400 {
                let weight = 1.1_f64.powi(step - 200);
                let shrunk = optimistic(weight, lambda);
                assert!(shrunk <= 0.5 * lambda.sqrt() * (1.0 + 1e-12) && shrunk <= weight);
            }
        }
        assert_eq!(optimistic(1e200, 1.0), 0.0);
        assert_eq!(optimistic(3.0, f64::INFINITY), 3.0);
        assert_eq!(optimistic(0.0, 0.0), 0.0);
    }

    #[test]
    fn what_they_refuse() {
        let name = |result: Result<Estimate, StatsError>| match result {
            Err(StatsError::OutOfRange { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        let lone = Log { rewards: &[1.0], logged_propensities: &[0.5], target_propensities: &[0.5] };
        assert_eq!(name(inverse_propensity(&lone, 0.95)), "number of rows");
        assert_eq!(name(self_normalised(&lone, 0.95)), "number of rows");
        assert_eq!(name(inverse_propensity(&THREE, 1.0)), "level");
        let never = Log { target_propensities: &[0.0, 0.0], ..TWO };
        assert_eq!(name(self_normalised(&never, 0.9)), "sum of the weights");
        assert_eq!(name(inverse_propensity(&never, 0.9)), "variance of the scores");
        assert_eq!(name(clipped_inverse_propensity(&THREE, 0.0, 0.9)), "clip");
        assert_eq!(name(clipped_inverse_propensity(&THREE, f64::NAN, 0.9)), "clip");
        assert_eq!(name(switch_doubly_robust(&TWO, &MODEL, -1.0, 0.9)), "threshold");
        assert_eq!(name(shrunk_doubly_robust(&TWO, &MODEL, f64::NAN, 0.9)), "lambda");
        let huge = Log {
            rewards: &[1e300, -1e300],
            logged_propensities: &[1e-10, 1e-10],
            target_propensities: &[1.0, 1.0],
        };
        assert_eq!(name(inverse_propensity(&huge, 0.9)), "weighted reward");
        let short = RewardModel { logged_action: &[1.0], ..MODEL };
        assert_eq!(direct(&TWO, &short, 0.9), Err(StatsError::LengthMismatch { left: 2, right: 1 }));
        assert_eq!(score(f64::NAN, 0.5, 0.5, 0.0, 0.0), Err(StatsError::NotFinite { index: 0 }));
        assert!(score(1.0, 0.0, 0.5, 0.0, 0.0).is_err() && score(1e308, 1e-3, 1.0, 0.0, 0.0).is_err());
    }
}
