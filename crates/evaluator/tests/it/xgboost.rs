//! XGBoost's JSON and UBJSON. XGBoost sums leaves in single precision and we in double, so answers agree to a few units
//! in the last place of single precision; a value on the other side of a threshold would be off by far more.

use greenlight_evaluator::{Evaluator, Format, InputKind};

use crate::fixture::{Answers, bytes, check_close, check_fixture, model};

const TOLERANCE: f64 = 2e-6;

#[test]
fn every_objective_and_booster() {
    for name in ["logit", "hinge", "squared", "poisson", "tweedie", "softmax", "forest", "onehot"] {
        check_fixture(&format!("xgboost-{name}"), "ubj", TOLERANCE);
    }
}

#[test]
fn both_encodings() {
    for name in ["logistic", "softprob", "dart", "linear", "targets", "category"] {
        check_fixture(&format!("xgboost-{name}"), "json", TOLERANCE);
        check_fixture(&format!("xgboost-{name}"), "ubj", TOLERANCE);
    }
}

#[test]
fn a_model_says_what_it_takes() {
    let category = model("xgboost-category.json");
    assert_eq!(category.format(), Format::XgboostJson);
    let kinds: Vec<_> = category.inputs().iter().map(|input| input.kind).collect();
    assert_eq!(kinds, [InputKind::Number, InputKind::Number, InputKind::Text, InputKind::Number]);
    let unnamed = model("xgboost-logistic.ubj");
    assert_eq!(unnamed.format(), Format::XgboostUbj);
    assert_eq!(unnamed.inputs()[4].name, "f4");
}

fn edited(from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes("xgboost-logistic.json")).unwrap();
    let edited = text.replacen(from, to, 1);
    assert_ne!(edited, text, "the edit changes nothing");
    edited.into_bytes()
}

/// Versions before 3.1 write one number, later ones a list; versions differ in how they write truth.
#[test]
fn older_ways_to_write_the_same() {
    let model = model("xgboost-logistic.json");
    let answers = Answers::read("xgboost-logistic", &model);
    let text = String::from_utf8(bytes("xgboost-logistic.json")).unwrap();
    let start = text.find("\"base_score\":\"[").unwrap();
    let list = &text[start..];
    let list = &list[..=list.find(']').unwrap()];
    let flags = &text[text.find("\"default_left\":[").unwrap()..];
    let flags = &flags[..=flags.find(']').unwrap()];
    let truths = flags.replace('1', "true").replace('0', "false");
    for (from, to) in [(list, list.replace(['[', ']'], "")), (flags, truths)] {
        let mut out = Vec::new();
        let older = Evaluator::from_bytes(&edited(from, &to)).unwrap();
        older.score(&answers.borrow(), answers.rows, &mut out).unwrap();
        check_close("an older file", &out, &answers.get("outputs"), TOLERANCE);
    }
}

/// Before version 3.1 the threshold of a categorical split is a bare `NaN`, in a file that is otherwise JSON.
#[test]
fn a_categorical_split_without_a_threshold() {
    let text = String::from_utf8(bytes("xgboost-category.json")).unwrap();
    let older = text.replace("1E-45", "NaN");
    assert_ne!(older, text);
    let older = Evaluator::from_bytes(older.as_bytes()).unwrap();
    let answers = Answers::read("xgboost-category", &older);
    let mut out = Vec::new();
    older.score(&answers.borrow(), answers.rows, &mut out).unwrap();
    check_close("an older file", &out, &answers.get("outputs"), TOLERANCE);
}

#[test]
fn several_values_a_leaf_are_refused_by_name() {
    for encoding in ["json", "ubj"] {
        let error = Evaluator::from_bytes(&bytes(&format!("xgboost-vector.{encoding}"))).unwrap_err();
        assert!(error.to_string().contains("multi_strategy=one_output_per_tree"), "{error}");
    }
}

fn check_edited(from: &str, to: &str, expected: &str) {
    let error = Evaluator::from_bytes(&edited(from, to)).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn what_does_not_fit_is_an_error_that_says_where() {
    check_edited("\"num_feature\":\"5\",\"num_target", "\"num_feature\":\"1\",\"num_target", "there are 1");
    check_edited("\"num_class\":\"0\"", "\"num_class\":\"4000000000\"", "num_class is 4000000000");
    check_edited("\"num_target\":\"1\"", "\"num_target\":\"x\"", "`x` is not a count");
    check_edited("\"name\":\"binary:logistic\"", "\"name\":\"mine\"", "the objective `mine`");
    check_edited("\"name\":\"gbtree\"", "\"name\":\"gblinear\"", "the content of another");
    check_edited("\"tree_info\":[0,", "\"tree_info\":[5,", "a leaf adds to output 5, there are 1");
    check_edited("\"tree_info\":[0,", "\"tree_info\":[", "entries of tree_info");
    check_edited("\"left_children\":[1,", "\"left_children\":[0,", "two parents");
    check_edited("\"left_children\":[1,", "\"left_children\":[-7,", "a child is negative");
    check_edited("\"split_indices\":[", "\"split_indices\":[1,", "different lengths");
}
