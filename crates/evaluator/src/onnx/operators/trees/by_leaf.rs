//! Ensembles with lists of inner nodes and lists of leaves: `TreeEnsemble`, from version 5.
//!
//! Owns the walk from each root that turns those lists into trees. It refuses a node that two parents share.

use std::mem;

use super::super::super::plan::{Refusal, Site, malformed, unsupported};
use super::super::super::tensor::Tensor;
use super::super::scores::{Scores, Transform};
use super::{Features, Node, Test, Trees, builder, refusal, split};
use crate::ensemble::Leaf;

struct Lists<'a> {
    features: &'a [i64],
    modes: Tensor,
    thresholds: Tensor,
    yes: &'a [i64],
    yes_is_leaf: &'a [i64],
    no: &'a [i64],
    no_is_leaf: &'a [i64],
    /// Empty if no node says it.
    tracks_true: &'a [i64],
    outputs: &'a [i64],
    weights: Tensor,
}

pub(super) fn read(site: &Site<'_>, features: &Features) -> Result<Trees, Refusal> {
    let lists = Lists::read(site)?;
    let targets = usize::try_from(site.attributes.integer("n_targets").unwrap_or(1)).unwrap_or(0);
    let transform = Transform::from_number(site.attributes.integer("post_transform").unwrap_or(0))?;
    let roots = site.attributes.integers("tree_roots").unwrap_or_default();
    let divisor = match site.attributes.integer("aggregate_function").unwrap_or(1) {
        0 => roots.len() as f64,
        1 => 1.0,
        other => return unsupported(format!("the aggregate_function {other}")),
    };
    let mut builder = builder(features, targets)?;
    let mut reached = vec![false; lists.features.len()];
    for root in roots {
        builder.tree(&lists.tree(*root, features, &mut reached)?).map_err(refusal)?;
    }
    let ensemble = builder.finish(vec![0.0; targets], divisor).map_err(refusal)?;
    Ok(Trees { ensemble, scores: Scores::of_targets(targets, transform)?, classifies: false })
}

impl<'a> Lists<'a> {
    fn read(site: &Site<'a>) -> Result<Self, Refusal> {
        let attributes = site.attributes;
        let list = |name| attributes.integers(name).unwrap_or_default();
        let tensor = |name: &str| match attributes.tensor(name)? {
            Some(tensor) => Ok(tensor),
            None => malformed(format!("'{name}' is missing")),
        };
        let lists = Self {
            features: list("nodes_featureids"),
            modes: tensor("nodes_modes")?,
            thresholds: tensor("nodes_splits")?,
            yes: list("nodes_truenodeids"),
            yes_is_leaf: list("nodes_trueleafs"),
            no: list("nodes_falsenodeids"),
            no_is_leaf: list("nodes_falseleafs"),
            tracks_true: list("nodes_missing_value_tracks_true"),
            outputs: list("leaf_targetids"),
            weights: tensor("leaf_weights")?,
        };
        let lengths = [
            lists.modes.as_numbers().len(),
            lists.thresholds.as_numbers().len(),
            lists.yes.len(),
            lists.yes_is_leaf.len(),
            lists.no.len(),
            lists.no_is_leaf.len(),
        ];
        let all = lists.features.len();
        let wrong_tracks = !lists.tracks_true.is_empty() && lists.tracks_true.len() != all;
        if lengths != [all; 6] || wrong_tracks || lists.weights.as_numbers().len() != lists.outputs.len() {
            return malformed("the lists 'nodes_…' or 'leaf_…' differ in length");
        }
        Ok(lists)
    }

    /// The nodes of one tree, in the order in which a walk from its root meets them.
    fn tree(&self, root: i64, features: &Features, reached: &mut [bool]) -> Result<Vec<Node>, Refusal> {
        let mut nodes = Vec::new();
        // Inner nodes and leaves that have their place in the tree but are not read yet.
        let mut ahead = vec![(root, false)];
        let mut next = 0;
        while let Some((id, is_leaf)) = ahead.get(next).copied() {
            next += 1;
            let at = usize::try_from(id).unwrap_or(usize::MAX);
            if is_leaf {
                nodes.push(Node::leaf(self.leaf(at)?, None));
                continue;
            }
            match reached.get_mut(at).map(|seen| mem::replace(seen, true)) {
                Some(false) => {}
                Some(true) => return malformed(format!("node {id} has two parents")),
                None => return malformed(format!("there is no node {id}, which is a child or a root")),
            }
            let children = [ahead.len(), ahead.len() + 1];
            ahead.push((self.yes[at], self.yes_is_leaf[at] != 0));
            ahead.push((self.no[at], self.no_is_leaf[at] != 0));
            let tracks_true = self.tracks_true.get(at).is_some_and(|tracks| *tracks == 1);
            let test = test(self.modes.as_numbers()[at], self.thresholds.as_numbers()[at])?;
            nodes.push(split(features, self.features[at], test, tracks_true, children)?);
        }
        Ok(nodes)
    }

    fn leaf(&self, at: usize) -> Result<Leaf, Refusal> {
        match (self.outputs.get(at).map(|output| usize::try_from(*output)), self.weights.as_numbers().get(at))
        {
            (Some(Ok(output)), Some(value)) => Ok(Leaf::One { output, value: *value }),
            _ => malformed(format!("there is no leaf {at}, or it adds to no output")),
        }
    }
}

fn test(mode: f64, threshold: f64) -> Result<Test, Refusal> {
    Ok(match mode as i64 {
        0 => Test::AtMost(threshold),
        1 => Test::Below(threshold),
        2 => Test::AtLeast(threshold),
        3 => Test::Above(threshold),
        4 => Test::Equal(threshold),
        5 => Test::NotEqual(threshold),
        other => return unsupported(format!("a node of mode {other}")),
    })
}
