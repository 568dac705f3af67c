//! Count, sum and sum of squares: what an average and its variance need, and all that has to be kept of the
//! units.
//!
//! Owns the arithmetic that lets a stream be added to, corrected and merged from parts. Refuses to keep the
//! values themselves, so there are no quantiles here.

mod bivariate;
mod cross_products;

pub use bivariate::BivariateMoments;
pub use cross_products::{CrossProducts, MAX_VARIABLES};

/// Sufficient statistics of the mean and the variance of a stream of numbers.
///
/// `sum` is in the unit of the values and `sum_squares` in its square. Each push rounds once, so sums over
/// `n` values carry a relative error of about `n * 1e-16`. The variance is formed by subtraction and loses
/// about `2 * log10(|mean| / standard deviation)` of its 16 digits: centre values such as timestamps before
/// pushing them; money per unit needs no such care.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    /// Number of values.
    pub n: u64,
    /// Sum of the values.
    pub sum: f64,
    /// Sum of the squared values.
    pub sum_squares: f64,
}

impl Moments {
    /// The moments of all `values`.
    ///
    /// Worked example: `[2, 4, 4, 4, 5, 5, 7, 9]` has `n = 8`, `sum = 40`, `sum_squares = 232`, mean 5 and
    /// variance `(232 - 40^2 / 8) / 7 = 32 / 7`.
    pub fn from_values(values: &[f64]) -> Self {
        let mut moments = Self::default();
        for &value in values {
            moments.push(value);
        }
        moments
    }

    /// Adds one value. A value that is not finite spoils the sums, and [`mean`](Self::mean) is `None` from
    /// then on.
    pub fn push(&mut self, x: f64) {
        self.n += 1;
        self.sum += x;
        self.sum_squares += x * x;
    }

    /// Takes back a value that was pushed before, for instance when a refund replaces an outcome. Taking back
    /// the last one leaves exact zeros; taking from nothing does nothing. Whether `x` was ever pushed cannot
    /// be known here.
    pub fn remove(&mut self, x: f64) {
        if self.n <= 1 {
            *self = Self::default();
            return;
        }
        self.n -= 1;
        self.sum -= x;
        self.sum_squares -= x * x;
    }

    /// The moments of both streams together; the order does not matter beyond rounding.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            n: self.n + other.n,
            sum: self.sum + other.sum,
            sum_squares: self.sum_squares + other.sum_squares,
        }
    }

    /// The average, in the unit of the values; `None` without values or after one that was not finite.
    pub fn mean(&self) -> Option<f64> {
        let mean = self.sum / self.n as f64;
        (self.n > 0 && mean.is_finite()).then_some(mean)
    }

    /// The unbiased variance `(sum_squares - sum^2 / n) / (n - 1)`, in the squared unit of the values and
    /// never below 0; `None` with fewer than two values or after one that was not finite.
    pub fn variance(&self) -> Option<f64> {
        if self.n < 2 {
            return None;
        }
        let n = self.n as f64;
        let variance = (self.sum_squares - self.sum * (self.sum / n)) / (n - 1.0);
        variance.is_finite().then(|| variance.max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn the_worked_example() {
        let moments = Moments::from_values(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(moments, Moments { n: 8, sum: 40.0, sum_squares: 232.0 });
        assert_eq!(moments.mean(), Some(5.0));
        assert_close(moments.variance().unwrap(), 32.0 / 7.0, 1e-15);
    }

    #[test]
    fn removing_undoes_pushing() {
        let mut moments = Moments::from_values(&[1.5, 2.5]);
        moments.remove(2.5);
        assert_eq!(moments, Moments::from_values(&[1.5]));
        moments.remove(1.5);
        moments.remove(1.5);
        assert_eq!(moments, Moments::default());
    }

    #[test]
    fn too_few_or_spoiled_values_have_no_answer() {
        assert_eq!(Moments::default().mean(), None);
        assert_eq!(Moments::from_values(&[3.0]).variance(), None);
        let spoiled = Moments::from_values(&[1.0, f64::NAN, 2.0]);
        assert_eq!((spoiled.mean(), spoiled.variance()), (None, None));
    }

    #[test]
    fn rounding_never_makes_a_variance_negative() {
        assert!(Moments::from_values(&[0.1; 7]).variance().unwrap() >= 0.0);
    }
}
