//! Whether the logging policy could have done what the target does. Owns the comparison of both policies over all
//! actions; refuses to guess the chances of actions that it is not told.

use std::collections::BTreeMap;

use super::Log;
use crate::{StatsError, check};

/// How far a row's probabilities may sum to something other than 1, or differ from the [`Log`]'s.
const TOLERANCE: f64 = 1e-6;

/// Both policies over all actions, at the contexts of the rows. Matrices have a row for each row of the log and a
/// column for each action, row after row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActionTable<'a> {
    /// Actions, at least 1.
    pub actions: usize,
    /// The logging policy's probabilities, `rows * actions` entries; each row sums to 1.
    pub logged: &'a [f64],
    /// The target policy's probabilities, `rows * actions` entries; each row sums to 1.
    pub target: &'a [f64],
    /// The logged action of each row, below `actions`.
    pub chosen: &'a [usize],
    /// The segment of each row: any label by which traffic can be steered. Give one label to all for none.
    pub segments: &'a [u32],
}

/// What the target does in one segment with one action, and whether the log could show it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Support {
    /// The segment's label.
    pub segment: u32,
    /// The action.
    pub action: usize,
    /// Rows of the segment.
    pub rows: u64,
    /// The mean probability with which the target takes the action there.
    pub target_share: f64,
    /// The mean probability with which the logging policy did.
    pub logged_share: f64,
    /// The target's probability where the logging policy had none, or less than a part in `largest_weight` of the
    /// target's, averaged over the segment's rows: at most `target_share`.
    pub unsupported_share: f64,
    /// The largest weight that the action would have had in a row of the segment; infinite without any chance.
    pub largest_weight: f64,
    /// The largest probability of the target among the rows whose weight exceeds `weight_limit`; 0 for none.
    pub(super) heavy_target: f64,
}

/// The support of each segment and action that the target ever takes, in the order of labels and actions. A
/// propensity counts as missing when the weight would exceed `largest_weight`: 0.001 is tiny for an action that the
/// target always takes, and ample for one that it takes as rarely.
///
/// Worked example: two rows, two actions, logged `[1, 0]` and `[0.5, 0.5]`, target `[0, 1]` in both. Action 1 has
/// the target share 1, the logged share 0.25, the unsupported share 0.5 and an infinite largest weight; action 0 is
/// never taken by the target and so not listed.
///
/// Errors: `Empty`; `NotFinite`; `LengthMismatch`; `OutOfRange` without an action, for a chosen action that does
/// not exist, a probability outside `[0, 1]`, a row that does not sum to 1 within `1e-6`, and a `largest_weight`
/// that is not finite and above 0.
pub fn support(table: &ActionTable<'_>, largest_weight: f64) -> Result<Vec<Support>, StatsError> {
    check::positive("largest weight", largest_weight)?;
    table.check_shape(table.chosen.len())?;
    for row in 0..table.chosen.len() {
        let (logged, target) = table.row(row);
        for probabilities in [logged, target] {
            if let Some(value) = fault(probabilities) {
                return Err(StatsError::OutOfRange { name: "probability", value });
            }
        }
    }
    Ok(of_table(table, largest_weight, largest_weight))
}

/// As [`support`], for a table that was checked; rows heavier than `weight_limit` are marked.
pub(super) fn of_table(table: &ActionTable<'_>, largest_weight: f64, weight_limit: f64) -> Vec<Support> {
    let mut cells: BTreeMap<(u32, usize), Support> = BTreeMap::new();
    let sizes = table.segment_sizes();
    for (row, &segment) in table.segments.iter().enumerate() {
        let (logged, target) = table.row(row);
        let size = sizes.get(&segment).copied().unwrap_or(1);
        for (action, (&b, &e)) in logged.iter().zip(target).enumerate() {
            let cell = cells.entry((segment, action)).or_insert(Support {
                segment,
                action,
                rows: size,
                target_share: 0.0,
                logged_share: 0.0,
                unsupported_share: 0.0,
                largest_weight: 0.0,
                heavy_target: 0.0,
            });
            cell.target_share += e;
            cell.logged_share += b;
            if e > 0.0 {
                let weight = e / b;
                cell.largest_weight = cell.largest_weight.max(weight);
                if weight > largest_weight {
                    cell.unsupported_share += e;
                }
                if weight > weight_limit {
                    cell.heavy_target = cell.heavy_target.max(e);
                }
            }
        }
    }
    // Divided once, at the end: shares of whole numbers of rows stay exact.
    let averaged = cells.into_values().map(|cell| Support {
        target_share: cell.target_share / cell.rows as f64,
        logged_share: cell.logged_share / cell.rows as f64,
        unsupported_share: cell.unsupported_share / cell.rows as f64,
        ..cell
    });
    averaged.filter(|cell| cell.target_share > 0.0).collect()
}

