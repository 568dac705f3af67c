//! Which traffic would make a log answer. Owns the plan: what to explore, where, how much, for how many rows.
//! Refuses to say what the exploration costs, because the rewards of what was never tried are unknown.

use std::collections::BTreeMap;

use super::{ActionTable, Diagnostics, Requirements, Support};

/// Exploration never takes more than this share of a segment's rows.
const MOST_EXPLORATION: f64 = 0.5;

/// Rows beyond the expected number, because weights scatter.
const SPARE_ROWS: f64 = 1.1;

/// A plan under which a new log would carry the evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Repair {
    /// Rows to log under the plan, over all segments. `None` where it cannot be known: without an
    /// [`ActionTable`] nobody can say which action lacked its chance.
    pub rows: Option<u64>,
    /// What to explore, the largest share of the target first. Empty when more rows alone suffice.
    pub explorations: Vec<Exploration>,
}

/// One action to be played in one segment for a share of its rows, drawn at random, instead of what the logging
/// policy says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exploration {
    /// The segment's label.
    pub segment: u32,
    /// The action.
    pub action: usize,
    /// The share of the segment's rows that get the action by exploration, in `(0, 0.5]`.
    pub share: f64,
    /// Rows of the segment that the plan needs, explored or not.
    pub rows: u64,
    /// The mean probability with which the target takes the action there.
    pub target_share: f64,
    /// The mean probability with which the logging policy did.
    pub logged_share: f64,
}

/// The plan without a table: the same policy, more rows, where rows can help.
pub(super) fn more_rows(weights: &Diagnostics, needs: &Requirements, rows_help: bool) -> Repair {
    let mean_square = weights.rows as f64 / weights.effective_rows;
    let largest = weights.largest_weight / weights.mean_weight;
    let known = rows_help && weights.effective_rows > 0.0;
    Repair { rows: known.then(|| rows(mean_square, largest, needs)), explorations: Vec::new() }
}

/// The plan with a table. Each cell with weights above the planned weight is explored with the share that
/// brings them down to it; the rows follow from the weights of the mixed policy at the log's own contexts, as
/// `effective rows needed * mean of w^2`, and from the largest weight where that asks for more.
pub(super) fn explore(table: &ActionTable<'_>, support: &[Support], needs: &Requirements) -> Repair {
    let shares = shares(support, needs.planned_weight());
    let (mut squares, mut largest) = (0.0, 0.0_f64);
    let unexplored = vec![0.0; table.actions];
    for (row, segment) in table.segments.iter().enumerate() {
        let shares = shares.get(segment).unwrap_or(&unexplored);
        let kept = 1.0 - shares.iter().sum::<f64>();
        let (logged, target) = table.row(row);
        for ((b, e), share) in logged.iter().zip(target).zip(shares) {
            if *e > 0.0 {
                let weight = e / (kept * b + share);
                squares += e * weight;
                largest = largest.max(weight);
            }
        }
    }
    let total = rows(squares / table.segments.len() as f64, largest, needs);
    let part = |rows: u64| total as f64 * rows as f64 / table.segments.len() as f64;
    let mut explorations: Vec<Exploration> = support
        .iter()
        .filter_map(|cell| {
            let share = *shares.get(&cell.segment)?.get(cell.action)?;
            (share > 0.0).then(|| Exploration {
                segment: cell.segment,
                action: cell.action,
                share,
                rows: part(cell.rows).ceil() as u64,
                target_share: cell.target_share,
                logged_share: cell.logged_share,
            })
        })
        .collect();
    explorations.sort_by(|a, b| b.target_share.total_cmp(&a.target_share));
    Repair { rows: Some(total), explorations }
}

/// The exploration share of each action in the segments that need any.
fn shares(support: &[Support], planned_weight: f64) -> BTreeMap<u32, Vec<f64>> {
    let actions = support.iter().map(|cell| cell.action + 1).max().unwrap_or(0);
    let mut shares: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for cell in support.iter().filter(|cell| cell.heavy_target > 0.0) {
        let of_segment = shares.entry(cell.segment).or_insert_with(|| vec![0.0; actions]);
        of_segment[cell.action] = cell.heavy_target / planned_weight;
    }
    for of_segment in shares.values_mut() {
        let total: f64 = of_segment.iter().sum();
        if total > MOST_EXPLORATION {
            for share in of_segment.iter_mut() {
                *share *= MOST_EXPLORATION / total;
            }
        }
    }
    shares
}

/// Rows so that the effective number, and the largest row's share of the weight, are as needed.
fn rows(mean_square: f64, largest_weight: f64, needs: &Requirements) -> u64 {
    let effective = needs.least_effective_rows * mean_square;
    let dominated = largest_weight / needs.most_row_share;
    (effective.max(dominated) * SPARE_ROWS).ceil() as u64
}
