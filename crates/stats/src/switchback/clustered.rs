//! Errors that allow for any dependence within clusters, and for how few clusters there are.

use std::collections::BTreeMap;

use super::{
    Bin, Effect, eigen,
    model::{Fit, Row},
};
use crate::{StatsError, contrast};

/// The most strata for [`Correction::Cr2`], whose degrees of freedom need the square of that many numbers.
const MAX_STRATA: usize = 1_000;

/// The most rotations' worth of work for [`Correction::Cr2`]: the cubes of the strata in each cluster, added
/// up.
const MAX_WORK: f64 = 1e8;

/// From here on a cluster decides a direction alone.
const FULL_LEVERAGE: f64 = 1.0 - 1e-10;

/// How the error is corrected for a small number of clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// None (Liang & Zeger, Biometrika 1986): too small below some 50 clusters. `G - 1` degrees of freedom.
    Cr0,
    /// The variance times `G / (G - 1) (N - 1) / (N - K)`, as Stata and statsmodels do, with `G - 1` degrees
    /// of freedom.
    Cr1,
    /// Residuals adjusted so that the variance is unbiased when the bins are independent and alike (Bell &
    /// McCaffrey, Survey Methodology 2002), with Satterthwaite's degrees of freedom (Pustejovsky & Tipton,
    /// Journal of Business & Economic Statistics 2018). The one to take below 50 clusters.
    Cr2,
}

/// The effect with errors that allow for any dependence within clusters.
///
/// With `d` the treatment less its mean in the stratum and `e` the residual, the variance is the sum over
/// clusters of `(sum of d e)^2`, over `(sum of d^2)^2`; [`Correction::Cr2`] puts `(I - H)^(-1/2) e` for `e`,
/// where `H` is the cluster's block of the hat matrix.
///
/// Worked example (R 4.2.2, clubSandwich 0.5.8): clusters of two bins, in turn treated and not, with values
/// `5 6 | 2 1 | 8 7 | 3 2 | 9 5 | 2 4`. By [`Correction::Cr2`] the effect is 13 / 3 with a standard error of
/// 0.745356 and 4 degrees of freedom, interval `[2.263893, 6.402773]`.
///
/// Errors: `Empty`; `NotFinite`; `OutOfRange` with no more bins than parameters, when no stratum has both
/// variants, with a single cluster, for residuals without any variance, and for a `level` not strictly between
/// 0 and 1. For [`Correction::Cr2`] also when one cluster alone decides the effect (a single treated cluster,
/// say), with more than 1,000 strata, and with so many strata in clusters that it would take minutes.
pub fn clustered(bins: &[Bin], correction: Correction, level: f64) -> Result<Effect, StatsError> {
    let fit = Fit::new(bins)?;
    let mut clusters: BTreeMap<u32, Vec<&Row>> = BTreeMap::new();
    for (bin, row) in bins.iter().zip(&fit.rows) {
        clusters.entry(bin.cluster).or_default().push(row);
    }
    let (n, parameters, count) = (bins.len() as f64, fit.parameters(), clusters.len() as f64);
    if clusters.len() < 2 {
        return Err(StatsError::OutOfRange { name: "number of clusters", value: count });
    }
    let plain = || -> f64 {
        let score = |rows: &Vec<&Row>| rows.iter().map(|row| row.treatment * row.residual).sum::<f64>();
        clusters.values().map(|rows| score(rows).powi(2)).sum::<f64>() / (fit.spread * fit.spread)
    };
    let (variance, freedom) = match correction {
        Correction::Cr0 => (plain(), count - 1.0),
        Correction::Cr1 => (plain() * (count / (count - 1.0)) * ((n - 1.0) / (n - parameters)), count - 1.0),
        Correction::Cr2 => bias_reduced(&fit, clusters.values())?,
    };
    let comparison = contrast::compare(fit.effect, variance, freedom, level)?;
    let clusters = clusters.len() as u64;
    Ok(Effect { comparison, control_mean: fit.control_mean, bins: bins.len() as u64, clusters })
}

