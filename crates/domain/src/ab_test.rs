//! An A/B test read from daily sums: what does the treatment earn a unit more than the control, and may that be believed?
//!
//! Owns the readout and its rules. It is made of sums alone, so that ten million units are read as fast as ten. The
//! effect and its sequence rest on recorded propensities and hold at every look; the plain difference of means beside
//! them is the cross-check that a reader knows. Refuses a verdict while a check of health fails.

use std::collections::BTreeMap;

use greenlight_stats::Interval;
use greenlight_stats::confidence_sequence::AsymptoticSequence;
use greenlight_stats::moments::Moments;
use greenlight_stats::sample_ratio::sequential::{self, Stage};
use greenlight_stats::two_sample::{self, Proportion};
use serde::Serialize;

use crate::DomainError;
use crate::ledger::DayStatistics;
use crate::policy::RolloutPolicy;
use crate::prediction::Variant;
use crate::time::Micros;

/// The chance that the check of the sample ratio ever stops a sound test, at whatever number of looks.
const SAMPLE_RATIO_ALPHA: f64 = 0.001;
/// Units that the prior of that check is worth: between what finds a gross mismatch soonest and what finds a tiny one.
const SAMPLE_RATIO_CONCENTRATION: f64 = 1_000.0;
/// A week: weekdays differ, so that a verdict on part of one would be one on some weekdays.
const MIN_DAYS: i32 = 7;
/// Fewest units of an arm before sums are read as Gaussian.
const MIN_UNITS: u64 = 100;

/// The sums of one arm, one split and one day.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Champion or holdout.
    pub variant: Variant,
    /// Percent of units that got the champion.
    pub champion_percent: u8,
    /// The sums.
    pub statistics: DayStatistics,
}

/// One side of the test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Arm {
    /// Champion or holdout.
    pub variant: Variant,
    /// Matured units.
    pub units: u64,
    /// Of those, with a positive outcome.
    pub positives: u64,
    /// Of those, how many the model failed for.
    pub errors: u64,
    /// Money a unit, minor units, each split weighted by its share of all units; absent without units in some split.
    pub mean_minor: Option<f64>,
}

/// A figure between two ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure.
    pub estimate: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The claimed coverage.
    pub level: f64,
}

impl From<Interval> for Estimate {
    fn from(Interval { estimate, low, high, level }: Interval) -> Self {
        Self { estimate, low, high, level }
    }
}

/// What was known at the end of a day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Look {
    /// Midnight after the day.
    pub at: Micros,
    /// Units so far.
    pub units: u64,
    /// Money a unit that the treatment earned more, minor units, with its sequence.
    pub effect: Estimate,
}

/// A difference of plain means, looked at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Once {
    /// Treatment less control.
    pub difference: Estimate,
    /// The two-sided p-value of no difference; for one look.
    pub p_value: f64,
}

/// A check of health.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What is checked.
    pub name: &'static str,
    /// Whether all is well.
    pub passed: bool,
    /// The figures, and what to do when not.
    pub detail: String,
}

/// What the test says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The treatment earns more.
    Ship,
    /// The treatment earns less.
    RollBack,
    /// It is not known yet.
    KeepGoing,
    /// A check failed: no figure of the test may be acted upon.
    Blocked,
}

/// An A/B test as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Readout {
    /// The holdout.
    pub control: Arm,
    /// The champion.
    pub treatment: Arm,
    /// Money a unit that the treatment earned more, minor units, as a confidence sequence; by recorded propensities, and
    /// zero where both would decide alike.
    pub effect: Option<Estimate>,
    /// The p-value of no effect, which may be read at any time.
    pub p_value: Option<f64>,
    /// The plain difference of mean money a unit, minor units.
    pub money_once: Option<Once>,
    /// The plain relative difference of mean money a unit; absent where the control earns nothing.
    pub relative_once: Option<Once>,
    /// The plain difference of the shares of positive outcomes.
    pub positives_once: Option<Once>,
    /// The sequence over time.
    pub looks: Vec<Look>,
    /// Checks of health; one that did not pass blocks the verdict.
    pub checks: Vec<Check>,
    /// What it says.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

