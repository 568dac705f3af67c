//! Builds an ensemble from trees given as lists of nodes, and checks them.
//!
//! Owns the checks that every tree passes whatever file it comes from: children exist, no node is reached twice (so
//! there is no cycle and no shared branch), inputs and outputs exist, numbers are numbers, and the whole stays within
//! bounds. It refuses to keep a tree that fails any of them.

use std::collections::HashMap;

pub(crate) use super::channel::{Missing, Reading};

use super::Ensemble;
use super::channel::Channel;
use super::sweep::Sweeper;
use super::walk::{self, Forest, Member, SetTest, WalkNode};
use crate::{EvaluatorError, Format};

pub(crate) const NODES_LIMIT: usize = 64_000_000;
pub(crate) const INPUTS_LIMIT: usize = 100_000;
pub(crate) const OUTPUTS_LIMIT: usize = 10_000;
/// Words of all category sets together: 64 MiB. Readers count them too before they copy a set.
pub(crate) const SET_WORDS_LIMIT: usize = 16 << 20;

/// What a node asks of a value that is not missing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    AtMost(f64),
    Below(f64),
    AtLeast(f64),
    Above(f64),
    Equal(f64),
    NotEqual(f64),
    /// Its bit is set: bit `c % 32` of word `c / 32` stands for category `c`. What lies outside is not in the set.
    In(Vec<u32>),
}

/// A node with two children, given by their places in the list of the tree's nodes.
#[derive(Clone, Debug)]
pub(crate) struct Split {
    pub(crate) input: usize,
    pub(crate) reading: Reading,
    pub(crate) missing: Missing,
    pub(crate) test: Test,
    /// Where a missing value goes: to `yes` or to `no`.
    pub(crate) missing_is_yes: bool,
    pub(crate) yes: usize,
    pub(crate) no: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Leaf {
    /// A value for one output.
    One { output: usize, value: f64 },
    /// Values for several outputs.
    Many(Vec<(usize, f64)>),
}

/// A node and the training weight that reached it. Weights are all there or all `None`.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) cover: Option<f64>,
}

#[derive(Clone, Debug)]
pub(crate) enum NodeKind {
    Split(Split),
    Leaf(Leaf),
}

impl Node {
    pub(crate) fn split(split: Split, cover: Option<f64>) -> Self {
        Self { kind: NodeKind::Split(split), cover }
    }

    pub(crate) fn leaf(leaf: Leaf, cover: Option<f64>) -> Self {
        Self { kind: NodeKind::Leaf(leaf), cover }
    }

    pub(crate) fn as_leaf(&self) -> Option<&Leaf> {
        match &self.kind {
            NodeKind::Leaf(leaf) => Some(leaf),
            NodeKind::Split(_) => None,
        }
    }
}

/// Collects trees. Roots come first: node 0 of each list is the root.
#[derive(Debug)]
pub(crate) struct EnsembleBuilder {
    format: Format,
    inputs: usize,
    outputs: usize,
    channels: Vec<Channel>,
    channel_of: HashMap<(usize, Reading, Missing), usize>,
    thresholds: Vec<Vec<f64>>,
    set_of: HashMap<(usize, Member, bool), u32>,
    forest: Forest,
    covered: bool,
}

impl EnsembleBuilder {
    pub(crate) fn new(format: Format, inputs: usize, outputs: usize) -> Result<Self, EvaluatorError> {
        for (what, found, limit) in [
            ("the number of inputs", inputs, INPUTS_LIMIT),
            ("the number of outputs", outputs, OUTPUTS_LIMIT),
        ] {
            if found > limit {
                return Err(too_large(format, what, found, limit));
            }
        }
        if outputs == 0 {
            return Err(EvaluatorError::malformed(format, "outputs", "there is none"));
        }
        Ok(Self {
            format,
            inputs,
            outputs,
            channels: Vec::new(),
            channel_of: HashMap::new(),
            thresholds: Vec::new(),
            set_of: HashMap::new(),
            forest: Forest::default(),
            covered: true,
        })
    }

