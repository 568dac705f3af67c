//! The tightest sequence for a bounded mean: gamblers who bet against each candidate. Owns their capital on a grid of
//! candidates; refuses candidates between the grid's points, for which it answers with the points around.

use std::f64::consts::FRAC_PI_2;

use super::{Bounds, Guess};
use crate::{Interval, StatsError, check};

/// A bet never risks more than this share of the capital (Waudby-Smith & Ramdas 2024 advise 1/2 or 3/4).
const RISKED: f64 = 0.5;

/// Capital below this is written off, which errs on the safe side and keeps the arithmetic fast.
const BANKRUPT: f64 = 1e-290;

/// The most steps of a grid; it then takes 40 MB.
pub const MAX_STEPS: usize = 1_000_000;

/// The hedged capital sequence, for a mean that stays the same (Waudby-Smith & Ramdas 2024, theorem 3).
///
/// Against each candidate mean `m` two gamblers start with capital 1. Before share `t` the one stakes
/// `min(l_t, 1 / (2 m))` on its being above `m`, the other `min(l_t, 1 / (2 (1 - m)))` on its being below, with
/// the bet `l_t = sqrt(2 ln(2 / alpha) / (variance_t t ln(1 + t)))`. At the true mean neither can expect to win, so
/// by Ville's inequality the capital of either ever reaches `2 / alpha` with chance at most `alpha / 2`. Candidates
/// that made a gambler that rich are out, for good.
///
/// # The grid
///
/// The first gambler's capital falls in `m` and the second's rises, so the candidates left are an interval. Capital is
/// kept at the candidates `sin^2(pi j / (2 steps))` for `j = 0, ..., steps`, as shares of the bounds: close to the
/// bounds, where means of rare events lie and their variance is small, the grid is fine, and nowhere is a step wider
/// than `pi / (2 steps)`. Each end is moved out to the next point of the grid, so the promise does not depend on
/// `steps`; at most two steps of width are lost. Take so many that a step is small beside the half-width you wait for.
///
/// Memory is `40 (steps + 1)` bytes for ever. A value takes work for the points between the ends only, and there are
/// fewer of them with every value that narrows the interval.
#[derive(Debug, Clone)]
pub struct HedgedCapital {
    bounds: Bounds,
    alpha: f64,
    guess: Guess,
    candidates: Vec<Candidate>,
    /// All candidates below this one are out.
    first: usize,
    /// All candidates above this one are out.
    last: usize,
}

/// One point of the grid and the capital of those who bet against it.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    mean: f64,
    largest_above: f64,
    largest_below: f64,
    above: f64,
    below: f64,
}

impl HedgedCapital {
    /// A sequence without values, on a grid of `steps` steps. 1,000 suit a share; scores that are small beside
    /// their bounds want 10,000 or more.
    ///
    /// Errors: `OutOfRange` unless `0 < alpha < 1` and `steps` is between 2 and [`MAX_STEPS`].
    pub fn new(bounds: Bounds, alpha: f64, steps: usize) -> Result<Self, StatsError> {
        check::open_unit("alpha", alpha)?;
        if !(2..=MAX_STEPS).contains(&steps) {
            return Err(StatsError::OutOfRange { name: "steps", value: steps as f64 });
        }
        let candidates = (0..=steps).map(|step| Candidate::of_step(step, steps)).collect();
        Ok(Self { bounds, alpha, guess: Guess::default(), candidates, first: 0, last: steps })
    }

    /// Adds one value; a refused one leaves the sequence as it was.
    ///
    /// Errors: `NotFinite`; `OutOfRange` for a value outside the bounds.
    pub fn push(&mut self, value: f64) -> Result<(), StatsError> {
        let share = self.bounds.share(value)?;
        let bet = self.guess.bet(self.alpha);
        self.guess.push(share);
        for candidate in self.candidates.get_mut(self.first..=self.last).unwrap_or_default() {
            candidate.settle(share, bet);
        }
        self.leave_out();
        Ok(())
    }

