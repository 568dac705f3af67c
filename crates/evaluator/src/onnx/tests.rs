//! Files whose parts are what no exporter writes: names that lead elsewhere, dimensions without bound, attributes of
//! any value. Whatever they say, the answer is a model or an error, in bounded time and memory.

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

use super::OnnxModel;
use super::wire::{Attribute, Graph, Model, TensorMessage, decode};
use crate::{Column, InputKind};

const FILES: [&str; 12] = [
    "logistic-one-hot",
    "logistic-drop",
    "logistic-target",
    "forest-ordinal",
    "histogram-classes",
    "adaboost",
    "calibrated",
    "network",
    "bayes",
    "power",
    "lightgbm-category",
    "xgboost",
];
const INTEGERS: [i64; 12] = [0, 1, -1, 2, 3, -2, 7, 31, 1 << 24, 1 << 40, i64::MAX, i64::MIN];
const FLOATS: [f32; 6] = [0.0, -1.0, 1e30, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

fn file(name: &str) -> Model {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/onnx/{name}.onnx"));
    decode(&std::fs::read(path).unwrap()).unwrap()
}

fn survive(model: &Model) {
    let Ok(model) = OnnxModel::from_bytes(&model.encode_to_vec()) else { return };
    let numbers = [0.0, 1.0, -3.0, 1e9, 7.0];
    let texts: Vec<_> = (0..numbers.len()).map(|row| (row > 0).then(|| format!("t{row}").into())).collect();
    let kinds = model.inputs().iter().map(|input| input.kind);
    let columns: Vec<Column<'_>> = kinds
        .map(|kind| match kind {
            InputKind::Number => Column::Number(&numbers),
            InputKind::Text => Column::Text(&texts),
        })
        .collect();
    let width: usize = model.outputs().iter().map(|output| output.width).sum();
    let mut out = Vec::new();
    if model.score(&columns, numbers.len(), &mut out).is_ok() {
        assert_eq!(out.len(), numbers.len() * width);
    }
}

/// A change of one part.
#[derive(Clone, Debug)]
struct Change {
    kind: usize,
    node: Index,
    part: Index,
    inner: Index,
    value: Index,
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    (0..9_usize, index(), index(), index(), index()).prop_map(|(kind, node, part, inner, value)| Change {
        kind,
        node,
        part,
        inner,
        value,
    })
}

impl Change {
    fn apply(&self, graph: &mut Graph) {
        let integer = INTEGERS[self.value.index(INTEGERS.len())];
        let node_count = graph.nodes.len();
        let names: Vec<String> = graph.nodes.iter().flat_map(|node| node.outputs.clone()).collect();
        match self.kind {
            0 => {
                if let Some(input) =
                    pick(&mut graph.nodes, self.node).and_then(|node| pick(&mut node.inputs, self.part))
                {
                    input.clone_from(&names[self.value.index(names.len())]);
                }
            }
            1 => {
                let operator = graph.nodes[self.value.index(node_count)].operator.clone();
                let domain = graph.nodes[self.value.index(node_count)].domain.clone();
                if let Some(node) = pick(&mut graph.nodes, self.node) {
                    (node.operator, node.domain) = (operator, domain);
                }
            }
            2 => {
                if let Some(tensor) = pick(&mut graph.initializers, self.node) {
                    self.tensor(tensor, integer);
                }
            }
            3 => graph.nodes.swap(self.node.index(node_count), self.value.index(node_count)),
            4 => {
                if let Some(node) = pick(&mut graph.nodes, self.node)
                    && !node.attributes.is_empty()
                {
                    node.attributes.remove(self.part.index(node.attributes.len()));
                }
            }
            _ => {
                if let Some(attribute) =
                    pick(&mut graph.nodes, self.node).and_then(|node| pick(&mut node.attributes, self.part))
                {
                    self.attribute(attribute, integer);
                }
            }
        }
    }

    fn attribute(&self, attribute: &mut Attribute, integer: i64) {
        let float = FLOATS[self.value.index(FLOATS.len())];
        attribute.integer = attribute.integer.map(|_| integer);
        attribute.float = attribute.float.map(|_| float);
        if let Some(one) = pick(&mut attribute.integers, self.inner) {
            *one = integer;
        }
        if let Some(one) = pick(&mut attribute.floats, self.inner) {
            *one = float;
        }
        if let Some(tensor) = &mut attribute.tensor {
            self.tensor(tensor, integer);
        }
    }

    fn tensor(&self, tensor: &mut TensorMessage, integer: i64) {
        if self.part.index(2) == 0 {
            if let Some(dim) = pick(&mut tensor.dims, self.inner) {
                *dim = integer;
            }
        } else if let Some(raw) = tensor.raw.as_mut().filter(|raw| raw.len() >= 8) {
            let place = self.inner.index(raw.len() / 8) * 8;
            raw[place..place + 8].copy_from_slice(&integer.to_le_bytes());
        } else if let Some(one) = pick(&mut tensor.integers, self.inner) {
            *one = integer;
        }
    }
}

fn pick<T>(list: &mut [T], index: Index) -> Option<&mut T> {
    if list.is_empty() { None } else { Some(&mut list[index.index(list.len())]) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn graphs_with_changed_parts(
        name in 0..FILES.len(),
        changes in prop::collection::vec(change(), 1..4),
    ) {
        let mut model = file(FILES[name]);
        for change in changes {
            change.apply(model.graph.as_mut().unwrap());
        }
        survive(&model);
    }
}

fn check(change: impl Fn(&mut Graph), expected: &str) {
    let mut model = file("network");
    change(model.graph.as_mut().unwrap());
    let error = OnnxModel::from_bytes(&model.encode_to_vec()).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn names_must_be_given_once_and_before_they_are_read() {
    check(|graph| graph.nodes[0].inputs[0] = "nowhere".into(), "`nowhere`, which nothing before it yields");
    check(|graph| graph.nodes.reverse(), "nothing before it yields");
    check(|graph| graph.nodes[0].outputs[0] = graph.nodes[1].outputs[0].clone(), "given twice");
    check(|graph| graph.initializers[0].location = 1, "numbers lie in another file");
    check(|graph| graph.initializers[0].dims = vec![1 << 40, 1 << 40], "dimensions");
    check(|graph| graph.outputs.clear(), "without an output");
    check(|graph| graph.inputs.clear(), "inputs: there is none");
}
