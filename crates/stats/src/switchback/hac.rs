//! Errors that allow for dependence over time, without clusters: Newey & West, "A Simple, Positive
//! Semi-Definite, Heteroskedasticity and Autocorrelation Consistent Covariance Matrix" (Econometrica 1987),
//! with the regions of one moment added up first (Driscoll & Kraay, Review of Economics and Statistics 1998).

use std::collections::BTreeMap;

use super::{Bin, Effect, model::Fit};
use crate::{StatsError, contrast};

/// The most lags a call accepts.
const MAX_LAGS: u32 = 10_000;

/// The effect with errors for noise that lasts up to `lags` bins, in any region and across them.
///
/// With `u_t` the sum of treatment times residual over the bins at time `t`, the variance is
/// `N / (N - K) [sum of u_t^2 + 2 sum over l = 1..=lags of (1 - l / (lags + 1)) sum of u_t u_(t-l)] / (sum of
/// d^2)^2`, with `N` bins and `K` parameters. A time without bins has `u_t = 0`, so gaps keep their length.
/// The interval uses Student's t with the lesser of `N - K` and the number of times less 1 as degrees of
/// freedom.
///
/// `lags` should reach over one assigned period at least, since the treatment itself lasts that long, and over
/// the memory of the noise; [`suggested_lags`] is a floor for that. The errors are too small when `lags` is
/// not small against the number of times; with few and long periods prefer [`clustered`](super::clustered).
///
/// Worked example (statsmodels 0.15.0, `cov_type="hac-groupsum"` with `use_correction="hac"`): two regions alternate
/// `1 0 1 0` and `0 1 0 1` with values `5 2 6 1` and `2 5 1 8`. The effect is 4.5, and with one lag its
/// standard error is 1.070436.
///
/// Errors: `Empty`; `NotFinite`; `OutOfRange` with no more bins than parameters, when no stratum has both
/// variants, for `lags` not below the number of times or above 10,000, for residuals without any variance, and
/// for a `level` not strictly between 0 and 1.
pub fn autocorrelated(bins: &[Bin], lags: u32, level: f64) -> Result<Effect, StatsError> {
    let fit = Fit::new(bins)?;
    let mut scores: BTreeMap<u32, f64> = BTreeMap::new();
    for (bin, row) in bins.iter().zip(&fit.rows) {
        *scores.entry(bin.time).or_default() += row.treatment * row.residual;
    }
    if lags > MAX_LAGS || lags as usize >= scores.len() {
        return Err(StatsError::OutOfRange { name: "lags", value: f64::from(lags) });
    }
    let mut sum = 0.0;
    for (&time, score) in &scores {
        sum += score * score;
        let end = time.saturating_add(lags);
        for (&later, other) in scores.range(time..=end).skip(1) {
            sum += 2.0 * (1.0 - f64::from(later - time) / (f64::from(lags) + 1.0)) * score * other;
        }
    }
    let (n, parameters, times) = (bins.len() as f64, fit.parameters(), scores.len() as f64);
    let variance = sum / (fit.spread * fit.spread) * (n / (n - parameters));
    let freedom = (n - parameters).min(times - 1.0);
    let comparison = contrast::compare(fit.effect, variance, freedom, level)?;
    let clusters = scores.len() as u64;
    Ok(Effect { comparison, control_mean: fit.control_mean, bins: bins.len() as u64, clusters })
}

/// The number of lags that is often taken when nothing is known of the noise: `floor(4 (times / 100)^(2/9))`
/// (the rate of Newey & West, Review of Economic Studies 1994).
///
/// Worked example: 4 for 100 times, 6 for 1,000.
pub fn suggested_lags(times: u64) -> u32 {
    (4.0 * (times as f64 / 100.0).powf(2.0 / 9.0)).floor() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;
    use crate::switchback::example;

    #[test]
    fn the_worked_examples() {
        let bin = |region, time, value| Bin {
            region,
            time,
            treated: (time + region) % 2 == 0,
            value,
            cluster: 0,
            stratum: 0,
        };
        let first = [5.0, 2.0, 6.0, 1.0].into_iter().zip(0..).map(|(value, time)| bin(0, time, value));
        let second = [2.0, 5.0, 1.0, 8.0].into_iter().zip(0..).map(|(value, time)| bin(1, time, value));
        let bins: Vec<Bin> = first.chain(second).collect();
        let found = autocorrelated(&bins, 1, 0.95).unwrap();
        assert_close(found.comparison.interval.estimate, 4.5, 1e-14);
        assert_close(found.comparison.standard_error, 1.070_436, 5e-7);
        assert_eq!((suggested_lags(100), suggested_lags(1_000)), (4, 6));
    }

    #[test]
    fn what_it_refuses() {
        let bins = example::bins();
        assert!(autocorrelated(&bins, 23, 0.95).is_ok());
        for lags in [24, MAX_LAGS + 1, u32::MAX] {
            let refused = StatsError::OutOfRange { name: "lags", value: f64::from(lags) };
            assert_eq!(autocorrelated(&bins, lags, 0.95), Err(refused));
        }
        assert!(autocorrelated(&bins, 2, 1.0).is_err());
        assert!(autocorrelated(&[], 0, 0.95).is_err());
        let far: Vec<Bin> =
            bins.iter().map(|bin| Bin { time: u32::MAX - bin.time, region: bin.region, ..*bin }).collect();
        let (one, other) = (autocorrelated(&far, 3, 0.9).unwrap(), autocorrelated(&bins, 3, 0.9).unwrap());
        assert_close(one.comparison.standard_error, other.comparison.standard_error, 1e-12);
    }
}
