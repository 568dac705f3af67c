//! Error rates under repeated looks: where the usual test breaks, the confidence sequence holds.

use greenlight_stats::{
    StatsError, bootstrap, confidence_sequence::AsymptoticSequence, incremental, moments::Moments, two_sample,
};

use crate::simulation::{Draws, assert_close};

const LOOKS: u32 = 20;
const RUNS: u32 = 1_000;
const UNITS_PER_LOOK: u32 = 500;

/// Shares of A/A runs in which a method found an effect at any of the looks.
struct FalsePositives {
    sequence: f64,
    naive: f64,
}

/// A/A experiments on zero-inflated lognormal money: no unit's value depends on its arm. `propensity` and
/// `share_of_payers` may depend on the time in `(0, 1)`.
fn false_positives(
    seed: u64,
    propensity: impl Fn(f64) -> f64,
    share_of_payers: impl Fn(f64) -> f64,
) -> Result<FalsePositives, StatsError> {
    let units = UNITS_PER_LOOK * LOOKS;
    let sequence = AsymptoticSequence::tuned_for(f64::from(units) / 2.0, 0.05)?;
    let mut draws = Draws::seeded(seed);
    let (mut by_sequence, mut by_naive) = (0, 0);
    for _ in 0..RUNS {
        let mut scores = Moments::default();
        let (mut found, mut naively) = (false, false);
        for unit in 1..=units {
            let time = f64::from(unit) / f64::from(units + 1);
            let p = propensity(time);
            let value = draws.money(share_of_payers(time), 20.0);
            scores.push(incremental::effect(draws.chance(p), p, value)?);
            if unit % UNITS_PER_LOOK == 0 {
                found |= sequence.mean(&scores).is_some_and(|interval| interval.excludes(0.0));
                naively |= z(&scores).abs() > 1.959_964;
            }
        }
        by_sequence += u32::from(found);
        by_naive += u32::from(naively);
    }
    let share = |count: u32| f64::from(count) / f64::from(RUNS);
    Ok(FalsePositives { sequence: share(by_sequence), naive: share(by_naive) })
}

fn z(values: &Moments) -> f64 {
    let n = values.n as f64;
    let (mean, variance) = (values.mean().unwrap_or(f64::NAN), values.variance().unwrap_or(f64::NAN));
    mean / (variance / n).sqrt()
}

/// The reference simulation (1,000 runs, 20 looks, zero-inflated lognormal money, seed 7 of another
/// generator) found 0.010 with the sequence and 0.249 with the naive test. Their sampling errors are 0.003
/// and 0.014.
#[test]
fn twenty_looks_at_an_a_a_test() {
    let found = false_positives(7, |_| 0.5, |_| 0.1).unwrap();
    assert!(found.sequence <= 0.05, "{}", found.sequence);
    assert!(found.naive > 0.15, "{}", found.naive);
    assert_close(found.naive, 0.249, 0.06);
    assert_close(found.sequence, 0.010, 0.015);
}

/// A rollout from 20 % to 80 % while payers go from 5 % to 15 %.
#[test]
fn twenty_looks_at_an_a_a_test_that_drifts() {
    let found = false_positives(8, |time| 0.2 + 0.6 * time, |time| 0.05 + 0.1 * time).unwrap();
    assert!(found.sequence <= 0.05, "{}", found.sequence);
    assert!(found.naive > 0.15, "{}", found.naive);
}

/// Naive repeated testing at 0.05 (Armitage, McPherson & Rowe 1969; Jennison & Turnbull, Group Sequential
/// Methods, 2000, table 2.1), here by simulation of a Gaussian walk. The sampling error is below 0.001.
#[test]
fn the_error_rate_of_naive_repeated_testing() {
    const WALKS: u32 = 200_000;
    let mut draws = Draws::seeded(5);
    let mut first_found_at = [0_u32; LOOKS as usize];
    for _ in 0..WALKS {
        let mut sum = 0.0;
        for look in 1..=LOOKS {
            sum += draws.normal();
            if sum.abs() > 1.959_964 * f64::from(look).sqrt() {
                first_found_at[look as usize - 1] += 1;
                break;
            }
        }
    }
    let table = [(1, 0.05), (2, 0.083), (3, 0.107), (4, 0.126), (5, 0.142), (10, 0.193), (20, 0.248)];
    for (looks, expected) in table {
        let found: u32 = first_found_at[..looks].iter().sum();
        assert_close(f64::from(found) / f64::from(WALKS), expected, 0.005);
    }
}

/// The same walk against the sequence: 200 looks, one at every step after a burn-in.
#[test]
fn the_sequence_under_a_gaussian_walk() {
    const WALKS: u32 = 5_000;
    let sequence = AsymptoticSequence::tuned_for(200.0, 0.05).unwrap();
    let mut draws = Draws::seeded(6);
    let mut found = 0;
    for _ in 0..WALKS {
        let mut values = Moments::default();
        found += u32::from((1..=400).any(|step| {
            values.push(draws.normal());
            step > 50 && sequence.mean(&values).is_some_and(|interval| interval.excludes(0.0))
        }));
    }
    assert!(f64::from(found) / f64::from(WALKS) <= 0.05, "{found} of {WALKS}");
}

/// Looked at once, intervals at 0.9 hold the mean in 90 % of samples: Welch's, and the bootstrap's up to its
/// first-order error at 60 values.
#[test]
fn coverage_of_one_look() {
    const SAMPLES: u32 = 1_000;
    let mut draws = Draws::seeded(9);
    let (mut by_welch, mut by_bootstrap) = (0, 0);
    for sample in 0..SAMPLES {
        let control: Vec<f64> = (0..60).map(|_| 3.0 + draws.normal()).collect();
        let treatment: Vec<f64> = (0..40).map(|_| 4.0 + 2.0 * draws.normal()).collect();
        let (a, b) = (Moments::from_values(&control), Moments::from_values(&treatment));
        let welch = two_sample::welch_absolute(&a, &b, 0.9).unwrap().interval;
        by_welch += u32::from(!welch.excludes(1.0));
        let resampled = bootstrap::mean(&control, 500, 0.9, u64::from(sample)).unwrap();
        by_bootstrap += u32::from(!resampled.excludes(3.0));
    }
    assert_close(f64::from(by_welch) / f64::from(SAMPLES), 0.9, 0.03);
    assert_close(f64::from(by_bootstrap) / f64::from(SAMPLES), 0.9, 0.04);
}
