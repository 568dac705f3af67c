//! The judgement: an evaluation with every estimator, or a refusal with figures. Owns the order of the checks;
//! refuses to estimate from a log that fails one.

use super::{
    ActionTable, Diagnostics, Estimate, Log, Repair, RewardModel, Support, WeightRule, diagnostics,
    estimator, repair, support, tuning,
    tuning::{BiasBound, Tuned},
    valid_logged, valid_target,
};
use crate::{StatsError, check};

/// The chance that the bias bound behind a tuned estimator fails.
const BIAS_DELTA: f64 = 0.05;

/// What a log must offer. Fixed before the rewards are seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Requirements {
    /// A propensity is missing where the weight would exceed this.
    pub largest_weight: f64,
    /// The most of the target's probability that may lack support.
    pub most_unsupported: f64,
    /// The least effective number of rows (Kish).
    pub least_effective_rows: f64,
    /// The most that one row may have of the sum of weights.
    pub most_row_share: f64,
    /// The most standard errors between the mean weight and 1.
    pub most_weight_deviation: f64,
    /// The largest weight in a [`Repair`]: 10 explores a tenth as much as the target would.
    pub planned_weight: f64,
}

/// What the log says about the target.
#[derive(Debug, Clone, PartialEq)]
pub enum Evaluation {
    /// The target's value.
    Estimated(Box<Report>),
    /// No value, and why.
    Refused(Box<Refusal>),
}

/// Every estimate at one level, with the weights it rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// The weights in figures.
    pub diagnostics: Diagnostics,
    /// The share of the target's probability without support; `None` without an [`ActionTable`].
    pub unsupported_share: Option<f64>,
    /// Inverse propensity scoring.
    pub inverse_propensity: Estimate,
    /// Self-normalised inverse propensity scoring.
    pub self_normalised: Estimate,
    /// Inverse propensity scoring with weights clipped at `sqrt(rows)`. Biased.
    pub clipped: Estimate,
    /// What needs a reward model.
    pub modelled: Option<Modelled>,
}

/// The estimates that rest on a reward model. One is `None` where its scores do not vary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Modelled {
    /// The direct method. Biased.
    pub direct: Option<Estimate>,
    /// Doubly robust.
    pub doubly_robust: Option<Estimate>,
    /// SWITCH-DR at the tuned threshold. Biased.
    pub switch_doubly_robust: Option<Estimate>,
    /// The threshold.
    pub threshold: Tuned,
    /// Doubly robust with optimistic shrinkage at the tuned lambda. Biased.
    pub shrunk_doubly_robust: Option<Estimate>,
    /// The lambda.
    pub lambda: Tuned,
}

/// Why there is no value, and what would give one.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Everything that failed; at least one.
    pub reasons: Vec<Reason>,
    /// The weights in figures; `None` where propensities are invalid.
    pub diagnostics: Option<Diagnostics>,
    /// The traffic that would repair it; `None` where the log itself is wrong.
    pub repair: Option<Repair>,
}

/// One thing that the log lacks.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Reason {
    /// Recorded propensities that cannot be.
    #[error(
        "{logged} rows have a logged propensity outside (0, 1], {target} a target propensity outside [0, 1] and \
         {table} disagree with the table of actions, first row {first_row}; record the propensity in force when \
         the action is drawn"
    )]
    InvalidPropensities {
        /// Rows with a logged propensity outside `(0, 1]`, or one so small that the weight overflows.
        logged: u64,
        /// Rows with a target propensity outside `[0, 1]`.
        target: u64,
        /// Rows whose table entries are no distributions, or differ from the log's.
        table: u64,
        /// The first such row, counted from 0.
        first_row: usize,
    },
    /// The target does what was hardly ever tried.
    #[error(
        "{share} of what the target does had no chance or a tiny one in the log, at most {limit} may; explore it"
    )]
    Unsupported {
        /// The share of the target's probability without support.
        share: f64,
        /// The most that may be.
        limit: f64,
    },
    /// The weights do not average 1: support is missing, or the propensities were not those in force.
    #[error(
        "the mean weight is {mean} with a standard error of {standard_error}, and should be 1; part of the target \
         was never tried, or the recorded propensities were not in force"
    )]
    WeightsOffBalance {
        /// The mean weight.
        mean: f64,
        /// Its standard error.
        standard_error: f64,
        /// The most standard errors away from 1.
        limit: f64,
    },
    /// Too little of the log speaks about the target.
    #[error("the log is worth {effective} rows of the target's own traffic, {needed} are needed; log more")]
    TooFewEffectiveRows {
        /// Kish's effective number of rows.
        effective: f64,
        /// The least that is needed.
        needed: f64,
    },
    /// One row decides.
    #[error("row {row} carries {share} of all weight, at most {limit} may lie on one; log more")]
    OneRowDominates {
        /// The row, counted from 0.
        row: usize,
        /// Its share of the sum of weights.
        share: f64,
        /// The most that may be.
        limit: f64,
    },
    /// All rows that speak about the target brought the same.
    #[error("all rows with weight brought {reward}; wait until rewards differ")]
    NoVariation {
        /// What each brought.
        reward: f64,
    },
}

