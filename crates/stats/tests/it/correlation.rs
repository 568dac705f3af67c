//! Correlations against SciPy, against counting every pair, and the coverage of their intervals.

use greenlight_stats::{
    StatsError,
    correlation::{Correlation, kendall, pearson, pearson_of_moments, spearman},
    moments::BivariateMoments,
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngSeed},
};

use crate::simulation::{Draws, assert_close};

/// What SciPy says of one set of pairs; the ends are those of Pearson's at 95 %.
struct Answer {
    pearson: [f64; 2],
    ends: [f64; 2],
    spearman: [f64; 2],
    kendall: [f64; 2],
}

#[track_caller]
fn assert_answers(x: &[f64], y: &[f64], answer: &Answer) -> Result<(), StatsError> {
    let [coefficient, p_value] = answer.pearson;
    let found = pearson(x, y, 0.95)?;
    assert_close(found.interval.estimate, coefficient, 1e-14);
    assert_close(found.interval.low, answer.ends[0], 1e-13);
    assert_close(found.interval.high, answer.ends[1], 1e-13);
    assert_close(found.p_value / p_value, 1.0, 1e-9);
    let Correlation { interval, p_value } = spearman(x, y, 0.95)?;
    assert_close(interval.estimate, answer.spearman[0], 1e-14);
    assert_close(p_value, answer.spearman[1], 1e-12);
    let found = kendall(x, y)?;
    assert_close(found.tau, answer.kendall[0], 1e-14);
    assert_close(found.p_value / answer.kendall[1], 1.0, 1e-12);
    Ok(())
}

/// SciPy 1.17.1, `stats.pearsonr`, its `confidence_interval`, `stats.spearmanr`, and `stats.kendalltau` with
/// `method="asymptotic"`, on pairs with ties in both. `cor.test` of R 4.2.2 agrees on Pearson and Kendall.
#[test]
fn the_ties_of_scipy() {
    let x = [12.1, 9.5, 14.2, 10.0, 10.0, 7.3, 15.8, 11.6, 9.5, 13.0, 8.8, 12.1];
    let y = [3.0, 2.0, 5.0, 2.0, 3.0, 1.0, 4.0, 4.0, 3.0, 5.0, 2.0, 3.0];
    let answer = Answer {
        pearson: [0.837_961_289_073_656_6, 0.000_665_738_549_112_136_8],
        ends: [0.508_694_673_987_471_9, 0.953_376_939_327_209],
        spearman: [0.853_762_161_586_276_8, 0.000_409_876_291_976_676_1],
        kendall: [0.730_494_307_727_263_2, 0.002_121_065_507_896_054_3],
    };
    assert_answers(&x, &y, &answer).unwrap();
    // The same at 90 %.
    let narrower = pearson(&x, &y, 0.9).unwrap().interval;
    assert_close(narrower.low, 0.582_345_139_953_525, 1e-13);
    assert_close(narrower.high, 0.942_789_689_226_475, 1e-13);
}

#[test]
fn the_heavy_ties_of_scipy() {
    let x = [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 4.0];
    let y = [2.0, 2.0, 1.0, 3.0, 3.0, 3.0, 2.0, 4.0, 4.0, 4.0];
    let answer = Answer {
        pearson: [0.816_496_580_927_726_1, 0.003_949_772_803_445_307_5],
        ends: [0.384_576_164_915_008_23, 0.955_111_689_206_128_9],
        spearman: [0.831_723_936_100_406_4, 0.002_848_150_321_572_356_2],
        kendall: [0.760_638_829_255_664_8, 0.007_730_401_433_100_855],
    };
    assert_answers(&x, &y, &answer).unwrap();
}

/// Two hundred pairs that have nothing to do with each other.
#[test]
fn the_remainders_of_scipy() {
    let x: Vec<f64> = (0..200).map(|i| f64::from(i % 7)).collect();
    let y: Vec<f64> = (0..200).map(|i| f64::from((i * i + 3 * i) % 11)).collect();
    let answer = Answer {
        pearson: [-0.006_655_793_048_827_441, 0.925_476_027_585_644_8],
        ends: [-0.145_262_668_140_281_52, 0.132_207_306_553_301],
        spearman: [-0.006_486_774_694_205_883, 0.927_363_237_387_057],
        kendall: [-0.005_169_133_792_682_153, 0.924_767_486_118_101_2],
    };
    assert_answers(&x, &y, &answer).unwrap();
}

/// Pairs of two jointly normal measurements with correlation `rho`.
fn normal_pairs(draws: &mut Draws, n: usize, rho: f64) -> (Vec<f64>, Vec<f64>) {
    (0..n)
        .map(|_| {
            let x = draws.normal();
            (x, rho * x + (1.0 - rho * rho).sqrt() * draws.normal())
        })
        .unzip()
}

