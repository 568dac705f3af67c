//! Late outcomes: published triangles and survival curves, and coverage of projected days.

use greenlight_stats::{
    delay::{Arrival, Curve, Waiting, censored, chain_ladder, project, truncated},
    moments::Moments,
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngSeed},
};

use crate::simulation::{Draws, assert_close};

/// Taylor & Ashe (Journal of Econometrics 1983), the triangle of Mack's paper, cumulative.
const TAYLOR_ASHE: [&[f64]; 10] = [
    &[
        357_848.0,
        1_124_788.0,
        1_735_330.0,
        2_218_270.0,
        2_745_596.0,
        3_319_994.0,
        3_466_336.0,
        3_606_286.0,
        3_833_515.0,
        3_901_463.0,
    ],
    &[
        352_118.0,
        1_236_139.0,
        2_170_033.0,
        3_353_322.0,
        3_799_067.0,
        4_120_063.0,
        4_647_867.0,
        4_914_039.0,
        5_339_085.0,
    ],
    &[290_507.0, 1_292_306.0, 2_218_525.0, 3_235_179.0, 3_985_995.0, 4_132_918.0, 4_628_910.0, 4_909_315.0],
    &[310_608.0, 1_418_858.0, 2_195_047.0, 3_757_447.0, 4_029_929.0, 4_381_982.0, 4_588_268.0],
    &[443_160.0, 1_136_350.0, 2_128_333.0, 2_897_821.0, 3_402_672.0, 3_873_311.0],
    &[396_132.0, 1_333_217.0, 2_180_715.0, 2_985_752.0, 3_691_712.0],
    &[440_832.0, 1_288_463.0, 2_419_861.0, 3_483_130.0],
    &[359_480.0, 1_421_128.0, 2_864_498.0],
    &[376_686.0, 1_363_294.0],
    &[344_014.0],
];

fn rows(triangle: &[&[f64]]) -> Vec<Vec<f64>> {
    triangle.iter().map(|row| row.to_vec()).collect()
}

/// Mack 1993, table 3 prints the total 18,680,856 with the error 2,447,095. The digits are those of the Python
/// package chainladder 0.10.1, `MackChainladder` with `sigma_interpolation="mack"`.
#[test]
fn the_triangle_of_taylor_and_ashe() {
    let found = chain_ladder(&rows(&TAYLOR_ASHE), 0.95).unwrap();
    assert_close(found.total.outstanding, 18_680_855.611_924_313, 1e-6);
    assert_close(found.total.standard_error, 2_447_094.860_834_665, 1e-6);
    let factors = [
        3.490_606_547_932_286,
        1.747_332_642_100_489,
        1.457_412_836_018_236,
        1.173_851_709_399_787,
        1.103_823_532_244_344,
        1.086_269_364_436_394,
        1.053_874_355_504_813,
        1.076_555_178_352_938,
        1.017_724_725_219_544,
    ];
    let factor_errors = [
        0.219_477_243_442_010_9,
        0.060_672_859_070_156_536,
        0.052_808_955_270_658_83,
        0.028_688_326_787_999_673,
        0.027_647_994_843_173_825,
        0.022_650_719_027_824_524,
        0.005_920_108_130_169_037,
        0.011_604_405_647_122_874,
        0.010_793_662_214_879_596,
    ];
    let sigmas = [
        400.350_256_001_525_45,
        194.259_761_783_021_84,
        204.854_126_190_867_82,
        123.218_921_765_191_71,
        117.180_731_743_656_96,
        90.475_254_185_935_44,
        21.133_304_287_435_816,
        33.872_790_974_890_95,
        21.133_304_287_435_816,
    ];
    for age in 0..9 {
        assert_close(found.factors[age], factors[age], 1e-14);
        assert_close(found.factor_errors[age], factor_errors[age], 1e-14);
        assert_close(found.variances[age].sqrt(), sigmas[age], 1e-11);
    }
    let totals = [
        3_901_463.0,
        5_433_718.814_548_79,
        5_378_826.290_064_239,
        5_297_905.820_825_462,
        4_858_199.639_049_739,
        5_111_171.457_661_663,
        5_660_770.620_135_548,
        6_784_799.011_952_5,
        5_642_266.263_261_643,
        4_969_824.694_424_728,
    ];
    let errors = [
        0.0,
        75_535.040_757_488_47,
        121_698.561_645_423_16,
        133_548.853_012_078_18,
        261_406.449_342_684_97,
        411_009.703_881_053_3,
        558_316.858_071_190_2,
        875_327.511_911_358_8,
        971_257.806_469_942_3,
        1_363_154.911_732_307_4,
    ];
    for ((day, total), error) in found.days.iter().zip(totals).zip(errors) {
        assert_close(day.total.estimate, total, 1e-7);
        assert_close(day.standard_error, error, 1e-7);
        assert!(day.total.low >= day.arrived - 1e-9 && day.total.high >= day.total.estimate);
    }
}