impl Default for Requirements {
    /// A propensity below a thousandth of the target's is missing; 1 % may be missing; 200 effective rows; no row
    /// with 5 % of the weight; the mean weight within 4 standard errors of 1; repairs with weights up to 10.
    fn default() -> Self {
        Self {
            largest_weight: 1_000.0,
            most_unsupported: 0.01,
            least_effective_rows: 200.0,
            most_row_share: 0.05,
            most_weight_deviation: 4.0,
            planned_weight: 10.0,
        }
    }
}

/// Evaluates the target policy, or refuses.
///
/// In this order: propensities that cannot be are counted, and end it. Then come the mean weight, the effective
/// number of rows, the largest row and, with a table of all actions, the support of the target; all that fail are
/// reported together, with the traffic that would repair it. Rewards are looked at last, and only for whether they
/// vary at all. SWITCH-DR and DRos are tuned over [`default_candidates`](super::default_candidates) with
/// [`BiasBound::HighProbability`] at 0.05.
///
/// Without a table, mass that the target puts on what was never tried shows only in the mean weight, whose
/// expectation is the supported share: give the table wherever the logging policy can be asked.
///
/// Choose the estimate to act on beforehand: doubly robust with a reward model, else self-normalised.
///
/// Worked example: 1,000 rows of a fair coin between two actions, of which the target always takes the second: about
/// 500 rows have weight 2, the effective number is about 500, and the report's estimates are those of the
/// functions. Had the coin never shown the second action, 100 % would be unsupported, and the repair would ask for
/// exploration of a tenth and `200 * 10` rows, with a tenth on top.
///
/// Errors: `Empty`, `NotFinite` and `LengthMismatch` for bad slices; `OutOfRange` for a `level` or a requirement
/// outside its range, fewer than two rows, and scores that overflow.
pub fn evaluate(
    log: &Log<'_>,
    model: Option<&RewardModel<'_>>,
    table: Option<&ActionTable<'_>>,
    needs: &Requirements,
    level: f64,
) -> Result<Evaluation, StatsError> {
    check::open_unit("level", level)?;
    needs.check()?;
    log.check_shape()?;
    let rows = log.rewards.len();
    if rows < 2 {
        return Err(StatsError::OutOfRange { name: "number of rows", value: rows as f64 });
    }
    model.map_or(Ok(()), |model| model.check_shape(rows))?;
    table.map_or(Ok(()), |table| table.check_shape(rows))?;
    if let Some(reason) = invalid(log, table) {
        return Ok(refused(vec![reason], None, None));
    }
    let weights = log.weights()?;
    let figures = diagnostics::of_weights(&weights);
    let cells = table.map(|table| support::of_table(table, needs.largest_weight, needs.planned_weight()));
    let unsupported_share = cells.as_ref().map(|cells| unsupported_share(cells, rows));
    let reasons = reasons(&figures, unsupported_share, needs);
    if !reasons.is_empty() {
        let repair = plan(table.zip(cells.as_deref()), &figures, &reasons, needs);
        return Ok(refused(reasons, Some(figures), repair));
    }
    if let Some(reward) = only_reward(log, &weights) {
        return Ok(refused(vec![Reason::NoVariation { reward }], Some(figures), None));
    }
    Ok(Evaluation::Estimated(Box::new(Report {
        diagnostics: figures,
        unsupported_share,
        inverse_propensity: estimator::inverse_propensity(log, level)?,
        self_normalised: estimator::self_normalised(log, level)?,
        clipped: estimator::clipped_inverse_propensity(log, (rows as f64).sqrt(), level)?,
        modelled: model.map(|model| modelled(log, model, &weights, level)).transpose()?,
    })))
}

impl Requirements {
    /// The largest weight of a plan, never one that would count as missing.
    pub(super) fn planned_weight(&self) -> f64 {
        self.planned_weight.min(self.largest_weight)
    }

    fn check(&self) -> Result<(), StatsError> {
        check::positive("largest weight", self.largest_weight)?;
        check::positive("least effective rows", self.least_effective_rows)?;
        check::positive("most weight deviation", self.most_weight_deviation)?;
        check::open_unit("most row share", self.most_row_share)?;
        if !(0.0..=1.0).contains(&self.most_unsupported) {
            return Err(StatsError::OutOfRange { name: "most unsupported", value: self.most_unsupported });
        }
        if self.planned_weight.is_finite() && self.planned_weight >= 1.0 {
            return Ok(());
        }
        Err(StatsError::OutOfRange { name: "planned weight", value: self.planned_weight })
    }
}

