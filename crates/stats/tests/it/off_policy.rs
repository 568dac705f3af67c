//! The off-policy estimators against another program, what must hold for any log, and whether a refused log is
//! repaired by the traffic that the refusal asks for.

use greenlight_stats::off_policy::{
    ActionTable, Bias, BiasBound, Estimate, Evaluation, Log, Reason, Refusal, Report, Requirements,
    RewardModel, WeightRule, clipped_inverse_propensity, diagnostics, direct, doubly_robust, evaluate,
    inverse_propensity, score, self_normalised, shrunk_doubly_robust, switch_doubly_robust, tune,
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngSeed},
};

use crate::simulation::{Draws, assert_close};

const ACTIONS: usize = 3;

/// A log with both policies and a reward model over all actions.
#[derive(Debug, Clone, Default)]
struct World {
    rewards: Vec<f64>,
    chosen: Vec<usize>,
    logged: Vec<f64>,
    target: Vec<f64>,
    expected: Vec<f64>,
    segments: Vec<u32>,
    actions: usize,
    of_log: [Vec<f64>; 2],
    of_model: [Vec<f64>; 2],
}

impl World {
    fn push(&mut self, segment: u32, chosen: usize, reward: f64, [logged, target, expected]: [&[f64]; 3]) {
        self.actions = logged.len();
        self.rewards.push(reward);
        self.chosen.push(chosen);
        self.segments.push(segment);
        self.logged.extend(logged);
        self.target.extend(target);
        self.expected.extend(expected);
        self.of_log[0].push(logged[chosen]);
        self.of_log[1].push(target[chosen]);
        self.of_model[0].push(expected[chosen]);
        self.of_model[1].push(target.iter().zip(expected).map(|(e, q)| e * q).sum());
    }

