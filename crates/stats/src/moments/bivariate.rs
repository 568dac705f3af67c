//! Sums of two numbers per unit and of their products: what a ratio of means and its variance need. Owns the
//! same arithmetic as [`Moments`] for pairs; refuses to say which of the two is divided by which.

use super::Moments;
use crate::{StatsError, check};

/// Sufficient statistics of the means, the variances and the covariance of a stream of pairs, one pair per
/// unit of randomisation.
///
/// The sums are in the units of `x` and `y` and of their products. As with [`Moments`], the variances and the
/// covariance are formed by subtraction; centre values whose mean is many standard deviations from 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BivariateMoments {
    /// Number of pairs.
    pub n: u64,
    /// Sum of the first numbers.
    pub sum_x: f64,
    /// Sum of the second numbers.
    pub sum_y: f64,
    /// Sum of the squared first numbers.
    pub sum_squares_x: f64,
    /// Sum of the squared second numbers.
    pub sum_squares_y: f64,
    /// Sum of `x y`.
    pub sum_products: f64,
}

impl BivariateMoments {
    /// The moments of all pairs, `x[i]` with `y[i]`.
    ///
    /// Worked example: `x = [1, 2, 3]` with `y = [2, 1, 6]` has `n = 3`, sums 6 and 9, sums of squares 14 and
    /// 41, `sum_products = 22` and covariance `(22 - 6 * 9 / 3) / 2 = 2`.
    ///
    /// Errors: `LengthMismatch`; `NotFinite` in either; `Empty`.
    pub fn from_pairs(x: &[f64], y: &[f64]) -> Result<Self, StatsError> {
        check::same_length(x.len(), y.len())?;
        check::finite(x)?;
        check::finite(y)?;
        let mut moments = Self::default();
        for (&x, &y) in x.iter().zip(y) {
            moments.push(x, y);
        }
        Ok(moments)
    }

    /// Adds one pair. A number that is not finite spoils the sums, and what is derived from them is `None`
    /// from then on.
    pub fn push(&mut self, x: f64, y: f64) {
        self.n += 1;
        self.sum_x += x;
        self.sum_y += y;
        self.sum_squares_x += x * x;
        self.sum_squares_y += y * y;
        self.sum_products += x * y;
    }

    /// Takes back a pair that was pushed before. Taking back the last one leaves exact zeros; taking from
    /// nothing does nothing. A unit that grows, say by one more session, is its old pair removed and its new
    /// one pushed.
    pub fn remove(&mut self, x: f64, y: f64) {
        if self.n <= 1 {
            *self = Self::default();
            return;
        }
        self.n -= 1;
        self.sum_x -= x;
        self.sum_y -= y;
        self.sum_squares_x -= x * x;
        self.sum_squares_y -= y * y;
        self.sum_products -= x * y;
    }

    /// The moments of both streams together; the order does not matter beyond rounding. The streams must hold
    /// different units: a unit in both counts twice.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            n: self.n + other.n,
            sum_x: self.sum_x + other.sum_x,
            sum_y: self.sum_y + other.sum_y,
            sum_squares_x: self.sum_squares_x + other.sum_squares_x,
            sum_squares_y: self.sum_squares_y + other.sum_squares_y,
            sum_products: self.sum_products + other.sum_products,
        }
    }

    /// The moments of the first numbers alone.
    pub fn x(&self) -> Moments {
        Moments { n: self.n, sum: self.sum_x, sum_squares: self.sum_squares_x }
    }

    /// The moments of the second numbers alone.
    pub fn y(&self) -> Moments {
        Moments { n: self.n, sum: self.sum_y, sum_squares: self.sum_squares_y }
    }

    /// The unbiased covariance `(sum_products - sum_x sum_y / n) / (n - 1)`; `None` with fewer than two pairs
    /// or after a number that was not finite.
    pub fn covariance(&self) -> Option<f64> {
        if self.n < 2 {
            return None;
        }
        let n = self.n as f64;
        let covariance = (self.sum_products - self.sum_x * (self.sum_y / n)) / (n - 1.0);
        covariance.is_finite().then_some(covariance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn the_worked_example() {
        let moments = BivariateMoments::from_pairs(&[1.0, 2.0, 3.0], &[2.0, 1.0, 6.0]).unwrap();
        let by_hand = BivariateMoments {
            n: 3,
            sum_x: 6.0,
            sum_y: 9.0,
            sum_squares_x: 14.0,
            sum_squares_y: 41.0,
            sum_products: 22.0,
        };
        assert_eq!(moments, by_hand);
        assert_close(moments.covariance().unwrap(), 2.0, 1e-15);
        assert_close(moments.x().variance().unwrap(), 1.0, 1e-15);
        assert_close(moments.y().variance().unwrap(), 7.0, 1e-15);
    }

    #[test]
    fn removing_undoes_pushing() {
        let mut moments = BivariateMoments::default();
        moments.push(1.5, 4.0);
        let one = moments;
        moments.push(2.5, -3.0);
        moments.remove(2.5, -3.0);
        assert_eq!(moments, one);
        moments.remove(1.5, 4.0);
        moments.remove(1.5, 4.0);
        assert_eq!(moments, BivariateMoments::default());
    }

    #[test]
    fn too_few_or_spoiled_pairs_have_no_answer() {
        assert_eq!(BivariateMoments::default().covariance(), None);
        let mut moments = BivariateMoments::from_pairs(&[1.0, 2.0], &[1.0, 3.0]).unwrap();
        moments.push(f64::NAN, 1.0);
        assert_eq!(moments.covariance(), None);
        let refused = BivariateMoments::from_pairs(&[1.0], &[1.0, 2.0]);
        assert_eq!(refused, Err(StatsError::LengthMismatch { left: 1, right: 2 }));
        let refused = BivariateMoments::from_pairs(&[1.0, 2.0], &[1.0, f64::INFINITY]);
        assert_eq!(refused, Err(StatsError::NotFinite { index: 1 }));
    }
}
