//! A block of rows through a tree, without a branch: every node is asked of every row.
//!
//! Owns the second form of the trees. A value becomes a code of one byte: its rank among at most 253 thresholds of its
//! channel. A node then compares sixteen rows with one instruction, and a tree of 31 leaves costs less to ask in full
//! than to walk. The idea of asking all nodes and keeping a set of candidate leaves is QuickScorer's (Lucchese et al.,
//! SIGIR 2015); here the candidate is one byte, the first leaf of the branch that the row is in, because nodes are
//! asked parents first. It refuses trees with more than [`LEAVES_LIMIT`] leaves; they are walked.

use std::collections::HashMap;

use super::block::ROWS;
use super::channel::{Channel, MISSING};
use super::walk::{self, Forest, LEAF, SET, SEVERAL, Tree};

/// From more leaves on, walking is faster (measured; one byte could count to 256).
const LEAVES_LIMIT: usize = 256;
/// Thresholds that one byte tells apart, besides the two codes of missing values.
const CHUNK: usize = 253;
/// Lanes of a segment: what the codes of a block may take, 256 KiB, stays in the second-level cache.
const LANES_LIMIT: usize = 2048;
/// Rows that are compared at once.
pub(super) const STEP: usize = 16;

const MISSING_LEFT: i8 = i8::MIN;
const MISSING_RIGHT: i8 = i8::MAX;
/// The code of the lowest rank.
const LOWEST: i8 = i8::MIN + 1;

/// One byte a row, for the nodes that compare it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    /// Where the rank lies among the thresholds of one chunk of a channel.
    Rank { channel: u32, chunk: u32, missing_left: bool },
    /// Whether the value is a member.
    Set(u32),
}

/// A node: right if the code in `lane` is above `code`. It concerns the rows whose candidate is leaf `first`, and
/// going right moves the candidate on by `skip`, the leaves of its left branch.
#[derive(Clone, Copy, Debug)]
struct SweepNode {
    lane: u16,
    code: i8,
    first: u8,
    skip: u8,
}

impl SweepNode {
    /// Moves the candidates of the rows. Written with masks and without a condition, so that the compiler makes vector
    /// instructions of it: five for sixteen rows.
    #[inline]
    fn ask(self, codes: &[i8], slots: &mut [u8]) {
        for (code, slot) in codes.iter().zip(slots) {
            let is_right = u8::from(*code > self.code).wrapping_neg();
            let is_here = u8::from(*slot == self.first).wrapping_neg();
            *slot = slot.wrapping_add(is_right & is_here & self.skip);
        }
    }
}

#[derive(Debug)]
pub(super) struct Swept {
    nodes: (u32, u32),
    leaves: (u32, u32),
    output: u32,
}

#[derive(Debug)]
pub(super) enum Work {
    Sweep(Vec<Swept>),
    Walk(Tree),
}

/// Consecutive trees that share lanes.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) lanes: Vec<Lane>,
    pub(super) work: Work,
}

#[derive(Debug, Default)]
pub(super) struct Sweeper {
    pub(super) segments: Vec<Segment>,
    /// Whether walks or sets need the values of a block besides the ranks.
    pub(super) keeps_values: bool,
    nodes: Vec<SweepNode>,
    /// Leaf numbers, left to right, of each tree.
    leaves: Vec<f64>,
}

impl Sweeper {
    pub(super) fn new(channels: &[Channel], forest: &Forest) -> Self {
        let mut sweeper = Self { keeps_values: !forest.sets.is_empty(), ..Self::default() };
        let mut lane_of = HashMap::new();
        for tree in &forest.trees {
            if (tree.end - tree.start).div_ceil(2) as usize > LEAVES_LIMIT {
                sweeper.keeps_values = true;
                sweeper.segments.push(Segment { lanes: Vec::new(), work: Work::Walk(*tree) });
                continue;
            }
            let is_open = sweeper.segments.last().is_some_and(|segment| {
                matches!(segment.work, Work::Sweep(_)) && segment.lanes.len() + LEAVES_LIMIT <= LANES_LIMIT
            });
            if !is_open {
                lane_of.clear();
                sweeper.segments.push(Segment { lanes: Vec::new(), work: Work::Sweep(Vec::new()) });
            }
            sweeper.lay_out(tree, channels, forest, &mut lane_of);
        }
        sweeper.nodes.shrink_to_fit();
        sweeper.leaves.shrink_to_fit();
        sweeper
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let lanes: usize = self.segments.iter().map(|segment| segment.lanes.len()).sum();
        let swept: usize = self.segments.iter().map(|segment| segment.swept().len()).sum();
        size_of_val(self.segments.as_slice())
            + lanes * size_of::<Lane>()
            + swept * size_of::<Swept>()
            + size_of_val(self.nodes.as_slice())
            + size_of_val(self.leaves.as_slice())
    }

