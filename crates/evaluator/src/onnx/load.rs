//! From a decoded file to a graph that can be scored.
//!
//! Owns the resolution of names, the folding of everything that does not depend on the request, and the planning of
//! each node that the wanted outputs need. It refuses a node that reads what no earlier node yields, so a graph has no
//! cycle; a name that is given twice; and files with parts that are not read.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::attributes::{self, Attributes};
use super::graph::{Fact, Graph, Step, Work};
use super::operators::trees::{Features, Trees};
use super::operators::{self, CORE_VERSIONS, ML_DOMAIN, ML_VERSIONS};
use super::plan::{Dim, Operand, Planned, Refusal, Site, TensorType};
use super::tensor::{Element, Tensor};
use super::{OnnxModel, inputs, malformed, outputs, unsupported, wire};
use crate::EvaluatorError;

/// The most nodes that a graph may have.
const NODES_LIMIT: usize = 20_000;
/// How many values may be computed while a graph is read.
const FOLDED_LIMIT: usize = 1 << 24;
/// How many values may be read, and multiplied, while a graph is read.
const WORK_LIMIT: usize = 1 << 30;

/// Which node yields a name.
pub(super) struct Producers<'a> {
    nodes: &'a [wire::Node],
    of: HashMap<&'a str, usize>,
}

impl<'a> Producers<'a> {
    fn new(nodes: &'a [wire::Node]) -> Result<Self, EvaluatorError> {
        let mut of = HashMap::new();
        for (index, node) in nodes.iter().enumerate() {
            for output in node.outputs.iter().filter(|output| !output.is_empty()) {
                if of.insert(output.as_str(), index).is_some() {
                    return Err(twice(output));
                }
            }
        }
        Ok(Self { nodes, of })
    }

    pub(super) fn operator(&self, name: &str) -> Option<&'a str> {
        self.of.get(name).map(|index| self.nodes[*index].operator.as_str())
    }
}

fn twice(name: &str) -> EvaluatorError {
    malformed("graph", format!("the name `{name}` is given twice"))
}

pub(super) fn load(mut model: wire::Model) -> Result<OnnxModel, EvaluatorError> {
    let Some(graph) = model.graph.take() else { return Err(malformed("model", "there is no graph")) };
    if !model.functions.is_empty() {
        return Err(unsupported("a file that defines operators of its own"));
    }
    if !graph.sparse_initializers.is_empty() {
        return Err(unsupported("a sparse tensor"));
    }
    if graph.nodes.len() > NODES_LIMIT {
        return Err(wire::too_large("the number of nodes", graph.nodes.len() as u64, NODES_LIMIT as u64));
    }
    // Said before operators that are not known send the file to another runtime, which would not find them either.
    if let Some(tensor) = graph.initializers.iter().find(|tensor| tensor.location == attributes::EXTERNAL) {
        return Err(malformed(format!("initializer `{}`", tensor.name), attributes::OUTSIDE));
    }
    let producers = Producers::new(&graph.nodes)?;
    let constants: BTreeSet<&str> = graph.initializers.iter().map(|tensor| tensor.name.as_str()).collect();
    let declared: Vec<_> =
        graph.inputs.iter().filter(|info| !constants.contains(info.name.as_str())).collect();
    let (columns, mut entrances) = inputs::read(&model, &declared)?;
    let wanted = outputs::choose(&graph, &producers)?;
    let needed = needed(&graph.nodes, wanted.iter().map(|wanted| wanted.name));
    check_operators(&graph.nodes, &needed)?;

    let mut loader = Loader::new(versions(&model), columns.len());
    for entrance in &mut entrances {
        let features = entrance.features(columns.len());
        entrance.slot = Some(loader.varying(&entrance.name, entrance.tensor_type.clone(), features)?);
    }
    for message in graph.initializers.iter().filter(|tensor| needed.names.contains(tensor.name.as_str())) {
        let place = format!("initializer `{}`", message.name);
        let tensor = attributes::tensor(message).map_err(|refusal| error(&place, refusal))?;
        let slot = loader.slot(Fact::Constant(Arc::new(tensor)), None);
        loader.name(&message.name, slot)?;
    }
    for (index, node) in graph.nodes.iter().enumerate().filter(|(index, _)| needed.nodes[*index]) {
        loader.node(index, node, &needed)?;
    }
    loader.finish(columns, entrances, &wanted)
}

