//! Random trees, scored in every way and by a plain reading of their nodes.

use proptest::prelude::*;

use super::*;
use crate::Format;
use crate::ensemble::builder::NodeKind;

const INPUTS: usize = 3;
const OUTPUTS: usize = 2;
const VALUES: [f64; 12] =
    [f64::NAN, 0.0, -0.0, 1e-36, 1.0, 2.0, 2.5, -1.0, 3e9, f64::INFINITY, f64::NEG_INFINITY, 0.1];

/// What a split answers, as its documentation says it.
fn is_yes(split: &Split, value: f64) -> bool {
    let value = match split.reading {
        Reading::Single | Reading::SingleCategory => f64::from(value as f32),
        // Half a category below zero is category zero, as an integer conversion has it.
        Reading::Category if value > -1.0 => value.abs(),
        Reading::Double | Reading::Category => value,
    };
    let value = if value.is_nan() && split.missing == Missing::Never { 0.0 } else { value };
    if value.is_nan() || (split.missing == Missing::ZeroOrNan && value.abs() <= 1e-35) {
        return split.missing_is_yes;
    }
    match &split.test {
        Test::AtMost(threshold) => value <= *threshold,
        Test::Below(threshold) => value < *threshold,
        Test::AtLeast(threshold) => value >= *threshold,
        Test::Above(threshold) => value > *threshold,
        Test::Equal(other) => value == *other,
        Test::NotEqual(other) => value != *other,
        Test::In(words) => {
            value >= 0.0
                && value < 32.0 * words.len() as f64
                && words[value as usize / 32] >> (value as usize % 32) & 1 == 1
        }
    }
}

fn naive(trees: &[Vec<Node>], row: &[f64]) -> [f64; OUTPUTS] {
    let mut sums = [0.0; OUTPUTS];
    for tree in trees {
        let mut place = 0;
        loop {
            match &tree[place].kind {
                NodeKind::Split(split) => {
                    place = if is_yes(split, row[split.input]) { split.yes } else { split.no }
                }
                NodeKind::Leaf(Leaf::One { output, value }) => {
                    sums[*output] += value;
                    break;
                }
                NodeKind::Leaf(Leaf::Many(pairs)) => {
                    for (output, value) in pairs {
                        sums[*output] += value;
                    }
                    break;
                }
            }
        }
    }
    sums
}

fn test() -> impl Strategy<Value = Test> {
    let threshold = prop_oneof![prop::sample::select(VALUES.to_vec()), -3.0..3.0_f64];
    (0..7, threshold, prop::collection::vec(any::<u32>(), 0..3)).prop_map(|(kind, threshold, words)| {
        match kind {
            0 => Test::AtMost(threshold),
            1 => Test::Below(threshold),
            2 => Test::AtLeast(threshold),
            3 => Test::Above(threshold),
            4 => Test::Equal(threshold),
            5 => Test::NotEqual(threshold),
            _ => Test::In(words),
        }
    })
}

/// A split of any kind; categories are read as categories, and the rest as numbers.
fn split() -> impl Strategy<Value = Split> {
    let missing = prop::sample::select(vec![Missing::Nan, Missing::ZeroOrNan, Missing::Never]);
    (0..INPUTS, any::<bool>(), missing, test(), any::<bool>()).prop_map(
        |(input, single, missing, test, missing_is_yes)| {
            let is_set = matches!(test, Test::In(_));
            let reading = match (is_set, single) {
                (true, true) => Reading::SingleCategory,
                (true, false) => Reading::Category,
                (false, true) => Reading::Single,
                (false, false) => Reading::Double,
            };
            let missing = if is_set { Missing::Nan } else { missing };
            Split { input, reading, missing, test, missing_is_yes, yes: 0, no: 0 }
        },
    )
}

/// A tree grown by splitting, at each step, one of the leaves that there are.
fn tree(splits: usize) -> impl Strategy<Value = Vec<Node>> {
    let grown = prop::collection::vec((split(), any::<prop::sample::Index>()), 0..=splits);
    (grown, any::<bool>()).prop_map(|(grown, many)| {
        let leaf = |place: usize| {
            let value = place as f64 * 0.37 + 1.0;
            let leaf =
                if many { Leaf::Many(vec![(0, value), (1, -value)]) } else { Leaf::One { output: 1, value } };
            Node::leaf(leaf, None)
        };
        let mut nodes = vec![leaf(0)];
        let mut leaves = vec![0];
        for (mut split, choice) in grown {
            let place = leaves.swap_remove(choice.index(leaves.len()));
            (split.yes, split.no) = (nodes.len(), nodes.len() + 1);
            leaves.extend([split.yes, split.no]);
            nodes.push(leaf(split.yes));
            nodes.push(leaf(split.no));
            nodes[place] = Node::split(split, None);
        }
        nodes
    })
}

fn build(trees: &[Vec<Node>]) -> Ensemble {
    let mut builder = EnsembleBuilder::new(Format::Onnx, INPUTS, OUTPUTS).unwrap();
    for tree in trees {
        builder.tree(tree).unwrap();
    }
    builder.finish(vec![0.5, -0.5], 2.0).unwrap()
}

fn check(trees: &[Vec<Node>], rows: &[[f64; INPUTS]]) {
    let ensemble = build(trees);
    let values = rows.concat();
    let source = Source::Rows { values: &values, width: INPUTS };
    let mut block = vec![0.0; rows.len() * OUTPUTS];
    ensemble.margins(&source, rows.len(), &mut block);
    for (row, block) in rows.iter().zip(block.chunks_exact(OUTPUTS)) {
        let expected = naive(trees, row).map(|sum| sum / 2.0);
        assert_eq!(block, [0.5 + expected[0], -0.5 + expected[1]], "a block, {row:?}");
        let mut alone = [0.0; OUTPUTS];
        ensemble.margins(&Source::Rows { values: row, width: INPUTS }, 1, &mut alone);
        assert_eq!(block, alone, "alone, {row:?}");
    }
}

fn rows(count: usize) -> impl Strategy<Value = Vec<[f64; INPUTS]>> {
    let value = prop_oneof![prop::sample::select(VALUES.to_vec()), -3.0..3.0_f64, 0.0..70.0_f64];
    prop::collection::vec(prop::array::uniform3(value), count)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_test_and_every_way_agree(trees in prop::collection::vec(tree(12), 0..20), rows in rows(20)) {
        check(&trees, &rows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// Enough for several chunks of thresholds, several segments, and trees that are walked in a block.
    #[test]
    fn large_models_agree(trees in prop::collection::vec(tree(330), 25), rows in rows(300)) {
        check(&trees, &rows);
    }
}

#[test]
fn an_ensemble_without_trees_is_its_base() {
    check(&[], &[[1.0; INPUTS]; 9]);
}
