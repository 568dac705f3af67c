//! The boundary behind the empirical Bernstein sequence: how far a sum with exponential tails strays, in variance
//! time. Owns the gamma-exponential mixture and its arithmetic for large arguments, where differences of
//! logarithms of gamma functions would lose all digits; refuses other mixtures.

use std::f64::consts::PI;

use crate::{StatsError, check, confidence_sequence::approximate_numerator, distribution};

/// Halvings of the bracket; 100 exhaust the digits of an `f64`.
const BISECTION_STEPS: u32 = 100;

/// Doublings of the bracket's upper end, which starts near the root.
const DOUBLINGS: u32 = 100;

/// No stream has more variance than this, and beyond it squares would overflow.
const GREATEST: f64 = 1e100;

/// From here on the incomplete gamma function comes from Temme's expansion, whose relative error is then below
/// 1e-10; summing the series would take more terms with every value.
const LARGE: f64 = 1e4;

/// The height that a sub-exponential sum stays below at all times with probability at least `1 - alpha`: the `s` at
/// which the gamma-exponential mixture reaches `1 / alpha` (Howard et al. 2021, proposition 9).
///
/// `v` is the variance accumulated so far and `v_opt` the one at which the boundary shall be tightest, both in the
/// squared unit of the sum; `scale` is the parameter of the exponential tail, in its unit: for the empirical
/// Bernstein sequence, the distance of the bounds. The mixture's precision is
/// `rho = v_opt / (2 ln(1 / a) + ln(1 + 2 ln(1 / a)))` with `a = 2 alpha`, as in the package confseq with
/// `alpha_opt = alpha`.
///
/// With `r = rho / scale^2`, `a = (v + rho) / scale^2`, `u = s scale / (v + rho)`, `P` the regularised lower
/// incomplete gamma function and `d(x)` the error of Stirling's formula for `ln G(x)`, the mixture's logarithm is
/// `ln(r / a) / 2 + d(a) - d(r) + ln P(a, a (1 + u)) - ln P(r, r) + a (u - ln(1 + u))`.
///
/// Worked example: `v = v_opt = 100`, `alpha = 0.05` and a scale of 2 give 33.02017 (confseq 0.0.11).
///
/// Errors: `OutOfRange` unless `v >= 0`, `v_opt > 0` and `scale > 0` are finite, `0 < alpha < 0.5`, and the ratios
/// of `v` and `v_opt` to `scale^2` are at most 1e100, the latter not 0.
pub fn gamma_exponential_mixture(v: f64, alpha: f64, v_opt: f64, scale: f64) -> Result<f64, StatsError> {
    check::open_unit("alpha", alpha)?;
    if alpha >= 0.5 {
        return Err(StatsError::OutOfRange { name: "alpha", value: alpha });
    }
    check::positive("v_opt", v_opt)?;
    check::positive("scale", scale)?;
    if !(v.is_finite() && v >= 0.0) {
        return Err(StatsError::OutOfRange { name: "v", value: v });
    }
    let r = v_opt / scale / scale / approximate_numerator(2.0 * alpha);
    check::positive("v_opt over scale^2", r)?;
    let a = v / scale / scale + r;
    if a > GREATEST {
        return Err(StatsError::OutOfRange { name: "v over scale^2", value: a });
    }
    Ok(scale * unit_scale(a, r, -alpha.ln()))
}

