//! Lineage: from anything, what it was made from and what was made from it.
//!
//! Walks one way at a time, so that a data set's readers do not bring all that they also read. Bounded in depth, in
//! neighbours and in nodes, and says when it stopped early.

use std::collections::{BTreeMap, BTreeSet};

use greenlight_domain::lineage::{Direction, Edge, Node, NodeKind};
use greenlight_domain::role::{Action, Actor};
use greenlight_store::{Connection, lineage};
use serde::Serialize;

use crate::{App, AppError, allow};

/// Most nodes of a graph.
const MAX_NODES: usize = 400;
/// Most steps from the root.
const MAX_DEPTH: i32 = 12;
/// Most neighbours of one kind that are looked for at once.
pub const MAX_FAN: i64 = 200;

/// A node of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GraphNode {
    /// `kind:name`.
    pub id: Node,
    /// What it is.
    pub kind: NodeKind,
    /// Its name for people.
    pub label: String,
    /// A word more: the status of a run, the stage of a release.
    pub detail: String,
    /// Steps from the root; negative for what it was made from.
    pub steps: i32,
}

/// What hangs together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Graph {
    /// Where the walk began.
    pub root: Node,
    /// The nodes, by steps from the root.
    pub nodes: Vec<GraphNode>,
    /// What was made from what.
    pub edges: Vec<Edge>,
    /// Whether there is more than is shown.
    pub truncated: bool,
}

/// How far to walk.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// Most steps from the root, up and down.
    pub depth: i32,
    /// Most neighbours of one kind of the nodes of one kind.
    pub fan: i64,
}

impl Default for Reach {
    fn default() -> Self {
        Self { depth: MAX_DEPTH, fan: MAX_FAN }
    }
}

struct Walk {
    steps: BTreeMap<Node, i32>,
    edges: BTreeSet<Edge>,
    truncated: bool,
}

/// The lineage of `root`, both ways.
pub async fn graph(app: &App, actor: &Actor, root: &Node, reach: Reach) -> Result<Graph, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    if !lineage::exists(&mut connection, root).await? {
        return Err(AppError::not_found(root.kind.title(), &root.name, "nothing of that name is recorded"));
    }
    let mut walk =
        Walk { steps: BTreeMap::from([(root.clone(), 0)]), edges: BTreeSet::new(), truncated: false };
    for direction in [Direction::Up, Direction::Down] {
        walk.go(&mut connection, root, direction, reach).await?;
    }
    let labels = labels(&mut connection, walk.steps.keys()).await?;
    let mut nodes: Vec<GraphNode> = walk
        .steps
        .into_iter()
        .map(|(node, steps)| {
            let (label, detail) =
                labels.get(&node).cloned().unwrap_or_else(|| (node.name.clone(), String::new()));
            GraphNode { kind: node.kind, id: node, label, detail, steps }
        })
        .collect();
    nodes.sort_by(|a, b| (a.steps, &a.id).cmp(&(b.steps, &b.id)));
    Ok(Graph {
        root: root.clone(),
        nodes,
        edges: walk.edges.into_iter().collect(),
        truncated: walk.truncated,
    })
}

impl Walk {
    async fn go(
        &mut self,
        connection: &mut Connection,
        root: &Node,
        direction: Direction,
        reach: Reach,
    ) -> Result<(), AppError> {
        let fan = reach.fan.clamp(1, MAX_FAN);
        let sign = if direction == Direction::Down { 1 } else { -1 };
        let mut frontier = vec![root.clone()];
        for step in 1..=reach.depth.clamp(1, MAX_DEPTH) {
            let mut next = Vec::new();
            for (kind, names) in by_kind(&frontier) {
                let found = lineage::edges(connection, direction, kind, &names, fan + 1).await?;
                self.truncated |= found.len() as i64 > fan;
                for edge in found.into_iter().take(fan as usize) {
                    let node = if direction == Direction::Down { &edge.to } else { &edge.from };
                    if !self.steps.contains_key(node) {
                        if self.steps.len() >= MAX_NODES {
                            self.truncated = true;
                            continue;
                        }
                        self.steps.insert(node.clone(), sign * step);
                        next.push(node.clone());
                    }
                    self.edges.insert(edge);
                }
            }
            if next.is_empty() {
                return Ok(());
            }
            frontier = next;
        }
        self.truncated = true;
        Ok(())
    }
}

fn by_kind<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> BTreeMap<NodeKind, Vec<&'a str>> {
    let mut names: BTreeMap<NodeKind, Vec<&str>> = BTreeMap::new();
    for node in nodes {
        names.entry(node.kind).or_default().push(&node.name);
    }
    names
}

async fn labels(
    connection: &mut Connection,
    nodes: impl Iterator<Item = &Node>,
) -> Result<BTreeMap<Node, (String, String)>, AppError> {
    let mut labels = BTreeMap::new();
    for (kind, names) in by_kind(nodes) {
        for (name, label, detail) in lineage::labels(connection, kind, &names).await? {
            labels.insert(Node::new(kind, name), (label, detail));
        }
    }
    Ok(labels)
}