/// The nodes that the wanted outputs depend on, and the names that are read on the way.
struct Needed<'a> {
    nodes: Vec<bool>,
    names: BTreeSet<&'a str>,
}

/// Walks backwards: nodes stand in an order in which each reads what earlier ones yield, and what does not is found to
/// be unknown when it is planned.
fn needed<'a>(nodes: &'a [wire::Node], wanted: impl Iterator<Item = &'a str>) -> Needed<'a> {
    let mut names: BTreeSet<&str> = wanted.collect();
    let mut needed = vec![false; nodes.len()];
    for (index, node) in nodes.iter().enumerate().rev() {
        if node.outputs.iter().any(|output| names.contains(output.as_str())) {
            needed[index] = true;
            names.extend(node.inputs.iter().map(String::as_str).filter(|input| !input.is_empty()));
        }
    }
    Needed { nodes: needed, names }
}

fn domain(node: &wire::Node) -> &str {
    if node.domain == "ai.onnx" { "" } else { &node.domain }
}

/// Names all operators that are not scored at once.
fn check_operators(nodes: &[wire::Node], needed: &Needed<'_>) -> Result<(), EvaluatorError> {
    let unknown: BTreeSet<String> = nodes
        .iter()
        .zip(&needed.nodes)
        .filter(|(node, needed)| **needed && !operators::is_known(domain(node), &node.operator))
        .map(|(node, _)| match domain(node) {
            "" | ML_DOMAIN => node.operator.clone(),
            other => format!("{other}.{}", node.operator),
        })
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = unknown.into_iter().collect();
    let noun = if names.len() == 1 { "the operator" } else { "a graph with the operators" };
    Err(unsupported(format!("{noun} {}", names.join(", "))))
}

fn versions(model: &wire::Model) -> [i64; 2] {
    let version = |domains: &[&str]| {
        let set = model.operator_sets.iter().find(|set| domains.contains(&set.domain.as_str()));
        set.map_or(1, |set| set.version)
    };
    [version(&["", "ai.onnx"]), version(&[ML_DOMAIN])]
}

fn error(place: &str, refusal: Refusal) -> EvaluatorError {
    match refusal {
        Refusal::Malformed(problem) => malformed(place, problem),
        Refusal::Unsupported(feature) => unsupported(format!("{place}: {feature}")),
    }
}

/// The slot whose tensor a node yields unchanged.
fn alias(site: &Site<'_>, inputs: &[Option<usize>]) -> Option<usize> {
    let slot = inputs.first().copied().flatten()?;
    let same = match site.operator {
        "Identity" | "ZipMap" => true,
        "Cast" => {
            let element = site.operands.first()?.tensor_type()?.element;
            site.attributes.integer("to").and_then(Element::from_number) == Some(element)
        }
        _ => false,
    };
    same.then_some(slot)
}

struct Loader {
    /// Of the core operators and of those for classical machine learning.
    versions: [i64; 2],
    columns: usize,
    slots: HashMap<String, usize>,
    facts: Vec<Fact>,
    /// For each slot the columns that it is made of, if that is all it is.
    features: Vec<Option<Features>>,
    steps: Vec<Step>,
    /// Values computed so far, and values read and multiplications done for them.
    folded: usize,
    work: usize,
}

impl Loader {
    fn new(versions: [i64; 2], columns: usize) -> Self {
        Self {
            versions,
            columns,
            slots: HashMap::new(),
            facts: Vec::new(),
            features: Vec::new(),
            steps: Vec::new(),
            folded: 0,
            work: 0,
        }
    }

    fn slot(&mut self, fact: Fact, features: Option<Features>) -> usize {
        self.facts.push(fact);
        self.features.push(features);
        self.facts.len() - 1
    }

    fn name(&mut self, name: &str, slot: usize) -> Result<(), EvaluatorError> {
        match self.slots.insert(name.to_owned(), slot) {
            None => Ok(()),
            Some(_) => Err(twice(name)),
        }
    }

    fn varying(
        &mut self,
        name: &str,
        tensor_type: TensorType,
        features: Option<Features>,
    ) -> Result<usize, EvaluatorError> {
        let slot = self.slot(Fact::Varying(tensor_type), features);
        self.name(name, slot)?;
        Ok(slot)
    }

