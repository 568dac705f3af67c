//! Which address of an upstream gets the next call: pure state, the time is given.
//!
//! Owns the breakers, the ejection of outliers, what is in flight, and the retry budget. An address that fails clearly
//! more often than the others rests for a while; never more than a share of them does, because when all fail the
//! fault is elsewhere and resting helps nobody.

use std::time::{Duration, Instant};

use greenlight_app::runtime::AddressHealth;
use serde::{Deserialize, Serialize};

use super::breaker::{Breaker, BreakerSettings, RetryBudget};

/// When an address rests because the others do better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EjectionSettings {
    /// Answers are counted over this long, milliseconds.
    pub(crate) window_ms: u64,
    /// Fewer answers than this say nothing.
    pub(crate) min_requests: u32,
    /// How far its share of failures must lie above the share of the others.
    pub(crate) failure_share: f64,
    /// How long it rests, milliseconds; the next times longer, up to ten times.
    pub(crate) rest_ms: u64,
    /// Most addresses that rest at once, as a share of all.
    pub(crate) max_share: f64,
}

impl Default for EjectionSettings {
    fn default() -> Self {
        Self { window_ms: 10_000, min_requests: 20, failure_share: 0.3, rest_ms: 10_000, max_share: 0.5 }
    }
}

/// Failed probes in a row after which an address counts as not ready.
const FAILED_PROBES: u32 = 2;
/// Bytes of an error that are kept to be shown.
const LAST_ERROR: usize = 300;

/// Answers of one window.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    answers: u32,
    failures: u32,
}

#[derive(Debug)]
struct Address {
    url: String,
    breaker: Breaker,
    window: Window,
    rests_until: Option<Instant>,
    rests: u32,
    failed_probes: u32,
    ready: Option<bool>,
    in_flight: usize,
    requests: u64,
    failures: u64,
    last_error: Option<String>,
}

impl Address {
    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended<'a> {
    /// Answered, even if the answer was that the request is wrong.
    Answered,
    /// Failed for a reason of the address.
    Failed(&'a str),
    /// Given up by the caller.
    GivenUp,
}

/// Why no address gets a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// As many calls as are allowed wait already.
    Full,
    /// Every breaker is open; the first lets a call pass after this long.
    Open(Duration),
}

/// All addresses of an upstream.
#[derive(Debug)]
pub(crate) struct Balance {
    addresses: Vec<Address>,
    ejection: EjectionSettings,
    max_in_flight: usize,
    window_ends: Option<Instant>,
    budget: RetryBudget,
    turn: usize,
    in_flight: usize,
    refused: u64,
    retries: u64,
}

impl Balance {
    pub(crate) fn new(
        addresses: &[String],
        breaker: BreakerSettings,
        ejection: EjectionSettings,
        max_in_flight: usize,
    ) -> Self {
        let address = |address: &String| Address {
            url: address.clone(),
            breaker: Breaker::new(breaker),
            window: Window::default(),
            rests_until: None,
            rests: 0,
            failed_probes: 0,
            ready: None,
            in_flight: 0,
            requests: 0,
            failures: 0,
            last_error: None,
        };
        Self {
            addresses: addresses.iter().map(address).collect(),
            ejection,
            max_in_flight,
            window_ends: None,
            budget: RetryBudget::new(),
            turn: 0,
            in_flight: 0,
            refused: 0,
            retries: 0,
        }
    }

