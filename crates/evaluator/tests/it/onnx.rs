//! ONNX files of exporters, scored like the libraries that trained the models and like ONNX Runtime.
//!
//! The fixtures and the answers to them come from `fixtures/make_onnx.py`.

mod hostile;
mod operators;

use std::sync::Arc;

use greenlight_evaluator::{Evaluator, InputKind, parity};
use serde_json::Value;

use crate::fixture::{Owned, bytes};

/// The columns of a case, in the order of the inputs of the model.
fn columns(model: &Evaluator, case: &Value) -> Vec<Owned> {
    let columns = case["columns"].as_array().unwrap();
    assert_eq!(columns.len(), model.inputs().len());
    let columns = columns.iter().zip(model.inputs()).map(|(column, input)| {
        assert_eq!(column["name"].as_str().unwrap(), input.name);
        let values = column["values"].as_array().unwrap();
        match input.kind {
            InputKind::Number => {
                Owned::Numbers(values.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect())
            }
            InputKind::Text => {
                Owned::Texts(values.iter().map(|value| value.as_str().map(Arc::from)).collect())
            }
        }
    });
    columns.collect()
}

fn matrix(case: &Value, key: &str) -> Vec<f64> {
    let rows = case[key].as_array().unwrap();
    rows.iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|cell| cell.as_f64().unwrap_or(f64::NAN))
        .collect()
}

fn score(model: &Evaluator, columns: &[Owned], rows: usize) -> Vec<f64> {
    let columns: Vec<_> = columns.iter().map(Owned::borrow).collect();
    let mut out = Vec::new();
    model.score(&columns, rows, &mut out).unwrap();
    out
}

/// Scores without the leading probability of the second class, which must be the last of each row.
fn without_lead(model: &Evaluator, out: &[f64]) -> Vec<f64> {
    let [lead, all] = model.outputs() else { return out.to_vec() };
    assert_eq!((lead.name.as_str(), lead.width, all.width), ("probability", 1, 2));
    out.chunks_exact(3)
        .flat_map(|row| {
            assert_eq!(row[0].to_bits(), row[2].to_bits());
            row[1..].to_vec()
        })
        .collect()
}

/// The largest differences to the library and to ONNX Runtime.
fn differences(name: &str) -> (f64, f64) {
    let model = Evaluator::from_bytes(&bytes(&format!("onnx/{name}.onnx"))).unwrap();
    let case: Value = serde_json::from_slice(&bytes(&format!("onnx/{name}.json"))).unwrap();
    let columns = columns(&model, &case);
    let rows = case["original"].as_array().unwrap().len();
    let out = score(&model, &columns, rows);

    let width = out.len() / rows;
    for row in 0..rows {
        let mut alone = Vec::new();
        let columns: Vec<_> = columns.iter().map(|column| column.part(row, 1)).collect();
        model.score(&columns, 1, &mut alone).unwrap();
        assert_eq!(alone, out[row * width..(row + 1) * width], "row {row} of {name}, alone");
    }
    let repeated: Vec<Owned> = columns
        .iter()
        .map(|column| match column {
            Owned::Numbers(values) => Owned::Numbers(values.repeat(30)),
            Owned::Texts(texts) => Owned::Texts((0..30).flat_map(|_| texts.clone()).collect()),
        })
        .collect();
    assert_eq!(score(&model, &repeated, rows * 30), out.repeat(30), "{name}, in full blocks");

    let scores = without_lead(&model, &out);
    let original = parity(&matrix(&case, "original"), &scores).max_abs;
    let runtime = parity(&matrix(&case, "onnxruntime"), &scores).max_abs;
    (original, runtime)
}

/// Files hold single-precision weights, so scores of probabilities agree to about 1e-7 with both.
fn check(name: &str, original: f64, runtime: f64) {
    let (to_original, to_runtime) = differences(name);
    assert!(to_original <= original, "{name} differs from its library by {to_original:e}");
    assert!(to_runtime <= runtime, "{name} differs from ONNX Runtime by {to_runtime:e}");
}

#[test]
fn pipelines_over_columns_of_different_kinds() {
    check("logistic-one-hot", 1e-7, 5e-7);
    check("logistic-drop", 1e-7, 5e-7);
    check("logistic-target", 1e-7, 5e-7);
    check("forest-ordinal", 1e-7, 5e-7);
    check("histogram-ordinal", 1e-7, 5e-7);
}

#[test]
fn trees_of_scikit_learn() {
    check("forest", 1e-7, 5e-7);
    check("forest-classes", 1e-7, 5e-7);
    check("boosting", 1e-7, 5e-7);
    check("boosting-classes", 1e-7, 5e-7);
    check("histogram", 1e-7, 5e-7);
    check("histogram-classes", 1e-7, 5e-7);
    check("histogram-regression", 5e-7, 1e-6);
    check("tree-regression", 5e-7, 1e-6);
    check("forest-regression", 5e-7, 1e-6);
    check("adaboost", 1e-7, 5e-7);
}

