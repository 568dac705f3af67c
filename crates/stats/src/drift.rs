//! Whether the inputs or scores of today are distributed as in the reference period. Owns binning by
//! reference quantiles and the population stability index; refuses to say why something moved, and what to do
//! about it.
//!
//! Fix the edges on the reference once, then count both periods with the same edges:
//! [`quantile_edges`], [`histogram`], [`population_stability_index`].

use crate::{StatsError, check, quantile::of_sorted};

/// The most bins [`quantile_edges`] accepts.
pub const MAX_BINS: usize = 1_000;

/// The population stability index between two histograms over the same bins: the sum of `(a - e) ln(a / e)`
/// over bins, with `e` and `a` the expected and actual shares (Siddiqi, Credit Risk Scorecards, 2006). It is
/// the Jeffreys divergence: symmetric, never negative, 0 for equal shares, in nats.
///
/// Shares are smoothed by Laplace's rule, `(count + 1) / (total + bins)`, so that an empty bin costs a finite
/// amount.
///
/// Siddiqi reads below 0.1 as stable and above 0.25 as moved. Without any drift the index of `n` against `m`
/// units over `b` bins is still about `(b - 1) (1/n + 1/m)` (Yurdakul 2018), so with few units a large value
/// means little.
///
/// Worked example: expected counts `[99, 99]` and actual counts `[49, 149]` are shares 0.5, 0.5 and 0.25,
/// 0.75 after smoothing: `0.25 ln 2 + 0.25 ln 1.5 = 0.274653`.
///
/// Errors: `LengthMismatch`; `Empty` without bins, or when either histogram counts nothing.
pub fn population_stability_index(expected: &[u64], actual: &[u64]) -> Result<f64, StatsError> {
    check::same_length(expected.len(), actual.len())?;
    let expected_total: f64 = expected.iter().map(|&count| count as f64).sum();
    let actual_total: f64 = actual.iter().map(|&count| count as f64).sum();
    if expected_total < 1.0 || actual_total < 1.0 {
        return Err(StatsError::Empty);
    }
    let bins = expected.len() as f64;
    let share = |count: u64, total: f64| (count as f64 + 1.0) / (total + bins);
    let terms = expected.iter().zip(actual).map(|(&expected, &actual)| {
        let (e, a) = (share(expected, expected_total), share(actual, actual_total));
        (a - e) * (a / e).ln()
    });
    Ok(terms.sum())
}

/// The index that chance alone stays below in 19 of 20 cases, when `n` and `m` units of one distribution are counted
/// in `bins` bins: `(1/n + 1/m) (b - 1 + 1.645 sqrt(2 (b - 1)))`, the normal approximation of its chi-squared law
/// (Yurdakul & Naranjo, "Statistical properties of the population stability index", Journal of Risk Model Validation
/// 2020).
///
/// Worked example: 1,000 against 1,000 units in 10 bins: `0.002 (9 + 1.644854 sqrt(18)) = 0.031957`.
pub fn by_chance(reference: u64, current: u64, bins: usize) -> f64 {
    let freedom = bins.saturating_sub(1) as f64;
    let scale = 1.0 / reference.max(1) as f64 + 1.0 / current.max(1) as f64;
    // The 0.95 quantile of the standard normal.
    scale * (freedom + 1.644_853_626_951_472_2 * (2.0 * freedom).sqrt())
}

