//! The bandits against other programs, their propensities against frequencies, and their regret.

mod evaluation;

use greenlight_stats::bandit::{
    BetaBandit, LinearBandit, MAX_ACTIONS, Observation, Outcomes, RidgeStatistics, Rule, Sums, draw,
    epsilon_greedy,
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngSeed},
};

use crate::simulation::{Draws, assert_close};

fn learned(ridge: f64, rows: &[(&[f64], f64)]) -> RidgeStatistics {
    let mut statistics = fresh(rows[0].0.len(), ridge);
    for (context, reward) in rows {
        assert_eq!(statistics.update(context, *reward), Ok(()));
    }
    statistics
}

fn fresh(dimension: usize, ridge: f64) -> RidgeStatistics {
    match RidgeStatistics::new(dimension, ridge) {
        Ok(statistics) => statistics,
        Err(error) => panic!("{error}"),
    }
}

fn linear(actions: usize, dimension: usize, rule: Rule) -> LinearBandit {
    match LinearBandit::new(actions, dimension, 1.0, rule) {
        Ok(bandit) => bandit,
        Err(error) => panic!("{error}"),
    }
}

/// scikit-learn 1.9.1, `Ridge(alpha=0.7, fit_intercept=False)`, for the coefficients; NumPy 2.4.6, `linalg.solve`,
/// for the prediction, its spread and the variance of the noise.
#[test]
fn the_regression_of_scikit_learn() {
    let statistics = learned(
        0.7,
        &[
            (&[1.0, 0.5, -1.0], 2.0),
            (&[1.0, -0.2, 0.3], 0.5),
            (&[1.0, 1.5, 0.8], 3.5),
            (&[1.0, -1.0, 0.1], -1.0),
            (&[1.0, 0.7, -0.6], 1.2),
            (&[1.0, 0.1, 2.0], 4.0),
        ],
    );
    let expected = [0.977_982_574_270_277_1, 1.379_123_196_988_626_2, 0.900_574_773_254_587_8];
    for (found, expected) in statistics.coefficients().iter().zip(expected) {
        assert_close(*found, expected, 1e-14);
    }
    let prediction = statistics.predict(&[1.0, 0.3, 0.4]).unwrap();
    assert_close(prediction.mean, 1.751_949_442_668_7, 1e-14);
    assert_close(prediction.spread, 0.392_690_838_075_795_86, 1e-14);
    assert_close(statistics.noise_variance().unwrap(), 1.012_010_202_191_466_5, 1e-13);
}

/// obp 0.5.7, `LinUCB(dim=2, n_actions=3, epsilon=0.8)`: the actions it plays on twelve contexts as it learns. Where
/// several bounds are the highest it takes the last and we share evenly.
#[test]
fn the_actions_of_obp() {
    let second = [0.2, -1.0, 0.6, 1.1, -0.4, 0.9, -0.7, 0.05, 0.3, -1.2, 0.5, 1.4];
    let rewards = [0.5, 1.0, -0.3, 2.0, 0.1, 0.7, 1.4, 0.2, -0.5, 0.9, 0.6, 1.8];
    let obp = [2, 2, 2, 1, 1, 1, 2, 1, 1, 2, 0, 1];
    let mut bandit = linear(3, 2, Rule::UpperConfidence { width: 0.8, exploration: 0.3 });
    for (row, ((second, reward), action)) in second.into_iter().zip(rewards).zip(obp).enumerate() {
        let probabilities = bandit.probabilities(&[1.0, second]).unwrap();
        let expected = match row {
            0 => 1.0 / 3.0,
            // The first two actions have not been played and tie; so they do at the fourth context.
            3 => 0.45,
            _ => 0.8,
        };
        assert_close(probabilities[action], expected, 1e-15);
        bandit.update(action, &[1.0, second], reward).unwrap();
    }
    // Its matrix A^-1 of the action it played once, at the context (1, 0.5).
    let inverse = bandit.statistics()[0].predict(&[1.0, 0.0]).unwrap().spread.powi(2);
    assert_close(inverse, 0.555_555_555_555_555_6, 1e-15);
}

