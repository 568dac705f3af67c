//! Ratio metrics: an answer of another program, and error rates where rows of one user depend on each other.

use greenlight_stats::{
    moments::{BivariateMoments, Moments},
    ratio,
    two_sample::{self, Comparison, Proportion},
};
use proptest::{collection::vec, num::f64::ANY, prelude::*};

use crate::{
    properties::{config, near},
    simulation::{Draws, assert_close},
};

/// tea-tasting 1.14.0, `make_users_data(rng=42)`: sessions (`x`) and orders (`y`) of each user of variants 0
/// and 1. The sums are of that table's rows and whole numbers.
const CONTROL: BivariateMoments = BivariateMoments {
    n: 2_023,
    sum_x: 4_038.0,
    sum_y: 1_073.0,
    sum_squares_x: 10_098.0,
    sum_squares_y: 2_073.0,
    sum_products: 2_648.0,
};
const TREATMENT: BivariateMoments = BivariateMoments {
    n: 1_977,
    sum_x: 3_920.0,
    sum_y: 1_133.0,
    sum_squares_x: 9_698.0,
    sum_squares_y: 2_121.0,
    sum_products: 2_730.0,
};

/// tea-tasting 1.14.0, `RatioOfMeans("orders", "sessions")`.
#[test]
fn orders_per_session_of_tea_tasting() {
    let answer = ratio::absolute(&CONTROL, &TREATMENT, 0.95).unwrap();
    assert_close(answer.interval.estimate, 0.023_305_005_508_890_03, 1e-15);
    assert_close(answer.interval.low, -0.002_459_433_667_909_495_5, 1e-14);
    assert_close(answer.interval.high, 0.049_069_444_685_689_56, 1e-14);
    assert_close(answer.p_value, 0.076_237_599_781_683_6, 1e-13);
    let statistic = answer.interval.estimate / answer.standard_error;
    assert_close(statistic, 1.773_406_266_834_030_5, 1e-12);
    assert_close(ratio::interval(&CONTROL, 0.95).unwrap().estimate, 0.265_725_606_736_007_9, 1e-15);
    assert_close(ratio::interval(&TREATMENT, 0.95).unwrap().estimate, 0.289_030_612_244_897_96, 1e-15);
}

/// The same call; its relative interval is formed on the logarithm.
#[test]
fn the_relative_lift_of_tea_tasting() {
    let answer = ratio::relative_log(&CONTROL, &TREATMENT, 0.95).unwrap().interval;
    assert_close(answer.estimate, 0.087_703_273_294_406_3, 1e-14);
    assert_close(answer.low, -0.008_944_184_133_335_975, 1e-13);
    assert_close(answer.high, 0.193_775_760_955_263_05, 1e-13);
}

/// No program at hand prints the symmetric interval, but Welch's on the linearised values
/// `(y - R x) / m_x / R_c` of both groups is the same interval by definition.
#[test]
fn the_symmetric_interval_is_that_of_the_linearised_values() {
    let mut draws = Draws::seeded(3);
    let users = |draws: &mut Draws, rate: f64| -> (Vec<f64>, Vec<f64>) {
        (0..300)
            .map(|_| {
                let sessions = 1.0 + (5.0 * draws.uniform()).floor();
                (sessions, sessions * rate * draws.uniform() + draws.uniform())
            })
            .unzip()
    };
    let (a, b) = (users(&mut draws, 1.0), users(&mut draws, 1.2));
    let [control, treatment] = [&a, &b].map(|(x, y)| BivariateMoments::from_pairs(x, y).unwrap());
    let answer = ratio::relative(&control, &treatment, 0.9).unwrap();
    let r = |group: &BivariateMoments| group.sum_y / group.sum_x;
    let (r_control, r_treatment) = (r(&control), r(&treatment));
    let linearised = |(x, y): &(Vec<f64>, Vec<f64>), own: f64, scale: f64| {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let scores: Vec<f64> = x.iter().zip(y).map(|(x, y)| scale * (y - own * x) / mean).collect();
        Moments::from_values(&scores)
    };
    let of_control = linearised(&a, r_control, r_treatment / (r_control * r_control));
    let of_treatment = linearised(&b, r_treatment, 1.0 / r_control);
    let welch = two_sample::welch_absolute(&of_control, &of_treatment, 0.9).unwrap();
    assert_close(answer.standard_error, welch.standard_error, 1e-14);
    assert_close(answer.interval.estimate, r_treatment / r_control - 1.0, 1e-14);
}

