//! With what probability each of several independent random quantities is the largest. Owns the quadrature; refuses
//! sampling, whose noise would make the same posterior explore differently on two machines.
//!
//! For densities `f_a` with distribution functions `F_a` the probability is the integral of `f_a` times the product of
//! the other `F_b`. The line is cut into panels at each quantity's centre and some of its deviations, so that within
//! a panel all densities are smooth; on a panel 16 Gauss points give both the integral and, by integrating the
//! polynomial through them, the distribution functions. Only densities up to a factor are needed. The result is
//! good to about 12 digits.

mod gauss;

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

use gauss::{GAUSS, POINTS};

/// Cuts in deviations from a centre. Beyond the last, a normal density has 1e-15 of its mass.
const CUTS: [f64; 11] = [-8.0, -6.0, -4.5, -3.0, -1.5, 0.0, 1.5, 3.0, 4.5, 6.0, 8.0];

/// A panel no wider than this many of the smallest deviation needs no further cut.
const WIDEST_PANEL: f64 = 1.5;

/// A deviation this much smaller than the largest is raised to it, so that a panel has digits left. Only where two such
/// quantities compete does it matter: that one of them is known from `1e18` times the outcomes of another.
const LEAST_RELATIVE_DEVIATION: f64 = 1e-9;

/// How each panel towards a rough end shrinks, and how often: to `1e-11` of the line.
const GRADE_RATIO: f64 = 0.3;
const GRADES: i32 = 21;

/// From this power on an end is smooth enough for 16 points.
const SMOOTH_POWER: f64 = 10.0;

/// The probabilities for normal quantities with finite means and deviations of at least 0. Without any deviation,
/// the highest means share evenly.
pub(super) fn of_normals(means: &[f64], deviations: &[f64]) -> Vec<f64> {
    let widest = deviations.iter().fold(0.0_f64, |most, &deviation| most.max(deviation));
    let highest = means.iter().fold(f64::NEG_INFINITY, |most, &mean| most.max(mean));
    if widest <= 0.0 {
        return super::greedy(means);
    }
    // In units of the widest deviation from the highest mean, so that no cut can overflow.
    let shapes: Vec<Shape> = means
        .iter()
        .zip(deviations)
        .map(|(mean, deviation)| Shape {
            centre: (mean - highest) / widest,
            deviation: (deviation / widest).max(LEAST_RELATIVE_DEVIATION),
        })
        .collect();
    let density = |action: usize, t: f64| {
        let Shape { centre, deviation } = shapes[action];
        let z = (t - centre) / deviation;
        (-0.5 * z * z).exp()
    };
    normalised(&of_densities(&shapes, [f64::NEG_INFINITY, f64::INFINITY], &[], density))
}

/// The probabilities for success rates with beta distributions, given as `[alpha, beta]`, each at least 1/2.
///
/// Integrated over the angle `asin(sqrt(rate))`, where the density is `sin^(2 alpha - 1) cos^(2 beta - 1)`: bounded,
/// log-concave, and of a deviation that hardly depends on the rate, at most `1 / sqrt(2 (alpha + beta))`.
pub(super) fn of_betas(parameters: &[[f64; 2]]) -> Vec<f64> {
    let shapes: Vec<Shape> = parameters.iter().map(beta_shape).collect();
    // From the ratios of sine and cosine to those at the peak: for a million outcomes, differences of logarithms
    // would have lost what matters.
    let density = |action: usize, t: f64| {
        let ([alpha, beta], Shape { centre, .. }) = (parameters[action], shapes[action]);
        let away = t - centre;
        let (sine, curvature) = (away.sin(), -2.0 * (away / 2.0).sin().powi(2));
        let log_sine = times_log_1p(2.0 * alpha - 1.0, || sine / centre.tan() + curvature);
        let log_cosine = times_log_1p(2.0 * beta - 1.0, || curvature - sine * centre.tan());
        (log_sine + log_cosine).exp()
    };
    let ends = [0.0, FRAC_PI_2];
    normalised(&of_densities(&shapes, ends, &graded_cuts(parameters, ends), density))
}

/// Cuts that close in on an end of the line where a density rises with a power that is small and no whole number:
/// there it has no polynomial near it, and panels must shrink with the distance from the end.
fn graded_cuts(parameters: &[[f64; 2]], ends: [f64; 2]) -> Vec<f64> {
    let rough = |side: usize| {
        let mut powers = parameters.iter().map(|pair| 2.0 * pair[side] - 1.0);
        powers.any(|power| power < SMOOTH_POWER && power.fract() > 0.0)
    };
    let grades = || (0..GRADES).map(|grade| FRAC_PI_4 * GRADE_RATIO.powi(grade));
    let mut cuts = Vec::new();
    if rough(0) {
        cuts.extend(grades().map(|distance| ends[0] + distance));
    }
    if rough(1) {
        cuts.extend(grades().map(|distance| ends[1] - distance));
    }
    cuts
}