/// Edges that cut the reference `values` into about `bins` parts of equal count: the quantiles (type 7) at
/// `1/bins`, `2/bins`, ..., ascending and each once, in the unit of the values.
///
/// Repeated values yield repeated quantiles, which are merged, so there may be fewer edges than `bins - 1`.
/// Where the first edge is the least value itself (a column with many zeros), one more edge is put just below
/// it: a value below anything in the reference, say -1 for missing, then falls into a bin of its own and does
/// not hide among the zeros. So there are at most `bins` edges, and [`histogram`] gives at most `bins + 1`
/// counts.
///
/// Worked example: `[1, 2, 3, 4, 5]` in 4 bins has edges `[2, 3, 4]`; `[0, 0, 0, 8]` in 2 bins has the edges
/// just below 0 and 0.
///
/// Errors: `Empty`; `NotFinite`; `OutOfRange` for `bins` outside `1..=1000`.
pub fn quantile_edges(values: &[f64], bins: usize) -> Result<Vec<f64>, StatsError> {
    check::finite(values)?;
    if bins == 0 || bins > MAX_BINS {
        return Err(StatsError::OutOfRange { name: "bins", value: bins as f64 });
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut edges: Vec<f64> = Vec::with_capacity(bins);
    for cut in 1..bins {
        let edge = of_sorted(&sorted, cut as f64 / bins as f64);
        if edges.last().is_none_or(|&last| last < edge) {
            edges.push(edge);
        }
    }
    if edges.first().is_some_and(|&first| first <= sorted[0]) {
        edges.insert(0, sorted[0].next_down());
    }
    Ok(edges)
}

/// How many `values` fall into each bin. Bin `i` holds the values above `edges[i - 1]` and up to `edges[i]`
/// inclusive; the first bin is open below and the last open above, so there is one count more than edges.
/// Infinities count in the outer bins.
///
/// NaN falls into no bin: `values.len()` less the sum of the counts is the number of missing values, which a
/// monitor should report on its own. `edges` must be ascending, as [`quantile_edges`] makes them.
///
/// Worked example: `[1, 2, 2.5, 9, NaN]` over the edges `[2, 3, 4]` is `[2, 1, 0, 1]`.
pub fn histogram(values: &[f64], edges: &[f64]) -> Vec<u64> {
    let mut counts = vec![0; edges.len() + 1];
    for &value in values.iter().filter(|value| !value.is_nan()) {
        counts[edges.partition_point(|&edge| edge < value)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn what_chance_alone_does() {
        assert_close(by_chance(1_000, 1_000, 10), 0.031_957, 1e-6);
        assert_close(by_chance(5, 5, 1), 0.0, 0.0);
    }

    #[test]
    fn the_worked_examples() {
        let index = population_stability_index(&[99, 99], &[49, 149]).unwrap();
        // After smoothing: 100/200, 100/200 against 50/200, 150/200.
        assert_close(index, 0.274_653, 5e-7);
        assert_eq!(quantile_edges(&[1.0, 2.0, 3.0, 4.0, 5.0], 4), Ok(vec![2.0, 3.0, 4.0]));
        assert_eq!(quantile_edges(&[0.0, 0.0, 0.0, 8.0], 2), Ok(vec![0.0_f64.next_down(), 0.0]));
        assert_eq!(histogram(&[1.0, 2.0, 2.5, 9.0, f64::NAN], &[2.0, 3.0, 4.0]), [2, 1, 0, 1]);
    }

    #[test]
    fn a_constant_column_shows_movement_both_ways() {
        let edges = quantile_edges(&[7.0; 50], 10).unwrap();
        assert_eq!(histogram(&[7.0, 7.0, 6.9, 7.1], &edges), [1, 2, 1]);
    }

    #[test]
    fn equal_shares_are_stable_and_the_index_is_symmetric() {
        assert_close(population_stability_index(&[30, 50, 20], &[30, 50, 20]).unwrap(), 0.0, 0.0);
        let (a, b) = ([40, 10, 0], [5, 25, 20]);
        let there = population_stability_index(&a, &b).unwrap();
        assert_close(there, population_stability_index(&b, &a).unwrap(), 1e-15);
        assert!(there > 0.25 && there.is_finite());
    }

    #[test]
    fn what_they_refuse() {
        assert_eq!(population_stability_index(&[], &[]), Err(StatsError::Empty));
        assert_eq!(population_stability_index(&[1, 2], &[0, 0]), Err(StatsError::Empty));
        assert_eq!(
            population_stability_index(&[1], &[1, 2]),
            Err(StatsError::LengthMismatch { left: 1, right: 2 })
        );
        assert_eq!(quantile_edges(&[1.0, f64::NAN], 4), Err(StatsError::NotFinite { index: 1 }));
        assert!(quantile_edges(&[1.0], 0).is_err() && quantile_edges(&[1.0], MAX_BINS + 1).is_err());
        assert_eq!(quantile_edges(&[1.0, 2.0], 1), Ok(vec![]));
    }
}
