//! Outcomes that arrive late: how much of a day has arrived by its age, and what the day will come to.
//!
//! Owns two measured delay curves and the projection from each; refuses to guess a curve's shape beyond the
//! oldest age that was seen, so the oldest age must be one after which next to nothing arrives.
//!
//! | what is kept | question | function |
//! | --- | --- | --- |
//! | sums per day and age | what will each day come to | [`chain_ladder`], Mack 1993 |
//! | every unit, arrived or not | what share of units has its outcome by an age | [`censored`], Kaplan & Meier 1958 |
//! | only the outcomes that arrived | how late are those that arrive | [`truncated`], Lagakos et al. 1988 |
//! | a curve and a young day | what will the day come to | [`project`] |
//!
//! All of them suppose that the delay has stayed the same from the oldest day to the youngest. A change of
//! the delay (a new payment provider, a holiday) biases the projection and no interval shows it: compare the
//! factors of old and young days.

mod chain_ladder;
mod curve;
mod projection;

pub use chain_ladder::{ChainLadder, Developed, Total, chain_ladder};
pub use curve::{Arrival, Curve, Maturity, Point, Waiting, censored, truncated};
pub use projection::{Projection, project};

use crate::{Interval, distribution};

/// The interval of a total of which `known` has arrived and `outstanding` is estimated with `error`: lognormal
/// around what is outstanding, as Mack proposes, so that the total cannot fall below what is known; normal
/// where a lognormal cannot be, when what is outstanding is not above 0.
fn interval_of_total(known: f64, outstanding: f64, error: f64, level: f64) -> Interval {
    let z = distribution::normal_two_sided_critical(level);
    let estimate = known + outstanding;
    if outstanding > 0.0 && error > 0.0 {
        let log_variance = (error / outstanding).powi(2).ln_1p();
        let centre = outstanding.ln() - 0.5 * log_variance;
        let end = |sign: f64| known + (centre + sign * z * log_variance.sqrt()).exp();
        return Interval { estimate, low: end(-1.0), high: end(1.0), level };
    }
    Interval { estimate, low: estimate - z * error, high: estimate + z * error, level }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    /// A lognormal with mean 100 and standard deviation 50 has log variance `ln 1.25`.
    #[test]
    fn the_lognormal_keeps_what_is_known() {
        let found = interval_of_total(40.0, 100.0, 50.0, 0.95);
        assert_close(found.estimate, 140.0, 0.0);
        let (centre, spread) = ((100.0 / 1.25_f64.sqrt()).ln(), 1.25_f64.ln().sqrt());
        assert_close(found.low, 40.0 + (centre - 1.959_963_984_540_054 * spread).exp(), 1e-10);
        assert_close(found.high, 40.0 + (centre + 1.959_963_984_540_054 * spread).exp(), 1e-10);
        assert!(interval_of_total(40.0, 1.0, 1e6, 0.95).low >= 40.0);
        let falling = interval_of_total(40.0, -5.0, 2.0, 0.95);
        assert_close(falling.half_width(), 2.0 * 1.959_963_984_540_054, 1e-12);
    }
}
