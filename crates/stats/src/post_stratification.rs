//! Treatment against control within strata that were known beforehand, such as country or plan, looked at once:
//! post-stratification (Miratrix, Sekhon & Yu, "Adjusting Treatment Effect Estimates by Post-Stratification in
//! Randomized Experiments", Journal of the Royal Statistical Society B 2013). Owns the weighted comparison.
//! Refuses strata that the treatment may have changed, and does not choose them: draw them before looking at
//! outcomes, and merge those that would hold fewer than about ten units of either group.
//!
//! A group's mean is `sum of w_s m_s`, with `m_s` its mean in stratum `s` and the same shares `w_s` for both
//! groups, so that a stratum which chance put mostly into one group no longer counts for it. The variance is
//! `sum of w_s^2 v_s / n_s` for each group. What the strata explain of the outcome leaves the variance, as with
//! a covariate in [`crate::cuped`] for each stratum but one.
//!
//! Differences are treatment minus control. Every function answers `Empty` without strata; `LengthMismatch` when
//! shares and strata differ in number; `OutOfRange` for a share that is not greater than 0, for fewer than two
//! units of a group in a stratum, for values that were not finite, for a `level` not strictly between 0 and 1, and
//! for data without any variance.

use crate::{
    StatsError, check,
    contrast::{Contrast, Estimate, Shared, pooled_freedom},
    moments::Moments,
    two_sample::{self, Comparison},
};

/// The outcomes of the units of one stratum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stratum {
    /// Units that were held out.
    pub control: Moments,
    /// Units that were treated.
    pub treatment: Moments,
}

/// What each stratum counts for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shares<'a> {
    /// By its share of the units of both groups. The answer is for the population that they were drawn from, whose
    /// shares these only estimate. That adds `sum of w_s (d_s - d)^2 / n` to the variance, with `d_s` the
    /// difference in the stratum; the noise in `d_s` makes this term slightly too large.
    OfUnits,
    /// By its share of a population whose shares are known, scaled to sum to 1. The answer is for that population,
    /// and also for these very units when their own shares are given.
    Known(&'a [f64]),
}

/// The difference of the weighted means, in the unit of the values. Degrees of freedom by Satterthwaite's formula
/// over all strata of both groups.
///
/// Worked example: strata of 3 and 1 parts. In the first, control `[1, 3]` and treatment `[4, 6]` differ by 3; in
/// the second, control `[10, 12]` and treatment `[10, 14]` by 1. The difference is `0.75 * 3 + 0.25 * 1 = 2.5` with
/// variance `0.75^2 (1 + 1) + 0.25^2 (1 + 4) = 1.4375`.
pub fn absolute(strata: &[Stratum], shares: Shares<'_>, level: f64) -> Result<Comparison, StatsError> {
    contrast(strata, shares)?.difference(level)
}

/// The relative lift `treatment / control - 1` of the weighted means, linearised as in
/// [`two_sample::welch_relative`].
///
/// Worked example: for the strata above the weighted means are 4.25 and 6.75: 0.588235.
///
/// Errors: also `OutOfRange` when the weighted control mean is 0.
pub fn relative(strata: &[Stratum], shares: Shares<'_>, level: f64) -> Result<Comparison, StatsError> {
    contrast(strata, shares)?.relative(level)
}

/// As [`relative`], with the interval formed on the logarithm of the ratio
/// ([`two_sample::welch_relative_log`]).
///
/// Errors: also `OutOfRange` unless both weighted means are on the same side of 0.
pub fn relative_log(strata: &[Stratum], shares: Shares<'_>, level: f64) -> Result<Comparison, StatsError> {
    contrast(strata, shares)?.relative_log(level)
}

/// One stratum with its share.
struct Part {
    share: f64,
    control: Estimate,
    treatment: Estimate,
}

fn contrast(strata: &[Stratum], shares: Shares<'_>) -> Result<Contrast, StatsError> {
    if strata.is_empty() {
        return Err(StatsError::Empty);
    }
    let units = |stratum: &Stratum| stratum.control.n as f64 + stratum.treatment.n as f64;
    let weights = match shares {
        Shares::OfUnits => strata.iter().map(units).collect(),
        Shares::Known(shares) => shares.to_vec(),
    };
    check::same_length(strata.len(), weights.len())?;
    for &weight in &weights {
        check::positive("share", weight)?;
    }
    let total: f64 = weights.iter().sum();
    check::positive("sum of shares", total)?;
    let mut parts = Vec::with_capacity(strata.len());
    for (stratum, weight) in strata.iter().zip(&weights) {
        parts.push(Part {
            share: weight / total,
            control: two_sample::mean_of_group(&stratum.control)?,
            treatment: two_sample::mean_of_group(&stratum.treatment)?,
        });
    }
    let control = weighted(&parts, |part| part.control);
    let treatment = weighted(&parts, |part| part.treatment);
    let shared = match shares {
        Shares::OfUnits => between(&parts, control.value, treatment.value, total),
        Shares::Known(_) => Shared::default(),
    };
    Ok(Contrast { control, treatment, shared })
}