fn beta_shape(&[alpha, beta]: &[f64; 2]) -> Shape {
    let (rising, falling) = (2.0 * alpha - 1.0, 2.0 * beta - 1.0);
    // Jeffreys' prior is flat in the angle.
    let centre = if rising + falling > 0.0 { rising.sqrt().atan2(falling.sqrt()) } else { FRAC_PI_4 };
    Shape { centre, deviation: (2.0 * (alpha + beta)).sqrt().recip() }
}

/// `power * ln(1 + x)`, and 0 for a power of 0 whatever `x`.
fn times_log_1p(power: f64, x: impl FnOnce() -> f64) -> f64 {
    if power > 0.0 { power * x().max(-1.0).ln_1p() } else { 0.0 }
}

/// Where a density lives.
#[derive(Clone, Copy)]
struct Shape {
    centre: f64,
    deviation: f64,
}

/// The probabilities up to the error of the quadrature, which shows in how far their sum is from 1.
fn of_densities(
    shapes: &[Shape],
    ends: [f64; 2],
    further_cuts: &[f64],
    density: impl Fn(usize, f64) -> f64,
) -> Vec<f64> {
    let reach = CUTS[CUTS.len() - 1];
    // The largest lies above this; what lives below it is never the largest.
    let floor = shapes.iter().fold(f64::NEG_INFINITY, |most, s| most.max(s.centre - reach * s.deviation));
    let rivals: Vec<usize> =
        (0..shapes.len()).filter(|&a| shapes[a].centre + reach * shapes[a].deviation >= floor).collect();
    let mut cuts: Vec<f64> = rivals
        .iter()
        .flat_map(|&a| CUTS.map(|cut| (shapes[a].centre + cut * shapes[a].deviation).clamp(ends[0], ends[1])))
        .collect();
    cuts.sort_unstable_by(f64::total_cmp);
    let smallest = rivals.iter().fold(f64::INFINITY, |least, &a| least.min(shapes[a].deviation));
    let mut cuts = thinned(&cuts, WIDEST_PANEL * smallest);
    if let (Some(&first), Some(&last)) = (cuts.first(), cuts.last()) {
        cuts.extend(further_cuts.iter().filter(|cut| (first..last).contains(*cut)));
        cuts.sort_unstable_by(f64::total_cmp);
    }
    let panels: Vec<Panel> =
        cuts.windows(2).map(|ends| Panel::new(ends[0], ends[1], &rivals, shapes, &density)).collect();
    let masses: Vec<f64> =
        (0..rivals.len()).map(|rival| panels.iter().map(|panel| panel.mass(rival)).sum()).collect();
    let mut below = vec![0.0; rivals.len()];
    let mut won = vec![0.0; rivals.len()];
    for panel in &panels {
        panel.add_wins(&masses, &mut below, &mut won);
    }
    let mut probabilities = vec![0.0; shapes.len()];
    for (&action, won) in rivals.iter().zip(won) {
        probabilities[action] = won.max(0.0);
    }
    probabilities
}

/// The first and the last of the sorted cuts, and between them only as many as keep panels that were wider than
/// `width` as they were and the others up to `width`: with many similar quantities most cuts are superfluous.
fn thinned(cuts: &[f64], width: f64) -> Vec<f64> {
    let mut kept: Vec<f64> = Vec::with_capacity(cuts.len());
    for (index, &cut) in cuts.iter().enumerate() {
        let superfluous = match (kept.last(), cuts.get(index + 1)) {
            (Some(last), Some(next)) => next - last <= width || cut <= *last,
            (Some(last), None) => cut <= *last,
            (None, _) => false,
        };
        if !superfluous {
            kept.push(cut);
        }
    }
    kept
}

fn normalised(probabilities: &[f64]) -> Vec<f64> {
    let sum: f64 = probabilities.iter().sum();
    probabilities.iter().map(|probability| probability / sum).collect()
}

/// The densities at the Gauss points of one stretch of the line.
struct Panel {
    half_width: f64,
    /// Of each rival; `None` where it is 0 throughout.
    densities: Vec<Option<[f64; POINTS]>>,
}

