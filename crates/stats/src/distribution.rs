//! Tail areas and critical values of the normal, Student and chi-square distributions, by way of `libm` and
//! `statrs`. Owns the calls into those crates, so that panics on bad arguments stay behind arguments that
//! were checked, and the repairs where they lose digits.

use std::f64::consts::{PI, SQRT_2};

use statrs::function::{beta, erf, gamma};

/// Steps allowed to polish a critical value. Four suffice, but for a heavy tail that starts far from its
/// root.
const POLISH_STEPS: u32 = 200;

/// From here on Student's tail is taken from Hill's expansion: the incomplete beta function loses digits in
/// proportion to the degrees of freedom, while the expansion gains them (relative error below 1e-15 at t =
/// 6).
const MANY_DEGREES: f64 = 1_000.0;

/// `P(Z <= z)` for a standard normal `Z`.
pub(crate) fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / SQRT_2)
}

/// `P(|Z| >= |z|)` for a standard normal `Z`; accurate in the far tail, where `1 - cdf` is not.
pub(crate) fn normal_two_sided_p(z: f64) -> f64 {
    libm::erfc(z.abs() / SQRT_2)
}

/// The `z` with `P(|Z| <= z) = level`, `0 < level < 1`: 1.959964 for 0.95.
pub(crate) fn normal_two_sided_critical(level: f64) -> f64 {
    let alpha = 1.0 - level;
    polish(SQRT_2 * erf::erfc_inv(alpha), alpha, normal_two_sided_p, normal_density)
}

/// `P(|T| >= |t|)` for Student's `T` with `freedom > 0` degrees of freedom, which need not be whole.
pub(crate) fn student_two_sided_p(t: f64, freedom: f64) -> f64 {
    if t.is_nan() {
        return f64::NAN;
    }
    if freedom >= MANY_DEGREES {
        return normal_two_sided_p(normal_equivalent(t, freedom));
    }
    beta::beta_reg(freedom / 2.0, 0.5, freedom / (freedom + t * t))
}

/// The `t` with `P(|T| <= t) = level`: 2.228139 for 0.95 and 10 degrees of freedom.
///
/// Starts at the normal value, left of the root. The tail area is convex in `t`, so that Newton's method
/// approaches the root from there and cannot escape.
pub(crate) fn student_two_sided_critical(level: f64, freedom: f64) -> f64 {
    let start = normal_two_sided_critical(level);
    let tail = |t: f64| student_two_sided_p(t, freedom);
    if freedom >= MANY_DEGREES {
        return polish(start, 1.0 - level, tail, normal_density);
    }
    let log_scale = -0.5 * freedom.ln() - beta::ln_beta(freedom / 2.0, 0.5);
    let density = |t: f64| (log_scale - 0.5 * (freedom + 1.0) * (t * t / freedom).ln_1p()).exp();
    polish(start, 1.0 - level, tail, density)
}

/// `P(X >= statistic)` for a chi-square `X` with `freedom > 0` degrees of freedom.
pub(crate) fn chi_square_tail(statistic: f64, freedom: f64) -> f64 {
    if statistic <= 0.0 {
        return 1.0;
    }
    if statistic.is_infinite() {
        return 0.0;
    }
    gamma::gamma_ur(freedom / 2.0, statistic / 2.0)
}

/// `P(a, x)`, the regularised lower incomplete gamma function, for finite `a > 0` and `x > 0`. The work grows with the
/// root of `a`.
pub(crate) fn gamma_lower(a: f64, x: f64) -> f64 {
    gamma::gamma_lr(a, x)
}

/// Solves `two_sided_tail(x) = alpha` by Newton's method; `density` is that of one side, or nearly so.
fn polish(start: f64, alpha: f64, tail: impl Fn(f64) -> f64, density: impl Fn(f64) -> f64) -> f64 {
    let mut x = start;
    for _ in 0..POLISH_STEPS {
        let step = (tail(x) - alpha) / (2.0 * density(x));
        x += step;
        if step.abs() <= 4.0 * f64::EPSILON * x {
            break;
        }
    }
    x
}

