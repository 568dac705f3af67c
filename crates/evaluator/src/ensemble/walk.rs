//! The way of one row through the trees, from root to leaf.
//!
//! Owns the flattened trees: 16 bytes a node, laid out breadth first, the two children of a node side by side. Several
//! trees are walked in lock step without a branch on the answer, so that the waits for memory overlap. It refuses to
//! know thresholds as ranks; that is for [`super::sweep`].

use std::array;

/// Trees, or rows, that are walked together.
const TOGETHER: usize = 8;

/// The lane that holds negative infinity: a leaf compares it with its own value and so stays where it is.
pub(super) const LEAF: u32 = 0;
/// Marks a node that asks for membership; the other bits are the number of the [`SetTest`].
pub(super) const SET: u32 = 1 << 31;

/// How many values a walk over `channels` channels reads from: two a channel and the one of leaves.
pub(super) const fn lanes(channels: usize) -> usize {
    2 * channels + 1
}

/// The place of a value of a channel. Missing values are negative infinity in the first of its two lanes, which is at
/// most any threshold, and not-a-number in the second, which is at most none.
pub(super) const fn lane(channel: usize, missing_left: bool) -> u32 {
    (2 * channel + if missing_left { 1 } else { 2 }) as u32
}

/// A node: left if the value in `lane` is at most `number`, else right, which lies behind left.
///
/// A leaf is its own left child in the lane [`LEAF`]; its number is its value, or the number of its span of pairs in a
/// tree that serves several outputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct WalkNode {
    pub(super) number: f64,
    pub(super) lane: u32,
    pub(super) left: u32,
}