#[test]
fn linear_models_and_what_prepares_their_inputs() {
    check("linear-regression", 5e-7, 1e-6);
    check("linear-double", 1e-14, 1e-14);
    check("poisson", 5e-7, 1e-6);
    check("logistic-classes", 1e-7, 5e-7);
    check("imputer-logistic", 2e-7, 5e-7);
    check("normalizer", 2e-7, 5e-7);
    check("power", 2e-7, 5e-7);
    check("calibrated", 1e-7, 5e-7);
    check("bayes", 1e-6, 1e-6);
}

#[test]
fn networks_and_stacks() {
    check("network", 2e-7, 5e-7);
    check("network-classes", 2e-7, 5e-7);
    check("stacking", 2e-7, 5e-7);
}

#[test]
fn lightgbm_and_xgboost_through_onnxmltools() {
    check("lightgbm", 1e-7, 5e-7);
    check("lightgbm-zipmap", 1e-7, 5e-7);
    check("lightgbm-classes", 1e-7, 5e-7);
    check("lightgbm-category", 1e-7, 5e-7);
    check("lightgbm-double", 5e-7, 1e-6);
    check("xgboost", 1e-7, 5e-7);
    check("xgboost-classes", 1e-7, 5e-7);
    check("xgboost-regression", 5e-7, 1e-6);
}

/// At 1e9 neighbours in single precision are 64 apart: the exported file itself is another model, and the evaluator
/// says what the file says.
#[test]
fn an_export_in_single_precision_is_wrong_far_from_zero() {
    let (original, runtime) = differences("lightgbm-far");
    assert!(runtime <= 5e-7, "differs from ONNX Runtime by {runtime:e}");
    assert!(original > 0.1, "differs from LightGBM by only {original:e}");
}

#[test]
fn inputs_and_outputs_have_names() {
    let model = Evaluator::from_bytes(&bytes("onnx/logistic-one-hot.onnx")).unwrap();
    let inputs: Vec<_> = model.inputs().iter().map(|input| (input.name.as_str(), input.kind)).collect();
    let (number, text) = (InputKind::Number, InputKind::Text);
    assert_eq!(inputs, [("age", number), ("visits", number), ("city", text), ("plan", text)]);
    let outputs: Vec<_> = model.outputs().iter().map(|output| (output.name.as_str(), output.width)).collect();
    assert_eq!(outputs, [("probability", 1), ("probabilities", 2)]);
    assert!(model.memory_bytes() > 0);
}

#[test]
fn a_missing_text_is_the_empty_text_and_an_integer_is_never_missing() {
    let model = Evaluator::from_bytes(&bytes("onnx/logistic-one-hot.onnx")).unwrap();
    let with = |city: Option<Arc<str>>, visits: f64| {
        let plan = Owned::Texts(vec![Some("free".into())]);
        [Owned::Numbers(vec![30.0]), Owned::Numbers(vec![visits]), Owned::Texts(vec![city]), plan]
    };
    let missing = score(&model, &with(None, 3.0), 1);
    assert_eq!(missing, score(&model, &with(Some("".into()), 3.0), 1));
    assert_ne!(missing, score(&model, &with(Some("Bern".into()), 3.0), 1));
    for visits in [f64::NAN, 2.5] {
        let owned = with(None, visits);
        let columns: Vec<_> = owned.iter().map(Owned::borrow).collect();
        let error = model.score(&columns, 1, &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("`visits` takes whole numbers"), "{error}");
    }
}

#[test]
fn a_matrix_gets_names_without_a_change_of_the_file() {
    let file = bytes("onnx/lightgbm.onnx");
    let plain = Evaluator::from_bytes(&file).unwrap();
    let names: Vec<String> = (0..plain.inputs().len()).map(|at| format!("column {at}")).collect();
    let named = Evaluator::with_feature_names(&file, &names).unwrap().unwrap();
    assert_eq!(named[..file.len()], file);
    let found = Evaluator::from_bytes(&named).unwrap();
    assert!(found.inputs().iter().map(|input| &input.name).eq(&names));
    let columns = vec![Owned::Numbers(vec![1.5, -3.0]); plain.inputs().len()];
    assert_eq!(score(&plain, &columns, 2), score(&found, &columns, 2));

    let nothing = |file: &[u8], names: &[String]| {
        assert_eq!(Evaluator::with_feature_names(file, names).unwrap(), None);
    };
    nothing(&named, &names);
    nothing(&file, &names[1..]);
    nothing(&file, &vec!["same".to_owned(); names.len()]);
    nothing(&bytes("onnx/logistic-one-hot.onnx"), &names[..4]);
    nothing(b"tree\nversion=v4\n", &names);
}