fn normal_density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// The normal deviate with the tail area of `t` (Hill, Algorithm 395, Communications of the ACM 1970).
fn normal_equivalent(t: f64, freedom: f64) -> f64 {
    let a = freedom - 0.5;
    let b = 48.0 * a * a;
    // Beyond 1e100 nothing is left of the tail, and squares would overflow.
    let t = t.abs().min(1e100);
    let w = a * (t * t / freedom).ln_1p();
    let second = (((-4.0 * w - 33.0) * w - 240.0) * w - 855.0) / (10.0 * (b + 0.8 * w * w + 100.0));
    w.sqrt() * (1.0 + (second + w + 3.0) / b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    /// NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2: critical values of Student's t.
    #[test]
    fn student_critical_values_of_the_nist_table() {
        for (freedom, expected) in [(1.0, 12.706), (2.0, 4.303), (5.0, 2.571), (10.0, 2.228), (100.0, 1.984)]
        {
            assert_close(student_two_sided_critical(0.95, freedom), expected, 5e-4);
        }
        assert_close(student_two_sided_critical(0.99, 5.0), 4.032, 5e-4);
    }

    /// One and two degrees of freedom have closed forms: tan(pi level / 2) and level sqrt(2 / (1 - level^2)).
    #[test]
    fn student_critical_values_in_closed_form() {
        for level in [0.1, 0.5, 0.9, 0.95, 0.99] {
            let cauchy = (std::f64::consts::FRAC_PI_2 * level).tan();
            assert_close(student_two_sided_critical(level, 1.0), cauchy, 1e-10 * cauchy);
            let two = level * (2.0 / (1.0 - level * level)).sqrt();
            assert_close(student_two_sided_critical(level, 2.0), two, 1e-10 * two);
        }
    }

    /// Abramowitz & Stegun 1964, tables 26.1 and 26.8.
    #[test]
    fn normal_and_chi_square_tables() {
        assert_close(normal_two_sided_critical(0.95), 1.959_963_984_540_054, 1e-13);
        assert_close(normal_two_sided_critical(0.99), 2.575_829_303_548_901, 1e-13);
        assert_close(normal_cdf(1.0), 0.841_344_746_068_543, 1e-14);
        assert_close(chi_square_tail(3.841_458_820_694_124, 1.0), 0.05, 1e-13);
        assert_close(chi_square_tail(9.487_729_036_781_154, 4.0), 0.05, 1e-13);
        assert_close(chi_square_tail(0.0, 3.0), 1.0, 0.0);
    }

    /// tea-tasting 1.14.0, sample ratio of 2,023 against 1,977 with continuity correction:
    /// `2 * 22.5^2 / 2000`.
    #[test]
    fn the_chi_square_tail_of_tea_tasting() {
        assert_close(chi_square_tail(2.0 * 22.5 * 22.5 / 2_000.0, 1.0), 0.477, 5e-4);
    }

    /// The critical value exceeds the normal one by `(z^3 + z) / (4 freedom)` and terms of higher order
    /// (Abramowitz & Stegun 1964, 26.7.5).
    #[test]
    fn student_becomes_normal() {
        for freedom in [1e5, 1e7, 1e9, 1e12, 1e15] {
            let z = normal_two_sided_critical(0.95);
            let expected = z + z * (z * z + 1.0) / (4.0 * freedom);
            assert_close(
                student_two_sided_critical(0.95, freedom),
                expected,
                10.0 / (freedom * freedom) + 1e-14,
            );
        }
    }

    #[test]
    fn the_expansion_joins_the_incomplete_beta_function() {
        for t in [0.0, 0.1, 1.0, 2.0, 5.0] {
            let below = student_two_sided_p(t, MANY_DEGREES - 1e-9);
            let above = student_two_sided_p(t, MANY_DEGREES);
            assert_close(above / below, 1.0, 1e-11);
        }
        assert_close(student_two_sided_p(f64::INFINITY, 5.0), 0.0, 0.0);
        assert_close(student_two_sided_p(f64::NEG_INFINITY, 5_000.0), 0.0, 0.0);
    }
}
