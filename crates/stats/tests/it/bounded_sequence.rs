//! Sequences for bounded means: answers of confseq, properties, and coverage at every look.

use greenlight_stats::{
    Interval,
    bounded_sequence::{Bounds, HedgedCapital, MixtureBernstein, PluginBernstein, gamma_exponential_mixture},
};
use proptest::{collection::vec, prelude::*};

use crate::{
    properties::config,
    simulation::{Draws, assert_close},
};

/// confseq 0.0.11, `gamma_exponential_mixture_bound(v, alpha, v_opt, c, alpha_opt=alpha)`, whose differences of large logarithms leave
/// it 9 digits.
#[test]
fn gamma_exponential_boundaries_of_confseq() {
    let table = [
        (1.0, 0.05, 100.0, 2.0, 12.658_439_807_950_344),
        (100.0, 0.05, 100.0, 2.0, 33.020_170_220_174_805),
        (1e4, 0.05, 100.0, 2.0, 344.789_981_212_159_1),
        (1e7, 0.05, 100.0, 2.0, 13_523.905_244_410_273),
        (25.0, 0.025, 25.0, 1.0, 18.435_985_462_031_113),
        (3_000.0, 0.005, 500.0, 1.0, 207.571_969_405_819_35),
        (9e4, 0.005, 500.0, 0.1, 1_232.584_085_493_968_4),
        (3.0, 0.2, 0.01, 5.0, 42.839_298_395_869_264),
    ];
    for (v, alpha, v_opt, scale, expected) in table {
        let found = gamma_exponential_mixture(v, alpha, v_opt, scale).unwrap();
        assert_close(found / expected, 1.0, 1e-9);
    }
}

/// mpmath 1.4.1 with 40 digits: the root of proposition 9 as printed.
#[test]
fn gamma_exponential_boundaries_of_mpmath() {
    let table = [
        (1.0, 0.05, 100.0, 2.0, 12.658_439_807_947_127),
        (100.0, 0.05, 100.0, 2.0, 33.020_170_220_152_03),
        (1e4, 0.05, 100.0, 2.0, 344.789_981_212_406_1),
        (25.0, 0.025, 25.0, 1.0, 18.435_985_462_028_615),
        (3_000.0, 0.005, 500.0, 1.0, 207.571_969_405_615_5),
    ];
    for (v, alpha, v_opt, scale, expected) in table {
        let found = gamma_exponential_mixture(v, alpha, v_opt, scale).unwrap();
        assert_close(found / expected, 1.0, 1e-12);
    }
}

/// A stream of shares that other programs can make.
fn share(stream: &str, i: u64) -> f64 {
    let remainder = (i * i * 7_919 % 1_009) as f64 / 1_008.0;
    match stream {
        "spread" => remainder,
        "rare" => f64::from(u8::from(remainder < 0.05)),
        _ => 0.3 + 0.1 * remainder,
    }
}

struct Answer {
    stream: &'static str,
    n: u64,
    mixture: [f64; 2],
    plugin: [f64; 2],
    betting: [f64; 2],
}

