//! Treatment against control with what was known of each unit beforehand, looked at once: regression
//! adjustment, which product teams call CUPED (Deng, Xu, Kohavi & Walker, "Improving the Sensitivity of Online
//! Controlled Experiments by Utilizing Pre-Experiment Data", WSDM 2013). Owns the coefficients, the adjusted
//! comparison, and the share of variance that the adjustment saves. Refuses covariates that the treatment may
//! have changed: that cannot be seen here, and it removes part of the effect. Every covariate must be fixed
//! before the unit was assigned.
//!
//! Units are rows of a [`CrossProducts`]: the outcome is variable 0, the covariates follow. A unit without
//! history has a value all the same, such as 0 and a further covariate that marks it.
//!
//! With coefficients `theta`, the adjusted mean of a group is `m_y - theta' (m_x - M_x)`, where `M_x` is the mean
//! of the covariates over both groups. Groups were assigned at random, so `m_x - M_x` is 0 but for chance, and
//! taking it out leaves the effect unbiased up to terms of order `1 / n` whatever `theta` is; the variance falls
//! by the share that the covariates explain. The adjusted difference is that of analysis of covariance (Fisher
//! 1932; Lin, Annals of Applied Statistics 2013, on why it needs no linear model). The cost of having estimated
//! `k` coefficients, a factor of about `1 + k / (n_1 + n_2)` on the variance, is not counted: have at least
//! some hundreds of units per covariate.
//!
//! Differences are treatment minus control. Every comparison answers `OutOfRange` for a `level` not strictly
//! between 0 and 1, for fewer than two units in a group, for sums that overflowed, and where adjusted outcomes
//! have no variance, so that no interval can be formed; `LengthMismatch` when the groups, or the coefficients,
//! differ in their number of covariates; `NotFinite` for a coefficient that is not.

use crate::{
    StatsError, check,
    contrast::{Contrast, Estimate, Shared},
    moments::CrossProducts,
    symmetric,
    two_sample::{self, Comparison},
};

/// The coefficients of the covariates, in units of the outcome per unit of each: `theta = S_xx^-1 S_xy`, with the
/// sums of squares and products around each group's own means, added over `groups`.
///
/// Give every group of the experiment, so that all its comparisons use the same coefficients. Because each
/// group is centred on its own, the effect itself stays out of them, and for two groups they are those of the
/// least-squares regression of the outcome on the covariates and the treatment. (Programs that pool the units
/// first, such as tea-tasting, give `coefficients(&[&control.merge(&treatment)?])`.)
///
/// Worked example: rows `[1, 1]`, `[3, 2]`, `[5, 3]` and `[4, 1]`, `[6, 2]`, `[8, 3]` rise by 2 with each unit of
/// the covariate in both groups: `[2]`. Pooled, the answer happens to be the same, as the covariate is balanced.
///
/// Errors: `Empty` without groups; `LengthMismatch` when they differ in variables; `OutOfRange` with less than one
/// unit more than groups and covariates, or sums that overflowed; `Redundant` for a covariate that is constant or
/// a combination of those before it, up to `1e-10` of its variance, or that is so far from 0 that its variance is lost
/// in rounding (its standard deviation below `1e-5` of its mean; centre it).
pub fn coefficients(groups: &[&CrossProducts]) -> Result<Vec<f64>, StatsError> {
    let pooled = Within::of(groups)?;
    let k = pooled.covariates;
    let a: Vec<f64> = (0..k * k).map(|at| pooled.centred(at / k + 1, at % k + 1)).collect();
    let b: Vec<f64> = (0..k).map(|i| pooled.centred(i + 1, 0)).collect();
    for i in 0..k {
        let (square, raw) = (a[i * k + i], pooled.raw_square(i + 1));
        if !square.is_finite() {
            return Err(StatsError::OutOfRange { name: "sum of squares of a covariate", value: raw });
        }
        if square <= symmetric::LEAST_UNEXPLAINED * raw {
            return Err(StatsError::Redundant { index: i });
        }
    }
    let theta = symmetric::solve(&a, &b).map_err(|index| StatsError::Redundant { index })?;
    match theta.iter().find(|theta| !theta.is_finite()) {
        Some(&value) => Err(StatsError::OutOfRange { name: "coefficient", value }),
        None => Ok(theta),
    }
}

/// The adjusted difference of means, in the unit of the outcome: Welch's interval on the outcomes
/// `y - theta' x`.
///
/// Worked example (tea-tasting 1.14.0, revenue adjusted by earlier revenue): 5.121454 against 5.852468 differ by
/// 0.731014, interval `[0.202287, 1.259742]`, p 0.006744; unadjusted the same users give `[-0.133, 1.111]`.
pub fn absolute(
    control: &CrossProducts,
    treatment: &CrossProducts,
    coefficients: &[f64],
    level: f64,
) -> Result<Comparison, StatsError> {
    contrast(control, treatment, coefficients)?.difference(level)
}

/// The adjusted relative lift `treatment / control - 1`, linearised. Unlike the difference it depends on `M_x`,
/// whose own sampling error is counted: leaving it out, as is common, is of no account for a lift of a few
/// percent and makes the interval too short for a large one.
///
/// Worked example: for the users above, 0.142736.
///
/// Errors: also `OutOfRange` when the adjusted control mean is 0.
pub fn relative(
    control: &CrossProducts,
    treatment: &CrossProducts,
    coefficients: &[f64],
    level: f64,
) -> Result<Comparison, StatsError> {
    contrast(control, treatment, coefficients)?.relative(level)
}

