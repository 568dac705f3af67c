//! One tree of the document.
//!
//! Owns the meaning of its arrays (`predictor::GetNextNode`, `common::Decision`): a value goes left if it is below the
//! threshold, both rounded to single precision; a category goes left if it is not in the set. It refuses arrays of
//! different lengths and sets that reach beyond their array.

use std::collections::HashMap;

use super::document::Tree;
use crate::ensemble::{Leaf, Missing, NODES_LIMIT, Node, Reading, SET_WORDS_LIMIT, Split, Test};
use crate::{EvaluatorError, Format};

/// Categories of a set lie below this, so that a set takes 128 KiB at most.
const CATEGORY_LIMIT: i64 = 1 << 20;

/// The nodes of tree number `place`. Leaves add to output `output`, times `weight`.
pub(super) fn nodes(
    format: Format,
    tree: &Tree,
    place: usize,
    output: usize,
    weight: f64,
) -> Result<Vec<Node>, EvaluatorError> {
    let malformed = |problem: &str| EvaluatorError::malformed(format, format!("tree {place}"), problem);
    if !matches!(tree.sizes.size_leaf_vector.trim(), "0" | "1") {
        return Err(EvaluatorError::unsupported(
            format,
            format!("tree {place}, whose leaves hold several values,"),
            "train with multi_strategy=one_output_per_tree",
        ));
    }
    let count = tree.left_children.len();
    let lengths = [tree.right_children.len(), tree.split_indices.len(), tree.split_conditions.len()];
    let is_optional = |length: usize| length == 0 || length == count;
    if count > NODES_LIMIT
        || lengths.iter().any(|length| *length != count)
        || tree.default_left.len() != count
        || !is_optional(tree.split_type.len())
        || !is_optional(tree.sum_hessian.len())
    {
        return Err(malformed("its arrays have different lengths"));
    }
    let mut sets = sets(tree).map_err(&malformed)?;
    let mut nodes = Vec::with_capacity(count);
    for node in 0..count {
        let cover = tree.sum_hessian.get(node).map(|cover| f64::from(*cover as f32));
        let number = f64::from(tree.split_conditions[node].0 as f32);
        if tree.left_children[node] == -1 {
            nodes.push(Node::leaf(Leaf::One { output, value: number * weight }, cover));
            continue;
        }
        let child =
            |children: &[i64]| usize::try_from(children[node]).map_err(|_| malformed("a child is negative"));
        let (left, right) = (child(&tree.left_children)?, child(&tree.right_children)?);
        let input =
            usize::try_from(tree.split_indices[node]).map_err(|_| malformed("a feature is negative"))?;
        let default_left = tree.default_left[node].0;
        let split = if tree.split_type.get(node) == Some(&1) {
            let set =
                sets.remove(&(node as i64)).ok_or_else(|| malformed("a categorical split has no set"))?;
            Split {
                input,
                reading: Reading::SingleCategory,
                missing: Missing::Nan,
                test: Test::In(set),
                missing_is_yes: !default_left,
                yes: right,
                no: left,
            }
        } else {
            Split {
                input,
                reading: Reading::Single,
                missing: Missing::Nan,
                test: Test::Below(number),
                missing_is_yes: default_left,
                yes: left,
                no: right,
            }
        };
        nodes.push(Node::split(split, cover));
    }
    Ok(nodes)
}

/// The set of each categorical node, as bits.
fn sets(tree: &Tree) -> Result<HashMap<i64, Vec<u32>>, &'static str> {
    let count = tree.categories_nodes.len();
    if tree.categories_segments.len() != count || tree.categories_sizes.len() != count {
        return Err("the arrays of its categories have different lengths");
    }
    let mut sets = HashMap::new();
    let mut total = 0;
    let spans = tree.categories_segments.iter().zip(&tree.categories_sizes);
    for (node, (start, size)) in tree.categories_nodes.iter().zip(spans) {
        let start = usize::try_from(*start).ok();
        let end = start.zip(usize::try_from(*size).ok()).and_then(|(start, size)| start.checked_add(size));
        let categories = start.zip(end).and_then(|(start, end)| tree.categories.get(start..end));
        let categories = categories.ok_or("a set of categories lies outside its array")?;
        let largest = categories.iter().copied().max().unwrap_or(0);
        if largest >= CATEGORY_LIMIT || categories.iter().any(|category| *category < 0) {
            return Err("a category is negative or above 1,048,575");
        }
        total += largest as usize / 32 + 1;
        if total > SET_WORDS_LIMIT {
            return Err("its sets of categories are too large together");
        }
        let mut words = vec![0_u32; largest as usize / 32 + 1];
        for category in categories {
            words[*category as usize / 32] |= 1 << (category % 32);
        }
        sets.insert(*node, words);
    }
    Ok(sets)
}