    /// The interval of the mean, in the unit of the values, around their average, which may lie outside when the bets
    /// of the past went another way. The interval is that of all looks so far: it never widens.
    ///
    /// `None` without values, and for ever once [`refuted`](Self::refuted).
    ///
    /// Worked example: ten times the value 1 with `alpha = 0.05`. All bets are cut, the capital against `m` is
    /// `(1 / 2 + 1 / (2 m))^10` and reaches 40 at `m = 0.528471`; on 1,000 steps the lower end is 0.528259, the point of
    /// the grid before.
    pub fn interval(&self) -> Option<Interval> {
        let mean = self.guess.sample_mean()?;
        if self.refuted() {
            return None;
        }
        let end = |at: usize| self.candidates.get(at).map(|candidate| candidate.mean);
        Some(self.bounds.interval(mean, end(self.first)?, end(self.last)?, self.alpha))
    }

    /// Whether no mean at all fits the values. Then, but for a chance of at most `alpha`, the mean did not stay the
    /// same.
    pub fn refuted(&self) -> bool {
        self.first >= self.last
    }

    /// Moves the ends past the candidates that are out. A point stays an end while the one inside of it is not out.
    fn leave_out(&mut self) {
        let rich = 2.0 / self.alpha;
        let is_out = |at: usize, capital: fn(&Candidate) -> f64| {
            self.candidates.get(at).is_some_and(|candidate| capital(candidate) >= rich)
        };
        while self.first < self.last && is_out(self.first + 1, |candidate| candidate.above) {
            self.first += 1;
        }
        while self.last > self.first && is_out(self.last - 1, |candidate| candidate.below) {
            self.last -= 1;
        }
    }
}

impl Candidate {
    fn of_step(step: usize, steps: usize) -> Self {
        let sine = (FRAC_PI_2 * step as f64 / steps as f64).sin();
        let mean = sine * sine;
        let rest = if step == steps { 0.0 } else { 1.0 - mean };
        Self { mean, largest_above: RISKED / mean, largest_below: RISKED / rest, above: 1.0, below: 1.0 }
    }

    fn settle(&mut self, share: f64, bet: f64) {
        let surplus = share - self.mean;
        self.above *= 1.0 + bet.min(self.largest_above) * surplus;
        self.below *= 1.0 - bet.min(self.largest_below) * surplus;
        self.above = if self.above < BANKRUPT { 0.0 } else { self.above };
        self.below = if self.below < BANKRUPT { 0.0 } else { self.below };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    fn of(values: impl IntoIterator<Item = f64>, steps: usize) -> HedgedCapital {
        let mut sequence = HedgedCapital::new(Bounds::UNIT, 0.05, steps).unwrap();
        for value in values {
            sequence.push(value).unwrap();
        }
        sequence
    }

    #[test]
    fn the_grid_reaches_both_bounds_and_is_finest_there() {
        let grid = HedgedCapital::new(Bounds::UNIT, 0.05, 10).unwrap().candidates;
        let means: Vec<f64> = grid.iter().map(|candidate| candidate.mean).collect();
        assert_close(means[0], 0.0, 0.0);
        assert_close(means[5], 0.5, 1e-15);
        assert_close(means[10], 1.0, 0.0);
        assert!(means.windows(2).all(|pair| pair[1] > pair[0] && pair[1] - pair[0] < FRAC_PI_2 / 10.0));
        assert!(means[1] - means[0] < 0.2 * (means[6] - means[5]));
    }

    #[test]
    fn the_worked_example() {
        let found = of([1.0; 10], 1_000).interval().unwrap();
        assert_close(found.low, 0.528_259, 5e-7);
        assert_eq!((found.estimate, found.high), (1.0, 1.0));
    }

    /// A mean that jumps contradicts every constant one.
    #[test]
    fn a_mean_that_jumps_is_refuted() {
        let steady = of((0..2_000).map(|i| f64::from(i % 2)), 200);
        assert!(!steady.refuted());
        let jumped = of((0..2_000).map(|i| if i < 1_000 { 0.1 } else { 0.9 }), 200);
        assert!(jumped.refuted() && jumped.interval().is_none());
    }

    #[test]
    fn what_it_refuses() {
        assert!(HedgedCapital::new(Bounds::UNIT, 0.05, 1).is_err());
        assert!(HedgedCapital::new(Bounds::UNIT, 0.05, MAX_STEPS + 1).is_err());
        assert!(HedgedCapital::new(Bounds::UNIT, f64::NAN, 10).is_err());
        let mut sequence = of([], 10);
        assert!(sequence.push(1.5).is_err() && sequence.push(f64::NAN).is_err());
        assert_eq!(sequence.interval(), None);
    }
}
