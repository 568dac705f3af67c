//! LightGBM's text format. Answers are LightGBM's own, in double precision, so they agree to rounding.

use greenlight_evaluator::{ErrorKind, Evaluator, EvaluatorError, Format, InputKind};

use crate::fixture::{bytes, check_fixture, model};

const TOLERANCE: f64 = 1e-14;

#[test]
fn every_objective_and_kind_of_missing_value() {
    for name in [
        "binary",
        "zero-missing",
        "no-missing",
        "sqrt",
        "forest",
        "dart",
        "poisson",
        "cross-entropy",
        "cross-entropy-lambda",
        "multiclass",
        "one-against-all",
        "ranking",
    ] {
        check_fixture(&format!("lightgbm-{name}"), "txt", TOLERANCE);
    }
}

#[test]
fn a_tree_with_more_leaves_than_a_byte_counts() {
    check_fixture("lightgbm-large", "txt", TOLERANCE);
}

#[test]
fn categories_as_numbers_and_as_pandas_named_them() {
    check_fixture("lightgbm-category", "txt", TOLERANCE);
    check_fixture("lightgbm-pandas", "txt", TOLERANCE);
}

#[test]
fn a_model_says_what_it_takes_and_gives() {
    let pandas = model("lightgbm-pandas.txt");
    assert_eq!(pandas.format(), Format::LightGbm);
    let inputs: Vec<_> = pandas.inputs().iter().map(|input| (input.name.as_str(), input.kind)).collect();
    let number = InputKind::Number;
    assert_eq!(
        inputs,
        [("amount", number), ("age", number), ("channel", InputKind::Text), ("region", number)]
    );
    let classes = model("lightgbm-multiclass.txt");
    assert_eq!((classes.outputs()[0].name.as_str(), classes.outputs()[0].width), ("probability", 3));
    assert!(classes.memory_bytes() > 1000);
}

#[test]
fn linear_leaves_are_refused_by_name() {
    let error = Evaluator::from_bytes(&bytes("lightgbm-linear.txt")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::File);
    assert!(error.to_string().contains("train with linear_tree=false"), "{error}");
}

fn check_edited(from: &str, to: &str, expected: &str) {
    let text = String::from_utf8(bytes("lightgbm-binary.txt")).unwrap();
    let edited = text.replacen(from, to, 1);
    assert_ne!(edited, text, "the edit changes nothing");
    let error = Evaluator::from_bytes(edited.as_bytes()).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn what_does_not_fit_is_an_error_that_says_where() {
    check_edited("version=v4", "version=v2", "version `v2` of the file");
    check_edited("objective=binary sigmoid:1.7", "objective=secret", "the objective `secret`");
    check_edited(
        "objective=binary sigmoid:1.7",
        "objective=binary sigmoid:0",
        "sigmoid `0` is not above zero",
    );
    check_edited("max_feature_idx=4", "max_feature_idx=18446744073709551615", "do not fit together");
    check_edited("num_tree_per_iteration=1", "num_tree_per_iteration=99999999", "outputs is 99999999");
    check_edited("num_leaves=8", "num_leaves=4000000000", "tree 0: num_leaves");
    check_edited("split_feature=", "split_feature=77 ", "tree 0: split_feature has 8 entries");
    check_edited("left_child=", "left_child=0 ", "tree 0: left_child has 8 entries");
    check_edited("Tree=1", "Tree=7", "tree 1");
    check_edited("end of trees", "the end", "tree 6");
    check_edited("leaf_value=", "leaf_value=inf ", "tree 0: leaf_value has 9 entries");
}

/// A small tree by hand: `x <= 1` is 10, else 20.
fn tree(left_child: &str, right_child: &str, feature: &str) -> Result<Evaluator, EvaluatorError> {
    let text = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\nobjective=regression\n\
         feature_names=x\ntree_sizes=1\n\nTree=0\nnum_leaves=3\nsplit_feature={feature} 0\nthreshold=1 2\n\
         decision_type=2 2\nleft_child={left_child}\nright_child={right_child}\nleaf_value=10 20 30\n\nend of trees\n"
    );
    Evaluator::from_bytes(text.as_bytes())
}

#[test]
fn a_tree_is_a_tree() {
    assert!(tree("-1 -2", "1 -3", "0").is_ok());
    for (left, right, problem) in [
        ("0 -2", "1 -3", "node 0 has two parents"),
        ("1 -2", "1 -3", "node 1 has two parents"),
        ("-1 0", "1 -3", "node 0 has two parents"),
        ("-1 -2", "5 -3", "there is no child 5"),
        ("-1 -2", "1 -9", "there is no child -9"),
        ("-1 -2", "1 -9223372036854775808", "there is no child"),
    ] {
        let error = tree(left, right, "0").unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    let error = tree("-1 -2", "1 -3", "1").unwrap_err().to_string();
    assert!(error.contains("asks for input 1, there are 1"), "{error}");
}
