//! A graph that was planned, and its evaluation for a block of rows.
//!
//! Owns the order of the steps, the tensors between them and how long each is kept. It refuses graphs that would take
//! too much memory or work for a single row.

use std::fmt;
use std::sync::Arc;

use super::operators::trees::Trees;
use super::plan::{Run, TensorType};
use super::tensor::{Element, Tensor};
use super::{request, unsupported};
use crate::ensemble::Source;
use crate::{Column, EvaluatorError};

/// Rows that are scored together, unless their tensors are large.
const BLOCK_ROWS: usize = 256;
/// How many values the tensors of a block may hold together.
const BLOCK_VALUES: usize = 1 << 20;
/// How many values the tensors of one row may hold together.
const ROW_VALUES_LIMIT: usize = 1 << 22;
/// How many values the steps may read together for one row, constants included.
const ROW_WORK_LIMIT: usize = 1 << 28;

/// What a step does.
pub(super) enum Work {
    Operator(Run),
    /// Trees over columns of the request; no tensor is made for them.
    Trees(Box<Trees>),
}

impl fmt::Debug for Work {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Operator(_) => "Operator",
            Self::Trees(_) => "Trees",
        })
    }
}

#[derive(Debug)]
pub(super) struct Step {
    /// For messages: the operator and where it stands.
    pub(super) place: String,
    pub(super) inputs: Vec<Option<usize>>,
    pub(super) outputs: Vec<Option<usize>>,
    pub(super) work: Work,
    /// Slots that no later step reads.
    pub(super) done: Vec<usize>,
    pub(super) memory_bytes: usize,
    /// Multiplications a row beyond one for each value that is read.
    pub(super) multiplications: usize,
}

/// What is known of a slot before there is a request.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    Constant(Arc<Tensor>),
    Varying(TensorType),
}

impl Fact {
    fn elements(&self) -> usize {
        match self {
            Self::Constant(tensor) => tensor.len(),
            Self::Varying(tensor_type) => tensor_type.elements().unwrap_or(usize::MAX),
        }
    }
}

#[derive(Debug)]
pub(super) struct Graph {
    steps: Vec<Step>,
    /// One a slot; `None` where the tensor depends on the request.
    constants: Vec<Option<Arc<Tensor>>>,
    /// Whether a step or an exit reads the slot as a tensor.
    is_read: Vec<bool>,
    /// Stands for inputs that are not there.
    absent: Tensor,
    block_rows: usize,
}

impl Graph {
    /// Takes the steps in the order in which they run, `facts` of all slots, and the slots that are read at the end.
    pub(super) fn new(
        mut steps: Vec<Step>,
        facts: Vec<Fact>,
        kept: &[usize],
    ) -> Result<Self, EvaluatorError> {
        drop_unread(&mut steps, facts.len(), kept);
        let mut read_later = vec![false; facts.len()];
        for slot in kept {
            read_later[*slot] = true;
        }
        for step in steps.iter_mut().rev() {
            let mut done: Vec<usize> = step.inputs.iter().chain(&step.outputs).flatten().copied().collect();
            done.sort_unstable();
            done.dedup();
            done.retain(|slot| !std::mem::replace(&mut read_later[*slot], true));
            step.done = done;
        }
        let values = most_values(&steps, &facts)?;
        let constants = facts.into_iter().map(|fact| match fact {
            Fact::Constant(tensor) => Some(tensor),
            Fact::Varying(_) => None,
        });
        let mut constants: Vec<_> = constants.collect();
        let mut is_read = vec![false; constants.len()];
        steps
            .iter()
            .flat_map(|step| &step.inputs)
            .flatten()
            .chain(kept)
            .for_each(|slot| is_read[*slot] = true);
        for (constant, is_read) in constants.iter_mut().zip(&is_read) {
            *constant = constant.take().filter(|_| *is_read);
        }
        let absent = Tensor::numbers(Element::Float, vec![0], Vec::new());
        let block_rows = (BLOCK_VALUES / values.max(1)).clamp(1, BLOCK_ROWS);
        Ok(Self { steps, constants, is_read, absent, block_rows })
    }

    pub(super) fn block_rows(&self) -> usize {
        self.block_rows
    }

    pub(super) fn slots(&self) -> Vec<Option<Tensor>> {
        vec![None; self.constants.len()]
    }

    pub(super) fn reads(&self, slot: usize) -> bool {
        self.is_read[slot]
    }

