//! Files that mean harm: whatever the bytes, the answer is a model or an error, in time and memory that the size of
//! the file bounds. A count that is believed before it is checked would end these tests for want of memory.

use greenlight_evaluator::{Column, Evaluator, InputKind};
use proptest::prelude::*;

use crate::fixture::bytes;

const FILES: [&str; 9] = [
    "lightgbm-binary.txt",
    "lightgbm-multiclass.txt",
    "lightgbm-category.txt",
    "lightgbm-pandas.txt",
    "xgboost-logistic.json",
    "xgboost-category.json",
    "xgboost-category.ubj",
    "xgboost-dart.ubj",
    "xgboost-linear.ubj",
];
/// How much larger than its file a model may be, beside a fixed part.
const GROWTH: usize = 100;
const FIXED: usize = 32 << 20;

/// Reads the bytes and, if they are a model, scores and explains rows with it.
fn survive(bytes: &[u8]) {
    let Ok(model) = Evaluator::from_bytes(bytes) else { return };
    assert!(model.memory_bytes() <= GROWTH * bytes.len() + FIXED);
    let numbers = [0.5, -3.0, f64::NAN, 0.0, 1e300, f64::INFINITY, f64::NEG_INFINITY, 12.0];
    let texts: Vec<_> = (0..numbers.len()).map(|row| Some(format!("t{row}").into())).collect();
    let columns: Vec<Column<'_>> = model
        .inputs()
        .iter()
        .map(|input| match input.kind {
            InputKind::Number => Column::Number(&numbers),
            InputKind::Text => Column::Text(&texts),
        })
        .collect();
    let mut out = Vec::new();
    for rows in [1, numbers.len()] {
        model.score(&columns, rows, &mut out).unwrap();
        let width: usize = model.outputs().iter().map(|output| output.width).sum();
        assert_eq!(out.len(), rows * width);
    }
    // A model without weights cannot be explained, and says so.
    let _ = model.explain(&columns, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(content in prop::collection::vec(any::<u8>(), 0..400), start in 0..4_usize) {
        let start: &[u8] = [&b""[..], b"tree\n", b"{L", b"{\""][start];
        survive(&[start, &content].concat());
    }

    #[test]
    fn a_file_that_ends_early(file in 0..FILES.len(), part in 0.0..1.0_f64) {
        let content = bytes(FILES[file]);
        survive(&content[..(content.len() as f64 * part) as usize]);
    }

    #[test]
    fn a_file_with_flipped_bits(
        file in 0..FILES.len(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..6),
    ) {
        let mut content = bytes(FILES[file]);
        for (place, bit) in flips {
            let place = place.index(content.len());
            content[place] ^= 1 << bit;
        }
        survive(&content);
    }

    #[test]
    fn a_file_with_other_digits(
        file in 0..FILES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize), 1..6),
    ) {
        let mut content = bytes(FILES[file]);
        let digits: Vec<usize> = (0..content.len()).filter(|place| content[*place].is_ascii_digit()).collect();
        for (place, symbol) in edits {
            if !digits.is_empty() {
                content[digits[place.index(digits.len())]] = b"0123456789- "[symbol];
            }
        }
        survive(&content);
    }
}

fn check_refused(content: &[u8], expected: &str) {
    let error = Evaluator::from_bytes(content).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

/// A UBJSON object with one key, `learner`, and then `value`.
fn ubj(value: &[u8]) -> Vec<u8> {
    [b"{L\0\0\0\0\0\0\0\x07learner", value].concat()
}

#[test]
fn counts_that_the_file_cannot_hold() {
    check_refused(&ubj(b"[$d#L\x3f\xff\xff\xff\xff\xff\xff\xff"), "larger than the file");
    check_refused(&ubj(b"[#L\xff\xff\xff\xff\xff\xff\xff\xff"), "larger than the file");
    check_refused(&ubj(b"SL\x7f\xff\xff\xff\xff\xff\xff\xff"), "larger than the file");
    check_refused(&ubj(b"{L\x7f\xff\xff\xff\xff\xff\xff\xff"), "larger than the file");
}

#[test]
fn elements_without_a_byte_are_not_counted() {
    for marker in *b"ZTFN" {
        check_refused(
            &ubj(&[b"[$", &[marker][..], b"#L\x00\x00\x00\xff\xff\xff\xff\xff"].concat()),
            "takes no space",
        );
    }
}

#[test]
fn nesting_is_bounded() {
    check_refused(
        &ubj(&[&b"{L\0\0\0\0\0\0\0\x01x"[..], &b"[".repeat(1_000_000)].concat()),
        "nested too deeply",
    );
    let json = format!("{{\"learner\":{{\"x\":{}", "[".repeat(1_000_000));
    check_refused(json.as_bytes(), "line 1 column 1000016");
}

/// Two nodes may name one set of a file, so sets can grow with the square of the file.
#[test]
fn sets_of_categories_are_bounded_together() {
    let splits = 20_000;
    let row = |word: &str| vec![word; splits].join(" ");
    let left: Vec<_> = (1..=splits).map(|leaf| format!("-{leaf}")).collect();
    let right: Vec<_> = (1..splits).map(|split| split.to_string()).collect();
    let text = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\nobjective=regression\n\
         feature_names=x\ntree_sizes=1\n\nTree=0\nnum_leaves={}\nsplit_feature={}\nthreshold={}\ndecision_type={}\n\
         left_child={}\nright_child={} -{}\nleaf_value={} 0\ncat_boundaries=0 {splits}\ncat_threshold={}\n\n\
         end of trees\n",
        splits + 1,
        row("0"),
        row("0"),
        row("1"),
        left.join(" "),
        right.join(" "),
        splits + 1,
        row("0"),
        row("4294967295"),
    );
    check_refused(text.as_bytes(), "all category sets");
}

#[test]
fn a_chain_of_splits_is_walked_and_not_explained() {
    let splits = 50_000;
    let row = |word: &str, count: usize| vec![word; count].join(" ");
    let left: Vec<_> = (1..=splits).map(|leaf| format!("-{leaf}")).collect();
    let right: Vec<_> = (1..splits).map(|split| split.to_string()).collect();
    let thresholds: Vec<_> = (0..splits).map(|split| split.to_string()).collect();
    let values: Vec<_> = (0..=splits).map(|leaf| leaf.to_string()).collect();
    let text = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\nobjective=regression\n\
         feature_names=x\ntree_sizes=1\n\nTree=0\nnum_leaves={}\nsplit_feature={}\nthreshold={}\ndecision_type={}\n\
         left_child={}\nright_child={} -{}\nleaf_value={}\nleaf_count={}\ninternal_count={}\n\nend of trees\n",
        splits + 1,
        row("0", splits),
        thresholds.join(" "),
        row("8", splits),
        left.join(" "),
        right.join(" "),
        splits + 1,
        values.join(" "),
        row("1", splits + 1),
        row("1", splits),
    );
    let model = Evaluator::from_bytes(text.as_bytes()).unwrap();
    let numbers: Vec<f64> = (0..200).map(|row| f64::from(row) * 250.0).collect();
    let mut out = Vec::new();
    model.score(&[Column::Number(&numbers)], numbers.len(), &mut out).unwrap();
    assert_eq!(out, numbers);
    let error = model.explain(&[Column::Number(&numbers)], 0).unwrap_err().to_string();
    assert!(error.contains("deeper than 512 splits"), "{error}");
}
