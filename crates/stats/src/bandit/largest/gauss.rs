//! A quadrature rule with the integrals between its points. Owns the nodes and weights; refuses to know what is
//! integrated.

use std::sync::LazyLock;

/// Points of the rule.
pub(super) const POINTS: usize = 16;

/// Steps of Newton's method allowed for a point; it needs about five.
const NEWTON_STEPS: u32 = 32;

/// The rule, found once.
pub(super) static GAUSS: LazyLock<Gauss> = LazyLock::new(Gauss::new);

/// Gauss & Legendre's rule on `[-1, 1]`.
pub(super) struct Gauss {
    pub(super) nodes: [f64; POINTS],
    pub(super) weights: [f64; POINTS],
    /// Row `i` turns values at the nodes into the integral from -1 to node `i` of the polynomial through them.
    pub(super) integrals: [[f64; POINTS]; POINTS],
}

impl Gauss {
    /// Nodes by Newton's method on Legendre's polynomial (Press et al., Numerical Recipes, 2007, section 4.6). The
    /// polynomial through values `y_j` is `sum over k of (2 k + 1) / 2 P_k(x) sum over j of w_j P_k(x_j) y_j`, and
    /// `P_k` integrates to `(P_(k+1) - P_(k-1)) / (2 k + 1)`.
    fn new() -> Self {
        let mut nodes = [0.0; POINTS];
        let mut weights = [0.0; POINTS];
        for (index, (node, weight)) in nodes.iter_mut().zip(&mut weights).enumerate() {
            let guess = (index as f64 + 0.75) / (POINTS as f64 + 0.5);
            let mut x = -(std::f64::consts::PI * guess).cos();
            let mut slope = 1.0;
            for _ in 0..NEWTON_STEPS {
                let p = legendre(x);
                slope = POINTS as f64 * (x * p[POINTS] - p[POINTS - 1]) / (x * x - 1.0);
                let step = p[POINTS] / slope;
                x -= step;
                if step.abs() <= 2.0 * f64::EPSILON {
                    break;
                }
            }
            (*node, *weight) = (x, 2.0 / ((1.0 - x * x) * slope * slope));
        }
        let polynomials = nodes.map(legendre);
        let mut integrals = [[0.0; POINTS]; POINTS];
        for ((row, x), at) in integrals.iter_mut().zip(nodes).zip(&polynomials) {
            for ((entry, weight), from) in row.iter_mut().zip(weights).zip(&polynomials) {
                let rest: f64 = (1..POINTS).map(|k| from[k] * (at[k + 1] - at[k - 1])).sum();
                *entry = weight / 2.0 * (x + 1.0 + rest);
            }
        }
        Self { nodes, weights, integrals }
    }
}

/// Legendre's polynomials of degree 0 to `POINTS` at `x`.
fn legendre(x: f64) -> [f64; POINTS + 1] {
    let mut p = [1.0; POINTS + 1];
    p[1] = x;
    for k in 1..POINTS {
        let n = k as f64;
        p[k + 1] = ((2.0 * n + 1.0) * x * p[k] - n * p[k - 1]) / (n + 1.0);
    }
    p
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    /// Abramowitz & Stegun 1964, table 25.4, n = 16: the outermost and the innermost point.
    #[test]
    fn the_printed_rule() {
        assert_close(GAUSS.nodes[15], 0.989_400_934_991_650, 5e-15);
        assert_close(GAUSS.weights[15], 0.027_152_459_411_754, 5e-15);
        assert_close(GAUSS.nodes[8], 0.095_012_509_837_637, 5e-15);
        assert_close(GAUSS.weights[8], 0.189_450_610_455_069, 5e-15);
    }

    /// Powers up to the 15th are integrated exactly, to every point.
    #[test]
    fn integrals_of_powers() {
        for power in 0..16 {
            let values = GAUSS.nodes.map(|node| node.powi(power));
            for (row, node) in GAUSS.integrals.iter().zip(GAUSS.nodes) {
                let found: f64 = row.iter().zip(values).map(|(weight, value)| weight * value).sum();
                let end = f64::from(power + 1);
                assert_close(found, (node.powi(power + 1) - (-1.0_f64).powi(power + 1)) / end, 1e-14);
            }
        }
    }
}