/// Remission under 6-mercaptopurine (Freireich et al., Blood 1963): weeks, and whether it ended.
const REMISSION: [(f64, bool); 21] = [
    (6.0, true),
    (6.0, true),
    (6.0, true),
    (6.0, false),
    (7.0, true),
    (9.0, false),
    (10.0, true),
    (10.0, false),
    (11.0, false),
    (13.0, true),
    (16.0, true),
    (17.0, false),
    (19.0, false),
    (20.0, false),
    (22.0, true),
    (23.0, true),
    (25.0, false),
    (32.0, false),
    (32.0, false),
    (34.0, false),
    (35.0, false),
];

#[track_caller]
fn assert_point(curve: &Curve, age: f64, error: f64, [share, low, high]: [f64; 3]) {
    let point = curve.points().iter().find(|point| point.age_days == age).copied();
    let interval = curve.interval(age, 0.95).ok();
    let (Some(point), Some(interval)) = (point, interval) else { panic!("nothing at {age}") };
    assert_close(point.share, share, 1e-14);
    assert_close(point.standard_error, error, 1e-14);
    assert_close(interval.low, low, 1e-13);
    assert_close(interval.high, high, 1e-13);
}

/// R 4.2.2, `survival::survfit(Surv(t, e) ~ 1, conf.type = "log-log")`, 1 less its estimate and ends. Lifelines
/// 0.30.3 prints the same.
#[test]
fn the_curve_of_remission() {
    let curve =
        censored(&REMISSION.map(|(age_days, arrived)| Waiting { age_days, arrived, units: 1 })).unwrap();
    assert_eq!(curve.points().len(), 7);
    let at = |age: f64, still: f64, error: f64, low: f64, high: f64| {
        assert_point(&curve, age, error, [1.0 - still, 1.0 - high, 1.0 - low]);
    };
    at(
        6.0,
        0.857_142_857_142_857_1,
        0.076_360_354_832_121_25,
        0.619_717_955_265_983_9,
        0.951_551_747_646_997,
    );
    at(
        10.0,
        0.752_941_176_470_588_1,
        0.096_349_652_994_320_5,
        0.503_199_510_799_955_7,
        0.889_361_835_169_265_4,
    );
    at(22.0, 0.537_815_126_050_42, 0.128_233_751_693_033_97, 0.267_778_936_767_135, 0.746_790_717_635_394_4);
    at(
        23.0,
        0.448_179_271_708_683_4,
        0.134_591_456_755_760_42,
        0.188_052_005_959_232_4,
        0.680_142_628_495_241_1,
    );
}

/// 43 reports with remainders as delays and ages. R 4.2.2, `survfit(Surv(30 - age - 0.5, 30 - delay, ..) ~ 1,
/// conf.type = "log-log")`: truncation is late entry when time runs backwards. Its estimate at `30 - delay` is
/// the share with a shorter delay. Lifelines 0.30.3 prints the same.
#[test]
fn the_curve_of_truncated_delays() {
    let reports = (0_u32..60).map(|i| (i * 7_919 % 101 % 13, i * 104_729 % 97 % 21));
    let seen: Vec<Arrival> = reports
        .filter(|(delay, age)| delay <= age)
        .map(|(delay, age)| Arrival { delay_days: delay.into(), age_days: age.into(), units: 1 })
        .collect();
    assert_eq!(seen.len(), 43);
    let curve = truncated(&seen).unwrap();
    let at = |delay: f64, error: f64, interval| assert_point(&curve, delay - 1.0, error, interval);
    at(
        12.0,
        0.058_753_384_755_841_41,
        [0.913_043_478_260_869_5, 0.694_947_537_532_058_7, 0.977_515_669_900_713_5],
    );
    at(
        9.0,
        0.084_300_567_455_492_78,
        [0.717_948_717_948_718, 0.514_979_073_008_193_5, 0.847_512_070_243_861_8],
    );
    at(
        4.0,
        0.075_839_346_239_438_98,
        [0.323_979_377_873_015_1, 0.183_905_419_342_026_4, 0.472_283_227_630_002_5],
    );
    at(
        1.0,
        0.035_350_596_773_545_06,
        [0.070_366_561_709_976_14, 0.021_361_227_574_754_27, 0.160_188_190_651_510_5],
    );
    assert_close(curve.share(12.0).unwrap(), 1.0, 0.0);
    assert_close(curve.share(11.5).unwrap(), 0.913_043_478_260_869_5, 1e-14);
}