impl<'a> ActionTable<'a> {
    /// The logging and the target policy's probabilities at one row.
    pub(super) fn row(&self, row: usize) -> (&'a [f64], &'a [f64]) {
        let range = row * self.actions..(row + 1) * self.actions;
        (&self.logged[range.clone()], &self.target[range])
    }

    pub(super) fn segment_sizes(&self) -> BTreeMap<u32, u64> {
        let mut sizes = BTreeMap::new();
        for &segment in self.segments {
            *sizes.entry(segment).or_insert(0) += 1;
        }
        sizes
    }

    /// Refuses matrices of another shape and what is not finite.
    pub(super) fn check_shape(&self, rows: usize) -> Result<(), StatsError> {
        if self.actions == 0 {
            return Err(StatsError::OutOfRange { name: "actions", value: 0.0 });
        }
        check::same_length(rows, self.chosen.len())?;
        check::same_length(rows, self.segments.len())?;
        for matrix in [self.logged, self.target] {
            check::same_length(rows.saturating_mul(self.actions), matrix.len())?;
            check::finite(matrix)?;
        }
        match self.chosen.iter().find(|action| **action >= self.actions) {
            Some(&action) => Err(StatsError::OutOfRange { name: "chosen action", value: action as f64 }),
            None => Ok(()),
        }
    }

    /// Whether a row holds two distributions that agree with the log about the logged action.
    pub(super) fn agrees(&self, row: usize, log: &Log<'_>) -> bool {
        let (logged, target) = self.row(row);
        let action = self.chosen[row];
        let same = |a: f64, b: f64| (a - b).abs() <= TOLERANCE * a.abs().max(b.abs());
        fault(logged).is_none()
            && fault(target).is_none()
            && same(logged[action], log.logged_propensities[row])
            && same(target[action], log.target_propensities[row])
    }
}

/// The entry outside `[0, 1]`, or the sum that is not 1.
fn fault(probabilities: &[f64]) -> Option<f64> {
    let outside = probabilities.iter().copied().find(|probability| !(0.0..=1.0).contains(probability));
    outside.or_else(|| {
        let sum: f64 = probabilities.iter().sum();
        ((sum - 1.0).abs() > TOLERANCE).then_some(sum)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: ActionTable<'static> = ActionTable {
        actions: 2,
        logged: &[1.0, 0.0, 0.5, 0.5],
        target: &[0.0, 1.0, 0.0, 1.0],
        chosen: &[0, 1],
        segments: &[7, 7],
    };

    #[test]
    fn the_worked_example() {
        let found = support(&TABLE, 1_000.0).unwrap();
        let expected = Support {
            segment: 7,
            action: 1,
            rows: 2,
            target_share: 1.0,
            logged_share: 0.25,
            unsupported_share: 0.5,
            largest_weight: f64::INFINITY,
            heavy_target: 1.0,
        };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn tiny_is_judged_against_the_target() {
        let table = |target: &'static [f64]| ActionTable {
            actions: 2,
            logged: &[0.9999, 0.0001],
            target,
            chosen: &[0],
            segments: &[0],
        };
        let rare = support(&table(&[0.9999, 0.0001]), 1_000.0).unwrap();
        assert!(rare.iter().all(|cell| cell.unsupported_share == 0.0), "{rare:?}");
        let always = support(&table(&[0.0, 1.0]), 1_000.0).unwrap();
        assert_eq!(always[0].unsupported_share, 1.0);
    }

    #[test]
    fn what_it_refuses() {
        let name = |table: &ActionTable<'_>| match support(table, 1_000.0) {
            Err(StatsError::OutOfRange { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(&ActionTable { actions: 0, ..TABLE }), "actions");
        assert_eq!(name(&ActionTable { chosen: &[0, 2], ..TABLE }), "chosen action");
        assert_eq!(name(&ActionTable { logged: &[1.0, 0.0, 0.5, 0.6], ..TABLE }), "probability");
        assert_eq!(name(&ActionTable { target: &[2.0, -1.0, 0.0, 1.0], ..TABLE }), "probability");
        assert!(support(&ActionTable { logged: &[1.0], ..TABLE }, 1_000.0).is_err());
        assert!(support(&ActionTable { segments: &[1], ..TABLE }, 1_000.0).is_err());
        assert!(support(&TABLE, 0.0).is_err());
        assert!(support(&ActionTable { actions: usize::MAX, ..TABLE }, 1_000.0).is_err());
    }
}
