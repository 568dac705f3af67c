//! Regression adjustment: answers of other programs, and coverage for large effects.

use greenlight_stats::{
    StatsError, cuped,
    moments::{CrossProducts, Moments},
    two_sample,
};
use proptest::{collection::vec, prelude::*};

use crate::{
    properties::{config, near},
    simulation::{Draws, assert_close},
};

/// tea-tasting 1.14.0, `make_users_data(rng=42, covariates=True)`: revenue, then the covariates of revenue, orders
/// and sessions. The sums are of that table's rows of variants 0 and 1.
fn users() -> Result<[CrossProducts; 2], StatsError> {
    let control = CrossProducts::from_sums(
        2_023,
        &[10_602.6, 10_678.43, 1_090.0, 4_031.0],
        &[
            243_736.426_8,
            193_410.194_9,
            405_481.044_3,
            16_873.08,
            27_023.46,
            2_720.0,
            26_781.25,
            36_858.7,
            3_701.0,
            13_779.0,
        ],
    )?;
    let treatment = CrossProducts::from_sums(
        1_977,
        &[11_328.43, 9_331.96, 1_006.0, 3_941.0],
        &[
            278_029.888_9,
            172_016.718_3,
            284_676.859_2,
            14_913.96,
            21_130.28,
            2_380.0,
            26_389.36,
            29_792.5,
            3_324.0,
            13_579.0,
        ],
    )?;
    Ok([control, treatment])
}

/// Revenue and its own covariate only.
fn users_with_one_covariate() -> Result<[CrossProducts; 2], StatsError> {
    let first_two =
        |all: &CrossProducts| CrossProducts::from_sums(all.n(), &all.sums()[..2], &all.products()[..3]);
    let [control, treatment] = users()?;
    Ok([first_two(&control)?, first_two(&treatment)?])
}

/// tea-tasting 1.14.0, `Mean("revenue", "revenue_covariate")`, which pools the units before it estimates the
/// coefficient.
#[test]
fn revenue_with_its_covariate_of_tea_tasting() {
    let [control, treatment] = users_with_one_covariate().unwrap();
    let theta = cuped::coefficients(&[&control.merge(&treatment).unwrap()]).unwrap();
    let answer = cuped::absolute(&control, &treatment, &theta, 0.95).unwrap();
    assert_close(answer.interval.estimate, 0.731_014_448_269_336_4, 1e-12);
    assert_close(answer.interval.low, 0.202_287_024_690_564_48, 1e-12);
    assert_close(answer.interval.high, 1.259_741_871_848_108_4, 1e-12);
    assert_close(answer.p_value, 0.006_743_929_281_205_273, 1e-13);
    let relative = cuped::relative_log(&control, &treatment, &theta, 0.95).unwrap().interval;
    assert_close(relative.estimate, 0.142_735_735_610_856_28, 1e-12);
    // tea-tasting leaves out the sampling error of the covariate's mean, here a thousandth of the width.
    assert_close(relative.low, 0.037_728_576_891_105_98, 3e-4);
    assert_close(relative.high, 0.258_368_508_415_002_9, 3e-4);
}

/// statsmodels 0.15.0, `OLS` of the revenue on the treatment and the covariates: the coefficients of the covariates,
/// and as the effect the coefficient of the treatment.
#[test]
fn the_regression_of_statsmodels() {
    let [control, treatment] = users_with_one_covariate().unwrap();
    let theta = cuped::coefficients(&[&control, &treatment]).unwrap();
    assert_close(theta[0], 0.434_067_148_625_274_3, 1e-13);
    let effect = cuped::absolute(&control, &treatment, &theta, 0.95).unwrap().interval.estimate;
    assert_close(effect, 0.731_400_692_697_813_6, 1e-12);

    let [control, treatment] = users().unwrap();
    let theta = cuped::coefficients(&[&control, &treatment]).unwrap();
    let expected = [0.275_427_971_918_341_9, 2.860_264_596_230_544, -0.528_080_715_738_826_9];
    for (theta, expected) in theta.iter().zip(expected) {
        assert_close(*theta, expected, 1e-12);
    }
    let answer = cuped::absolute(&control, &treatment, &theta, 0.95).unwrap();
    assert_close(answer.interval.estimate, 0.728_954_169_685_577_5, 1e-12);
}

/// SciPy 1.17.1, `ttest_ind(equal_var=False)` of the same revenue less its three covariates times those
/// coefficients.
#[test]
fn the_welch_test_of_scipy_on_adjusted_values() {
    let [control, treatment] = users().unwrap();
    let theta = cuped::coefficients(&[&control, &treatment]).unwrap();
    let answer = cuped::absolute(&control, &treatment, &theta, 0.95).unwrap();
    assert_close(answer.interval.low, 0.211_540_451_790_483_09, 1e-11);
    assert_close(answer.interval.high, 1.246_367_887_580_680_7, 1e-11);
    assert_close(answer.standard_error, 0.263_910_006_281_239_4, 1e-12);
    assert_close(answer.degrees_of_freedom, 3_923.653_529_685_601_4, 1e-7);
    assert_close(answer.p_value, 0.005_769_274_212_907_741, 1e-12);
}

