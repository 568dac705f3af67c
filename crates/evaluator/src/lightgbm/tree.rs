//! One tree of the file: a block of lines, from `Tree=` to the next blank line.
//!
//! Owns the meaning of the lines (`Tree::Tree(const char*, size_t*)`, `NumericalDecision`, `CategoricalDecision`). It
//! refuses lines of different lengths: every array must have one entry a split or one a leaf.

use std::str::FromStr;

use crate::EvaluatorError;
use crate::ensemble::{Leaf, Missing, Node, Reading, SET_WORDS_LIMIT, Split, Test, sets_too_large};

use super::FORMAT;

/// Bits of `decision_type`: `kCategoricalMask`, `kDefaultLeftMask`, and two bits of missing type above.
const CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;

/// Training rows that reached each split and each leaf.
struct Counts {
    of_splits: Vec<f64>,
    of_leaves: Vec<f64>,
}

/// The lines of a tree that decide anything.
#[derive(Debug, Default)]
pub(super) struct Block<'a> {
    tree: usize,
    leaves: usize,
    split_feature: &'a str,
    threshold: &'a str,
    decision_type: &'a str,
    left_child: &'a str,
    right_child: &'a str,
    leaf_value: &'a str,
    leaf_count: &'a str,
    internal_count: &'a str,
    cat_boundaries: &'a str,
    cat_threshold: &'a str,
}

impl<'a> Block<'a> {
    /// Reads the lines of tree number `tree`; none are left at the line `end of trees`.
    pub(super) fn next(
        lines: &mut impl Iterator<Item = &'a str>,
        tree: usize,
    ) -> Result<Option<Self>, EvaluatorError> {
        let mut block = Self { tree, ..Self::default() };
        let Some(first) = lines.find(|line| !line.trim().is_empty()) else {
            return Err(block.malformed("the file ends before the line `end of trees`"));
        };
        if first.trim() == "end of trees" {
            return Ok(None);
        }
        if first.trim().strip_prefix("Tree=").and_then(|number| number.parse().ok()) != Some(tree) {
            return Err(block.malformed("a line `Tree=` with its number was expected"));
        }
        for line in lines.take_while(|line| !line.trim().is_empty()) {
            let Some((key, value)) = line.split_once('=') else { continue };
            match key {
                "num_leaves" => block.leaves = block.one(key, value)?,
                "split_feature" => block.split_feature = value,
                "threshold" => block.threshold = value,
                "decision_type" => block.decision_type = value,
                "left_child" => block.left_child = value,
                "right_child" => block.right_child = value,
                "leaf_value" => block.leaf_value = value,
                "leaf_count" => block.leaf_count = value,
                "internal_count" => block.internal_count = value,
                "cat_boundaries" => block.cat_boundaries = value,
                "cat_threshold" => block.cat_threshold = value,
                "is_linear" if value.trim() != "0" => {
                    return Err(EvaluatorError::unsupported(
                        FORMAT,
                        format!("tree {tree}, whose leaves hold linear models"),
                        "train with linear_tree=false",
                    ));
                }
                _ => {}
            }
        }
        Ok(Some(block))
    }

    /// The nodes of the tree: its splits, then its leaves, which add to output `output`.
    pub(super) fn nodes(&self, output: usize) -> Result<Vec<Node>, EvaluatorError> {
        let splits = match self.leaves.checked_sub(1) {
            Some(splits) if self.leaves <= self.leaf_value.len() => splits,
            _ => return Err(self.malformed("num_leaves is zero or more than there are values of leaves")),
        };
        let values: Vec<f64> = self.many("leaf_value", self.leaf_value, self.leaves)?;
        if splits == 0 {
            let value = values.first().copied().unwrap_or_default();
            // A tree that never splits explains nothing, whatever its weight.
            return Ok(vec![Node::leaf(Leaf::One { output, value }, Some(1.0))]);
        }
        let features: Vec<usize> = self.many("split_feature", self.split_feature, splits)?;
        let thresholds: Vec<f64> = self.many("threshold", self.threshold, splits)?;
        let types: Vec<u8> = self.many("decision_type", self.decision_type, splits)?;
        let left: Vec<i64> = self.many("left_child", self.left_child, splits)?;
        let right: Vec<i64> = self.many("right_child", self.right_child, splits)?;
        let counts = self.counts(splits)?;
        let sets = self.sets()?;
        let mut nodes = Vec::with_capacity(splits + self.leaves);
        let mut words = 0;
        for place in 0..splits {
            let (missing, missing_is_yes) = self.missing(types[place])?;
            let is_category = types[place] & CATEGORICAL != 0;
            let test = if is_category {
                self.set(thresholds[place], &sets)?
            } else {
                Test::AtMost(thresholds[place])
            };
            // Splits may share a set, so what is copied is counted.
            words += if let Test::In(words) = &test { words.len() } else { 0 };
            if words > SET_WORDS_LIMIT {
                return Err(sets_too_large(FORMAT, words));
            }
            let split = Split {
                input: features[place],
                reading: if is_category { Reading::Category } else { Reading::Double },
                missing: if is_category { Missing::Nan } else { missing },
                test,
                missing_is_yes: !is_category && missing_is_yes,
                yes: self.child(left[place], splits)?,
                no: self.child(right[place], splits)?,
            };
            nodes.push(Node::split(split, counts.as_ref().map(|counts| counts.of_splits[place])));
        }
        for (place, value) in values.into_iter().enumerate() {
            nodes.push(Node::leaf(
                Leaf::One { output, value },
                counts.as_ref().map(|counts| counts.of_leaves[place]),
            ));
        }
        Ok(nodes)
    }