/// Reads a test of the champion against the holdout from its cells, in any order.
///
/// A randomised unit with propensity `p` contributes `earned / p`, where `earned` is what
/// [`crate::ledger::earned_minor`] gives: `A Y / p - (1 - A) Y / (1 - p)`, whose expectation is the effect of the
/// treatment on the unit (Horvitz and Thompson 1952), and exactly 0 where the arms would decide alike. So days of
/// different splits may be added up.
pub fn read(cells: &[Cell], policy: &RolloutPolicy) -> Result<Readout, DomainError> {
    let sequence = AsymptoticSequence::tuned_for(policy.tuned_for_units, policy.alpha)
        .map_err(|e| DomainError::invalid("rollout", e.to_string()))?;
    let compared: Vec<&Cell> = cells.iter().filter(|cell| is_compared(cell)).collect();
    let (looks, total) = looks(&compared, &sequence);
    let effect = sequence.mean(&total).map(Estimate::from);
    let p_value = effect.zip(total.variance()).map(|(effect, variance)| {
        if variance > 0.0 { sequence.p_value(total.n as f64, variance, effect.estimate) } else { 1.0 }
    });
    let (control, treatment) =
        (Side::of(&compared, Variant::Holdout), Side::of(&compared, Variant::Champion));
    let level = 1.0 - policy.alpha;
    let checks = checks(&compared, &control, &treatment);
    let (verdict, reason) = judge(effect, &checks, total.n);
    Ok(Readout {
        money_once: stratified(&control, &treatment, level),
        relative_once: relative(&control, &treatment, level),
        positives_once: positives(&control, &treatment, level),
        control: control.arm(&treatment),
        treatment: treatment.arm(&control),
        effect,
        p_value,
        looks,
        checks,
        verdict,
        reason,
    })
}

fn is_compared(cell: &Cell) -> bool {
    matches!(cell.variant, Variant::Champion | Variant::Holdout)
        && cell.statistics.randomised > 0
        && (1..100).contains(&cell.champion_percent)
}

/// The moments of what each unit of a cell contributes to the effect.
fn contributions(cell: &Cell) -> Moments {
    let (day, p) = (&cell.statistics, f64::from(cell.champion_percent) / 100.0);
    Moments {
        n: day.randomised.max(0) as u64,
        sum: day.earned_sum / p,
        sum_squares: day.earned_sum_squares / (p * p),
    }
}

/// The sequence at the end of each day, and the moments of all of them.
fn looks(cells: &[&Cell], sequence: &AsymptoticSequence) -> (Vec<Look>, Moments) {
    let mut days: BTreeMap<i32, Moments> = BTreeMap::new();
    for cell in cells {
        let day = days.entry(cell.statistics.day).or_default();
        *day = day.merge(contributions(cell));
    }
    let mut so_far = Moments::default();
    let mut looks = Vec::with_capacity(days.len());
    for (day, moments) in days {
        so_far = so_far.merge(moments);
        if let Some(effect) = sequence.mean(&so_far) {
            looks.push(Look { at: Micros::from_day(day + 1), units: so_far.n, effect: effect.into() });
        }
    }
    (looks, so_far)
}

/// One arm by split.
struct Side {
    variant: Variant,
    by_split: BTreeMap<u8, DayStatistics>,
}

impl Side {
    fn of(cells: &[&Cell], variant: Variant) -> Self {
        let mut by_split: BTreeMap<u8, DayStatistics> = BTreeMap::new();
        for cell in cells.iter().filter(|cell| cell.variant == variant) {
            by_split.entry(cell.champion_percent).or_default().add(&cell.statistics);
        }
        Self { variant, by_split }
    }