/// The worked examples of the two Thompson bandits; the first value by SciPy 1.17.1.
#[test]
fn the_worked_examples_of_thompson() {
    let mut bandit = linear(2, 1, Rule::Thompson { noise_standard_deviation: 1.0, exploration: 0.1 });
    assert_close(bandit.probabilities(&[1.0]).unwrap()[0], 0.5, 1e-15);
    for _ in 0..10 {
        bandit.update(0, &[1.0], 0.0).unwrap();
        bandit.update(1, &[1.0], 1.0).unwrap();
    }
    assert_close(bandit.probabilities(&[1.0]).unwrap()[1], 0.935_147_184_052_446, 1e-13);
    // A context of zeros says nothing of any action.
    assert_close(bandit.probabilities(&[0.0]).unwrap()[1], 0.5, 0.0);

    let mut rates = BetaBandit::new(vec![Outcomes::default(); 2], [1.0, 1.0], 0.1).unwrap();
    rates.update(1, true).unwrap();
    assert_close(rates.probabilities()[1], 0.65, 1e-13);
    assert_close(rates.expected_rates()[0], 0.5, 0.0);
    assert_close(rates.expected_rates()[1], 2.0 / 3.0, 1e-15);
}

#[test]
fn what_the_bandits_refuse() {
    let rules = [
        Rule::EpsilonGreedy { epsilon: 0.0 },
        Rule::EpsilonGreedy { epsilon: f64::NAN },
        Rule::Thompson { noise_standard_deviation: 0.0, exploration: 0.1 },
        Rule::Thompson { noise_standard_deviation: 1.0, exploration: 1.1 },
        Rule::UpperConfidence { width: -1.0, exploration: 0.1 },
        Rule::UpperConfidence { width: 1.0, exploration: 0.0 },
    ];
    for rule in rules {
        assert!(LinearBandit::new(2, 2, 1.0, rule).is_err(), "{rule:?}");
    }
    let rule = Rule::EpsilonGreedy { epsilon: 0.1 };
    assert!(LinearBandit::new(0, 2, 1.0, rule).is_err());
    assert!(LinearBandit::new(MAX_ACTIONS + 1, 2, 1.0, rule).is_err());
    assert!(
        LinearBandit::new(256, 180, 1.0, rule).is_ok() && LinearBandit::new(256, 181, 1.0, rule).is_err()
    );
    assert!(LinearBandit::from_statistics(vec![fresh(2, 1.0), fresh(3, 1.0)], rule).is_err());
    let mut bandit = linear(2, 2, rule);
    assert!(bandit.update(2, &[1.0, 1.0], 1.0).is_err());
    assert!(bandit.update(0, &[1.0, f64::NAN], 1.0).is_err());
    assert!(bandit.probabilities(&[1.0]).is_err() && bandit.probabilities(&[1.0, f64::INFINITY]).is_err());
    assert!(bandit.merge(&linear(3, 2, rule)).is_err());
    let arms = || vec![Outcomes::default(); 2];
    assert!(BetaBandit::new(arms(), [0.4, 1.0], 0.1).is_err());
    assert!(BetaBandit::new(arms(), [1.0, f64::INFINITY], 0.1).is_err());
    assert!(BetaBandit::new(arms(), [1.0, 1.0], 0.0).is_err());
    assert!(BetaBandit::new(vec![], [1.0, 1.0], 0.1).is_err());
    let mut rates = BetaBandit::new(arms(), [1.0, 1.0], 0.1).unwrap();
    assert!(rates.update(2, true).is_err());
    assert!(rates.merge(&BetaBandit::new(vec![Outcomes::default()], [1.0, 1.0], 0.1).unwrap()).is_err());
}

/// Ten thousand updates by rotation, and a factor made afresh from the same sums, predict the same.
#[test]
fn updates_do_not_drift() {
    let mut draws = Draws::seeded(51);
    let mut statistics = fresh(4, 0.5);
    for _ in 0..10_999 {
        let context = [1.0, draws.normal(), 100.0 * draws.normal(), draws.uniform()];
        let reward = 3.0 * context[1] - 0.2 * context[2] + draws.normal();
        statistics.update(&context, reward).unwrap();
    }
    let again = RidgeStatistics::from_sums(statistics.sums().clone(), statistics.ridge()).unwrap();
    for _ in 0..20 {
        let context = [1.0, draws.normal(), 100.0 * draws.normal(), draws.uniform()];
        let (found, expected) = (statistics.predict(&context).unwrap(), again.predict(&context).unwrap());
        assert_close(found.mean, expected.mean, 1e-9);
        assert_close(found.spread, expected.spread, 1e-12);
    }
    assert_close(again.noise_variance().unwrap(), 1.0, 0.05);
    assert_close(again.coefficients()[1], 3.0, 0.05);
}