    /// Chooses an address for a call and counts it as in flight. `tried` is where its last attempt failed.
    pub(crate) fn pick(&mut self, now: Instant, tried: Option<usize>) -> Result<usize, Refusal> {
        if self.in_flight >= self.max_in_flight {
            self.refused += 1;
            return Err(Refusal::Full);
        }
        let Some(chosen) = self.best(now, tried) else {
            self.refused += 1;
            let first = self.addresses.iter().filter_map(|a| a.breaker.open_until()).min();
            return Err(Refusal::Open(first.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))));
        };
        if tried.is_none() {
            self.budget.earn();
        }
        self.turn = self.turn.wrapping_add(1);
        self.in_flight += 1;
        let address = &mut self.addresses[chosen];
        address.in_flight += 1;
        address.requests += 1;
        address.breaker.start(now);
        Ok(chosen)
    }

    /// The address with the fewest calls in flight, of those that nothing speaks against; else of those whose breaker
    /// lets a call pass. Ties go round.
    fn best(&self, now: Instant, tried: Option<usize>) -> Option<usize> {
        let count = self.addresses.len();
        let order = (0..count).map(|step| (self.turn.wrapping_add(step)) % count);
        let doubts = |index: usize| {
            let address = &self.addresses[index];
            let unready = address.ready == Some(false);
            (
                u8::from(tried == Some(index)) + u8::from(address.rests(now)) + u8::from(unready),
                address.in_flight,
            )
        };
        order.filter(|&index| self.addresses[index].breaker.allows(now)).min_by_key(|&index| doubts(index))
    }

    /// Takes a retry from the budget.
    pub(crate) fn may_retry(&mut self) -> bool {
        let may = self.budget.take();
        self.retries += u64::from(may);
        may
    }

    /// Notes how a call ended. `jitter` is between 0 and 1.
    pub(crate) fn end(&mut self, index: usize, ended: Ended<'_>, now: Instant, jitter: f64) {
        if self.window_ends.is_none_or(|end| now >= end) {
            self.window_ends = Some(now + Duration::from_millis(self.ejection.window_ms));
            self.addresses.iter_mut().for_each(|address| address.window = Window::default());
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        let address = &mut self.addresses[index];
        address.in_flight = address.in_flight.saturating_sub(1);
        match ended {
            Ended::Answered => {
                address.window.answers += 1;
                address.breaker.succeed();
            }
            Ended::Failed(error) => {
                address.window.answers += 1;
                address.window.failures += 1;
                address.failures += 1;
                address.last_error = Some(error.chars().take(LAST_ERROR).collect());
                address.breaker.fail(now, jitter);
                self.eject(index, now);
            }
            Ended::GivenUp => address.breaker.give_up(),
        }
    }

    fn eject(&mut self, index: usize, now: Instant) {
        let settings = self.ejection;
        let own = self.addresses[index].window;
        let resting = self.addresses.iter().filter(|address| address.rests(now)).count();
        let most = (self.addresses.len() as f64 * settings.max_share) as usize;
        if own.answers < settings.min_requests || resting >= most.min(self.addresses.len() - 1) {
            return;
        }
        let others = self.addresses.iter().enumerate().filter(|(other, _)| *other != index);
        let others = others.fold(Window::default(), |sum, (_, address)| Window {
            answers: sum.answers.saturating_add(address.window.answers),
            failures: sum.failures.saturating_add(address.window.failures),
        });
        let share = |window: Window| f64::from(window.failures) / f64::from(window.answers.max(1));
        let address = &mut self.addresses[index];
        if !address.rests(now) && share(own) >= share(others) + settings.failure_share {
            address.rests = (address.rests + 1).min(10);
            address.rests_until = Some(now + Duration::from_millis(settings.rest_ms) * address.rests);
            address.window = Window::default();
        }
    }

    /// Notes what a health probe found. One good probe is believed at once, a bad one only when the next agrees.
    pub(crate) fn probed(&mut self, index: usize, problem: Option<&str>) {
        let address = &mut self.addresses[index];
        match problem {
            None => {
                address.failed_probes = 0;
                address.ready = Some(true);
            }
            Some(problem) => {
                address.failed_probes = address.failed_probes.saturating_add(1);
                if address.failed_probes >= FAILED_PROBES {
                    address.ready = Some(false);
                }
                address.last_error = Some(problem.chars().take(LAST_ERROR).collect());
            }
        }
    }

    /// Calls in flight, turned away, sent again.
    pub(crate) fn counts(&self) -> (usize, u64, u64) {
        (self.in_flight, self.refused, self.retries)
    }

    /// How each address is.
    pub(crate) fn health(&self, now: Instant) -> Vec<AddressHealth> {
        let health = self.addresses.iter().map(|address| AddressHealth {
            address: address.url.clone(),
            breaker: address.breaker.state(now),
            ejected: address.rests(now),
            ready: address.ready,
            in_flight: address.in_flight,
            requests: address.requests,
            failures: address.failures,
            last_error: address.last_error.clone(),
        });
        health.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance(addresses: usize) -> Balance {
        let names: Vec<String> = (0..addresses).map(|i| format!("http://{i}")).collect();
        let breaker = BreakerSettings { failures: 1_000, ..BreakerSettings::default() };
        Balance::new(&names, breaker, EjectionSettings::default(), 100)
    }

    fn call(balance: &mut Balance, now: Instant, sick: &[usize]) -> usize {
        let chosen = balance.pick(now, None).unwrap();
        let ended = if sick.contains(&chosen) { Ended::Failed("sick") } else { Ended::Answered };
        balance.end(chosen, ended, now, 0.5);
        chosen
    }

    #[test]
    fn calls_go_where_the_fewest_wait_and_beyond_the_bound_nowhere() {
        let now = Instant::now();
        let mut balance = balance(4);
        for _ in 0..100 {
            balance.pick(now, None).unwrap();
        }
        assert!(balance.health(now).iter().all(|address| address.in_flight == 25));
        assert_eq!(balance.pick(now, None), Err(Refusal::Full));
        balance.end(2, Ended::GivenUp, now, 0.5);
        assert_eq!(balance.pick(now, None), Ok(2));
    }

    #[test]
    fn an_address_that_fails_alone_rests_and_comes_back() {
        let now = Instant::now();
        let mut balance = balance(2);
        for _ in 0..40 {
            call(&mut balance, now, &[1]);
        }
        assert!(balance.health(now)[1].ejected);
        assert!((0..50).all(|_| call(&mut balance, now, &[1]) == 0));
        let later = now + Duration::from_secs(10);
        assert!((0..2).any(|_| call(&mut balance, later, &[]) == 1));
    }

    #[test]
    fn when_all_fail_alike_none_rests_and_never_more_than_the_share() {
        let now = Instant::now();
        let mut two = balance(2);
        for _ in 0..200 {
            call(&mut two, now, &[0, 1]);
        }
        assert!(two.health(now).iter().all(|address| !address.ejected));
        let mut five = balance(5);
        for _ in 0..2_000 {
            call(&mut five, now, &[0, 1, 2]);
        }
        let resting = five.health(now).iter().filter(|address| address.ejected).count();
        assert_eq!(resting, 2, "half of five, rounded down");
    }

    #[test]
    fn a_retry_goes_elsewhere_and_an_unready_address_is_the_last_choice() {
        let now = Instant::now();
        let mut balance = balance(3);
        balance.probed(0, Some("not yet"));
        assert_eq!(balance.health(now)[0].ready, None, "one bad probe is not believed");
        balance.probed(0, Some("not yet"));
        for _ in 0..10 {
            let chosen = balance.pick(now, Some(1)).unwrap();
            assert_eq!(chosen, 2);
            balance.end(chosen, Ended::Answered, now, 0.5);
        }
        balance.probed(0, None);
        assert!((0..3).any(|_| call(&mut balance, now, &[]) == 0));
    }

    #[test]
    fn open_breakers_refuse_at_once_and_say_when_to_come_back() {
        let now = Instant::now();
        let breaker = BreakerSettings { failures: 1, open_ms: 1_000, max_open_ms: 1_000 };
        let mut balance = Balance::new(&["http://a".to_owned()], breaker, EjectionSettings::default(), 1);
        call(&mut balance, now, &[0]);
        let second = Duration::from_secs(1);
        assert!(
            matches!(balance.pick(now, None), Err(Refusal::Open(wait)) if wait > second / 2 && wait < second)
        );
        assert_eq!(balance.pick(now + second, None), Ok(0));
        balance.end(0, Ended::Answered, now + second, 0.5);
        assert_eq!(balance.counts(), (0, 1, 0));
    }
}
