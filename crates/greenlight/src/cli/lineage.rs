//! `greenlight lineage`: what was made from what.

use clap::Subcommand;
use serde_json::Value;

use super::dataset::encoded;
use super::{Server, show};
use crate::demo::text;
use crate::failure::Failure;
use crate::table::{render, row};

#[derive(Debug, Subcommand)]
pub(crate) enum Lineage {
    /// What something was made from, and what was made from it.
    Show {
        /// KIND:NAME, such as dataset:bank@1, run:ID, model:calls@1, release:calls.1 or endpoint:calls.
        node: String,
        /// Most steps each way.
        #[arg(long, default_value_t = 12)]
        depth: u32,
        #[command(flatten)]
        server: Server,
    },
    /// Runs that ended, as OpenLineage events, one a line, oldest first.
    Events {
        /// Go on from where an earlier call stopped: what it printed as 'next'.
        #[arg(long, default_value = "")]
        after: String,
        /// Most events.
        #[arg(long, default_value_t = 100)]
        limit: u32,
        #[command(flatten)]
        server: Server,
    },
}

impl Lineage {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        match self {
            Self::Show { node, depth, server } => {
                let path = format!("/v1/lineage?node={}&depth={depth}", encoded(&node));
                let graph = server.client()?.get(&path).await?;
                show(json, &graph, tree);
            }
            Self::Events { after, limit, server } => {
                let path = format!("/v1/lineage/events?after={}&limit={limit}", encoded(&after));
                let found = server.client()?.get(&path).await?;
                show(json, &found, |found| {
                    let events = found["events"].as_array().into_iter().flatten().map(Value::to_string);
                    let mut lines: Vec<String> = events.collect();
                    if lines.is_empty() {
                        return "No run has ended since.".to_owned();
                    }
                    lines.push(format!("next: {}", text(found, "next")));
                    lines.join("\n")
                });
            }
        }
        Ok(())
    }
}

fn tree(graph: &Value) -> String {
    let mut rows = vec![row(["steps", "what", "which", "detail"])];
    for node in graph["nodes"].as_array().into_iter().flatten() {
        let steps = node["steps"].as_i64().unwrap_or_default();
        rows.push(row([
            &if steps == 0 { "this".to_owned() } else { format!("{steps:+}") },
            &text(node, "kind").replace('_', " "),
            &text(node, "label"),
            &text(node, "detail").to_lowercase(),
        ]));
    }
    let more = if graph["truncated"] == true { "  There is more than is shown.\n" } else { "" };
    format!("{}{more}", render(&rows))
}
