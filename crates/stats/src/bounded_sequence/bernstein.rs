//! Empirical Bernstein sequences: their width follows the variance that the values show, not the one that the
//! bounds allow. Owns the two ways to weigh the values; refuses to keep them.

use super::{Bounds, Guess, gamma_exponential_mixture};
use crate::{Interval, StatsError, check};

/// The largest bet; Waudby-Smith & Ramdas (2024) advise 1/2 or 3/4.
const LARGEST_BET: f64 = 0.5;

/// The empirical Bernstein sequence of the running average of the conditional means (Howard et al. 2021, theorem 4,
/// with the gamma-exponential mixture).
///
/// After `n` values the interval is `mean -+ u(V) / n`, where `V` sums `(x_i - guess_i)^2`, the guess being the
/// average of the values before and of the middle of the bounds, and `u` is [`gamma_exponential_mixture`] with
/// `alpha / 2` on each side and a scale as wide as the bounds.
///
/// The means may drift and depend on everything before; then the interval at one look says nothing of another, and
/// intervals of several looks must not be intersected.
#[derive(Debug, Clone, Copy)]
pub struct MixtureBernstein {
    bounds: Bounds,
    alpha: f64,
    /// In shares of the bounds, as `variance` and `guess`.
    v_opt: f64,
    variance: f64,
    guess: Guess,
}

impl MixtureBernstein {
    /// A sequence without values, tightest once the squared deviations sum to `v_opt`, in the squared unit of the
    /// values: `n` values of variance `s^2` make `n s^2`. A wrong guess costs little.
    ///
    /// Errors: `OutOfRange` unless `0 < alpha < 1` and `v_opt` is finite and greater than 0, in shares of the bounds
    /// too.
    pub fn new(bounds: Bounds, alpha: f64, v_opt: f64) -> Result<Self, StatsError> {
        check::open_unit("alpha", alpha)?;
        check::positive("v_opt", v_opt)?;
        let v_opt = v_opt / bounds.width / bounds.width;
        // Refuses here whatever the boundary would refuse later.
        gamma_exponential_mixture(0.0, alpha / 2.0, v_opt, 1.0)?;
        Ok(Self { bounds, alpha, v_opt, variance: 0.0, guess: Guess::default() })
    }

    /// Adds one value; a refused one leaves the sequence as it was.
    ///
    /// Errors: `NotFinite`; `OutOfRange` for a value outside the bounds.
    pub fn push(&mut self, value: f64) -> Result<(), StatsError> {
        let share = self.bounds.share(value)?;
        let off = share - self.guess.mean();
        self.variance += off * off;
        self.guess.push(share);
        Ok(())
    }

    /// The interval of the running average, in the unit of the values, around their mean; `None` without values.
    ///
    /// Worked example: after 0, 1, 1, 0, 1 with `alpha = 0.05` and `v_opt = 25`, `V = 1.703125` and the mean is 0.6;
    /// the interval is still that of the bounds.
    pub fn interval(&self) -> Option<Interval> {
        let mean = self.guess.sample_mean()?;
        let boundary = gamma_exponential_mixture(self.variance, self.alpha / 2.0, self.v_opt, 1.0).ok()?;
        let half_width = boundary / self.guess.n as f64;
        Some(self.bounds.interval(mean, mean - half_width, mean + half_width, self.alpha))
    }
}

/// The empirical Bernstein sequence with predictable plug-in bets, for a mean that stays the same (Waudby-Smith &
/// Ramdas 2024, theorem 2).
///
/// Value `t`, as a share, is weighed with the bet `l_t`, the lesser of 1/2 and
/// `sqrt(2 ln(2 / alpha) / (variance_t t ln(1 + t)))`. The interval is
/// `sum(l x) / sum(l) -+ (ln(2 / alpha) + sum((x - guess)^2 (-ln(1 - l) - l))) / sum(l)`. Mean and variance are
/// guessed from the values before, so the width adapts without a tuning.
///
/// Because the mean stays the same, intervals of several looks may be intersected.
#[derive(Debug, Clone, Copy)]
pub struct PluginBernstein {
    bounds: Bounds,
    alpha: f64,
    bets: f64,
    weighted: f64,
    penalty: f64,
    guess: Guess,
}

