//! Readouts of tests whose truth is known.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::*;
use crate::ledger::earned_minor;
use crate::policy::{AdvanceWhen, RolloutStep};

fn policy() -> RolloutPolicy {
    RolloutPolicy {
        steps: vec![RolloutStep { percent: 50, min_matured: 1, advance_when: AdvanceWhen::Proven }],
        alpha: 0.05,
        tuned_for_units: 2_000.0,
        max_error_share: 0.01,
        max_p99_latency_ms: 50.0,
    }
}

/// A test whose treated units are worth `effect` more on average; `lost` treated units in a hundred vanish.
fn simulate(seed: u64, days: i32, splits: &[u8], effect: f64, lost: u32) -> Vec<Cell> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut cells: BTreeMap<(Variant, u8, i32), DayStatistics> = BTreeMap::new();
    for day in 0..days {
        let percent = splits[day as usize % splits.len()];
        let p = f64::from(percent) / 100.0;
        for _ in 0..400 {
            let treated = random.random_bool(p);
            let bought = random.random_bool(0.2);
            if treated && random.random_range(0..100) < lost {
                continue;
            }
            let drift = f64::from(day) * 5.0;
            let value = if bought { 1_000.0 } else { 0.0 } + drift + if treated { effect } else { 0.0 };
            let value_minor = value.round() as i64;
            let variant = if treated { Variant::Champion } else { Variant::Holdout };
            let earned = earned_minor(variant, p, false, value_minor).unwrap();
            let cell = cells.entry((variant, percent, day)).or_default();
            cell.day = day;
            cell.units += 1;
            cell.positives += i64::from(bought);
            cell.gross_minor += value_minor;
            cell.value_sum_squares += value * value;
            cell.randomised += 1;
            cell.earned_sum += earned;
            cell.earned_sum_squares += earned * earned;
        }
    }
    let cell = |((variant, champion_percent, _), statistics)| Cell { variant, champion_percent, statistics };
    cells.into_iter().map(cell).collect()
}

#[test]
fn an_effect_is_found_and_splits_that_change_do_not_confuse_it() {
    for splits in [&[50][..], &[10, 50, 90][..]] {
        let found = read(&simulate(1, 42, splits, 200.0, 0), &policy()).unwrap();
        assert_eq!(found.verdict, Verdict::Ship, "{}", found.reason);
        let effect = found.effect.unwrap();
        assert!(effect.low < 200.0 && 200.0 < effect.high, "{effect:?}");
        let plain = found.money_once.unwrap();
        assert!(plain.difference.low < 200.0 && 200.0 < plain.difference.high, "{plain:?}");
        assert!(found.p_value.unwrap() < 0.05 && plain.p_value < 0.05);
        assert!(found.relative_once.unwrap().difference.low > 0.0);
        assert!(found.positives_once.unwrap().p_value > 0.001, "buying did not change");
        assert_eq!(found.looks.len(), 42);
        assert!(found.looks.windows(2).all(|pair| pair[0].units < pair[1].units));
        assert_eq!(found.looks[41].effect, effect);
    }
}

#[test]
fn harm_is_taken_back_and_no_effect_keeps_going() {
    let harmed = read(&simulate(2, 28, &[50], -200.0, 0), &policy()).unwrap();
    assert_eq!(harmed.verdict, Verdict::RollBack, "{}", harmed.reason);
    let nothing = read(&simulate(3, 28, &[50], 0.0, 0), &policy()).unwrap();
    assert_eq!(nothing.verdict, Verdict::KeepGoing, "{}", nothing.reason);
    assert_eq!(read(&[], &policy()).unwrap().verdict, Verdict::KeepGoing);
}

#[test]
fn units_that_get_lost_block_the_verdict_however_large_the_effect() {
    let found = read(&simulate(4, 28, &[50], 500.0, 10), &policy()).unwrap();
    assert!(found.effect.unwrap().low > 0.0);
    assert_eq!(found.verdict, Verdict::Blocked);
    assert!(
        found.reason.starts_with("sample ratio")
            && found.reason.contains("the agreed shares would have treated"),
        "{}",
        found.reason
    );
}

/// Daily looks at sound tests with changing splits: 200 of them, of which 0.1 % may ever be stopped.
#[test]
fn the_ratio_may_be_looked_at_daily() {
    let stopped = (0..200)
        .filter(|seed| {
            let found = read(&simulate(1_000 + seed, 21, &[10, 50], 0.0, 0), &policy()).unwrap();
            found.checks.iter().any(|check| check.name == "sample ratio" && !check.passed)
        })
        .count();
    assert!(stopped <= 3, "{stopped} of 200");
}

#[test]
fn part_of_a_week_is_too_short() {
    let found = read(&simulate(5, 6, &[50], 2_000.0, 0), &policy()).unwrap();
    assert_eq!(found.verdict, Verdict::Blocked);
    assert!(found.reason.contains("6 matured days of 7"), "{}", found.reason);
}

/// The plain figures are those of the two-sample tests when there is one split; gbstats 0.8.0 gives the example there.
#[test]
fn with_one_split_the_plain_difference_is_the_usual_one() {
    let arm = |variant, n: i64, sum: f64, sum_squares: f64| Cell {
        variant,
        champion_percent: 50,
        statistics: DayStatistics {
            units: n,
            randomised: n,
            gross_minor: (sum * 100.0).round() as i64,
            value_sum_squares: sum_squares * 10_000.0,
            ..DayStatistics::default()
        },
    };
    let cells = [
        arm(Variant::Holdout, 3_407, 1_396.87, 52_377.976_7),
        arm(Variant::Champion, 3_461, 2_422.7, 134_698.29),
    ];
    let found = read(&cells, &policy()).unwrap();
    let money = found.money_once.unwrap();
    assert!((money.difference.estimate - 29.0).abs() < 0.01 && (money.p_value - 0.020_16).abs() < 1e-4);
    let relative = found.relative_once.unwrap();
    assert!((relative.difference.estimate - 0.707_32).abs() < 1e-5);
    assert!((relative.difference.low + 0.035_26).abs() < 2e-3, "{relative:?}");
}
