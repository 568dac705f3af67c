//! Seeded draws for the simulations. Owns no expectation about the results.

use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};

/// A stream of random numbers that its seed determines.
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Uniform on `(0, 1)`, never an end.
    pub(crate) fn uniform(&mut self) -> f64 {
        let steps = self.0.next_u64() >> 11;
        (steps as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Standard normal, by Box & Muller (Annals of Mathematical Statistics 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }

    /// Money of one unit: mostly nothing, else lognormal with a median of `median` and a log standard
    /// deviation of 1.
    pub(crate) fn money(&mut self, share_of_payers: f64, median: f64) -> f64 {
        if self.chance(share_of_payers) { median * self.normal().exp() } else { 0.0 }
    }
}

#[track_caller]
pub(crate) fn assert_close(actual: f64, expected: f64, tolerance: f64) {
    assert!((actual - expected).abs() <= tolerance, "{actual} is not within {tolerance} of {expected}");
}
