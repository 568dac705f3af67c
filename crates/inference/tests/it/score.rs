//! What a loaded model answers, and what it refuses.

use std::sync::Arc;

use greenlight_app::runtime::{Model, ModelRuntime, RuntimeError};
use greenlight_domain::frame::{Column, Frame};
use greenlight_domain::training::Learner;
use greenlight_inference::Runtime;
use serde_json::Value;

use crate::synthetic::{bank, frame, texts};

const LOGISTIC: &[u8] = include_bytes!("../fixtures/logistic_regression.json");
const TREES: &[u8] = include_bytes!("../fixtures/tree_ensemble.json");

fn people(ages: &[f64], jobs: &[Option<&str>]) -> Frame {
    let jobs = jobs.iter().map(|job| job.map(Arc::from)).collect();
    frame(vec![("age", Column::Number(ages.to_vec())), ("job", Column::Text(jobs))])
}

fn assert_close(scores: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(scores.len(), expected.len());
    for (row, (score, expected)) in scores.iter().zip(expected).enumerate() {
        assert!((score - expected).abs() <= tolerance, "row {row}: {score} is not {expected}");
    }
}

/// Odds of three are a probability of 0.75, and the weights of the fixture are ±ln 3 and 0.
#[test]
fn a_stored_logistic_regression_scores_as_by_hand() {
    let model = Runtime.load(LOGISTIC).unwrap();
    let rows = people(
        &[12.0, 10.0, 8.0, f64::NAN, 12.0, 12.0],
        &[Some("clerk"), Some("clerk"), Some("clerk"), Some("clerk"), Some("farmer"), None],
    );
    assert_close(&model.score(&rows).unwrap(), &[0.75, 0.5, 0.25, 0.5, 0.5, 0.75], 1e-12);
}

/// The first member's last leaf disagrees in one fold of five: (4 · 0.75 + 0.25) / 5 = 0.65. The second member says
/// 0.25 to everyone, and the model the mean of both.
#[test]
fn a_stored_tree_ensemble_scores_as_by_hand() {
    let model = Runtime.load(TREES).unwrap();
    let rows = people(
        &[30.0, f64::NAN, 29.0, 29.0, 29.0, 29.0, 29.0],
        &[Some("clerk"), None, Some("clerk"), Some("doctor"), Some("farmer"), None, Some("pilot")],
    );
    let expected = [0.5, 0.5, 0.75, 0.25, 0.75, 0.65, 0.65].map(|first| f64::midpoint(first, 0.25));
    assert_close(&model.score(&rows).unwrap(), &expected, 1e-7);
}

#[test]
fn columns_are_found_by_name_and_others_are_ignored() {
    for artifact in [LOGISTIC, TREES] {
        let model = Runtime.load(artifact).unwrap();
        let straight = people(&[12.0, 29.0], &[Some("farmer"), Some("doctor")]);
        let turned = frame(vec![
            ("day", Column::Number(vec![1.0, 2.0])),
            ("job", texts(&["farmer", "doctor"])),
            ("age", Column::Number(vec![12.0, 29.0])),
        ]);
        assert_eq!(model.score(&straight).unwrap(), model.score(&turned).unwrap());
    }
}

#[test]
fn an_absent_or_mistyped_column_is_named() {
    for artifact in [LOGISTIC, TREES] {
        let model = Runtime.load(artifact).unwrap();
        let absent = frame(vec![("age", Column::Number(vec![]))]);
        let error = model.score(&absent).unwrap_err();
        assert!(
            matches!(&error, RuntimeError::Signature(text) if text.contains("'job' of type text")),
            "{error}"
        );
        let mistyped = frame(vec![("age", texts(&["old"])), ("job", texts(&["clerk"]))]);
        let error = model.score(&mistyped).unwrap_err();
        assert!(matches!(&error, RuntimeError::Signature(text) if text.contains("'age' must be")), "{error}");
    }
}

#[test]
fn no_rows_score_to_nothing() {
    for artifact in [LOGISTIC, TREES] {
        assert_eq!(Runtime.load(artifact).unwrap().score(&people(&[], &[])).unwrap(), [0.0; 0]);
    }
}

/// Nothing times infinity is not a number.
#[test]
fn a_score_that_is_not_a_probability_is_an_error() {
    let text = String::from_utf8(LOGISTIC.to_vec()).unwrap().replace("[[1.0986122886681098]", "[[0.0]");
    let model = Runtime.load(text.as_bytes()).unwrap();
    let rows = people(&[10.0, f64::NEG_INFINITY], &[None, Some("clerk")]);
    let error = model.score(&rows).unwrap_err();
    assert!(matches!(&error, RuntimeError::Scoring(text) if text.starts_with("row 1 scored NaN")), "{error}");
}

fn trained(learner: &Learner) -> (Vec<u8>, Arc<dyn Model>) {
    let (rows, outcomes) = bank(3, 6_000, -0.5);
    let trained = Runtime.train(learner, &rows, &outcomes).unwrap();
    let model = Runtime.load(&trained.artifact).unwrap();
    assert_eq!(&trained.signature, model.signature());
    (trained.artifact, model)
}

/// Rows that the training has not seen, with holes and with texts that it has not seen.
fn holed(rows: usize) -> Frame {
    let (rows, _) = bank(4, rows, 0.0);
    let columns = rows.columns().iter().map(|column| match column {
        Column::Number(values) => {
            Column::Number(values.iter().map(|v| if v.to_bits() % 7 == 0 { f64::NAN } else { *v }).collect())
        }
        Column::Text(values) => {
            let text = |row: usize, text: &Option<Arc<str>>| match row % 5 {
                0 => None,
                1 => Some("astronaut".into()),
                _ => text.clone(),
            };
            Column::Text(values.iter().enumerate().map(|(row, value)| text(row, value)).collect())
        }
    });
    Frame::new(Arc::clone(rows.fields()), columns.collect()).unwrap()
}

