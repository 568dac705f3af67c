//! Gradient-boosted trees for log loss, by `perpetual`.
//!
//! Owns the settings that make the learner repeatable, bounded and calibrated, and the check that our own form of
//! the trees scores as the learner does. It refuses settings outside the range that the learner was made for. How
//! rows are coded for the learner is in [`coding`](super::coding), how they are dealt in [`pasting`](super::pasting).

use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::available_parallelism;

use greenlight_app::runtime::{RuntimeError, TrainedModel};
use greenlight_domain::frame::Frame;
use perpetual::objective::Objective;
use perpetual::{Matrix, PerpetualBooster};

use super::coding::{Coding, MemberCodes};
use super::flatten::flatten;
use super::pasting::{deal, members};
use super::{Stored, failed, parity_rows};
use crate::artifact::{Artifact, Bounded, EnsembleParts, MAX_TREES, MemberParts, Payload};

/// Least and greatest budget. Below, the first trees take everything; above, the learner's step falls under a
/// thousandth and training takes hours.
const BUDGETS: RangeInclusive<f32> = 0.1..=3.0;
/// Most threads of the learner. Its result does not depend on the number.
const MAX_THREADS: usize = 8;
/// Memory for histograms, on top of what the rows take. Without a limit the learner takes 70 % of what the machine
/// has free, and may grow other trees on another machine.
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
    let max_trees = max_trees as usize;
    if !(1..=MAX_TREES).contains(&max_trees) {
        return Err(failed(format!("max_trees is {max_trees}; it must lie between 1 and {MAX_TREES}")));
    }
    let positives = outcomes.iter().filter(|outcome| **outcome).count();
    let rare = positives.min(outcomes.len() - positives);
    let count = members(outcomes.len(), rare).min(max_trees);
    let settings = Settings { budget, max_trees: max_trees / count, seed };
    let coding = Coding::new(rows)?;
    let members = deal(outcomes, count, seed)
        .iter()
        .map(|hand| Member::fit(&settings, &coding, rows, outcomes, hand))
        .collect::<Result<Vec<_>, _>>()?;

    let parts = members.iter().map(Member::flatten).collect::<Result<Vec<_>, _>>()?;
    let facts = facts(&parts);
    let stored = Stored::new(&Artifact {
        inputs: rows.fields().to_vec(),
        encoder: coding.encodings.clone(),
        payload: Payload::TreeEnsemble(EnsembleParts { members: Bounded(parts) }),
    })?;
    let sample = rows.take(&parity_rows(rows.rows()));
    stored.compare(&sample, &learners_scores(&members, &coding, &sample)?)?;
    stored.finish(rows, outcomes, facts)
}

fn facts(members: &[MemberParts]) -> Vec<(String, f64)> {
    let trees = || members.iter().flat_map(|member| &member.trees.0);
    let counts = [
        ("members", members.len()),
        ("trees", trees().count()),
        ("splits", trees().map(|tree| tree.feature.len()).sum()),
        ("leaves", trees().map(|tree| tree.leaf.len()).sum()),
    ];
    counts.map(|(name, count)| (name.to_owned(), count as f64)).into()
}

struct Settings {
    budget: f32,
    max_trees: usize,
    seed: u64,
}

/// One boosted model, still in the learner's form.
struct Member {
    booster: PerpetualBooster,
    codes: MemberCodes,
}

impl Member {
    /// Trains on the rows at these positions.
    fn fit(
        settings: &Settings,
        coding: &Coding,
        rows: &Frame,
        outcomes: &[bool],
        positions: &[usize],
    ) -> Result<Self, RuntimeError> {
        let mut matrix = coding.matrix(&rows.take(positions))?;
        let codes = MemberCodes::new(coding, &matrix, positions.len());
        codes.apply(&mut matrix, positions.len());
        let targets: Vec<f64> = positions.iter().map(|row| f64::from(u8::from(outcomes[*row]))).collect();
        let width = rows.columns().len();
        let mut booster = booster(settings, coding, positions.len(), width);
        // The inputs are checked, but the library unwraps in many places, and a panic would take a worker down.
        let fitted = catch_unwind(AssertUnwindSafe(|| {
            let data = Matrix::new(&matrix, positions.len(), width);
            booster.fit(&data, &targets, None, None).map(|()| booster)
        }));
        match fitted {
            Ok(Ok(booster)) => Ok(Self { booster, codes }),
            Ok(Err(error)) => Err(failed(format!("the learner gave up: {error}"))),
            Err(_) => Err(failed("the learner panicked on these rows; report this, with its settings")),
        }
    }

    fn flatten(&self) -> Result<MemberParts, RuntimeError> {
        let trees = self.booster.trees.iter().map(|tree| flatten(&tree.nodes, self.codes.texts()));
        let trees = trees.collect::<Result<Vec<_>, _>>()?;
        Ok(MemberParts { base_logit: self.booster.base_score, trees: Bounded(trees) })
    }

    /// What the learner itself says, given the rows as [`Coding::matrix`] codes them.
    fn scores(&self, mut matrix: Vec<f64>, rows: usize, width: usize) -> Vec<f64> {
        self.codes.apply(&mut matrix, rows);
        self.booster.predict_proba(&Matrix::new(&matrix, rows, width), true, false)
    }
}

