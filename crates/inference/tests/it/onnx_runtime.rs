//! Graphs that only ONNX Runtime has every operator for.
//!
//! The known answers are those of the Python package onnxruntime 1.32.0, and of scikit-learn 1.9.1 where the graph was
//! exported from it: see fixtures/onnx_runtime/make.py. script/test installs the library and names it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use greenlight_app::runtime::{Model, ModelRuntime, RuntimeError};
use greenlight_domain::frame::{Column, ColumnType, Frame};
use greenlight_evaluator::{Evaluator, EvaluatorError};
use greenlight_inference::Runtime;
use serde_json::Value;

const LIBRARY: &str = "ORT_DYLIB_PATH";

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx_runtime");
    std::fs::read(folder.join(name)).unwrap()
}

fn load(name: &str) -> Arc<dyn Model> {
    match Runtime.load(&fixture(name)) {
        Ok(model) => model,
        Err(error) => panic!(
            "{error}\n\nThis test needs ONNX Runtime. script/test installs and names it; to run the test alone: \
             export {LIBRARY}=$(script/venv onnxruntime tests/onnxruntime.txt)/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.*"
        ),
    }
}

/// The rows of an answer file as columns of the signature.
fn rows(model: &dyn Model, answers: &Value) -> Frame {
    let column = |name: &str, column_type| {
        let cells =
            answers["columns"][name].as_array().unwrap_or_else(|| panic!("there is no column {name}"));
        match column_type {
            ColumnType::Number => Column::Number(cells.iter().map(|cell| cell.as_f64().unwrap()).collect()),
            ColumnType::Text => Column::Text(cells.iter().map(|cell| cell.as_str().map(Arc::from)).collect()),
        }
    };
    let inputs = &model.signature().inputs;
    let columns = inputs.iter().map(|field| column(&field.name, field.column_type)).collect();
    Frame::new(inputs.iter().cloned().collect(), columns).unwrap()
}

fn check_answers(name: &str) {
    let graph = fixture(&format!("{name}.onnx"));
    let evaluated = Evaluator::from_bytes(&graph);
    assert!(
        matches!(evaluated, Err(EvaluatorError::Unsupported { .. })),
        "the evaluator runs {name} by itself now: make another graph"
    );
    let model = load(&format!("{name}.onnx"));
    assert_eq!(model.flavor(), "onnx");
    let answers: Value = serde_json::from_slice(&fixture(&format!("{name}.json"))).unwrap();
    let scores = model.score(&rows(&*model, &answers)).unwrap();
    for (source, tolerance) in [("onnxruntime", 1e-6), ("library", 1e-5)] {
        let Some(expected) = answers[source].as_array() else { continue };
        assert_eq!(scores.len(), expected.len());
        for (row, (score, expected)) in scores.iter().zip(expected).enumerate() {
            let expected = expected.as_f64().unwrap();
            assert!(
                (score - expected).abs() <= tolerance,
                "{name}, row {row}: {score}, {source} says {expected}"
            );
        }
    }
}

#[test]
fn support_vectors_of_scikit_learn() {
    check_answers("support-vectors");
}

#[test]
fn a_network_over_a_float_an_integer_and_a_text() {
    check_answers("gelu");
}

/// More rows than one call of the library gets are scored block by block, in order.
#[test]
fn blocks_of_rows_keep_their_order() {
    let model = load("support-vectors.onnx");
    let column = |scale: f64| Column::Number((0..2_500).map(|row| (f64::from(row) * scale).sin()).collect());
    let inputs = &model.signature().inputs;
    let all = vec![column(0.1), column(0.2), column(0.3)];
    let frame = Frame::new(inputs.iter().cloned().collect(), all.clone()).unwrap();
    let together = model.score(&frame).unwrap();
    assert_eq!(together.len(), 2_500);
    for row in [0, 1_023, 1_024, 2_499] {
        let single = all.iter().map(|column| match column {
            Column::Number(values) => Column::Number(vec![values[row]]),
            Column::Text(_) => panic!("numbers were made"),
        });
        let frame = Frame::new(inputs.iter().cloned().collect(), single.collect()).unwrap();
        assert!((model.score(&frame).unwrap()[0] - together[row]).abs() < 1e-6, "row {row}");
    }
}

#[test]
fn numbers_that_an_integer_input_cannot_hold_are_refused() {
    let model = load("gelu.onnx");
    let frame = |visits: f64| {
        let columns = model.signature().inputs.iter().map(|field| match (&*field.name, field.column_type) {
            ("visits", _) => Column::Number(vec![visits]),
            (_, ColumnType::Number) => Column::Number(vec![1.0]),
            (_, ColumnType::Text) => Column::Text(vec![None]),
        });
        Frame::new(model.signature().inputs.iter().cloned().collect(), columns.collect()).unwrap()
    };
    assert!(model.score(&frame(2.0)).is_ok());
    for visits in [0.5, f64::NAN, f64::INFINITY] {
        let problem = model.score(&frame(visits)).unwrap_err().to_string();
        assert!(problem.contains("'visits' takes whole numbers only"), "{problem}");
    }
}

fn refusal(bytes: &[u8]) -> String {
    match Runtime.load(bytes) {
        Err(RuntimeError::Artifact(problem)) => problem,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was loaded"),
    }
}

#[test]
fn a_graph_of_three_classes_is_refused() {
    let problem = refusal(&fixture("three-classes.onnx"));
    assert!(problem.contains("it scores 3 numbers a row"), "{problem}");
}

#[test]
fn a_graph_that_the_library_refuses_is_refused_with_its_reason() {
    let graph = fixture("gelu.onnx");
    let place = graph.windows(3).position(|window| window == b"Erf").unwrap();
    let mut unknown = graph.clone();
    unknown[place..place + 3].copy_from_slice(b"Xyz");
    let problem = refusal(&unknown);
    assert!(problem.contains("ONNX Runtime refuses it") && problem.contains("Xyz"), "{problem}");
}

/// A library that nobody has.
const NOWHERE: &str = "/nowhere/libonnxruntime.so";

/// The library is looked for once in a process, so this test runs itself again in one that has none.
#[test]
fn without_the_library_the_message_says_what_to_install() {
    if std::env::var_os(LIBRARY).is_none_or(|library| library != NOWHERE) {
        let name = "onnx_runtime::without_the_library_the_message_says_what_to_install";
        let ran = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(LIBRARY, NOWHERE)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        let why = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}{why}");
        return;
    }
    let problem = refusal(&fixture("gelu.onnx"));
    for part in ["this graph needs ONNX Runtime", NOWHERE, "onnxruntime", LIBRARY] {
        assert!(problem.contains(part), "{problem}");
    }
    // A model that needs no library is not affected.
    assert!(Runtime.load(include_bytes!("../fixtures/logistic_regression.json")).is_ok());
}

#[test]
fn a_matrix_gets_the_names_that_the_evaluator_would_give_it() {
    let file = fixture("support-vectors.onnx");
    let names = ["age", "visits", "balance"].map(str::to_owned);
    let named = Runtime.name_columns(&file, &names).unwrap().unwrap();
    let (plain, model) = (load("support-vectors.onnx"), Runtime.load(&named).unwrap());
    assert!(model.signature().inputs.iter().map(|field| field.name.as_ref()).eq(&names));
    let answers: Value = serde_json::from_slice(&fixture("support-vectors.json")).unwrap();
    let rows = rows(&*plain, &answers);
    let renamed = Frame::new(model.signature().inputs.clone(), rows.columns().to_vec()).unwrap();
    assert_eq!(model.score(&renamed).unwrap(), plain.score(&rows).unwrap());
}
