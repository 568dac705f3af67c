//! Circuit breaker of one address, and the budget of retries: pure state, the time is given.
//!
//! Closed until `failures` calls in a row failed; then open, and no call passes; when that time is over, half open: one
//! call tries. Its success closes the breaker, its failure opens it for twice as long, up to a bound.

use std::time::{Duration, Instant};

use greenlight_app::runtime::BreakerState;
use serde::{Deserialize, Serialize};

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BreakerSettings {
    /// Failures in a row that open it.
    pub(crate) failures: u32,
    /// How long it is open the first time, milliseconds.
    pub(crate) open_ms: u64,
    /// How long it is open at most, milliseconds.
    pub(crate) max_open_ms: u64,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 5, open_ms: 1_000, max_open_ms: 60_000 }
    }
}

/// One breaker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    /// Failures since the last success.
    failures: u32,
    /// How often it opened since it was last closed.
    openings: u32,
    open_until: Option<Instant>,
    /// The call that tries, while it is half open.
    trial: bool,
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self { settings, failures: 0, openings: 0, open_until: None, trial: false }
    }

    pub(crate) fn state(&self, now: Instant) -> BreakerState {
        match self.open_until {
            None => BreakerState::Closed,
            Some(until) if now < until => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    /// Whether a call may pass.
    pub(crate) fn allows(&self, now: Instant) -> bool {
        match self.state(now) {
            BreakerState::Closed => true,
            BreakerState::Open => false,
            BreakerState::HalfOpen => !self.trial,
        }
    }

    /// When a call may pass again, while it is open.
    pub(crate) fn open_until(&self) -> Option<Instant> {
        self.open_until
    }

    /// Notes that a call passes.
    pub(crate) fn start(&mut self, now: Instant) {
        self.trial |= self.state(now) == BreakerState::HalfOpen;
    }

    /// The call was answered.
    pub(crate) fn succeed(&mut self) {
        *self = Self::new(self.settings);
    }

    /// The call failed. `jitter` between 0 and 1 spreads the time, so that many callers do not come back together.
    pub(crate) fn fail(&mut self, now: Instant, jitter: f64) {
        self.failures = self.failures.saturating_add(1);
        // Late failures of calls from before it opened say nothing new.
        let tried = self.trial && self.state(now) == BreakerState::HalfOpen;
        let trips = self.open_until.is_none() && self.failures >= self.settings.failures;
        if !tried && !trips {
            return;
        }
        let longest = Duration::from_millis(self.settings.max_open_ms);
        let doubled = Duration::from_millis(self.settings.open_ms)
            .saturating_mul(1_u32.checked_shl(self.openings).unwrap_or(u32::MAX))
            .min(longest);
        self.openings = self.openings.saturating_add(1).min(31);
        // Between 75 % and 100 % of the doubled time.
        self.open_until = Some(now + doubled.mul_f64(0.75 + 0.25 * jitter.clamp(0.0, 1.0)));
        self.trial = false;
    }

    /// The call was given up before it was answered: another may try.
    pub(crate) fn give_up(&mut self) {
        self.trial = false;
    }
}

/// What retries may cost: each call earns a share of one, so that a sick server gets little more than its usual load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryBudget {
    saved: f64,
}

impl RetryBudget {
    /// Retries that a call earns.
    const SHARE: f64 = 0.2;
    /// Retries that can be saved up.
    const MOST: f64 = 10.0;

    pub(crate) fn new() -> Self {
        Self { saved: Self::MOST }
    }

    /// A call begins.
    pub(crate) fn earn(&mut self) {
        self.saved = (self.saved + Self::SHARE).min(Self::MOST);
    }

    /// Takes one retry, when there is one.
    pub(crate) fn take(&mut self) -> bool {
        let enough = self.saved >= 1.0;
        if enough {
            self.saved -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn open(start: Instant) -> Breaker {
        let mut breaker = Breaker::new(BreakerSettings { failures: 3, open_ms: 100, max_open_ms: 350 });
        for _ in 0..3 {
            assert!(breaker.allows(start));
            breaker.start(start);
            breaker.fail(start, 1.0);
        }
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_and_a_success_between_them_counts() {
        let start = Instant::now();
        let mut breaker = Breaker::new(BreakerSettings { failures: 3, ..BreakerSettings::default() });
        for _ in 0..10 {
            breaker.fail(start, 1.0);
            breaker.fail(start, 1.0);
            breaker.succeed();
        }
        assert_eq!(breaker.state(start), BreakerState::Closed);
        assert_eq!(open(start).state(start), BreakerState::Open);
    }

    #[test]
    fn one_call_tries_when_the_time_is_over_and_its_success_closes() {
        let start = Instant::now();
        let mut breaker = open(start);
        assert!(!breaker.allows(start + 99 * MS));
        let later = start + 100 * MS;
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        assert!(breaker.allows(later));
        breaker.start(later);
        assert!(!breaker.allows(later), "a second call must wait for the first");
        breaker.succeed();
        assert_eq!(breaker.state(later), BreakerState::Closed);
    }

    #[test]
    fn every_failed_trial_doubles_the_time_up_to_the_bound() {
        let mut now = Instant::now();
        let mut breaker = open(now);
        for expected in [100, 200, 350, 350] {
            assert!(!breaker.allows(now + (expected - 1) * MS), "{expected}");
            now += expected * MS;
            assert!(breaker.allows(now), "{expected}");
            breaker.start(now);
            breaker.fail(now, 1.0);
        }
    }

    #[test]
    fn jitter_takes_off_a_quarter_at_most() {
        let start = Instant::now();
        let mut breaker = Breaker::new(BreakerSettings { failures: 1, open_ms: 100, max_open_ms: 100 });
        breaker.fail(start, 0.0);
        assert!(!breaker.allows(start + 74 * MS));
        assert!(breaker.allows(start + 75 * MS));
    }

    #[test]
    fn a_trial_that_is_given_up_lets_another_try_and_late_failures_do_not_prolong() {
        let start = Instant::now();
        let mut breaker = open(start);
        breaker.fail(start + 50 * MS, 1.0);
        let later = start + 100 * MS;
        assert!(breaker.allows(later));
        breaker.start(later);
        breaker.give_up();
        assert!(breaker.allows(later));
    }

    #[test]
    fn retries_are_a_fifth_of_the_calls_in_the_long_run() {
        let mut budget = RetryBudget::new();
        let retries = (0..1_000).filter(|_| {
            budget.earn();
            budget.take()
        });
        let retries = retries.count();
        assert!((205..=210).contains(&retries), "{retries}");
    }
}
