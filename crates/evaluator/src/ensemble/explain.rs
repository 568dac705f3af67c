//! Why a row has its margin: exact TreeSHAP, path-dependent.
//!
//! Owns Algorithm 2 of Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for
//! trees" (the polynomial-time form, `TREE_SHAP_PATH`): each input gets its Shapley value in the game where the value
//! of a set of inputs is the mean leaf, with unknown splits followed in proportion to the training weight that went
//! each way. It refuses trees without these weights, and trees deeper than [`DEPTH_LIMIT`].

use super::walk::{self, Forest, LEAF, SET, SEVERAL, Tree};
use super::{Ensemble, Source};
use crate::{EvaluatorError, Explanation};

/// The work of a leaf grows with the square of its depth.
const DEPTH_LIMIT: usize = 512;

/// One input on the path from the root: what flows on when it is unknown (`zero`) and when it is known (`one`), and
/// the weight of the sets of inputs of each size (`weight`, "pweight" in the paper's code).
#[derive(Clone, Copy, Debug)]
struct Step {
    input: Option<usize>,
    zero: f64,
    one: f64,
    weight: f64,
}

/// A row on its way through one tree.
struct Explainer<'a> {
    ensemble: &'a Ensemble,
    values: &'a [f64],
    tree: &'a Tree,
    /// Inputs a margin.
    inputs: usize,
    contributions: &'a mut [f64],
}

impl Ensemble {
    /// Explains the margins of one row, one explanation an output.
    pub(crate) fn explain(
        &self,
        source: &Source<'_>,
        row: usize,
    ) -> Result<Vec<Explanation>, EvaluatorError> {
        if !self.covered {
            return Err(refused("the file has no training weight for its nodes"));
        }
        let mut values = vec![f64::NEG_INFINITY; walk::lanes(self.channels.len())];
        self.read_row(source, row, &mut values);
        let mut contributions = vec![0.0; self.outputs * self.inputs];
        let mut expected = vec![0.0; self.outputs];
        for tree in &self.forest.trees {
            self.add_expected(tree, &mut expected);
            let inputs = self.inputs;
            let mut explainer = Explainer {
                ensemble: self,
                values: &values,
                tree,
                inputs,
                contributions: &mut contributions,
            };
            explainer.descend(
                tree.start,
                0,
                Vec::new(),
                Step { input: None, zero: 1.0, one: 1.0, weight: 0.0 },
            )?;
        }
        let explanations = expected.iter().zip(&self.base).zip(0..);
        let explanations = explanations.map(|((expected, base), output)| Explanation {
            expected: base + expected / self.divisor,
            contributions: contributions[output * self.inputs..(output + 1) * self.inputs]
                .iter()
                .map(|contribution| contribution / self.divisor)
                .collect(),
        });
        Ok(explanations.collect())
    }

    /// Adds the mean of the leaves, each weighed with what reached it.
    fn add_expected(&self, tree: &Tree, expected: &mut [f64]) {
        let total = self.forest.cover(tree.start);
        for place in tree.start..tree.end {
            if let Some(leaf) = self.forest.nodes.get(place as usize).filter(|node| node.lane == LEAF) {
                let share = ratio(self.forest.cover(place), total);
                self.forest.each_value(tree, leaf.number, |output, value| expected[output] += share * value);
            }
        }
    }
}

impl Forest {
    fn cover(&self, place: u32) -> f64 {
        self.covers.get(place as usize).copied().unwrap_or_default()
    }

    fn each_value(&self, tree: &Tree, number: f64, mut each: impl FnMut(usize, f64)) {
        if tree.output == SEVERAL {
            for (output, value) in self.pairs_of(number) {
                each(*output as usize, *value);
            }
        } else {
            each(tree.output as usize, number);
        }
    }
}

