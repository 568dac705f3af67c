//! Whether the data of an A/B test may be read at all. Owns five checks that come before any effect, each
//! with its figures, and the one summary that allows or blocks a verdict. Refuses to choose the limits, which
//! are a policy's business, and to look at the outcome that the test is about.
//!
//! | check | question | method |
//! | --- | --- | --- |
//! | [`sample_ratio`] | did units land in the agreed shares | Lindon & Malek 2022, at any look |
//! | [`crossover()`] | how many units saw two variants | exact binomial test, Clopper & Pearson 1934 |
//! | [`balance()`] | did the groups differ before they were treated | standardised difference, Welch 1947, Holm 1979 |
//! | [`runtime`] | were whole weeks seen | count |
//! | [`maturity`] | has every outcome had its time | share per group |
//!
//! Only the first keeps its error when it is looked at daily. The tests of [`crossover()`] and [`balance()`] are
//! for one look: read them at the end, or with a strict `alpha`.

pub mod balance;
pub mod crossover;
pub mod waiting;

pub use balance::{Balance, Covariate, Imbalance, balance};
pub use crossover::{Crossover, crossover};
pub use waiting::{Arm, Maturity, Runtime, maturity, runtime};

use crate::{
    StatsError, check,
    sample_ratio::sequential::{self, Stage},
};

/// The checks by name, in the order in which they are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Units per group against the agreed shares.
    SampleRatio,
    /// Units seen in more than one variant.
    Crossover,
    /// Differences between the groups before the treatment.
    Balance,
    /// Whole weeks seen.
    Runtime,
    /// Outcomes that can still arrive.
    Maturity,
}

/// The result of [`sample_ratio`].
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRatio {
    /// The share of all units that each group has.
    pub observed_share: Vec<f64>,
    /// The share that was agreed, averaged over the stages by their units.
    pub expected_share: Vec<f64>,
    /// The least p-value of all looks so far; valid at any of them.
    pub p_value: f64,
    /// The chance of ever blocking a sound test.
    pub alpha: f64,
    /// Whether `p_value <= alpha`.
    pub blocks: bool,
}

/// The figures of the checks that were run; `None` for one that was not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checks {
    /// Of [`sample_ratio`].
    pub sample_ratio: Option<SampleRatio>,
    /// Of [`crossover()`].
    pub crossover: Option<Crossover>,
    /// Of [`balance()`].
    pub balance: Option<Balance>,
    /// Of [`runtime`].
    pub runtime: Option<Runtime>,
    /// Of [`maturity`].
    pub maturity: Option<Maturity>,
}

/// What the checks say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Whether the sample ratio was checked and no check blocks.
    pub verdict_allowed: bool,
    /// The checks that block, in the order of [`Check`].
    pub blocking: Vec<Check>,
    /// The checks that were not run, in the order of [`Check`].
    pub not_run: Vec<Check>,
}

