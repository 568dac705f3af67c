//! Ensembles as lists of nodes and, beside them, lists of weights of leaves: `TreeEnsembleClassifier` and
//! `TreeEnsembleRegressor`, with their numbers as floats or, from version 3, as tensors of doubles.
//!
//! Owns the joining of those lists into trees. It refuses lists of different lengths and trees whose nodes are
//! scattered.

use std::ops::Range;

use super::super::super::attributes::utf8;
use super::super::super::plan::{Refusal, Site, malformed, unsupported};
use super::super::scores::{Scores, Transform, classes};
use super::chain::{Chains, Link, Places};
use super::{Features, Node, Test, Trees, builder, refusal, split};
use crate::ensemble::Leaf;

pub(super) fn classifier(site: &Site<'_>, features: &Features) -> Result<Trees, Refusal> {
    let classes = classes(site, "classlabels_int64s", "classlabels_strings")?;
    let weights = Weights::read(site, "class")?;
    let transform = Transform::of(site)?;
    let base = base(site)?;
    let has_base = base.iter().any(|base| *base != 0.0);
    let one_sum = classes == 2 && weights.list.iter().all(|weight| weight.output == 0);
    let (sums, scores) = match (classes, one_sum) {
        (1, _) => return unsupported("a classifier with one class"),
        (_, true) if base.len() <= 1 => {
            (1, Scores::of_one_sum(transform, weights.list.iter().all(|weight| weight.value >= 0.0))?)
        }
        (2, _) if has_base => return unsupported("base values of two classes, which runtimes disagree on"),
        _ => (classes, Scores::Each(transform)),
    };
    trees(site, features, weights, Sums { count: sums, base, averages: false }, scores, true)
}

pub(super) fn regressor(site: &Site<'_>, features: &Features) -> Result<Trees, Refusal> {
    let targets = usize::try_from(site.attributes.integer("n_targets").unwrap_or(1)).unwrap_or(0);
    let averages = match site.attributes.text("aggregate_function")?.unwrap_or("SUM") {
        "SUM" => false,
        "AVERAGE" => true,
        other => return unsupported(format!("the aggregate_function '{other}'")),
    };
    let scores = Scores::of_targets(targets, Transform::of(site)?)?;
    let sums = Sums { count: targets, base: base(site)?, averages };
    trees(site, features, Weights::read(site, "target")?, sums, scores, false)
}

struct Sums {
    count: usize,
    base: Vec<f64>,
    averages: bool,
}

impl Sums {
    /// ONNX Runtime treats an output that no leaf of a row adds to in ways of its own; no exporter relies on it.
    fn check_served(&self, served: &[bool], classifies: bool) -> Result<(), Refusal> {
        if classifies && self.count == 2 && !served[1] {
            return unsupported("the second of two classes, to which not every row adds,");
        }
        let left_out =
            |(output, base): (usize, &f64)| *base != 0.0 && !served.get(output).is_some_and(|served| *served);
        if !classifies && self.count > 1 && self.base.iter().enumerate().any(left_out) {
            return unsupported("a base value of a target to which not every row adds");
        }
        Ok(())
    }
}

fn base(site: &Site<'_>) -> Result<Vec<f64>, Refusal> {
    Ok(site.attributes.numbers("base_values", "base_values_as_tensor")?.unwrap_or_default())
}

fn trees(
    site: &Site<'_>,
    features: &Features,
    weights: Weights,
    sums: Sums,
    scores: Scores,
    classifies: bool,
) -> Result<Trees, Refusal> {
    let lists = Lists::read(site)?;
    let mut builder = builder(features, sums.count)?;
    let ranges = lists.trees()?;
    let mut served = vec![false; sums.count];
    for range in &ranges {
        let (nodes, always) = lists.tree(range.clone(), features, &weights)?;
        for output in always {
            if let Some(served) = served.get_mut(output) {
                *served = true;
            }
        }
        builder.tree(&nodes).map_err(refusal)?;
    }
    sums.check_served(&served, classifies)?;
    let base = match sums.base.len() {
        0 => vec![0.0; sums.count],
        length if length == sums.count => sums.base,
        length => return malformed(format!("{length} base values for {} sums", sums.count)),
    };
    let divisor = if sums.averages { ranges.len() as f64 } else { 1.0 };
    Ok(Trees { ensemble: builder.finish(base, divisor).map_err(refusal)?, scores, classifies })
}

/// What a leaf adds to an output.
struct Weight {
    tree: i64,
    node: i64,
    output: usize,
    value: f64,
}

struct Weights {
    /// In the order of tree and node.
    list: Vec<Weight>,
}

impl Weights {
    fn read(site: &Site<'_>, prefix: &str) -> Result<Self, Refusal> {
        let list = |name: &str| site.attributes.integers(&format!("{prefix}_{name}")).unwrap_or_default();
        let (trees, nodes, outputs) = (list("treeids"), list("nodeids"), list("ids"));
        let values = site
            .attributes
            .numbers(&format!("{prefix}_weights"), &format!("{prefix}_weights_as_tensor"))?
            .unwrap_or_default();
        if [nodes.len(), outputs.len(), values.len()] != [trees.len(); 3] {
            return malformed(format!("the lists '{prefix}_…' differ in length"));
        }
        let mut all = Vec::with_capacity(trees.len());
        for (((tree, node), output), value) in trees.iter().zip(nodes).zip(outputs).zip(values) {
            let Ok(output) = usize::try_from(*output) else {
                return malformed(format!("a leaf adds to output {output}"));
            };
            all.push(Weight { tree: *tree, node: *node, output, value });
        }
        all.sort_by_key(|weight| (weight.tree, weight.node));
        Ok(Self { list: all })
    }

