//! An estimate with its two ends and the confidence they claim. Owns arithmetic on intervals; refuses to say
//! which method made one, because a reader compares intervals and not methods.

/// A point estimate between two ends, in the unit of what was estimated.
///
/// `low <= high` when made by this crate; the estimate usually lies between them, though a percentile
/// bootstrap of a very skewed sample may put it outside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The point estimate.
    pub estimate: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The claimed coverage in `(0, 1)`: 0.95 for an error rate alpha of 0.05.
    pub level: f64,
}

impl Interval {
    /// Half the distance between the ends, in the unit of the estimate.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }

    /// Whether `x` lies outside the closed interval. An interval with a NaN end excludes nothing on that
    /// side.
    ///
    /// Worked example: `[2, 6]` excludes 0 and does not exclude 2.
    pub fn excludes(&self, x: f64) -> bool {
        x < self.low || x > self.high
    }

    /// The interval of `k` times the quantity, for instance from an amount per unit to an amount per 1,000
    /// units. A negative `k` swaps the ends.
    ///
    /// Worked example: `[2, 6]` around 5, times -10, is `[-60, -20]` around -50.
    #[must_use]
    pub fn scale(&self, k: f64) -> Self {
        let (one, other) = (self.low * k, self.high * k);
        let (low, high) = if k < 0.0 { (other, one) } else { (one, other) };
        Self { estimate: self.estimate * k, low, high, level: self.level }
    }

    /// The interval of the quantity plus a known constant `d`, for instance after a fixed cost.
    ///
    /// Worked example: `[2, 6]` around 5, shifted by -3, is `[-1, 3]` around 2.
    #[must_use]
    pub fn shift(&self, d: f64) -> Self {
        Self { estimate: self.estimate + d, low: self.low + d, high: self.high + d, level: self.level }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: Interval = Interval { estimate: 5.0, low: 2.0, high: 6.0, level: 0.95 };

    #[test]
    fn the_worked_examples() {
        assert!(EXAMPLE.excludes(0.0) && EXAMPLE.excludes(6.1));
        assert!(!EXAMPLE.excludes(2.0) && !EXAMPLE.excludes(6.0));
        assert_eq!(EXAMPLE.scale(-10.0), Interval { estimate: -50.0, low: -60.0, high: -20.0, level: 0.95 });
        assert_eq!(EXAMPLE.shift(-3.0), Interval { estimate: 2.0, low: -1.0, high: 3.0, level: 0.95 });
        assert_eq!(EXAMPLE.half_width().to_bits(), 2.0_f64.to_bits());
    }

    #[test]
    fn a_nan_interval_excludes_nothing() {
        let unknown = Interval { low: f64::NAN, high: f64::NAN, ..EXAMPLE };
        assert!(!unknown.excludes(0.0));
    }
}