impl Panel {
    fn new(
        low: f64,
        high: f64,
        rivals: &[usize],
        shapes: &[Shape],
        density: impl Fn(usize, f64) -> f64,
    ) -> Self {
        let (middle, half_width) = (f64::midpoint(low, high), (high - low) / 2.0);
        let reach = CUTS[CUTS.len() - 1];
        let densities = rivals
            .iter()
            .map(|&action| {
                let Shape { centre, deviation } = shapes[action];
                let away = (middle - centre).abs() - half_width;
                (away < reach * deviation)
                    .then(|| GAUSS.nodes.map(|node| density(action, middle + half_width * node)))
            })
            .collect();
        Self { half_width, densities }
    }

    fn mass(&self, rival: usize) -> f64 {
        let Some(values) = &self.densities[rival] else { return 0.0 };
        self.half_width * values.iter().zip(GAUSS.weights).map(|(value, weight)| value * weight).sum::<f64>()
    }

    /// Adds to `won` the chance that each rival is the largest and lies here; `below` is the share of each rival's
    /// mass left of the panel, and is moved to its right end.
    fn add_wins(&self, masses: &[f64], below: &mut [f64], won: &mut [f64]) {
        let gauss = &*GAUSS;
        let distributions: Vec<[f64; POINTS]> = (0..masses.len())
            .map(|rival| match &self.densities[rival] {
                None => [below[rival]; POINTS],
                Some(values) => gauss.integrals.map(|row| {
                    let within: f64 = row.iter().zip(values).map(|(integral, value)| integral * value).sum();
                    (below[rival] + self.half_width * within / masses[rival]).clamp(0.0, 1.0)
                }),
            })
            .collect();
        // The product over the rivals after each one, then a running product over those before it.
        let mut after = vec![[1.0; POINTS]; masses.len()];
        for rival in (1..masses.len()).rev() {
            after[rival - 1] = times(&after[rival], &distributions[rival]);
        }
        let mut before = [1.0; POINTS];
        for (rival, values) in self.densities.iter().enumerate() {
            if let Some(values) = values {
                let others = times(&before, &after[rival]);
                let sum: f64 =
                    times(values, &gauss.weights).iter().zip(others).map(|(f, others)| f * others).sum();
                won[rival] += self.half_width * sum / masses[rival];
            }
            before = times(&before, &distributions[rival]);
        }
        for (rival, below) in below.iter_mut().enumerate() {
            *below = (*below + self.mass(rival) / masses[rival]).min(1.0);
        }
    }
}

