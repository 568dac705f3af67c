//! Post-stratification: an answer of another program, and coverage.

use greenlight_stats::{
    moments::Moments,
    post_stratification::{self, Shares, Stratum},
    two_sample,
};

use crate::simulation::{Draws, assert_close};

/// tea-tasting 1.14.0, `make_users_data(rng=42, covariates=True)`: revenue by `min(orders_covariate, 2)`, 0, 1 and
/// 2, of variants 0 and 1. The sums are of that table's rows.
const STRATA: [Stratum; 3] = [
    Stratum {
        control: Moments { n: 1_412, sum: 3_108.23, sum_squares: 55_780.053_3 },
        treatment: Moments { n: 1_395, sum: 4_095.1, sum_squares: 74_150.585_4 },
    },
    Stratum {
        control: Moments { n: 330, sum: 2_790.33, sum_squares: 55_021.125_3 },
        treatment: Moments { n: 325, sum: 3_142.91, sum_squares: 93_464.186_1 },
    },
    Stratum {
        control: Moments { n: 281, sum: 4_704.04, sum_squares: 132_935.248_2 },
        treatment: Moments { n: 257, sum: 4_090.42, sum_squares: 110_415.117_4 },
    },
];

/// statsmodels 0.15.0, `OLS` of that revenue on the treatment, dummies of the strata centred on `w`, and their
/// products, `cov_type="HC2"`: coefficient and standard error of the treatment. In a model with a mean for each
/// cell, HC2 is the plain variance of each.
#[test]
fn the_saturated_regression_of_statsmodels() {
    let own = [0.701_75, 0.163_75, 0.134_5];
    let answer = post_stratification::absolute(&STRATA, Shares::Known(&own), 0.95).unwrap();
    assert_close(answer.interval.estimate, 0.603_342_488_460_120_7, 1e-12);
    assert_close(answer.standard_error, 0.276_712_845_041_851_2, 1e-12);
    let other = Shares::Known(&[5.0, 3.0, 2.0]);
    let answer = post_stratification::absolute(&STRATA, other, 0.95).unwrap();
    assert_close(answer.interval.estimate, 0.566_748_868_028_375_8, 1e-12);
    assert_close(answer.standard_error, 0.386_243_048_821_262_9, 1e-12);
}

/// Strata far apart, and an effect that differs between them: intervals at 0.9 hold the population's effect in 90 %
/// of experiments, are shorter than Welch's, and would be too short if the sampled shares were taken as known.
#[test]
fn coverage_where_the_effect_differs_between_strata() {
    const RUNS: u32 = 1_500;
    let mut draws = Draws::seeded(31);
    let (mut held, mut held_as_known, mut narrower, mut lift_held) = (0, 0, 0, 0);
    for _ in 0..RUNS {
        let empty = Stratum { control: Moments::default(), treatment: Moments::default() };
        let mut strata = [empty; 2];
        for _ in 0..300 {
            let large = draws.chance(0.4);
            let stratum = &mut strata[usize::from(large)];
            let (base, effect) = if large { (10.0, 8.0) } else { (2.0, 0.0) };
            if draws.chance(0.5) {
                stratum.treatment.push(base + effect + draws.normal());
            } else {
                stratum.control.push(base + draws.normal());
            }
        }
        let interval = |shares| post_stratification::absolute(&strata, shares, 0.9).unwrap().interval;
        let estimated = interval(Shares::OfUnits);
        let units = strata.map(|stratum| (stratum.control.n + stratum.treatment.n) as f64);
        held += u32::from(!estimated.excludes(3.2));
        held_as_known += u32::from(!interval(Shares::Known(&units)).excludes(3.2));
        let [one, other] = strata;
        let control = one.control.merge(other.control);
        let treatment = one.treatment.merge(other.treatment);
        let welch = two_sample::welch_absolute(&control, &treatment, 0.9).unwrap().interval;
        narrower += u32::from(estimated.half_width() < welch.half_width());
        let lift = post_stratification::relative_log(&strata, Shares::OfUnits, 0.9).unwrap().interval;
        lift_held += u32::from(!lift.excludes(3.2 / 5.2));
    }
    let share = |count: u32| f64::from(count) / f64::from(RUNS);
    assert_close(share(held), 0.9, 0.025);
    assert_close(share(lift_held), 0.9, 0.025);
    assert!(share(held_as_known) < 0.6, "{}", share(held_as_known));
    assert_eq!(narrower, RUNS);
}
