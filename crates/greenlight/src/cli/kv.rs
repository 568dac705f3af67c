//! `greenlight kv`: tables of batch predictions.

use clap::Subcommand;
use serde_json::{Value, json};

use super::look::pretty;
use super::{Server, show};
use crate::demo::text;
use crate::failure::Failure;
use crate::table::{render, row};

#[derive(Debug, Subcommand)]
pub(crate) enum Kv {
    /// All tables: generation, rows, when published, expiry.
    List(Server),
    /// The values of one or several keys.
    Get {
        /// The table.
        table: String,
        /// The keys.
        #[arg(required = true)]
        keys: Vec<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Remove a table with everything in it.
    Drop {
        /// The table.
        table: String,
        #[command(flatten)]
        server: Server,
    },
}

impl Kv {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        match self {
            Self::List(server) => show(json, &server.client()?.get("/v1/kv").await?, tables),
            Self::Get { table, keys, server } => {
                let body = json!({ "keys": keys });
                let found = server.client()?.post(&format!("/v1/kv/{table}"), &body).await?;
                show(json, &found, pretty);
            }
            Self::Drop { table, server } => {
                let dropped = server.client()?.delete(&format!("/v1/kv/{table}")).await?;
                show(json, &dropped, |d| format!("Dropped {}.", text(d, "dropped")));
            }
        }
        Ok(())
    }
}

fn tables(list: &Value) -> String {
    let list = list.as_array().cloned().unwrap_or_default();
    if list.is_empty() {
        return "No tables yet. Next: greenlight score --model NAME@V --input FILE --output kv:TABLE --key COLUMN"
            .to_owned();
    }
    let mut rows = vec![row(["table", "generation", "rows", "published", "expires", "loading"])];
    for table in &list {
        let or =
            |field: &str, none: &str| table[field].as_str().map_or_else(|| none.to_owned(), str::to_owned);
        let loading = &table["loading"];
        let loading = loading["generation"]
            .as_str()
            .map(|generation| format!("{generation}, {} chunks", loading["durable"]))
            .unwrap_or_default();
        rows.push(row([
            &text(table, "table"),
            &or("generation", "none yet"),
            &table["rows"].to_string(),
            &or("published_at", ""),
            &or("expires_at", "never"),
            &loading,
        ]));
    }
    render(&rows)
}
