//! Quantiles of a finite sample. Owns one definition, type 7 of Hyndman & Fan, "Sample Quantiles in
//! Statistical Packages" (The American Statistician 1996), which is the default of R and NumPy. Refuses the
//! other eight.

use crate::{StatsError, check};

/// The `q`-quantile, `0 <= q <= 1`, in the unit of the values.
///
/// With the values in ascending order `x[0..n]` and `h = (n - 1) q`, the answer is
/// `x[floor h] + (h - floor h) (x[floor h + 1] - x[floor h])`.
///
/// Sorts the slice in place, so a second call on the same slice costs one pass.
///
/// Worked example: of `[4, 1, 3, 2]` the median is 2.5 and the 0.9-quantile 3.7.
///
/// Errors: `Empty`; `NotFinite`; `OutOfRange` for `q` outside `[0, 1]`.
pub fn quantile(values: &mut [f64], q: f64) -> Result<f64, StatsError> {
    check::finite(values)?;
    if !(0.0..=1.0).contains(&q) {
        return Err(StatsError::OutOfRange { name: "q", value: q });
    }
    values.sort_unstable_by(f64::total_cmp);
    Ok(of_sorted(values, q))
}

/// As [`quantile`], for finite values in ascending order, at least one, and `q` in `[0, 1]`.
pub(crate) fn of_sorted(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len() - 1;
    let position = last as f64 * q;
    let below = (position as usize).min(last);
    let above = (below + 1).min(last);
    let fraction = position - below as f64;
    // Weights instead of a difference, so that two huge values of opposite sign cannot overflow.
    sorted[below] * (1.0 - fraction) + sorted[above] * fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn the_worked_example() {
        let mut values = [4.0, 1.0, 3.0, 2.0];
        assert_close(quantile(&mut values, 0.5).unwrap(), 2.5, 0.0);
        assert_close(quantile(&mut values, 0.9).unwrap(), 3.7, 1e-15);
        assert_close(quantile(&mut values, 0.0).unwrap(), 1.0, 0.0);
        assert_close(quantile(&mut values, 1.0).unwrap(), 4.0, 0.0);
    }

    #[test]
    fn what_it_refuses() {
        assert_eq!(quantile(&mut [], 0.5), Err(StatsError::Empty));
        assert_eq!(quantile(&mut [1.0, f64::NAN], 0.5), Err(StatsError::NotFinite { index: 1 }));
        assert_eq!(quantile(&mut [1.0], 1.5), Err(StatsError::OutOfRange { name: "q", value: 1.5 }));
        assert!(quantile(&mut [1.0], f64::NAN).is_err());
    }
}