/// The boundary in units of `scale`; `r` and `a` as above.
fn unit_scale(a: f64, r: f64, target: f64) -> f64 {
    let constant = 0.5 * (r / a).ln() + stirling_error(a) - stirling_error(r) - lower_gamma(r, r).ln();
    let log_mixture = |s: f64| constant + lower_gamma(a, a + s).ln() + a * excess(s / a);
    let mut low = 0.0;
    // The boundary of the normal mixture plus the linear part of an exponential tail.
    let needed = target + 0.5 * (a / r).ln() + 1.0;
    let mut high = (2.0 * a * needed).sqrt() + needed;
    for _ in 0..DOUBLINGS {
        if log_mixture(high) >= target {
            break;
        }
        low = high;
        high *= 2.0;
    }
    for _ in 0..BISECTION_STEPS {
        let middle = f64::midpoint(low, high);
        if high - low <= 4.0 * f64::EPSILON * high {
            break;
        }
        if log_mixture(middle) < target {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// `u - ln(1 + u)` for `u >= 0`, by its series where the difference would cancel.
fn excess(u: f64) -> f64 {
    if u > 0.05 {
        return u - u.ln_1p();
    }
    // u^2 / 2 - u^3 / 3 + ...; the twelfth term is below 1e-17 of the first.
    let terms = (2..14).rev().map(f64::from);
    u * u * terms.fold(0.0, |rest, k| 1.0 / k - u * rest)
}

/// `ln G(x) - (x - 1/2) ln x + x - ln(2 pi) / 2` (Abramowitz & Stegun 1964, 6.1.41).
fn stirling_error(x: f64) -> f64 {
    if x < 10.0 {
        return libm::lgamma(x) - (x - 0.5) * x.ln() + x - 0.5 * (2.0 * PI).ln();
    }
    let square = 1.0 / (x * x);
    let series = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1_260.0, -1.0 / 1_680.0, 1.0 / 1_188.0, -691.0 / 360_360.0];
    series.iter().rev().fold(0.0, |rest, term| term + square * rest) / x
}

/// `P(a, x)`, the regularised lower incomplete gamma function, for `x >= a > 0`.
///
/// For large `a` by Temme's uniform expansion (SIAM Journal on Mathematical Analysis 1979; NIST DLMF 8.12): with
/// `e^2 / 2 = u - ln(1 + u)` and `u = x / a - 1`, the upper function is
/// `erfc(e sqrt(a / 2)) / 2 + exp(-a e^2 / 2) / sqrt(2 pi a) (c0(e) + c1(e) / a)`. Where `e` is too large for
/// the series of `c0` and `c1`, the exponential is 0.
fn lower_gamma(a: f64, x: f64) -> f64 {
    if a < LARGE {
        return distribution::gamma_lower(a, x);
    }
    let e = (2.0 * excess((x - a) / a)).sqrt();
    let c0 = -1.0 / 3.0 + e * (1.0 / 12.0 + e * (-2.0 / 135.0 + e * (1.0 / 864.0 + e / 2_835.0)));
    let c1 = -1.0 / 540.0 - e / 288.0;
    let rest = (-0.5 * a * e * e).exp() / (2.0 * PI * a).sqrt() * (c0 + c1 / a);
    1.0 - (distribution::normal_cdf(-e * a.sqrt()) + rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn the_worked_example() {
        assert_close(gamma_exponential_mixture(100.0, 0.05, 100.0, 2.0).unwrap(), 33.020_17, 5e-6);
    }

    /// mpmath 1.4.1 with 30 digits, `gammainc(10000, 0, x, regularized=True)`, for the function on both sides of the
    /// change of method.
    #[test]
    fn the_incomplete_gamma_function_of_mpmath() {
        for (x, expected) in [
            (1e4, 0.501_329_808_339_955_2),
            (1e4 + 30.0, 0.619_067_656_024_181_4),
            (1e4 + 100.0, 0.841_348_750_447_179_7),
            (1e4 + 300.0, 0.998_529_505_103_614_3),
        ] {
            assert_close(lower_gamma(LARGE, x), expected, 1e-12);
            assert_close(distribution::gamma_lower(LARGE, x), expected, 1e-10);
        }
    }

    /// mpmath 1.4.1 with 30 digits, `loggamma(x) - (x - 1/2) log(x) + x - log(2 pi) / 2`.
    #[test]
    fn the_error_of_stirling_of_mpmath() {
        for (x, expected) in [
            (0.1, 0.512_740_081_331_915),
            (3.0, 0.027_677_925_684_998_34),
            (10.0, 0.008_330_563_433_362_87),
            (50.0, 0.001_666_644_446_983_365_5),
            (1e6, 8.333_333_333_305_556e-8),
        ] {
            assert_close(stirling_error(x), expected, 1e-14);
        }
        assert_close(excess(0.05) / (0.05 - 0.05_f64.ln_1p()), 1.0, 1e-13);
    }

    /// With a vanishing scale the tail is Gaussian, and the mixture that of `normal_mixture_one_sided`.
    #[test]
    fn a_vanishing_scale_is_gaussian() {
        use crate::confidence_sequence::known::normal_mixture_one_sided;
        for v in [1.0, 100.0, 5_000.0] {
            let normal = normal_mixture_one_sided(v, 0.025, 100.0).unwrap();
            assert_close(gamma_exponential_mixture(v, 0.025, 100.0, 1e-4).unwrap() / normal, 1.0, 1e-4);
        }
    }

    #[test]
    fn what_it_refuses() {
        for (v, alpha, v_opt, scale) in [
            (-1.0, 0.05, 1.0, 1.0),
            (f64::NAN, 0.05, 1.0, 1.0),
            (1.0, 0.5, 1.0, 1.0),
            (1.0, 0.05, 0.0, 1.0),
            (1.0, 0.05, 1.0, f64::INFINITY),
            (1.0, 0.05, 1.0, 1e200),
            (1.0, 0.05, 1.0, 1e-200),
        ] {
            assert!(gamma_exponential_mixture(v, alpha, v_opt, scale).is_err());
        }
    }
}
