//! What a linear model of one action's reward remembers: sums, and a factor of them that makes predictions cheap.
//! Owns their arithmetic; refuses to keep rows.

use super::cholesky::Factor;
use crate::{StatsError, check};

/// The most entries of a context.
pub const MAX_DIMENSION: usize = 512;

/// Updates between two fresh factors. Each update rounds; a fresh factor forgets the roundings.
const UPDATES_PER_FACTOR: u32 = 1_000;

/// Sums stay below this, so that products of them with a context entry of ordinary size stay finite.
const LARGEST_SUM: f64 = 1e300;

/// The sums over the rows of one action, with contexts `x` and rewards `r`: all that has to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Sums {
    /// Rows.
    pub rows: u64,
    /// The lower triangle of the sum of `x x'`, row by row: `(0,0), (1,0), (1,1), (2,0), ...`.
    pub gram: Vec<f64>,
    /// The sum of `x r`; its length is the dimension of the contexts.
    pub moment: Vec<f64>,
    /// The sum of `r^2`.
    pub sum_squares: f64,
}

/// Bayesian linear regression of one action's reward on the context: the prior of the coefficients is normal
/// around 0 with the variance of the noise over `ridge`, the posterior has the mean `A^-1 b` and the covariance
/// `A^-1` times the variance of the noise, with `A = ridge * identity + sum of x x'` and `b = sum of x r` (Bishop,
/// Pattern Recognition and Machine Learning, 2006, section 3.3). An intercept is a context entry that is always 1.
///
/// A row costs `O(dimension^2)`: the Cholesky factor of `A` is updated by rotations and made afresh every 1,000
/// rows.
#[derive(Debug, Clone, PartialEq)]
pub struct RidgeStatistics {
    sums: Sums,
    ridge: f64,
    factor: Factor,
    updates: u32,
}

/// What the posterior says about the reward at a context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// The posterior mean `x' A^-1 b`, in the unit of the rewards.
    pub mean: f64,
    /// `sqrt(x' A^-1 x)`: times the noise's standard deviation it is the posterior's.
    pub spread: f64,
}

impl RidgeStatistics {
    /// Nothing seen yet.
    ///
    /// Worked example: with `ridge = 4` and no row, the prediction at `x = [2]` has mean 0 and spread
    /// `sqrt(4 / 4) = 1`.
    ///
    /// Errors: `OutOfRange` for a dimension outside `1..=512` and a `ridge` that is not finite and above 0.
    pub fn new(dimension: usize, ridge: f64) -> Result<Self, StatsError> {
        check_dimension(dimension)?;
        let gram = vec![0.0; dimension * (dimension + 1) / 2];
        Self::from_sums(Sums { rows: 0, gram, moment: vec![0.0; dimension], sum_squares: 0.0 }, ridge)
    }

    /// From stored sums.
    ///
    /// Errors: those of [`new`](Self::new); `LengthMismatch` for a triangle that does not fit the dimension;
    /// `NotFinite`; `OutOfRange` for a negative sum of squares and for a triangle that is no sum of squares.
    pub fn from_sums(sums: Sums, ridge: f64) -> Result<Self, StatsError> {
        let dimension = sums.moment.len();
        check_dimension(dimension)?;
        check::positive("ridge", ridge)?;
        check::same_length(dimension * (dimension + 1) / 2, sums.gram.len())?;
        check::finite(&sums.gram)?;
        check::finite(&sums.moment)?;
        if !(sums.sum_squares.is_finite() && sums.sum_squares >= 0.0) {
            return Err(StatsError::OutOfRange { name: "sum of squares", value: sums.sum_squares });
        }
        let factor = Factor::of(&sums.gram, ridge)?;
        Ok(Self { sums, ridge, factor, updates: 0 })
    }

    /// The sums, to be stored.
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// The precision of the prior in units of the noise's.
    pub fn ridge(&self) -> f64 {
        self.ridge
    }

    /// Entries of a context.
    pub fn dimension(&self) -> usize {
        self.sums.moment.len()
    }

    /// Adds one row. On an error nothing has changed.
    ///
    /// Errors: `LengthMismatch` for a context of another dimension; `NotFinite` for a context entry, or with index
    /// 0 for the reward; `OutOfRange` when a sum would overflow.
    pub fn update(&mut self, context: &[f64], reward: f64) -> Result<(), StatsError> {
        self.check_row(context, reward)?;
        let sums = &mut self.sums;
        let mut at = 0;
        for (row, value) in context.iter().enumerate() {
            for (entry, other) in sums.gram[at..=at + row].iter_mut().zip(context) {
                *entry += value * other;
            }
            at += row + 1;
        }
        for (entry, value) in sums.moment.iter_mut().zip(context) {
            *entry += value * reward;
        }
        sums.rows = sums.rows.saturating_add(1);
        sums.sum_squares += reward * reward;
        self.factor.add(context);
        self.updates += 1;
        if self.updates >= UPDATES_PER_FACTOR {
            self.updates = 0;
            // Should the sums be too far gone for a fresh factor, the updated one is still sound.
            if let Ok(fresh) = Factor::of(&self.sums.gram, self.ridge) {
                self.factor = fresh;
            }
        }
        Ok(())
    }