fn booster(settings: &Settings, coding: &Coding, rows: usize, width: usize) -> PerpetualBooster {
    let threads = available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    // What the learner itself reckons for the rows: two bytes a cell and 20 bytes a row. It keeps a tenth of the
    // limit back.
    let row_bytes = rows as f32 * (2.0 * width as f32 + 20.0);
    let text_columns = coding.text_columns();
    let mut booster = PerpetualBooster::default()
        .set_objective(Objective::LogLoss)
        .set_budget(settings.budget)
        .set_iteration_limit(Some(settings.max_trees))
        .set_seed(settings.seed)
        .set_num_threads(Some(threads))
        .set_memory_limit(Some((row_bytes + HISTOGRAM_BYTES) / 0.9 / 1e9))
        .set_missing(f64::NAN)
        // With a third branch for missing values the library can write past its arena of nodes when that is full.
        .set_create_missing_branch(false)
        .set_categorical_features((!text_columns.is_empty()).then_some(text_columns));
    // Balanced classes would rank no better and would no longer be probabilities.
    booster.cfg.auto_class_weights = false;
    booster
}

fn learners_scores(members: &[Member], coding: &Coding, rows: &Frame) -> Result<Vec<f64>, RuntimeError> {
    let (count, width) = (rows.rows(), rows.columns().len());
    let matrix = coding.matrix(rows)?;
    let mut sums = vec![0.0; count];
    for member in members {
        for (sum, score) in sums.iter_mut().zip(member.scores(matrix.clone(), count, width)) {
            *sum += score;
        }
    }
    Ok(sums.into_iter().map(|sum| sum / members.len() as f64).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use greenlight_domain::frame::{Column, Field};
    use perpetual::node::Node;

    use super::*;
    use crate::runtime::load;

    /// Numbers with holes, and a text that is rare enough for a member not to see it.
    fn rows() -> (Frame, Vec<bool>) {
        let number = |i: usize| if i.is_multiple_of(9) { f64::NAN } else { (i * 37 % 101) as f64 };
        let text = |i: usize| match i {
            17 => Some(Arc::from("once")),
            _ if i.is_multiple_of(11) => None,
            _ => Some(Arc::from(format!("text {}", i * 7 % 40))),
        };
        let outcome =
            |i: usize| (i * 7 % 40).is_multiple_of(3) ^ ((i * 37 % 101) > 70) ^ i.is_multiple_of(13);
        let fields: Arc<[Field]> = [Field::number("number"), Field::text("text")].into();
        let columns = vec![
            Column::Number((0..6_000).map(number).collect()),
            Column::Text((0..6_000).map(text).collect()),
        ];
        (Frame::new(fields, columns).unwrap(), (0..6_000).map(outcome).collect())
    }

    fn naive(nodes: &HashMap<usize, Node>, at: usize, row: &[f64]) -> [f32; 5] {
        let node = &nodes[&at];
        if node.is_leaf {
            return node.leaf_weights.unwrap();
        }
        let value = row[node.split_feature];
        let left = match &node.left_cats {
            Some(bytes) => {
                bytes.get(value as usize / 8).is_some_and(|byte| byte & (1 << (value as usize % 8)) > 0)
            }
            None => value < node.split_value,
        };
        let side = if left { node.left_child } else { node.right_child };
        naive(nodes, if value.is_nan() { node.missing_node } else { side }, row)
    }

    /// Three evaluators agree: the library's, a recursive walk over the library's nodes, and ours on the stored file.
    #[test]
    fn the_library_a_naive_walk_and_the_stored_model_agree() {
        let (rows, outcomes) = rows();
        let settings = Settings { budget: 0.5, max_trees: 30, seed: 3 };
        let coding = Coding::new(&rows).unwrap();
        let hands = deal(&outcomes, 2, settings.seed);
        let members: Vec<Member> = hands
            .iter()
            .map(|hand| Member::fit(&settings, &coding, &rows, &outcomes, hand).unwrap())
            .collect();
        let unseen = |member: &&Member| member.codes.texts()[1].as_ref().unwrap().contains(&None);
        assert_eq!(members.iter().filter(unseen).count(), 1, "exactly one member has seen the rare text");

        let parts = members.iter().map(|member| member.flatten().unwrap()).collect();
        let payload = Payload::TreeEnsemble(EnsembleParts { members: Bounded(parts) });
        let (inputs, encoder) = (rows.fields().to_vec(), coding.encodings.clone());
        let stored = load(&Artifact { inputs, encoder, payload }.to_bytes().unwrap()).unwrap();
        let ours = stored.score(&rows).unwrap();
        let library = learners_scores(&members, &coding, &rows).unwrap();
        for row in 0..rows.rows() {
            let said = members.iter().map(|member| {
                let mut cells = coding.matrix(&rows.take(&[row])).unwrap();
                member.codes.apply(&mut cells, 1);
                let mut logits = [member.booster.base_score; 5];
                for tree in &member.booster.trees {
                    for (logit, leaf) in logits.iter_mut().zip(naive(&tree.nodes, 0, &cells)) {
                        *logit += f64::from(leaf);
                    }
                }
                logits.iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).sum::<f64>() / 5.0
            });
            let naive = said.sum::<f64>() / members.len() as f64;
            assert!((ours[row] - naive).abs() < 1e-12, "row {row}: {} and naive {naive}", ours[row]);
            assert!(
                (ours[row] - library[row]).abs() < 1e-12,
                "row {row}: {} and {}",
                ours[row],
                library[row]
            );
        }
    }
}