    /// The leaf of each row, counted from the left.
    pub(super) fn slots(&self, swept: &Swept, codes: &[i8], rows: usize) -> [u8; ROWS] {
        let mut slots = [0_u8; ROWS];
        let padded = rows.next_multiple_of(STEP).min(ROWS);
        let nodes = self.nodes.get(swept.nodes.0 as usize..swept.nodes.1 as usize).unwrap_or_default();
        for node in nodes {
            let from = usize::from(node.lane) * ROWS;
            let Some(codes) = codes.get(from..from + ROWS) else { continue };
            node.ask(&codes[..padded], &mut slots[..padded]);
        }
        slots
    }

    /// Adds the leaves to the sums, [`ROWS`] an output.
    pub(super) fn add(
        &self,
        swept: &Swept,
        forest: &Forest,
        slots: &[u8; ROWS],
        rows: usize,
        sums: &mut [f64],
    ) {
        let leaves = self.leaves.get(swept.leaves.0 as usize..swept.leaves.1 as usize).unwrap_or_default();
        // With a table of 256 every byte has a place, and no look-up needs a check.
        let mut table = [0.0; 256];
        if let Some(table) = table.get_mut(..leaves.len()) {
            table.copy_from_slice(leaves);
        }
        if swept.output == SEVERAL {
            for (row, slot) in slots.iter().take(rows).enumerate() {
                for (output, value) in forest.pairs_of(table[usize::from(*slot)]) {
                    if let Some(sum) = sums.get_mut(*output as usize * ROWS + row) {
                        *sum += value;
                    }
                }
            }
        } else if let Some(sums) = sums.get_mut(swept.output as usize * ROWS..) {
            for (sum, slot) in sums.iter_mut().zip(slots).take(rows) {
                *sum += table[usize::from(*slot)];
            }
        }
    }

    /// Lays out a tree: nodes before their children, left before right; leaves from left to right.
    fn lay_out(
        &mut self,
        tree: &Tree,
        channels: &[Channel],
        forest: &Forest,
        lane_of: &mut HashMap<Lane, u16>,
    ) {
        let Some(Segment { lanes, work: Work::Sweep(trees) }) = self.segments.last_mut() else { return };
        let (node_from, leaf_from) = (self.nodes.len(), self.leaves.len());
        let mut open = vec![(tree.start, None)];
        while let Some((place, parent)) = open.pop() {
            let Some(node) = forest.nodes.get(place as usize) else { continue };
            let first = self.leaves.len() - leaf_from;
            // A right branch begins: everything since its parent was the parent's left branch.
            if let Some(parent) = parent
                && let Some::<&mut SweepNode>(parent) = self.nodes.get_mut(parent)
            {
                parent.skip = (first - usize::from(parent.first)) as u8;
            }
            if node.lane == LEAF {
                self.leaves.push(node.number);
                continue;
            }
            let (lane, code) = lane_and_code(node.lane, node.number, channels);
            let lane = *lane_of.entry(lane).or_insert_with(|| {
                lanes.push(lane);
                (lanes.len() - 1) as u16
            });
            open.push((node.left + 1, Some(self.nodes.len())));
            open.push((node.left, None));
            self.nodes.push(SweepNode { lane, code, first: first as u8, skip: 0 });
        }
        trees.push(Swept {
            nodes: (node_from as u32, self.nodes.len() as u32),
            leaves: (leaf_from as u32, self.leaves.len() as u32),
            output: tree.output,
        });
    }
}

impl Segment {
    fn swept(&self) -> &[Swept] {
        match &self.work {
            Work::Sweep(trees) => trees,
            Work::Walk(_) => &[],
        }
    }
}

fn lane_and_code(lane: u32, number: f64, channels: &[Channel]) -> (Lane, i8) {
    if lane & SET != 0 {
        return (Lane::Set(lane & !SET), LOWEST);
    }
    let channel = (lane - 1) / 2;
    let place = channels.get(channel as usize).map_or(0, |channel| channel.place(number));
    let code = i32::from(LOWEST) + (place % CHUNK) as i32;
    (Lane::Rank { channel, chunk: (place / CHUNK) as u32, missing_left: lane % 2 == 1 }, code as i8)
}

impl Lane {
    /// Codes the values of a block, given its ranks and its prepared values, [`ROWS`] a channel and a lane.
    pub(super) fn code(&self, forest: &Forest, ranks: &[u32], values: &[f64], codes: &mut [i8]) {
        match *self {
            Self::Rank { channel, chunk, missing_left } => {
                let base = chunk * CHUNK as u32;
                let missing = if missing_left { MISSING_LEFT } else { MISSING_RIGHT };
                for (code, rank) in codes.iter_mut().zip(Channel::ranks(channel as usize, ranks)) {
                    let above = rank.saturating_sub(base).min(CHUNK as u32) as u8;
                    let known = above.wrapping_add(LOWEST as u8) as i8;
                    *code = if *rank == MISSING { missing } else { known };
                }
            }
            Self::Set(set) => {
                let Some(test) = forest.sets.get(set as usize) else { return };
                let from = walk::lane(test.channel as usize, false) as usize * ROWS;
                let Some(values) = values.get(from..from + ROWS) else { return };
                for (code, value) in codes.iter_mut().zip(values) {
                    *code = if forest.is_member(test, *value) { LOWEST } else { MISSING_RIGHT };
                }
            }
        }
    }
}