fn times(a: &[f64; POINTS], b: &[f64; POINTS]) -> [f64; POINTS] {
    let mut product = *a;
    for (entry, b) in product.iter_mut().zip(b) {
        *entry *= b;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{close::assert_close, distribution::normal_cdf};

    #[track_caller]
    fn assert_all(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert_close(*found, *expected, tolerance);
        }
    }

    /// mpmath 1.4.1 with 30 digits, tanh-sinh quadrature.
    #[test]
    fn three_normals_of_mpmath() {
        let found = of_normals(&[0.0, 0.3, -0.2], &[1.0, 0.5, 2.0]);
        let expected = [0.273_602_757_691_063, 0.377_187_375_021_560, 0.349_209_867_287_376];
        assert_all(&found, &expected, 1e-13);
        let found = of_normals(&[1.0, 1.001, 0.9], &[0.001, 0.002, 0.5]);
        let expected = [0.189_752_902_379_124, 0.390_663_434_027_603, 0.419_583_663_593_271];
        assert_all(&found, &expected, 1e-13);
    }

    /// mpmath 1.4.1 with 30 digits; the first by exact fractions too, since its parameters are whole.
    #[test]
    fn three_betas_of_mpmath() {
        let found = of_betas(&[[1.0, 1.0], [3.0, 2.0], [2.0, 5.0]]);
        let expected = [0.383_982_683_982_683, 0.559_740_259_740_259, 0.056_277_056_277_056];
        assert_all(&found, &expected, 1e-13);
        let found = of_betas(&[[0.5, 0.5], [1.5, 4.5], [10.5, 30.5]]);
        let expected = [0.617_019_369_497_914, 0.186_964_528_929_499, 0.196_016_101_572_586];
        assert_all(&found, &expected, 1e-12);
    }

    /// mpmath 1.4.1 with 30 digits: powers that are not whole, at the ends of the line.
    #[test]
    fn betas_of_any_prior_of_mpmath() {
        let found = of_betas(&[[0.75, 0.75], [1.3, 2.6], [0.6, 5.0]]);
        let expected = [0.629_017_767_511_404_9, 0.325_375_719_166_100_7, 0.045_606_513_322_494_4];
        assert_all(&found, &expected, 1e-12);
        let found = of_betas(&[[0.7, 9.3], [0.7, 8.3], [1.7, 29.3]]);
        let expected = [0.336_545_195_101_951_5, 0.378_810_660_371_895_7, 0.284_644_144_526_152_8];
        assert_all(&found, &expected, 1e-12);
        let found = of_betas(&[[1.2, 58.3], [2.2, 61.3], [0.55, 0.95]]);
        let expected = [0.043_050_193_833_516_0, 0.114_888_455_353_805_9, 0.842_061_350_812_678_1];
        assert_all(&found, &expected, 1e-12);
    }

    /// The closed form for two success rates with whole parameters (Cook, "Exact calculation of beta
    /// inequalities", 2005), summed by mpmath 1.4.1.
    #[test]
    fn two_betas_in_closed_form() {
        let second = |first: [f64; 2], second: [f64; 2]| of_betas(&[first, second])[1];
        assert_close(second([1.0, 1.0], [2.0, 1.0]), 2.0 / 3.0, 1e-13);
        assert_close(second([21.0, 81.0], [31.0, 71.0]), 0.947_603_103_352_369, 1e-12);
        assert_close(second([5.0, 2_000.0], [9.0, 1_997.0]), 0.866_773_626_949_138, 1e-12);
        assert_close(second([1_001.0, 99_001.0], [1_101.0, 98_901.0]), 0.985_865_550_715_286, 1e-12);
        assert_close(second([2_001.0, 1_999.0], [2_101.0, 2_050.0]), 0.702_645_743_002_253, 1e-12);
    }

    /// Two normals have a closed form at every distance and ratio of deviations.
    #[test]
    fn two_normals_in_closed_form() {
        for ratio in [1e-6, 0.01, 0.7, 1.0, 30.0, 1e5] {
            for distance in [-8.0, -3.0, -0.5, 0.0, 1.0, 2.5, 6.0] {
                let spread = f64::hypot(1.0, ratio);
                let found = of_normals(&[5.0, 5.0 + distance * spread], &[1.0, ratio]);
                assert_all(&found, &[normal_cdf(-distance), normal_cdf(distance)], 1e-12);
            }
        }
    }

    /// Equals share evenly, whatever their number; the sum before it is made 1 shows the error of the quadrature.
    #[test]
    fn equals_share_evenly() {
        for count in [1_usize, 2, 5, 30, 256] {
            let shapes = vec![Shape { centre: 0.0, deviation: 1.0 }; count];
            let wins = of_densities(&shapes, [-1e9, 1e9], &[], |_, t| (-0.5 * t * t).exp());
            assert_close(wins.iter().sum(), 1.0, 1e-12);
            assert_all(&of_betas(&vec![[3.5, 9.0]; count]), &vec![1.0 / count as f64; count], 1e-12);
        }
    }

    /// For many outcomes a beta is a normal; at a million million its rate is known to a millionth.
    #[test]
    fn many_outcomes_become_normal_and_lose_no_digits() {
        let n = 1e12_f64;
        let deviation = (0.3 * 0.7 / n).sqrt();
        for distance in [-2.0, 0.0, 1.0] {
            let rate = 0.3 + distance * deviation * std::f64::consts::SQRT_2;
            let found = of_betas(&[[0.3 * n, 0.7 * n], [rate * n, (1.0 - rate) * n]]);
            assert_close(found[1], normal_cdf(distance), 1e-5);
            assert_close(found[0] + found[1], 1.0, 1e-15);
        }
    }

    #[test]
    fn extremes_stay_probabilities() {
        for (means, deviations) in [
            (vec![0.0, 0.0, -1.0], vec![0.0, 0.0, 0.0]),
            (vec![1e300, -1e300], vec![1e-300, 1e-300]),
            (vec![0.0, 1.0, 1.0], vec![0.0, 0.0, 1e-12]),
            (vec![0.0, 1e-9, 50.0], vec![1e9, 0.0, 1e-9]),
        ] {
            let found = of_normals(&means, &deviations);
            assert!(found.iter().all(|p| (0.0..=1.0).contains(p)), "{found:?}");
            assert_close(found.iter().sum(), 1.0, 1e-12);
        }
        assert_eq!(of_normals(&[0.0, 0.0, -1.0], &[0.0; 3]), [0.5, 0.5, 0.0]);
        for parameters in [[0.5, 0.5], [0.5, 1e15], [1e15, 0.5], [1e15, 1e15], [1.8e19, 1.0]] {
            let found = of_betas(&[parameters, [1.0, 1.0], parameters]);
            assert!(found.iter().all(|p| (0.0..=1.0).contains(p)), "{found:?}");
            assert_close(found[0], found[2], 1e-9);
        }
    }
}
