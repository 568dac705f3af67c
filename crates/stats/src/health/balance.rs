//! Differences between the groups before they were treated, which a sound assignment leaves to chance. Owns
//! the standardised difference of each covariate and the tests of all of them together; refuses to adjust for
//! what it finds.

use crate::{Interval, StatsError, check, distribution, moments::Moments, two_sample};

/// A number known of every unit before its assignment, such as last month's orders.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Covariate {
    /// Its moments among the control's units.
    pub control: Moments,
    /// Its moments among the treatment's units.
    pub treatment: Moments,
}

/// What one covariate shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Imbalance {
    /// The standardised mean difference, treatment minus control, in standard deviations; its interval has
    /// level `1 - alpha` and is not adjusted for the number of covariates.
    pub difference: Interval,
    /// Welch's two-sided p-value of equal means.
    pub p_value: f64,
    /// The p-value adjusted for the number of covariates by Holm's method.
    pub adjusted_p_value: f64,
    /// Whether the adjusted p-value is at most `alpha` and the difference exceeds `negligible`.
    pub blocks: bool,
}

/// The result of [`balance`].
#[derive(Debug, Clone, PartialEq)]
pub struct Balance {
    /// One for each covariate, in the order given.
    pub covariates: Vec<Imbalance>,
    /// The standardised difference up to which a significant imbalance is let pass.
    pub negligible: f64,
    /// The chance of blocking a sound test, over all covariates together.
    pub alpha: f64,
    /// Whether any covariate blocks.
    pub blocks: bool,
}

/// Whether the groups differ in what was known of their units before the assignment.
///
/// Each covariate gives the standardised mean difference `d = (m2 - m1) / sqrt((v1 + v2) / 2)` (Austin,
/// Statistics in Medicine 2009), with standard error `sqrt((n1 + n2) / (n1 n2) + d^2 / (2 (n1 + n2)))`
/// (Hedges & Olkin, Statistical Methods for Meta-Analysis, 1985), and Welch's test of equal means. Holm's
/// step-down adjustment (Scandinavian Journal of Statistics 1979) bounds the chance that any sound covariate
/// blocks by `alpha`, however they depend on each other.
///
/// With very many units a difference that moves nothing becomes significant: `negligible` (in standard
/// deviations, 0 or above) is the size up to which it is let pass. With 0 the tests decide alone. A
/// difference that is large but not significant is what chance does in a small test; it does not block.
///
/// Worked example: means 10 and 11, both variances 4, 100 units each: `d = 0.5`, its standard error
/// `sqrt(0.02 + 0.25 / 400)`, and Welch's `t` is `1 / sqrt(0.08)` at 198 degrees of freedom, p 0.00050669
/// (SciPy 1.17.1).
///
/// Errors: `Empty` without covariates; `OutOfRange` as for [`two_sample::welch_absolute`], in particular for
/// a covariate that is constant, and for a negative or infinite `negligible`.
pub fn balance(covariates: &[Covariate], negligible: f64, alpha: f64) -> Result<Balance, StatsError> {
    check::open_unit("alpha", alpha)?;
    if !(negligible.is_finite() && negligible >= 0.0) {
        return Err(StatsError::OutOfRange { name: "negligible", value: negligible });
    }
    if covariates.is_empty() {
        return Err(StatsError::Empty);
    }
    let mut found = Vec::with_capacity(covariates.len());
    for covariate in covariates {
        let p_value =
            two_sample::welch_absolute(&covariate.control, &covariate.treatment, 1.0 - alpha)?.p_value;
        let difference = standardised_difference(covariate, 1.0 - alpha)?;
        found.push(Imbalance { difference, p_value, adjusted_p_value: p_value, blocks: false });
    }
    adjust(&mut found);
    for imbalance in &mut found {
        imbalance.blocks =
            imbalance.adjusted_p_value <= alpha && imbalance.difference.estimate.abs() > negligible;
    }
    let blocks = found.iter().any(|imbalance| imbalance.blocks);
    Ok(Balance { covariates: found, negligible, alpha, blocks })
}