/// A/A runs in which each user has an inclination of their own: the test over users keeps its error rate,
/// the z-test over sessions does not.
#[test]
fn sessions_of_one_user_are_not_independent() {
    const RUNS: u32 = 1_000;
    let mut draws = Draws::seeded(21);
    let (mut by_users, mut by_sessions) = (0, 0);
    for _ in 0..RUNS {
        let [control, treatment] = [(); 2].map(|()| {
            let mut group = BivariateMoments::default();
            for _ in 0..200 {
                let inclination = draws.uniform();
                let sessions = 1 + (9.0 * draws.uniform()) as u32;
                let orders = (0..sessions).filter(|_| draws.chance(inclination)).count();
                group.push(f64::from(sessions), orders as f64);
            }
            group
        });
        by_users += u32::from(ratio::absolute(&control, &treatment, 0.95).unwrap().p_value < 0.05);
        let pooled =
            |group: &BivariateMoments| Proportion { positives: group.sum_y as u64, n: group.sum_x as u64 };
        let naive = two_sample::proportions(pooled(&control), pooled(&treatment), 0.95).unwrap();
        by_sessions += u32::from(naive.p_value < 0.05);
    }
    let share = |count: u32| f64::from(count) / f64::from(RUNS);
    assert_close(share(by_users), 0.05, 0.02);
    assert!(share(by_sessions) > 0.15, "{}", share(by_sessions));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn merging_pairs_matches_pushing_and_removing_undoes_it(
        a in vec((-1e3..1e3, -1e3..1e3), 2..20), b in vec((-1e3..1e3, -1e3..1e3), 1..20),
    ) {
        let of = |pairs: &[(f64, f64)]| {
            let mut moments = BivariateMoments::default();
            for &(x, y) in pairs {
                moments.push(x, y);
            }
            moments
        };
        let both = of(&[a.clone(), b.clone()].concat());
        let merged = of(&b).merge(of(&a));
        prop_assert_eq!(both.n, merged.n);
        prop_assert!(near(both.sum_products, merged.sum_products, 1e7));
        prop_assert!(near(both.covariance().unwrap(), merged.covariance().unwrap(), 1e7));
        let mut back = both;
        for &(x, y) in &b {
            back.remove(x, y);
        }
        prop_assert_eq!(back.n, a.len() as u64);
        prop_assert!(near(back.covariance().unwrap(), of(&a).covariance().unwrap(), 1e7));
    }

    #[test]
    fn any_sums_give_numbers_or_an_error(
        n in 0_u64..5, x in ANY, y in ANY, xx in ANY, yy in ANY, xy in ANY, level in ANY,
    ) {
        let odd = BivariateMoments {
            n, sum_x: x, sum_y: y, sum_squares_x: xx, sum_squares_y: yy, sum_products: xy,
        };
        for level in [level, 0.95] {
            for compare in [ratio::absolute, ratio::relative, ratio::relative_log] {
                let answers = [compare(&odd, &TREATMENT, level), compare(&CONTROL, &odd, level)];
                for Comparison { interval, standard_error, p_value, .. } in answers.into_iter().flatten() {
                    prop_assert!(interval.low <= interval.estimate);
                    prop_assert!(interval.estimate <= interval.high);
                    prop_assert!(standard_error > 0.0 && (0.0..=1.0).contains(&p_value));
                }
            }
        }
    }
}
