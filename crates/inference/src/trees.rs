//! Scoring with boosted trees, flattened into contiguous arrays.
//!
//! Owns the check of the trees and the walk over them. A walk ends because [`Ensemble::new`] refuses a child that
//! does not come after its parent; it stays in bounds because every index is checked there. It refuses weights that
//! are not finite. It knows no learner library.

use std::ops::Range;

use greenlight_app::runtime::{Model, RuntimeError};
use greenlight_domain::frame::{ColumnType, Field, Frame};
use greenlight_domain::model::Signature;

use crate::artifact::{
    ColumnEncoding, EnsembleParts, FOLDS, MAX_NODES, MAX_TREES, MemberParts, TreeParts, refused,
};
use crate::encoder::{Encoder, Reading, Vocabulary};
use crate::logistic::{logistic, probabilities};
use crate::runtime::signature;

/// Rows that are scored together: each tree is fetched once for all of them, and their encoded columns stay in cache.
const BLOCK_ROWS: usize = 64;

/// Set in a child that is a leaf; the other bits are its index.
const LEAF: u32 = 1 << 31;
/// Set in the feature of a split that asks for text.
const TEXT: u32 = 1 << 31;

const WORD_BITS: usize = u32::BITS as usize;

/// One question of a tree: 24 bytes, so that a cache line holds more than two.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Split {
    /// Number: the bits of the threshold. Text: first word of its set (high half) and how many words (low half).
    test: u64,
    feature: u32,
    left: u32,
    right: u32,
    missing: u32,
}

/// One boosted model: where it starts, and its trees in [`Ensemble::roots`].
#[derive(Debug, Clone, PartialEq)]
struct Member {
    base_logit: f64,
    trees: Range<usize>,
}

/// All trees of all members, one after the other.
#[derive(Debug, Default, PartialEq)]
struct Ensemble {
    members: Vec<Member>,
    roots: Vec<u32>,
    splits: Vec<Split>,
    leaves: Vec<[f32; FOLDS]>,
    /// Bit sets of the texts that go left.
    words: Vec<u32>,
}

impl Ensemble {
    /// Checks the parts and lays them out. `sizes` has the size of the vocabulary of each input, `None` for numbers.
    fn new(parts: &EnsembleParts, sizes: &[Option<usize>]) -> Result<Self, RuntimeError> {
        let members = &parts.members.0;
        if members.is_empty() {
            return Err(refused("it has no member; train it again"));
        }
        let trees = || members.iter().flat_map(|member| &member.trees.0);
        let nodes: usize = trees().map(|tree| tree.feature.len() + tree.leaf.len()).sum();
        for (count, limit, name) in [(trees().count(), MAX_TREES, "trees"), (nodes, MAX_NODES, "nodes")] {
            if count > limit {
                return Err(refused(format!(
                    "it has {count} {name} and the limit is {limit}; train with fewer trees"
                )));
            }
        }
        let mut ensemble = Self::default();
        for (index, member) in members.iter().enumerate() {
            ensemble
                .push_member(member, sizes)
                .map_err(|problem| refused(format!("member {index}: {problem}; train the model again")))?;
        }
        Ok(ensemble)
    }

    fn push_member(&mut self, member: &MemberParts, sizes: &[Option<usize>]) -> Result<(), String> {
        if !member.base_logit.is_finite() {
            return Err("its base logit is not a finite number".into());
        }
        let first = self.roots.len();
        for (index, tree) in member.trees.0.iter().enumerate() {
            self.push(tree, sizes).map_err(|problem| format!("tree {index}: {problem}"))?;
        }
        self.members.push(Member { base_logit: member.base_logit, trees: first..self.roots.len() });
        Ok(())
    }

    fn push(&mut self, tree: &TreeParts, sizes: &[Option<usize>]) -> Result<(), String> {
        let (splits, leaves) = (tree.feature.len(), tree.leaf.len());
        let lists = [
            ("threshold", tree.threshold.len()),
            ("left", tree.left.len()),
            ("right", tree.right.len()),
            ("missing", tree.missing.len()),
        ];
        if let Some((name, length)) = lists.iter().find(|(_, length)| *length != splits) {
            return Err(format!("{splits} splits but '{name}' has {length} entries"));
        }
        if leaves == 0 {
            return Err("it has no leaf".into());
        }
        if let Some(leaf) = tree.leaf.iter().position(|folds| folds.iter().any(|value| !value.is_finite())) {
            return Err(format!("leaf {leaf} holds something that is not a finite number"));
        }
        let mut sets = tree.left_categories.as_slice();
        let first_split = self.splits.len();
        let offsets = Offsets { splits: (first_split, splits), leaves: (self.leaves.len(), leaves) };
        for index in 0..splits {
            let problem = |problem| format!("split {index}: {problem}");
            let feature = self.feature(tree, index, sizes, &mut sets).map_err(problem)?;
            self.splits.push(offsets.split(tree, index, feature).map_err(problem)?);
        }
        if !sets.is_empty() {
            return Err(format!("{} words of texts are left over", sets.len()));
        }
        self.roots.push(if splits == 0 { LEAF | self.leaves.len() as u32 } else { first_split as u32 });
        self.leaves.extend_from_slice(&tree.leaf);
        Ok(())
    }