impl Explainer<'_> {
    /// Goes on to the node at `place`, `depth` splits below the root, with `step` as the last of its path. A path is
    /// shorter than the depth where an input is asked again.
    fn descend(
        &mut self,
        place: u32,
        depth: usize,
        mut path: Vec<Step>,
        step: Step,
    ) -> Result<(), EvaluatorError> {
        if depth > DEPTH_LIMIT {
            return Err(refused(&format!("a tree is deeper than {DEPTH_LIMIT} splits")));
        }
        extend(&mut path, step);
        let forest = &self.ensemble.forest;
        let Some(node) = forest.nodes.get(place as usize) else { return Ok(()) };
        if node.lane == LEAF {
            self.add_leaf(node.number, &path);
            return Ok(());
        }
        let value = |lane: u32| self.values.get(lane as usize).copied().unwrap_or(f64::NAN);
        let (channel, is_left) = if node.lane & SET == 0 {
            ((node.lane - 1) / 2, value(node.lane) <= node.number)
        } else {
            let set = node.lane & !SET;
            (forest.sets.get(set as usize).map_or(0, |test| test.channel), forest.is_left(set, value))
        };
        let input = self.ensemble.channels.get(channel as usize).map(super::Channel::input);
        let (hot, cold) = if is_left { (node.left, node.left + 1) } else { (node.left + 1, node.left) };
        let mut before = Step { input, zero: 1.0, one: 1.0, weight: 0.0 };
        // An input that was asked before is taken out, and its fractions go on with the new ones.
        if let Some(at) = path.iter().skip(1).position(|earlier| earlier.input == input) {
            before = path[at + 1];
            unwind(&mut path, at + 1);
        }
        let total = forest.cover(place);
        let (hot_share, cold_share) = (ratio(forest.cover(hot), total), ratio(forest.cover(cold), total));
        self.descend(hot, depth + 1, path.clone(), Step { zero: before.zero * hot_share, ..before })?;
        self.descend(cold, depth + 1, path, Step { zero: before.zero * cold_share, one: 0.0, ..before })
    }

    fn add_leaf(&mut self, number: f64, path: &[Step]) {
        for at in 1..path.len() {
            let weight = unwound_sum(path, at) * (path[at].one - path[at].zero);
            let Some(input) = path[at].input else { continue };
            self.ensemble.forest.each_value(self.tree, number, |output, value| {
                self.contributions[output * self.inputs + input] += weight * value;
            });
        }
    }
}

/// `EXTEND` of the paper: the path grows by one input.
fn extend(path: &mut Vec<Step>, step: Step) {
    let depth = path.len();
    path.push(Step { weight: if depth == 0 { 1.0 } else { 0.0 }, ..step });
    let size = (depth + 1) as f64;
    for at in (0..depth).rev() {
        let weight = path[at].weight;
        path[at + 1].weight += step.one * weight * (at + 1) as f64 / size;
        path[at].weight = step.zero * weight * (depth - at) as f64 / size;
    }
}

/// `UNWIND` of the paper: the path as if the input at `at` had never joined it.
fn unwind(path: &mut Vec<Step>, at: usize) {
    let depth = path.len() - 1;
    let Step { zero, one, .. } = path[at];
    let size = (depth + 1) as f64;
    let mut next = path[depth].weight;
    for place in (0..depth).rev() {
        if one == 0.0 {
            path[place].weight = ratio(path[place].weight * size, zero * (depth - place) as f64);
        } else {
            let weight = path[place].weight;
            path[place].weight = next * size / ((place + 1) as f64 * one);
            next = weight - path[place].weight * zero * (depth - place) as f64 / size;
        }
    }
    for place in at..depth {
        path[place] = Step { weight: path[place].weight, ..path[place + 1] };
    }
    path.pop();
}

/// The sum of the weights after [`unwind`], without changing the path.
fn unwound_sum(path: &[Step], at: usize) -> f64 {
    let depth = path.len() - 1;
    let Step { zero, one, .. } = path[at];
    let size = (depth + 1) as f64;
    let mut next = path[depth].weight;
    let mut total = 0.0;
    for place in (0..depth).rev() {
        if one == 0.0 {
            total += ratio(path[place].weight * size, zero * (depth - place) as f64);
        } else {
            let weight = next * size / ((place + 1) as f64 * one);
            total += weight;
            next = path[place].weight - weight * zero * (depth - place) as f64 / size;
        }
    }
    total
}

/// Zero where nothing could flow: a branch that no training weight reached adds nothing.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

fn refused(reason: &str) -> EvaluatorError {
    EvaluatorError::NotExplained {
        reason: reason.to_owned(),
        next: "save the model with its library, which writes them, or explain a model of shallower trees"
            .to_owned(),
    }
}