/// The intervals hold the truth as often as they say: Pearson's `rho`, and the `6 / pi asin(rho / 2)` of Spearman's
/// that belongs to it (Pearson 1907). Of 2,000 shares of 0.95, 4 standard deviations are 0.02. Fisher's own variance
/// in place of Bonett & Wright's would hold some 0.9.
#[test]
fn the_intervals_cover() {
    let mut draws = Draws::seeded(81);
    let rho: f64 = 0.9;
    let of_ranks = 6.0 / std::f64::consts::PI * (rho / 2.0).asin();
    let mut held = [0.0; 2];
    for _ in 0..2_000 {
        let (x, y) = normal_pairs(&mut draws, 40, rho);
        let intervals = [pearson(&x, &y, 0.95).unwrap().interval, spearman(&x, &y, 0.95).unwrap().interval];
        for ((held, interval), truth) in held.iter_mut().zip(intervals).zip([rho, of_ranks]) {
            *held += f64::from(u8::from(!interval.excludes(truth))) / 2_000.0;
        }
    }
    for held in held {
        assert_close(held, 0.95, 0.02);
    }
}

/// Under independence, here with ties, each p-value is below 0.1 in a tenth of the samples.
#[test]
fn the_p_values_are_even_under_independence() {
    let mut draws = Draws::seeded(82);
    let mut below = [0.0; 3];
    for _ in 0..2_000 {
        let x: Vec<f64> = (0..30).map(|_| (4.0 * draws.uniform()).floor()).collect();
        let y: Vec<f64> = (0..30).map(|_| (2.0 * draws.normal()).round()).collect();
        let found = [
            pearson(&x, &y, 0.95).unwrap().p_value,
            spearman(&x, &y, 0.95).unwrap().p_value,
            kendall(&x, &y).unwrap().p_value,
        ];
        for (below, p_value) in below.iter_mut().zip(found) {
            *below += f64::from(u8::from(p_value < 0.1)) / 2_000.0;
        }
    }
    for below in below {
        assert_close(below, 0.1, 0.027);
    }
}

fn config() -> Config {
    Config {
        cases: 200,
        rng_seed: RngSeed::Fixed(20_261_006),
        failure_persistence: None,
        ..Config::default()
    }
}

/// Tau-b by its definition, counting every pair.
fn counted(pairs: &[(f64, f64)]) -> f64 {
    let sign = |difference: f64| f64::from(i8::from(difference > 0.0) - i8::from(difference < 0.0));
    let mut sums = [0.0; 3];
    for (index, one) in pairs.iter().enumerate() {
        for other in &pairs[index + 1..] {
            let (x, y) = (sign(one.0 - other.0), sign(one.1 - other.1));
            sums[0] += x * y;
            sums[1] += x * x;
            sums[2] += y * y;
        }
    }
    sums[0] / (sums[1] * sums[2]).sqrt()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn tau_is_what_counting_finds(pairs in vec((-6_i8..6, -6_i8..6), 4..40)) {
        let pairs: Vec<(f64, f64)> = pairs.iter().map(|&(x, y)| (f64::from(x), f64::from(y))).collect();
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        match kendall(&x, &y) {
            Ok(found) => prop_assert!((found.tau - counted(&pairs)).abs() < 1e-12),
            Err(_) => prop_assert!(counted(&pairs).is_nan()),
        }
    }

    /// Ranks do not see a rising transformation; a line does not see units; nothing sees which is called `x`, and
    /// turning one around turns the coefficient around.
    #[test]
    fn what_does_not_matter(pairs in vec((-50.0..50.0, -50.0..50.0), 4..30), scale in 0.01..100.0, offset in -1e3..1e3) {
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let near = |one: f64, other: f64| (one - other).abs() < 1e-9;
        let line: Vec<f64> = x.iter().map(|x| offset - scale * x).collect();
        let rising: Vec<f64> = y.iter().map(|y: &f64| y.powi(3) + offset).collect();
        let (straight, turned) = (pearson(&x, &y, 0.9).unwrap(), pearson(&y, &line, 0.9).unwrap());
        prop_assert!(near(straight.interval.estimate, -turned.interval.estimate));
        prop_assert!(near(straight.interval.low, -turned.interval.high));
        prop_assert!(near(straight.p_value, turned.p_value));
        let moments = pearson_of_moments(&BivariateMoments::from_pairs(&x, &y).unwrap(), 0.9).unwrap();
        prop_assert!(near(moments.interval.estimate, straight.interval.estimate));
        let (ranked, turned) = (spearman(&x, &y, 0.9).unwrap(), spearman(&rising, &line, 0.9).unwrap());
        prop_assert!(near(ranked.interval.estimate, -turned.interval.estimate));
        prop_assert!(near(kendall(&x, &y).unwrap().tau, -kendall(&rising, &line).unwrap().tau));
    }

    /// Whatever finite numbers come, an answer is a coefficient between its ends.
    #[test]
    fn answers_are_coefficients(pairs in vec((any::<f64>(), any::<f64>()), 4..20)) {
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite()).unzip();
        for found in [pearson(&x, &y, 0.9), spearman(&x, &y, 0.9)].into_iter().flatten() {
            let interval = found.interval;
            prop_assert!(-1.0 <= interval.low && interval.low <= interval.estimate);
            prop_assert!(interval.estimate <= interval.high && interval.high <= 1.0);
            prop_assert!((0.0..=1.0).contains(&found.p_value));
        }
        if let Ok(found) = kendall(&x, &y) {
            prop_assert!((-1.0..=1.0).contains(&found.tau) && (0.0..=1.0).contains(&found.p_value));
        }
    }
}