    /// Which input split `index` asks, and its test: see [`Split`]. Takes the set of a text off the front of `sets`.
    fn feature(
        &mut self,
        tree: &TreeParts,
        index: usize,
        sizes: &[Option<usize>],
        sets: &mut &[u32],
    ) -> Result<(u32, u64), String> {
        let (feature, threshold) = (tree.feature[index], tree.threshold[index]);
        let Some(size) = sizes.get(feature as usize) else {
            return Err(format!("it asks for input {feature} and the model has {}", sizes.len()));
        };
        if !threshold.is_finite() {
            return Err("its threshold is not a finite number".into());
        }
        let Some(size) = *size else {
            return Ok((feature, threshold.to_bits()));
        };
        let Some((set, rest)) = sets.split_at_checked(size.div_ceil(WORD_BITS)) else {
            return Err("the list of texts ends early".into());
        };
        let past_the_end = |word: u32| !size.is_multiple_of(WORD_BITS) && word >> (size % WORD_BITS) != 0;
        if set.last().is_some_and(|word| past_the_end(*word)) {
            return Err(format!("it lists texts past the {size} of the vocabulary"));
        }
        *sets = rest;
        let test = (self.words.len() as u64) << 32 | set.len() as u64;
        self.words.extend_from_slice(set);
        Ok((feature | TEXT, test))
    }

    /// Whether the text at `position` of its vocabulary goes left.
    fn goes_left(&self, test: u64, position: usize) -> bool {
        let (start, length) = ((test >> 32) as usize, (test & u64::from(u32::MAX)) as usize);
        let word = position / WORD_BITS;
        word < length && self.words[start + word] >> (position % WORD_BITS) & 1 == 1
    }

    /// The leaf that a row of `width` encoded columns ends in.
    fn leaf(&self, root: u32, row: &[f64]) -> &[f32; FOLDS] {
        let mut at = root;
        while at & LEAF == 0 {
            let split = &self.splits[at as usize];
            let value = row[(split.feature & !TEXT) as usize];
            let left = if split.feature & TEXT == 0 {
                value < f64::from_bits(split.test)
            } else {
                self.goes_left(split.test, value as usize)
            };
            at = if value.is_nan() {
                split.missing
            } else if left {
                split.left
            } else {
                split.right
            };
        }
        &self.leaves[(at & !LEAF) as usize]
    }

    /// Appends the probability of each row of `matrix` (row-major, at most [`BLOCK_ROWS`] rows of `width` columns).
    fn score(&self, matrix: &[f64], width: usize, scores: &mut Vec<f64>) {
        let mut sums = [0.0; BLOCK_ROWS];
        for member in &self.members {
            let mut logits = [[member.base_logit; FOLDS]; BLOCK_ROWS];
            for root in &self.roots[member.trees.clone()] {
                for (row, logits) in matrix.chunks_exact(width).zip(&mut logits) {
                    for (logit, value) in logits.iter_mut().zip(self.leaf(*root, row)) {
                        *logit += f64::from(*value);
                    }
                }
            }
            for ((_, folds), sum) in matrix.chunks_exact(width).zip(&logits).zip(&mut sums) {
                *sum += folds.iter().map(|fold| logistic(*fold)).sum::<f64>() / FOLDS as f64;
            }
        }
        let rows = matrix.len() / width;
        scores.extend(sums[..rows].iter().map(|sum| sum / self.members.len() as f64));
    }
}

/// Where the splits and leaves of one tree lie in the ensemble: start and count.
struct Offsets {
    splits: (usize, usize),
    leaves: (usize, usize),
}

impl Offsets {
    /// Split `index` of the tree, its children found.
    fn split(&self, tree: &TreeParts, index: usize, (feature, test): (u32, u64)) -> Result<Split, String> {
        let child = |name: &str, reference: i32| {
            self.child(index, reference)
                .ok_or_else(|| format!("its {name} child {reference} is out of range"))
        };
        Ok(Split {
            test,
            feature,
            left: child("left", tree.left[index])?,
            right: child("right", tree.right[index])?,
            missing: child("missing", tree.missing[index])?,
        })
    }

    /// The child of split `parent`: a later split, or a leaf; `None` when it is neither.
    fn child(&self, parent: usize, reference: i32) -> Option<u32> {
        let (within, (start, count), mark) = match usize::try_from(reference) {
            Ok(split) if split > parent => (split, self.splits, 0),
            Ok(_) => return None,
            Err(_) => ((!reference) as usize, self.leaves, LEAF),
        };
        (within < count).then(|| (start + within) as u32 | mark)
    }
}