/// Days of 200 units of which 60 % have an outcome, after an exponential delay with a mean of 4 days. The curve
/// comes from 30 earlier days; today's youngest day is 3 days old.
#[test]
fn a_young_day_is_projected_within_its_interval() {
    const RUNS: u32 = 400;
    let mut draws = Draws::seeded(41);
    let (mut total_in, mut share_in) = (0, 0);
    for _ in 0..RUNS {
        let mut units = Vec::new();
        for day in 0..30 {
            for _ in 0..40 {
                let age = f64::from(30 - day);
                let delay = if draws.chance(0.6) { -4.0 * draws.uniform().ln() } else { f64::INFINITY };
                units.push(Waiting { age_days: delay.min(age), arrived: delay <= age, units: 1 });
            }
        }
        let maturity = censored(&units).unwrap().maturity(3.0, 25.0, 0.9).unwrap();
        let truth = (1.0 - (-3.0_f64 / 4.0).exp()) / (1.0 - (-25.0_f64 / 4.0).exp());
        share_in += u32::from(!maturity.interval.excludes(truth));
        let (mut early, mut whole) = (Moments::default(), 0.0);
        for _ in 0..400 {
            let (value, delay) = (20.0 * draws.normal().exp(), -4.0 * draws.uniform().ln());
            if draws.chance(0.6) && delay <= 25.0 {
                whole += value;
                if delay <= 3.0 {
                    early.push(value);
                }
            }
        }
        total_in += u32::from(!project(&early, &maturity, 0.9).unwrap().total.excludes(whole));
    }
    let share = |count: u32| f64::from(count) / f64::from(RUNS);
    assert_close(share(share_in), 0.9, 0.05);
    assert_close(share(total_in), 0.9, 0.06);
}

/// Counts that follow Mack's model: each age adds a Poisson number in proportion to what has arrived.
#[test]
fn the_interval_of_the_chain_ladder_covers() {
    const RUNS: u32 = 400;
    let growth = [0.6, 0.3, 0.1];
    let mut draws = Draws::seeded(42);
    let mut covered = 0;
    for _ in 0..RUNS {
        let full: Vec<Vec<f64>> = (0..20)
            .map(|_| {
                let mut row = vec![(400.0 + 20.0 * draws.normal()).round()];
                for share in growth {
                    let last = row.last().copied().unwrap_or(1.0);
                    let mean = last * share;
                    row.push(last + (mean + mean.sqrt() * draws.normal()).round());
                }
                row
            })
            .collect();
        let seen: Vec<Vec<f64>> =
            full.iter().enumerate().map(|(day, row)| row[..(20 - day).min(4)].to_vec()).collect();
        let truth: f64 = full.iter().filter_map(|row| row.last()).sum();
        covered += u32::from(!chain_ladder(&seen, 0.9).unwrap().total.total.excludes(truth));
    }
    assert_close(f64::from(covered) / f64::from(RUNS), 0.9, 0.05);
}

proptest! {
    #![proptest_config(Config {
        cases: 200,
        rng_seed: RngSeed::Fixed(20_260_502),
        failure_persistence: None,
        ..Config::default()
    })]

    #[test]
    fn curves_rise_within_their_intervals(units in vec((0_u32..9, 0_u32..9, 1_u64..5), 1..40)) {
        let waiting: Vec<Waiting> = units
            .iter()
            .map(|&(delay, age, units)| Waiting {
                age_days: f64::from(delay.min(age)),
                arrived: delay <= age,
                units,
            })
            .collect();
        let arrivals: Vec<Arrival> = units
            .iter()
            .filter(|(delay, age, _)| delay <= age)
            .map(|&(delay, age, units)| Arrival { delay_days: delay.into(), age_days: age.into(), units })
            .collect();
        for curve in [censored(&waiting), truncated(&arrivals)].into_iter().flatten() {
            let mut last = 0.0;
            for age in 0..=curve.longest_days() as u32 {
                let found = curve.interval(f64::from(age), 0.9).unwrap();
                prop_assert!(found.estimate >= last);
                prop_assert!(found.low >= 0.0 && found.high <= 1.0);
                prop_assert!(found.low <= found.estimate + 1e-12 && found.estimate <= found.high + 1e-12);
                last = found.estimate;
                if let Ok(maturity) = curve.maturity(f64::from(age), curve.longest_days(), 0.9) {
                    prop_assert!(maturity.share > 0.0 && maturity.share <= 1.0);
                    prop_assert!(maturity.standard_error.is_finite());
                    prop_assert!(!maturity.interval.excludes(maturity.share));
                }
            }
        }
    }
}
