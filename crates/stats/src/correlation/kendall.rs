//! Kendall's tau-b by sorting. Owns the counting of pairs; refuses an interval, because the variance under
//! dependence with ties is not known well enough.

use super::check_pairs;
use crate::{StatsError, distribution, ranking::tied};

/// How far pairs of units agree in their order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Concordance {
    /// Kendall's tau-b, in `[-1, 1]`.
    pub tau: f64,
    /// The two-sided p-value of independence, by the normal approximation with ties.
    pub p_value: f64,
}

/// Kendall's tau-b, `(C - D) / sqrt((P - T) (P - U))`, of `P = n (n - 1) / 2` pairs of units: `C` in the same order in
/// both measurements and `D` in opposite orders, `T` tied in `x` and `U` in `y` (Kendall, "The treatment of ties in
/// ranking problems", Biometrika 1945). Counted in `O(n log n)` (Knight, Journal of the American Statistical Association
/// 1966).
///
/// The p-value takes `C - D` as normal with its variance under independence given the ties (Kendall, Rank Correlation
/// Methods, 1970, chapter 4), without a correction for continuity; from about ten pairs it can be relied on.
///
/// Worked example: `x = [1, 2, 3, 4, 5]` and `y = [2, 1, 4, 3, 5]` agree in 8 of 10 pairs and disagree in 2: 0.6, with
/// variance `5 * 4 * 15 / 18`, p 0.141645.
///
/// Errors: as [`pearson`](super::pearson), without a level.
pub fn kendall(x: &[f64], y: &[f64]) -> Result<Concordance, StatsError> {
    check_pairs(x, y)?;
    let mut pairs: Vec<(f64, f64)> = x.iter().copied().zip(y.iter().copied()).map(unsigned_zeros).collect();
    pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let ties_x = Ties::of(pairs.chunk_by(|a, b| tied(a.0, b.0)).map(<[_]>::len));
    let ties_both = Ties::of(pairs.chunk_by(|a, b| tied(a.0, b.0) && tied(a.1, b.1)).map(<[_]>::len));
    let (sorted_y, discordant) = sort_counting(pairs.into_iter().map(|pair| pair.1).collect());
    let ties_y = Ties::of(sorted_y.chunk_by(|a, b| tied(*a, *b)).map(<[_]>::len));
    let all = pairs_among(x.len());
    if ties_x.pairs == all || ties_y.pairs == all {
        return Err(StatsError::OutOfRange { name: "variance", value: 0.0 });
    }
    let untied = all + ties_both.pairs - ties_x.pairs - ties_y.pairs;
    let score = untied as f64 - 2.0 * discordant as f64;
    let scale = ((all - ties_x.pairs) as f64).sqrt() * ((all - ties_y.pairs) as f64).sqrt();
    let z = score / variance_of_score(x.len() as f64, &ties_x, &ties_y).sqrt();
    Ok(Concordance { tau: (score / scale).clamp(-1.0, 1.0), p_value: distribution::normal_two_sided_p(z) })
}

/// Sums over the groups of `t` equal values.
struct Ties {
    /// Of `t (t - 1) / 2`.
    pairs: u64,
    /// Of `t (t - 1) (t - 2)`.
    triples: f64,
    /// Of `t (t - 1) (2 t + 5)`.
    weighted: f64,
}

impl Ties {
    fn of(groups: impl Iterator<Item = usize>) -> Self {
        let mut ties = Self { pairs: 0, triples: 0.0, weighted: 0.0 };
        for size in groups {
            let t = size as f64;
            ties.pairs += pairs_among(size);
            ties.triples += t * (t - 1.0) * (t - 2.0);
            ties.weighted += t * (t - 1.0) * (2.0 * t + 5.0);
        }
        ties
    }
}

/// `n (n - 1) / 2`; no slice is long enough for it to overflow.
fn pairs_among(n: usize) -> u64 {
    let n = n as u64;
    n * n.saturating_sub(1) / 2
}