fn refused(reasons: Vec<Reason>, diagnostics: Option<Diagnostics>, repair: Option<Repair>) -> Evaluation {
    Evaluation::Refused(Box::new(Refusal { reasons, diagnostics, repair }))
}

fn plan(
    table: Option<(&ActionTable<'_>, &[Support])>,
    figures: &Diagnostics,
    reasons: &[Reason],
    needs: &Requirements,
) -> Option<Repair> {
    let balanced = !reasons.iter().any(|reason| matches!(reason, Reason::WeightsOffBalance { .. }));
    let Some((table, cells)) = table else {
        return Some(repair::more_rows(figures, needs, balanced));
    };
    // With full support and no heavy weight, weights that do not average 1 were recorded wrongly.
    let plan = repair::explore(table, cells, needs);
    (balanced || !plan.explorations.is_empty()).then_some(plan)
}

fn invalid(log: &Log<'_>, table: Option<&ActionTable<'_>>) -> Option<Reason> {
    let (mut logged, mut target, mut disagree, mut first_row) = (0, 0, 0, None);
    for (row, (&b, &e)) in log.logged_propensities.iter().zip(log.target_propensities).enumerate() {
        let faults = [
            !valid_logged(b) || (valid_target(e) && !(e / b).is_finite()),
            !valid_target(e),
            table.is_some_and(|table| !table.agrees(row, log)),
        ];
        for (count, fault) in [&mut logged, &mut target, &mut disagree].into_iter().zip(faults) {
            *count += u64::from(fault);
        }
        if faults.contains(&true) {
            first_row = first_row.or(Some(row));
        }
    }
    first_row.map(|first_row| Reason::InvalidPropensities { logged, target, table: disagree, first_row })
}

/// The share of the target's probability without support, over all rows.
fn unsupported_share(cells: &[Support], rows: usize) -> f64 {
    cells.iter().map(|cell| cell.unsupported_share * cell.rows as f64).sum::<f64>() / rows as f64
}

fn reasons(figures: &Diagnostics, unsupported: Option<f64>, needs: &Requirements) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let limit = needs.most_unsupported;
    if let Some(share) = unsupported.filter(|share| *share > limit) {
        reasons.push(Reason::Unsupported { share, limit });
    }
    // The second term forgives rounding where all weights are equal and the standard error is 0.
    let (mean, standard_error) = (figures.mean_weight, figures.mean_weight_standard_error);
    if (mean - 1.0).abs() > needs.most_weight_deviation * standard_error + 1e-6 {
        let limit = needs.most_weight_deviation;
        reasons.push(Reason::WeightsOffBalance { mean, standard_error, limit });
    }
    let (effective, needed) = (figures.effective_rows, needs.least_effective_rows);
    if effective < needed {
        reasons.push(Reason::TooFewEffectiveRows { effective, needed });
    }
    let (share, limit) = (figures.largest_row_share, needs.most_row_share);
    if share > limit {
        reasons.push(Reason::OneRowDominates { row: figures.largest_weight_row, share, limit });
    }
    reasons
}

/// The reward of all rows with a positive weight, where it is the same.
fn only_reward(log: &Log<'_>, weights: &[f64]) -> Option<f64> {
    let mut heard = weights.iter().zip(log.rewards).filter(|(weight, _)| **weight > 0.0);
    let &first = heard.next()?.1;
    heard.all(|(_, reward)| *reward == first).then_some(first)
}

fn modelled(
    log: &Log<'_>,
    model: &RewardModel<'_>,
    weights: &[f64],
    level: f64,
) -> Result<Modelled, StatsError> {
    let bound = BiasBound::HighProbability { delta: BIAS_DELTA };
    let tuned = |rule| tuning::tune(log, model, rule, &tuning::default_candidates(weights, rule)?, bound);
    let threshold = tuned(WeightRule::Switch)?;
    let lambda = tuned(WeightRule::OptimisticShrinkage)?;
    let switched = estimator::switch_doubly_robust(log, model, threshold.parameter, level);
    let shrunk = estimator::shrunk_doubly_robust(log, model, lambda.parameter, level);
    Ok(Modelled {
        direct: if_varied(estimator::direct(log, model, level))?,
        doubly_robust: if_varied(estimator::doubly_robust(log, model, level))?,
        switch_doubly_robust: if_varied(switched)?,
        threshold,
        shrunk_doubly_robust: if_varied(shrunk)?,
        lambda,
    })
}

/// A model may say the same of every row; that costs the one estimate and not the report.
fn if_varied(estimate: Result<Estimate, StatsError>) -> Result<Option<Estimate>, StatsError> {
    match estimate {
        Ok(estimate) => Ok(Some(estimate)),
        Err(error) if error == estimator::NO_VARIANCE => Ok(None),
        Err(error) => Err(error),
    }
}
