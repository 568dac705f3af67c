//! The one error of the crate: what about the numbers makes the question unanswerable.

/// Why a statistic has no answer. Each message says what, where, and the next step.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum StatsError {
    /// No observations at all.
    #[error("there are no observations; wait for the first one")]
    Empty,
    /// A covariate that is constant, or that those before it determine; `index` counts covariates from 0.
    #[error("covariate {index} is constant or determined by those before it; leave it out")]
    Redundant {
        /// Position of the covariate.
        index: usize,
    },
    /// Two inputs that must describe the same units differ in length.
    #[error("the first input has {left} entries and the second {right}; give one of each per unit")]
    LengthMismatch {
        /// Entries in the first input.
        left: usize,
        /// Entries in the second input.
        right: usize,
    },
    /// A NaN or an infinity; `index` counts from 0 and is 0 for a lone number.
    #[error("entry {index} is not a finite number; leave missing values out and count them apart")]
    NotFinite {
        /// Position of the first such entry.
        index: usize,
    },
    /// All labels are equal, so nothing can be ranked against anything.
    #[error("all labels are equal; a ranking needs both positives and negatives")]
    OneClass,
    /// A number outside the range that the function documents.
    #[error("{name} is {value}, outside the range this statistic is defined for; see its documentation")]
    OutOfRange {
        /// Which number.
        name: &'static str,
        /// What it was.
        value: f64,
    },
}
