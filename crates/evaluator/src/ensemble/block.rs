//! A block of rows on its way through the trees.
//!
//! Owns the scratch space of a thread and the order of the work: read each channel once, then tree by tree, all rows
//! of the block. It refuses to allocate for a row: the space grows to the size of the largest model and is used again.

use super::channel::Channel;
use super::sweep::{Segment, Work};
use super::walk::{self, SEVERAL, Tree};
use super::{Ensemble, Source};

/// Rows in a block: a lane of codes is two cache lines.
pub(super) const ROWS: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Prepared values: of one row in [`walk::lanes`] order, or of a block with [`ROWS`] rows a lane.
    pub(super) values: Vec<f64>,
    /// Ranks, [`ROWS`] a channel.
    ranks: Vec<u32>,
    /// Codes, [`ROWS`] a lane of a segment.
    codes: Vec<i8>,
    /// Sums, [`ROWS`] an output.
    sums: Vec<f64>,
}

impl Scratch {
    pub(super) fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<f64>()
            + self.ranks.capacity() * size_of::<u32>()
            + self.codes.capacity()
            + self.sums.capacity() * size_of::<f64>()
    }
}

impl Ensemble {
    /// Scores the rows from `first`, at most [`ROWS`] of them.
    pub(super) fn sweep_block(
        &self,
        source: &Source<'_>,
        first: usize,
        rows: usize,
        scratch: &mut Scratch,
        answers: &mut [f64],
    ) {
        self.read_block(source, first, rows, scratch);
        scratch.sums.clear();
        scratch.sums.resize(self.outputs * ROWS, 0.0);
        for segment in &self.sweeper.segments {
            match &segment.work {
                Work::Sweep(trees) => {
                    self.code_segment(segment, rows, scratch);
                    for swept in trees {
                        let slots = self.sweeper.slots(swept, &scratch.codes, rows);
                        self.sweeper.add(swept, &self.forest, &slots, rows, &mut scratch.sums);
                    }
                }
                Work::Walk(tree) => self.walk_block(tree, rows, scratch),
            }
        }
        for (row, answer) in answers.chunks_exact_mut(self.outputs).enumerate() {
            let sums = scratch.sums[row..].iter().step_by(ROWS);
            for ((answer, sum), base) in answer.iter_mut().zip(sums).zip(&self.base) {
                *answer = base + sum / self.divisor;
            }
        }
    }

    /// Reads each channel: its values where a walk or a set needs them, its ranks where it has thresholds.
    fn read_block(&self, source: &Source<'_>, first: usize, rows: usize, scratch: &mut Scratch) {
        let mut column = [f64::NAN; ROWS];
        scratch.ranks.resize(self.channels.len() * ROWS, 0);
        if self.sweeper.keeps_values {
            scratch.values.clear();
            scratch.values.resize(walk::lanes(self.channels.len()) * ROWS, f64::NEG_INFINITY);
        }
        for (place, channel) in self.channels.iter().enumerate() {
            let column = &mut column[..rows];
            source.fill(channel.input(), first, column);
            channel.prepare_all(column);
            if channel.is_ranked() {
                channel.rank_all(column, &mut scratch.ranks[place * ROWS..][..rows]);
            }
            if self.sweeper.keeps_values {
                keep_values(
                    column,
                    &mut scratch.values[walk::lane(place, true) as usize * ROWS..][..2 * ROWS],
                );
            }
        }
    }

    fn code_segment(&self, segment: &Segment, rows: usize, scratch: &mut Scratch) {
        let padded = rows.next_multiple_of(super::sweep::STEP);
        scratch.codes.resize((segment.lanes.len() * ROWS).max(scratch.codes.len()), 0);
        for (lane, codes) in segment.lanes.iter().zip(scratch.codes.chunks_exact_mut(ROWS)) {
            lane.code(&self.forest, &scratch.ranks, &scratch.values, &mut codes[..padded]);
        }
    }

    fn walk_block(&self, tree: &Tree, rows: usize, scratch: &mut Scratch) {
        let mut places = [0; ROWS];
        let places = &mut places[..rows];
        self.forest.reach_block(tree, ROWS, &scratch.values, places);
        if tree.output == SEVERAL {
            for (row, place) in places.iter().enumerate() {
                for (output, value) in self.forest.pairs_of(self.forest.leaf_number(*place)) {
                    scratch.sums[*output as usize * ROWS + row] += value;
                }
            }
        } else {
            let sums = &mut scratch.sums[tree.output as usize * ROWS..][..rows];
            for (sum, place) in sums.iter_mut().zip(places) {
                *sum += self.forest.leaf_number(*place);
            }
        }
    }
}

/// Writes the two lanes of a channel: missing as negative infinity, then missing as not-a-number.
fn keep_values(column: &[f64], lanes: &mut [f64]) {
    let (left, right) = lanes.split_at_mut(ROWS);
    for ((value, left), right) in column.iter().zip(left).zip(right) {
        *left = if value.is_nan() { f64::NEG_INFINITY } else { *value };
        *right = *value;
    }
}

impl Channel {
    /// The ranks of this block, given the place of the channel.
    pub(super) fn ranks(place: usize, ranks: &[u32]) -> &[u32] {
        ranks.get(place * ROWS..(place + 1) * ROWS).unwrap_or_default()
    }
}
