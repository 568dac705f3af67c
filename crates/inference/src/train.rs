//! Training in process: the checks that every learner needs, and the way from a learner's result to an artifact.
//!
//! Owns what a learner may be given. It refuses rows on which a learner library would panic, or from which nothing
//! can be learnt, and says which column is at fault. The learners live in the modules below, one each.

mod coding;
mod flatten;
mod gradient_boosting;
mod logistic_regression;
mod pasting;

use std::collections::{BTreeSet, HashSet};

use greenlight_app::runtime::{Model, RuntimeError, TrainedModel};
use greenlight_domain::frame::{Column, Frame};
use greenlight_domain::training::Learner;

use crate::artifact::{Artifact, MAX_FEATURES, MAX_VOCABULARY};
use crate::runtime::{FLAVOR, load, signature};

/// Most cells (rows × encoded columns) of a training matrix: 2 GiB of doubles.
const MAX_CELLS: usize = 1 << 28;
/// Most rows on which the stored model is compared with the learner's own scores.
const PARITY_ROWS: usize = 50_000;
/// Largest difference of two probabilities that counts as none.
const PARITY_TOLERANCE: f64 = 1e-9;

/// Trains, stores, loads what was stored, and compares it with the learner.
pub(crate) fn train(
    learner: &Learner,
    rows: &Frame,
    outcomes: &[bool],
) -> Result<TrainedModel, RuntimeError> {
    check(rows, outcomes)?;
    match *learner {
        Learner::LogisticRegression { alpha, max_iterations } => {
            logistic_regression::train(alpha, max_iterations, rows, outcomes)
        }
        Learner::GradientBoosting { budget, max_trees, seed } => {
            gradient_boosting::train(budget, max_trees, seed, rows, outcomes)
        }
    }
}

fn failed(problem: impl Into<String>) -> RuntimeError {
    RuntimeError::Training(problem.into())
}

fn check(rows: &Frame, outcomes: &[bool]) -> Result<(), RuntimeError> {
    if rows.rows() != outcomes.len() {
        return Err(failed(format!("there are {} rows and {} outcomes", rows.rows(), outcomes.len())));
    }
    if rows.rows() < 2 {
        return Err(failed("at least two rows are needed; widen the training window"));
    }
    let positives = outcomes.iter().filter(|outcome| **outcome).count();
    if positives == 0 || positives == outcomes.len() {
        return Err(failed(format!(
            "every one of the {} rows has the same outcome, so there is nothing to tell apart; widen the training \
             window",
            outcomes.len()
        )));
    }
    let width = rows.columns().len();
    if width == 0 || width > MAX_FEATURES {
        return Err(failed(format!("{width} features were named; name between 1 and {MAX_FEATURES}")));
    }
    let mut names = HashSet::new();
    for (field, column) in rows.fields().iter().zip(rows.columns()) {
        if !names.insert(&field.name) {
            return Err(failed(format!("two columns are named '{}'", field.name)));
        }
        if let Column::Number(values) = column {
            check_numbers(&field.name, values)?;
        }
    }
    check_cells(rows.rows(), width)
}

/// Infinities, and the very largest double too: the boosting library takes it for the end of its last bin.
fn check_numbers(name: &str, values: &[f64]) -> Result<(), RuntimeError> {
    match values.iter().position(|value| value.abs() >= f64::MAX) {
        None => Ok(()),
        Some(row) => Err(failed(format!(
            "column '{name}' holds {} in row {row}; clean it in the data set, or write it as missing",
            values[row]
        ))),
    }
}

fn check_cells(rows: usize, width: usize) -> Result<(), RuntimeError> {
    if rows.saturating_mul(width) <= MAX_CELLS {
        return Ok(());
    }
    Err(failed(format!(
        "{rows} rows of {width} encoded columns are more than the {MAX_CELLS} cells that are trained in process; use \
         fewer rows, or group rare texts"
    )))
}

/// The different texts of a column, ascending.
fn vocabulary(name: &str, column: &Column) -> Result<Vec<String>, RuntimeError> {
    let Column::Text(texts) = column else {
        return Ok(Vec::new());
    };
    let known: BTreeSet<&str> = texts.iter().flatten().map(AsRef::as_ref).collect();
    if known.len() > MAX_VOCABULARY {
        return Err(failed(format!(
            "column '{name}' holds {} different texts and the limit is {MAX_VOCABULARY}; leave it out if it is an \
             identifier, else group rare texts",
            known.len()
        )));
    }
    Ok(known.into_iter().map(str::to_owned).collect())
}

/// A stored model that was loaded again: what will be served, not what the learner holds.
struct Stored {
    bytes: Vec<u8>,
    model: std::sync::Arc<dyn Model>,
}

impl Stored {
    fn new(artifact: &Artifact) -> Result<Self, RuntimeError> {
        let bytes = artifact.to_bytes()?;
        let model = load(&bytes)
            .map_err(|error| failed(format!("the learner yielded an unusable model: {error}")))?;
        Ok(Self { bytes, model })
    }

    /// Fails when a score differs from the learner's own by more than rounding.
    fn compare(&self, rows: &Frame, learners: &[f64]) -> Result<(), RuntimeError> {
        let scores = self.model.score(rows)?;
        let difference = scores
            .iter()
            .zip(learners)
            .map(|(ours, theirs)| (ours - theirs).abs())
            .fold(0.0, |worst: f64, one| if one.is_nan() { f64::INFINITY } else { worst.max(one) });
        if scores.len() == learners.len() && difference <= PARITY_TOLERANCE {
            return Ok(());
        }
        Err(failed(format!(
            "the stored model differs from the learner by up to {difference} in probability; report this, with the \
             learner's settings"
        )))
    }

    fn finish(
        self,
        rows: &Frame,
        outcomes: &[bool],
        learnt: Vec<(String, f64)>,
    ) -> Result<TrainedModel, RuntimeError> {
        let scores = self.model.score(rows)?;
        let mut facts = vec![
            ("rows".to_owned(), rows.rows() as f64),
            ("features".to_owned(), rows.columns().len() as f64),
            ("training_log_loss".to_owned(), log_loss(&scores, outcomes)),
        ];
        facts.extend(learnt);
        let signature = signature(rows.fields());
        Ok(TrainedModel { artifact: self.bytes, flavor: FLAVOR.to_owned(), signature, facts })
    }
}

/// Mean of `-ln(p)` where `p` is the probability given to what happened, at least 1e-15, so that a certain error
/// costs much but not everything.
fn log_loss(scores: &[f64], outcomes: &[bool]) -> f64 {
    const LEAST: f64 = 1e-15;
    let losses = scores.iter().zip(outcomes).map(|(score, outcome)| {
        let given = if *outcome { *score } else { 1.0 - *score };
        -given.max(LEAST).ln()
    });
    losses.sum::<f64>() / outcomes.len() as f64
}

/// Positions of at most [`PARITY_ROWS`] rows, evenly spread.
fn parity_rows(rows: usize) -> Vec<usize> {
    let step = rows.div_ceil(PARITY_ROWS).max(1);
    (0..rows).step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_loss_of_a_coin_is_ln_two() {
        assert!((log_loss(&[0.5, 0.5], &[true, false]) - 2.0_f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn parity_is_checked_on_all_rows_or_evenly_on_some() {
        assert_eq!(parity_rows(3), [0, 1, 2]);
        assert_eq!(parity_rows(PARITY_ROWS).len(), PARITY_ROWS);
        assert_eq!(parity_rows(PARITY_ROWS * 3).last(), Some(&(PARITY_ROWS * 3 - 3)));
    }
}
