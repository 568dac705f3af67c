//! How far two measurements of the same units go together: along a line (Pearson), in rank (Spearman), pair by pair
//! (Kendall).
//!
//! Owns the coefficients, their p-values of independence and the intervals that can be stood by. Refuses any reading
//! as a cause, and units that depend on each other: two series that both grow with time correlate whatever they are,
//! so correlate their changes, or days apart enough, instead.
//!
//! | coefficient | sees | unmoved by | ties |
//! | --- | --- | --- | --- |
//! | [`pearson`] | straight lines; one outlier can make or hide it | units and offsets | no matter |
//! | [`spearman`] | anything that only rises or only falls | any rising transformation | share their mean rank |
//! | [`kendall`] (tau-b) | the same, as a share of pairs | any rising transformation | counted out |
//!
//! A coefficient of 0 is not independence: `x` and `x^2` over a range around 0 have none. Many coefficients looked
//! at together contain some that are large by chance; correct the p-values for their number.
//!
//! Every function needs at least four pairs and answers `OutOfRange` for fewer, and for a measurement that never
//! varies, where no coefficient exists.

mod kendall;

use crate::{Interval, StatsError, check, distribution, moments::BivariateMoments, ranking::tied};

pub use kendall::{Concordance, kendall};

/// Fisher's interval divides by the number of pairs less 3.
const LEAST_PAIRS: u64 = 4;

/// Beyond this, halves are taken so that a difference of two entries stays finite.
const LARGE: f64 = f64::MAX / 2.0;

/// A coefficient with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correlation {
    /// The coefficient in `[-1, 1]` and its ends, which stay within it too. A coefficient of exactly -1 or 1 has
    /// an interval of no width: the method has no more to say there.
    pub interval: Interval,
    /// The two-sided p-value of no correlation.
    pub p_value: f64,
}

/// Pearson's correlation, `r = sum (x - mean x)(y - mean y) / sqrt(sum (x - mean x)^2 sum (y - mean y)^2)`, with
/// Fisher's interval `tanh(atanh(r) -+ z / sqrt(n - 3))` (Fisher, "On the 'probable error' of a coefficient of
/// correlation", Metron 1921) and the p-value of `r sqrt((n - 2) / (1 - r^2))` by Student's t with `n - 2` degrees
/// of freedom.
///
/// `x[i]` and `y[i]` belong to the same unit, each in its own unit of measurement. With a `y` of zeros and ones it is
/// the point-biserial correlation. The interval and the p-value are those of two jointly normal measurements; with
/// heavy tails, such as revenue, the interval is too narrow at any number of pairs: prefer [`spearman`].
///
/// Worked example: `x = [1, 2, 3, 4, 5]` and `y = [2, 1, 4, 3, 5]` have sums of squares 10 and 10 and a sum of products
/// 8: 0.8, interval `tanh(1.098612 -+ 1.385904) = [-0.279640, 0.986196]`, p 0.104088.
///
/// Errors: `LengthMismatch`; `Empty`; `NotFinite`; `OutOfRange` for fewer than four pairs, a measurement that never
/// varies, and a `level` not strictly between 0 and 1.
pub fn pearson(x: &[f64], y: &[f64], level: f64) -> Result<Correlation, StatsError> {
    check_pairs(x, y)?;
    let coefficient = cosine(&centred(x)?, &centred(y)?);
    from_coefficient(coefficient, x.len() as u64, 1.0, level)
}

/// As [`pearson`], from sums that were kept of the pairs. The sums lose digits where [`pearson`] does not; see
/// [`BivariateMoments`].
///
/// Worked example: the moments of the pairs in the example of [`pearson`] have the same correlation.
///
/// Errors: `Empty`; `OutOfRange` for fewer than four pairs, for sums that are not finite, a variance of 0, and a
/// `level` not strictly between 0 and 1.
pub fn pearson_of_moments(moments: &BivariateMoments, level: f64) -> Result<Correlation, StatsError> {
    check_count(moments.n)?;
    let covariance = moments
        .covariance()
        .ok_or(StatsError::OutOfRange { name: "sum of products", value: moments.sum_products })?;
    let deviation = |variance: Option<f64>| {
        let variance = variance.unwrap_or(f64::NAN);
        check::positive("variance", variance).map(|()| variance.sqrt())
    };
    let scale = (deviation(moments.x().variance())?, deviation(moments.y().variance())?);
    from_coefficient(covariance / scale.0 / scale.1, moments.n, 1.0, level)
}

