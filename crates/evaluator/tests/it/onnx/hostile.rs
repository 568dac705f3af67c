//! ONNX files that mean harm.

use greenlight_evaluator::{Column, Evaluator, InputKind};
use proptest::prelude::*;

use super::operators::cases;
use crate::fixture::bytes;

const FILES: [&str; 8] = [
    "onnx/logistic-one-hot.onnx",
    "onnx/forest-ordinal.onnx",
    "onnx/adaboost.onnx",
    "onnx/network.onnx",
    "onnx/lightgbm-category.onnx",
    "onnx/lightgbm.onnx",
    "onnx/xgboost-classes.onnx",
    "onnx/logistic-target.onnx",
];
/// How much larger than its file a model may be, beside a fixed part.
const GROWTH: usize = 100;
const FIXED: usize = 32 << 20;

/// Reads the bytes and, if they are a model, scores rows with it: an answer of the right length, or an error.
fn survive(bytes: &[u8]) {
    let Ok(model) = Evaluator::from_bytes(bytes) else { return };
    assert!(model.memory_bytes() <= GROWTH * bytes.len() + FIXED);
    let numbers = [0.0, 1.0, -3.0, 1e9, 7.0];
    let texts: Vec<_> = (0..numbers.len()).map(|row| (row > 0).then(|| format!("t{row}").into())).collect();
    let columns: Vec<Column<'_>> = model
        .inputs()
        .iter()
        .map(|input| match input.kind {
            InputKind::Number => Column::Number(&numbers),
            InputKind::Text => Column::Text(&texts),
        })
        .collect();
    let width: usize = model.outputs().iter().map(|output| output.width).sum();
    for rows in [1, numbers.len()] {
        let mut out = Vec::new();
        if model.score(&columns, rows, &mut out).is_ok() {
            assert_eq!(out.len(), rows * width);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(content in prop::collection::vec(any::<u8>(), 0..400)) {
        survive(&[&[0x08, 0x08, 0x3a][..], &content].concat());
    }

    #[test]
    fn a_file_that_ends_early(file in 0..FILES.len(), part in 0.0..1.0_f64) {
        let content = bytes(FILES[file]);
        survive(&content[..(content.len() as f64 * part) as usize]);
    }

    #[test]
    fn a_file_with_flipped_bits(
        file in 0..FILES.len(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..5),
    ) {
        let mut content = bytes(FILES[file]);
        for (place, bit) in flips {
            let place = place.index(content.len());
            content[place] ^= 1 << bit;
        }
        survive(&content);
    }
}

/// Every byte of every small graph, once with each bit turned: operators meet shapes and attributes that no exporter
/// writes.
#[test]
fn small_graphs_with_every_bit_flipped() {
    for (name, model, _) in cases() {
        if name.starts_with("trees-") || name.starts_with("classes-") {
            continue;
        }
        for place in 0..model.len() {
            for bit in 0..8 {
                let mut flipped = model.clone();
                flipped[place] ^= 1 << bit;
                survive(&flipped);
            }
        }
    }
}