    fn node(&mut self, index: usize, node: &wire::Node, needed: &Needed<'_>) -> Result<(), EvaluatorError> {
        let place = if node.name.is_empty() {
            format!("node {index} ({})", node.operator)
        } else {
            format!("node `{}` ({})", node.name, node.operator)
        };
        let domain = domain(node);
        let (version, known) = if domain == ML_DOMAIN {
            (self.versions[1], ML_VERSIONS)
        } else {
            (self.versions[0], CORE_VERSIONS)
        };
        if !known.contains(&version) {
            return Err(unsupported(format!("{place}, from version {version} of its set of operators,")));
        }
        let inputs =
            node.inputs.iter().map(|input| self.read(input, &place)).collect::<Result<Vec<_>, _>>()?;
        let operands = inputs.iter().map(|slot| match slot.map(|slot| &self.facts[slot]) {
            None => Operand::Absent,
            Some(Fact::Constant(tensor)) => Operand::Constant(tensor.clone()),
            Some(Fact::Varying(tensor_type)) => Operand::Varying(tensor_type.clone()),
        });
        let site = Site {
            operator: &node.operator,
            version,
            attributes: Attributes(&node.attributes),
            operands: operands.collect(),
            outputs: node.outputs.len(),
        };
        let outputs: Vec<Option<&str>> = node
            .outputs
            .iter()
            .map(|output| Some(output.as_str()).filter(|output| needed.names.contains(output)))
            .collect();
        if matches!(node.operator.as_str(), "LinearClassifier" | "TreeEnsembleClassifier")
            && outputs.first().is_some_and(Option::is_some)
        {
            return Err(unsupported(format!("{place}: a label that another node reads")));
        }
        if let Some(slot) = alias(&site, &inputs) {
            return outputs.first().copied().flatten().map_or(Ok(()), |name| self.name(name, slot));
        }
        if let Some(features) = self.tree_features(&site, &inputs) {
            return self.trees(&place, &site, &features, &outputs);
        }
        let planned = operators::plan(&site, domain).map_err(|refusal| error(&place, refusal))?;
        if planned.outputs.len() < outputs.iter().filter(|output| output.is_some()).count() {
            return Err(unsupported(format!("{place}: more outputs than one")));
        }
        let features = self.moved(&site, &inputs);
        self.add(place, inputs, &outputs, planned, features)
    }

    fn read(&self, name: &str, place: &str) -> Result<Option<usize>, EvaluatorError> {
        if name.is_empty() {
            return Ok(None);
        }
        match self.slots.get(name) {
            Some(slot) => Ok(Some(*slot)),
            None => Err(malformed(place, format!("it reads `{name}`, which nothing before it yields"))),
        }
    }

    fn tree_features(&self, site: &Site<'_>, inputs: &[Option<usize>]) -> Option<Features> {
        if !site.operator.starts_with("TreeEnsemble") {
            return None;
        }
        self.features[inputs.first().copied().flatten()?].clone()
    }

    fn trees(
        &mut self,
        place: &str,
        site: &Site<'_>,
        features: &Features,
        outputs: &[Option<&str>],
    ) -> Result<(), EvaluatorError> {
        let trees = Trees::read(site, features).map_err(|refusal| error(place, refusal))?;
        let Some(name) = outputs.get(trees.output()).copied().flatten() else { return Ok(()) };
        let dims = vec![Dim::Rows, Dim::Fixed(trees.width())];
        let slot = self.varying(name, TensorType { element: Element::Float, dims }, None)?;
        self.steps.push(Step {
            place: place.to_owned(),
            inputs: Vec::new(),
            outputs: vec![Some(slot)],
            work: Work::Trees(Box::new(trees)),
            done: Vec::new(),
            memory_bytes: 0,
            multiplications: 0,
        });
        Ok(())
    }

    /// The columns that the output of a node is made of, if it only changes their type or joins them.
    fn moved(&self, site: &Site<'_>, inputs: &[Option<usize>]) -> Option<Features> {
        let first = self.features[inputs.first().copied().flatten()?].as_ref()?;
        match site.operator {
            "Cast" => match Element::from_number(site.attributes.integer("to")?)? {
                Element::Float => Some(Features { single: true, ..first.clone() }),
                Element::Double => Some(first.clone()),
                _ => None,
            },
            "Concat" if matches!(site.attributes.integer("axis"), Some(1 | -1)) => {
                let mut joined = Features { places: Vec::new(), width: self.columns, single: first.single };
                for slot in inputs {
                    let part = self.features[(*slot)?].as_ref()?;
                    let Fact::Varying(tensor_type) = &self.facts[(*slot)?] else { return None };
                    if part.single != joined.single || tensor_type.rank() != 2 {
                        return None;
                    }
                    joined.places.extend_from_slice(&part.places);
                }
                Some(joined)
            }
            _ => None,
        }
    }

