//! The stored file: what is read back, and that nothing hostile is.

use greenlight_app::runtime::{ModelRuntime, RuntimeError};
use greenlight_domain::frame::{Column, Frame};
use greenlight_domain::training::Learner;
use greenlight_inference::Runtime;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::synthetic::{bank, frame, texts};

const LOGISTIC: &str = include_str!("../fixtures/logistic_regression.json");
const TREES: &str = include_str!("../fixtures/tree_ensemble.json");

fn compact(artifact: &str) -> Vec<u8> {
    let value: Value = serde_json::from_str(artifact).unwrap();
    serde_json::to_vec(&value).unwrap()
}

fn refusal(artifact: &[u8]) -> String {
    match Runtime.load(artifact) {
        Err(RuntimeError::Artifact(problem)) => problem,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was loaded"),
    }
}

fn row() -> Frame {
    frame(vec![
        ("age", Column::Number(vec![12.0, 31.0, f64::NAN])),
        ("job", texts(&["clerk", "farmer", "?"])),
    ])
}

/// Loads it if it can be loaded, and then it must score or say why not, and never a number that is no probability.
fn survive(artifact: &[u8]) {
    let Ok(model) = Runtime.load(artifact) else {
        return;
    };
    if let Ok(scores) = model.score(&row()) {
        assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{scores:?}");
    }
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    for artifact in [LOGISTIC, TREES].map(compact) {
        for length in 0..artifact.len() {
            let problem = refusal(&artifact[..length]);
            // A lone minus sign is a wrong number rather than an early end.
            let reason = problem.contains("cut off; upload it again") || problem.contains("invalid number");
            assert!(reason, "{length}: {problem}");
        }
        assert!(Runtime.load(&artifact).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_with_changed_bytes_never_panics(
        trees: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut artifact = compact(if trees { TREES } else { LOGISTIC });
        for (at, byte) in changes {
            let at = at.index(artifact.len());
            artifact[at] = byte;
        }
        survive(&artifact);
    }

    /// Digits changed to digits leave valid JSON, so that the checks behind the parser are met.
    #[test]
    fn a_file_with_changed_digits_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), b'0'..=b'9'), 1..6),
    ) {
        let mut artifact = compact(TREES);
        let digits: Vec<usize> = (0..artifact.len()).filter(|at| artifact[*at].is_ascii_digit()).collect();
        for (at, digit) in changes {
            artifact[digits[at.index(digits.len())]] = digit;
        }
        survive(&artifact);
    }
}

#[test]
fn another_version_or_kind_is_named() {
    let newer = TREES.replace("greenlight.model/1", "greenlight.model/2");
    assert!(refusal(newer.as_bytes()).contains("its format is 'greenlight.model/2'"));
    let newer_with_news = newer.replacen("\"kind\"", "\"news\": 1, \"kind\"", 1);
    assert!(refusal(newer_with_news.as_bytes()).contains("its format is 'greenlight.model/2'"));
    let forest = TREES.replace("tree_ensemble", "forest");
    assert!(refusal(forest.as_bytes()).contains("its kind is 'forest'"));
    let unknown = TREES.replacen("\"kind\"", "\"news\": 1, \"kind\"", 1);
    assert!(refusal(unknown.as_bytes()).contains("unknown field `news`"));
    assert!(refusal(b"\x80\x04 not json").contains("no model that is read here"));
}

fn changed(artifact: &str, pointer: &str, value: Value) -> Vec<u8> {
    let mut artifact: Value = serde_json::from_str(artifact).unwrap();
    *artifact.pointer_mut(pointer).unwrap() = value;
    serde_json::to_vec(&artifact).unwrap()
}

