//! Switchback tests: errors of other programs on the same bins, and coverage under noise that lasts.

use greenlight_stats::switchback::{
    Bin, Correction, Effect, after_burn_in, autocorrelated, clustered,
    schedule::{self, Design, Schedule},
};

use crate::simulation::{Draws, assert_close};

/// Two regions, 24 bins each, in clusters of 4 and strata by `time % 3`. The values are remainders, so that
/// other programs can make the same ones.
fn bins() -> Vec<Bin> {
    let bin = |i: u32| {
        let (region, time, cluster) = (i / 24, i % 24, i / 4);
        let treated = [true, false, false, true, true, false][cluster as usize % 6] != (region == 1);
        let value = f64::from(i * i * 7_919 % 1_009) / 10.0 + if treated { 20.0 } else { 0.0 };
        Bin { region, time, treated, value, cluster, stratum: time % 3 }
    };
    (0..48).map(bin).collect()
}

fn with(change: impl Fn(Bin) -> Bin) -> Vec<Bin> {
    bins().into_iter().map(change).collect()
}

#[track_caller]
fn assert_effect(found: Effect, estimate: f64, standard_error: f64) {
    assert_close(found.comparison.interval.estimate, estimate, 1e-12 * estimate);
    assert_close(found.comparison.standard_error / standard_error, 1.0, 1e-11);
}

#[track_caller]
fn assert_interval(found: Effect, low: f64, high: f64, p: f64) {
    assert_close(found.comparison.interval.low, low, 1e-10);
    assert_close(found.comparison.interval.high, high, 1e-10);
    assert_close(found.comparison.p_value, p, 1e-11);
}

/// statsmodels 0.15.0, `ols("y ~ d")` and `ols("y ~ d + C(stratum)")` with `cov_type="cluster"`, `use_t=True`,
/// without and with `use_correction`.
#[test]
fn cluster_errors_of_statsmodels() {
    let plain = with(|bin| Bin { stratum: 0, ..bin });
    let found = clustered(&plain, Correction::Cr0, 0.95).unwrap();
    assert_effect(found, 18.083_333_333_333_33, 5.443_587_482_159_709);
    assert_interval(found, 6.102_078_067_439_2, 30.064_588_599_227_456, 0.006_807_698_118_152_632);
    let found = clustered(&plain, Correction::Cr1, 0.95).unwrap();
    assert_effect(found, 18.083_333_333_333_33, 5.747_109_876_387_363);
    assert_interval(found, 5.434_029_781_988_65, 30.732_636_884_678_01, 0.009_299_868_533_448_592);
    let found = clustered(&bins(), Correction::Cr0, 0.95).unwrap();
    assert_effect(found, 18.083_333_333_333_33, 6.062_450_526_597_484);
    assert_interval(found, 4.739_969_690_502_532, 31.426_696_976_164_138, 0.012_456_060_430_024_715);
    let found = clustered(&bins(), Correction::Cr1, 0.95).unwrap();
    assert_effect(found, 18.083_333_333_333_33, 6.544_328_312_596_517);
    assert_interval(found, 3.679_363_834_540_847_5, 32.487_302_832_125_82, 0.018_449_763_518_513_598);
}

/// R 4.2.2, clubSandwich 0.5.8: `conf_int(lm(..), vcov = "CR2", cluster = ..)` with Satterthwaite's degrees of
/// freedom; strata as factors. Clusters of 4; of 5 and 4 with a stratum for each region; and of 12 with the
/// strata equal to the clusters.
#[test]
fn bias_reduced_errors_of_club_sandwich() {
    type Case = (Vec<Bin>, f64, f64, [f64; 2], f64);
    let cases: [Case; 4] = [
        (
            with(|bin| Bin { stratum: 0, ..bin }),
            5.963_151_315_463_254_5,
            10.0,
            [4.796_604_207_076_598, 31.370_062_459_590_066],
            0.012_622_871_491_259_433,
        ),
        (
            bins(),
            6.676_112_909_342_368,
            9.993_373_828_956_516,
            [3.206_689_733_885_369_3, 32.959_976_932_781_295],
            0.021_996_194_787_674_152,
        ),
        (
            with(|bin| Bin { cluster: bin.time / 5 + 10 * bin.region, stratum: bin.region, ..bin }),
            7.016_233_547_484_615,
            8.064_331_134_665_485,
            [1.926_308_185_539_706_8, 34.240_358_481_126_96],
            0.032_538_279_144_868_87,
        ),
        (
            with(|bin| Bin { cluster: bin.time / 6, stratum: bin.time / 6, ..bin }),
            2.295_002_622_446_659,
            3.0,
            [10.779_610_716_911_542, 25.387_055_949_755_123],
            0.004_259_501_717_254_563,
        ),
    ];
    for (bins, standard_error, freedom, [low, high], p) in cases {
        let found = clustered(&bins, Correction::Cr2, 0.95).unwrap();
        assert_effect(found, 18.083_333_333_333_332, standard_error);
        assert_close(found.comparison.degrees_of_freedom, freedom, 1e-9);
        assert_interval(found, low, high, p);
    }
}

