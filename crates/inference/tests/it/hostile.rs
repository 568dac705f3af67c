//! Model files that mean harm: every real file of the fixtures, mutated. The corpora are replayed with the tests.
//!
//! A file that is accepted must score rows, or say why it cannot, without more memory than its size allows.

use std::path::{Path, PathBuf};

use greenlight_app::runtime::ModelRuntime;
use greenlight_domain::frame::Column as Owned;
use greenlight_domain::frame::{ColumnType, Field, Frame};
use greenlight_evaluator::{Column, Evaluator, InputKind};
use greenlight_inference::Runtime;
use greenlight_testkit::fuzz::{Target, Verdict};
use proptest::prelude::*;

/// Most bytes of a fixture that is mutated.
const LARGEST: u64 = 16 << 10;

fn files(folder: &Path, extension: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let wanted = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        let is_answer = name.contains(".answers.") || name == "operators.json";
        !is_answer && name.ends_with(extension) && path.metadata().unwrap().len() <= LARGEST
    };
    let found: Vec<_> = paths.into_iter().filter(wanted).map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!found.is_empty(), "there is no {extension} in {}", folder.display());
    found
}

fn target(name: &'static str, seeds: Vec<Vec<u8>>, tokens: &'static [&'static [u8]]) -> Target {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    Target { name, corpus, seeds, tokens, growth: 128, fixed: 64 << 20 }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../evaluator/tests/fixtures")
}

fn evaluate(input: &[u8]) -> Verdict {
    let model = Evaluator::from_bytes(input).map_err(|error| error.to_string())?;
    let numbers = [0.5, -3.0, f64::NAN, 0.0, 1e300, f64::INFINITY, f64::NEG_INFINITY, 12.0];
    let texts: Vec<_> = (0..numbers.len()).map(|row| (row > 0).then(|| format!("t{row}").into())).collect();
    let column = |kind| match kind {
        InputKind::Number => Column::Number(&numbers),
        InputKind::Text => Column::Text(&texts),
    };
    let columns: Vec<Column<'_>> = model.inputs().iter().map(|input| column(input.kind)).collect();
    let width: usize = model.outputs().iter().map(|output| output.width).sum();
    let mut answered = "scores";
    for rows in [1, numbers.len()] {
        let mut out = Vec::new();
        match model.score(&columns, rows, &mut out) {
            Ok(()) => assert_eq!(out.len(), rows * width),
            Err(_) => answered = "refuses rows",
        }
    }
    let explains = model.explain(&columns, 0).is_ok();
    let shape = (columns.len().min(8), model.outputs().len(), width.min(4));
    Ok(format!("{:?} {shape:?} {answered}, explains: {explains}", model.format()))
}

const LIGHTGBM_TOKENS: &[&[u8]] = &[
    b"Tree=0\n",
    b"num_leaves=2\n",
    b"num_leaves=2147483647\n",
    b"num_cat=1\n",
    b"cat_boundaries=0 1\n",
    b"cat_threshold=4294967295\n",
    b"leaf_value=",
    b"split_feature=",
    b"decision_type=",
    b"left_child=-1\n",
    b"right_child=0\n",
    b"nan",
    b"inf",
    b" ",
    b"\n",
    b"-1 ",
    b"1 ",
    b"=",
    b"objective=binary sigmoid:0\n",
    b"num_class=1000000\n",
    b"max_feature_idx=2147483647\n",
    b"shrinkage=0\n",
    b"is_linear=1\n",
    b"end of trees\n",
    b"\xff",
];
const JSON_TOKENS: &[&[u8]] = &[
    b"[",
    b"]",
    b"{",
    b"}",
    b"[[[[",
    b"null",
    b"true",
    b",",
    b"1,",
    b"\"",
    b"\\ud800",
    b"\xff",
    b"NaN",
    b"\"num_class\":\"1000000\",",
    b"\"num_feature\":\"2147483647\",",
    b"\"tree_info\":[0],",
    b"\"left_children\":[0],",
    b"\"split_type\":[1],",
    b"\"categories\":[4294967295],",
];
const UBJ_TOKENS: &[&[u8]] = &[
    b"[",
    b"]",
    b"{",
    b"}",
    b"[$d#L",
    b"[$L#i\x01",
    b"[#i\x7f",
    b"L\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"l\x7f\xff\xff\xff",
    b"S",
    b"i\x01",
    b"N",
    b"$Z#",
    b"d",
];
const ONNX_TOKENS: &[&[u8]] = &[
    b"\x08\x07",
    b"\x0a\x00",
    b"\x12\x00",
    b"\x1a\x00",
    b"\x22\x00",
    b"\x2a\x00",
    b"\x3a\x00",
    b"\x42\x00",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"Reshape",
    b"Gather",
    b"Concat",
    b"MatMul",
    b"Identity",
    b"TreeEnsembleClassifier",
    b"ai.onnx.ml",
];

/// Nothing is generated: the real files are what is mutated, beside bytes of any kind.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..64)
}

#[test]
fn lightgbm_files() {
    target("lightgbm", files(&fixtures(), ".txt"), LIGHTGBM_TOKENS).run(bytes(), evaluate);
}

#[test]
fn xgboost_json_files() {
    target("xgboost_json", files(&fixtures(), ".json"), JSON_TOKENS).run(bytes(), evaluate);
}

#[test]
fn xgboost_ubj_files() {
    target("xgboost_ubj", files(&fixtures(), ".ubj"), UBJ_TOKENS).run(bytes(), evaluate);
}

#[test]
fn onnx_files() {
    target("onnx", files(&fixtures().join("onnx"), ".onnx"), ONNX_TOKENS).run(bytes(), evaluate);
}

/// Our own format, by way of the runtime: what it scores is a probability.
#[test]
fn own_files() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let check = |input: &[u8]| {
        if !input.starts_with(b"{\"format\"") && !input.trim_ascii_start().starts_with(b"{") {
            // A file of another library, which the other tests are about.
            return Err("another format".to_owned());
        }
        let model = Runtime.load(input).map_err(|error| error.to_string())?;
        let inputs = &model.signature().inputs;
        let column = |field: &Field| match field.column_type {
            ColumnType::Number => Owned::Number(vec![12.0, f64::NAN, f64::NEG_INFINITY]),
            ColumnType::Text => Owned::Text(vec![Some("clerk".into()), None, Some("?".into())]),
        };
        let rows = Frame::new(inputs.iter().cloned().collect(), inputs.iter().map(column).collect()).unwrap();
        if let Ok(scores) = model.score(&rows) {
            assert_eq!(scores.len(), 3);
            assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{scores:?}");
        }
        Ok(format!("{} with {} inputs", model.flavor(), inputs.len().min(8)))
    };
    target("artifact", files(&own, ".json"), JSON_TOKENS).run(bytes(), check);
}