    /// The counts, in files that have them.
    fn counts(&self, splits: usize) -> Result<Option<Counts>, EvaluatorError> {
        if self.internal_count.trim().is_empty() || self.leaf_count.trim().is_empty() {
            return Ok(None);
        }
        let of_splits = self.many("internal_count", self.internal_count, splits)?;
        let of_leaves = self.many("leaf_count", self.leaf_count, self.leaves)?;
        Ok(Some(Counts { of_splits, of_leaves }))
    }

    fn missing(&self, decision_type: u8) -> Result<(Missing, bool), EvaluatorError> {
        let missing = match decision_type >> 2 & 3 {
            0 => Missing::Never,
            1 => Missing::ZeroOrNan,
            2 => Missing::Nan,
            _ => return Err(self.malformed("decision_type has a missing type that LightGBM does not have")),
        };
        Ok((missing, decision_type & DEFAULT_LEFT != 0))
    }

    /// The words of all category sets, and where each set begins.
    fn sets(&self) -> Result<(Vec<usize>, Vec<u32>), EvaluatorError> {
        let boundaries = self.all("cat_boundaries", self.cat_boundaries)?;
        Ok((boundaries, self.all("cat_threshold", self.cat_threshold)?))
    }

    /// The threshold of a categorical split is the number of its set.
    fn set(
        &self,
        threshold: f64,
        (boundaries, words): &(Vec<usize>, Vec<u32>),
    ) -> Result<Test, EvaluatorError> {
        let number = threshold as usize;
        let bounds = boundaries.get(number..).and_then(|rest| rest.first_chunk());
        bounds
            .and_then(|[start, end]| words.get(*start..*end))
            .map(|words| Test::In(words.to_vec()))
            .ok_or_else(|| {
                self.malformed("a categorical split names a set that cat_boundaries does not have")
            })
    }

    /// Children from zero on are splits; negative ones are leaves, counted from -1.
    fn child(&self, child: i64, splits: usize) -> Result<usize, EvaluatorError> {
        let place = if child >= 0 { usize::try_from(child).ok() } else { usize::try_from(!child).ok() };
        let limit = if child >= 0 { splits } else { self.leaves };
        match place {
            Some(place) if place < limit => Ok(if child >= 0 { place } else { splits + place }),
            _ => Err(self.malformed(&format!("there is no child {child}"))),
        }
    }

    fn many<T: FromStr>(&self, key: &str, text: &str, count: usize) -> Result<Vec<T>, EvaluatorError> {
        let values = self.all(key, text)?;
        if values.len() != count {
            return Err(
                self.malformed(&format!("{key} has {} entries and should have {count}", values.len()))
            );
        }
        Ok(values)
    }

    fn all<T: FromStr>(&self, key: &str, text: &str) -> Result<Vec<T>, EvaluatorError> {
        text.split_ascii_whitespace().map(|word| self.one(key, word)).collect()
    }

    fn one<T: FromStr>(&self, key: &str, word: &str) -> Result<T, EvaluatorError> {
        word.trim().parse().map_err(|_| self.malformed(&format!("{key} has an entry `{word}`")))
    }

    fn malformed(&self, problem: &str) -> EvaluatorError {
        EvaluatorError::malformed(FORMAT, format!("tree {}", self.tree), problem)
    }
}