fn weighted(parts: &[Part], group: impl Fn(&Part) -> Estimate) -> Estimate {
    let variance = |part: &Part| part.share * part.share * group(part).variance;
    Estimate {
        value: parts.iter().map(|part| part.share * group(part).value).sum(),
        variance: parts.iter().map(variance).sum(),
        freedom: pooled_freedom(parts.iter().map(|part| (variance(part), group(part).freedom))),
    }
}

/// What the sampling of the strata's shares adds: the covariance matrix of the strata's means, weighted by share,
/// over `units`.
fn between(parts: &[Part], control: f64, treatment: f64, units: f64) -> Shared {
    let mut shared = Shared::default();
    for part in parts {
        let (c, t) = (part.control.value - control, part.treatment.value - treatment);
        let weight = part.share / units;
        shared.control += weight * c * c;
        shared.treatment += weight * t * t;
        shared.covariance += weight * c * t;
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    fn stratum(control: &[f64], treatment: &[f64]) -> Stratum {
        Stratum { control: Moments::from_values(control), treatment: Moments::from_values(treatment) }
    }

    fn example() -> [Stratum; 2] {
        [stratum(&[1.0, 3.0], &[4.0, 6.0]), stratum(&[10.0, 12.0], &[10.0, 14.0])]
    }

    #[test]
    fn the_worked_examples() {
        let known = Shares::Known(&[3.0, 1.0]);
        let answer = absolute(&example(), known, 0.9).unwrap();
        assert_close(answer.interval.estimate, 2.5, 1e-15);
        assert_close(answer.standard_error, 1.4375_f64.sqrt(), 1e-15);
        // Four variances with one degree of freedom each.
        let squares = [0.5625_f64, 0.5625, 0.0625, 0.25].map(|part| part * part);
        assert_close(answer.degrees_of_freedom, 1.4375 * 1.4375 / squares.iter().sum::<f64>(), 1e-14);
        let lift = relative(&example(), known, 0.9).unwrap().interval.estimate;
        assert_close(lift, 2.5 / 4.25, 1e-15);
        assert_close(relative_log(&example(), known, 0.9).unwrap().interval.estimate, lift, 0.0);
    }

    /// Equal strata of 4 units: the differences 3 and 1 lie 1 from their mean, which adds 1 / 8.
    #[test]
    fn estimated_shares_cost_variance() {
        let known = absolute(&example(), Shares::Known(&[0.5, 0.5]), 0.9).unwrap();
        let estimated = absolute(&example(), Shares::OfUnits, 0.9).unwrap();
        assert_close(known.interval.estimate, estimated.interval.estimate, 0.0);
        let squared = |answer: Comparison| answer.standard_error * answer.standard_error;
        assert_close(squared(estimated) - squared(known), 0.125, 1e-14);
    }

    #[test]
    fn one_stratum_is_welch() {
        let [one, _] = example();
        let welch = two_sample::welch_absolute(&one.control, &one.treatment, 0.9);
        assert_eq!(absolute(&[one], Shares::OfUnits, 0.9), welch);
        assert_eq!(absolute(&[one], Shares::Known(&[7.0]), 0.9), welch);
    }

    #[test]
    fn what_they_refuse() {
        let [one, other] = example();
        let lone = stratum(&[1.0], &[4.0, 6.0]);
        let name = |result: Result<Comparison, StatsError>| match result {
            Err(StatsError::OutOfRange { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(absolute(&[], Shares::OfUnits, 0.9), Err(StatsError::Empty));
        assert_eq!(
            absolute(&[one, other], Shares::Known(&[1.0]), 0.9),
            Err(StatsError::LengthMismatch { left: 2, right: 1 })
        );
        assert_eq!(name(absolute(&[one, lone], Shares::OfUnits, 0.9)), "units in a group");
        assert_eq!(name(absolute(&[one, other], Shares::Known(&[1.0, 0.0]), 0.9)), "share");
        assert_eq!(name(absolute(&[one, other], Shares::Known(&[1e308, 1e308]), 0.9)), "sum of shares");
        assert_eq!(name(absolute(&[one, other], Shares::OfUnits, 0.0)), "level");
        let constant = stratum(&[1.0, 1.0], &[1.0, 1.0]);
        assert_eq!(name(absolute(&[constant, constant], Shares::OfUnits, 0.9)), "variance");
    }
}
