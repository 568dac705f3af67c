//! Sums and sums of products of several numbers per unit: what a regression needs, and all that has to be kept
//! of the units. Owns the same arithmetic as [`BivariateMoments`](super::BivariateMoments) for any number of
//! variables; refuses to say which of them is explained by which.

use super::Moments;
use crate::{StatsError, check};

/// The most variables that are kept together: one outcome and 63 covariates.
pub const MAX_VARIABLES: usize = 64;

/// Sufficient statistics of the means and the covariance matrix of a stream of rows, one row per unit.
///
/// As with [`Moments`], covariances are formed by subtraction; centre variables whose mean is many standard
/// deviations from 0.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossProducts {
    n: u64,
    sums: Vec<f64>,
    /// Lower triangle of the matrix of sums of products, row by row.
    products: Vec<f64>,
}

impl CrossProducts {
    /// No rows yet of `variables` numbers each.
    ///
    /// Errors: `OutOfRange` unless `variables` is in `1..=64`.
    pub fn new(variables: usize) -> Result<Self, StatsError> {
        if !(1..=MAX_VARIABLES).contains(&variables) {
            return Err(StatsError::OutOfRange { name: "number of variables", value: variables as f64 });
        }
        Ok(Self { n: 0, sums: vec![0.0; variables], products: vec![0.0; triangle(variables)] })
    }

    /// Statistics that were stored: the number of rows, the sum of each variable, and the lower triangle of
    /// the sums of products row by row, `[aa, ba, bb, ca, cb, cc, ...]`.
    ///
    /// Errors: as [`new`](Self::new); `LengthMismatch` when `products` has not `k (k + 1) / 2` entries for `k`
    /// sums; `NotFinite` in either.
    pub fn from_sums(n: u64, sums: &[f64], products: &[f64]) -> Result<Self, StatsError> {
        let empty = Self::new(sums.len())?;
        check::same_length(products.len(), empty.products.len())?;
        check::finite(sums)?;
        check::finite(products)?;
        Ok(Self { n, sums: sums.to_vec(), products: products.to_vec() })
    }

    /// Adds one row. A row that is refused changes nothing.
    ///
    /// Worked example: the rows `[2, 1]`, `[1, 2]` and `[6, 3]` have sums `[9, 6]` and products
    /// `[41, 22, 14]`.
    ///
    /// Errors: `LengthMismatch` when the row has not one number per variable; `NotFinite`.
    pub fn push(&mut self, row: &[f64]) -> Result<(), StatsError> {
        self.check_row(row)?;
        self.n += 1;
        self.add(row, 1.0);
        Ok(())
    }

    /// Takes back a row that was pushed before. Taking back the last one leaves exact zeros; taking from
    /// nothing does nothing.
    ///
    /// Errors: as [`push`](Self::push).
    pub fn remove(&mut self, row: &[f64]) -> Result<(), StatsError> {
        self.check_row(row)?;
        if self.n <= 1 {
            self.n = 0;
            self.sums.fill(0.0);
            self.products.fill(0.0);
        } else {
            self.n -= 1;
            self.add(row, -1.0);
        }
        Ok(())
    }

    /// The statistics of both streams together; the order does not matter beyond rounding. The streams must
    /// hold different units.
    ///
    /// Errors: `LengthMismatch` when they have different numbers of variables.
    pub fn merge(&self, other: &Self) -> Result<Self, StatsError> {
        check::same_length(self.sums.len(), other.sums.len())?;
        let add = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect();
        Ok(Self {
            n: self.n + other.n,
            sums: add(&self.sums, &other.sums),
            products: add(&self.products, &other.products),
        })
    }

    /// Number of rows.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Numbers in a row.
    pub fn variables(&self) -> usize {
        self.sums.len()
    }

    /// The sum of each variable, as [`from_sums`](Self::from_sums) takes it.
    pub fn sums(&self) -> &[f64] {
        &self.sums
    }

    /// The lower triangle of the sums of products, as [`from_sums`](Self::from_sums) takes it.
    pub fn products(&self) -> &[f64] {
        &self.products
    }

    /// The moments of one variable; `None` when there is no such variable.
    pub fn moments(&self, variable: usize) -> Option<Moments> {
        let sum = *self.sums.get(variable)?;
        Some(Moments { n: self.n, sum, sum_squares: self.product(variable, variable)? })
    }

    /// The unbiased covariance of two variables, or the variance of one; `None` with fewer than two rows, after
    /// an overflow, and when there is no such variable.
    ///
    /// Worked example: for the three rows above, `(22 - 9 * 6 / 3) / 2 = 2`.
    pub fn covariance(&self, one: usize, other: usize) -> Option<f64> {
        let covariance = self.centred_product(one, other)? / (self.n as f64 - 1.0);
        (self.n > 1 && covariance.is_finite()).then_some(covariance)
    }

