//! Eigenvalues of a small symmetric matrix. Owns Jacobi's rotations; refuses speed.

/// Sweeps over all entries; the off-diagonal ones vanish quadratically, so 10 do.
const SWEEPS: u32 = 60;

/// Eigenvalues and, column by column, unit eigenvectors of a symmetric matrix that is given by its rows
/// (cyclic Jacobi: Golub & Van Loan, Matrix Computations, 1996, algorithm 8.4.3). Column `j` is
/// `vectors[..][j]`.
pub(super) fn symmetric(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = a.len();
    let mut vectors: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let size: f64 = a.iter().flatten().map(|x| x * x).sum();
    for _ in 0..SWEEPS {
        let mut off = 0.0;
        for p in 0..n {
            for q in p + 1..n {
                off += a[p][q] * a[p][q];
                rotate(&mut a, &mut vectors, p, q);
            }
        }
        if off <= 1e-32 * size {
            break;
        }
    }
    ((0..n).map(|i| a[i][i]).collect(), vectors)
}

/// The rotation in the plane of `p` and `q`, `p < q`, that makes their entry 0.
fn rotate(a: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let ratio = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let tangent = ratio.signum() / (ratio.abs() + ratio.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = tangent * cosine;
    for row in a.iter_mut().chain(vectors.iter_mut()) {
        let (x, y) = (row[p], row[q]);
        row[p] = cosine * x - sine * y;
        row[q] = sine * x + cosine * y;
    }
    let (above, below) = a.split_at_mut(q);
    for (first, second) in above[p].iter_mut().zip(below[0].iter_mut()) {
        let (x, y) = (*first, *second);
        *first = cosine * x - sine * y;
        *second = sine * x + cosine * y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    /// The second difference matrix of order n has the eigenvalues `2 - 2 cos(k pi / (n + 1))`.
    #[test]
    fn eigenvalues_of_the_second_difference() {
        let n = 12_usize;
        let entry = |i: usize, j: usize| match i.abs_diff(j) {
            0 => 2.0,
            1 => -1.0,
            _ => 0.0,
        };
        let matrix: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect();
        let (values, vectors) = symmetric(matrix.clone());
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        for (k, value) in (1..=n).zip(sorted) {
            let angle = k as f64 * std::f64::consts::PI / (n as f64 + 1.0);
            assert_close(value, 2.0 - 2.0 * angle.cos(), 1e-13);
        }
        for j in 0..n {
            for i in 0..n {
                let product: f64 = (0..n).map(|k| matrix[i][k] * vectors[k][j]).sum();
                assert_close(product, values[j] * vectors[i][j], 1e-13);
            }
        }
    }

    #[test]
    fn small_and_empty_ones() {
        assert_eq!(symmetric(vec![]), (vec![], vec![]));
        assert_eq!(symmetric(vec![vec![3.0]]), (vec![3.0], vec![vec![1.0]]));
        let (values, _) = symmetric(vec![vec![0.0, 1.0], vec![1.0, 0.0]]);
        assert_close(values[0] * values[1], -1.0, 1e-14);
    }
}