    /// Adds a tree: checks it and lays it out breadth first, the two children of a node side by side.
    pub(crate) fn tree(&mut self, nodes: &[Node]) -> Result<(), EvaluatorError> {
        let start = self.forest.nodes.len();
        if nodes.is_empty() {
            return Err(self.broken("it has no node"));
        }
        if start + nodes.len() > NODES_LIMIT {
            return Err(too_large(self.format, "the number of nodes", start + nodes.len(), NODES_LIMIT));
        }
        let mut reached = vec![false; nodes.len()];
        reached[0] = true;
        let mut order = vec![0_usize];
        let mut next = 0;
        let output = single_output(nodes);
        while let Some(place) = order.get(next).copied() {
            let laid = match &nodes[place].kind {
                NodeKind::Split(split) => {
                    let first = start + order.len();
                    let (node, left, right) = self.split(split, first)?;
                    for child in [left, right] {
                        match reached.get_mut(child) {
                            Some(true) => return Err(self.broken(&format!("node {child} has two parents"))),
                            Some(seen) => {
                                *seen = true;
                                order.push(child);
                            }
                            None => {
                                return Err(
                                    self.broken(&format!("node {place} has a child {child}, outside it"))
                                );
                            }
                        }
                    }
                    node
                }
                NodeKind::Leaf(leaf) => self.leaf(leaf, start + next, output)?,
            };
            self.forest.nodes.push(laid);
            self.cover(nodes[place].cover)?;
            next += 1;
        }
        self.forest.close_tree(start, output);
        Ok(())
    }

    /// Ends the building. A row starts from `base`, one number an output; the sum of the leaves is divided by
    /// `divisor`, which is 1 unless trees are averaged.
    pub(crate) fn finish(mut self, base: Vec<f64>, divisor: f64) -> Result<Ensemble, EvaluatorError> {
        if base.len() != self.outputs || base.iter().any(|base| !base.is_finite()) {
            return Err(EvaluatorError::malformed(
                self.format,
                "base score",
                "it is not one finite number an output",
            ));
        }
        if !(divisor.is_finite() && divisor > 0.0) {
            return Err(EvaluatorError::malformed(self.format, "average", "there is no tree to average"));
        }
        for (channel, thresholds) in self.channels.iter_mut().zip(self.thresholds) {
            channel.set_thresholds(thresholds);
        }
        self.forest.shrink(self.covered);
        let sweeper = Sweeper::new(&self.channels, &self.forest);
        Ok(Ensemble {
            inputs: self.inputs,
            outputs: self.outputs,
            base,
            divisor,
            channels: self.channels,
            covered: self.covered && !self.forest.nodes.is_empty(),
            forest: self.forest,
            sweeper,
        })
    }

    /// Lays out a split whose left child will lie at `first`. Gives the node and its left and right child: left is
    /// where the question "at most the threshold", or "in the set", is answered with yes.
    fn split(&mut self, split: &Split, first: usize) -> Result<(WalkNode, usize, usize), EvaluatorError> {
        if split.input >= self.inputs {
            return Err(
                self.broken(&format!("a node asks for input {}, there are {}", split.input, self.inputs))
            );
        }
        let channel = self.channel(split.input, split.reading, split.missing);
        let swaps = match split.test {
            // No number is at least, or above, what is no number: that is a comparison which nothing passes.
            Test::AtLeast(threshold) | Test::Above(threshold) => !threshold.is_nan(),
            Test::NotEqual(_) => true,
            Test::AtMost(_) | Test::Below(_) | Test::Equal(_) | Test::In(_) => false,
        };
        let (left, right) = if swaps { (split.no, split.yes) } else { (split.yes, split.no) };
        let missing_left = split.missing_is_yes != swaps;
        let at_most = match &split.test {
            Test::AtMost(threshold) | Test::Above(threshold) => Some(*threshold),
            // No double lies between a number and the one before it, so "below" is "at most the one before".
            Test::Below(threshold) | Test::AtLeast(threshold) if *threshold > f64::NEG_INFINITY => {
                Some(threshold.next_down())
            }
            _ => None,
        };
        if let Some(threshold) = at_most.filter(|threshold| !threshold.is_nan()) {
            self.thresholds[channel].push(threshold);
            let lane = walk::lane(channel, missing_left);
            return Ok((WalkNode { number: threshold, lane, left: first as u32 }, left, right));
        }
        let member = match &split.test {
            Test::Equal(value) | Test::NotEqual(value) if !value.is_nan() => Member::Equal(value.to_bits()),
            Test::In(words) => self.set(words)?,
            // A comparison that no value passes.
            _ => Member::Set { start: 0, words: 0 },
        };
        let sets = &mut self.forest.sets;
        let set = *self.set_of.entry((channel, member, missing_left)).or_insert_with(|| {
            sets.push(SetTest { channel: channel as u32, member, missing_left });
            sets.len() as u32 - 1
        });
        Ok((WalkNode { number: 0.0, lane: walk::SET | set, left: first as u32 }, left, right))
    }