/// How often each of three is the largest of what `draw` answers, in 40,000 draws; 4 standard deviations of such a
/// share are at most 0.01.
fn shares_of_largest(mut draw: impl FnMut() -> [f64; 3]) -> [f64; 3] {
    let mut shares = [0.0; 3];
    for _ in 0..40_000 {
        let drawn = draw();
        let mut best = 0;
        for action in 1..3 {
            if drawn[action] > drawn[best] {
                best = action;
            }
        }
        shares[best] += 1.0 / 40_000.0;
    }
    shares
}

/// Thompson's rule as it was written down, drawing coefficients from each posterior and playing the best, plays each
/// action as often as the integrals say. The posteriors are worked out here, from the rows, for two coefficients.
#[test]
fn the_probabilities_are_the_frequencies_of_posterior_sampling() {
    let (mut draws, noise, ridge) = (Draws::seeded(52), 2.0, 1.0);
    let mut bandit = linear(3, 2, Rule::Thompson { noise_standard_deviation: noise, exploration: 1e-9 });
    let mut posteriors = [[ridge, 0.0, ridge, 0.0, 0.0]; 3];
    for row in 0..30 {
        let (action, x, reward) = (row % 7 % 3, draws.normal(), 0.3 + draws.normal());
        bandit.update(action, &[1.0, x], reward).unwrap();
        let [a, b, c, first, second] = posteriors[action];
        posteriors[action] = [a + 1.0, b + x, c + x * x, first + reward, second + x * reward];
    }
    for context in [[1.0, 0.4], [1.0, -2.0]] {
        let found = bandit.probabilities(&context).unwrap();
        let sampled = shares_of_largest(|| {
            posteriors.map(|[a, b, c, first, second]| {
                let determinant = a * c - b * b;
                let mean = [(c * first - b * second) / determinant, (a * second - b * first) / determinant];
                // A square root of the inverse: [[c, -b], [-b, a]] / determinant.
                let root = (c / determinant).sqrt();
                let below = -b / determinant / root;
                let rest = (a / determinant - below * below).sqrt();
                let (z1, z2) = (noise * draws.normal(), noise * draws.normal());
                context[0] * (mean[0] + root * z1) + context[1] * (mean[1] + below * z1 + rest * z2)
            })
        });
        for (found, sampled) in found.iter().zip(sampled) {
            assert_close(*found, sampled, 0.01);
            assert!(*found > 0.05, "an action that is never best shows nothing");
        }
    }
}

/// The same for success rates. A draw from `Beta(k, n + 1 - k)` is the `k`th smallest of `n` uniform numbers.
#[test]
fn the_probabilities_are_the_frequencies_of_drawn_rates() {
    let outcomes = [(2, 5), (1, 1), (4, 7)].map(|(successes, failures)| Outcomes { successes, failures });
    let bandit = BetaBandit::new(outcomes.to_vec(), [1.0, 1.0], 1e-9).unwrap();
    let mut draws = Draws::seeded(53);
    let sampled = shares_of_largest(|| {
        outcomes.map(|Outcomes { successes, failures }| {
            let mut uniforms: Vec<f64> = (0..=successes + failures).map(|_| draws.uniform()).collect();
            uniforms.sort_unstable_by(f64::total_cmp);
            uniforms[usize::try_from(successes).unwrap()]
        })
    });
    for (found, sampled) in bandit.probabilities().iter().zip(sampled) {
        assert_close(*found, sampled, 0.01);
    }
}