/// statsmodels 0.15.0, region 0 alone, `cov_type="HAC"`, `use_correction=True`, `use_t=True`.
#[test]
fn newey_west_of_statsmodels() {
    let plain: Vec<Bin> =
        bins().into_iter().filter(|bin| bin.region == 0).map(|bin| Bin { stratum: 0, ..bin }).collect();
    for (lags, standard_error, [low, high], p) in [
        (
            0,
            11.186_922_774_454_835,
            [-13.275_257_854_664_067, 33.125_257_854_664_05],
            0.384_569_621_641_054_3,
        ),
        (
            1,
            9.707_007_051_644_368,
            [-10.206_100_494_359_722, 30.056_100_494_359_704],
            0.317_676_862_496_436_7,
        ),
        (3, 9.365_967_815_152_803, [-9.498_828_406_701_316, 29.348_828_406_701_3], 0.300_783_046_836_802_96),
    ] {
        let found = autocorrelated(&plain, lags, 0.95).unwrap();
        assert_effect(found, 9.924_999_999_999_992, standard_error);
        assert_interval(found, low, high, p);
    }
    let strata: Vec<Bin> = bins().into_iter().filter(|bin| bin.region == 0).collect();
    let found = autocorrelated(&strata, 3, 0.95).unwrap();
    assert_effect(found, 7.728_260_869_565_202, 9.693_690_897_071_203);
    assert_interval(found, -12.492_424_010_819_171, 27.948_945_749_949_573, 0.434_671_337_888_918_9);
}

/// statsmodels 0.15.0, both regions, `cov_type="hac-groupsum"` by time with `use_correction="hac"`.
#[test]
fn scores_added_over_regions_of_statsmodels() {
    let plain = with(|bin| Bin { stratum: 0, ..bin });
    for (bins, errors) in [
        (plain, [8.350_294_333_670_943, 7.588_419_188_274_494, 5.775_085_786_495_711]),
        (bins(), [8.537_964_829_767_297, 7.758_966_756_628_828, 5.904_879_201_103_912]),
    ] {
        for (lags, standard_error) in [0, 1, 3].into_iter().zip(errors) {
            assert_effect(autocorrelated(&bins, lags, 0.95).unwrap(), 18.083_333_333_333_33, standard_error);
        }
    }
}

const DESIGN: Design = Design { regions: 2, periods: 28, cycle: 1, block: 2, treated_per_block: 1 };
const BINS_PER_PERIOD: u32 = 6;

/// Fourteen days of two periods each in two regions, six bins a period. Noise lasts (an autoregression with
/// coefficient 0.8), the effect is 1, and `carry_over` of the last period's variant is felt in the first bin.
fn simulated(draws: &mut Draws, plan: &Schedule, carry_over: f64) -> Vec<Bin> {
    let mut bins = Vec::new();
    for region in 0..DESIGN.regions {
        let mut noise = draws.normal();
        for time in 0..DESIGN.periods * BINS_PER_PERIOD {
            let period = time / BINS_PER_PERIOD;
            let in_force = |period: u32| f64::from(u8::from(plan.treated(region, period) == Some(true)));
            let share = if time % BINS_PER_PERIOD == 0 && period > 0 { carry_over } else { 0.0 };
            noise = 0.8 * noise + 0.6 * draws.normal();
            let effect = in_force(period) * (1.0 - share) + share * in_force(period.saturating_sub(1));
            let value = 10.0 + noise + effect;
            let cluster = plan.block(region, period).unwrap_or_default();
            let treated = plan.treated(region, period) == Some(true);
            bins.push(Bin { region, time, treated, value, cluster, stratum: region });
        }
    }
    bins
}

/// Bins taken for independent claim too much; clusters by block and Newey & West do not.
#[test]
fn coverage_under_noise_that_lasts() {
    const RUNS: u64 = 400;
    let mut draws = Draws::seeded(21);
    let (mut by_cluster, mut by_time, mut naive) = (0, 0, 0);
    for run in 0..RUNS {
        let bins = simulated(&mut draws, &schedule::draw(DESIGN, run).unwrap(), 0.0);
        let holds = |found: Effect| u32::from(!found.comparison.interval.excludes(1.0));
        by_cluster += holds(clustered(&bins, Correction::Cr2, 0.9).unwrap());
        by_time += holds(autocorrelated(&bins, 12, 0.9).unwrap());
        naive += holds(autocorrelated(&bins, 0, 0.9).unwrap());
    }
    let share = |count: u32| f64::from(count) / RUNS as f64;
    assert_close(share(by_cluster), 0.9, 0.05);
    assert_close(share(by_time), 0.9, 0.05);
    assert!(share(naive) < 0.75, "{}", share(naive));
}

/// What one period leaves to the next pulls the effect towards 0, until the burn-in leaves it out.
#[test]
fn the_burn_in_removes_what_is_carried_over() {
    let mut draws = Draws::seeded(22);
    let (mut all, mut kept) = (0.0, 0.0);
    for run in 0..200 {
        let bins = simulated(&mut draws, &schedule::draw(DESIGN, run).unwrap(), 1.0);
        let effect = |bins: &[Bin]| {
            clustered(bins, Correction::Cr1, 0.9).map_or(f64::NAN, |found| found.comparison.interval.estimate)
        };
        all += effect(&bins) / 200.0;
        kept += effect(&after_burn_in(&bins, 1).unwrap()) / 200.0;
    }
    // Half of the boundaries switch; a switch spoils one bin of six, and the pairs make switches likelier.
    assert!(all < 0.9, "{all}");
    assert_close(kept, 1.0, 0.05);
}
