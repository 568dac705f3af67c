//! Trees and their sums: what every reader of a tree model builds and every score comes from.
//!
//! Owns the flattened trees and the two ways through them: one row at a time ([`walk`]) and a block of rows at a time
//! ([`sweep`]). Both give the same sum to the last bit, because both add the leaves in the order of the trees. It
//! refuses to know a file format, the name of an input, or what a margin means; that is for the readers and the link.

mod block;
mod builder;
mod channel;
mod explain;
mod source;
mod sweep;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use builder::{
    EnsembleBuilder, INPUTS_LIMIT, Leaf, Missing, NODES_LIMIT, Node, OUTPUTS_LIMIT, Reading, SET_WORDS_LIMIT,
    Split, Test, sets_too_large,
};
pub(crate) use source::{Source, Vocabulary};

use std::cell::Cell;

use block::Scratch;
use channel::Channel;
use sweep::Sweeper;
use walk::Forest;

/// Below this many rows, walking each row is faster than sweeping a block (measured: `examples/speed.rs`).
const SWEEP_FROM_ROWS: usize = 7;
/// A model with more channels is walked row by row, so that the values of a block cannot take more than 20 MiB.
const SWEEP_TO_CHANNELS: usize = 8192;
/// Scratch space beyond this is given back after a call instead of being kept for the thread.
const SCRATCH_KEPT_BYTES: usize = 8 << 20;

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// A checked sum of trees: `outputs` margins a row.
#[derive(Debug)]
pub(crate) struct Ensemble {
    inputs: usize,
    outputs: usize,
    /// What a row starts from, one an output.
    base: Vec<f64>,
    /// The sum of the leaves is divided by this: 1, or the number of trees of an average.
    divisor: f64,
    channels: Vec<Channel>,
    forest: Forest,
    sweeper: Sweeper,
    /// Whether every node carries the training weight that reached it.
    covered: bool,
}

impl Ensemble {
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Writes the margins of `rows` rows into `out`, row by row, `outputs()` a row.
    ///
    /// `out` must hold `rows * outputs()` numbers and `source` must hold `rows` rows; what does not fit is not written.
    pub(crate) fn margins(&self, source: &Source<'_>, rows: usize, out: &mut [f64]) {
        let mut scratch = SCRATCH.take().unwrap_or_default();
        let mut row = 0;
        while row < rows {
            let count = (rows - row).min(block::ROWS);
            let Some(answers) = out.get_mut(row * self.outputs..(row + count) * self.outputs) else { break };
            if count < SWEEP_FROM_ROWS || self.channels.len() > SWEEP_TO_CHANNELS {
                for (offset, answer) in answers.chunks_exact_mut(self.outputs).enumerate() {
                    self.walk_row(source, row + offset, &mut scratch, answer);
                }
            } else {
                self.sweep_block(source, row, count, &mut scratch, answers);
            }
            row += count;
        }
        if scratch.bytes() <= SCRATCH_KEPT_BYTES {
            SCRATCH.set(Some(scratch));
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.base.len() * size_of::<f64>()
            + self.channels.iter().map(Channel::memory_bytes).sum::<usize>()
            + self.forest.memory_bytes()
            + self.sweeper.memory_bytes()
    }

    fn walk_row(&self, source: &Source<'_>, row: usize, scratch: &mut Scratch, answer: &mut [f64]) {
        scratch.values.resize(walk::lanes(self.channels.len()).max(scratch.values.len()), f64::NEG_INFINITY);
        scratch.values[0] = f64::NEG_INFINITY;
        self.read_row(source, row, &mut scratch.values);
        answer.fill(0.0);
        self.forest.add_row(&scratch.values, answer);
        for (sum, base) in answer.iter_mut().zip(&self.base) {
            *sum = base + *sum / self.divisor;
        }
    }

    /// Fills the lanes of one row but the first, which is for leaves.
    fn read_row(&self, source: &Source<'_>, row: usize, values: &mut [f64]) {
        for (channel, pair) in self.channels.iter().zip(values[1..].chunks_exact_mut(2)) {
            let value = channel.prepare(source.value(channel.input(), row));
            pair[0] = if value.is_nan() { f64::NEG_INFINITY } else { value };
            pair[1] = value;
        }
    }
}