    fn leaf(&self, tree: i64, node: i64) -> Leaf {
        let start = self.list.partition_point(|weight| (weight.tree, weight.node) < (tree, node));
        let own = self.list[start..].iter().take_while(|weight| (weight.tree, weight.node) == (tree, node));
        let mut pairs: Vec<(usize, f64)> = own.map(|weight| (weight.output, weight.value)).collect();
        match (pairs.pop(), pairs.is_empty()) {
            (Some((output, value)), true) => Leaf::One { output, value },
            (last, _) => {
                pairs.extend(last);
                Leaf::Many(pairs)
            }
        }
    }
}

/// The lists `nodes_…`, all as long as each other.
pub(super) struct Lists<'a> {
    trees: &'a [i64],
    nodes: &'a [i64],
    pub(super) features: &'a [i64],
    pub(super) modes: Vec<&'a str>,
    pub(super) thresholds: Vec<f64>,
    pub(super) yes: &'a [i64],
    pub(super) no: &'a [i64],
    /// Empty if no node says it.
    tracks_true: &'a [i64],
}

impl<'a> Lists<'a> {
    fn read(site: &Site<'a>) -> Result<Self, Refusal> {
        let attributes = site.attributes;
        let list = |name| attributes.integers(name).unwrap_or_default();
        let modes = attributes
            .raw_texts("nodes_modes")
            .iter()
            .map(|mode| utf8(mode))
            .collect::<Result<Vec<_>, _>>()?;
        let lists = Self {
            trees: list("nodes_treeids"),
            nodes: list("nodes_nodeids"),
            features: list("nodes_featureids"),
            modes,
            thresholds: attributes.numbers("nodes_values", "nodes_values_as_tensor")?.unwrap_or_default(),
            yes: list("nodes_truenodeids"),
            no: list("nodes_falsenodeids"),
            tracks_true: list("nodes_missing_value_tracks_true"),
        };
        let lengths = [
            lists.nodes.len(),
            lists.features.len(),
            lists.modes.len(),
            lists.thresholds.len(),
            lists.yes.len(),
            lists.no.len(),
        ];
        let all = lists.trees.len();
        if lengths != [all; 6] || !lists.tracks_true.is_empty() && lists.tracks_true.len() != all {
            return malformed("the lists 'nodes_…' differ in length");
        }
        Ok(lists)
    }

    /// Where the nodes of each tree lie. The first node of a tree is its root.
    fn trees(&self) -> Result<Vec<Range<usize>>, Refusal> {
        let mut ranges = Vec::new();
        let mut seen = std::collections::HashSet::new();
        let mut start = 0;
        for run in self.trees.chunk_by(|one, next| one == next) {
            if !seen.insert(run[0]) {
                return malformed(format!("the nodes of tree {} do not lie side by side", run[0]));
            }
            ranges.push(start..start + run.len());
            start += run.len();
        }
        Ok(ranges)
    }

    /// The nodes of a tree, and the outputs that each of its leaves adds to.
    fn tree(
        &self,
        range: Range<usize>,
        features: &Features,
        weights: &Weights,
    ) -> Result<(Vec<Node>, Vec<usize>), Refusal> {
        let tree = self.trees[range.start];
        let places = Places::new(tree, &self.nodes[range.clone()])?;
        let mut chains = Chains::new(self, range.clone(), &places)?;
        let mut always: Option<Vec<usize>> = None;
        let mut nodes = Vec::with_capacity(range.len());
        for at in range {
            let Some(test) = test(self.modes[at], self.thresholds[at])? else {
                let leaf = weights.leaf(tree, self.nodes[at]);
                always = Some(served(&leaf, always));
                nodes.push(Node::leaf(leaf, None));
                continue;
            };
            let [yes, no] = chains.children(at);
            let (test, no) = match chains.follow(at)? {
                Link::Alone => (test, no),
                Link::First(test, no) => (test, no),
                Link::Absorbed => {
                    // Nothing leads here any more.
                    nodes.push(Node::leaf(Leaf::Many(Vec::new()), None));
                    continue;
                }
            };
            nodes.push(split(features, self.features[at], test, self.tracks_true(at), [yes, no])?);
        }
        Ok((nodes, always.unwrap_or_default()))
    }

    pub(super) fn tracks_true(&self, at: usize) -> bool {
        self.tracks_true.get(at).is_some_and(|tracks| *tracks == 1)
    }
}

/// Those of the outputs so far that this leaf adds to as well.
fn served(leaf: &Leaf, so_far: Option<Vec<usize>>) -> Vec<usize> {
    let own = match leaf {
        Leaf::One { output, .. } => vec![*output],
        Leaf::Many(pairs) => pairs.iter().map(|(output, _)| *output).collect(),
    };
    match so_far {
        None => own,
        Some(so_far) => so_far.into_iter().filter(|output| own.contains(output)).collect(),
    }
}

/// `None` for a leaf.
fn test(mode: &str, threshold: f64) -> Result<Option<Test>, Refusal> {
    Ok(Some(match mode {
        "LEAF" => return Ok(None),
        "BRANCH_LEQ" => Test::AtMost(threshold),
        "BRANCH_LT" => Test::Below(threshold),
        "BRANCH_GTE" => Test::AtLeast(threshold),
        "BRANCH_GT" => Test::Above(threshold),
        "BRANCH_EQ" => Test::Equal(threshold),
        "BRANCH_NEQ" => Test::NotEqual(threshold),
        other => return unsupported(format!("a node of mode '{other}'")),
    }))
}
