//! Whether a score of 0.3 means 3 in 10. Owns measures that read a score as the probability of the positive
//! label; refuses scores outside `[0, 1]` and leaves the order of scores to [`crate::ranking`].
//!
//! Every function takes one score and one label per unit and answers `LengthMismatch`, `Empty`, `NotFinite`,
//! or `OutOfRange` for a score outside `[0, 1]`; further errors are named where they occur.

use crate::{StatsError, check, ranking::tied};

/// How close to 0 and 1 [`log_loss`] lets a score come.
pub const LOG_LOSS_CLIP: f64 = 1e-15;

/// Units with neighbouring scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Number of units; at least 1.
    pub n: u64,
    /// Average score: the expected share of positives.
    pub mean_score: f64,
    /// Observed share of positives.
    pub observed: f64,
}

/// The Brier score: the mean of `(score - label)^2` with labels 0 and 1 (Brier, Monthly Weather Review 1950,
/// in the form for two classes). In `[0, 1]`, lower is better; always answering the base rate `r` scores
/// `r (1 - r)`.
///
/// Worked example: scores `[0.9, 0.2]` with labels `[yes, no]` give `(0.01 + 0.04) / 2 = 0.025`.
pub fn brier(scores: &[f64], labels: &[bool]) -> Result<f64, StatsError> {
    mean_loss(scores, labels, |score, label| {
        let error = score - f64::from(u8::from(label));
        error * error
    })
}

/// The logarithmic loss: the mean of `-ln(score)` over positives and `-ln(1 - score)` over negatives, in nats
/// (Good, Journal of the Royal Statistical Society B 1952). Lower is better.
///
/// Scores are clipped to `[1e-15, 1 - 1e-15]`, so one certain and wrong answer costs about 34.5 and not
/// infinity.
///
/// Worked example: scores `[0.5, 0.25]` with labels `[yes, no]` give `(ln 2 + ln 4/3) / 2 = 0.490415`.
pub fn log_loss(scores: &[f64], labels: &[bool]) -> Result<f64, StatsError> {
    mean_loss(scores, labels, |score, label| {
        let score = score.clamp(LOG_LOSS_CLIP, 1.0 - LOG_LOSS_CLIP);
        if label { -score.ln() } else { -(-score).ln_1p() }
    })
}

/// Observed over expected positives: the number of positives over the sum of the scores, "calibration in the
/// large" (Steyerberg, Clinical Prediction Models, 2nd edition 2019). 1 is calibrated; 2 means twice as many
/// as announced.
///
/// Worked example: 3 positives where the scores sum to 2 give 1.5.
///
/// Errors: also `OutOfRange` when all scores are 0, for then nothing was expected.
pub fn observed_over_expected(scores: &[f64], labels: &[bool]) -> Result<f64, StatsError> {
    check::probabilities(scores, labels)?;
    let expected: f64 = scores.iter().sum();
    check::positive("sum of scores", expected)?;
    Ok(labels.iter().filter(|&&label| label).count() as f64 / expected)
}

/// The expected calibration error: over the bins of [`bins`], the mean of `|observed - mean_score|` weighted
/// by units (Naeini, Cooper & Hauskrecht, AAAI 2015, with bins of equal count instead of equal width, so that
/// no bin is nearly empty). In `[0, 1]`; a calibrated score has a small positive value too, of order
/// `sqrt(bins / units)`.
///
/// Worked example: scores `[0.2, 0.2, 0.6, 0.6]` with labels `[no, no, yes, no]` in 2 bins are off by 0.2 and
/// by 0.1: 0.15.
///
/// Errors: also `OutOfRange` for 0 bins.
pub fn expected_calibration_error(scores: &[f64], labels: &[bool], bins: usize) -> Result<f64, StatsError> {
    let table = self::bins(scores, labels, bins)?;
    let weighted: f64 = table.iter().map(|bin| bin.n as f64 * (bin.observed - bin.mean_score).abs()).sum();
    Ok(weighted / scores.len() as f64)
}

