//! `greenlight plan`, `apply`, `token`.

use std::fmt::Write as _;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Server, show};
use crate::demo::text;
use crate::failure::Failure;
use crate::manifest;
use crate::table::{render, row};

#[derive(Debug, Args)]
pub(crate) struct Manifests {
    /// A YAML file, or a folder of them.
    #[arg(short, long)]
    file: PathBuf,
    #[command(flatten)]
    server: Server,
}

impl Manifests {
    pub(crate) async fn plan(self, json: bool) -> Result<(), Failure> {
        let manifests = manifest::read(&self.file)?;
        let body = json!({ "documents": manifests.documents });
        let changes = self.server.client()?.post("/v1/plan", &body).await?;
        show(json, &changes, |c| describe(c, "would "));
        Ok(())
    }

    pub(crate) async fn apply(self, json: bool) -> Result<(), Failure> {
        let manifests = manifest::read(&self.file)?;
        let client = self.server.client()?;
        let body = json!({ "documents": manifests.documents });
        let planned = client.post("/v1/plan", &body).await?;
        if !json {
            println!("{}", describe(&planned, "will ").trim_end());
        }
        manifest::upload(&client, &manifests).await?;
        let changes = client.post("/v1/apply", &body).await?;
        show(json, &changes, |_| "Applied.".to_owned());
        Ok(())
    }
}

fn describe(changes: &Value, will: &str) -> String {
    let mut out = String::new();
    for change in changes.as_array().into_iter().flatten() {
        let action = text(change, "action");
        let mark = match action.as_str() {
            "create" => "+",
            "update" => "~",
            "refused" => "!",
            _ => " ",
        };
        let verb =
            if action == "unchanged" || action == "refused" { action } else { format!("{will}{action}") };
        let _ = writeln!(out, "{mark} {verb:13} {} {}", text(change, "kind"), text(change, "name"));
        for field in change["fields"].as_array().into_iter().flatten() {
            let _ = writeln!(out, "      {}: {} → {}", text(field, "path"), field["from"], field["to"]);
        }
        if let Some(reason) = change["reason"].as_str() {
            let _ = writeln!(out, "      {reason}");
        }
    }
    out
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Issue a token; it is shown once.
    Issue {
        /// Name of the person or program, as the audit trail will show it.
        #[arg(long)]
        name: String,
        /// viewer, scientist, approver, operator or admin.
        #[arg(long)]
        role: String,
        /// Most requests a second on each server, such as 100/s; as many as it likes when left out.
        #[arg(long, value_parser = rate)]
        rate: Option<u32>,
        #[command(flatten)]
        server: Server,
    },
    /// List tokens, without their secrets.
    List {
        #[command(flatten)]
        server: Server,
    },
    /// Revoke a token at once.
    Revoke {
        /// Its id.
        id: String,
        #[command(flatten)]
        server: Server,
    },
}

/// Requests a second: `100/s`.
fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    number.parse().map_err(|_| format!("'{text}' is not a number of requests a second, such as 100/s"))
}

impl Token {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        match self {
            Self::Issue { name, role, rate, server } => {
                let body = json!({ "name": name, "role": role, "rate_per_second": rate });
                let issued = server.client()?.post("/v1/tokens", &body).await?;
                show(json, &issued, |t| {
                    format!("{}  (shown once; {} as {})", text(t, "token"), text(t, "name"), text(t, "role"))
                });
            }
            Self::List { server } => {
                let tokens = server.client()?.get("/v1/tokens").await?;
                show(json, &tokens, |t| {
                    let mut rows = vec![row(["id", "name", "role", "rate", "created", "revoked"])];
                    for token in t.as_array().into_iter().flatten() {
                        let date = |key: &str| text(token, key).get(..10).unwrap_or("").to_owned();
                        let rate = token["rate_per_second"].as_u64().map(|rate| format!("{rate}/s"));
                        rows.push(row([
                            &text(token, "id"),
                            &text(token, "name"),
                            &text(token, "role"),
                            &rate.unwrap_or_default(),
                            &date("created_at"),
                            &date("revoked_at"),
                        ]));
                    }
                    render(&rows)
                });
            }
            Self::Revoke { id, server } => {
                let done = server.client()?.delete(&format!("/v1/tokens/{id}")).await?;
                show(json, &done, |_| format!("Revoked {id}."));
            }
        }
        Ok(())
    }
}
