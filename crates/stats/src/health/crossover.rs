//! Units that were seen in more than one variant: a cookie that was cleared, a household with two devices, a
//! router that forgot. Owns the share and the test against a tolerated one; refuses to say which variant such
//! a unit belongs to. Leaving them out after the fact can bias the effect when a variant causes the switching.

use crate::{Interval, StatsError, binomial, check};

/// The result of [`crossover`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crossover {
    /// The share of units seen in more than one variant, with the exact interval of Clopper & Pearson at
    /// level `1 - alpha`.
    pub share: Interval,
    /// The tolerated share.
    pub tolerated: f64,
    /// The chance of so many crossings or more if the true share were the tolerated one.
    pub p_value: f64,
    /// The chance of blocking a test whose true share is the tolerated one.
    pub alpha: f64,
    /// Whether `p_value <= alpha`: more units crossed than chance and the tolerated share explain.
    pub blocks: bool,
}

/// Units seen in more than one variant, `crossed` of `units`, against the share that is tolerated.
///
/// The test is the exact binomial one, `P(X >= crossed)` for `X` binomial with `units` trials at the
/// tolerated share (Clopper & Pearson, Biometrika 1934, for the interval). It supposes that units cross
/// independently of each other. For one look; a small test passes with a share that would block a large one,
/// so read the interval's upper end too.
///
/// Worked example (SciPy 1.17.1): 7 of 2,000 units against a tolerated 0.001 have p 0.00450977 and the 0.95
/// interval `[0.00140830, 0.00719796]`; at `alpha = 0.05` that blocks.
///
/// Errors: `Empty` without units; `OutOfRange` when more units crossed than there are, and for `tolerated` or
/// `alpha` not strictly between 0 and 1.
pub fn crossover(crossed: u64, units: u64, tolerated: f64, alpha: f64) -> Result<Crossover, StatsError> {
    check::open_unit("tolerated", tolerated)?;
    check::open_unit("alpha", alpha)?;
    if units > 0 && crossed > units {
        return Err(StatsError::OutOfRange { name: "crossed", value: crossed as f64 });
    }
    let share = binomial::clopper_pearson(crossed, units, 1.0 - alpha)?;
    let p_value = binomial::upper_tail(crossed, units, tolerated);
    Ok(Crossover { share, tolerated, p_value, alpha, blocks: p_value <= alpha })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn the_worked_example() {
        let found = crossover(7, 2_000, 0.001, 0.05).unwrap();
        assert_close(found.p_value, 0.004_509_77, 5e-9);
        assert_close(found.share.low, 0.001_408_30, 5e-9);
        assert_close(found.share.high, 0.007_197_96, 5e-9);
        assert!(found.blocks);
        assert!(!crossover(7, 2_000, 0.001, 0.001).unwrap().blocks);
    }

    #[test]
    fn none_is_fine_and_what_it_refuses() {
        let none = crossover(0, 10, 0.001, 0.05).unwrap();
        assert!(!none.blocks && none.share.low == 0.0 && none.share.high > 0.2);
        assert_eq!(crossover(0, 0, 0.001, 0.05), Err(StatsError::Empty));
        assert!(crossover(3, 2, 0.001, 0.05).is_err());
        assert!(crossover(1, 2, 0.0, 0.05).is_err());
        assert!(crossover(1, 2, 0.1, f64::NAN).is_err());
    }
}