/// Spearman's rank correlation: Pearson's between the ranks, where equal values share the mean of their ranks
/// (Spearman, American Journal of Psychology 1904). The interval is `tanh(atanh(r) -+ z sqrt((1 + r^2 / 2) / (n - 3)))`
/// (Bonett & Wright, "Sample size requirements for estimating Pearson, Kendall and Spearman correlations",
/// Psychometrika 2000), which holds its level where Fisher's own is too narrow. The p-value is by Student's t as for
/// [`pearson`]; below some ten pairs it is rough.
///
/// Worked example: `x = [10, 20, 20, 40]` and `y = [1, 2, 3, 9]` have the ranks `[1, 2.5, 2.5, 4]` and `[1, 2, 3, 4]`:
/// `4.5 / sqrt(4.5 * 5) = 0.948683`.
///
/// Errors: as [`pearson`].
pub fn spearman(x: &[f64], y: &[f64], level: f64) -> Result<Correlation, StatsError> {
    check_pairs(x, y)?;
    let coefficient = cosine(&centred(&mid_ranks(x))?, &centred(&mid_ranks(y))?);
    from_coefficient(coefficient, x.len() as u64, 1.0 + coefficient * coefficient / 2.0, level)
}

/// The interval of a coefficient whose Fisher transform has the variance `inflation / (n - 3)`, and its p-value.
fn from_coefficient(coefficient: f64, n: u64, inflation: f64, level: f64) -> Result<Correlation, StatsError> {
    check::open_unit("level", level)?;
    let estimate = coefficient.clamp(-1.0, 1.0);
    let n = n as f64;
    let half_width = distribution::normal_two_sided_critical(level) * (inflation / (n - 3.0)).sqrt();
    let transformed = estimate.atanh();
    let interval = Interval {
        estimate,
        low: (transformed - half_width).tanh(),
        high: (transformed + half_width).tanh(),
        level,
    };
    // Infinite for a perfect correlation, and then the p-value is 0.
    let t = estimate * ((n - 2.0) / ((1.0 - estimate) * (1.0 + estimate))).sqrt();
    Ok(Correlation { interval, p_value: distribution::student_two_sided_p(t, n - 2.0) })
}

/// The values less their mean, in units of the largest distance from the first value, so that neither squares nor
/// sums overflow or vanish. Taking the first value away before the mean keeps the digits of values such as
/// timestamps.
fn centred(values: &[f64]) -> Result<Vec<f64>, StatsError> {
    let first = values.first().copied().ok_or(StatsError::Empty)?;
    let half = if values.iter().any(|value| value.abs() > LARGE) { 0.5 } else { 1.0 };
    let mut rest: Vec<f64> = values.iter().map(|value| value * half - first * half).collect();
    let widest = rest.iter().fold(0.0_f64, |most, distance| most.max(distance.abs()));
    if widest <= 0.0 {
        return Err(StatsError::OutOfRange { name: "variance", value: 0.0 });
    }
    for distance in &mut rest {
        *distance /= widest;
    }
    let mean = rest.iter().sum::<f64>() / rest.len() as f64;
    for distance in &mut rest {
        *distance -= mean;
    }
    Ok(rest)
}

/// `sum a b / sqrt(sum a^2 sum b^2)` for entries of at most about 1 of which one at least is not small.
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

/// Ranks from 1; equal values share the mean of theirs.
fn mid_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut ranked = 0_usize;
    for group in order.chunk_by(|&a, &b| tied(values[a], values[b])) {
        let mid_rank = ranked as f64 + f64::midpoint(1.0, group.len() as f64);
        for &unit in group {
            ranks[unit] = mid_rank;
        }
        ranked += group.len();
    }
    ranks
}

fn check_pairs(x: &[f64], y: &[f64]) -> Result<(), StatsError> {
    check::same_length(x.len(), y.len())?;
    check::finite(x)?;
    check::finite(y)?;
    check_count(x.len() as u64)
}

