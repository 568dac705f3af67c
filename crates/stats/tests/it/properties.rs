//! What must hold for any numbers. The cases come from a fixed seed, so that a run can be repeated.

use greenlight_stats::{
    bootstrap, calibration, confidence_sequence::AsymptoticSequence, drift, moments::Moments,
    quantile::quantile, ranking::auc, sample_ratio,
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngSeed},
};

pub(crate) fn config() -> Config {
    Config {
        cases: 200,
        rng_seed: RngSeed::Fixed(20_260_401),
        failure_persistence: None,
        ..Config::default()
    }
}

pub(crate) fn near(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + scale.abs())
}

/// Scores with many ties, and labels of both kinds.
fn ranked() -> impl Strategy<Value = Vec<(f64, bool)>> {
    vec(((-4_i32..4).prop_map(|score| f64::from(score) / 2.0), any::<bool>()), 2..40)
        .prop_filter("both labels", |units| {
            units.iter().any(|unit| unit.1) && units.iter().any(|unit| !unit.1)
        })
}

/// Probabilities with labels.
fn forecasts() -> impl Strategy<Value = Vec<(f64, bool)>> {
    vec(((0_u32..=20).prop_map(|score| f64::from(score) / 20.0), any::<bool>()), 1..60)
}

fn pairs_won(units: &[(f64, bool)]) -> f64 {
    let of = |label: bool| units.iter().filter(move |unit| unit.1 == label).map(|unit| unit.0);
    let mut won = 0.0;
    for positive in of(true) {
        for negative in of(false) {
            won += if positive > negative {
                1.0
            } else if positive < negative {
                0.0
            } else {
                0.5
            };
        }
    }
    won / (of(true).count() * of(false).count()) as f64
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn auc_counts_pairs_and_turns_around(units in ranked()) {
        let (scores, labels): (Vec<f64>, Vec<bool>) = units.iter().copied().unzip();
        let negated: Vec<f64> = scores.iter().map(|score| -score).collect();
        let area = auc(&scores, &labels).unwrap();
        prop_assert!(near(area, pairs_won(&units), 1.0));
        prop_assert!(near(area, 1.0 - auc(&negated, &labels).unwrap(), 1.0));
    }

    #[test]
    fn merging_moments_is_associative_and_matches_pushing(
        a in vec(-1e6..1e6, 0..20), b in vec(-1e6..1e6, 0..20), c in vec(-1e6..1e6, 0..20),
    ) {
        let [x, y, z] = [&a, &b, &c].map(|values| Moments::from_values(values));
        let (left, right) = (x.merge(y).merge(z), x.merge(y.merge(z)));
        let pushed = Moments::from_values(&[a, b, c].concat());
        for other in [right, pushed, z.merge(y).merge(x)] {
            prop_assert_eq!(left.n, other.n);
            prop_assert!(near(left.sum, other.sum, 1e7));
            prop_assert!(near(left.sum_squares, other.sum_squares, left.sum_squares));
        }
    }

    #[test]
    fn moments_match_the_two_pass_variance_and_removal_undoes(values in vec(-1e3..1e3, 3..50)) {
        let mut moments = Moments::from_values(&values);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let spread: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
        prop_assert!(near(moments.variance().unwrap(), spread / (values.len() - 1) as f64, 1e6));
        moments.remove(values[0]);
        let rest = Moments::from_values(&values[1..]);
        prop_assert!(near(moments.variance().unwrap(), rest.variance().unwrap(), 1e6));
    }

    #[test]
    fn scaled_values_scale_their_intervals(
        values in vec(0.0..1e3, 2..30), k in prop_oneof![-50.0..-0.01, 0.01..50.0], seed in any::<u64>(),
    ) {
        let scaled: Vec<f64> = values.iter().map(|value| value * k).collect();
        let sequence = AsymptoticSequence::tuned_for(20.0, 0.05).unwrap();
        let of = |values: &[f64]| sequence.mean(&Moments::from_values(values)).unwrap();
        let resampled = |values: &[f64]| bootstrap::mean(values, 99, 0.9, seed).unwrap();
        for (before, after) in [(of(&values), of(&scaled)), (resampled(&values), resampled(&scaled))] {
            let expected = before.scale(k);
            prop_assert!(near(after.estimate, expected.estimate, 5e4));
            prop_assert!(near(after.low, expected.low, 5e4));
            prop_assert!(near(after.high, expected.high, 5e4));
        }
    }

    #[test]
    fn a_sequence_narrows_with_more_units(n in 1.0..1e6, variance in 1e-3..1e6, alpha in 0.001..0.5) {
        let sequence = AsymptoticSequence::tuned_for(1e3, alpha).unwrap();
        let half_width = sequence.half_width_of_mean(n, variance);
        prop_assert!(sequence.half_width_of_mean(n * 1.5, variance) < half_width);
        // Never tighter than an interval that is allowed one look: the price of looking at any time.
        prop_assert!(half_width * half_width * n / variance > -2.0 * alpha.ln());
    }

    #[test]
    fn reliability_bins_hold_every_unit_once(units in forecasts(), bins in 1_usize..80) {
        let (scores, labels): (Vec<f64>, Vec<bool>) = units.iter().copied().unzip();
        let table = calibration::bins(&scores, &labels, bins).unwrap();
        prop_assert!(table.len() <= bins);
        prop_assert_eq!(table.iter().map(|bin| bin.n).sum::<u64>(), scores.len() as u64);
        prop_assert!(table.is_sorted_by(|a, b| a.mean_score < b.mean_score));
        let positives: f64 = table.iter().map(|bin| bin.n as f64 * bin.observed).sum();
        prop_assert!(near(positives, labels.iter().filter(|&&label| label).count() as f64, 60.0));
        let (scores, labels): (Vec<f64>, Vec<bool>) = units.iter().rev().copied().unzip();
        let reversed = calibration::bins(&scores, &labels, bins).unwrap();
        for (there, back) in table.iter().zip(&reversed) {
            prop_assert_eq!((there.n, there.observed), (back.n, back.observed));
            prop_assert!(near(there.mean_score, back.mean_score, 1.0));
        }
    }

    #[test]
    fn proper_scores_prefer_the_base_rate_to_any_other_constant(
        labels in vec(any::<bool>(), 1..40), other in 0.0..=1.0,
    ) {
        let rate = labels.iter().filter(|&&label| label).count() as f64 / labels.len() as f64;
        let (best, guess) = (vec![rate; labels.len()], vec![other; labels.len()]);
        let slack = 1e-12;
        prop_assert!(
            calibration::brier(&best, &labels).unwrap() <= calibration::brier(&guess, &labels).unwrap() + slack
        );
        prop_assert!(
            calibration::log_loss(&best, &labels).unwrap()
                <= calibration::log_loss(&guess, &labels).unwrap() + slack
        );
    }

    #[test]
    fn histograms_over_reference_edges_count_everything(
        values in vec((-3_i32..30).prop_map(f64::from), 1..80), bins in 1_usize..15,
    ) {
        let edges = drift::quantile_edges(&values, bins).unwrap();
        prop_assert!(edges.len() <= bins && edges.is_sorted_by(|a, b| a < b));
        let counts = drift::histogram(&values, &edges);
        prop_assert_eq!(counts.iter().sum::<u64>(), values.len() as u64);
        let index = drift::population_stability_index(&counts, &counts).unwrap();
        prop_assert!(near(index, 0.0, 0.0));
    }

    #[test]
    fn quantiles_rise_and_stay_within_the_values(
        mut values in vec(-1e9..1e9, 1..50), q in 0.0..=1.0, r in 0.0..=1.0,
    ) {
        let (lower, upper) = (f64::min(q, r), f64::max(q, r));
        let at = |values: &mut [f64], q: f64| quantile(values, q).unwrap();
        prop_assert!(at(&mut values, lower) <= at(&mut values, upper) + 1e-6);
        prop_assert!(at(&mut values, 0.0) <= at(&mut values, q) + 1e-6);
        prop_assert!(at(&mut values, q) <= at(&mut values, 1.0) + 1e-6);
    }

    #[test]
    fn a_sample_ratio_p_value_is_a_probability(observed in vec(0_u64..10_000, 2..6)) {
        prop_assume!(observed.iter().sum::<u64>() > 0);
        let shares = vec![1.0; observed.len()];
        let p = sample_ratio::p_value(&observed, &shares).unwrap();
        prop_assert!((0.0..=1.0).contains(&p));
    }
}