    /// Replaces the reward of a row that was added before, for instance after a refund. Whether it was ever added
    /// cannot be known here.
    ///
    /// Worked example: adding `x = [1]` with reward 5 and correcting 5 to 3 is adding it with 3.
    ///
    /// Errors: as [`update`](Self::update).
    pub fn correct(&mut self, context: &[f64], before: f64, after: f64) -> Result<(), StatsError> {
        self.check_row(context, before)?;
        self.check_row(context, after)?;
        for (entry, value) in self.sums.moment.iter_mut().zip(context) {
            *entry += value * (after - before);
        }
        let sum_squares = self.sums.sum_squares - before * before + after * after;
        self.sums.sum_squares = sum_squares.max(0.0);
        Ok(())
    }

    /// The statistics of the rows of both; the prior counts once.
    ///
    /// Worked example: two halves of a log, learned apart and merged, predict what the whole does.
    ///
    /// Errors: `LengthMismatch` for another dimension; `OutOfRange` for another ridge, and when a sum overflows.
    pub fn merge(&self, other: &Self) -> Result<Self, StatsError> {
        check::same_length(self.dimension(), other.dimension())?;
        if self.ridge != other.ridge {
            return Err(StatsError::OutOfRange { name: "ridge", value: other.ridge });
        }
        let add = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect();
        let sums = Sums {
            rows: self.sums.rows.saturating_add(other.sums.rows),
            gram: add(&self.sums.gram, &other.sums.gram),
            moment: add(&self.sums.moment, &other.sums.moment),
            sum_squares: self.sums.sum_squares + other.sums.sum_squares,
        };
        Self::from_sums(sums, self.ridge)
    }

    /// The posterior mean of the coefficients, `A^-1 b`: what ridge regression with penalty `ridge` finds (Hoerl &
    /// Kennard, Technometrics 1970).
    ///
    /// Worked example: rows `x = [1]` with rewards 2 and 4 and `ridge = 1` give `6 / 3 = 2`.
    pub fn coefficients(&self) -> Vec<f64> {
        self.factor.backward(&self.factor.forward(&self.sums.moment))
    }

    /// What is known about the reward at a context.
    ///
    /// Worked example: after the rows of [`coefficients`](Self::coefficients), at `x = [3]` the mean is 6 and the
    /// spread `sqrt(9 / 3)`.
    ///
    /// Errors: `LengthMismatch` for a context of another dimension; `NotFinite`; `OutOfRange` when a product
    /// overflows.
    pub fn predict(&self, context: &[f64]) -> Result<Prediction, StatsError> {
        check::same_length(self.dimension(), context.len())?;
        check::finite(context)?;
        let whitened = self.factor.forward(context);
        let moment = self.factor.forward(&self.sums.moment);
        let mean: f64 = whitened.iter().zip(&moment).map(|(a, b)| a * b).sum();
        let spread = whitened.iter().map(|entry| entry * entry).sum::<f64>().sqrt();
        match [mean, spread].into_iter().find(|value| !value.is_finite()) {
            Some(value) => Err(StatsError::OutOfRange { name: "prediction", value }),
            None => Ok(Prediction { mean, spread }),
        }
    }

    /// The noise's variance as the rows show it, `(sum of r^2 - b' A^-1 b) / rows`, in the squared unit of the
    /// rewards; `None` with no more rows than coefficients. The numerator is the residual sum of squares plus the
    /// penalty, so that it errs upwards, which for a bandit means towards exploring.
    ///
    /// Worked example: after the rows of [`coefficients`](Self::coefficients), `(20 - 6 * 2) / 2 = 4`.
    pub fn noise_variance(&self) -> Option<f64> {
        if self.sums.rows <= self.dimension() as u64 {
            return None;
        }
        let explained: f64 = self.factor.forward(&self.sums.moment).iter().map(|entry| entry * entry).sum();
        let variance = (self.sums.sum_squares - explained) / self.sums.rows as f64;
        variance.is_finite().then(|| variance.max(0.0))
    }

