//! How well a score puts positives before negatives. Owns measures that only use the order of the scores;
//! refuses any threshold and any reading of a score as a probability (see [`crate::calibration`]).

use std::cmp::Ordering;

use crate::{StatsError, check};

/// The area under the receiver operating characteristic: the chance that a random positive scores above a
/// random negative, a tie counting half.
///
/// With mid-ranks `r_i` (tied scores share the average of their ranks), `m` positives and `k` negatives,
/// `AUC = (sum of r_i over positives - m (m + 1) / 2) / (m k)`; Mann & Whitney (1947), read as an area by Hanley &
/// McNeil, "The Meaning and Use of the Area under a ROC Curve" (Radiology 1982). Takes `O(n log n)` time.
///
/// `scores` and `labels` are one entry per unit; the result is in `[0, 1]`, and 0.5 is a coin.
///
/// Worked example: scores `[0.1, 0.4, 0.35, 0.8]` with labels `[no, no, yes, yes]` win 3 of 4 pairs: 0.75.
///
/// Errors: `LengthMismatch`; `Empty`; `NotFinite`; `OneClass` without a positive or without a negative.
pub fn auc(scores: &[f64], labels: &[bool]) -> Result<f64, StatsError> {
    check::paired(scores, labels)?;
    let positives = labels.iter().filter(|&&label| label).count() as f64;
    let negatives = labels.len() as f64 - positives;
    if positives < 1.0 || negatives < 1.0 {
        return Err(StatsError::OneClass);
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let mut rank_sum = 0.0;
    let mut ranked = 0_usize;
    for group in order.chunk_by(|&a, &b| tied(scores[a], scores[b])) {
        let mid_rank = ranked as f64 + f64::midpoint(1.0, group.len() as f64);
        rank_sum += mid_rank * group.iter().filter(|&&unit| labels[unit]).count() as f64;
        ranked += group.len();
    }
    Ok((rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

/// Whether two scores are equal as numbers; 0 and -0 are, which the total order of the sort tells apart.
pub(crate) fn tied(a: f64, b: f64) -> bool {
    a.partial_cmp(&b) == Some(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn the_worked_example() {
        let auc = auc(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]).unwrap();
        assert_close(auc, 0.75, 0.0);
    }

    #[test]
    fn a_constant_score_is_a_coin() {
        assert_close(auc(&[0.0, -0.0, 0.0], &[true, false, false]).unwrap(), 0.5, 0.0);
    }

    #[test]
    fn what_it_refuses() {
        assert_eq!(auc(&[], &[]), Err(StatsError::Empty));
        assert_eq!(auc(&[0.1], &[]), Err(StatsError::LengthMismatch { left: 1, right: 0 }));
        assert_eq!(auc(&[0.1, 0.2], &[true, true]), Err(StatsError::OneClass));
        assert_eq!(auc(&[0.1, f64::NAN], &[true, false]), Err(StatsError::NotFinite { index: 1 }));
    }
}
