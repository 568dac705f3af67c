//! Gradient-boosted trees for log loss, by `perpetual`.
//!
//! Owns the settings that make the learner repeatable, bounded and calibrated, and the check that our own form of
//! the trees scores as the learner does. It refuses settings outside the range that the learner was made for.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::available_parallelism;

use greenlight_app::runtime::{RuntimeError, TrainedModel};
use greenlight_domain::frame::{Column, ColumnType, Frame};
use perpetual::objective::Objective;
use perpetual::{Matrix, PerpetualBooster};

use super::flatten::flatten;
use super::{Stored, failed, parity_rows, vocabulary};
use crate::artifact::{Artifact, Bounded, ColumnEncoding, EnsembleParts, MAX_TREES, Payload};
use crate::encoder::{Encoder, Reading, Vocabulary};

/// Least and greatest budget. Below, the first trees take everything; above, the learner's step falls under a
/// thousandth and training takes hours.
const BUDGETS: std::ops::RangeInclusive<f32> = 0.1..=3.0;
/// Most threads of the learner. Its result does not depend on the number.
const MAX_THREADS: usize = 8;
/// Memory for histograms, on top of what the rows take. Without a limit the learner takes 70 % of what the machine
/// has free, and grows other trees on another machine.
const HISTOGRAM_BYTES: f32 = 1e9;

/// Trains and stores.
pub(super) fn train(
    budget: f32,
    max_trees: u32,
    seed: u64,
    rows: &Frame,
    outcomes: &[bool],
) -> Result<TrainedModel, RuntimeError> {
    if !BUDGETS.contains(&budget) {
        return Err(failed(format!(
            "budget is {budget}; it must lie between {} and {}",
            BUDGETS.start(),
            BUDGETS.end()
        )));
    }
    if !(1..=MAX_TREES).contains(&(max_trees as usize)) {
        return Err(failed(format!("max_trees is {max_trees}; it must lie between 1 and {MAX_TREES}")));
    }
    let coding = Coding::new(rows)?;
    let settings = Settings { budget, max_trees, seed };
    let booster = fit(&settings, &coding, rows, outcomes)?;

    let trees = booster
        .trees
        .iter()
        .map(|tree| flatten(&tree.nodes, &coding.sizes))
        .collect::<Result<Vec<_>, _>>()?;
    let splits: usize = trees.iter().map(|tree| tree.feature.len()).sum();
    let leaves: usize = trees.iter().map(|tree| tree.leaf.len()).sum();
    let facts = [("trees", trees.len()), ("splits", splits), ("leaves", leaves)]
        .map(|(name, count)| (name.to_owned(), count as f64));
    let parts = EnsembleParts { base_logit: booster.base_score, trees: Bounded(trees) };
    let artifact = Artifact {
        inputs: rows.fields().to_vec(),
        encoder: coding.encodings.clone(),
        payload: Payload::TreeEnsemble(parts),
    };
    let stored = Stored::new(&artifact)?;
    let sample = rows.take(&parity_rows(rows.rows()));
    stored.compare(&sample, &learners_scores(&booster, &coding, &sample)?)?;
    stored.finish(rows, outcomes, facts.into())
}

struct Settings {
    budget: f32,
    max_trees: u32,
    seed: u64,
}

/// How rows are coded for the learner: numbers as they are, text as its position in the vocabulary plus one, NaN
/// for missing.
///
/// Plus one, because the learner compares bins, which it counts from 1, with codes: only when the codes are 1, 2, 3
/// and so on are the two the same, and its trees split as they were scored.
struct Coding {
    encodings: Vec<ColumnEncoding>,
    sizes: Vec<Option<usize>>,
    encoder: Encoder,
}

