//! The inverse-propensity scores under a rollout whose share grows while the baseline grows too.

use greenlight_stats::{confidence_sequence::AsymptoticSequence, incremental, moments::Moments};

use crate::simulation::Draws;

const UNITS: u32 = 4_000;
const RUNS: u32 = 1_000;

/// The rollout goes from 10 % to 90 % of units while an untreated unit's money goes from 5 to 15: a season,
/// say. The treatment adds 1 early and 2 late.
struct Unit {
    propensity: f64,
    baseline: f64,
    effect: f64,
}

fn unit(index: u32) -> Unit {
    let time = f64::from(index) / f64::from(UNITS - 1);
    Unit { propensity: 0.1 + 0.8 * time, baseline: 5.0 + 10.0 * time, effect: 1.0 + time }
}

fn money_to_earn() -> f64 {
    (0..UNITS).map(unit).map(|unit| unit.propensity * unit.effect).sum()
}

struct Run {
    scores: Moments,
    effects: Moments,
    treated: Moments,
    held_out: Moments,
}

fn simulate(draws: &mut Draws, mut look: impl FnMut(u32, &Moments)) -> Run {
    let empty = Moments::default();
    let mut run = Run { scores: empty, effects: empty, treated: empty, held_out: empty };
    for index in 0..UNITS {
        let unit = unit(index);
        let treated = draws.chance(unit.propensity);
        let noise = draws.normal();
        let value = unit.baseline + noise + if treated { unit.effect } else { 0.0 };
        run.scores.push(incremental::earned(treated, unit.propensity, value).unwrap_or(f64::NAN));
        run.effects.push(incremental::effect(treated, unit.propensity, value).unwrap_or(f64::NAN));
        if treated {
            run.treated.push(value);
        } else {
            run.held_out.push(value);
        }
        look(index + 1, &run.scores);
    }
    run
}

fn standard_error(runs: &Moments) -> f64 {
    (runs.variance().unwrap_or(f64::NAN) / runs.n as f64).sqrt()
}

#[test]
fn the_scores_are_unbiased_where_the_pooled_difference_is_not() {
    let mut draws = Draws::seeded(20_260_401);
    let (mut earned, mut effect, mut pooled) = (Moments::default(), Moments::default(), Moments::default());
    for _ in 0..RUNS {
        let run = simulate(&mut draws, |_, _| ());
        earned.push(run.scores.sum);
        effect.push(run.effects.mean().unwrap());
        pooled.push(run.treated.n as f64 * (run.treated.mean().unwrap() - run.held_out.mean().unwrap()));
    }
    let truth = money_to_earn();
    let distance = |runs: &Moments, truth: f64| (runs.mean().unwrap() - truth).abs();
    assert!(distance(&earned, truth) < 4.0 * standard_error(&earned), "{earned:?} {truth}");
    let average_effect = (0..UNITS).map(unit).map(|unit| unit.effect).sum::<f64>() / f64::from(UNITS);
    assert!(distance(&effect, average_effect) < 4.0 * standard_error(&effect), "{effect:?}");
    // The pooled difference credits the treatment with the season: several times the true figure.
    assert!(pooled.mean().unwrap() > 2.0 * truth, "{pooled:?} {truth}");
    assert!(distance(&pooled, truth) > 100.0 * standard_error(&pooled));
}

/// The target moves with every unit, and the interval must hold it at every one of 20 looks.
#[test]
fn the_confidence_sequence_holds_the_drifting_target() {
    let sequence = AsymptoticSequence::tuned_for(f64::from(UNITS) / 2.0, 0.05).unwrap();
    let mut draws = Draws::seeded(99);
    let mut missed = 0;
    for _ in 0..RUNS {
        let mut target = 0.0;
        let mut holds = true;
        simulate(&mut draws, |n, scores| {
            let unit = unit(n - 1);
            target += unit.propensity * unit.effect;
            if n % (UNITS / 20) == 0 {
                holds &= sequence.sum(scores).is_some_and(|interval| !interval.excludes(target));
            }
        });
        missed += u32::from(!holds);
    }
    assert!(f64::from(missed) / f64::from(RUNS) <= 0.05, "{missed} of {RUNS} runs missed");
}
