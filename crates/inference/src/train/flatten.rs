//! From the trees of the boosting library to our own.
//!
//! Owns the translation, node by node. It refuses trees with absent or repeating nodes instead of following them.

use std::collections::HashMap;

use greenlight_app::runtime::RuntimeError;
use perpetual::node::Node;

use super::failed;
use crate::artifact::{FOLDS, TreeParts};

const WORD_BITS: usize = u32::BITS as usize;

/// The learner's code of each position of a vocabulary; `None` where the learner has not seen the text.
pub(super) type TextCodes = Vec<Option<usize>>;

/// The nodes of one tree, splits in the order of their distance from the root, so that a child follows its parent.
/// `codes` has, for each input of text, the learner's code of each position of the vocabulary.
pub(super) fn flatten(
    nodes: &HashMap<usize, Node>,
    codes: &[Option<TextCodes>],
) -> Result<TreeParts, RuntimeError> {
    let mut tree = TreeParts::default();
    let mut queue = Queue { nodes, splits: Vec::new(), leaves: Vec::new() };
    queue.place(0)?;
    let mut next = 0;
    while let Some(node) = queue.splits.get(next).copied() {
        let (left, right) = (queue.place(node.left_child)?, queue.place(node.right_child)?);
        let missing = if node.missing_node == node.left_child {
            left
        } else if node.missing_node == node.right_child {
            right
        } else {
            queue.place(node.missing_node)?
        };
        let (threshold, words) = test(node, codes)?;
        tree.feature.push(node.split_feature as u32);
        tree.threshold.push(threshold);
        tree.left_categories.extend(words);
        tree.left.push(left);
        tree.right.push(right);
        tree.missing.push(missing);
        next += 1;
    }
    tree.leaf = queue.leaves;
    Ok(tree)
}

struct Queue<'a> {
    nodes: &'a HashMap<usize, Node>,
    splits: Vec<&'a Node>,
    leaves: Vec<[f32; FOLDS]>,
}

impl Queue<'_> {
    /// Gives the node its place in our lists and returns how a parent refers to it.
    fn place(&mut self, id: usize) -> Result<i32, RuntimeError> {
        let Some(node) = self.nodes.get(&id) else {
            return Err(failed(format!(
                "the learner refers to a node {id} that it does not have; report this"
            )));
        };
        if self.splits.len() + self.leaves.len() >= self.nodes.len() {
            return Err(failed("the learner's tree leads back into itself; report this"));
        }
        if node.is_leaf {
            self.leaves.push(node.leaf_weights.unwrap_or([node.weight_value; FOLDS]));
            Ok(-(self.leaves.len() as i32))
        } else {
            self.splits.push(node);
            Ok(self.splits.len() as i32 - 1)
        }
    }
}

/// Threshold of a number, or the bits of the texts that go left. A text that the learner has not seen goes where a
/// missing one goes.
fn test(node: &Node, codes: &[Option<TextCodes>]) -> Result<(f64, Vec<u32>), RuntimeError> {
    match (codes.get(node.split_feature), node.left_cats.as_deref()) {
        (Some(None), None) => Ok((node.split_value, Vec::new())),
        (Some(Some(codes)), Some(bytes)) => {
            let mut words = vec![0_u32; codes.len().div_ceil(WORD_BITS)];
            for (position, code) in codes.iter().enumerate() {
                let left = match code {
                    Some(code) => bytes.get(code / 8).is_some_and(|byte| byte >> (code % 8) & 1 == 1),
                    None => node.missing_node == node.left_child,
                };
                words[position / WORD_BITS] |= u32::from(left) << (position % WORD_BITS);
            }
            Ok((0.0, words))
        }
        _ => Err(failed(format!(
            "the learner split input {} in a way that does not fit its type; report this",
            node.split_feature
        ))),
    }
}
