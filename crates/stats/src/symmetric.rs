//! Small symmetric systems of linear equations, such as the normal equations of a regression. Owns one
//! factorisation that says which variable is redundant; refuses to answer where one is.

/// What the variables before it leave of a variable, as a share of its own square: up to this the variable counts as
/// redundant. The solution then still has about 6 of its 16 digits.
pub(crate) const LEAST_UNEXPLAINED: f64 = 1e-10;

/// Solves `a x = b` for a positive definite `a`, given row by row. Where `a` is not, the answer is the index of the
/// first variable that those before it determine, or whose square is not a finite number above 0.
///
/// The matrix is scaled to ones on its diagonal, so that a variable in cents and one in years weigh the same, and
/// factored as `L D L'`, which is stable without exchanging rows (Higham, Accuracy and Stability of Numerical
/// Algorithms, 2002, section 10.1). A scaled pivot is the share of its variable that the ones before it leave
/// unexplained. `a` has `b.len()` squared entries, of which the lower triangle is read.
pub(crate) fn solve(a: &[f64], b: &[f64]) -> Result<Vec<f64>, usize> {
    let k = b.len();
    let mut scale = Vec::with_capacity(k);
    for i in 0..k {
        let square = a[i * k + i];
        if !(square > 0.0 && square.is_finite()) {
            return Err(i);
        }
        scale.push(1.0 / square.sqrt());
    }
    // Below the diagonal the factor L, on it D.
    let mut factor = vec![0.0; k * k];
    for i in 0..k {
        for j in 0..=i {
            let known: f64 = (0..j).map(|m| factor[i * k + m] * factor[j * k + m] * factor[m * k + m]).sum();
            let rest = a[i * k + j] * scale[i] * scale[j] - known;
            factor[i * k + j] = if i == j { rest } else { rest / factor[j * k + j] };
        }
        let pivot = factor[i * k + i];
        // NaN fails the first condition.
        if !(pivot > LEAST_UNEXPLAINED && pivot.is_finite()) {
            return Err(i);
        }
    }
    Ok(substitute(&factor, b, &scale))
}

/// `S L'^-1 D^-1 L^-1 S b` for the factors of the matrix that was scaled by `S`.
fn substitute(factor: &[f64], b: &[f64], scale: &[f64]) -> Vec<f64> {
    let k = b.len();
    let mut x: Vec<f64> = b.iter().zip(scale).map(|(b, scale)| b * scale).collect();
    for i in 0..k {
        let known: f64 = (0..i).map(|j| factor[i * k + j] * x[j]).sum();
        x[i] -= known;
    }
    for i in (0..k).rev() {
        let known: f64 = (i + 1..k).map(|j| factor[j * k + i] * x[j]).sum();
        x[i] = x[i] / factor[i * k + i] - known;
    }
    x.iter().zip(scale).map(|(x, scale)| x * scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    /// The first column of the inverse of the Hilbert matrix of order 4: `[16, -120, 240, -140]` (Choi, Tricks
    /// or Treats with the Hilbert Matrix, American Mathematical Monthly 1983).
    #[test]
    fn the_hilbert_matrix() {
        let hilbert: Vec<f64> = (0..16).map(|at| 1.0 / f64::from(at / 4 + at % 4 + 1)).collect();
        let x = solve(&hilbert, &[1.0, 0.0, 0.0, 0.0]).unwrap();
        for (x, expected) in x.iter().zip([16.0, -120.0, 240.0, -140.0]) {
            assert_close(*x, expected, 1e-9);
        }
    }

    /// Only the lower triangle is read, and units do not matter: the second variable is counted in millionths.
    #[test]
    fn scaled_variables() {
        let x = solve(&[4.0, f64::NAN, 1e6, 3e12], &[6.0, 5e6]).unwrap();
        // 4 a + 1 c = 6 and 1 a + 3 c = 5 with c = 1e6 b: a = 13 / 11, c = 14 / 11.
        assert_close(x[0], 13.0 / 11.0, 1e-15);
        assert_close(x[1], 14e-6 / 11.0, 1e-21);
    }

    #[test]
    fn the_redundant_variable_is_named() {
        // The third is the sum of the first two.
        let a = [2.0, 0.0, 0.0, 0.5, 1.0, 0.0, 2.5, 1.5, 4.0];
        assert_eq!(solve(&a, &[1.0, 1.0, 2.0]), Err(2));
        assert_eq!(solve(&[1.0, 0.0, 0.0, 0.0], &[1.0, 1.0]), Err(1));
        assert_eq!(solve(&[f64::NAN], &[1.0]), Err(0));
        assert_eq!(solve(&[1.0, 0.0, f64::NAN, 1.0], &[1.0, 1.0]), Err(1));
        assert_eq!(solve(&[], &[]), Ok(Vec::new()));
    }
}
