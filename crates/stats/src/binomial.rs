//! Tail areas of the binomial distribution to nearly full precision at any count, and the exact interval of a
//! share. Owns the sums; refuses approximations while a sum of terms is affordable, because the regularised
//! incomplete beta function at hand stops converging at counts above some ten thousand.

use std::f64::consts::PI;

use crate::{Interval, StatsError, check, distribution};

/// Above this variance a tail has more than some 100,000 terms, and the Edgeworth expansion is right to 8
/// digits.
const SUMMED_VARIANCE: f64 = 1e8;

/// Terms allowed in one tail; at [`SUMMED_VARIANCE`] about 90,000 matter.
const MAX_TERMS: u32 = 1_000_000;

/// Halvings of a bracket in `[0, 1]`; 100 exhaust the digits of an `f64` down to `1e-30`.
const BISECTION_STEPS: u32 = 100;

/// `P(X >= successes)` for `X` binomial with `trials` and chance `p`, `0 < p < 1`.
pub(crate) fn upper_tail(successes: u64, trials: u64, p: f64) -> f64 {
    if successes == 0 {
        return 1.0;
    }
    if successes > trials {
        return 0.0;
    }
    let (k, n) = (successes as f64, trials as f64);
    let (mean, variance) = (n * p, n * p * (1.0 - p));
    if variance > SUMMED_VARIANCE {
        return expansion((k - 0.5 - mean) / variance.sqrt(), (1.0 - 2.0 * p) / variance.sqrt());
    }
    let odds = p / (1.0 - p);
    if k > mean {
        sum_of_terms(k, n, p, |at| (n - at) / (at + 1.0) * odds, 1.0)
    } else {
        1.0 - sum_of_terms(k - 1.0, n, p, |at| at / ((n - at + 1.0) * odds), -1.0)
    }
}

/// The exact interval of a share (Clopper & Pearson, Biometrika 1934): the shares at which neither tail of
/// the observed count is below `(1 - level) / 2`. Covers at least `level` at every true share.
pub(crate) fn clopper_pearson(successes: u64, trials: u64, level: f64) -> Result<Interval, StatsError> {
    check::open_unit("level", level)?;
    if trials == 0 {
        return Err(StatsError::Empty);
    }
    if successes > trials {
        return Err(StatsError::OutOfRange { name: "successes", value: successes as f64 });
    }
    let tail = (1.0 - level) / 2.0;
    let low = if successes == 0 { 0.0 } else { root(|p| upper_tail(successes, trials, p) - tail) };
    let high =
        if successes == trials { 1.0 } else { root(|p| upper_tail(successes + 1, trials, p) - (1.0 - tail)) };
    Ok(Interval { estimate: successes as f64 / trials as f64, low, high, level })
}