#[test]
fn trees_that_would_loop_or_leave_their_arrays_are_refused() {
    let tree = "/payload/members/0/trees/0";
    let cases = [
        ("/left", json!([0, -2]), "split 0: its left child 0 is out of range"),
        ("/right", json!([-1, 0]), "split 1: its right child 0 is out of range"),
        ("/missing", json!([2, -4]), "split 0: its missing child 2 is out of range"),
        ("/left", json!([1, i32::MIN]), "split 1: its left child -2147483648 is out of range"),
        ("/left", json!([1, i32::MAX]), "split 1: its left child 2147483647 is out of range"),
        ("/left", json!([1, -5]), "split 1: its left child -5 is out of range"),
        ("/left", json!([1]), "2 splits but 'left' has 1 entries"),
        ("/feature", json!([0, 2]), "it asks for input 2 and the model has 2"),
        ("/feature", json!([0, u32::MAX]), "it asks for input 4294967295"),
        ("/feature", json!([1, 1]), "split 1: the list of texts ends early"),
        ("/feature", json!([0, 0]), "1 words of texts are left over"),
        ("/left_categories", json!([8]), "split 1: it lists texts past the 3 of the vocabulary"),
        ("/left_categories", json!([]), "split 1: the list of texts ends early"),
        ("/left_categories", json!([1, 0]), "1 words of texts are left over"),
        ("/leaf", json!([]), "it has no leaf"),
        ("/leaf/1/0", json!(1e300), "number out of range"),
        ("/leaf/1", json!([1.0, 1.0]), "not a file that Greenlight wrote"),
        ("/leaf/1/0", json!(null), "not a file that Greenlight wrote"),
    ];
    for (list, value, expected) in cases {
        let artifact = changed(TREES, &format!("{tree}{list}"), value);
        let problem = refusal(&artifact);
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn parts_that_do_not_fit_one_another_are_refused() {
    let cases = [
        (LOGISTIC, "/inputs", json!([]), "it needs no input column"),
        (LOGISTIC, "/inputs/1/name", json!("age"), "two inputs are named 'age'"),
        (LOGISTIC, "/inputs/1/type", json!("number"), "do not fit its encoder entry"),
        (LOGISTIC, "/encoder", json!([{ "as_is": {} }]), "2 inputs and 1 encoder entries"),
        (LOGISTIC, "/encoder/0/standardised/standard_deviation", json!(0.0), "must be above zero"),
        (LOGISTIC, "/encoder/0/standardised/standard_deviation", json!(-1.0), "must be above zero"),
        (LOGISTIC, "/encoder/1/one_hot/vocabulary", json!(["b", "a"]), "not sorted at 'a'"),
        (LOGISTIC, "/encoder/1/one_hot/vocabulary", json!(["a", "a"]), "not sorted at 'a'"),
        (LOGISTIC, "/encoder/1/one_hot/vocabulary", json!(["a"]), "'job' has 2 coefficients"),
        (LOGISTIC, "/payload/coefficients", json!([[1.0]]), "2 inputs and coefficients for 1"),
        (LOGISTIC, "/payload/intercept", json!(null), "not a file that Greenlight wrote"),
        (
            TREES,
            "/encoder/0",
            json!({ "standardised": { "mean": 0.0, "standard_deviation": 1.0 } }),
            "column 'age'",
        ),
        (TREES, "/inputs/0/type", json!("date"), "unknown variant `date`"),
        (TREES, "/payload/members/0/base_logit", json!("high"), "not a file that Greenlight wrote"),
    ];
    for (artifact, pointer, value, expected) in cases {
        let problem = refusal(&changed(artifact, pointer, value));
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn numbers_that_no_double_holds_are_refused() {
    let artifact = TREES.replace("\"base_logit\": 0.0", "\"base_logit\": 1e999");
    assert!(refusal(artifact.as_bytes()).contains("out of range"));
}

#[test]
fn sizes_past_the_bounds_are_refused() {
    assert!(refusal(&vec![b' '; (256 << 20) + 1]).contains("the limit is 268435456"));

    let leaf = json!({ "feature": [], "threshold": [], "left_categories": [], "left": [], "right": [], "missing": [],
        "leaf": [[0, 0, 0, 0, 0]] });
    let trees =
        |count: usize| changed(TREES, "/payload/members/0/trees", Value::Array(vec![leaf.clone(); count]));
    assert!(refusal(&trees(100_001)).contains("more than 100000 entries"));
    assert!(Runtime.load(&trees(100_000)).is_ok());
    let member = json!({ "base_logit": 0.0, "trees": vec![leaf.clone(); 60_000] });
    let two = changed(TREES, "/payload/members", json!([member.clone(), member]));
    assert!(refusal(&two).contains("it has 120000 trees and the limit is 100000"));
    let member = json!({ "base_logit": 0.0, "trees": [] });
    let crowd = changed(TREES, "/payload/members", Value::Array(vec![member; 10_001]));
    assert!(refusal(&crowd).contains("more than 10000 entries"));
    assert!(refusal(&changed(TREES, "/payload/members", json!([]))).contains("it has no member"));

    let inputs: Vec<Value> = (0..5_000).map(|i| json!({ "name": i.to_string(), "type": "number" })).collect();
    assert!(refusal(&changed(TREES, "/inputs", Value::Array(inputs))).contains("more than 4096 entries"));

    let texts: Vec<Value> = (0..10_001).map(|i| json!(format!("{i:05}"))).collect();
    let artifact = changed(TREES, "/encoder/1/ordinal/vocabulary", Value::Array(texts));
    assert!(refusal(&artifact).contains("more than 10000 entries"));
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    let deep = "[".repeat(1_000_000);
    let artifact = LOGISTIC.replace("[[1.0986122886681098]", &format!("[{deep}"));
    assert!(
        refusal(artifact.as_bytes()).contains("cut off")
            || refusal(artifact.as_bytes()).contains("not a file")
    );
    refusal(deep.as_bytes());
}

#[test]
fn what_was_trained_is_read_back_and_written_the_same() {
    let (rows, outcomes) = bank(20, 1_000, 0.0);
    let boosting = Learner::GradientBoosting { budget: 0.5, max_trees: 20, seed: 0 };
    for learner in [Learner::LogisticRegression { alpha: 1.0, max_iterations: 100 }, boosting] {
        let trained = Runtime.train(&learner, &rows, &outcomes).unwrap();
        let artifact: Value = serde_json::from_slice(&trained.artifact).unwrap();
        assert_eq!(artifact["format"], "greenlight.model/1");
        let model = Runtime.load(&trained.artifact).unwrap();
        assert_eq!(model.signature().inputs, *rows.fields());
        assert_eq!(model.signature().outputs.iter().map(|f| &*f.name).collect::<Vec<_>>(), ["probability"]);
        let problem = refusal(&trained.artifact[..trained.artifact.len() - 1]);
        assert!(problem.contains("cut off"), "{problem}");
    }
}
