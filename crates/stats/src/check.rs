//! Input checks that several modules share. Each answers with the error that its caller passes on.

use crate::StatsError;

/// Refuses an empty slice and the first entry that is NaN or infinite.
pub(crate) fn finite(values: &[f64]) -> Result<(), StatsError> {
    if values.is_empty() {
        return Err(StatsError::Empty);
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(StatsError::NotFinite { index }),
        None => Ok(()),
    }
}

/// Refuses slices that are empty, of different length, or not finite.
pub(crate) fn paired(scores: &[f64], labels: &[bool]) -> Result<(), StatsError> {
    same_length(scores.len(), labels.len())?;
    finite(scores)
}

/// As [`paired`], and every score must be a probability in `[0, 1]`.
pub(crate) fn probabilities(scores: &[f64], labels: &[bool]) -> Result<(), StatsError> {
    paired(scores, labels)?;
    match scores.iter().find(|score| !(0.0..=1.0).contains(*score)) {
        Some(&value) => Err(StatsError::OutOfRange { name: "score", value }),
        None => Ok(()),
    }
}

/// Refuses two lengths that differ.
pub(crate) fn same_length(left: usize, right: usize) -> Result<(), StatsError> {
    if left == right { Ok(()) } else { Err(StatsError::LengthMismatch { left, right }) }
}

/// Refuses a value that is not strictly between 0 and 1; NaN is refused too.
pub(crate) fn open_unit(name: &'static str, value: f64) -> Result<(), StatsError> {
    if value > 0.0 && value < 1.0 { Ok(()) } else { Err(StatsError::OutOfRange { name, value }) }
}

/// Refuses a value that is not finite and greater than 0.
pub(crate) fn positive(name: &'static str, value: f64) -> Result<(), StatsError> {
    if value.is_finite() && value > 0.0 { Ok(()) } else { Err(StatsError::OutOfRange { name, value }) }
}
