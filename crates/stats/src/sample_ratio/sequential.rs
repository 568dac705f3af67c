//! The sample ratio test that may be read after every unit: Lindon & Malek, "Anytime-Valid Inference for
//! Multinomial Count Data" (NeurIPS 2022). Owns the Bayes factor of "any shares" against the agreed ones,
//! which is a martingale while the agreed ones hold; refuses to say why the shares are off.
//!
//! By Ville's inequality the Bayes factor exceeds `1 / alpha` at any time with chance at most `alpha`. So a
//! daily check keeps its error, where the chi-square test of [the parent module](super) needs one fixed day.

use crate::{StatsError, check};

/// Units counted while the agreed shares did not change. A rollout has one stage per step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage<'a> {
    /// Units per group, since the stage began.
    pub observed: &'a [u64],
    /// The agreed share of each group in this stage; scaled to sum to 1.
    pub expected_share: &'a [f64],
}

/// The natural logarithm of the Bayes factor against the agreed shares, summed over the stages.
///
/// With counts `s_i`, `n` in all, shares `t_i` and a Dirichlet prior with parameters `a_i = concentration
/// t_i`, `a` in all, one stage gives
/// `ln G(a) - ln G(a + n) + sum of [ln G(a_i + s_i) - ln G(a_i) - s_i ln t_i]`, where `G` is the gamma
/// function. Each stage begins from the prior anew. The product of the stages is a martingale too, because a
/// stage's shares are set before its units arrive.
///
/// `concentration` is how many units the prior is worth. A mismatch of a few tenths of a percent is found
/// soonest with 10,000, the default of the authors' package ssrm-test; a gross one with 100. Fix it before
/// the first look. With more than about `1e12` units the gamma functions leave an absolute error of `0.01`.
///
/// Worked example (ssrm-test 0.1.5): 520 and 480 units at equal shares and a concentration of 100 give a
/// Bayes factor of 0.6230520.
///
/// Errors: `Empty` without stages or without units; `LengthMismatch` between counts and shares of a stage;
/// `OutOfRange` for fewer than two groups, and for a share or a concentration that is not finite and greater
/// than 0.
pub fn log_bayes_factor(stages: &[Stage<'_>], concentration: f64) -> Result<f64, StatsError> {
    check::positive("concentration", concentration)?;
    let mut sum = 0.0;
    let mut units = 0.0;
    for stage in stages {
        check_stage(stage)?;
        sum += of_stage(stage, concentration);
        units += stage.observed.iter().map(|&count| count as f64).sum::<f64>();
    }
    if units < 1.0 {
        return Err(StatsError::Empty);
    }
    if sum.is_finite() {
        Ok(sum)
    } else {
        Err(StatsError::OutOfRange { name: "log Bayes factor", value: sum })
    }
}

/// The p-value that may be read at any time: `min(1, 1 / Bayes factor)`.
///
/// The chance that it is ever at most `alpha` while the shares are as agreed is at most `alpha`. The least
/// p-value of all looks so far has the same promise, so a reader may keep it.
///
/// Worked example (ssrm-test 0.1.5): after 3,320 and 2,960 units at equal shares, concentration 100, p is
/// 0.00030862.
///
/// Errors: as [`log_bayes_factor`].
pub fn p_value(stages: &[Stage<'_>], concentration: f64) -> Result<f64, StatsError> {
    Ok((-log_bayes_factor(stages, concentration)?).exp().min(1.0))
}

pub(crate) fn check_stage(stage: &Stage<'_>) -> Result<(), StatsError> {
    check::same_length(stage.observed.len(), stage.expected_share.len())?;
    if stage.observed.len() < 2 {
        return Err(StatsError::OutOfRange { name: "number of groups", value: stage.observed.len() as f64 });
    }
    for &share in stage.expected_share {
        check::positive("expected_share", share)?;
    }
    check::positive("sum of expected_share", stage.expected_share.iter().sum())
}

fn of_stage(stage: &Stage<'_>, concentration: f64) -> f64 {
    let shares: f64 = stage.expected_share.iter().sum();
    let units: f64 = stage.observed.iter().map(|&count| count as f64).sum();
    let groups = stage.observed.iter().zip(stage.expected_share).map(|(&count, share)| {
        let (count, share) = (count as f64, share / shares);
        log_rise(concentration * share, count) - count * share.ln()
    });
    groups.sum::<f64>() - log_rise(concentration, units)
}

/// `ln G(from + by) - ln G(from)`.
fn log_rise(from: f64, by: f64) -> f64 {
    libm::lgamma(from + by) - libm::lgamma(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    fn stage<'a>(observed: &'a [u64], expected_share: &'a [f64]) -> Stage<'a> {
        Stage { observed, expected_share }
    }

    #[test]
    fn the_worked_examples() {
        let first = log_bayes_factor(&[stage(&[520, 480], &[0.5, 0.5])], 100.0).unwrap();
        assert_close(first.exp(), 0.623_052_0, 5e-8);
        let p = p_value(&[stage(&[3_320, 2_960], &[1.0, 1.0])], 100.0).unwrap();
        assert_close(p, 0.000_308_62, 5e-9);
    }

    /// One unit cannot tell: the prior's mean is the agreed share, so the Bayes factor is 1.
    #[test]
    fn one_unit_says_nothing() {
        let shares = [0.2, 0.3, 0.5];
        for one in [[1, 0, 0], [0, 1, 0], [0, 0, 1]] {
            assert_close(log_bayes_factor(&[stage(&one, &shares)], 7.0).unwrap(), 0.0, 1e-12);
        }
    }

    /// A martingale: given any counts, the expected next Bayes factor under the agreed shares is the present
    /// one. Within a stage and across the change of a stage.
    #[test]
    fn the_bayes_factor_is_a_martingale() {
        let shares = [0.25, 0.75];
        let now = [stage(&[30, 60], &[0.1, 0.9])];
        let factor = |stages: &[Stage<'_>]| log_bayes_factor(stages, 40.0).unwrap().exp();
        let present = factor(&now);
        let next = |a, b| factor(&[now[0], stage(&[a, b], &shares)]);
        assert_close(0.25 * next(1, 0) + 0.75 * next(0, 1), present, 1e-12 * present);
        let expected = 0.25 * next(8, 11) + 0.75 * next(7, 12);
        assert_close(expected, next(7, 11), 1e-12 * expected);
    }

    #[test]
    fn what_it_refuses() {
        assert_eq!(p_value(&[], 10.0), Err(StatsError::Empty));
        assert_eq!(p_value(&[stage(&[0, 0], &[0.5, 0.5])], 10.0), Err(StatsError::Empty));
        assert!(p_value(&[stage(&[1, 2], &[0.5, 0.5])], 0.0).is_err());
        assert!(p_value(&[stage(&[1, 2], &[0.5, f64::NAN])], 1.0).is_err());
        assert!(p_value(&[stage(&[1], &[1.0])], 1.0).is_err());
        let mismatch = StatsError::LengthMismatch { left: 2, right: 1 };
        assert_eq!(p_value(&[stage(&[1, 2], &[1.0])], 1.0), Err(mismatch));
    }
}