impl PluginBernstein {
    /// A sequence without values.
    ///
    /// Errors: `OutOfRange` unless `0 < alpha < 1`.
    pub fn new(bounds: Bounds, alpha: f64) -> Result<Self, StatsError> {
        check::open_unit("alpha", alpha)?;
        Ok(Self { bounds, alpha, bets: 0.0, weighted: 0.0, penalty: 0.0, guess: Guess::default() })
    }

    /// Adds one value; a refused one leaves the sequence as it was.
    ///
    /// Errors: `NotFinite`; `OutOfRange` for a value outside the bounds.
    pub fn push(&mut self, value: f64) -> Result<(), StatsError> {
        let share = self.bounds.share(value)?;
        let bet = self.guess.bet(self.alpha).min(LARGEST_BET);
        let off = share - self.guess.mean();
        self.bets += bet;
        self.weighted += bet * share;
        self.penalty += off * off * (-(-bet).ln_1p() - bet);
        self.guess.push(share);
        Ok(())
    }

    /// The interval of the mean, in the unit of the values; `None` without values. The estimate is the mean weighted
    /// by the bets, the middle of the interval before it is cut at the bounds.
    ///
    /// Worked example: after 0, 1, 1, 0, 1 with `alpha = 0.05` all bets are 1/2, the estimate is 0.6, and the
    /// half-width `(ln 40 + 1.703125 (ln 2 - 1/2)) / 2.5 = 1.6071` exceeds the bounds.
    pub fn interval(&self) -> Option<Interval> {
        self.guess.sample_mean()?;
        let middle = self.weighted / self.bets;
        let half_width = ((2.0 / self.alpha).ln() + self.penalty) / self.bets;
        Some(self.bounds.interval(middle, middle - half_width, middle + half_width, self.alpha))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    const FIVE: [f64; 5] = [0.0, 1.0, 1.0, 0.0, 1.0];

    /// Guesses 1/2, 1/4, 1/2, 5/8, 1/2: squares 1/4, 9/16, 1/4, 25/64, 1/4.
    #[test]
    fn the_worked_examples() {
        let mut mixture = MixtureBernstein::new(Bounds::UNIT, 0.05, 25.0).unwrap();
        let mut plugin = PluginBernstein::new(Bounds::UNIT, 0.05).unwrap();
        for value in FIVE {
            mixture.push(value).unwrap();
            plugin.push(value).unwrap();
        }
        assert_close(mixture.variance, 1.703_125, 1e-15);
        let found = mixture.interval().unwrap();
        assert_eq!((found.low, found.high), (0.0, 1.0));
        assert_close(found.estimate, 0.6, 1e-15);
        assert_close(plugin.bets, 2.5, 0.0);
        assert_close(plugin.interval().unwrap().estimate, 0.6, 1e-15);
        assert_close((40_f64.ln() + plugin.penalty) / plugin.bets, 1.607_1, 5e-5);
    }

    #[test]
    fn what_they_refuse() {
        assert!(MixtureBernstein::new(Bounds::UNIT, 1.0, 1.0).is_err());
        assert!(MixtureBernstein::new(Bounds::UNIT, 0.05, f64::NAN).is_err());
        assert!(PluginBernstein::new(Bounds::UNIT, 0.0).is_err());
        let mut mixture = MixtureBernstein::new(Bounds::UNIT, 0.05, 1.0).unwrap();
        let mut plugin = PluginBernstein::new(Bounds::UNIT, 0.05).unwrap();
        assert!(mixture.push(2.0).is_err() && plugin.push(f64::INFINITY).is_err());
        assert_eq!((mixture.interval(), plugin.interval()), (None, None));
    }
}
