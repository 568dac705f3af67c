//! Whether units landed in the variants in the agreed shares. Owns the chi-square test of sample ratio
//! mismatch for one look, and in [`sequential`] the test for any number of looks; refuses to estimate
//! effects, which are not to be read at all once this test fails (Fabijan et al., "Diagnosing Sample Ratio
//! Mismatch in Online Controlled Experiments", KDD 2019).

pub mod sequential;

use crate::{StatsError, check, distribution};

/// The p-value of Pearson's chi-square test (Philosophical Magazine 1900) that units fell into the groups in
/// the expected shares: the tail beyond `sum of (observed - expected)^2 / expected` with `groups - 1` degrees
/// of freedom and without continuity correction.
///
/// `observed` counts units per group; `expected_share` gives each group's share and is scaled to sum to 1, so
/// percent or `[1, 1]` do as well. The approximation wants about 5 expected units in each group. The shares
/// must have been constant while the units were assigned, and the p-value is for one look: a daily check
/// wants [`sequential::p_value`].
///
/// Worked example (SciPy 1.17.1): 1,000 and 1,200 units at equal shares have p 0.00002008.
///
/// Errors: `LengthMismatch`; `Empty` without units; `OutOfRange` for fewer than two groups or a share that is
/// not finite and greater than 0.
pub fn p_value(observed: &[u64], expected_share: &[f64]) -> Result<f64, StatsError> {
    check::same_length(observed.len(), expected_share.len())?;
    if observed.len() < 2 {
        return Err(StatsError::OutOfRange { name: "number of groups", value: observed.len() as f64 });
    }
    for &share in expected_share {
        check::positive("expected_share", share)?;
    }
    let units: f64 = observed.iter().map(|&count| count as f64).sum();
    if units < 1.0 {
        return Err(StatsError::Empty);
    }
    let shares: f64 = expected_share.iter().sum();
    check::positive("sum of expected_share", shares)?;
    let terms = observed.iter().zip(expected_share).map(|(&count, share)| {
        let expected = units * (share / shares);
        let surplus = count as f64 - expected;
        surplus * surplus / expected
    });
    Ok(distribution::chi_square_tail(terms.sum(), observed.len() as f64 - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn the_worked_example() {
        assert_close(p_value(&[1_000, 1_200], &[0.5, 0.5]).unwrap(), 0.000_020_08, 5e-9);
    }

    /// Two degrees of freedom have a closed form: `exp(-statistic / 2)`, and here the statistic is 2.
    #[test]
    fn three_groups_in_closed_form() {
        let p = p_value(&[110, 100, 90], &[1.0, 1.0, 1.0]).unwrap();
        assert_close(p, (-1.0_f64).exp(), 1e-14);
    }

    #[test]
    fn shares_may_be_percent_and_an_exact_match_is_certain() {
        assert_close(p_value(&[900, 100], &[90.0, 10.0]).unwrap(), 1.0, 0.0);
    }

    #[test]
    fn what_it_refuses() {
        assert_eq!(p_value(&[1, 2], &[1.0]), Err(StatsError::LengthMismatch { left: 2, right: 1 }));
        assert_eq!(p_value(&[0, 0], &[0.5, 0.5]), Err(StatsError::Empty));
        assert!(matches!(p_value(&[5], &[1.0]), Err(StatsError::OutOfRange { .. })));
        assert!(matches!(
            p_value(&[5, 5], &[1.0, 0.0]),
            Err(StatsError::OutOfRange { name: "expected_share", .. })
        ));
    }
}