/// An effect that doubles every outcome, so that the slopes of the groups differ too, with a covariate that explains
/// nine tenths: intervals at 0.9 hold the effect and the lift in 90 % of experiments.
#[test]
fn coverage_of_a_large_effect() {
    const RUNS: u32 = 2_000;
    let mut draws = Draws::seeded(41);
    let (mut effect, mut lift, mut log_lift, mut narrower) = (0, 0, 0, 0);
    for _ in 0..RUNS {
        let mut groups = [CrossProducts::new(2).unwrap(), CrossProducts::new(2).unwrap()];
        for unit in 0..200_u32 {
            let treated = unit % 4 == 0;
            let before = 10.0 + 3.0 * draws.normal();
            let outcome = (before + draws.normal()) * if treated { 2.0 } else { 1.0 };
            groups[usize::from(treated)].push(&[outcome, before]).unwrap();
        }
        let [control, treatment] = &groups;
        let theta = cuped::coefficients(&[control, treatment]).unwrap();
        let absolute = cuped::absolute(control, treatment, &theta, 0.9).unwrap().interval;
        effect += u32::from(!absolute.excludes(10.0));
        let relative = cuped::relative(control, treatment, &theta, 0.9).unwrap().interval;
        lift += u32::from(!relative.excludes(1.0));
        let relative_log = cuped::relative_log(control, treatment, &theta, 0.9).unwrap().interval;
        log_lift += u32::from(!relative_log.excludes(1.0));
        let [a, b] = groups.each_ref().map(|group| group.moments(0).unwrap());
        let welch = two_sample::welch_absolute(&a, &b, 0.9).unwrap().interval;
        narrower += u32::from(absolute.half_width() < welch.half_width());
    }
    for covered in [effect, lift, log_lift] {
        assert_close(f64::from(covered) / f64::from(RUNS), 0.9, 0.02);
    }
    assert_eq!(narrower, RUNS);
}

proptest! {
    #![proptest_config(config())]

    /// Adjusting by sums is adjusting every value and then comparing means.
    #[test]
    fn adjusted_sums_are_sums_of_adjusted_values(
        a in vec([-9.0..9.0, -9.0..9.0, -9.0..9.0], 2..12), b in vec([-9.0..9.0, -9.0..9.0, -9.0..9.0], 2..12),
        theta in [-2.0..2.0, -2.0..2.0],
    ) {
        let covariates = |row: &[f64; 3]| theta[0] * row[1] + theta[1] * row[2];
        let adjusted = |rows: &[[f64; 3]]| {
            let values: Vec<f64> = rows.iter().map(|row| row[0] - covariates(row)).collect();
            Moments::from_values(&values)
        };
        let of = |rows: &[[f64; 3]]| {
            let mut all = CrossProducts::new(3).unwrap();
            for row in rows {
                all.push(row).unwrap();
            }
            all
        };
        let by_sums = cuped::absolute(&of(&a), &of(&b), &theta, 0.9).unwrap();
        let by_values = two_sample::welch_absolute(&adjusted(&a), &adjusted(&b), 0.9).unwrap();
        prop_assert!(near(by_sums.interval.estimate, by_values.interval.estimate, 10.0));
        prop_assert!(near(by_sums.standard_error, by_values.standard_error, 10.0));

        // The lift is ratio - 1 with ratio = t / c, and each unit moves it by its score over the units of its group.
        let units = (a.len() + b.len()) as f64;
        let centre = a.iter().chain(&b).map(covariates).sum::<f64>() / units;
        let [c, t] = [&a, &b].map(|rows| adjusted(rows).mean().unwrap() + centre);
        prop_assume!(c.abs() > 0.1);
        let ratio = t / c;
        let scores = |rows: &[[f64; 3]], weight: f64| {
            let share = rows.len() as f64 / units;
            let score =
                |row: &[f64; 3]| weight * (row[0] - covariates(row)) + (1.0 - ratio) * share * covariates(row);
            Moments::from_values(&rows.iter().map(|row| score(row) / c).collect::<Vec<f64>>())
        };
        let by_scores = two_sample::welch_absolute(&scores(&a, -ratio), &scores(&b, 1.0), 0.9).unwrap();
        let relative = cuped::relative(&of(&a), &of(&b), &theta, 0.9).unwrap();
        prop_assert!(near(relative.interval.estimate, ratio - 1.0, 100.0));
        prop_assert!(near(relative.standard_error, by_scores.standard_error, by_scores.standard_error));
    }

    /// The coefficients are those of least squares: no other pair leaves less within the groups.
    #[test]
    fn no_other_coefficients_leave_less(
        rows in vec([-9.0..9.0, -9.0..9.0, -9.0..9.0], 6..20), step in [-0.5..0.5, -0.5..0.5],
    ) {
        let mut all = CrossProducts::new(3).unwrap();
        for row in &rows {
            all.push(row).unwrap();
        }
        let theta = cuped::coefficients(&[&all]).unwrap();
        let rest = |theta: &[f64]| {
            let values: Vec<f64> = rows.iter().map(|[y, x, z]| y - theta[0] * x - theta[1] * z).collect();
            Moments::from_values(&values).variance().unwrap()
        };
        let least = rest(&theta);
        prop_assert!(least <= rest(&[theta[0] + step[0], theta[1] + step[1]]) + 1e-9);
        let outcome = all.moments(0).unwrap().variance().unwrap();
        let explained = cuped::explained(&[&all]).unwrap();
        prop_assert!(near(least, outcome * (1.0 - explained), outcome));
    }
}