#[test]
fn a_batch_scores_as_its_rows_one_by_one() {
    let boosting = Learner::GradientBoosting { budget: 0.5, max_trees: 50, seed: 1 };
    for learner in [Learner::LogisticRegression { alpha: 1.0, max_iterations: 200 }, boosting] {
        let (_, model) = trained(&learner);
        let rows = holed(150);
        let batch = model.score(&rows).unwrap();
        for (row, score) in batch.iter().enumerate() {
            assert_eq!(model.score(&rows.take(&[row])).unwrap(), [*score], "row {row}");
        }
    }
}

/// A second evaluator, written against the description of the format alone.
#[test]
fn the_trees_score_as_a_naive_walk_over_the_stored_file() {
    let (artifact, model) = trained(&Learner::GradientBoosting { budget: 0.5, max_trees: 60, seed: 1 });
    let artifact: Value = serde_json::from_slice(&artifact).unwrap();
    let rows = holed(500);
    let naive: Vec<f64> = (0..rows.rows()).map(|row| naive_score(&artifact, &rows, row)).collect();
    assert_close(&model.score(&rows).unwrap(), &naive, 1e-12);
}

fn naive_score(artifact: &Value, rows: &Frame, row: usize) -> f64 {
    let members = artifact["payload"]["members"].as_array().unwrap();
    let folds = members.iter().flat_map(|member| {
        let trees = member["trees"].as_array().unwrap();
        (0..5).map(move |fold| {
            let added: f64 = trees.iter().map(|tree| naive_leaf(artifact, tree, 0, rows, row)[fold]).sum();
            1.0 / (1.0 + (-(member["base_logit"].as_f64().unwrap() + added)).exp())
        })
    });
    folds.sum::<f64>() / (5 * members.len()) as f64
}

fn naive_leaf(artifact: &Value, tree: &Value, split: i64, rows: &Frame, row: usize) -> Vec<f64> {
    // Leaves are written in single precision, thresholds in double.
    let single = |value: &Value| f64::from(value.to_string().parse::<f32>().unwrap());
    let leaf = |index: usize| tree["leaf"][index].as_array().unwrap().iter().map(single).collect();
    if split < 0 {
        return leaf(usize::try_from(-1 - split).unwrap());
    }
    if tree["feature"].as_array().unwrap().is_empty() {
        return leaf(0);
    }
    let split = usize::try_from(split).unwrap();
    let feature = usize::try_from(tree["feature"][split].as_u64().unwrap()).unwrap();
    let name = artifact["inputs"][feature]["name"].as_str().unwrap();
    let side = match rows.column(name).unwrap() {
        Column::Number(values) if values[row].is_nan() => "missing",
        Column::Number(values) if values[row] < tree["threshold"][split].as_f64().unwrap() => "left",
        Column::Number(_) => "right",
        Column::Text(values) => {
            let vocabulary = artifact["encoder"][feature]["ordinal"]["vocabulary"].as_array().unwrap();
            let known = |text: &Arc<str>| vocabulary.iter().position(|entry| entry.as_str() == Some(text));
            match values[row].as_ref().and_then(known) {
                None => "missing",
                Some(at) => {
                    let word = naive_set(artifact, tree, split)[at / 32];
                    if word & (1 << (at % 32)) == 0 { "right" } else { "left" }
                }
            }
        }
    };
    naive_leaf(artifact, tree, tree[side][split].as_i64().unwrap(), rows, row)
}

/// The words of the set of a split that asks text: those that the splits before it have not used.
fn naive_set(artifact: &Value, tree: &Value, split: usize) -> Vec<u64> {
    let words = |split: usize| {
        let feature = usize::try_from(tree["feature"][split].as_u64().unwrap()).unwrap();
        let vocabulary = artifact["encoder"][feature]["ordinal"]["vocabulary"].as_array();
        vocabulary.map_or(0, |texts| texts.len().div_ceil(32))
    };
    let start: usize = (0..split).map(words).sum();
    let all = tree["left_categories"].as_array().unwrap();
    all[start..start + words(split)].iter().map(|word| word.as_u64().unwrap()).collect()
}

/// The logit is a sum, so its terms are the explanation: they must make the score of every row, missing values and
/// unknown texts included, and a row of which nothing is known has the intercept alone.
#[test]
fn a_logistic_regression_explains_itself_exactly() {
    let (artifact, model) = trained(&Learner::LogisticRegression { alpha: 1.0, max_iterations: 200 });
    let rows = holed(100);
    let scores = model.score(&rows).unwrap();
    for (row, score) in scores.iter().enumerate() {
        let why = model.explain(&rows, row).unwrap();
        assert_eq!(why.unit, "log-odds");
        let logit = why.expected + why.contributions.iter().sum::<f64>();
        assert!((1.0 / (1.0 + (-logit).exp()) - score).abs() < 1e-12, "row {row}");
    }
    let unknown = rows.columns().iter().map(|column| match column {
        Column::Number(_) => Column::Number(vec![f64::NAN]),
        Column::Text(_) => Column::Text(vec![None]),
    });
    let unknown = Frame::new(Arc::clone(rows.fields()), unknown.collect()).unwrap();
    let why = model.explain(&unknown, 0).unwrap();
    let artifact: Value = serde_json::from_slice(&artifact).unwrap();
    assert_eq!(Some(why.expected), artifact["payload"]["intercept"].as_f64());
    assert!(why.contributions.iter().all(|contribution| contribution.abs() < 1e-15));
}