    /// Folds a node if nothing that it reads depends on the request, and makes it a step otherwise.
    fn add(
        &mut self,
        place: String,
        inputs: Vec<Option<usize>>,
        outputs: &[Option<&str>],
        planned: Planned,
        features: Option<Features>,
    ) -> Result<(), EvaluatorError> {
        let varies = planned.outputs.iter().any(|output| output.rows_axis().is_some());
        if !varies {
            return self.fold(&place, &inputs, outputs, &planned);
        }
        let mut slots = Vec::with_capacity(outputs.len());
        for (output, tensor_type) in outputs.iter().zip(planned.outputs) {
            slots.push(match output {
                Some(name) => Some(self.varying(name, tensor_type, features.clone())?),
                None => None,
            });
        }
        let (memory_bytes, multiplications) = (planned.memory_bytes, planned.work);
        let work = Work::Operator(planned.run);
        self.steps.push(Step {
            place,
            inputs,
            outputs: slots,
            work,
            done: Vec::new(),
            memory_bytes,
            multiplications,
        });
        Ok(())
    }

    fn fold(
        &mut self,
        place: &str,
        inputs: &[Option<usize>],
        outputs: &[Option<&str>],
        planned: &Planned,
    ) -> Result<(), EvaluatorError> {
        let elements = planned.outputs.iter().map(|output| output.elements().unwrap_or(usize::MAX));
        self.folded = elements.fold(self.folded, usize::saturating_add);
        if self.folded > FOLDED_LIMIT {
            return Err(wire::too_large(
                "the size of computed constants",
                self.folded as u64,
                FOLDED_LIMIT as u64,
            ));
        }
        let read = inputs.iter().flatten().map(|slot| match &self.facts[*slot] {
            Fact::Constant(tensor) => tensor.len(),
            Fact::Varying(_) => 0,
        });
        self.work = read.fold(self.work, usize::saturating_add).saturating_add(planned.work);
        if self.work > WORK_LIMIT {
            return Err(wire::too_large("the work on constants", self.work as u64, WORK_LIMIT as u64));
        }
        let absent = Arc::new(Tensor::numbers(Element::Float, vec![0], Vec::new()));
        let tensors: Vec<Arc<Tensor>> = inputs
            .iter()
            .map(|slot| match slot.map(|slot| &self.facts[slot]) {
                Some(Fact::Constant(tensor)) => tensor.clone(),
                _ => absent.clone(),
            })
            .collect();
        let tensors: Vec<&Tensor> = tensors.iter().map(Arc::as_ref).collect();
        let folded = (planned.run)(&tensors, 0).map_err(|problem| malformed(place, problem))?;
        for (output, tensor) in outputs.iter().zip(folded) {
            if let Some(name) = output {
                let slot = self.slot(Fact::Constant(Arc::new(tensor)), None);
                self.name(name, slot)?;
            }
        }
        Ok(())
    }

    fn finish(
        self,
        columns: Vec<crate::Input>,
        mut entrances: Vec<inputs::Entrance>,
        wanted: &[outputs::Wanted<'_>],
    ) -> Result<OnnxModel, EvaluatorError> {
        let mut named = Vec::new();
        let mut exits = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let Some(slot) = self.slots.get(wanted.name).copied() else {
                return Err(malformed(format!("output `{}`", wanted.name), "no node yields it"));
            };
            let Fact::Varying(tensor_type) = &self.facts[slot] else {
                return Err(malformed(
                    format!("output `{}`", wanted.name),
                    "it is the same for every request",
                ));
            };
            exits.push(outputs::exit(wanted, slot, tensor_type, &mut named)?);
        }
        let kept: Vec<usize> = exits.iter().map(outputs::Exit::slot).collect();
        let graph = Graph::new(self.steps, self.facts, &kept)?;
        for entrance in &mut entrances {
            entrance.slot = entrance.slot.filter(|slot| graph.reads(*slot));
        }
        Ok(OnnxModel { inputs: columns, outputs: named, entrances, graph, exits })
    }
}