    fn set(&mut self, words: &[u32]) -> Result<Member, EvaluatorError> {
        let kept = words.len() - words.iter().rev().take_while(|word| **word == 0).count();
        let stored = &mut self.forest.words;
        // Consecutive nodes often ask for the same set.
        if kept <= stored.len() && stored.ends_with(&words[..kept]) {
            return Ok(Member::Set { start: (stored.len() - kept) as u32, words: kept as u32 });
        }
        let start = stored.len();
        if start + kept > SET_WORDS_LIMIT {
            return Err(too_large(
                self.format,
                "the size of all category sets",
                start + kept,
                SET_WORDS_LIMIT,
            ));
        }
        stored.extend_from_slice(&words[..kept]);
        Ok(Member::Set { start: start as u32, words: kept as u32 })
    }

    /// Lays out a leaf at `place`: it is its own left child, so a walk that has arrived stays.
    fn leaf(&mut self, leaf: &Leaf, place: usize, output: Option<u32>) -> Result<WalkNode, EvaluatorError> {
        let one;
        let pairs = match leaf {
            Leaf::One { output, value } => {
                one = [(*output, *value)];
                &one[..]
            }
            Leaf::Many(pairs) => pairs,
        };
        for (output, value) in pairs {
            if *output >= self.outputs {
                return Err(
                    self.broken(&format!("a leaf adds to output {output}, there are {}", self.outputs))
                );
            }
            if !value.is_finite() {
                return Err(self.broken("the value of a leaf is not a finite number"));
            }
        }
        let number = match pairs {
            [(_, value)] if output.is_some() => *value,
            _ => f64::from(self.forest.add_pairs(pairs)),
        };
        if self.forest.pairs.len() > NODES_LIMIT {
            let found = self.forest.pairs.len();
            return Err(too_large(self.format, "the number of values in leaves", found, NODES_LIMIT));
        }
        Ok(WalkNode { number, lane: walk::LEAF, left: place as u32 })
    }

    fn cover(&mut self, cover: Option<f64>) -> Result<(), EvaluatorError> {
        match cover {
            Some(cover) if cover.is_finite() && cover >= 0.0 => self.forest.covers.push(cover),
            Some(_) => return Err(self.broken("the training weight of a node is not a number from zero on")),
            None => self.covered = false,
        }
        Ok(())
    }

    fn channel(&mut self, input: usize, reading: Reading, missing: Missing) -> usize {
        let channels = &mut self.channels;
        let thresholds = &mut self.thresholds;
        *self.channel_of.entry((input, reading, missing)).or_insert_with(|| {
            channels.push(Channel::new(input as u32, reading, missing));
            thresholds.push(Vec::new());
            channels.len() - 1
        })
    }

    fn broken(&self, problem: &str) -> EvaluatorError {
        EvaluatorError::malformed(self.format, format!("tree {}", self.forest.trees.len()), problem)
    }
}

/// The output that all leaves of a tree serve, if it is one.
fn single_output(nodes: &[Node]) -> Option<u32> {
    let mut leaves = nodes.iter().filter_map(Node::as_leaf).map(|leaf| match leaf {
        Leaf::One { output, .. } => Some(*output),
        Leaf::Many(_) => None,
    });
    let first = leaves.next().flatten()?;
    leaves.all(|output| output == Some(first)).then_some(first as u32)
}

/// The error of sets beyond [`SET_WORDS_LIMIT`].
pub(crate) fn sets_too_large(format: Format, found: usize) -> EvaluatorError {
    too_large(format, "the size of all category sets", found, SET_WORDS_LIMIT)
}

fn too_large(format: Format, what: &'static str, found: usize, limit: usize) -> EvaluatorError {
    EvaluatorError::TooLarge { format, what, found: found as u64, limit: limit as u64 }
}
