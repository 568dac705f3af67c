//! The checks before a verdict: known answers of the sequential sample ratio test, and its error under daily
//! looks.

use greenlight_stats::{
    health,
    sample_ratio::{self, sequential, sequential::Stage},
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngSeed},
};

use crate::simulation::{Draws, assert_close};

/// Bayes factors after each look at cumulated counts.
fn factors(looks: &[Vec<u64>], shares: &[f64], concentration: f64) -> Vec<f64> {
    let mut total = vec![0; shares.len()];
    looks
        .iter()
        .map(|look| {
            for (sum, count) in total.iter_mut().zip(look) {
                *sum += count;
            }
            let stage = Stage { observed: &total, expected_share: shares };
            sequential::log_bayes_factor(&[stage], concentration).map_or(f64::NAN, f64::exp)
        })
        .collect()
}

/// ssrm-test 0.1.5, `sequential_bayes_factors(data, null, dirichlet_concentration=c)`.
#[test]
fn bayes_factors_of_ssrm_test() {
    let looks =
        [[520, 480], [540, 490], [560, 500], [490, 510], [600, 500], [610, 480]].map(|look| look.to_vec());
    let printed = [
        (
            1.0,
            [
                0.056_151_280_717_072_635,
                0.130_278_317_372_171_74,
                0.547_919_109_279_057_4,
                0.098_505_789_265_013_52,
                1.812_894_020_648_772,
                306.658_950_408_158_06,
            ],
        ),
        (
            100.0,
            [
                0.623_052_039_197_835_7,
                1.449_374_772_694_202_1,
                6.021_454_965_318_476,
                1.158_850_472_459_814_5,
                20.406_802_808_895_947,
                3_240.210_960_120_189,
            ],
        ),
        (
            10_000.0,
            [
                1.025_393_747_168_967_6,
                1.276_696_707_281_974_2,
                2.064_486_467_504_884,
                1.534_676_812_582_630_2,
                4.629_383_453_471_567,
                41.981_423_276_839_79,
            ],
        ),
    ];
    for (concentration, expected) in printed {
        for (found, expected) in factors(&looks, &[0.5, 0.5], concentration).iter().zip(expected) {
            assert_close(found / expected, 1.0, 1e-9);
        }
    }
    let three =
        [[100, 210, 290], [130, 190, 310], [140, 180, 300], [150, 170, 330]].map(|look| look.to_vec());
    let expected =
        [5.847_263_554_793_683, 0.470_436_952_455_505_26, 0.118_160_981_192_467_89, 0.064_423_335_366_226_23];
    for (found, expected) in factors(&three, &[0.2, 0.3, 0.5], 100.0).iter().zip(expected) {
        assert_close(found / expected, 1.0, 1e-9);
    }
}

/// ssrm-test 0.1.5, `sequential_p_values` after 821,588 and 815,482 units: the chi-square test of SciPy calls
/// it 0.0000018, at the price of one look only.
#[test]
fn the_p_value_of_ssrm_test() {
    let stage = Stage { observed: &[821_588, 815_482], expected_share: &[0.5, 0.5] };
    let found = health::sample_ratio(&[stage], 10_000.0, 1.0, 0.001).unwrap();
    assert_close(found.p_value / 0.000_155_950_440_806_558_9, 1.0, 1e-8);
    assert!(found.blocks);
}

/// 60 daily looks of 200 units at sound shares, at an error rate of 0.05: the sequential test keeps it, the
/// chi-square test does not.
#[test]
fn looking_daily_keeps_the_error_of_the_sequential_test_only() {
    const RUNS: u32 = 500;
    let mut draws = Draws::seeded(11);
    let (mut sequential, mut naive) = (0, 0);
    for _ in 0..RUNS {
        let mut observed = [0_u64; 2];
        let (mut found, mut naively) = (false, false);
        for _ in 0..60 {
            for _ in 0..200 {
                observed[usize::from(draws.chance(0.3))] += 1;
            }
            let stage = Stage { observed: &observed, expected_share: &[0.7, 0.3] };
            found |= health::sample_ratio(&[stage], 1_000.0, 1.0, 0.05).unwrap().blocks;
            naively |= sample_ratio::p_value(&observed, &[0.7, 0.3]).unwrap() <= 0.05;
        }
        sequential += u32::from(found);
        naive += u32::from(naively);
    }
    let share = |count: u32| f64::from(count) / f64::from(RUNS);
    assert!(share(sequential) <= 0.05, "{}", share(sequential));
    assert!(share(naive) > 0.2, "{}", share(naive));
}

/// A router that loses 4 % of one variant's units is found within 60 days.
#[test]
fn a_lossy_router_is_found() {
    let mut draws = Draws::seeded(12);
    let found = (0..50).filter(|_| {
        let mut observed = [0_u64; 2];
        let mut p_value = 1.0;
        (0..60).any(|_| {
            for _ in 0..1_000 {
                observed[usize::from(draws.chance(0.49))] += 1;
            }
            let stage = Stage { observed: &observed, expected_share: &[1.0, 1.0] };
            let look = health::sample_ratio(&[stage], 10_000.0, p_value, 0.01).unwrap();
            p_value = look.p_value;
            look.blocks
        })
    });
    assert!(found.count() >= 45);
}

proptest! {
    #![proptest_config(Config {
        cases: 200,
        rng_seed: RngSeed::Fixed(20_260_501),
        failure_persistence: None,
        ..Config::default()
    })]

    #[test]
    fn any_counts_have_a_p_value(
        observed in vec(0_u64..u64::MAX / 8, 2..6), concentration in 1e-3..1e9_f64,
    ) {
        let shares = vec![1.0; observed.len()];
        let stage = Stage { observed: &observed, expected_share: &shares };
        if observed.iter().any(|&count| count > 0) {
            let found = health::sample_ratio(&[stage], concentration, 1.0, 0.01).unwrap();
            prop_assert!((0.0..=1.0).contains(&found.p_value));
            prop_assert!((found.observed_share.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn more_crossings_are_never_less_suspect(
        units in 1_u64..3_000_000_000, first in 0.0..1.0_f64, second in 0.0..1.0_f64, tolerated in 1e-6..0.5_f64,
    ) {
        let counts = [first.min(second), first.max(second)].map(|share| (share * units as f64) as u64);
        let [fewer, more] = counts.map(|crossed| health::crossover(crossed, units, tolerated, 0.01).unwrap());
        prop_assert!((0.0..=1.0).contains(&more.p_value) && more.p_value <= fewer.p_value + 1e-9);
        prop_assert!(fewer.share.low <= fewer.share.estimate && fewer.share.estimate <= fewer.share.high);
        prop_assert!(fewer.share.high <= more.share.high + 1e-12);
    }
}