/// confseq 0.0.11 at `alpha = 0.05`. Mixture: `gamma_exponential_mixture_bound` at the summed squares of NumPy 1.26.4,
/// `v_opt = 100`. Plug-in: `predmix_lower_cs` on `x` and `1 - x` with `lambda_predmix_eb(truncation=1/2)`. Betting:
/// the roots in `m`, by SciPy's `brentq`, of the greatest capital so far in `betting_mart(trunc_scale=1/2)`.
const ANSWERS: [Answer; 8] = [
    Answer {
        stream: "spread",
        n: 20,
        mixture: [0.0, 1.0],
        plugin: [0.094_781_053_298_052_92, 0.886_865_772_098_772_6],
        betting: [0.324_117_403_203_885_5, 0.667_848_863_899_894_6],
    },
    Answer {
        stream: "spread",
        n: 200,
        mixture: [0.400_956_958_420_060_4, 0.564_866_454_278_352_2],
        plugin: [0.418_894_145_838_789_2, 0.554_756_483_425_588_5],
        betting: [0.437_865_863_480_185, 0.542_462_324_856_399_6],
    },
    Answer {
        stream: "spread",
        n: 2_000,
        mixture: [0.479_536_202_513_942_63, 0.521_124_511_771_770_7],
        plugin: [0.476_618_937_089_511_36, 0.523_397_675_444_441_5],
        betting: [0.475_829_909_898_119_24, 0.521_316_141_143_707],
    },
    Answer {
        stream: "rare",
        n: 20,
        mixture: [0.0, 0.556_432_555_383_825_4],
        plugin: [0.0, 0.376_595_306_168_274_1],
        betting: [0.0, 0.288_306_480_712_796_35],
    },
    Answer {
        stream: "rare",
        n: 2_000,
        mixture: [0.018_851_119_228_797_432, 0.046_148_880_771_202_57],
        plugin: [0.018_369_812_070_466_555, 0.047_222_285_287_971_9],
        betting: [0.018_952_389_527_664_485, 0.046_814_161_901_324_58],
    },
    Answer {
        stream: "narrow",
        n: 20,
        mixture: [0.0, 0.897_979_803_099_807_4],
        plugin: [0.0, 0.718_872_773_811_391_8],
        betting: [0.248_077_857_226_703, 0.536_941_875_560_185_6],
    },
    Answer {
        stream: "narrow",
        n: 200,
        mixture: [0.293_095_690_092_721_63, 0.403_486_651_177_119_7],
        plugin: [0.311_037_093_088_938_34, 0.385_545_248_180_902_63],
        betting: [0.335_499_284_446_773_74, 0.371_970_262_697_657_8],
    },
    Answer {
        stream: "narrow",
        n: 2_000,
        mixture: [0.344_216_687_478_897_66, 0.355_849_383_949_673_7],
        plugin: [0.346_033_043_513_996_55, 0.354_033_027_914_574_14],
        betting: [0.347_897_708_976_337_4, 0.352_719_480_215_127_95],
    },
];

#[track_caller]
fn assert_ends(found: Interval, [low, high]: [f64; 2], tolerance: f64) {
    assert_close(found.low, low, tolerance);
    assert_close(found.high, high, tolerance);
}

/// Also with the values carried to other bounds, where the ends must follow.
#[test]
fn the_sequences_of_confseq() {
    const STEPS: usize = 4_000;
    for (bounds, low, width) in [(Bounds::UNIT, 0.0, 1.0), (Bounds::new(-5.0, 1.25).unwrap(), -5.0, 6.25)] {
        for answer in &ANSWERS {
            let mut mixture = MixtureBernstein::new(bounds, 0.05, 100.0 * width * width).unwrap();
            let mut plugin = PluginBernstein::new(bounds, 0.05).unwrap();
            let mut betting = HedgedCapital::new(bounds, 0.05, STEPS).unwrap();
            for i in 1..=answer.n {
                let value = low + width * share(answer.stream, i);
                mixture.push(value).unwrap();
                plugin.push(value).unwrap();
                betting.push(value).unwrap();
            }
            let carried = |ends: [f64; 2]| ends.map(|end| low + width * end);
            assert_ends(mixture.interval().unwrap(), carried(answer.mixture), width * 1e-11);
            assert_ends(plugin.interval().unwrap(), carried(answer.plugin), width * 1e-12);
            let step = width * std::f64::consts::FRAC_PI_2 / STEPS as f64;
            let (found, exact) = (betting.interval().unwrap(), carried(answer.betting));
            assert!(exact[0] - step <= found.low && found.low <= exact[0], "{found:?} against {exact:?}");
            assert!(exact[1] <= found.high && found.high <= exact[1] + step, "{found:?} against {exact:?}");
        }
    }
}