/// Each rule's choices, drawn 40,000 times at one state, are as frequent as the propensity that each reports.
#[test]
fn actions_are_as_frequent_as_their_logged_propensities() {
    for rule in rules(0.2) {
        let (mut draws, mut bandit) = (Draws::seeded(54), linear(3, 2, rule));
        for row in 0..12 {
            bandit.update(row % 3, &[1.0, draws.normal()], draws.normal()).unwrap();
        }
        let probabilities = bandit.probabilities(&[1.0, 0.5]).unwrap();
        let (mut shares, mut weights) = ([0.0; 3], 0.0);
        for _ in 0..40_000 {
            let choice = draw(&probabilities, draws.uniform()).unwrap();
            assert_eq!(choice.propensity, probabilities[choice.action]);
            shares[choice.action] += 1.0 / 40_000.0;
            weights += 1.0 / choice.propensity / 40_000.0;
        }
        for (share, probability) in shares.iter().zip(&probabilities) {
            assert_close(*share, *probability, 0.01);
        }
        // The mean of 1 / propensity is the number of actions.
        assert_close(weights, 3.0, 0.1);
    }
}

/// Late, out of order, in batches, with a reward that was corrected: the same as in time.
#[test]
fn late_rewards_and_batches_teach_the_same() {
    let mut draws = Draws::seeded(55);
    let rows: Vec<(usize, [f64; 2], f64)> =
        (0..40).map(|row| (row % 3, [1.0, draws.normal()], draws.normal())).collect();
    let rule = Rule::Thompson { noise_standard_deviation: 1.0, exploration: 0.1 };
    let (mut in_time, mut late) = (linear(3, 2, rule), linear(3, 2, rule));
    for (action, context, reward) in &rows {
        in_time.update(*action, context, *reward).unwrap();
    }
    // Row 5 was first thought to have brought 9.
    let first_thought = |row: usize| if row == 5 { 9.0 } else { rows[row].2 };
    let mut batch: Vec<Observation<'_>> = (0..40)
        .rev()
        .map(|row| Observation { action: rows[row].0, context: &rows[row].1, reward: first_thought(row) })
        .collect();
    batch.rotate_left(17);
    let (one, other) = batch.split_at(11);
    late.update_batch(one).unwrap();
    let before = late.clone();
    let broken = Observation { reward: f64::NAN, ..other[3] };
    assert!(late.update_batch(&[other[0], broken]).is_err());
    assert_eq!(late, before);
    late.update_batch(other).unwrap();
    late.correct(rows[5].0, &rows[5].1, 9.0, rows[5].2).unwrap();
    for side in [-1.0, 0.3] {
        let [one, other] = [&in_time, &late].map(|bandit| bandit.probabilities(&[1.0, side]).unwrap());
        for (one, other) in one.iter().zip(&other) {
            assert_close(*one, *other, 1e-12);
        }
    }
    assert!(late.correct(3, &[1.0, 0.0], 1.0, 0.0).is_err());

    let mut rates = BetaBandit::new(vec![Outcomes::default(); 2], [1.0, 1.0], 0.1).unwrap();
    rates.update_batch(0, Outcomes { successes: 3, failures: 2 }).unwrap();
    rates.correct(0, true, false).unwrap();
    assert_eq!(rates.outcomes()[0], Outcomes { successes: 2, failures: 3 });
    assert!(rates.correct(1, true, false).is_err());
    assert_eq!(rates.outcomes()[1], Outcomes::default());
    let again = BetaBandit::new(rates.outcomes().to_vec(), rates.prior(), rates.exploration()).unwrap();
    assert_eq!(again, rates);
    let both = rates.merge(&again).unwrap();
    assert_eq!(both.outcomes()[0], Outcomes { successes: 4, failures: 6 });
}

/// Rewards of the simulated world: a coefficient vector for each of three actions on the context `(1, side)`, where
/// the side is -1 or 1 with equal chance.
const COEFFICIENTS: [[f64; 2]; 3] = [[0.5, 0.5], [0.6, -0.4], [0.3, 0.0]];
const NOISE: f64 = 0.5;

fn mean_reward(action: usize, side: f64) -> f64 {
    COEFFICIENTS[action][0] + COEFFICIENTS[action][1] * side
}

fn best_reward(side: f64) -> f64 {
    (0..3).map(|action| mean_reward(action, side)).fold(f64::MIN, f64::max)
}