/// What one cluster adds to the variance and to its degrees of freedom.
struct Adjusted {
    /// The adjusted score, `d' A e / D` with `A = (I - H)^(-1/2)` and `D` the spread of the treatment.
    score: f64,
    /// `|A d|^2 / D^2`.
    weight: f64,
    /// `B' A d / D`, where `B B'` is the hat matrix: one entry for each stratum in the cluster, and the
    /// treatment's last.
    projected: Vec<f64>,
    /// The strata in the cluster.
    strata: Vec<usize>,
}

/// The variance and Satterthwaite's degrees of freedom.
///
/// The variance is a quadratic form in the bins' noise. Were the bins independent and alike, its mean would be
/// the trace of `P` and its variance twice the sum of the squares of `P`, where `P[g][h]` is
/// `[g = h] |A_g d_g|^2 / D^2` less the product of the two clusters' `projected`. The degrees of freedom match
/// both.
fn bias_reduced<'a>(
    fit: &Fit,
    clusters: impl Iterator<Item = &'a Vec<&'a Row>> + Clone,
) -> Result<(f64, f64), StatsError> {
    let strata = fit.stratum_bins.len();
    if strata > MAX_STRATA {
        return Err(StatsError::OutOfRange { name: "number of strata", value: strata as f64 });
    }
    let size = |rows: &Vec<&Row>| (strata_of(rows).len() as f64 + 1.0).powi(3);
    let work: f64 = clusters.clone().map(size).sum();
    if work > MAX_WORK {
        return Err(StatsError::OutOfRange { name: "strata within clusters", value: work });
    }
    let (mut variance, mut trace, mut squares) = (0.0, 0.0, 0.0);
    let mut products = vec![0.0; (strata + 1) * (strata + 1)];
    for rows in clusters {
        let found = adjust(fit, rows)?;
        let own: f64 = found.projected.iter().map(|x| x * x).sum();
        variance += found.score * found.score;
        trace += found.weight - own;
        squares += (found.weight - own).powi(2) - own * own;
        let places: Vec<usize> = found.strata.iter().copied().chain([strata]).collect();
        for (&row, x) in places.iter().zip(&found.projected) {
            for (&column, y) in places.iter().zip(&found.projected) {
                products[row * (strata + 1) + column] += x * y;
            }
        }
    }
    squares += products.iter().map(|x| x * x).sum::<f64>();
    Ok((variance, trace * trace / squares))
}

fn strata_of(rows: &[&Row]) -> Vec<usize> {
    let mut strata: Vec<usize> = rows.iter().map(|row| row.stratum).collect();
    strata.sort_unstable();
    strata.dedup();
    strata
}