/// The variance of `C - D` when every order of `y` is as likely as any other.
fn variance_of_score(n: f64, x: &Ties, y: &Ties) -> f64 {
    let ordered = n * (n - 1.0);
    (ordered * (2.0 * n + 5.0) - x.weighted - y.weighted) / 18.0
        + 2.0 * (x.pairs as f64) * (y.pairs as f64) / ordered
        + x.triples * y.triples / (9.0 * ordered * (n - 2.0))
}

/// Negative zeros become zeros, which the total order would tell apart.
fn unsigned_zeros((x, y): (f64, f64)) -> (f64, f64) {
    (x + 0.0, y + 0.0)
}

/// The values in order, and how many pairs were out of it. Merges from the bottom up.
fn sort_counting(values: Vec<f64>) -> (Vec<f64>, u64) {
    let (mut from, mut to) = (values.clone(), values);
    let (mut width, mut exchanges) = (1, 0);
    while width < from.len() {
        for (source, target) in from.chunks(2 * width).zip(to.chunks_mut(2 * width)) {
            let (left, right) = source.split_at(width.min(source.len()));
            exchanges += merge_counting(left, right, target);
        }
        std::mem::swap(&mut from, &mut to);
        width *= 2;
    }
    (from, exchanges)
}

/// Merges two sorted halves, and counts for each entry of the right how many of the left it passes.
fn merge_counting(mut left: &[f64], mut right: &[f64], target: &mut [f64]) -> u64 {
    let mut exchanges = 0;
    for slot in target {
        match (left.split_first(), right.split_first()) {
            (Some((value, rest)), next) if next.is_none_or(|(other, _)| value <= other) => {
                (*slot, left) = (*value, rest);
            }
            (_, Some((value, rest))) => {
                exchanges += left.len() as u64;
                (*slot, right) = (*value, rest);
            }
            // The halves are as long as the target.
            (_, None) => break,
        }
    }
    exchanges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn the_worked_example() {
        let found = kendall(&[1.0, 2.0, 3.0, 4.0, 5.0], &[2.0, 1.0, 4.0, 3.0, 5.0]).unwrap();
        assert_close(found.tau, 0.6, 1e-15);
        assert_close(found.p_value, 0.141_645, 5e-7);
    }

    #[test]
    fn sorting_counts_what_was_out_of_order() {
        let (sorted, exchanges) = sort_counting(vec![3.0, 1.0, 2.0, 2.0, 5.0, 4.0, 0.0]);
        assert_eq!(sorted, [0.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.0]);
        // 3 passes 1, 2, 2 and 0; 1, 2, 2, 5 and 4 pass 0; 5 passes 4.
        assert_eq!(exchanges, 10);
        assert_eq!(sort_counting(vec![1.0]), (vec![1.0], 0));
    }

    #[test]
    fn zeros_have_no_sign() {
        let y = [2.0, 1.0, 3.0, 4.0];
        assert_eq!(kendall(&[-0.0, 0.0, 1.0, 2.0], &y), kendall(&[0.0, 0.0, 1.0, 2.0], &y));
    }

    #[test]
    fn what_it_refuses() {
        assert_eq!(kendall(&[], &[]), Err(StatsError::Empty));
        assert_eq!(kendall(&[1.0], &[]), Err(StatsError::LengthMismatch { left: 1, right: 0 }));
        assert_eq!(kendall(&[f64::NAN], &[1.0]), Err(StatsError::NotFinite { index: 0 }));
        let few = kendall(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]);
        assert_eq!(few, Err(StatsError::OutOfRange { name: "pairs", value: 3.0 }));
        let constant = kendall(&[1.0, 2.0, 3.0, 4.0], &[0.0, -0.0, 0.0, -0.0]);
        assert_eq!(constant, Err(StatsError::OutOfRange { name: "variance", value: 0.0 }));
    }
}