/// The reliability table: units in ascending order of score, cut into `bins` parts of equal count.
///
/// A cut never separates equal scores (it moves up to the next change of score), so the table does not depend
/// on the order of the input, and has fewer rows than `bins` where scores repeat. Rows are in ascending order
/// of `mean_score` and no row is empty.
///
/// Worked example: scores `[0.6, 0.2, 0.6, 0.2]` with labels `[yes, no, no, no]` in 2 bins give
/// `(n 2, mean 0.2, observed 0)` and `(n 2, mean 0.6, observed 0.5)`.
///
/// Errors: also `OutOfRange` for 0 bins.
pub fn bins(scores: &[f64], labels: &[bool], bins: usize) -> Result<Vec<Bin>, StatsError> {
    check::probabilities(scores, labels)?;
    if bins == 0 {
        return Err(StatsError::OutOfRange { name: "bins", value: 0.0 });
    }
    let units = scores.len();
    let bins = bins.min(units);
    let mut order: Vec<usize> = (0..units).collect();
    order.sort_unstable_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let mut table = Vec::with_capacity(bins);
    let mut start = 0;
    for bin in 1..=bins {
        let mut end = bin * units / bins;
        while end < units && tied(scores[order[end - 1]], scores[order[end]]) {
            end += 1;
        }
        if end > start {
            table.push(summarise(&order[start..end], scores, labels));
            start = end;
        }
    }
    Ok(table)
}

fn summarise(units: &[usize], scores: &[f64], labels: &[bool]) -> Bin {
    let n = units.len() as f64;
    let score_sum: f64 = units.iter().map(|&unit| scores[unit]).sum();
    let positives = units.iter().filter(|&&unit| labels[unit]).count();
    Bin { n: units.len() as u64, mean_score: score_sum / n, observed: positives as f64 / n }
}

fn mean_loss(scores: &[f64], labels: &[bool], loss: impl Fn(f64, bool) -> f64) -> Result<f64, StatsError> {
    check::probabilities(scores, labels)?;
    let total: f64 = scores.iter().zip(labels).map(|(&score, &label)| loss(score, label)).sum();
    Ok(total / scores.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn the_worked_examples() {
        assert_close(brier(&[0.9, 0.2], &[true, false]).unwrap(), 0.025, 1e-15);
        assert_close(log_loss(&[0.5, 0.25], &[true, false]).unwrap(), 0.490_415, 5e-7);
        let ratio = observed_over_expected(&[0.5; 4], &[true, true, true, false]).unwrap();
        assert_close(ratio, 1.5, 1e-15);
        let error =
            expected_calibration_error(&[0.2, 0.2, 0.6, 0.6], &[false, false, true, false], 2).unwrap();
        assert_close(error, 0.15, 1e-15);
        let table = bins(&[0.6, 0.2, 0.6, 0.2], &[true, false, false, false], 2).unwrap();
        let expected =
            [Bin { n: 2, mean_score: 0.2, observed: 0.0 }, Bin { n: 2, mean_score: 0.6, observed: 0.5 }];
        assert_eq!(table, expected);
    }

    #[test]
    fn a_certain_and_wrong_answer_costs_a_finite_amount() {
        let loss = log_loss(&[0.0, 1.0], &[true, false]).unwrap();
        assert_close(loss, 15.0 * std::f64::consts::LN_10, 0.05);
    }

    #[test]
    fn equal_scores_share_a_bin() {
        let table = bins(&[0.5; 10], &[true; 10], 4).unwrap();
        assert_eq!(table, [Bin { n: 10, mean_score: 0.5, observed: 1.0 }]);
        let skewed = bins(&[0.0, 0.0, 0.0, 0.0, 0.3, 0.7], &[false; 6], 3).unwrap();
        assert_eq!(skewed.iter().map(|bin| bin.n).collect::<Vec<_>>(), [4, 2]);
    }

    #[test]
    fn more_bins_than_units_is_one_bin_a_score() {
        assert_eq!(bins(&[0.1, 0.2], &[true, false], usize::MAX).unwrap().len(), 2);
    }

    #[test]
    fn what_they_refuse() {
        assert_eq!(brier(&[], &[]), Err(StatsError::Empty));
        assert_eq!(brier(&[1.5], &[true]), Err(StatsError::OutOfRange { name: "score", value: 1.5 }));
        assert_eq!(log_loss(&[f64::NAN], &[true]), Err(StatsError::NotFinite { index: 0 }));
        assert!(matches!(
            observed_over_expected(&[0.0], &[false]),
            Err(StatsError::OutOfRange { name: "sum of scores", .. })
        ));
        assert!(bins(&[0.5], &[true], 0).is_err());
        assert!(bins(&[0.5], &[], 1).is_err());
    }
}
