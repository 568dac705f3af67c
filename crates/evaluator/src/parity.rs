//! How far scores are from those that they should be.
//!
//! Owns the comparison behind a conversion: the scores of the library that trained a model, and those of the file that
//! it was exported to. It refuses to judge; a caller sets the limit.

/// The absolute differences between two lists of scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Parity {
    /// The largest difference; infinite where one list has a score and the other has none.
    pub max_abs: f64,
    /// The mean difference.
    pub mean_abs: f64,
    /// Where the largest difference is; `None` if nothing was compared.
    pub worst: Option<usize>,
    /// All differences, ascending.
    ascending: Vec<f64>,
}

impl Parity {
    /// How many pairs were compared.
    pub fn count(&self) -> usize {
        self.ascending.len()
    }

    /// The share of the pairs, 0 to 1, that differ by more than `limit`.
    pub fn share_beyond(&self, limit: f64) -> f64 {
        let within = self.ascending.partition_point(|difference| *difference <= limit);
        (self.count() - within) as f64 / self.count().max(1) as f64
    }
}

/// Compares scores in pairs. Two scores that are not a number agree; a score beside none, or beside one that is not a
/// number, is infinitely far.
///
/// ```
/// let parity = greenlight_evaluator::parity(&[0.25, 0.5, 1.0, 0.0], &[0.25, 0.75, 1.0, 0.0]);
/// assert_eq!((parity.max_abs, parity.mean_abs, parity.worst), (0.25, 0.0625, Some(1)));
/// assert_eq!(parity.share_beyond(1e-4), 0.25);
/// ```
pub fn parity(reference: &[f64], scored: &[f64]) -> Parity {
    let count = reference.len().max(scored.len());
    let differences: Vec<f64> =
        (0..count).map(|place| difference(reference.get(place), scored.get(place))).collect();
    let worst = (0..count)
        .max_by(|one, other| differences[*one].total_cmp(&differences[*other]).then(other.cmp(one)));
    let mean_abs = differences.iter().sum::<f64>() / count.max(1) as f64;
    let mut ascending = differences;
    ascending.sort_unstable_by(f64::total_cmp);
    Parity { max_abs: ascending.last().copied().unwrap_or(0.0), mean_abs, worst, ascending }
}

fn difference(reference: Option<&f64>, scored: Option<&f64>) -> f64 {
    match (reference, scored) {
        (Some(reference), Some(scored)) if reference == scored => 0.0,
        (Some(reference), Some(scored)) if reference.is_nan() && scored.is_nan() => 0.0,
        (Some(reference), Some(scored)) if !reference.is_nan() && !scored.is_nan() => {
            (reference - scored).abs()
        }
        _ => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_compared_is_infinitely_far() {
        assert_eq!(parity(&[1.0, 2.0], &[1.0]).max_abs, f64::INFINITY);
        assert_eq!(parity(&[1.0], &[f64::NAN]).max_abs, f64::INFINITY);
        assert_eq!(parity(&[f64::NAN, f64::INFINITY], &[f64::NAN, f64::INFINITY]).max_abs, 0.0);
        assert_eq!(parity(&[], &[]).share_beyond(0.0), 0.0);
    }
}