    /// Scores a block, whose inputs are in their slots.
    pub(super) fn run(
        &self,
        columns: &[Column<'_>],
        rows: usize,
        slots: &mut [Option<Tensor>],
    ) -> Result<(), EvaluatorError> {
        for step in &self.steps {
            let outputs = match &step.work {
                Work::Trees(trees) => {
                    let source = Source::Columns { columns, vocabularies: &[] };
                    let shape = vec![rows, trees.width()];
                    let scores = Tensor::numbers(Element::Float, shape, trees.score(&source, rows));
                    if let Some(Some(slot)) = step.outputs.first() {
                        slots[*slot] = Some(scores);
                    }
                    continue;
                }
                Work::Operator(run) => {
                    let inputs: Vec<&Tensor> = step
                        .inputs
                        .iter()
                        .map(|slot| slot.map_or(&self.absent, |slot| self.tensor(slots, slot)))
                        .collect();
                    run(&inputs, rows).map_err(|problem| request(format!("{}: {problem}", step.place)))?
                }
            };
            for (slot, tensor) in step.outputs.iter().zip(outputs) {
                if let Some(slot) = slot {
                    slots[*slot] = Some(tensor);
                }
            }
            for slot in &step.done {
                slots[*slot] = None;
            }
        }
        Ok(())
    }

    fn tensor<'a>(&'a self, slots: &'a [Option<Tensor>], slot: usize) -> &'a Tensor {
        slots[slot].as_ref().or(self.constants[slot].as_deref()).unwrap_or(&self.absent)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let steps = self.steps.iter().map(|step| {
            let slots =
                (step.inputs.len() + step.outputs.len() + step.done.len()) * size_of::<Option<usize>>();
            let trees = if let Work::Trees(trees) = &step.work { trees.memory_bytes() } else { 0 };
            size_of::<Step>() + step.place.len() + slots + trees + step.memory_bytes
        });
        let constants = self.constants.iter().flatten().map(|tensor| tensor.memory_bytes());
        steps.sum::<usize>() + constants.sum::<usize>()
    }
}

/// Leaves out steps that yield nothing that is read.
fn drop_unread(steps: &mut Vec<Step>, slots: usize, kept: &[usize]) {
    let mut read = vec![false; slots];
    for slot in kept {
        read[*slot] = true;
    }
    let mut needed = vec![false; steps.len()];
    for (index, step) in steps.iter().enumerate().rev() {
        needed[index] = step.outputs.iter().flatten().any(|slot| read[*slot]);
        if needed[index] {
            step.inputs.iter().flatten().for_each(|slot| read[*slot] = true);
        }
    }
    let mut needed = needed.into_iter();
    steps.retain(|_| needed.next().unwrap_or(true));
}

/// The most values a row that are held at the same time.
fn most_values(steps: &[Step], facts: &[Fact]) -> Result<usize, EvaluatorError> {
    let mut made = vec![false; facts.len()];
    steps.iter().flat_map(|step| &step.outputs).flatten().for_each(|slot| made[*slot] = true);
    let mut counted = vec![false; facts.len()];
    let (mut held, mut most, mut work) = (0_usize, 0_usize, 0_usize);
    // What no step makes is there from the beginning.
    for slot in steps.iter().flat_map(|step| &step.inputs).flatten().filter(|slot| !made[**slot]) {
        if matches!(facts[*slot], Fact::Varying(_)) && !std::mem::replace(&mut counted[*slot], true) {
            held = held.saturating_add(facts[*slot].elements());
        }
    }
    for step in steps {
        work = work.saturating_add(step.multiplications);
        for slot in step.inputs.iter().chain(&step.outputs).flatten() {
            work = work.saturating_add(facts[*slot].elements());
            if let Fact::Varying(_) = &facts[*slot]
                && !std::mem::replace(&mut counted[*slot], true)
            {
                held = held.saturating_add(facts[*slot].elements());
            }
        }
        most = most.max(held);
        for slot in &step.done {
            if std::mem::replace(&mut counted[*slot], false) {
                held = held.saturating_sub(facts[*slot].elements());
            }
        }
    }
    for (found, limit, what) in [(most, ROW_VALUES_LIMIT, "tensors"), (work, ROW_WORK_LIMIT, "steps")] {
        if found > limit {
            return Err(unsupported(format!(
                "a graph whose {what} take {found} values a row (the limit is {limit})"
            )));
        }
    }
    Ok(most)
}
