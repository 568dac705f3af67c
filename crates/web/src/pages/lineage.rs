//! Lineage: what was something made from, and what was made from it?

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use greenlight_app::lineage::{Graph, GraphNode, Reach, graph as find};
use greenlight_app::{App, AppError};
use greenlight_domain::lineage::{Node, NodeKind};
use greenlight_domain::role::Actor;
use maud::{Markup, html};
use serde::Deserialize;

use crate::chart::graph::{GraphBox, graph};
use crate::components::scroll;
use crate::failure::answer;
use crate::layout;
use crate::layout::Section;
use crate::session::{Session, percent_encoded};

/// Neighbours of one kind that a page draws.
const FAN: i64 = 12;
const DEPTH: i32 = 8;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/lineage", get(show))
}

#[derive(Deserialize)]
struct Asked {
    node: String,
}

async fn show(State(app): State<Arc<App>>, Session(actor): Session, Query(asked): Query<Asked>) -> Response {
    let found = match asked.node.parse::<Node>() {
        Ok(node) => find(&app, &actor, &node, Reach { depth: DEPTH, fan: FAN }).await,
        Err(problem) => Err(AppError::from(problem)),
    };
    answer(&actor, found.map(|graph| page(&graph, &actor)))
}

/// Where a node has its page; its own lineage where it has none.
pub(crate) fn address(node: &Node) -> String {
    let name = percent_encoded(&node.name);
    match node.kind {
        NodeKind::Dataset => match node.name.rsplit_once('@') {
            Some((name, version)) => format!("/datasets/{}?version={version}", percent_encoded(name)),
            None => format!("/datasets/{name}"),
        },
        NodeKind::LoggedDataset => {
            let name = node.name.rsplit_once('#').map_or(node.name.as_str(), |(name, _)| name);
            format!("/datasets/{}", percent_encoded(name))
        }
        NodeKind::Run => format!("/runs/{name}"),
        NodeKind::Model => {
            let name = node.name.rsplit_once('@').map_or(node.name.as_str(), |(name, _)| name);
            format!("/models/{}", percent_encoded(name))
        }
        NodeKind::RegisteredVersion => {
            let name = node.name.rsplit_once('/').map_or(node.name.as_str(), |(name, _)| name);
            format!("/models/{}", percent_encoded(name))
        }
        NodeKind::Release => format!("/releases/{name}"),
        NodeKind::Endpoint => format!("/endpoints/{name}"),
        NodeKind::Initiative => format!("/initiatives/{name}"),
        NodeKind::Place | NodeKind::Job | NodeKind::LoggedModel => own_address(node),
    }
}

/// The address of a node's lineage.
pub(crate) fn own_address(node: &Node) -> String {
    format!("/lineage?node={}", percent_encoded(&node.to_string()))
}

/// The page.
pub fn page(graph: &Graph, actor: &Actor) -> Markup {
    let root = graph.nodes.iter().find(|node| node.id == graph.root);
    let name = root.map_or(graph.root.name.as_str(), |root| root.label.as_str());
    let kind = graph.root.kind.title();
    let title = format!("What was {kind} {name} made from, and what was made from it?");
    let before = graph.nodes.iter().filter(|node| node.steps < 0).count();
    let after = graph.nodes.iter().filter(|node| node.steps > 0).count();
    let reached = |kind: NodeKind| graph.nodes.iter().any(|node| node.kind == kind && node.steps > 0);
    let body = html! {
        p.eyebrow { "Lineage · " a href=(address(&graph.root)) { (kind) " " (name) } }
        h1 { (title) }
        p.answer {
            @if before == 0 { "Nothing recorded before it" } @else { "From " (before) @if before == 1 { " thing" } @else { " things" } }
            span.answer-part {
                @if after == 0 { "nothing made from it yet" } @else { (after) " made from it" }
            }
            @if reached(NodeKind::Endpoint) { span.answer-part { "it reaches live traffic" } }
        }
        (drawn(graph))
        @if graph.truncated {
            p.muted {
                "There is more than is drawn: at most " (FAN) " neighbours of one kind are, over " (DEPTH) " steps. "
                "All of it as JSON: " code { "greenlight lineage show " (graph.root) " --json" }
            }
        }
        p.source { "Source: what runs logged, releases, endpoints, and what other systems reported as OpenLineage events." }
        (table(graph))
    };
    layout::page(&title, Section::None, Some(actor), body)
}

fn drawn(of: &Graph) -> Markup {
    let index: HashMap<&Node, usize> = of.nodes.iter().enumerate().map(|(at, node)| (&node.id, at)).collect();
    let boxes: Vec<GraphBox> = of
        .nodes
        .iter()
        .map(|node| GraphBox {
            class: format!("node-{}", node.kind.as_str().replace('_', "-")),
            kind: if node.detail.is_empty() {
                node.kind.title().to_owned()
            } else {
                format!("{}, {}", node.kind.title(), node.detail.to_lowercase())
            },
            label: node.label.clone(),
            address: address(&node.id),
            is_root: node.id == of.root,
        })
        .collect();
    let edges: Vec<(usize, usize)> =
        of.edges.iter().filter_map(|edge| Some((*index.get(&edge.from)?, *index.get(&edge.to)?))).collect();
    graph(&boxes, &edges, &format!("Lineage of {}: {} nodes", of.root, of.nodes.len()))
}

fn table(graph: &Graph) -> Markup {
    let distance = |node: &GraphNode| match node.steps {
        0 => "this".to_owned(),
        before if before < 0 => format!("{} before", -before),
        after => format!("{after} after"),
    };
    html! {
        details.numbers {
            summary { "Show as a table" }
            (scroll("Lineage", html! {
                table {
                    thead { tr {
                        th scope="col" { "What" } th scope="col" { "Which" } th scope="col" { "Steps" } th scope="col" { "Its lineage" }
                    } }
                    tbody {
                        @for node in &graph.nodes {
                            tr {
                                td { (node.kind.title()) @if !node.detail.is_empty() { ", " (node.detail.to_lowercase()) } }
                                th scope="row" { a href=(address(&node.id)) { (node.label) } }
                                td { (distance(node)) }
                                td { a href=(own_address(&node.id)) { "show" } }
                            }
                        }
                    }
                }
            }))
        }
    }
}