/// What the mean over both sides would be if every action were played evenly.
fn even_regret() -> f64 {
    let of =
        |side: f64| best_reward(side) - (0..3).map(|action| mean_reward(action, side)).sum::<f64>() / 3.0;
    f64::midpoint(of(-1.0), of(1.0))
}

fn rules(exploration: f64) -> [Rule; 3] {
    [
        Rule::EpsilonGreedy { epsilon: exploration },
        Rule::Thompson { noise_standard_deviation: NOISE, exploration },
        Rule::UpperConfidence { width: NOISE, exploration },
    ]
}

/// The expected regret of each half of 1,500 decisions, in units of what playing evenly would cost there.
fn regret(rule: Rule, seed: u64) -> [f64; 2] {
    const HALF: u32 = 750;
    let mut draws = Draws::seeded(seed);
    let mut bandit = linear(3, 2, rule);
    [0, 1].map(|_| {
        let lost: f64 = (0..HALF)
            .map(|_| {
                let side = if draws.chance(0.5) { 1.0 } else { -1.0 };
                let probabilities = bandit.probabilities(&[1.0, side]).unwrap_or_default();
                let earned: f64 =
                    probabilities.iter().enumerate().map(|(action, p)| p * mean_reward(action, side)).sum();
                if let Ok(choice) = draw(&probabilities, draws.uniform()) {
                    let reward = mean_reward(choice.action, side) + NOISE * draws.normal();
                    assert_eq!(bandit.update(choice.action, &[1.0, side], reward), Ok(()));
                }
                best_reward(side) - earned
            })
            .sum();
        lost / (f64::from(HALF) * even_regret())
    })
}

/// Each rule finds the best action on either side: of the regret of playing evenly, little more than the even share
/// is left in the second half; less than in the first, which is itself less than half of that of playing evenly.
#[test]
fn regret_falls_to_the_even_share() {
    let exploration = 0.05;
    for rule in rules(exploration) {
        for seed in 61..64 {
            let [first, second] = regret(rule, seed);
            assert!(second < exploration + 0.01, "{rule:?} {seed} {first} {second}");
            assert!(second < first && first < 0.5, "{rule:?} {seed} {first} {second}");
        }
    }
    // A rule that plays evenly loses what playing evenly loses.
    let [first, second] = regret(Rule::EpsilonGreedy { epsilon: 1.0 }, 61);
    assert_close(first, 1.0, 0.05);
    assert_close(second, 1.0, 0.05);
}

/// The same for success rates without a context: 0.3, 0.5 and 0.45.
#[test]
fn the_best_rate_is_found() {
    let rates = [0.3, 0.5, 0.45];
    let mut draws = Draws::seeded(65);
    let mut bandit = BetaBandit::new(vec![Outcomes::default(); 3], [1.0, 1.0], 0.06).unwrap();
    for _ in 0..4_000 {
        let choice = draw(&bandit.probabilities(), draws.uniform()).unwrap();
        bandit.update(choice.action, draws.chance(rates[choice.action])).unwrap();
    }
    let probabilities = bandit.probabilities();
    assert!(probabilities[1] > 0.9, "{probabilities:?}");
    // Of the worst little more than the even share is left.
    assert_close(probabilities[0], 0.02, 1e-4);
    let trials: Vec<u64> = bandit.outcomes().iter().map(|of| of.successes + of.failures).collect();
    assert!(trials[1] > 2_500 && trials[0] > 50, "{trials:?}");
}

fn config() -> Config {
    Config {
        cases: 100,
        rng_seed: RngSeed::Fixed(20_261_005),
        failure_persistence: None,
        ..Config::default()
    }
}

