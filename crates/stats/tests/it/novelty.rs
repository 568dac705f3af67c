//! Trends of effects: answers of another program, and error rates when the same units come every day.

use greenlight_stats::{
    Interval,
    moments::Moments,
    novelty::{Day, DayEffect, Verdict, effect_by_day, trend_of_days, trend_of_units, unit_slope},
    two_sample::Comparison,
};

use crate::simulation::{Draws, assert_close};

fn days(effects: &[f64], errors: &[f64]) -> Vec<DayEffect> {
    let day = |((estimate, standard_error), day): ((&f64, &f64), u32)| {
        let interval = Interval { estimate: *estimate, low: *estimate, high: *estimate, level: 0.95 };
        let standard_error = *standard_error;
        let effect = Comparison { interval, standard_error, degrees_of_freedom: f64::INFINITY, p_value: 1.0 };
        DayEffect { day, effect }
    };
    effects.iter().zip(errors).zip(0..).map(day).collect()
}

/// statsmodels 0.15.0, `WLS(..).fit()`: the days scatter more than their errors allow.
#[test]
fn a_decaying_effect_of_statsmodels() {
    let effects = days(
        &[0.92, 0.61, 0.70, 0.33, 0.45, 0.12, 0.30, 0.05],
        &[0.08, 0.09, 0.10, 0.10, 0.11, 0.12, 0.13, 0.15],
    );
    let found = trend_of_days(&effects, 0.01, 0.95).unwrap();
    assert_close(found.slope.interval.estimate, -0.116_260_203_497_971_34, 1e-13);
    assert_close(found.slope.standard_error, 0.021_015_239_747_710_045, 1e-13);
    assert_close(found.slope.interval.low, -0.167_682_642_691_296_07, 1e-12);
    assert_close(found.slope.interval.high, -0.064_837_764_304_646_62, 1e-12);
    assert_close(found.slope.p_value, 0.001_470_184_900_824_918_8, 1e-13);
    assert_close(found.dispersion, 1.557_483_621_537_111, 1e-12);
    assert_close(found.last.estimate, 0.024_193_126_407_633_825, 1e-13);
    assert_close(found.last.low, -0.225_081_100_513_403_55, 1e-12);
    assert_close(found.last.high, 0.273_467_353_328_671_2, 1e-12);
    assert_eq!(found.verdict, Verdict::Novelty);
}

/// statsmodels 0.15.0, `WLS(..).fit(cov_type="fixed scale")`: the days scatter less. The ends are those of
/// Student's t with 5 degrees of freedom (SciPy 1.17.1).
#[test]
fn a_lasting_effect_of_statsmodels() {
    let effects =
        days(&[0.10, 0.14, 0.13, 0.12, 0.18, 0.15, 0.16], &[0.05, 0.05, 0.06, 0.06, 0.07, 0.07, 0.08]);
    let found = trend_of_days(&effects, 0.04, 0.95).unwrap();
    assert_close(found.slope.interval.estimate, 0.009_155_395_180_261_58, 1e-14);
    assert_close(found.slope.standard_error, 0.011_819_274_260_944_824, 1e-14);
    assert_close(found.slope.interval.low, -0.021_227_016_545_327_01, 1e-12);
    assert_close(found.slope.interval.high, 0.039_537_806_905_850_17, 1e-12);
    assert_close(found.slope.p_value, 0.473_586_662_340_221_56, 1e-12);
    assert_close(found.dispersion, 0.105_045_525_364_870_66, 1e-13);
    let error = found.last.half_width() / 2.570_581_835_636_314;
    assert_close(error, 0.048_526_675_469_524_24, 1e-12);
    assert_eq!(found.verdict, Verdict::Stable);
    assert_eq!(trend_of_days(&effects, 0.03, 0.95).unwrap().verdict, Verdict::Unclear);
}

const LAST: u32 = 14;

/// Units in two groups over two weeks. A unit's noise is a random walk, so its days depend on each other; the
/// effect is 1 at first and changes by `slope` a day.
fn units(draws: &mut Draws, slope: f64) -> (Vec<Day>, [Moments; 2]) {
    let empty = Day { day: 0, control: Moments::default(), treatment: Moments::default() };
    let mut days: Vec<Day> = (0..LAST).map(|day| Day { day, ..empty }).collect();
    let mut slopes = [Moments::default(); 2];
    for unit in 0..80 {
        let treated = unit % 2 == 1;
        let mut noise = 0.0;
        let mut values = Vec::new();
        for day in &mut days {
            noise += draws.normal();
            let effect = if treated { 1.0 + slope * f64::from(day.day) } else { 0.0 };
            let group = if treated { &mut day.treatment } else { &mut day.control };
            group.push(noise + effect);
            values.push(noise + effect);
        }
        slopes[usize::from(treated)].push(unit_slope(&values).unwrap_or(f64::NAN));
    }
    (days, slopes)
}

/// The slope per unit keeps its error rate of 0.05 when a unit's days depend on each other; the slope over the
/// days does not, as its documentation says.
#[test]
fn dependence_between_days() {
    const RUNS: u32 = 600;
    let mut draws = Draws::seeded(31);
    let (mut by_units, mut by_days) = (0, 0);
    for _ in 0..RUNS {
        let (days, [control, treatment]) = units(&mut draws, 0.0);
        let found = trend_of_units(&control, &treatment, 0.0, 0.95).unwrap();
        by_units += u32::from(found.verdict != Verdict::Unclear);
        let daily = trend_of_days(&effect_by_day(&days, 0.95).unwrap(), 0.0, 0.95).unwrap();
        by_days += u32::from(daily.verdict != Verdict::Unclear);
    }
    let share = |count: u32| f64::from(count) / f64::from(RUNS);
    assert_close(share(by_units), 0.05, 0.025);
    assert!(share(by_days) > 0.1, "{}", share(by_days));
}

/// Both find an effect that wears off and one that grows, and with equal errors they agree on the slope.
#[test]
fn a_trend_is_found() {
    let mut draws = Draws::seeded(32);
    for (slope, verdict) in [(-0.5, Verdict::Novelty), (0.5, Verdict::Primacy)] {
        let (days, [control, treatment]) = units(&mut draws, slope);
        let found = trend_of_units(&control, &treatment, 0.05, 0.95).unwrap();
        assert_eq!(found.verdict, verdict);
        let mut daily = effect_by_day(&days, 0.95).unwrap();
        for day in &mut daily {
            day.effect.standard_error = 1.0;
        }
        let by_days = trend_of_days(&daily, 0.05, 0.95).unwrap();
        assert_close(by_days.slope.interval.estimate, found.slope.interval.estimate, 1e-12);
    }
}