    fn sum(&self, of: fn(&DayStatistics) -> i64) -> u64 {
        self.by_split.values().map(of).sum::<i64>().max(0) as u64
    }

    fn units(&self) -> u64 {
        self.sum(|day| day.units)
    }

    fn value(&self, split: u8) -> Option<Moments> {
        let day = self.by_split.get(&split)?;
        let sum = day.gross_minor as f64;
        Some(Moments { n: day.units.max(0) as u64, sum, sum_squares: day.value_sum_squares })
    }

    fn arm(&self, other: &Self) -> Arm {
        Arm {
            variant: self.variant,
            units: self.units(),
            positives: self.sum(|day| day.positives),
            errors: self.sum(|day| day.errors),
            mean_minor: mean(self, other).map(|(mean, _)| mean),
        }
    }
}

/// Splits that either arm has, each with its share of all units.
fn shares(one: &Side, other: &Side) -> Vec<(u8, f64)> {
    let mut units: BTreeMap<u8, f64> = BTreeMap::new();
    for (split, day) in one.by_split.iter().chain(&other.by_split) {
        *units.entry(*split).or_default() += day.units.max(0) as f64;
    }
    let all: f64 = units.values().sum();
    units.into_iter().map(|(split, count)| (split, count / all)).collect()
}

/// Mean money a unit of `one`, each split weighted by its share, and the variance of that mean (post-stratification;
/// Miratrix, Sekhon and Yu, JRSS B 2013).
fn mean(one: &Side, other: &Side) -> Option<(f64, f64)> {
    let (mut mean, mut variance) = (0.0, 0.0);
    for (split, share) in shares(one, other) {
        let moments = one.value(split)?;
        mean += share * moments.mean()?;
        variance += share * share * moments.variance()? / moments.n as f64;
    }
    (one.units() > 0).then_some((mean, variance))
}

fn stratified(control: &Side, treatment: &Side, level: f64) -> Option<Once> {
    let ((m0, v0), (m1, v1)) = (mean(control, treatment)?, mean(treatment, control)?);
    two_sample::normal(m1 - m0, v0 + v1, level).ok().map(once)
}

/// `treatment / control - 1`, where the control earns something, by the delta method, as in [`two_sample::welch_relative`].
fn relative(control: &Side, treatment: &Side, level: f64) -> Option<Once> {
    let ((m0, v0), (m1, v1)) = (mean(control, treatment)?, mean(treatment, control)?);
    // A share of a loss says nothing that a reader would expect of it.
    if m0 <= 0.0 {
        return None;
    }
    let ratio = m1 / m0;
    two_sample::normal(ratio - 1.0, (v1 + v0 * ratio * ratio) / (m0 * m0), level).ok().map(once)
}

fn positives(control: &Side, treatment: &Side, level: f64) -> Option<Once> {
    let (mut difference, mut variance) = (0.0, 0.0);
    for (split, share) in shares(control, treatment) {
        let of = |side: &Side| {
            let day = side.by_split.get(&split)?;
            Some(Proportion { positives: day.positives.max(0) as u64, n: day.units.max(0) as u64 })
        };
        let found = two_sample::proportions(of(control)?, of(treatment)?, level).ok()?;
        difference += share * found.interval.estimate;
        variance += share * share * found.standard_error * found.standard_error;
    }
    two_sample::normal(difference, variance, level).ok().map(once)
}

fn once(found: two_sample::Comparison) -> Once {
    Once { difference: found.interval.into(), p_value: found.p_value }
}

fn checks(cells: &[&Cell], control: &Side, treatment: &Side) -> Vec<Check> {
    vec![sample_ratio(cells), runtime(cells), enough(control, treatment)]
}

