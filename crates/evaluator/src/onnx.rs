//! Reads and scores ONNX files: graphs of tree ensembles, linear models, small networks and what prepares their inputs.
//!
//! Owns the operators that exporters of scikit-learn, LightGBM and XGBoost write, evaluated in double precision. Single
//! precision stays where it decides something: a value of an input that the graph declares as `float` is rounded when
//! it enters, a cast to `float` rounds, and trees and comparisons over `float` tensors compare rounded values. Sums,
//! products and transformations keep all digits, so scores are nearer to the original library than those of a runtime
//! that holds every number in single precision.
//!
//! Inputs: a tensor of one column is one input; a tensor `x` of several columns is one input a column, named by the
//! JSON list under `feature_names` in the file's metadata or else `x[0]`, `x[1]` and so on. A missing number is
//! not-a-number, which an integer input refuses; a missing text enters as the empty text, which is what scikit-learn's
//! exporter treats as missing too.
//!
//! Outputs: the probabilities if there are any, else every output of numbers. Labels are not yielded. A classifier with
//! two classes has two outputs: `probability`, of the second class, and then the probabilities of both.
//!
//! It refuses, by name, every operator that [`operators`] does not list; control flow, custom functions, sparse tensors
//! and numbers in other files; and every operator that would let one row see another, so rows can be scored in blocks.

mod attributes;
mod graph;
mod inputs;
mod load;
mod operators;
mod outputs;
mod plan;
mod tensor;
#[cfg(test)]
mod tests;
mod wire;

use crate::{Column, EvaluatorError, Format, Input, Output};

pub(crate) use inputs::with_feature_names;

use graph::Graph;
use inputs::Entrance;
use outputs::Exit;

/// A graph that was read and checked.
#[derive(Debug)]
pub(crate) struct OnnxModel {
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    entrances: Vec<Entrance>,
    graph: Graph,
    exits: Vec<Exit>,
}

impl OnnxModel {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, EvaluatorError> {
        load::load(wire::decode(bytes)?)
    }

    pub(crate) fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    pub(crate) fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Appends the outputs of each row to `out`. The columns fit the inputs; the caller has checked it.
    pub(crate) fn score(
        &self,
        columns: &[Column<'_>],
        rows: usize,
        out: &mut Vec<f64>,
    ) -> Result<(), EvaluatorError> {
        out.reserve(rows * self.outputs.iter().map(|output| output.width).sum::<usize>());
        let mut start = 0;
        while start < rows {
            let count = (rows - start).min(self.graph.block_rows());
            let block: Vec<Column<'_>> = columns.iter().map(|column| part(column, start, count)).collect();
            let mut slots = self.graph.slots();
            for entrance in &self.entrances {
                entrance.enter(&block, count, &self.inputs, &mut slots)?;
            }
            self.graph.run(&block, count, &mut slots)?;
            for row in 0..count {
                for exit in &self.exits {
                    exit.leave(&slots, row, out);
                }
            }
            start += count;
        }
        Ok(())
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let names: usize = self.inputs.iter().map(|input| size_of::<Input>() + input.name.len()).sum();
        size_of::<Self>() + names + self.graph.memory_bytes()
    }
}

fn part<'a>(column: &Column<'a>, start: usize, count: usize) -> Column<'a> {
    match column {
        Column::Number(values) => Column::Number(values.get(start..start + count).unwrap_or_default()),
        Column::Text(values) => Column::Text(values.get(start..start + count).unwrap_or_default()),
    }
}

/// An error about what a request holds.
fn request(problem: impl Into<String>) -> EvaluatorError {
    EvaluatorError::Columns { problem: problem.into() }
}

fn malformed(place: impl Into<String>, problem: impl Into<String>) -> EvaluatorError {
    EvaluatorError::malformed(Format::Onnx, place, problem)
}

fn unsupported(feature: impl Into<String>) -> EvaluatorError {
    EvaluatorError::unsupported(
        Format::Onnx,
        feature,
        "score the file with ONNX Runtime, or submit the file of the library that trained the model",
    )
}