impl Coding {
    fn new(rows: &Frame) -> Result<Self, RuntimeError> {
        let (mut encodings, mut sizes, mut readings) = (Vec::new(), Vec::new(), Vec::new());
        for (field, column) in rows.fields().iter().zip(rows.columns()) {
            match column.column_type() {
                ColumnType::Number => {
                    encodings.push(ColumnEncoding::AsIs {});
                    sizes.push(None);
                    readings.push(Reading::Number);
                }
                ColumnType::Text => {
                    let texts = vocabulary(&field.name, column)?;
                    encodings.push(ColumnEncoding::Ordinal { vocabulary: Bounded(texts.clone()) });
                    sizes.push(Some(texts.len()));
                    readings.push(Reading::Position(Vocabulary::new(&field.name, texts)?));
                }
            }
        }
        Ok(Self { encodings, sizes, encoder: Encoder::new(rows.fields(), readings) })
    }

    /// The coded rows, column after column.
    fn matrix(&self, rows: &Frame) -> Result<Vec<f64>, RuntimeError> {
        let mut row_major = vec![0.0; rows.rows() * self.encoder.width()];
        self.encoder.fill(rows, 0, &mut row_major)?;
        let mut columns = Vec::with_capacity(row_major.len());
        for (position, column) in rows.columns().iter().enumerate() {
            let shift = if matches!(column, Column::Text(_)) { 1.0 } else { 0.0 };
            columns.extend(
                row_major.iter().skip(position).step_by(self.encoder.width()).map(|value| value + shift),
            );
        }
        Ok(columns)
    }

    fn text_columns(&self) -> HashSet<usize> {
        self.sizes.iter().enumerate().filter_map(|(position, size)| size.map(|_| position)).collect()
    }
}

fn fit(
    settings: &Settings,
    coding: &Coding,
    rows: &Frame,
    outcomes: &[bool],
) -> Result<PerpetualBooster, RuntimeError> {
    let matrix = coding.matrix(rows)?;
    let targets: Vec<f64> = outcomes.iter().map(|outcome| f64::from(u8::from(*outcome))).collect();
    let mut booster = booster(settings, coding, rows);
    // The inputs are checked, but the library unwraps in many places, and a panic here would take a worker down.
    let fitted = catch_unwind(AssertUnwindSafe(|| {
        let data = Matrix::new(&matrix, rows.rows(), rows.columns().len());
        booster.fit(&data, &targets, None, None).map(|()| booster)
    }));
    match fitted {
        Ok(Ok(booster)) => Ok(booster),
        Ok(Err(error)) => Err(failed(format!("the learner gave up: {error}"))),
        Err(_) => Err(failed("the learner panicked on these rows; report this, with its settings")),
    }
}

fn booster(settings: &Settings, coding: &Coding, rows: &Frame) -> PerpetualBooster {
    let threads = available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let (count, width) = (rows.rows() as f32, rows.columns().len() as f32);
    // What the learner itself reckons for the rows: a bin of two bytes a cell, and 20 bytes a row; it keeps a tenth
    // of the limit back.
    let row_bytes = count * (2.0 * width + 20.0);
    let text_columns = coding.text_columns();
    let mut booster = PerpetualBooster::default()
        .set_objective(Objective::LogLoss)
        .set_budget(settings.budget)
        .set_iteration_limit(Some(settings.max_trees as usize))
        .set_seed(settings.seed)
        .set_num_threads(Some(threads))
        .set_memory_limit(Some((row_bytes + HISTOGRAM_BYTES) / 0.9 / 1e9))
        .set_missing(f64::NAN)
        // The library's third branch for missing values writes past its node arena when the arena is full.
        .set_create_missing_branch(false)
        .set_categorical_features((!text_columns.is_empty()).then_some(text_columns));
    // Balanced classes would rank no better and would no longer be probabilities.
    booster.cfg.auto_class_weights = false;
    booster
}

fn learners_scores(
    booster: &PerpetualBooster,
    coding: &Coding,
    rows: &Frame,
) -> Result<Vec<f64>, RuntimeError> {
    let matrix = coding.matrix(rows)?;
    let data = Matrix::new(&matrix, rows.rows(), rows.columns().len());
    Ok(booster.predict_proba(&data, true, false))
}