fn near(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + scale.abs())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn merged_halves_are_the_whole(
        rows in vec((0_usize..3, vec(-2.0..2.0, 3), -10.0..10.0, any::<bool>()), 1..60), context in vec(-2.0..2.0, 3),
    ) {
        let rule = Rule::Thompson { noise_standard_deviation: 2.0, exploration: 0.1 };
        let (mut whole, mut halves) = (linear(3, 3, rule), [linear(3, 3, rule), linear(3, 3, rule)]);
        for (action, context, reward, second) in &rows {
            whole.update(*action, context, *reward).unwrap();
            halves[usize::from(*second)].update(*action, context, *reward).unwrap();
        }
        let merged = halves[0].merge(&halves[1]).unwrap();
        let [one, other] = [&whole, &merged].map(|bandit| bandit.probabilities(&context).unwrap());
        for (one, other) in one.iter().zip(&other) {
            prop_assert!(near(*one, *other, 1.0));
        }
        for (one, other) in whole.statistics().iter().zip(merged.statistics()) {
            prop_assert_eq!(one.sums().rows, other.sums().rows);
            let (one, other) = (one.predict(&context).unwrap(), other.predict(&context).unwrap());
            prop_assert!(near(one.mean, other.mean, 100.0) && near(one.spread, other.spread, 10.0));
        }
    }

    #[test]
    fn a_stored_bandit_goes_on_as_it_was(rows in vec((vec(-2.0..2.0, 2), -10.0..10.0), 1..40)) {
        let mut statistics = fresh(2, 0.7);
        for (context, reward) in &rows {
            statistics.update(context, *reward).unwrap();
        }
        let Sums { rows: count, gram, moment, sum_squares } = statistics.sums().clone();
        let again = RidgeStatistics::from_sums(Sums { rows: count, gram, moment, sum_squares }, 0.7).unwrap();
        let (one, other) = (statistics.predict(&rows[0].0).unwrap(), again.predict(&rows[0].0).unwrap());
        prop_assert!(near(one.mean, other.mean, 100.0) && near(one.spread, other.spread, 10.0));
    }

    #[test]
    fn probabilities_are_a_distribution_with_a_floor(
        rows in vec((0_usize..4, vec(-3.0..3.0, 2), -1e3..1e3), 0..40), context in vec(-3.0..3.0, 2),
        exploration in 0.01..1.0, which in 0_usize..3,
    ) {
        let mut bandit = linear(4, 2, rules(exploration)[which]);
        for (action, context, reward) in &rows {
            bandit.update(*action, context, *reward).unwrap();
        }
        let probabilities = bandit.probabilities(&context).unwrap();
        prop_assert!(near(probabilities.iter().sum(), 1.0, 0.0));
        prop_assert!(probabilities.iter().all(|p| *p >= exploration / 4.0 - 1e-15 && *p <= 1.0));
        if which == 0 {
            let expected = bandit.expected_rewards(&context).unwrap();
            prop_assert_eq!(probabilities, epsilon_greedy(&expected, exploration).unwrap());
        }
    }

    /// Counts of any size, close together or far apart, and priors between the whole ones.
    #[test]
    fn rates_of_any_counts_are_a_distribution(
        counts in vec((0_u32..64, any::<u64>(), any::<u64>()), 2..6), prior in (0.5..3.0, 0.5..3.0), alike in any::<bool>(),
    ) {
        let outcomes: Vec<Outcomes> = counts
            .iter()
            .map(|&(bits, successes, failures)| {
                let (successes, failures) = (successes >> bits, failures >> bits);
                if alike { Outcomes { successes: successes / 2 + (1 << 40), failures: 1 << 50 } } else { Outcomes { successes, failures } }
            })
            .collect();
        let bandit = BetaBandit::new(outcomes, [prior.0, prior.1], 0.1).unwrap();
        let (probabilities, floor) = (bandit.probabilities(), 0.1 / counts.len() as f64);
        prop_assert!(near(probabilities.iter().sum(), 1.0, 0.0), "{probabilities:?}");
        prop_assert!(probabilities.iter().all(|p| *p >= floor - 1e-15 && *p <= 1.0), "{probabilities:?}");
    }

    /// A success more raises an action's chance, a failure more lowers it.
    #[test]
    fn success_attracts(counts in vec((0_u64..40, 0_u64..40), 2..5)) {
        let outcomes: Vec<Outcomes> =
            counts.iter().map(|&(successes, failures)| Outcomes { successes, failures }).collect();
        let before = BetaBandit::new(outcomes, [0.5, 0.5], 0.1).unwrap();
        for success in [false, true] {
            let mut after = before.clone();
            after.update(0, success).unwrap();
            let change = after.probabilities()[0] - before.probabilities()[0];
            let gain = if success { change } else { -change };
            prop_assert!(gain > -1e-12);
        }
    }
}
