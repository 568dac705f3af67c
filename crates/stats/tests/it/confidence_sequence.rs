//! Confidence sequences: boundaries of confseq, and the interval and its p-value computed by other means.

use greenlight_stats::{
    confidence_sequence::{AsymptoticSequence, known},
    moments::Moments,
};

use crate::simulation::assert_close;

/// confseq 0.0.11, `normal_mixture_bound(v, alpha, v_opt, alpha_opt=alpha, is_one_sided=..)`.
#[test]
fn normal_mixture_boundaries_of_confseq() {
    let table = [
        (1.0, 0.05, 100.0, 9.084_379_437_310_579, 8.883_259_272_704_89),
        (25.0, 0.05, 100.0, 16.321_466_859_132_027, 15.078_038_665_217_264),
        (1_000.0, 0.05, 100.0, 102.512_286_831_663_86, 94.393_916_169_394_74),
        (1e6, 0.05, 500.0, 3_957.883_995_946_885, 3_748.674_392_644_701_6),
        (250.0, 0.01, 1_000.0, 59.648_569_489_063_554, 56.370_985_671_975_404),
        (5_000.0, 0.2, 40.0, 219.135_253_586_989_5, 196.802_672_046_629_82),
    ];
    for (v, alpha, v_opt, two, one) in table {
        assert_close(known::normal_mixture_two_sided(v, alpha, v_opt).unwrap() / two, 1.0, 1e-14);
        // confseq stops its search for the one-sided root at 40 bits.
        assert_close(known::normal_mixture_one_sided(v, alpha, v_opt).unwrap() / one, 1.0, 1e-11);
    }
}

/// SciPy 1.13.1, `(-lambertw(-alpha**2 / e, -1) - 1) / n`.
#[test]
fn the_tuning_of_scipy() {
    for (n, alpha, expected) in [
        (1_000.0, 0.05, 0.008_211_968_062_068_253),
        (250.0, 0.01, 0.047_025_484_889_981_68),
        (5_000.0, 0.2, 0.001_002_551_928_656_286_6),
    ] {
        let sequence = AsymptoticSequence::tuned_for(n, alpha).unwrap();
        assert_close(sequence.rho_squared / expected, 1.0, 1e-13);
    }
}

/// The first `n` remainders of a sequence that other programs can make.
fn remainders(n: u64) -> Moments {
    let values: Vec<f64> = (1..=n).map(|i| (i * i * 7_919 % 1_009) as f64 / 10.0).collect();
    Moments::from_values(&values)
}

/// NumPy 1.26.4: mean, variance, and the half-width by the formula of Waudby-Smith et al. (2024), with the
/// tuning of SciPy 1.13.1.
#[test]
fn the_interval_of_a_mean_in_numpy() {
    let table = [
        (200.0, 0.05, 50, 48.544, 698.410_269_387_755_1, 12.150_680_226_943_63),
        (200.0, 0.05, 200, 48.677_5, 774.278_033_919_598_1, 5.971_860_899_095_162),
        (200.0, 0.05, 400, 51.217_5, 796.033_477_443_609, 4.322_399_189_450_053),
        (1_000.0, 0.01, 50, 48.544, 698.410_269_387_755_1, 19.103_941_864_421_262),
        (1_000.0, 0.01, 200, 48.677_5, 774.278_033_919_598_1, 7.582_528_031_469_764_5),
        (1_000.0, 0.01, 400, 51.217_5, 796.033_477_443_609, 5.140_856_009_721_065),
    ];
    for (tuning, alpha, n, mean, variance, half_width) in table {
        let values = remainders(n);
        let interval = AsymptoticSequence::tuned_for(tuning, alpha).unwrap().mean(&values).unwrap();
        assert_close(interval.estimate, mean, 1e-12);
        assert_close(values.variance().unwrap() / variance, 1.0, 1e-13);
        assert_close(interval.half_width() / half_width, 1.0, 1e-12);
        assert_close(interval.level, 1.0 - alpha, 1e-15);
    }
}

/// SciPy 1.13.1, `quad` over the mixture that the p-value stands for: the likelihood ratio of a Gaussian walk with
/// drift `l`, averaged over `l` normal with variance `rho^2`; its reciprocal, for an estimate 8 away from the target.
#[test]
fn the_p_value_is_the_reciprocal_of_the_mixture() {
    let table = [
        (200.0, 0.05, 50, 0.374_384_557_698_376_03),
        (200.0, 0.05, 200, 0.001_914_636_544_860_902_6),
        (200.0, 0.05, 400, 1.091_507_667_003_212_8e-6),
        (1_000.0, 0.01, 50, 0.539_599_179_745_143_4),
        (1_000.0, 0.01, 200, 0.005_546_212_249_985_092),
        (1_000.0, 0.01, 400, 4.161_956_195_626_736e-6),
    ];
    for (tuning, alpha, n, expected) in table {
        let sequence = AsymptoticSequence::tuned_for(tuning, alpha).unwrap();
        let variance = remainders(n).variance().unwrap();
        assert_close(sequence.p_value(n as f64, variance, -8.0) / expected, 1.0, 1e-12);
    }
}