    /// Refuses a row that cannot be added. The diagonal bounds the rest of the triangle.
    fn check_row(&self, context: &[f64], reward: f64) -> Result<(), StatsError> {
        check::same_length(self.dimension(), context.len())?;
        check::finite(context)?;
        check::finite(&[reward])?;
        let mut diagonal = 0;
        for (row, (value, moment)) in context.iter().zip(&self.sums.moment).enumerate() {
            let sums = [self.sums.gram[diagonal] + value * value, moment + value * reward];
            if let Some(&value) = sums.iter().find(|sum| sum.abs() > LARGEST_SUM) {
                return Err(StatsError::OutOfRange { name: "sum over the rows", value });
            }
            diagonal += row + 2;
        }
        let sum_squares = self.sums.sum_squares + reward * reward;
        if sum_squares <= LARGEST_SUM {
            Ok(())
        } else {
            Err(StatsError::OutOfRange { name: "sum over the rows", value: sum_squares })
        }
    }
}

fn check_dimension(dimension: usize) -> Result<(), StatsError> {
    if (1..=MAX_DIMENSION).contains(&dimension) {
        Ok(())
    } else {
        Err(StatsError::OutOfRange { name: "dimension", value: dimension as f64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    fn two_rows() -> RidgeStatistics {
        let mut statistics = RidgeStatistics::new(1, 1.0).unwrap();
        statistics.update(&[1.0], 2.0).unwrap();
        statistics.update(&[1.0], 4.0).unwrap();
        statistics
    }

    #[test]
    fn the_worked_examples() {
        let fresh = RidgeStatistics::new(1, 4.0).unwrap().predict(&[2.0]).unwrap();
        assert_eq!(fresh, Prediction { mean: 0.0, spread: 1.0 });
        let statistics = two_rows();
        assert_close(statistics.coefficients()[0], 2.0, 1e-15);
        let found = statistics.predict(&[3.0]).unwrap();
        assert_close(found.mean, 6.0, 1e-14);
        assert_close(found.spread, 3.0_f64.sqrt(), 1e-15);
        assert_close(statistics.noise_variance().unwrap(), 4.0, 1e-14);
        let mut corrected = RidgeStatistics::new(1, 1.0).unwrap();
        corrected.update(&[1.0], 5.0).unwrap();
        corrected.correct(&[1.0], 5.0, 3.0).unwrap();
        let mut straight = RidgeStatistics::new(1, 1.0).unwrap();
        straight.update(&[1.0], 3.0).unwrap();
        assert_eq!(corrected, straight);
    }

    #[test]
    fn what_it_refuses_leaves_it_as_it_was() {
        let mut statistics = two_rows();
        let before = statistics.clone();
        assert_eq!(statistics.update(&[f64::NAN], 1.0), Err(StatsError::NotFinite { index: 0 }));
        assert_eq!(statistics.update(&[1.0], f64::INFINITY), Err(StatsError::NotFinite { index: 0 }));
        assert!(statistics.update(&[1.0, 2.0], 1.0).is_err());
        assert!(statistics.update(&[1e200], 1.0).is_err());
        assert!(statistics.update(&[1e100], 1e300).is_err());
        assert!(statistics.update(&[1e-100], 1e200).is_err());
        assert!(statistics.correct(&[1.0], 1.0, f64::NAN).is_err());
        assert!(statistics.predict(&[f64::NAN]).is_err() && statistics.predict(&[]).is_err());
        assert_eq!(statistics, before);
        assert!(
            RidgeStatistics::new(0, 1.0).is_err() && RidgeStatistics::new(MAX_DIMENSION + 1, 1.0).is_err()
        );
        assert!(RidgeStatistics::new(1, 0.0).is_err() && RidgeStatistics::new(1, f64::NAN).is_err());
        assert!(statistics.merge(&RidgeStatistics::new(2, 1.0).unwrap()).is_err());
        assert!(statistics.merge(&RidgeStatistics::new(1, 2.0).unwrap()).is_err());
        let sums = |gram: &[f64], sum_squares| Sums {
            rows: 1,
            gram: gram.to_vec(),
            moment: vec![0.0, 0.0],
            sum_squares,
        };
        assert!(RidgeStatistics::from_sums(sums(&[1.0, 0.0], 1.0), 1.0).is_err());
        assert!(RidgeStatistics::from_sums(sums(&[1.0, 9.0, 1.0], 1.0), 1.0).is_err());
        assert!(RidgeStatistics::from_sums(sums(&[1.0, 0.0, 1.0], -1.0), 1.0).is_err());
        assert!(RidgeStatistics::from_sums(sums(&[1.0, 0.0, f64::NAN], 1.0), 1.0).is_err());
        assert_eq!(RidgeStatistics::new(1, 1.0).unwrap().noise_variance(), None);
    }
}
