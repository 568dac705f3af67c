//! How much of a log speaks about the target policy. Owns figures about the weights alone; refuses to look at
//! rewards, so that a verdict on them cannot depend on the answer.

use super::{Log, estimator::mean_and_variance};
use crate::StatsError;

/// The weights in figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Diagnostics {
    /// Rows of the log.
    pub rows: u64,
    /// Kish's effective number of rows, `(sum of w)^2 / sum of w^2`, from 0 to `rows`.
    pub effective_rows: f64,
    /// The mean weight: 1 in expectation where the log supports the target and the propensities are right.
    pub mean_weight: f64,
    /// The standard error of the mean weight; infinite for a single row.
    pub mean_weight_standard_error: f64,
    /// The largest weight.
    pub largest_weight: f64,
    /// The row of the largest weight, counted from 0.
    pub largest_weight_row: usize,
    /// The share of the largest weight in the sum of weights, in `[0, 1]`.
    pub largest_row_share: f64,
    /// The share of rows with weight 0, which say nothing about the target, in `[0, 1]`.
    pub share_without_weight: f64,
}

/// The figures of the log's weights. The effective number of rows is how many rows of the target's own traffic
/// would tell as much, rewards varying alike (Kish, Survey Sampling, 1965).
///
/// Worked example: weights 2, 2, 0 and 4 have the effective number of rows `8^2 / 24 = 8/3`, the mean 2, the
/// largest weight 4 in row 3 with a share of 1/2, and a quarter of the rows without weight.
///
/// Errors: those of [`Log::weights`].
pub fn diagnostics(log: &Log<'_>) -> Result<Diagnostics, StatsError> {
    Ok(of_weights(&log.weights()?))
}

/// As [`diagnostics`], for weights that [`Log::weights`] made.
pub(super) fn of_weights(weights: &[f64]) -> Diagnostics {
    let rows = weights.len();
    let mut largest_weight_row = 0;
    let mut largest_weight = 0.0;
    for (row, &weight) in weights.iter().enumerate() {
        if weight > largest_weight {
            (largest_weight_row, largest_weight) = (row, weight);
        }
    }
    // Relative to the largest, so that neither sums nor squares of huge weights can overflow.
    let relative: Vec<f64> = weights
        .iter()
        .map(|weight| if largest_weight > 0.0 { weight / largest_weight } else { 0.0 })
        .collect();
    let sum: f64 = relative.iter().sum();
    let squares: f64 = relative.iter().map(|weight| weight * weight).sum();
    let (mean, variance) = mean_and_variance(&relative);
    let any = sum > 0.0;
    Diagnostics {
        rows: rows as u64,
        effective_rows: if any { sum * sum / squares } else { 0.0 },
        mean_weight: mean * largest_weight,
        mean_weight_standard_error: if rows < 2 { f64::INFINITY } else { variance.sqrt() * largest_weight },
        largest_weight,
        largest_weight_row,
        largest_row_share: if any { 1.0 / sum } else { 0.0 },
        share_without_weight: weights.iter().filter(|weight| **weight <= 0.0).count() as f64 / rows as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn the_worked_example() {
        let log = Log {
            rewards: &[0.0; 4],
            logged_propensities: &[0.5, 0.5, 0.5, 0.25],
            target_propensities: &[1.0, 1.0, 0.0, 1.0],
        };
        let found = diagnostics(&log).unwrap();
        assert_close(found.effective_rows, 8.0 / 3.0, 1e-15);
        assert_eq!((found.rows, found.mean_weight, found.largest_weight), (4, 2.0, 4.0));
        assert_eq!((found.largest_weight_row, found.largest_row_share), (3, 0.5));
        assert_eq!(found.share_without_weight, 0.25);
        assert_close(found.mean_weight_standard_error, (8.0_f64 / 12.0).sqrt(), 1e-15);
    }

    #[test]
    fn no_weight_at_all_and_huge_weights_stay_numbers() {
        let none = of_weights(&[0.0, 0.0]);
        assert_eq!((none.effective_rows, none.largest_row_share, none.share_without_weight), (0.0, 0.0, 1.0));
        let huge = of_weights(&[1e308, 1e308, 1e308]);
        assert_close(huge.effective_rows, 3.0, 1e-12);
        assert_eq!((huge.mean_weight, huge.mean_weight_standard_error), (1e308, 0.0));
        assert!(of_weights(&[1.0]).mean_weight_standard_error.is_infinite());
    }
}
