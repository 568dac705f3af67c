//! Whether the log of a bandit that learns can be evaluated for another policy.

use greenlight_stats::{
    bandit::{BetaBandit, Outcomes, draw},
    off_policy::{
        Estimate, Log, RewardModel, diagnostics, doubly_robust, inverse_propensity, self_normalised,
    },
};

use super::{NOISE, linear, mean_reward, rules};
use crate::simulation::{Draws, assert_close};

/// How often the intervals of IPS, SNIPS and DR hold the truth, and the mean of their errors in standard errors.
#[derive(Default)]
struct Coverage {
    logs: u32,
    held: [u32; 3],
    errors: [f64; 3],
}

impl Coverage {
    fn add(&mut self, log: &Log<'_>, model: &RewardModel<'_>, truth: f64) {
        let estimates =
            [inverse_propensity(log, 0.9), self_normalised(log, 0.9), doubly_robust(log, model, 0.9)];
        self.logs += 1;
        for ((held, error), estimate) in self.held.iter_mut().zip(&mut self.errors).zip(estimates) {
            let Ok(Estimate { interval, standard_error, .. }) = estimate else { panic!("{estimate:?}") };
            *held += u32::from(!interval.excludes(truth));
            *error += (interval.estimate - truth) / standard_error;
        }
    }

    /// Within 3 standard deviations of what 0.9 promises, on either side, and centred: IPS and DR within 3
    /// standard deviations of the mean of so many standard normal errors, SNIPS with a bias of order `1 / n` more.
    #[track_caller]
    fn assert_kept(&self, of: &str) {
        let logs = f64::from(self.logs);
        for (index, (held, error)) in self.held.iter().zip(self.errors).enumerate() {
            assert_close(f64::from(*held) / logs, 0.9, 3.0 * (0.09 / logs).sqrt());
            let off = (error / logs).abs() * logs.sqrt();
            assert!(off < 3.5, "{of}: estimator {index} is off by {off} standard deviations");
        }
    }
}

/// The target of the evaluations: by side.
fn target(side: f64) -> [f64; 3] {
    if side > 0.0 { [0.2, 0.5, 0.3] } else { [0.6, 0.1, 0.3] }
}

/// 150 logs of 250 decisions by each contextual bandit while it learns, evaluated for another policy. The reward
/// model of the doubly robust estimator is the bandit's own, asked before it learned the row.
#[test]
fn the_log_of_a_contextual_bandit_evaluates_another_policy() {
    let value = |side: f64| -> f64 {
        target(side).iter().enumerate().map(|(action, e)| e * mean_reward(action, side)).sum()
    };
    let truth = f64::midpoint(value(-1.0), value(1.0));
    for rule in rules(0.3) {
        let (mut coverage, mut draws, mut weight) = (Coverage::default(), Draws::seeded(71), 0.0);
        for _ in 0..150 {
            let mut bandit = linear(3, 2, rule);
            let mut columns: [Vec<f64>; 5] = Default::default();
            for _ in 0..250 {
                let side = if draws.chance(0.5) { 1.0 } else { -1.0 };
                let probabilities = bandit.probabilities(&[1.0, side]).unwrap();
                let expected = bandit.expected_rewards(&[1.0, side]).unwrap();
                let choice = draw(&probabilities, draws.uniform()).unwrap();
                let reward = mean_reward(choice.action, side) + NOISE * draws.normal();
                let under_target: f64 = target(side).iter().zip(&expected).map(|(e, q)| e * q).sum();
                let row = [
                    reward,
                    choice.propensity,
                    target(side)[choice.action],
                    expected[choice.action],
                    under_target,
                ];
                for (column, value) in columns.iter_mut().zip(row) {
                    column.push(value);
                }
                bandit.update(choice.action, &[1.0, side], reward).unwrap();
            }
            let [rewards, logged, targeted, q_logged, q_target] = &columns;
            let log = Log { rewards, logged_propensities: logged, target_propensities: targeted };
            coverage.add(&log, &RewardModel { logged_action: q_logged, target_policy: q_target }, truth);
            weight += diagnostics(&log).unwrap().mean_weight / 150.0;
        }
        coverage.assert_kept(&format!("{rule:?}"));
        assert_close(weight, 1.0, 0.02);
    }
}

/// The same for Thompson sampling on success rates; the reward model is the posterior mean before each row.
#[test]
fn the_log_of_a_bandit_on_rates_evaluates_another_policy() {
    let (rates, target) = ([0.2, 0.35], [0.7, 0.3]);
    let truth = 0.7 * 0.2 + 0.3 * 0.35;
    let (mut coverage, mut draws) = (Coverage::default(), Draws::seeded(72));
    for _ in 0..150 {
        let mut bandit = BetaBandit::new(vec![Outcomes::default(); 2], [1.0, 1.0], 0.2).unwrap();
        let mut columns: [Vec<f64>; 5] = Default::default();
        for _ in 0..250 {
            let expected = bandit.expected_rates();
            let choice = draw(&bandit.probabilities(), draws.uniform()).unwrap();
            let success = draws.chance(rates[choice.action]);
            let under_target = target[0] * expected[0] + target[1] * expected[1];
            let reward = f64::from(u8::from(success));
            let row =
                [reward, choice.propensity, target[choice.action], expected[choice.action], under_target];
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
            bandit.update(choice.action, success).unwrap();
        }
        let [rewards, logged, targeted, q_logged, q_target] = &columns;
        let log = Log { rewards, logged_propensities: logged, target_propensities: targeted };
        coverage.add(&log, &RewardModel { logged_action: q_logged, target_policy: q_target }, truth);
    }
    coverage.assert_kept("rates");
}