/// Adjusts one cluster without forming its block of the hat matrix: `H = B B'` has the nonzero eigenvalues of
/// the small `B' B = V L V'`, so `A = I + U diag((1 - l)^(-1/2) - 1) U'` with `U = B V L^(-1/2)`. The columns of
/// `B` are the strata's indicators, each over the root of its bins, and `d` over the root of `D`.
fn adjust(fit: &Fit, rows: &[&Row]) -> Result<Adjusted, StatsError> {
    let strata = strata_of(rows);
    let last = strata.len();
    let root = fit.spread.sqrt();
    let mut gram = vec![vec![0.0; last + 1]; last + 1];
    let mut score = vec![0.0; last + 1];
    for row in rows {
        let place = strata.binary_search(&row.stratum).unwrap_or(0);
        let level = 1.0 / fit.stratum_bins[row.stratum].sqrt();
        let treatment = row.treatment / root;
        gram[place][place] += level * level;
        gram[place][last] += level * treatment;
        gram[last][place] += level * treatment;
        gram[last][last] += treatment * treatment;
        score[place] += level * row.residual;
        score[last] += treatment * row.residual;
    }
    let own = gram[last][last];
    let (values, vectors) = eigen::symmetric(gram);
    let (mut adjusted, mut weight) = (score[last], own);
    let mut projected = vec![0.0; last + 1];
    for (j, &value) in values.iter().enumerate() {
        let share = vectors[last][j];
        // In a direction that the cluster decides alone nothing is left to adjust; harmless unless the
        // treatment is part of it.
        let factor = if value < FULL_LEVERAGE { 1.0 / (1.0 - value).sqrt() } else { 0.0 };
        if value >= FULL_LEVERAGE && share.abs() > 1e-6 {
            return Err(StatsError::OutOfRange { name: "leverage of a cluster", value });
        }
        let along: f64 = vectors.iter().zip(&score).map(|(row, x)| row[j] * x).sum();
        adjusted += share * (factor - 1.0) * along;
        weight += share * share * value * (factor * factor - 1.0);
        for (entry, row) in projected.iter_mut().zip(&vectors) {
            *entry += row[j] * value * factor * share / root;
        }
    }
    Ok(Adjusted { score: adjusted / root, weight: weight / fit.spread, projected, strata })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;
    use crate::switchback::example;

    #[test]
    fn the_worked_example() {
        let values = [5.0, 6.0, 2.0, 1.0, 8.0, 7.0, 3.0, 2.0, 9.0, 5.0, 2.0, 4.0];
        let bin = |(time, value): (u32, f64)| Bin {
            region: 0,
            time,
            treated: time / 2 % 2 == 0,
            value,
            cluster: time / 2,
            stratum: 0,
        };
        let bins: Vec<Bin> = (0..).zip(values).map(bin).collect();
        let found = clustered(&bins, Correction::Cr2, 0.95).unwrap();
        assert_close(found.comparison.interval.estimate, 13.0 / 3.0, 1e-14);
        assert_close(found.comparison.standard_error, 0.745_356, 5e-7);
        assert_close(found.comparison.degrees_of_freedom, 4.0, 1e-12);
        assert_close(found.comparison.interval.low, 2.263_893, 5e-7);
        assert_close(found.comparison.interval.high, 6.402_773, 5e-7);
        assert_eq!((found.bins, found.clusters), (12, 6));
    }

    /// Strata that lie within one cluster have full leverage there, and do no harm.
    #[test]
    fn a_stratum_within_one_cluster() {
        let mut bins = example::bins();
        for bin in &mut bins {
            bin.cluster = bin.time / 6;
            bin.stratum = bin.time / 12;
        }
        assert!(clustered(&bins, Correction::Cr2, 0.95).is_ok());
        for bin in &mut bins {
            bin.stratum = bin.cluster;
        }
        let found = clustered(&bins, Correction::Cr2, 0.95).unwrap();
        assert!(found.comparison.degrees_of_freedom > 1.0);
    }

    #[test]
    fn what_it_refuses() {
        let bins = example::bins();
        let one: Vec<Bin> = bins.iter().map(|bin| Bin { cluster: 5, ..*bin }).collect();
        let name = |result: Result<Effect, StatsError>| match result {
            Err(StatsError::OutOfRange { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        for correction in [Correction::Cr0, Correction::Cr1, Correction::Cr2] {
            assert_eq!(name(clustered(&one, correction, 0.95)), "number of clusters");
            assert_eq!(name(clustered(&bins, correction, 0.0)), "level");
        }
        let lone: Vec<Bin> =
            bins.iter().map(|bin| Bin { treated: bin.cluster == 3, stratum: 0, ..*bin }).collect();
        assert_eq!(name(clustered(&lone, Correction::Cr2, 0.95)), "leverage of a cluster");
        let flat: Vec<Bin> = bins.iter().map(|bin| Bin { value: 2.0, ..*bin }).collect();
        assert_eq!(name(clustered(&flat, Correction::Cr1, 0.95)), "variance");
    }
}
