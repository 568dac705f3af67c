//! TreeSHAP against `pred_contrib` of LightGBM and `pred_contribs` of XGBoost, on the margin.

use greenlight_evaluator::ErrorKind;

use crate::fixture::{Answers, check_close, model};

fn check(name: &str, encoding: &str, tolerance: f64) {
    let model = model(&format!("{name}.{encoding}"));
    let answers = Answers::read(name, &model);
    let mut explained = Vec::new();
    let mut sums = Vec::new();
    for row in 0..answers.rows {
        for explanation in model.explain(&answers.borrow(), row).unwrap() {
            sums.push(explanation.expected + explanation.contributions.iter().sum::<f64>());
            explained.extend(explanation.contributions);
            explained.push(explanation.expected);
        }
    }
    check_close(&format!("contributions of {name}"), &explained, &answers.get("contributions"), tolerance);
    let mut margins = Vec::new();
    model.score_margins(&answers.borrow(), answers.rows, &mut margins).unwrap();
    check_close(&format!("contributions of {name} make its margin"), &sums, &margins, 1e-5);
}

#[test]
fn lightgbm_agrees_in_double_precision() {
    for name in
        ["binary", "zero-missing", "no-missing", "forest", "multiclass", "large", "category", "pandas"]
    {
        check(&format!("lightgbm-{name}"), "txt", 1e-12);
    }
}

#[test]
fn xgboost_agrees_in_single_precision() {
    for name in ["logistic", "softprob", "dart", "forest", "targets", "category", "onehot", "poisson"] {
        check(&format!("xgboost-{name}"), "ubj", 2e-6);
    }
}

#[test]
fn a_linear_model_and_a_file_without_counts_say_why_not() {
    let linear = model("xgboost-linear.ubj");
    let answers = Answers::read("xgboost-linear", &linear);
    let error = linear.explain(&answers.borrow(), 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unanswerable);

    let text = String::from_utf8(crate::fixture::bytes("lightgbm-binary.txt")).unwrap();
    let without = text.replace("internal_count=", "other=");
    let without = greenlight_evaluator::Evaluator::from_bytes(without.as_bytes()).unwrap();
    let answers = Answers::read("lightgbm-binary", &without);
    let error = without.explain(&answers.borrow(), 0).unwrap_err();
    assert!(error.to_string().contains("no training weight"), "{error}");
}