fn check_count(n: u64) -> Result<(), StatsError> {
    match n {
        0 => Err(StatsError::Empty),
        1..LEAST_PAIRS => Err(StatsError::OutOfRange { name: "pairs", value: n as f64 }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    const X: [f64; 5] = [1.0, 2.0, 3.0, 4.0, 5.0];
    const Y: [f64; 5] = [2.0, 1.0, 4.0, 3.0, 5.0];

    #[test]
    fn the_worked_examples() {
        let moments = BivariateMoments::from_pairs(&X, &Y).unwrap();
        for found in [pearson(&X, &Y, 0.95).unwrap(), pearson_of_moments(&moments, 0.95).unwrap()] {
            assert_close(found.interval.estimate, 0.8, 1e-15);
            assert_close(found.interval.low, -0.279_640, 5e-7);
            assert_close(found.interval.high, 0.986_196, 5e-7);
            assert_close(found.p_value, 0.104_088, 5e-7);
        }
        let ranked = spearman(&[10.0, 20.0, 20.0, 40.0], &[1.0, 2.0, 3.0, 9.0], 0.95).unwrap();
        assert_close(ranked.interval.estimate, 4.5 / (4.5_f64 * 5.0).sqrt(), 1e-15);
        assert_eq!(mid_ranks(&[20.0, -0.0, 40.0, 20.0, 0.0]), [3.5, 1.5, 5.0, 3.5, 1.5]);
    }

    /// Bonett & Wright by hand: the ranks of the example are its values, so `r = 0.8` and the variance of the
    /// transform is `(1 + 0.32) / 2`.
    #[test]
    fn the_interval_of_ranks_is_wider() {
        let found = spearman(&X, &Y, 0.95).unwrap().interval;
        let half_width = 1.959_963_984_540_054 * 0.66_f64.sqrt();
        // atanh(0.8) is the logarithm of 3.
        assert_close(found.low, (3.0_f64.ln() - half_width).tanh(), 1e-14);
        assert_close(found.high, (3.0_f64.ln() + half_width).tanh(), 1e-14);
    }

    #[test]
    fn a_perfect_line_has_no_width() {
        let down: Vec<f64> = X.iter().map(|x| 7.0 - 2.0 * x).collect();
        for found in [pearson(&X, &down, 0.9).unwrap(), spearman(&X, &down, 0.9).unwrap()] {
            assert_eq!(found.interval, Interval { estimate: -1.0, low: -1.0, high: -1.0, level: 0.9 });
            assert_close(found.p_value, 0.0, 0.0);
        }
    }

    /// Neither size nor offset costs digits.
    #[test]
    fn extremes_of_size() {
        for (scale, offset) in [(1e308, 0.0), (-1e308, 0.0), (3e-308, 0.0), (1.0, 1e15), (1e-3, 1e9)] {
            let x: Vec<f64> = [-1.5, -1.0, 0.5, 1.5, -0.5].iter().map(|x| x * scale + offset).collect();
            let base: Vec<f64> = x.iter().map(|x| (x - offset) / scale).collect();
            let (one, other) = (pearson(&x, &Y, 0.95).unwrap(), pearson(&base, &Y, 0.95).unwrap());
            assert_close(one.interval.estimate.abs(), other.interval.estimate.abs(), 1e-15);
        }
        let ends = pearson(&[f64::MAX, f64::MIN, 0.0, f64::MAX], &[1.0, -1.0, 0.0, 1.0], 0.95).unwrap();
        assert_close(ends.interval.estimate, 1.0, 1e-15);
    }

    #[test]
    fn what_they_refuse() {
        let refusal = |x: &[f64], y: &[f64], level: f64| {
            let refused = pearson(x, y, level).unwrap_err();
            assert_eq!(spearman(x, y, level).unwrap_err(), refused);
            refused
        };
        assert_eq!(refusal(&[], &[], 0.95), StatsError::Empty);
        assert_eq!(refusal(&X, &Y[..4], 0.95), StatsError::LengthMismatch { left: 5, right: 4 });
        assert_eq!(refusal(&X, &[1.0, 2.0, f64::NAN, 4.0, 5.0], 0.95), StatsError::NotFinite { index: 2 });
        assert_eq!(refusal(&X[..3], &Y[..3], 0.95), StatsError::OutOfRange { name: "pairs", value: 3.0 });
        let constant = StatsError::OutOfRange { name: "variance", value: 0.0 };
        assert_eq!(refusal(&X, &[0.1; 5], 0.95), constant);
        assert_eq!(refusal(&[0.0, -0.0, 0.0, 0.0, -0.0], &Y, 0.95), constant);
        assert_eq!(refusal(&X, &Y, 1.0), StatsError::OutOfRange { name: "level", value: 1.0 });
        let name = |moments: BivariateMoments| match pearson_of_moments(&moments, 0.95) {
            Err(StatsError::OutOfRange { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        let fine = BivariateMoments::from_pairs(&X, &Y).unwrap();
        assert_eq!(pearson_of_moments(&BivariateMoments::default(), 0.95), Err(StatsError::Empty));
        assert_eq!(name(BivariateMoments { n: 3, ..fine }), "pairs");
        assert_eq!(name(BivariateMoments { sum_squares_y: 45.0, ..fine }), "variance");
        assert_eq!(name(BivariateMoments { sum_squares_y: f64::NAN, ..fine }), "variance");
        assert_eq!(name(BivariateMoments { sum_products: f64::INFINITY, ..fine }), "sum of products");
    }
}