/// What makes a value a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Member {
    /// It is the number with these bits.
    Equal(u64),
    /// Its bit in these words is set.
    Set { start: u32, words: u32 },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SetTest {
    pub(super) channel: u32,
    pub(super) member: Member,
    pub(super) missing_left: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Tree {
    pub(super) start: u32,
    pub(super) end: u32,
    /// The output that all leaves serve, or [`SEVERAL`].
    pub(super) output: u32,
    /// Whether a node asks for membership.
    pub(super) asks_sets: bool,
}

/// In place of an output: the leaves of the tree serve several.
pub(super) const SEVERAL: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(super) struct Forest {
    pub(super) nodes: Vec<WalkNode>,
    pub(super) trees: Vec<Tree>,
    pub(super) sets: Vec<SetTest>,
    pub(super) words: Vec<u32>,
    /// Output and value; a leaf of a tree that serves several outputs has a span of them.
    pub(super) pairs: Vec<(u32, f64)>,
    spans: Vec<(u32, u32)>,
    /// The training weight that reached each node, if it is known of all.
    pub(super) covers: Vec<f64>,
}

impl Forest {
    pub(super) fn add_pairs(&mut self, pairs: &[(usize, f64)]) -> u32 {
        let start = self.pairs.len() as u32;
        self.pairs.extend(pairs.iter().map(|(output, value)| (*output as u32, *value)));
        self.spans.push((start, self.pairs.len() as u32));
        self.spans.len() as u32 - 1
    }

    /// Makes a tree of the nodes from `start` on.
    pub(super) fn close_tree(&mut self, start: usize, output: Option<u32>) {
        let asks_sets = self.nodes[start..].iter().any(|node| node.lane & SET != 0);
        let end = self.nodes.len() as u32;
        self.trees.push(Tree { start: start as u32, end, output: output.unwrap_or(SEVERAL), asks_sets });
    }

    pub(super) fn shrink(&mut self, covered: bool) {
        if !covered {
            self.covers.clear();
        }
        self.nodes.shrink_to_fit();
        self.trees.shrink_to_fit();
        self.sets.shrink_to_fit();
        self.words.shrink_to_fit();
        self.pairs.shrink_to_fit();
        self.spans.shrink_to_fit();
        self.covers.shrink_to_fit();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(self.nodes.as_slice())
            + size_of_val(self.trees.as_slice())
            + size_of_val(self.sets.as_slice())
            + size_of_val(self.words.as_slice())
            + size_of_val(self.pairs.as_slice())
            + size_of_val(self.spans.as_slice())
            + size_of_val(self.covers.as_slice())
    }

    /// What a leaf of a tree that serves several outputs adds.
    pub(super) fn pairs_of(&self, number: f64) -> &[(u32, f64)] {
        let span = self.spans.get(number as usize).copied().unwrap_or_default();
        self.pairs.get(span.0 as usize..span.1 as usize).unwrap_or_default()
    }

    /// Adds to `sums`, one an output, the leaves that a row reaches. `values` holds its [`lanes`].
    pub(super) fn add_row(&self, values: &[f64], sums: &mut [f64]) {
        let mut trees = self.trees.as_slice();
        while let Some((group, rest)) = trees.split_first_chunk::<TOGETHER>() {
            if group.iter().any(|tree| tree.asks_sets) {
                for tree in group {
                    self.add_leaf(tree, self.reach(tree, 1, 0, values), sums);
                }
            } else {
                let mut places = array::from_fn(|each| group[each].start);
                self.descend(&mut places, |_, lane| values.get(lane as usize));
                for (tree, place) in group.iter().zip(places) {
                    self.add_leaf(tree, place, sums);
                }
            }
            trees = rest;
        }
        for tree in trees {
            self.add_leaf(tree, self.reach(tree, 1, 0, values), sums);
        }
    }

    /// The leaves of one tree that a block of rows reaches. Lane `l` of row `r` is `values[l * stride + r]`.
    pub(super) fn reach_block(&self, tree: &Tree, stride: usize, values: &[f64], places: &mut [u32]) {
        let (chunks, tail) =
            if tree.asks_sets { (&mut [][..], places) } else { places.as_chunks_mut::<TOGETHER>() };
        let tail_from = chunks.len() * TOGETHER;
        for (chunk, first) in chunks.iter_mut().zip((0..).step_by(TOGETHER)) {
            *chunk = [tree.start; TOGETHER];
            self.descend(chunk, |each, lane| {
                values.get((lane as usize).wrapping_mul(stride).wrapping_add(first + each))
            });
        }
        for (row, place) in (tail_from..).zip(tail) {
            *place = self.reach(tree, stride, row, values);
        }
    }

    pub(super) fn leaf_number(&self, place: u32) -> f64 {
        self.nodes.get(place as usize).map_or(0.0, |leaf| leaf.number)
    }

    /// Whether a value is a member; `values` is read like in [`Self::reach_block`].
    pub(super) fn is_left(&self, set: u32, value: impl Fn(u32) -> f64) -> bool {
        let Some(test) = self.sets.get(set as usize) else { return false };
        self.is_member(test, value(lane(test.channel as usize, false)))
    }

    pub(super) fn is_member(&self, test: &SetTest, value: f64) -> bool {
        if value.is_nan() {
            return test.missing_left;
        }
        match test.member {
            Member::Equal(bits) => value == f64::from_bits(bits),
            Member::Set { start, words } => {
                // A negative number, which stands for no category, is cut off at zero by the cast: it is asked first.
                let category = value as u64;
                let word = category / 32;
                value >= 0.0
                    && word < u64::from(words)
                    && self
                        .words
                        .get(start as usize + word as usize)
                        .is_some_and(|word| word >> (category % 32) & 1 == 1)
            }
        }
    }

    fn add_leaf(&self, tree: &Tree, place: u32, sums: &mut [f64]) {
        let number = self.leaf_number(place);
        if tree.output == SEVERAL {
            for (output, value) in self.pairs_of(number) {
                if let Some(sum) = sums.get_mut(*output as usize) {
                    *sum += value;
                }
            }
        } else if let Some(sum) = sums.get_mut(tree.output as usize) {
            *sum += number;
        }
    }

    /// One row, one tree.
    fn reach(&self, tree: &Tree, stride: usize, row: usize, values: &[f64]) -> u32 {
        let value = |lane: u32| values.get(lane as usize * stride + row).copied().unwrap_or(f64::NAN);
        let mut place = tree.start;
        while let Some(node) = self.nodes.get(place as usize) {
            if node.lane == LEAF {
                break;
            }
            let left = if node.lane & SET == 0 {
                value(node.lane) <= node.number
            } else {
                self.is_left(node.lane & !SET, value)
            };
            place = node.left + u32::from(!left);
        }
        place
    }

    /// Moves all places down until none moves. Children lie behind their node, so this ends.
    #[inline]
    fn descend<'v>(&self, places: &mut [u32; TOGETHER], value: impl Fn(usize, u32) -> Option<&'v f64>) {
        let mut moved = true;
        while moved {
            moved = false;
            for (each, place) in places.iter_mut().enumerate() {
                let Some(node) = self.nodes.get(*place as usize) else { continue };
                let Some(value) = value(each, node.lane) else { continue };
                let is_left = *value <= node.number;
                let next = node.left.wrapping_add(u32::from(!is_left));
                moved |= next != *place;
                *place = next;
            }
        }
    }
}