    fn log(&self) -> Log<'_> {
        let [logged, target] = &self.of_log;
        Log { rewards: &self.rewards, logged_propensities: logged, target_propensities: target }
    }

    fn model(&self) -> RewardModel<'_> {
        RewardModel { logged_action: &self.of_model[0], target_policy: &self.of_model[1] }
    }

    fn table(&self) -> ActionTable<'_> {
        ActionTable {
            actions: self.actions,
            logged: &self.logged,
            target: &self.target,
            chosen: &self.chosen,
            segments: &self.segments,
        }
    }

    fn evaluate(&self) -> Evaluation {
        let (model, table) = (self.model(), self.table());
        match evaluate(&self.log(), Some(&model), Some(&table), &Requirements::default(), 0.95) {
            Ok(evaluation) => evaluation,
            Err(error) => panic!("{error}"),
        }
    }

    fn report(&self) -> Report {
        match self.evaluate() {
            Evaluation::Estimated(report) => *report,
            Evaluation::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    fn refusal(&self) -> Refusal {
        match self.evaluate() {
            Evaluation::Refused(refusal) => *refusal,
            Evaluation::Estimated(report) => panic!("{report:?}"),
        }
    }
}

/// Twelve rows: reward, action, logging policy, target policy, model.
type Row = (f64, usize, [f64; 3], [f64; 3], [f64; 3]);
const TWELVE: [Row; 12] = [
    (3.0, 0, [0.6, 0.3, 0.1], [0.2, 0.3, 0.5], [2.5, 0.5, 1.0]),
    (0.0, 1, [0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [1.5, 0.5, 2.0]),
    (1.5, 2, [0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [2.0, 1.0, 1.5]),
    (2.0, 0, [0.4, 0.4, 0.2], [0.5, 0.5, 0.0], [2.2, 0.4, 3.0]),
    (0.0, 1, [0.2, 0.7, 0.1], [0.0, 0.1, 0.9], [1.0, 0.2, 4.0]),
    (5.5, 2, [0.5, 0.45, 0.05], [0.25, 0.25, 0.5], [2.0, 1.0, 4.0]),
    (1.0, 0, [0.8, 0.1, 0.1], [0.05, 0.05, 0.9], [1.2, 0.8, 3.0]),
    (0.5, 1, [0.3, 0.6, 0.1], [0.0, 0.5, 0.5], [2.0, 0.6, 1.0]),
    (4.0, 2, [0.25, 0.25, 0.5], [0.6, 0.2, 0.2], [1.0, 2.0, 3.5]),
    (0.0, 0, [0.9, 0.05, 0.05], [0.3, 0.6, 0.1], [0.5, 1.0, 2.0]),
    (2.5, 1, [0.45, 0.05, 0.5], [0.1, 0.85, 0.05], [2.0, 2.0, 1.0]),
    (7.0, 2, [0.6, 0.38, 0.02], [0.2, 0.3, 0.5], [3.0, 1.0, 5.0]),
];

fn twelve() -> World {
    let mut world = World::default();
    for (reward, chosen, logged, target, expected) in &TWELVE {
        world.push(0, *chosen, *reward, [logged, target, expected]);
    }
    world
}

fn value(estimate: Result<Estimate, greenlight_stats::StatsError>) -> f64 {
    match estimate {
        Ok(estimate) => estimate.interval.estimate,
        Err(error) => panic!("{error}"),
    }
}

/// Open Bandit Pipeline (obp) 0.5.7, `estimate_policy_value` of each estimator.
#[test]
fn the_values_of_obp() {
    let world = twelve();
    let (log, model) = (world.log(), world.model());
    assert_close(value(inverse_propensity(&log, 0.9)), 23.673_263_888_888_886, 1e-13);
    assert_close(value(clipped_inverse_propensity(&log, 3.0, 0.9)), 4.589_930_555_555_555, 1e-14);
    assert_close(value(self_normalised(&log, 0.9)), 4.541_244_421_607_528, 1e-14);
    assert_close(value(direct(&log, &model, 0.9)), 1.889_166_666_666_666_9, 1e-14);
    assert_close(value(doubly_robust(&log, &model, 0.9)), 7.866_299_603_174_603, 1e-14);
    let switched =
        [(0.5, 1.902_410_714_285_714), (2.0, 1.874_632_936_507_936_8), (6.0, 1.741_299_603_174_603_3)];
    for (threshold, expected) in switched {
        assert_close(value(switch_doubly_robust(&log, &model, threshold, 0.9)), expected, 1e-14);
    }
    let shrunk =
        [(0.5, 1.895_079_897_328_178_1), (10.0, 2.014_709_065_256_788), (1_000.0, 5.992_673_597_544_408)];
    for (lambda, expected) in shrunk {
        assert_close(value(shrunk_doubly_robust(&log, &model, lambda, 0.9)), expected, 1e-14);
    }
}

/// SciPy 1.17.1: `stats.sem` and `stats.t.interval` over the row scores. For SNIPS, which has none, NumPy 2.4.6:
/// the infinitesimal jackknife (numeric derivatives of the ratio in the weight of each row, step 1e-6) over
/// `n (n - 1)`. Kish's number by NumPy.
#[test]
fn the_standard_errors_of_scipy() {
    let world = twelve();
    let plain = inverse_propensity(&world.log(), 0.9).unwrap();
    assert_close(plain.standard_error, 14.765_119_738_948_817, 1e-12);
    assert_close(plain.interval.low, -2.843_190_496_636_712, 1e-11);
    assert_close(plain.interval.high, 50.189_718_274_414_474, 1e-11);
    let robust = doubly_robust(&world.log(), &world.model(), 0.9).unwrap();
    assert_close(robust.standard_error, 4.407_719_910_982_07, 1e-13);
    assert_close(robust.interval.low, -0.049_457_670_057_638_13, 1e-12);
    assert_close(robust.interval.high, 15.782_056_876_406_841, 1e-12);
    let normalised = self_normalised(&world.log(), 0.9).unwrap();
    assert_close(normalised.standard_error, 1.233_541_877_762_089_7, 1e-8);
    let figures = diagnostics(&world.log()).unwrap();
    assert_close(figures.effective_rows, 3.752_190_666_022_418_2, 1e-14);
    assert_close(figures.largest_weight, 25.0, 1e-13);
}

/// obp 0.5.7, `_estimate_mse_score` with delta 0.1. It assumes residuals of at most 1, so that rewards and model
/// were divided by 2, the largest residual here, and its scores are multiplied by 4.
#[test]
fn the_squared_error_bounds_of_obp() {
    let world = twelve();
    let bound = |rule, candidates: &[f64], bound| {
        tune(&world.log(), &world.model(), rule, candidates, bound).unwrap()
    };
    let (probable, estimated) = (BiasBound::HighProbability { delta: 0.1 }, BiasBound::Estimated);
    let switch = [
        (0.3, 188.760_707_136_809_43, 8.961_168_563_403_731),
        (2.0, 188.914_479_204_304_68, 8.995_517_994_804_38),
        (30.0, 119.972_553_506_943_43, 4.452_248_811_465_535),
    ];
    let shrinkage = [
        (0.01, 188.723_409_403_914_76, 8.953_169_600_205_149),
        (10.0, 187.010_674_220_324_77, 8.597_256_460_245_005),
        (1_000.0, 138.461_586_112_648_46, 2.803_479_318_869_774),
    ];
    for (rule, table) in [(WeightRule::Switch, switch), (WeightRule::OptimisticShrinkage, shrinkage)] {
        for (parameter, with_margin, without) in table {
            let found = bound(rule, &[parameter], probable);
            assert_close(found.squared_error_bound / (4.0 * with_margin), 1.0, 1e-13);
            let found = bound(rule, &[parameter], estimated);
            assert_close(found.squared_error_bound / (4.0 * without), 1.0, 1e-13);
        }
        let candidates = table.map(|row| row.0);
        assert_close(bound(rule, &candidates, probable).parameter, candidates[2], 0.0);
        assert_close(bound(rule, &candidates, estimated).parameter, candidates[2], 0.0);
    }
}

/// Rewards of the simulated world: action `a` in segment `s` brings `1 + a + s`, half of the time and otherwise 0.
fn mean_reward(segment: u32, action: usize) -> f64 {
    0.5 * (1.0 + action as f64 + f64::from(segment))
}

fn pick(draws: &mut Draws, probabilities: &[f64]) -> usize {
    let mut mark = draws.uniform();
    for (action, probability) in probabilities.iter().enumerate() {
        mark -= probability;
        if mark < 0.0 {
            return action;
        }
    }
    probabilities.len() - 1
}

/// Rows from two equal segments with the policies given per segment, and a model that is off by `error`.
fn simulate(draws: &mut Draws, rows: u32, logged: [[f64; 3]; 2], target: [[f64; 3]; 2], error: f64) -> World {
    let mut world = World::default();
    for row in 0..rows {
        let segment = row % 2;
        let (b, e) = (logged[segment as usize], target[segment as usize]);
        let action = pick(draws, &b);
        let reward = if draws.chance(0.5) { 2.0 * mean_reward(segment, action) } else { 0.0 };
        let expected: Vec<f64> = (0..ACTIONS).map(|action| mean_reward(segment, action) * error).collect();
        world.push(segment, action, reward, [&b, &e, &expected]);
    }
    world
}

fn truth(target: [[f64; 3]; 2]) -> f64 {
    let of = |segment: u32| -> f64 {
        (0..ACTIONS).map(|action| target[segment as usize][action] * mean_reward(segment, action)).sum()
    };
    f64::midpoint(of(0), of(1))
}

const EXPLORING: [[f64; 3]; 2] = [[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]];
const TARGET: [[f64; 3]; 2] = [[0.1, 0.1, 0.8], [0.0, 0.5, 0.5]];

/// 400 logs of 600 rows: the 0.9 intervals of the estimators without lasting bias hold the truth in 90 % of them,
/// within 2.5 standard deviations of that count; a model that is half the truth spoils the direct method and
/// not the doubly robust estimator.
#[test]
fn intervals_cover_and_the_direct_method_does_not() {
    const LOGS: u32 = 400;
    let mut draws = Draws::seeded(21);
    let mut held = [0_u32; 4];
    for _ in 0..LOGS {
        let world = simulate(&mut draws, 600, EXPLORING, TARGET, 0.5);
        let (log, model) = (world.log(), world.model());
        let estimates = [
            inverse_propensity(&log, 0.9),
            self_normalised(&log, 0.9),
            doubly_robust(&log, &model, 0.9),
            direct(&log, &model, 0.9),
        ];
        for (count, estimate) in held.iter_mut().zip(estimates) {
            *count += u32::from(!estimate.unwrap().interval.excludes(truth(TARGET)));
        }
    }
    for count in &held[..3] {
        assert_close(f64::from(*count) / f64::from(LOGS), 0.9, 0.0375);
    }
    assert_eq!(held[3], 0);
}

/// The estimated bias of the biased estimators finds what is wrong with them: half of the value is missing from
/// the model.
#[test]
fn a_lasting_bias_is_estimated() {
    let world = simulate(&mut Draws::seeded(22), 20_000, EXPLORING, TARGET, 0.5);
    let Bias::Lasting { estimated, standard_error } = direct(&world.log(), &world.model(), 0.9).unwrap().bias
    else {
        panic!("the direct method is biased");
    };
    assert_close(estimated, -0.5 * truth(TARGET), 3.5 * standard_error);
    assert!(standard_error < 0.1 && estimated < -4.0 * standard_error);
}

/// A model that is known to be good makes tuning leave the large weights of a short log; a bad one makes it keep
/// them, once there are rows enough.
#[test]
fn tuning_follows_the_quality_of_the_model() {
    let rare = [[0.9, 0.097, 0.003]; 2];
    let target = [[0.0, 0.5, 0.5]; 2];
    let tuned = |rows, error, rule, candidates: &[f64], bound| {
        let world = simulate(&mut Draws::seeded(23), rows, rare, target, error);
        tune(&world.log(), &world.model(), rule, candidates, bound).unwrap().parameter
    };
    let (switch, shrinkage) = (WeightRule::Switch, WeightRule::OptimisticShrinkage);
    for (rule, candidates) in [(switch, [20.0, f64::INFINITY]), (shrinkage, [100.0, 1e9])] {
        let good = BiasBound::WorstCase { largest_residual: 0.05 };
        assert_close(tuned(1_000, 1.0, rule, &candidates, good), candidates[0], 0.0);
        for bad in [
            BiasBound::WorstCase { largest_residual: 2.0 },
            BiasBound::HighProbability { delta: 0.05 },
            BiasBound::Estimated,
        ] {
            assert!(tuned(40_000, 0.1, rule, &candidates, bad) >= candidates[1], "{bad:?}");
        }
    }
}

/// The worked example of [`evaluate`].
#[test]
fn a_coin_supports_the_target_and_a_habit_does_not() {
    let always_second = [[0.0, 1.0, 0.0]; 2];
    let coin = [[0.5, 0.5, 0.0]; 2];
    let world = simulate(&mut Draws::seeded(24), 1_000, coin, always_second, 0.9);
    let report = world.report();
    assert_close(report.diagnostics.effective_rows, 500.0, 50.0);
    assert_close(report.diagnostics.largest_weight, 2.0, 0.0);
    assert_eq!(report.unsupported_share, Some(0.0));
    assert_eq!(report.inverse_propensity, inverse_propensity(&world.log(), 0.95).unwrap());
    let modelled = report.modelled.unwrap();
    assert_eq!(modelled.doubly_robust, Some(doubly_robust(&world.log(), &world.model(), 0.95).unwrap()));

    let habit = simulate(&mut Draws::seeded(24), 1_000, [[1.0, 0.0, 0.0]; 2], always_second, 0.9);
    let refusal = habit.refusal();
    assert!(refusal.reasons.contains(&Reason::Unsupported { share: 1.0, limit: 0.01 }), "{refusal:?}");
    let repair = refusal.repair.unwrap();
    assert_eq!(repair.rows, Some(2_200));
    for (exploration, segment) in repair.explorations.iter().zip([0, 1]) {
        assert_eq!((exploration.segment, exploration.action, exploration.rows), (segment, 1, 1_100));
        assert_close(exploration.share, 0.1, 1e-15);
    }
}

/// A log that lacks support in one segment, and one that is too thin, are answered after exactly the traffic that
/// the refusal asked for, and the answer covers the truth.
#[test]
fn a_refused_log_is_repaired_by_the_traffic_it_asks_for() {
    let target = [[0.1, 0.1, 0.8], [0.2, 0.8, 0.0]];
    for (seed, logged) in [
        (31, [[0.7, 0.3, 0.0], [0.3, 0.6, 0.1]]),
        (32, [[0.9, 0.099, 0.001], [0.98, 0.01, 0.01]]),
        (33, [[0.3, 0.3, 0.4], [0.3, 0.6, 0.1]]),
    ] {
        let mut draws = Draws::seeded(seed);
        let refusal = simulate(&mut draws, 150, logged, target, 0.8).refusal();
        let plan = refusal.repair.clone().unwrap();
        let mut repaired = logged;
        for (segment, policy) in repaired.iter_mut().enumerate() {
            let of_segment = plan.explorations.iter().filter(|part| part.segment as usize == segment);
            let explored: f64 = of_segment.clone().map(|part| part.share).sum();
            *policy = policy.map(|probability| probability * (1.0 - explored));
            of_segment.for_each(|part| policy[part.action] += part.share);
        }
        let rows = plan.rows.unwrap();
        assert!((220..5_000).contains(&rows), "{plan:?}");
        let report = simulate(&mut draws, rows as u32, repaired, target, 0.8).report();
        let interval = report.modelled.unwrap().doubly_robust.unwrap().interval;
        assert!(!interval.excludes(truth(target)), "{interval:?} {}", truth(target));
        assert!(report.diagnostics.largest_weight <= 10.0 + 1e-9, "{plan:?}");
    }
    // The third log only lacked rows.
    let thin =
        simulate(&mut Draws::seeded(33), 150, [[0.3, 0.3, 0.4], [0.3, 0.6, 0.1]], target, 0.8).refusal();
    assert!(thin.repair.unwrap().explorations.is_empty());
    assert!(matches!(thin.reasons[..], [Reason::TooFewEffectiveRows { .. }]), "{:?}", thin.reasons);
}

/// By hand: action 2 is explored with 0.5 / 10 of the rows. Then action 0, which the logging policy keeps for 0.95
/// of them, has the weight 0.5 / 0.475 and action 2 the weight 10, so `E[w^2] = 0.5 / 0.95 + 0.5 * 10 = 5.5263` and
/// `200 * 5.5263 * 1.1 = 1215.8` rows are needed.
#[test]
fn the_rows_of_a_repair_by_hand() {
    let target = [[0.5, 0.0, 0.5]; 2];
    let refusal = simulate(&mut Draws::seeded(25), 1_000, [[0.5, 0.5, 0.0]; 2], target, 1.0).refusal();
    let plan = refusal.repair.unwrap();
    assert_eq!((plan.rows, plan.explorations.len()), (Some(1_216), 2));
    assert_close(plan.explorations[0].share, 0.05, 1e-15);
}

/// Without a table, missing support shows in the mean weight, and nobody can say what to explore.
#[test]
fn missing_support_shows_in_the_mean_weight() {
    let world = simulate(&mut Draws::seeded(41), 4_000, [[0.5, 0.5, 0.0]; 2], [[0.3, 0.3, 0.4]; 2], 1.0);
    let found = evaluate(&world.log(), None, None, &Requirements::default(), 0.95).unwrap();
    let Evaluation::Refused(refusal) = found else { panic!("{found:?}") };
    let [Reason::WeightsOffBalance { mean, .. }] = refusal.reasons[..] else { panic!("{refusal:?}") };
    assert_close(mean, 0.6, 1e-12);
    let repair = refusal.repair.unwrap();
    assert!(repair.rows.is_none() && repair.explorations.is_empty());
}

/// Propensities that were not in force: the table is complete, every action has its chance, and the weights still do
/// not average 1. No traffic repairs that.
#[test]
fn wrong_propensities_are_found_and_not_repaired_by_traffic() {
    let mut world = simulate(&mut Draws::seeded(42), 4_000, [[0.7, 0.2, 0.1]; 2], [[0.2, 0.3, 0.5]; 2], 1.0);
    for row in 0..world.rewards.len() {
        let claimed = [0.4, 0.3, 0.3];
        world.logged[row * ACTIONS..][..ACTIONS].copy_from_slice(&claimed);
        world.of_log[0][row] = claimed[world.chosen[row]];
    }
    let refusal = world.refusal();
    assert!(matches!(refusal.reasons[..], [Reason::WeightsOffBalance { .. }]), "{refusal:?}");
    assert_eq!(refusal.repair, None);
}

#[test]
fn invalid_propensities_are_counted() {
    let mut world = simulate(&mut Draws::seeded(43), 600, EXPLORING, TARGET, 1.0);
    world.of_log[0][7] = 0.0;
    world.of_log[0][9] = 1.5;
    world.of_log[1][20] = -0.5;
    world.of_log[1][30] += 0.01;
    let refusal = world.refusal();
    let expected = Reason::InvalidPropensities { logged: 2, target: 1, table: 4, first_row: 7 };
    assert_eq!((refusal.reasons, refusal.diagnostics, refusal.repair), (vec![expected], None, None));
}

#[test]
fn one_row_and_equal_rewards_are_refused() {
    let mut world = simulate(&mut Draws::seeded(44), 600, [[0.5, 0.5, 0.0]; 2], [[0.5, 0.5, 0.0]; 2], 1.0);
    world.of_log[0][17] = 0.01;
    let found = evaluate(&world.log(), None, None, &Requirements::default(), 0.95).unwrap();
    let Evaluation::Refused(refusal) = found else { panic!("{found:?}") };
    let dominated = refusal.reasons.iter().any(|reason| {
        matches!(reason, Reason::OneRowDominates { row: 17, share, .. } if (share - 50.0 / 649.0).abs() < 1e-12)
    });
    assert!(dominated, "{refusal:?}");
    world.of_log[0][17] = 0.5;
    world.rewards.fill(2.5);
    let refusal = world.refusal();
    assert_eq!(refusal.reasons, [Reason::NoVariation { reward: 2.5 }]);
    assert!(refusal.reasons[0].to_string().contains("2.5"));
}

#[test]
fn requirements_have_ranges() {
    let world = twelve();
    let default = Requirements::default();
    for needs in [
        Requirements { largest_weight: 0.0, ..default },
        Requirements { most_unsupported: 1.1, ..default },
        Requirements { least_effective_rows: f64::NAN, ..default },
        Requirements { most_row_share: 1.0, ..default },
        Requirements { most_weight_deviation: -1.0, ..default },
        Requirements { planned_weight: 0.5, ..default },
    ] {
        assert!(evaluate(&world.log(), None, None, &needs, 0.95).is_err(), "{needs:?}");
    }
    assert!(evaluate(&world.log(), None, None, &default, 1.0).is_err());
    let short = ActionTable { segments: &[0], ..world.table() };
    assert!(evaluate(&world.log(), None, Some(&short), &default, 0.95).is_err());
}

fn config() -> Config {
    Config {
        cases: 200,
        rng_seed: RngSeed::Fixed(20_261_004),
        failure_persistence: None,
        ..Config::default()
    }
}

/// Logs with rewards in quarters, so that few scores coincide, and propensities off the ends.
fn logs() -> impl Strategy<Value = World> {
    let distribution = || {
        vec(1_u32..20, ACTIONS).prop_map(|parts| {
            let total: u32 = parts.iter().sum();
            parts.into_iter().map(|part| f64::from(part) / f64::from(total)).collect::<Vec<f64>>()
        })
    };
    let row = (-40_i32..40, 0..ACTIONS, distribution(), distribution(), vec(-3.0..3.0, ACTIONS));
    vec(row, 3..40).prop_map(|rows| {
        let mut world = World::default();
        for (index, (quarters, chosen, logged, target, expected)) in rows.into_iter().enumerate() {
            // The index keeps all rewards different.
            let reward = f64::from(quarters) / 4.0 + index as f64 / 64.0;
            world.push(0, chosen, reward, [&logged, &target, &expected]);
        }
        world
    })
}

fn near(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + scale.abs())
}

fn same(a: Estimate, b: Estimate) -> bool {
    let scale = a.interval.high.abs() + a.interval.low.abs();
    near(a.interval.estimate, b.interval.estimate, scale)
        && near(a.standard_error, b.standard_error, scale)
        && near(a.interval.low, b.interval.low, scale)
        && near(a.interval.high, b.interval.high, scale)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_logging_policy_itself_has_the_mean_of_its_rewards(mut world in logs()) {
        world.of_log[1] = world.of_log[0].clone();
        let mean = world.rewards.iter().sum::<f64>() / world.rewards.len() as f64;
        let n = world.rewards.len() as f64;
        let squares: f64 = world.rewards.iter().map(|reward| (reward - mean) * (reward - mean)).sum();
        for estimate in [inverse_propensity(&world.log(), 0.9), self_normalised(&world.log(), 0.9)] {
            let estimate = estimate.unwrap();
            prop_assert!(near(estimate.interval.estimate, mean, 10.0));
            prop_assert!(near(estimate.standard_error, (squares / n / (n - 1.0)).sqrt(), 10.0));
        }
        prop_assert!(near(diagnostics(&world.log()).unwrap().effective_rows, n, n));
    }

    #[test]
    fn the_estimators_meet_at_their_ends(world in logs()) {
        let (log, model, zeros) = (world.log(), world.model(), vec![0.0; world.rewards.len()]);
        let nothing = RewardModel { logged_action: &zeros, target_policy: &zeros };
        let plain = inverse_propensity(&log, 0.9).unwrap();
        prop_assert_eq!(doubly_robust(&log, &nothing, 0.9).unwrap(), plain);
        let (robust, modelled) = (doubly_robust(&log, &model, 0.9).unwrap(), direct(&log, &model, 0.9).unwrap());
        prop_assert_eq!(shrunk_doubly_robust(&log, &model, 0.0, 0.9).unwrap(), modelled);
        prop_assert_eq!(switch_doubly_robust(&log, &model, 0.0, 0.9).unwrap(), modelled);
        for lambda in [1e15, f64::INFINITY] {
            prop_assert!(same(shrunk_doubly_robust(&log, &model, lambda, 0.9).unwrap(), robust));
        }
        prop_assert!(same(switch_doubly_robust(&log, &model, f64::INFINITY, 0.9).unwrap(), robust));
        prop_assert!(same(clipped_inverse_propensity(&log, f64::INFINITY, 0.9).unwrap(), plain));
        // What a biased estimator says about its bias leads back to the unbiased one.
        for biased in [modelled, shrunk_doubly_robust(&log, &model, 2.0, 0.9).unwrap()] {
            let Bias::Lasting { estimated, .. } = biased.bias else { panic!("{biased:?}") };
            prop_assert!(near(biased.interval.estimate - estimated, robust.interval.estimate, 100.0));
        }
        let scores: Result<Vec<f64>, _> = (0..world.rewards.len())
            .map(|row| score(
                log.rewards[row], log.logged_propensities[row], log.target_propensities[row],
                model.logged_action[row], model.target_policy[row],
            ))
            .collect();
        let mean = scores.unwrap().iter().sum::<f64>() / world.rewards.len() as f64;
        prop_assert!(near(mean, robust.interval.estimate, 100.0));
    }

    #[test]
    fn scaled_rewards_scale_everything(world in logs(), power in -8_i32..8, negative in any::<bool>()) {
        // Powers of two, so that a tie between candidates stays a tie.
        let k = 2.0_f64.powi(power) * if negative { -1.0 } else { 1.0 };
        let mut scaled = world.clone();
        scaled.rewards.iter_mut().chain(scaled.of_model.iter_mut().flatten()).for_each(|x| *x *= k);
        let all = |world: &World| {
            let (log, model) = (world.log(), world.model());
            [
                inverse_propensity(&log, 0.9), self_normalised(&log, 0.9), direct(&log, &model, 0.9),
                clipped_inverse_propensity(&log, 1.5, 0.9), doubly_robust(&log, &model, 0.9),
                switch_doubly_robust(&log, &model, 2.0, 0.9), shrunk_doubly_robust(&log, &model, 3.0, 0.9),
            ].map(Result::unwrap)
        };
        for (before, after) in all(&world).into_iter().zip(all(&scaled)) {
            prop_assert_eq!(before.interval.scale(k), after.interval);
            prop_assert_eq!(before.standard_error * k.abs(), after.standard_error);
        }
        let candidates = [0.5, 1.0, 3.0, 10.0, f64::INFINITY];
        for rule in [WeightRule::Switch, WeightRule::OptimisticShrinkage] {
            let tuned = |world: &World| {
                let bound = BiasBound::HighProbability { delta: 0.05 };
                tune(&world.log(), &world.model(), rule, &candidates, bound).unwrap()
            };
            let (before, after) = (tuned(&world), tuned(&scaled));
            prop_assert_eq!(before.parameter, after.parameter);
            prop_assert_eq!(before.squared_error_bound * k * k, after.squared_error_bound);
        }
    }

    #[test]
    fn self_normalised_stays_within_the_rewards_and_shifts_with_them(world in logs(), shift in -50.0..50.0) {
        let before = self_normalised(&world.log(), 0.9).unwrap();
        let (low, high) = world.rewards.iter().fold((f64::MAX, f64::MIN), |(low, high), reward| {
            (low.min(*reward), high.max(*reward))
        });
        prop_assert!(before.interval.estimate >= low - 1e-9 && before.interval.estimate <= high + 1e-9);
        let mut shifted = world.clone();
        shifted.rewards.iter_mut().for_each(|reward| *reward += shift);
        let after = self_normalised(&shifted.log(), 0.9).unwrap();
        prop_assert!(near(after.interval.estimate, before.interval.estimate + shift, 100.0));
        prop_assert!(near(after.standard_error, before.standard_error, 100.0));
    }

    #[test]
    fn effective_rows_lie_between_one_and_all(world in logs()) {
        let figures = diagnostics(&world.log()).unwrap();
        prop_assert!(figures.effective_rows >= 1.0 - 1e-9);
        prop_assert!(figures.effective_rows <= figures.rows as f64 + 1e-9);
        // One row cannot have more than the root of the inverse effective number.
        prop_assert!(figures.largest_row_share <= figures.effective_rows.recip().sqrt() + 1e-9);
    }

    #[test]
    fn an_evaluation_never_fails_on_a_valid_log(world in logs()) {
        let needs = Requirements { least_effective_rows: 2.0, most_row_share: 0.99, ..Requirements::default() };
        let (log, model, table) = (world.log(), world.model(), world.table());
        match evaluate(&log, Some(&model), Some(&table), &needs, 0.9).unwrap() {
            Evaluation::Estimated(report) => {
                prop_assert!(report.unsupported_share.unwrap() < 0.01);
                prop_assert!(report.diagnostics.effective_rows >= 2.0);
            }
            Evaluation::Refused(refusal) => prop_assert!(!refusal.reasons.is_empty()),
        }
    }
}
