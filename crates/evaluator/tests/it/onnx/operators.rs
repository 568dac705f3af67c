//! Single operators against ONNX Runtime.

use greenlight_evaluator::{Evaluator, EvaluatorError, parity};
use serde_json::Value;

use super::{columns, matrix, score};
use crate::fixture::bytes;

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|place| u8::from_str_radix(&text[2 * place..2 * place + 2], 16).unwrap())
        .collect()
}

pub(super) fn cases() -> Vec<(String, Vec<u8>, Value)> {
    let cases: Value = serde_json::from_slice(&bytes("onnx/operators.json")).unwrap();
    let cases = cases.as_array().unwrap().iter();
    cases
        .map(|case| {
            let name = case["name"].as_str().unwrap().to_owned();
            (name, unhex(case["model"].as_str().unwrap()), case.clone())
        })
        .collect()
}

#[test]
fn each_operator_like_onnx_runtime() {
    let mut wrong = Vec::new();
    for (name, model, case) in cases().into_iter().filter(|(_, _, case)| case["refused"].is_null()) {
        let model = match Evaluator::from_bytes(&model) {
            Ok(model) => model,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let rows = case["onnxruntime"].as_array().unwrap().len();
        let scores = score(&model, &columns(&model, &case), rows);
        let difference = parity(&matrix(&case, "onnxruntime"), &scores).max_abs;
        if difference > 2e-6 {
            wrong.push(format!("{name}: {difference:e}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_scored_is_refused_by_name() {
    let mut count = 0;
    for (name, model, case) in cases() {
        if let Some(expected) = case["refused"].as_str() {
            let error = Evaluator::from_bytes(&model).unwrap_err();
            assert!(matches!(error, EvaluatorError::Unsupported { .. }), "{name}: {error}");
            assert!(error.to_string().contains(expected), "{name}: {error}");
            count += 1;
        }
    }
    assert_eq!(count, 11);
}

/// The exporter of scikit-learn joins rows and columns into one list and takes them apart again.
#[test]
fn a_graph_that_joins_rows_is_left_to_another_runtime() {
    let error = Evaluator::from_bytes(&bytes("onnx/quantile.onnx")).unwrap_err().to_string();
    assert!(error.contains("joins rows") && error.contains("ONNX Runtime"), "{error}");
}