/// As [`relative`], with the interval formed on the logarithm of the ratio
/// ([`two_sample::welch_relative_log`]).
///
/// Errors: also `OutOfRange` unless both adjusted means are on the same side of 0.
pub fn relative_log(
    control: &CrossProducts,
    treatment: &CrossProducts,
    coefficients: &[f64],
    level: f64,
) -> Result<Comparison, StatsError> {
    contrast(control, treatment, coefficients)?.relative_log(level)
}

/// The share of the outcome's variance within groups that the covariates explain, in `[0, 1]`: an interval
/// becomes `sqrt(1 - share)` as wide, and as many units as before divided by `1 - share` would have done the
/// same.
///
/// Worked example: the rows of [`coefficients`] are explained wholly: 1.
///
/// Errors: as [`coefficients`], and `OutOfRange` when the outcome has no variance.
pub fn explained(groups: &[&CrossProducts]) -> Result<f64, StatsError> {
    let theta = coefficients(groups)?;
    let pooled = Within::of(groups)?;
    let total = pooled.centred(0, 0);
    check::positive("variance", total)?;
    let saved: f64 = theta.iter().enumerate().map(|(i, theta)| theta * pooled.centred(i + 1, 0)).sum();
    Ok((saved / total).clamp(0.0, 1.0))
}

/// Sums within several groups, each centred on its own means.
struct Within<'a> {
    groups: &'a [&'a CrossProducts],
    covariates: usize,
}

impl<'a> Within<'a> {
    fn of(groups: &'a [&'a CrossProducts]) -> Result<Self, StatsError> {
        let variables = groups.first().ok_or(StatsError::Empty)?.variables();
        for group in groups {
            check::same_length(variables, group.variables())?;
            if group.n() == 0 {
                return Err(StatsError::OutOfRange { name: "units in a group", value: 0.0 });
            }
        }
        let units: f64 = groups.iter().map(|group| group.n() as f64).sum();
        let spare = units - (groups.len() + variables - 1) as f64;
        if spare < 1.0 {
            return Err(StatsError::OutOfRange { name: "units less groups and covariates", value: spare });
        }
        Ok(Self { groups, covariates: variables - 1 })
    }

    /// NaN only after an overflow.
    fn centred(&self, i: usize, j: usize) -> f64 {
        self.groups.iter().map(|group| group.centred_product(i, j).unwrap_or(f64::NAN)).sum()
    }

    fn raw_square(&self, i: usize) -> f64 {
        self.groups.iter().map(|group| group.product(i, i).unwrap_or(f64::NAN)).sum()
    }
}

fn contrast(
    control: &CrossProducts,
    treatment: &CrossProducts,
    coefficients: &[f64],
) -> Result<Contrast, StatsError> {
    let both = control.merge(treatment)?;
    check::same_length(both.variables() - 1, coefficients.len())?;
    if !coefficients.is_empty() {
        check::finite(coefficients)?;
    }
    let one = Adjusted::of(control, &both, coefficients)?;
    let other = Adjusted::of(treatment, &both, coefficients)?;
    // Both adjusted means hold theta' M_x. It has this variance, and these covariances with the rest of each.
    let units = both.n() as f64;
    let square = control.n() as f64 * one.explained + treatment.n() as f64 * other.explained;
    let common = square / units / units;
    let (with_control, with_treatment) = (one.rest_with_explained / units, other.rest_with_explained / units);
    let shared = Shared {
        control: common + 2.0 * with_control,
        treatment: common + 2.0 * with_treatment,
        covariance: common + with_control + with_treatment,
    };
    Ok(Contrast { control: one.mean, treatment: other.mean, shared })
}

struct Adjusted {
    mean: Estimate,
    /// Variance of `theta' x` over units.
    explained: f64,
    /// Covariance of `y - theta' x` with `theta' x` over units. It is 0 where `theta` is the group's own.
    rest_with_explained: f64,
}

impl Adjusted {
    fn of(group: &CrossProducts, both: &CrossProducts, theta: &[f64]) -> Result<Self, StatsError> {
        let missing = StatsError::OutOfRange { name: "sum of a group", value: f64::INFINITY };
        let raw = two_sample::mean_of_group(&group.moments(0).ok_or(missing)?)?;
        let (n, units) = (group.n() as f64, both.n() as f64);
        let mut value = raw.value;
        let mut with_outcome = 0.0;
        for (theta, i) in theta.iter().zip(1..) {
            let of = |all: &CrossProducts, n: f64| all.sums().get(i).map(|sum| sum / n);
            value -= theta * (of(group, n).ok_or(missing)? - of(both, units).ok_or(missing)?);
            with_outcome += theta * group.covariance(0, i).ok_or(missing)?;
        }
        let explained = explained_variance(group, theta)?;
        let rest = raw.variance * n - 2.0 * with_outcome + explained;
        // What subtraction leaves of equal numbers is no variance.
        let scale = group.product(0, 0).ok_or(missing)? / n;
        let rest = if rest <= 16.0 * f64::EPSILON * scale { 0.0 } else { rest };
        Ok(Self {
            mean: Estimate { value, variance: rest / n, freedom: raw.freedom },
            explained,
            rest_with_explained: with_outcome - explained,
        })
    }
}

/// `theta' S theta`: the variance of what the covariates say about one unit.
fn explained_variance(group: &CrossProducts, theta: &[f64]) -> Result<f64, StatsError> {
    let mut variance = 0.0;
    for (a, i) in theta.iter().zip(1..) {
        for (b, j) in theta.iter().zip(1..) {
            let overflowed = StatsError::OutOfRange { name: "sum of a group", value: f64::INFINITY };
            variance += a * b * group.covariance(i, j).ok_or(overflowed)?;
        }
    }
    Ok(variance)
}

#[cfg(test)]
mod tests;