fn standardised_difference(covariate: &Covariate, level: f64) -> Result<Interval, StatsError> {
    let (control, treatment) = (&covariate.control, &covariate.treatment);
    let spoiled = StatsError::OutOfRange { name: "sum of a group", value: f64::NAN };
    let variances = control.variance().zip(treatment.variance()).ok_or(spoiled)?;
    let means = control.mean().zip(treatment.mean()).ok_or(spoiled)?;
    let estimate = (means.1 - means.0) / f64::midpoint(variances.0, variances.1).sqrt();
    let (n1, n2) = (control.n as f64, treatment.n as f64);
    let variance = 1.0 / n1 + 1.0 / n2 + estimate * estimate / (2.0 * (n1 + n2));
    let half_width = distribution::normal_two_sided_critical(level) * variance.sqrt();
    Ok(Interval { estimate, low: estimate - half_width, high: estimate + half_width, level })
}

/// Holm: the `i`-th least of `m` p-values is multiplied by `m - i + 1`, at least the one before, at most 1.
fn adjust(found: &mut [Imbalance]) {
    let mut by_p: Vec<&mut Imbalance> = found.iter_mut().collect();
    by_p.sort_by(|one, other| one.p_value.total_cmp(&other.p_value));
    let mut left = by_p.len() as f64;
    let mut before: f64 = 0.0;
    for imbalance in by_p {
        before = before.max((left * imbalance.p_value).min(1.0));
        imbalance.adjusted_p_value = before;
        left -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    /// Moments of `n` units with this mean and this unbiased variance.
    fn group(n: u64, mean: f64, variance: f64) -> Moments {
        let count = n as f64;
        Moments { n, sum: count * mean, sum_squares: (count - 1.0) * variance + count * mean * mean }
    }

    #[test]
    fn the_worked_example() {
        let covariate = Covariate { control: group(100, 10.0, 4.0), treatment: group(100, 11.0, 4.0) };
        let found = balance(&[covariate], 0.0, 0.05).unwrap();
        let first = found.covariates[0];
        assert_close(first.difference.estimate, 0.5, 1e-13);
        assert_close(first.difference.half_width(), 1.959_964 * (0.02_f64 + 0.25 / 400.0).sqrt(), 1e-7);
        assert_close(first.p_value, 0.000_506_69, 5e-9);
        assert!(found.blocks);
        assert!(!balance(&[covariate], 0.5 + 1e-9, 0.05).unwrap().blocks);
    }

    /// statsmodels 0.15.0, `multipletests([0.01, 0.04, 0.03, 0.005], method="holm")`.
    #[test]
    fn adjusted_p_values_of_statsmodels() {
        let difference = Interval { estimate: 0.0, low: 0.0, high: 0.0, level: 0.95 };
        let with = |p_value| Imbalance { difference, p_value, adjusted_p_value: 0.0, blocks: false };
        let mut found = [0.01, 0.04, 0.03, 0.005].map(with);
        adjust(&mut found);
        for (imbalance, expected) in found.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert_close(imbalance.adjusted_p_value, expected, 1e-15);
        }
    }

    #[test]
    fn what_it_refuses() {
        let fine = Covariate { control: group(9, 1.0, 2.0), treatment: group(9, 1.0, 2.0) };
        let constant = Covariate {
            control: Moments::from_values(&[1.0, 1.0]),
            treatment: Moments::from_values(&[1.0, 1.0]),
        };
        assert_eq!(balance(&[], 0.0, 0.05), Err(StatsError::Empty));
        assert!(balance(&[fine, constant], 0.0, 0.05).is_err());
        assert!(balance(&[fine], -0.1, 0.05).is_err());
        assert!(balance(&[fine], f64::NAN, 0.05).is_err());
        assert!(balance(&[fine], 0.0, 0.0).is_err());
        assert!(!balance(&[fine], 0.0, 0.05).unwrap().blocks);
    }
}
