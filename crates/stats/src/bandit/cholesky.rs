//! The Cholesky factor of `gram + ridge * identity`, kept up to date row by row. Owns the triangular arithmetic;
//! refuses matrices that are not sums of squares.
//!
//! Triangles are packed by rows: entry `(i, j)` with `j <= i` is at `i (i + 1) / 2 + j`.

use crate::StatsError;

/// How far below the ridge a pivot may fall by rounding, relative to its diagonal entry.
const ROUNDING: f64 = 1e-8;

/// A lower triangle `L` with `L L' = gram + ridge * identity`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Factor {
    lower: Vec<f64>,
}

impl Factor {
    /// Factors a packed Gram matrix. Every pivot of `gram + ridge * identity` is at least the ridge, so one that
    /// rounding put below it is raised; one that is far below says that the matrix is no Gram matrix.
    pub(super) fn of(gram: &[f64], ridge: f64) -> Result<Self, StatsError> {
        let mut lower = gram.to_vec();
        let mut start = 0;
        let mut size = 0;
        while start < lower.len() {
            let (above, below) = lower.split_at_mut(start);
            let row = &mut below[..=size];
            let diagonal = row[size] + ridge;
            let mut from = 0;
            for column in 0..size {
                let other = &above[from..=from + column];
                let explained: f64 = other[..column].iter().zip(&row[..column]).map(|(a, b)| a * b).sum();
                row[column] = (row[column] - explained) / other[column];
                from += column + 1;
            }
            let explained: f64 = row[..size].iter().map(|entry| entry * entry).sum();
            let pivot = diagonal - explained;
            if !(pivot.is_finite() && pivot >= ridge - ROUNDING * diagonal) {
                return Err(StatsError::OutOfRange { name: "pivot of the Gram matrix", value: pivot });
            }
            row[size] = pivot.max(ridge).sqrt();
            start += size + 1;
            size += 1;
        }
        Ok(Self { lower })
    }

    /// Adds `x x'` to the matrix, by rotations, in `O(dimension^2)` (Golub & Van Loan, Matrix Computations, 2013,
    /// section 6.5.4). Adding keeps the factor positive, so it cannot fail; no step makes an entry larger than the
    /// matrix is, so it does not overflow.
    pub(super) fn add(&mut self, x: &[f64]) {
        let mut rest = x.to_vec();
        let mut pivot_at = 0;
        for column in 0..rest.len() {
            let pivot = self.lower[pivot_at];
            let radius = pivot.hypot(rest[column]);
            let (cosine, sine) = (pivot / radius, rest[column] / radius);
            self.lower[pivot_at] = radius;
            let mut at = pivot_at;
            for (row, other) in rest.iter_mut().enumerate().skip(column + 1) {
                at += row;
                let entry = self.lower[at];
                self.lower[at] = cosine * entry + sine * *other;
                *other = cosine * *other - sine * entry;
            }
            pivot_at += column + 2;
        }
    }

    /// Solves `L z = x`.
    pub(super) fn forward(&self, x: &[f64]) -> Vec<f64> {
        let mut solved: Vec<f64> = Vec::with_capacity(x.len());
        let mut from = 0;
        for (size, value) in x.iter().enumerate() {
            let row = &self.lower[from..=from + size];
            let explained: f64 = row.iter().zip(&solved).map(|(a, b)| a * b).sum();
            solved.push((value - explained) / row[size]);
            from += size + 1;
        }
        solved
    }

    /// Solves `L' x = z`.
    pub(super) fn backward(&self, z: &[f64]) -> Vec<f64> {
        let mut solved = z.to_vec();
        let mut end = self.lower.len();
        for size in (0..z.len()).rev() {
            let row = &self.lower[end - size - 1..end];
            solved[size] /= row[size];
            let (before, from_here) = solved.split_at_mut(size);
            for (value, entry) in before.iter_mut().zip(row) {
                *value -= entry * from_here[0];
            }
            end -= size + 1;
        }
        solved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    /// By hand: `[[4, 2], [2, 10]]` is `L L'` with `L = [[2, 0], [1, 3]]`.
    #[test]
    fn two_by_two_by_hand() {
        let factor = Factor::of(&[3.0, 2.0, 9.0], 1.0).unwrap();
        assert_eq!(factor.lower, [2.0, 1.0, 3.0]);
        assert_eq!(factor.forward(&[4.0, 11.0]), [2.0, 3.0]);
        assert_eq!(factor.backward(&[5.0, 3.0]), [2.0, 1.0]);
    }

    #[test]
    fn an_update_is_a_new_factor() {
        let mut updated = Factor::of(&[3.0, 2.0, 9.0, -1.0, 0.5, 4.0], 1.0).unwrap();
        updated.add(&[0.5, -2.0, 3.0]);
        let fresh = Factor::of(&[3.25, 1.0, 13.0, 0.5, -5.5, 13.0], 1.0).unwrap();
        for (one, other) in updated.lower.iter().zip(&fresh.lower) {
            assert_close(*one, *other, 1e-14);
        }
    }

    #[test]
    fn what_is_no_gram_matrix_is_refused_and_what_rounding_did_is_not() {
        assert!(Factor::of(&[1.0, 2.0, 1.0], 0.1).is_err());
        assert!(Factor::of(&[-1.0], 0.5).is_err());
        assert!(Factor::of(&[1.0, f64::NAN, 1.0], 0.1).is_err());
        // Two equal columns of size 1e10: the second pivot is 1, and lost in rounding.
        let factor = Factor::of(&[1e20, 1e20, 1e20], 1.0).unwrap();
        assert!(factor.lower.iter().all(|entry| *entry > 0.0));
    }
}