    /// The sum over units of the product of both variables' distances from their means.
    pub(crate) fn centred_product(&self, one: usize, other: usize) -> Option<f64> {
        let (a, b) = (self.sums.get(one)?, self.sums.get(other)?);
        Some(self.product(one, other)? - a * (b / self.n as f64))
    }

    /// The sum of products of two variables.
    pub(crate) fn product(&self, one: usize, other: usize) -> Option<f64> {
        let (low, high) = (one.min(other), one.max(other));
        self.products.get(triangle(high) + low).copied()
    }

    fn add(&mut self, row: &[f64], sign: f64) {
        for (sum, value) in self.sums.iter_mut().zip(row) {
            *sum += sign * value;
        }
        let pairs = (0..row.len()).flat_map(|i| (0..=i).map(move |j| (i, j)));
        for (product, (i, j)) in self.products.iter_mut().zip(pairs) {
            *product += sign * row[i] * row[j];
        }
    }

    fn check_row(&self, row: &[f64]) -> Result<(), StatsError> {
        check::same_length(self.sums.len(), row.len())?;
        check::finite(row)
    }
}

/// Entries of the lower triangle of a matrix with `rows` rows, which is also where row `rows` begins.
fn triangle(rows: usize) -> usize {
    rows * (rows + 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{close::assert_close, moments::BivariateMoments};

    fn of(rows: &[&[f64]]) -> CrossProducts {
        let mut all = CrossProducts::new(rows[0].len()).unwrap();
        for row in rows {
            all.push(row).unwrap();
        }
        all
    }

    #[test]
    fn the_worked_example() {
        let all = of(&[&[2.0, 1.0], &[1.0, 2.0], &[6.0, 3.0]]);
        assert_eq!(all, CrossProducts::from_sums(3, &[9.0, 6.0], &[41.0, 22.0, 14.0]).unwrap());
        assert_close(all.covariance(0, 1).unwrap(), 2.0, 1e-15);
        assert_eq!(all.covariance(1, 0), all.covariance(0, 1));
        assert_eq!(all.moments(0), Some(Moments::from_values(&[2.0, 1.0, 6.0])));
    }

    #[test]
    fn every_pair_of_three_variables_is_kept() {
        let rows = [[1.0, 5.0, -2.0], [4.0, 0.5, 3.0], [2.0, 2.0, 9.0], [7.0, 1.0, 1.0]];
        let all = of(&[&rows[0], &rows[1], &rows[2], &rows[3]]);
        for (i, j) in [(0, 1), (0, 2), (1, 2)] {
            let [x, y] = [i, j].map(|at: usize| rows.map(|row| row[at]));
            let pair = BivariateMoments::from_pairs(&x, &y).unwrap();
            assert_close(all.covariance(i, j).unwrap(), pair.covariance().unwrap(), 1e-14);
        }
        assert_eq!((all.covariance(0, 3), all.moments(3)), (None, None));
    }

    #[test]
    fn merging_and_removing() {
        let (a, b) = (of(&[&[1.0, 2.0]]), of(&[&[3.0, 5.0], &[-1.0, 0.5]]));
        let mut both = a.merge(&b).unwrap();
        assert_eq!(both, of(&[&[1.0, 2.0], &[3.0, 5.0], &[-1.0, 0.5]]));
        both.remove(&[-1.0, 0.5]).unwrap();
        both.remove(&[3.0, 5.0]).unwrap();
        assert_eq!(both, a);
        both.remove(&[1.0, 2.0]).unwrap();
        both.remove(&[1.0, 2.0]).unwrap();
        assert_eq!(both, CrossProducts::new(2).unwrap());
    }

    #[test]
    fn what_it_refuses() {
        let mut all = of(&[&[1.0, 2.0]]);
        let before = all.clone();
        assert_eq!(all.push(&[1.0]), Err(StatsError::LengthMismatch { left: 2, right: 1 }));
        assert_eq!(all.push(&[1.0, f64::NAN]), Err(StatsError::NotFinite { index: 1 }));
        assert_eq!(all.remove(&[f64::NAN, 1.0]), Err(StatsError::NotFinite { index: 0 }));
        assert_eq!((&all, all.covariance(0, 0)), (&before, None));
        assert!(all.merge(&CrossProducts::new(3).unwrap()).is_err());
        assert!(CrossProducts::new(0).is_err() && CrossProducts::new(MAX_VARIABLES + 1).is_err());
        assert!(CrossProducts::from_sums(3, &[1.0, 1.0], &[1.0, 1.0]).is_err());
        assert!(CrossProducts::from_sums(3, &[1.0], &[f64::INFINITY]).is_err());
    }
}