/// The root in `(0, 1)` of a rising function.
fn root(rising: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..BISECTION_STEPS {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if rising(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The probability of `start` and of the counts after it, in steps of `step`, each `ratio` times the one
/// before. The ratios are below 1 from the mean outwards.
fn sum_of_terms(start: f64, n: f64, p: f64, ratio: impl Fn(f64) -> f64, step: f64) -> f64 {
    let (mut at, mut term, mut sum) = (start, 1.0, 1.0);
    for _ in 0..MAX_TERMS {
        term *= ratio(at);
        sum += term;
        at += step;
        if term <= sum * f64::EPSILON * 0.01 {
            break;
        }
    }
    (log_probability(start, n, p) + sum.ln()).exp().min(1.0)
}

/// `ln P(X = k)` by the saddle point, without the cancellation of the factorials (Loader, "Fast and Accurate
/// Computation of Binomial Probabilities", 2000).
fn log_probability(k: f64, n: f64, p: f64) -> f64 {
    if k <= 0.0 {
        return n * (-p).ln_1p();
    }
    if k >= n {
        return n * p.ln();
    }
    stirling_error(n)
        - stirling_error(k)
        - stirling_error(n - k)
        - deviance(k, n * p)
        - deviance(n - k, n * (1.0 - p))
        - 0.5 * (2.0 * PI * k * ((n - k) / n)).ln()
}

/// `ln n! - ln(sqrt(2 pi n) (n / e)^n)`.
fn stirling_error(n: f64) -> f64 {
    if n <= 16.0 {
        return libm::lgamma(n + 1.0) - (n + 0.5) * n.ln() + n - 0.5 * (2.0 * PI).ln();
    }
    let square = n * n;
    let tail = 1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / (1188.0 * square)) / square;
    (1.0 / 12.0 - (1.0 / 360.0 - tail / square) / square) / n
}

/// `x ln(x / mean) + mean - x`, by its series where the terms would cancel.
fn deviance(x: f64, mean: f64) -> f64 {
    let v = (x - mean) / (x + mean);
    if v.abs() >= 0.1 {
        return x * (x / mean).ln() + mean - x;
    }
    let mut sum = (x - mean) * v;
    let mut power = 2.0 * x * v;
    // v^2 is below 0.01, so that 16 terms leave nothing.
    for j in 1..=16 {
        power *= v * v;
        sum += power / f64::from(2 * j + 1);
    }
    sum
}

/// The upper tail beyond `z` with the first term of the Edgeworth expansion for `skewness`.
fn expansion(z: f64, skewness: f64) -> f64 {
    let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
    (distribution::normal_cdf(-z) + density * (z * z - 1.0) * skewness / 6.0).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    /// SciPy 1.17.1, `binomtest(x, n, p, alternative="greater").pvalue` and `.proportion_ci(0.95)`.
    #[test]
    fn tails_and_exact_intervals_of_scipy() {
        for (x, n, p, tail, low, high) in [
            (
                7,
                2_000,
                1e-3,
                0.004_509_769_004_537_928,
                0.001_408_303_832_502_518_8,
                0.007_197_961_714_756_038,
            ),
            (
                30,
                20_000,
                1e-3,
                0.021_761_909_841_812_983,
                0.001_012_265_435_420_511_3,
                0.002_140_656_504_351_784_6,
            ),
            (0, 500, 1e-3, 1.0, 0.0, 0.007_350_610_051_907_785),
            (
                12,
                1_000_000,
                1e-5,
                0.303_223_285_009_699_4,
                6.200_589_987_895_605e-6,
                2.096_149_112_367_038_6e-5,
            ),
        ] {
            assert_close(upper_tail(x, n, p), tail, 1e-12);
            let interval = clopper_pearson(x, n, 0.95).unwrap();
            assert_close(interval.low, low, 1e-12);
            assert_close(interval.high, high, 1e-12);
        }
    }

    /// Small counts can be added up by hand: of 4 fair coins, 3 or more show heads in 5 of 16 cases.
    #[test]
    fn coins() {
        for (heads, expected) in [(0, 16.0), (1, 15.0), (2, 11.0), (3, 5.0), (4, 1.0), (5, 0.0)] {
            assert_close(upper_tail(heads, 4, 0.5), expected / 16.0, 1e-14);
        }
        let all = clopper_pearson(3, 3, 0.95).unwrap();
        assert_close(all.low, 0.025_f64.cbrt(), 1e-14);
        assert_close(all.high, 1.0, 0.0);
    }

    /// The expansion agrees with the sum at the variance from which on it takes over.
    #[test]
    fn the_expansion_joins_the_sum() {
        let p = 0.01;
        let n = (SUMMED_VARIANCE / (p * (1.0 - p))).floor();
        let spread = (n * p * (1.0 - p)).sqrt();
        for z in [-2.0, 0.0, 1.0, 3.0] {
            let k = (n * p + z * spread).round();
            let expanded = expansion((k - 0.5 - n * p) / spread, (1.0 - 2.0 * p) / spread);
            assert_close(upper_tail(k as u64, n as u64, p), expanded, 2e-8);
        }
    }

    #[test]
    fn what_it_refuses() {
        assert_eq!(clopper_pearson(0, 0, 0.95), Err(StatsError::Empty));
        assert!(clopper_pearson(2, 1, 0.95).is_err());
        assert!(clopper_pearson(1, 2, 0.0).is_err());
    }
}