/// Three kinds of values with mean 0.3; misses at any of 100 looks, one for every five values. Of 400 runs, 20
/// misses are expected at most.
#[test]
fn every_look_holds_the_mean() {
    let kinds: [fn(&mut Draws) -> f64; 3] = [
        |draws| f64::from(u8::from(draws.chance(0.3))),
        |draws| draws.uniform().powf(7.0 / 3.0),
        |draws| 0.28 + 0.04 * draws.uniform(),
    ];
    for (seed, kind) in (31..).zip(kinds) {
        let mut draws = Draws::seeded(seed);
        let mut missed = [0_u32; 3];
        for _ in 0..400 {
            let mut mixture = MixtureBernstein::new(Bounds::UNIT, 0.05, 20.0).unwrap();
            let mut plugin = PluginBernstein::new(Bounds::UNIT, 0.05).unwrap();
            let mut betting = HedgedCapital::new(Bounds::UNIT, 0.05, 200).unwrap();
            let mut out = [false; 3];
            for n in 1..=500 {
                let value = kind(&mut draws);
                mixture.push(value).unwrap();
                plugin.push(value).unwrap();
                betting.push(value).unwrap();
                if n % 5 == 0 {
                    out[0] |= mixture.interval().unwrap().excludes(0.3);
                    out[1] |= plugin.interval().unwrap().excludes(0.3);
                }
            }
            out[2] = betting.interval().is_none_or(|interval| interval.excludes(0.3));
            for (missed, out) in missed.iter_mut().zip(out) {
                *missed += u32::from(out);
            }
        }
        assert!(missed.iter().all(|&missed| missed <= 20), "{missed:?}");
    }
}

/// A mean that drifts from 0.2 to 0.8: the mixture holds its running average, at all looks.
#[test]
fn the_mixture_follows_a_drift() {
    let mut draws = Draws::seeded(34);
    let mut missed = 0_u32;
    for _ in 0..200 {
        let mut sequence = MixtureBernstein::new(Bounds::UNIT, 0.05, 50.0).unwrap();
        let mut expected = 0.0;
        missed += u32::from((1..=500).any(|n| {
            let mean = 0.2 + 0.6 * f64::from(n) / 500.0;
            expected += mean;
            sequence.push(f64::from(u8::from(draws.chance(mean)))).unwrap();
            n % 10 == 0 && sequence.interval().unwrap().excludes(expected / f64::from(n))
        }));
    }
    assert!(missed <= 10, "{missed}");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_finer_grid_lies_within_a_coarser_one_and_no_look_widens(values in vec(0.0..=1.0, 1..120)) {
        let mut coarse = HedgedCapital::new(Bounds::UNIT, 0.1, 20).unwrap();
        let mut fine = HedgedCapital::new(Bounds::UNIT, 0.1, 200).unwrap();
        let mut before = (0.0, 1.0);
        for value in values {
            coarse.push(value).unwrap();
            fine.push(value).unwrap();
            let (Some(outer), Some(inner)) = (coarse.interval(), fine.interval()) else { break };
            prop_assert!(outer.low <= inner.low + 1e-12 && inner.high <= outer.high + 1e-12);
            prop_assert!(inner.high - inner.low > 0.0);
            prop_assert!(before.0 <= inner.low && inner.high <= before.1);
            before = (inner.low, inner.high);
        }
    }

    #[test]
    fn mirrored_values_mirror_the_intervals(values in vec(0.0..=1.0, 1..120)) {
        let of = |mirror: bool| {
            let mut mixture = MixtureBernstein::new(Bounds::UNIT, 0.1, 5.0).unwrap();
            let mut plugin = PluginBernstein::new(Bounds::UNIT, 0.1).unwrap();
            for value in &values {
                let value = if mirror { 1.0 - value } else { *value };
                mixture.push(value).unwrap();
                plugin.push(value).unwrap();
            }
            [mixture.interval().unwrap(), plugin.interval().unwrap()]
        };
        for (one, other) in of(false).into_iter().zip(of(true)) {
            prop_assert!((one.low - (1.0 - other.high)).abs() < 1e-9);
            prop_assert!((one.high - (1.0 - other.low)).abs() < 1e-9);
            prop_assert!(one.low <= one.estimate && one.estimate <= one.high);
        }
    }

    #[test]
    fn any_numbers_give_a_boundary_or_an_error(
        v in prop_oneof![any::<f64>(), 0.0..1e9], alpha in 0.0..1.0,
        v_opt in prop_oneof![any::<f64>(), 0.0..1e9], scale in prop_oneof![any::<f64>(), 1e-3..1e3],
    ) {
        if let Ok(boundary) = gamma_exponential_mixture(v, alpha, v_opt, scale) {
            prop_assert!(boundary.is_finite() && boundary > 0.0, "{boundary}");
        }
    }
}
