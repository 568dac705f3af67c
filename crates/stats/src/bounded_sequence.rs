//! The mean of values with known bounds, under any number of looks and without asymptotics: a share of
//! conversions, a rating, a refund up to a limit.
//!
//! Owns confidence sequences whose promise is exact from the first value on, whatever the distribution between
//! the bounds: [`MixtureBernstein`] (Howard, Ramdas, McAuliffe & Sekhon, Annals of Statistics 2021),
//! [`PluginBernstein`] and [`HedgedCapital`] (Waudby-Smith & Ramdas, "Estimating means of bounded random variables
//! by betting", Journal of the Royal Statistical Society B 2024). Refuses values without bounds, for which the
//! asymptotic sequence of [`crate::confidence_sequence`] is meant, and bounds that were read off the data, which
//! void the promise.
//!
//! | sequence | holds | half-width | work a value |
//! | --- | --- | --- | --- |
//! | [`MixtureBernstein`] | the running average of the conditional means, which may drift | widest early | constant |
//! | [`PluginBernstein`] | a mean that stays the same | between the two | constant |
//! | [`HedgedCapital`] | a mean that stays the same | tightest | the part of the grid still in doubt |
//!
//! *Stays the same* means that each value has the same expectation given all those before it; the distribution may
//! change otherwise. With drift take the first: it holds `(m_1 + ... + m_n) / n`, as the asymptotic sequence does.
//! For a treatment against a control, push the scores of [`effect`](crate::incremental::effect): with values in
//! `[0, 1]` and a propensity `p` they lie within `-1 / (1 - p)` and `1 / p`.
//!
//! All three are fed one value at a time and keep neither values nor history. Choose bounds, `alpha` and tuning
//! before the first value.

mod bernstein;
mod betting;
mod boundary;

pub use bernstein::{MixtureBernstein, PluginBernstein};
pub use betting::{HedgedCapital, MAX_STEPS};
pub use boundary::gamma_exponential_mixture;

use crate::{Interval, StatsError, check};

/// The bounds that every value is known to keep, in the unit of the values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    low: f64,
    width: f64,
}

impl Bounds {
    /// The bounds of a share.
    pub const UNIT: Self = Self { low: 0.0, width: 1.0 };

    /// Values from `low` to `high`, both included.
    ///
    /// Worked example: scores of conversions at a propensity of 0.8 lie within `Bounds::new(-5.0, 1.25)`.
    ///
    /// Errors: `NotFinite` for an end that is not; `OutOfRange` unless `low < high`.
    pub fn new(low: f64, high: f64) -> Result<Self, StatsError> {
        check::finite(&[low, high])?;
        let width = high - low;
        check::positive("width of the bounds", width)?;
        Ok(Self { low, width })
    }

    /// Where `value` lies between the bounds, as a share.
    fn share(self, value: f64) -> Result<f64, StatsError> {
        check::finite(&[value])?;
        // The upper bound may be missed by the rounding of the width.
        let share = (value - self.low) / self.width;
        if (0.0..=1.0 + f64::EPSILON).contains(&share) {
            Ok(share.min(1.0))
        } else {
            Err(StatsError::OutOfRange { name: "value", value })
        }
    }

    /// The interval of the values, from that of their shares; no end leaves the bounds.
    fn interval(self, estimate: f64, low: f64, high: f64, alpha: f64) -> Interval {
        let shares = Interval { estimate, low: low.max(0.0), high: high.min(1.0), level: 1.0 - alpha };
        shares.scale(self.width).shift(self.low)
    }
}

/// The guess of mean and variance before the next share, as if one share of 1/2 with variance 1/4 had been seen
/// first (Waudby-Smith & Ramdas 2024, equation 15). It is *predictable*: made before the share it is used on.
#[derive(Debug, Clone, Copy, Default)]
struct Guess {
    n: u64,
    sum: f64,
    spread: f64,
}

impl Guess {
    fn push(&mut self, share: f64) {
        self.n += 1;
        self.sum += share;
        let off = share - self.mean();
        self.spread += off * off;
    }

    fn mean(self) -> f64 {
        (0.5 + self.sum) / (self.n as f64 + 1.0)
    }

    fn variance(self) -> f64 {
        (0.25 + self.spread) / (self.n as f64 + 1.0)
    }

    /// The average of the shares themselves; `None` without any.
    fn sample_mean(self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }

    /// The bet on the next share, before any truncation: `sqrt(2 ln(2 / alpha) / (variance t ln(1 + t)))` at the
    /// `t`-th share, which makes the width shrink like `sqrt(ln(t) ln(ln(t)) / t)` without a horizon (equation 15).
    fn bet(self, alpha: f64) -> f64 {
        let t = self.n as f64 + 1.0;
        (2.0 * (2.0 / alpha).ln() / (self.variance() * t * t.ln_1p())).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn bounds_scale_there_and_back() {
        let bounds = Bounds::new(-5.0, 1.25).unwrap();
        assert_close(bounds.share(-5.0).unwrap(), 0.0, 0.0);
        assert_close(bounds.share(1.25).unwrap(), 1.0, 0.0);
        let interval = bounds.interval(0.5, -0.1, 1.1, 0.05);
        assert_eq!(interval, Interval { estimate: -1.875, low: -5.0, high: 1.25, level: 0.95 });
    }

    #[test]
    fn what_bounds_refuse() {
        assert!(matches!(Bounds::new(1.0, 1.0), Err(StatsError::OutOfRange { .. })));
        assert!(matches!(Bounds::new(f64::NEG_INFINITY, 1.0), Err(StatsError::NotFinite { index: 0 })));
        assert!(Bounds::new(-1e308, 1e308).is_err());
        assert!(matches!(Bounds::UNIT.share(1.01), Err(StatsError::OutOfRange { name: "value", .. })));
        assert!(matches!(Bounds::UNIT.share(-1e-9), Err(StatsError::OutOfRange { .. })));
        assert!(matches!(Bounds::UNIT.share(f64::NAN), Err(StatsError::NotFinite { .. })));
    }

    /// Two shares of 1 by hand: means 1/2, 3/4, 5/6; spread (1/4)^2 + (1/6)^2.
    #[test]
    fn the_guess_by_hand() {
        let mut guess = Guess::default();
        assert_close(guess.mean(), 0.5, 0.0);
        assert_close(guess.variance(), 0.25, 0.0);
        assert_close(guess.bet(0.05), (8.0 * 40_f64.ln() / 2_f64.ln()).sqrt(), 1e-14);
        guess.push(1.0);
        guess.push(1.0);
        assert_close(guess.mean(), 5.0 / 6.0, 1e-16);
        assert_close(guess.variance(), (0.25 + 1.0 / 16.0 + 1.0 / 36.0) / 3.0, 1e-16);
    }
}