/// A loaded tree ensemble.
#[derive(Debug)]
pub(crate) struct TreeModel {
    signature: Signature,
    encoder: Encoder,
    ensemble: Ensemble,
}

impl TreeModel {
    /// Checks the parts and puts them together.
    pub(crate) fn new(
        inputs: &[Field],
        encoder: Vec<ColumnEncoding>,
        parts: &EnsembleParts,
    ) -> Result<Self, RuntimeError> {
        let readings = inputs
            .iter()
            .zip(encoder)
            .map(|(field, encoding)| reading(field, encoding))
            .collect::<Result<Vec<_>, _>>()?;
        let sizes: Vec<Option<usize>> = readings
            .iter()
            .map(|reading| match reading {
                Reading::Number => None,
                Reading::Position(vocabulary) => Some(vocabulary.len()),
            })
            .collect();
        let ensemble = Ensemble::new(parts, &sizes)?;
        Ok(Self { signature: signature(inputs), encoder: Encoder::new(inputs, readings), ensemble })
    }
}

fn reading(field: &Field, encoding: ColumnEncoding) -> Result<Reading, RuntimeError> {
    match (field.column_type, encoding) {
        (ColumnType::Number, ColumnEncoding::AsIs {}) => Ok(Reading::Number),
        (ColumnType::Text, ColumnEncoding::Ordinal { vocabulary }) => {
            Ok(Reading::Position(Vocabulary::new(&field.name, vocabulary.0)?))
        }
        _ => Err(refused(format!(
            "the encoder entry of column '{}' does not fit its type in a tree ensemble; store the model again",
            field.name
        ))),
    }
}

impl Model for TreeModel {
    fn flavor(&self) -> &'static str {
        crate::FLAVOR
    }

    fn memory_bytes(&self) -> usize {
        let ensemble = &self.ensemble;
        size_of_val(ensemble.splits.as_slice())
            + size_of_val(ensemble.leaves.as_slice())
            + size_of_val(ensemble.words.as_slice())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn score(&self, rows: &Frame) -> Result<Vec<f64>, RuntimeError> {
        self.encoder.check(rows)?;
        let (count, width) = (rows.rows(), self.encoder.width());
        let mut scores = Vec::with_capacity(count);
        let mut matrix = vec![0.0; width * count.min(BLOCK_ROWS)];
        for start in (0..count).step_by(BLOCK_ROWS) {
            let block = &mut matrix[..width * (count - start).min(BLOCK_ROWS)];
            self.encoder.fill(rows, start, block)?;
            self.ensemble.score(block, width, &mut scores);
        }
        probabilities(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Bounded;

    fn stump(left_categories: Vec<u32>, threshold: f64) -> TreeParts {
        TreeParts {
            feature: vec![0],
            threshold: vec![threshold],
            left_categories,
            left: vec![-1],
            right: vec![-2],
            missing: vec![-3],
            leaf: vec![[1.0; FOLDS], [2.0; FOLDS], [3.0; FOLDS]],
        }
    }

    fn ensemble(tree: TreeParts, size: Option<usize>) -> Ensemble {
        let member = MemberParts { base_logit: 0.0, trees: Bounded(vec![tree]) };
        let parts = EnsembleParts { members: Bounded(vec![member]) };
        Ensemble::new(&parts, &[size]).unwrap()
    }

    #[test]
    fn a_number_below_the_threshold_goes_left_and_nan_goes_its_own_way() {
        let trees = ensemble(stump(vec![], 5.0), None);
        let leaf = |value: f64| trees.leaf(trees.roots[0], &[value])[0];
        let leaves = [4.9, 5.0, f64::NAN, f64::NEG_INFINITY].map(leaf);
        assert_eq!(leaves, [1.0, 2.0, 3.0, 1.0]);
    }

    #[test]
    fn a_text_goes_left_when_its_bit_is_set_also_past_the_first_word() {
        let trees = ensemble(stump(vec![0b10, 0b1], 0.0), Some(40));
        let leaf = |position: f64| trees.leaf(trees.roots[0], &[position])[0];
        let leaves = [0.0, 1.0, 31.0, 32.0, 33.0, 39.0, f64::NAN].map(leaf);
        assert_eq!(leaves, [2.0, 1.0, 2.0, 1.0, 2.0, 2.0, 3.0]);
    }

    #[test]
    fn a_tree_without_a_split_is_its_only_leaf() {
        let trees = ensemble(TreeParts { leaf: vec![[0.5; FOLDS]], ..TreeParts::default() }, None);
        let mut scores = Vec::new();
        trees.score(&[1.0, f64::NAN], 1, &mut scores);
        assert_eq!(scores, [logistic(0.5); 2]);
    }
}