/// Units landed in the arms in the agreed shares: the sequential test of Lindon and Malek (NeurIPS 2022) with a stage for
/// each split, looked at after every day. A mismatch once found stays found.
fn sample_ratio(cells: &[&Cell]) -> Check {
    let mut days: BTreeMap<i32, Vec<&Cell>> = BTreeMap::new();
    for cell in cells {
        days.entry(cell.statistics.day).or_default().push(cell);
    }
    let mut units: BTreeMap<u8, [u64; 2]> = BTreeMap::new();
    let mut p = 1.0_f64;
    for day in days.into_values() {
        for cell in day {
            let arm = usize::from(cell.variant == Variant::Champion);
            if let Some(count) = units.entry(cell.champion_percent).or_default().get_mut(arm) {
                *count += cell.statistics.units.max(0) as u64;
            }
        }
        p = ratio_p_value(&units).map_or(p, |today| today.min(p));
    }
    let count = |arm: usize| units.values().filter_map(|counts| counts.get(arm)).sum::<u64>();
    let (held, treated) = (count(0), count(1));
    let agreed: f64 = units
        .iter()
        .map(|(split, counts)| f64::from(*split) / 100.0 * counts.iter().sum::<u64>() as f64)
        .sum();
    let passed = p > SAMPLE_RATIO_ALPHA;
    let figures =
        format!("{treated} treated and {held} held out, {agreed:.0} treated by the agreed shares, p {p:.2}");
    let detail = if passed {
        figures
    } else {
        format!(
            "{treated} treated and {held} held out, where the agreed shares would have treated {agreed:.0}, p {p:.1e}: \
             some units were lost or sent elsewhere, so the arms are not alike; find out which before reading any figure"
        )
    };
    Check { name: "sample ratio", passed, detail }
}

/// The p-value of the splits' counts of held out and treated units; absent without units.
fn ratio_p_value(units: &BTreeMap<u8, [u64; 2]>) -> Option<f64> {
    let shares: Vec<[f64; 2]> =
        units.keys().map(|split| [f64::from(100 - split), f64::from(*split)]).collect();
    let stages: Vec<Stage<'_>> = units
        .values()
        .zip(&shares)
        .map(|(observed, expected_share)| Stage { observed, expected_share })
        .collect();
    sequential::p_value(&stages, SAMPLE_RATIO_CONCENTRATION).ok()
}

fn runtime(cells: &[&Cell]) -> Check {
    let days = || cells.iter().map(|cell| cell.statistics.day);
    let ran = days().max().zip(days().min()).map_or(0, |(last, first)| last - first + 1);
    let passed = ran >= MIN_DAYS;
    let detail = if passed {
        format!("{ran} matured days")
    } else {
        format!("{ran} matured days of {MIN_DAYS}: wait for a whole week, because weekdays differ")
    };
    Check { name: "runtime", passed, detail }
}

fn enough(control: &Side, treatment: &Side) -> Check {
    let (held, treated) = (control.units(), treatment.units());
    let passed = held.min(treated) >= MIN_UNITS;
    let figures = format!("{treated} treated and {held} held out");
    let detail =
        if passed { figures } else { format!("{figures}: wait for {MIN_UNITS} matured units of each arm") };
    Check { name: "units", passed, detail }
}

fn judge(effect: Option<Estimate>, checks: &[Check], units: u64) -> (Verdict, String) {
    let Some(effect) = effect else {
        return (Verdict::KeepGoing, "no randomised unit has matured yet".to_owned());
    };
    if let Some(failed) = checks.iter().find(|check| !check.passed) {
        return (Verdict::Blocked, format!("{}: {}", failed.name, failed.detail));
    }
    let basis = format!("{:.0} % confidence sequence over {units} units", effect.level * 100.0);
    if effect.low > 0.0 {
        (Verdict::Ship, format!("the {basis} lies wholly above zero"))
    } else if effect.high < 0.0 {
        (Verdict::RollBack, format!("the {basis} lies wholly below zero"))
    } else {
        (Verdict::KeepGoing, format!("the {basis} still includes zero"))
    }
}

#[cfg(test)]
mod tests;