/// Units per group against the agreed shares, at any look and over any number of stages.
///
/// The p-value is that of [`sequential::p_value`] or `earlier_p_value`, whichever is less: hand in 1 at the
/// first look and the last result's `p_value` from then on, so that a mismatch once found stays found. The
/// prior is worth `concentration` units; 10,000 suits mismatches of a few tenths of a percent.
///
/// Worked example (ssrm-test 0.1.5): 3,320 and 2,960 units at equal shares and a concentration of 100 have p
/// 0.00030862, which blocks at `alpha = 0.001`.
///
/// Errors: those of [`sequential::log_bayes_factor`]; `LengthMismatch` between the groups of two stages;
/// `OutOfRange` for an `earlier_p_value` outside `[0, 1]` and an `alpha` not strictly between 0 and 1.
pub fn sample_ratio(
    stages: &[Stage<'_>],
    concentration: f64,
    earlier_p_value: f64,
    alpha: f64,
) -> Result<SampleRatio, StatsError> {
    check::open_unit("alpha", alpha)?;
    if !(0.0..=1.0).contains(&earlier_p_value) {
        return Err(StatsError::OutOfRange { name: "earlier_p_value", value: earlier_p_value });
    }
    let groups = stages.first().map_or(0, |stage| stage.observed.len());
    for stage in stages {
        check::same_length(groups, stage.observed.len())?;
    }
    let p_value = sequential::p_value(stages, concentration)?.min(earlier_p_value);
    let (mut observed, mut expected) = (vec![0.0; groups], vec![0.0; groups]);
    for stage in stages {
        let units: f64 = stage.observed.iter().map(|&count| count as f64).sum();
        let shares: f64 = stage.expected_share.iter().sum();
        for (total, &count) in observed.iter_mut().zip(stage.observed) {
            *total += count as f64;
        }
        for (total, share) in expected.iter_mut().zip(stage.expected_share) {
            *total += units * (share / shares);
        }
    }
    let units: f64 = observed.iter().sum();
    let share = |counts: Vec<f64>| counts.into_iter().map(|count| count / units).collect();
    Ok(SampleRatio {
        observed_share: share(observed),
        expected_share: share(expected),
        p_value,
        alpha,
        blocks: p_value <= alpha,
    })
}

/// Whether a verdict is allowed, and if not, because of which checks.
///
/// A check that was not run does not block, since not every test has a period before it; but without the
/// check of the sample ratio no verdict is allowed.
///
/// Worked example: with a sound sample ratio and 6 of 14 days, [`Check::Runtime`] blocks and the three others
/// are listed as not run.
pub fn summary(checks: &Checks) -> Summary {
    let blocks = [
        (Check::SampleRatio, checks.sample_ratio.as_ref().map(|found| found.blocks)),
        (Check::Crossover, checks.crossover.as_ref().map(|found| found.blocks)),
        (Check::Balance, checks.balance.as_ref().map(|found| found.blocks)),
        (Check::Runtime, checks.runtime.as_ref().map(|found| found.blocks)),
        (Check::Maturity, checks.maturity.as_ref().map(|found| found.blocks)),
    ];
    let those = |state: Option<bool>| {
        blocks.iter().filter(|(_, found)| *found == state).map(|(check, _)| *check).collect::<Vec<_>>()
    };
    let blocking = those(Some(true));
    let verdict_allowed = blocking.is_empty() && checks.sample_ratio.is_some();
    Summary { verdict_allowed, blocking, not_run: those(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    fn ratio(observed: &[u64], earlier_p_value: f64) -> SampleRatio {
        let stage = Stage { observed, expected_share: &[1.0, 1.0] };
        sample_ratio(&[stage], 100.0, earlier_p_value, 0.001).unwrap()
    }

    #[test]
    fn the_worked_example_of_the_sample_ratio() {
        let found = ratio(&[3_320, 2_960], 1.0);
        assert_close(found.p_value, 0.000_308_62, 5e-9);
        assert!(found.blocks);
        assert_close(found.observed_share[0], 3_320.0 / 6_280.0, 1e-15);
        assert_close(found.expected_share[1], 0.5, 1e-15);
    }

    #[test]
    fn a_mismatch_once_found_stays_found() {
        assert!(!ratio(&[5_000, 5_000], 1.0).blocks);
        assert!(ratio(&[5_000, 5_000], 0.000_5).blocks);
    }

    /// A rollout from 10 % to 50 %: pooled counts look off, stages do not.
    #[test]
    fn the_stages_of_a_rollout() {
        let stages = [
            Stage { observed: &[9_000, 1_000], expected_share: &[9.0, 1.0] },
            Stage { observed: &[5_000, 5_000], expected_share: &[1.0, 1.0] },
        ];
        let found = sample_ratio(&stages, 1_000.0, 1.0, 0.001).unwrap();
        assert!(!found.blocks);
        assert_close(found.expected_share[1], 0.3, 1e-15);
        assert_eq!(found.observed_share, found.expected_share);
    }

    #[test]
    fn the_worked_example_of_the_summary() {
        let mut checks = Checks {
            sample_ratio: Some(ratio(&[500, 500], 1.0)),
            runtime: Some(runtime(6, 2)),
            ..Checks::default()
        };
        let blocked = summary(&checks);
        assert!(!blocked.verdict_allowed);
        assert_eq!(blocked.blocking, [Check::Runtime]);
        assert_eq!(blocked.not_run, [Check::Crossover, Check::Balance, Check::Maturity]);
        checks.runtime = Some(runtime(14, 2));
        assert!(summary(&checks).verdict_allowed);
        checks.sample_ratio = None;
        assert!(!summary(&checks).verdict_allowed);
    }

    #[test]
    fn every_check_can_block() {
        let moments = |values: &[f64]| crate::moments::Moments::from_values(values);
        let apart = Covariate { control: moments(&[1.0, 2.0, 3.0]), treatment: moments(&[91.0, 92.0, 93.0]) };
        let arm = Arm { units: 10, mature: 5 };
        let checks = Checks {
            sample_ratio: Some(ratio(&[900, 100], 1.0)),
            crossover: Some(crossover(50, 100, 0.01, 0.01).unwrap()),
            balance: Some(balance(&[apart], 0.0, 0.01).unwrap()),
            runtime: Some(runtime(0, 1)),
            maturity: Some(maturity(&[arm, arm], 0.1).unwrap()),
        };
        let expected =
            [Check::SampleRatio, Check::Crossover, Check::Balance, Check::Runtime, Check::Maturity];
        assert_eq!(summary(&checks).blocking, expected);
        assert!(summary(&checks).not_run.is_empty());
    }

    #[test]
    fn what_it_refuses() {
        let two = Stage { observed: &[5, 5], expected_share: &[1.0, 1.0] };
        let three = Stage { observed: &[5, 5, 5], expected_share: &[1.0, 1.0, 1.0] };
        let mismatch = StatsError::LengthMismatch { left: 2, right: 3 };
        assert_eq!(sample_ratio(&[two, three], 10.0, 1.0, 0.01), Err(mismatch));
        assert_eq!(sample_ratio(&[], 10.0, 1.0, 0.01), Err(StatsError::Empty));
        assert!(sample_ratio(&[two], 10.0, f64::NAN, 0.01).is_err());
        assert!(sample_ratio(&[two], 10.0, 1.0, 1.0).is_err());
    }
}
