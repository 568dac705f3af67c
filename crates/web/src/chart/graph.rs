//! A drawn graph: what leads to what, from left to right.
//!
//! Nodes stand in columns by the longest way that leads to them, so that every edge points to the right, and within a
//! column by the mean place of their neighbours, swept a few times each way (Sugiyama, Tagawa and Toda 1981). Refuses to
//! straighten cycles: an edge of one points back.

use std::collections::HashMap;

use maud::{Markup, html};

use super::{px, shortened};

const BOX_WIDTH: f64 = 150.0;
const BOX_HEIGHT: f64 = 46.0;
const ACROSS: f64 = 27.0;
const DOWN: f64 = 14.0;
const MARGIN: f64 = 6.0;
const SWEEPS: usize = 6;
const LABEL: usize = 20;

/// A node as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphBox {
    /// CSS class.
    pub class: String,
    /// What it is, above.
    pub kind: String,
    /// Its name.
    pub label: String,
    /// Where it leads when it is clicked.
    pub address: String,
    /// Whether the graph is about it.
    pub is_root: bool,
}

/// Where nodes stand: column and place within it.
fn layout(count: usize, edges: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut column = vec![0_usize; count];
    // A cycle would push its nodes on for ever; no way is longer than there are nodes.
    for _ in 0..count {
        let mut moved = false;
        for (from, to) in edges {
            if column[*to] <= column[*from] && column[*from] + 1 < count {
                column[*to] = column[*from] + 1;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    let last = column.iter().copied().max().unwrap_or(0);
    let mut columns: Vec<Vec<usize>> = vec![Vec::new(); last + 1];
    for (node, at) in column.iter().enumerate() {
        columns[*at].push(node);
    }
    let mut place: HashMap<usize, f64> = HashMap::new();
    for nodes in &columns {
        settle(nodes, &mut place);
    }
    for sweep in 0..SWEEPS {
        let forward = sweep % 2 == 0;
        let order: Vec<usize> = if forward { (0..=last).collect() } else { (0..=last).rev().collect() };
        for at in order {
            let mean = |node: usize| {
                let near: Vec<f64> = edges
                    .iter()
                    .filter_map(|(from, to)| match (forward, *from == node, *to == node) {
                        (true, _, true) => place.get(from).copied(),
                        (false, true, _) => place.get(to).copied(),
                        _ => None,
                    })
                    .collect();
                if near.is_empty() { place[&node] } else { near.iter().sum::<f64>() / near.len() as f64 }
            };
            let mut ranked: Vec<(f64, usize)> = columns[at].iter().map(|node| (mean(*node), *node)).collect();
            ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
            columns[at] = ranked.into_iter().map(|(_, node)| node).collect();
            settle(&columns[at], &mut place);
        }
    }
    let mut places = vec![(0, 0); count];
    for (at, nodes) in columns.iter().enumerate() {
        for (row, node) in nodes.iter().enumerate() {
            places[*node] = (at, row);
        }
    }
    places
}

/// Writes down the place of each node of a column, its middle at zero.
fn settle(nodes: &[usize], place: &mut HashMap<usize, f64>) {
    let middle = (nodes.len() as f64 - 1.0) / 2.0;
    for (row, node) in nodes.iter().enumerate() {
        place.insert(*node, row as f64 - middle);
    }
}

/// The graph. Edges name nodes by their place in `nodes`; those that name none are left out.
pub fn graph(nodes: &[GraphBox], edges: &[(usize, usize)], label: &str) -> Markup {
    let edges: Vec<(usize, usize)> =
        edges.iter().copied().filter(|(from, to)| *from < nodes.len() && *to < nodes.len()).collect();
    let places = layout(nodes.len(), &edges);
    let columns = places.iter().map(|p| p.0).max().map_or(0, |last| last + 1);
    let mut sizes = vec![0_usize; columns];
    for (column, _) in &places {
        sizes[*column] += 1;
    }
    let tallest = sizes.iter().copied().max().unwrap_or(0) as f64;
    let height = 2.0 * MARGIN + tallest * (BOX_HEIGHT + DOWN) - DOWN;
    let width = 2.0 * MARGIN + columns as f64 * (BOX_WIDTH + ACROSS) - ACROSS;
    let at = |node: usize| {
        let (column, row) = places[node];
        let free = height - 2.0 * MARGIN - (sizes[column] as f64 * (BOX_HEIGHT + DOWN) - DOWN);
        (
            MARGIN + column as f64 * (BOX_WIDTH + ACROSS),
            MARGIN + free / 2.0 + row as f64 * (BOX_HEIGHT + DOWN),
        )
    };
    html! {
        div.scroll.graph-box role="region" aria-label=(label) tabindex="0" {
            svg.graph viewBox={ "0 0 " (px(width)) " " (px(height)) } width=(px(width)) height=(px(height)) role="img" aria-label=(label) {
                @for (from, to) in &edges {
                    @let ((x1, y1), (x2, y2)) = (at(*from), at(*to));
                    path.edge d=(curve((x1 + BOX_WIDTH, y1 + BOX_HEIGHT / 2.0), (x2, y2 + BOX_HEIGHT / 2.0))) {}
                }
                @for (index, node) in nodes.iter().enumerate() {
                    @let (x, y) = at(index);
                    a href=(node.address) {
                        title { (node.kind) " " (node.label) }
                        rect class={ "node " (node.class) @if node.is_root { " root" } } x=(px(x)) y=(px(y)) width=(px(BOX_WIDTH)) height=(px(BOX_HEIGHT)) rx="7" {}
                        text.node-kind x=(px(x + 10.0)) y=(px(y + 17.0)) { (node.kind) }
                        text.node-label x=(px(x + 10.0)) y=(px(y + 35.0)) { (shortened(&node.label, LABEL)) }
                    }
                }
            }
        }
    }
}

/// From the right side of one box to the left side of another.
fn curve((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> String {
    let bend = ((x2 - x1).abs() / 2.0).max(ACROSS / 2.0);
    format!(
        "M{} {}C{} {} {} {} {} {}",
        px(x1),
        px(y1),
        px(x1 + bend),
        px(y1),
        px(x2 - bend),
        px(y2),
        px(x2),
        px(y2)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_point_to_the_right_by_the_longest_way() {
        // 0 -> 1 -> 2 and 0 -> 2: the last stands behind both.
        let places = layout(3, &[(0, 1), (1, 2), (0, 2)]);
        assert_eq!(places.iter().map(|p| p.0).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn crossings_go_where_they_can() {
        // 0 -> 3 and 1 -> 2 cross when 2 stands above 3.
        let places = layout(4, &[(0, 3), (1, 2)]);
        assert_eq!((places[3].1, places[2].1), (0, 1));
    }

    #[test]
    fn a_cycle_is_drawn_all_the_same() {
        let places = layout(2, &[(0, 1), (1, 0)]);
        assert_eq!(places.len(), 2);
        assert_eq!(layout(0, &[]), []);
    }
}
