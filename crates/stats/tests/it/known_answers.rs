//! Answers of other programs, to the digits they print. Each test names the program and its version.

use greenlight_stats::{
    Interval,
    confidence_sequence::{AsymptoticSequence, known},
    moments::Moments,
    sample_ratio, two_sample,
    two_sample::{Comparison, Proportion},
};

use crate::simulation::assert_close;

/// Half a unit of the fifth decimal, which is where gbstats' own tests round.
const FIVE_DECIMALS: f64 = 5e-6;

#[track_caller]
fn assert_interval(actual: Interval, [estimate, low, high]: [f64; 3], tolerance: f64) {
    assert_close(actual.estimate, estimate, tolerance);
    assert_close(actual.low, low, tolerance);
    assert_close(actual.high, high, tolerance);
}

#[track_caller]
fn assert_comparison(actual: Comparison, interval: [f64; 3], standard_error: f64, p: f64) {
    assert_interval(actual.interval, interval, FIVE_DECIMALS);
    assert_close(actual.standard_error, standard_error, FIVE_DECIMALS);
    assert_close(actual.p_value, p, FIVE_DECIMALS);
}

/// gbstats 0.8.0, two-sided t-test from sufficient statistics.
const GBSTATS_CONTROL: Moments = Moments { n: 3_407, sum: 1_396.87, sum_squares: 52_377.976_7 };
const GBSTATS_TREATMENT: Moments = Moments { n: 3_461, sum: 2_422.7, sum_squares: 134_698.29 };

#[test]
fn welch_absolute_of_gbstats() {
    let answer = two_sample::welch_absolute(&GBSTATS_CONTROL, &GBSTATS_TREATMENT, 0.95).unwrap();
    assert_comparison(answer, [0.29, 0.045_38, 0.534_62], 0.124_78, 0.020_16);
}

#[test]
fn welch_relative_of_gbstats() {
    let answer = two_sample::welch_relative(&GBSTATS_CONTROL, &GBSTATS_TREATMENT, 0.95).unwrap();
    assert_comparison(answer, [0.707_32, -0.035_26, 1.449_89], 0.378_79, 0.061_91);
}

/// gbstats 0.8.0, sequential two-sided t-test, tuning 1,000: the same sums over 3,000 and 3,461 units,
/// relative.
#[test]
fn the_sequential_relative_interval_of_gbstats() {
    let control = Moments { n: 3_000, ..GBSTATS_CONTROL };
    let fixed = two_sample::welch_relative(&control, &GBSTATS_TREATMENT, 0.95).unwrap();
    assert_close(fixed.standard_error, 0.333_41, FIVE_DECIMALS);
    let n = 6_461.0;
    let variance = fixed.standard_error.powi(2) * n;
    let sequence = AsymptoticSequence::tuned_for_approximate(1_000.0, 0.05).unwrap();
    let half_width = sequence.half_width_of_mean(n, variance);
    let estimate = fixed.interval.estimate;
    let interval = Interval { low: estimate - half_width, high: estimate + half_width, ..fixed.interval };
    assert_interval(interval, [0.503_36, -0.558_44, 1.565_16], FIVE_DECIMALS);
    assert_close(sequence.p_value(n, variance, estimate), 1.0, 0.0);
}

/// spotify-confidence 4.1.0, two-proportion z-test of its example.
#[test]
fn proportions_of_spotify_confidence() {
    let control = Proportion { positives: 1_000, n: 20_000 };
    let treatment = Proportion { positives: 1_100, n: 20_000 };
    let answer = two_sample::proportions(control, treatment, 0.95).unwrap();
    assert_interval(answer.interval, [0.005, 0.000_629, 0.009_371], 5e-7);
    assert_close(answer.p_value, 0.024_964, 5e-7);
}

/// tea-tasting 1.14.0, `make_users_data(rng=42)`, revenue per user. The sums are of that table's rows.
#[test]
fn revenue_per_user_of_tea_tasting() {
    let control = Moments { n: 2_023, sum: 10_602.6, sum_squares: 243_736.426_8 };
    let treatment = Moments { n: 1_977, sum: 11_328.43, sum_squares: 278_029.888_9 };
    let answer = two_sample::welch_absolute(&control, &treatment, 0.95).unwrap();
    let printed = [0.489_083_103_740_477_5, -0.132_618_814_827_420_33, 1.110_785_022_308_375_3];
    assert_interval(answer.interval, printed, 1e-12);
    assert_close(answer.p_value, 0.123_069_885_542_505_92, 1e-12);
    let relative = two_sample::welch_relative_log(&control, &treatment, 0.95).unwrap();
    let printed = [0.093_318_159_589_816_26, -0.023_737_708_948_557_98, 0.224_409_268_949_093_08];
    assert_interval(relative.interval, printed, 1e-12);
}

/// SciPy 1.17.1, `chisquare` against equal shares.
#[test]
fn sample_ratio_mismatch_of_scipy() {
    let p = |observed: [u64; 2]| sample_ratio::p_value(&observed, &[0.5, 0.5]).unwrap();
    assert_close(p([821_588, 815_482]) / 1.821_792_872_619_185_8e-6, 1.0, 1e-12);
    assert_close(p([1_000, 1_200]) / 2.007_865_612_426_481e-5, 1.0, 1e-12);
}

/// tea-tasting 1.14.0 prints 0.477 for this split because it corrects for continuity; we do not, and agree
/// with SciPy 1.17.1, `chisquare([2023, 1977])`.
#[test]
fn sample_ratio_mismatch_is_not_corrected_for_continuity() {
    let p = sample_ratio::p_value(&[2_023, 1_977], &[0.5, 0.5]).unwrap();
    assert_close(p, 0.467_027_583_873_722_45, 1e-12);
}

/// confseq 0.0.11 (Howard et al. 2021), `normal_mixture_bound(v=100, alpha=.05, v_opt=100)`.
#[test]
fn normal_mixture_bounds_of_confseq() {
    assert_close(known::normal_mixture_two_sided(100.0, 0.05, 100.0).unwrap(), 30.352_09, FIVE_DECIMALS);
    assert_close(known::normal_mixture_one_sided(100.0, 0.05, 100.0).unwrap(), 27.660_71, FIVE_DECIMALS);
}

/// The two conventions for the numerator of `rho^2` at alpha 0.05: the exact Lambert root, and gbstats' and
/// confseq's.
#[test]
fn the_numerator_of_rho_squared() {
    let exact = AsymptoticSequence::tuned_for(1.0, 0.05).unwrap();
    assert_close(exact.rho_squared, 8.211_968_062_068_253, 1e-14);
    let approximate = AsymptoticSequence::tuned_for_approximate(1.0, 0.05).unwrap();
    assert_close(approximate.rho_squared, 7.936_154_601_737_565, 1e-14);
}
