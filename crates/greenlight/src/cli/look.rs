//! Verbs that look or settle: initiatives, models, runs, endpoints, the audit trail.

use clap::{Args, Subcommand};
use greenlight_domain::money::{Currency, whole};
use serde_json::{Value, json};

use super::{Server, log, show};
use crate::demo::text;
use crate::failure::Failure;
use crate::table::{render, row};

#[derive(Debug, Subcommand)]
pub(crate) enum Initiative {
    /// All initiatives with what they earned.
    List(Server),
    /// One initiative.
    Show {
        name: String,
        #[command(flatten)]
        server: Server,
    },
}

impl Initiative {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        match self {
            Self::List(server) => {
                let views = server.client()?.get("/v1/initiatives").await?;
                show(json, &views, initiatives);
            }
            Self::Show { name, server } => {
                let view = server.client()?.get(&format!("/v1/initiatives/{name}")).await?;
                show(json, &view, |v| {
                    let spec = &v["spec"];
                    format!(
                        "{} ({})\n  problem: {}\n  owner:   {}\n\n{}",
                        text(spec, "title"),
                        text(v, "stage"),
                        text(spec, "problem"),
                        text(spec, "owner"),
                        initiatives(&json!([v]))
                    )
                });
            }
        }
        Ok(())
    }
}

fn initiatives(views: &Value) -> String {
    let views = views.as_array().cloned().unwrap_or_default();
    if views.is_empty() {
        return "No initiatives yet. Next: greenlight apply -f examples/bank/".to_owned();
    }
    let mut rows = vec![row(["initiative", "stage", "forecast a horizon (D)", "earned (A)", "interval"])];
    for view in &views {
        let ledger = &view["ledgers"][0];
        let currency: Currency = text(ledger, "currency").parse().unwrap_or(Currency::EUR);
        let amount = |v: &Value| v.as_f64().map(|minor| whole(minor, currency));
        let earned = &ledger["incremental"];
        let interval = amount(&earned["low_minor"])
            .zip(amount(&earned["high_minor"]))
            .map(|(l, h)| format!("{l} to {h}"));
        let expected = view["business_case"][1]["expected"].as_str().unwrap_or("none");
        rows.push(row([
            &text(view, "name"),
            &text(view, "stage"),
            expected,
            &amount(&earned["minor"]).unwrap_or_else(|| "nothing yet".to_owned()),
            &interval.unwrap_or_default(),
        ]));
    }
    render(&rows)
}

#[derive(Debug, Subcommand)]
pub(crate) enum Run {
    /// The newest runs.
    List(Server),
}

impl Run {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        let Self::List(server) = self;
        let runs = server.client()?.get("/v1/runs").await?;
        show(json, &runs, |r| {
            let mut rows = vec![row(["run", "name", "experiment", "status", "author", "training AUC"])];
            for run in r.as_array().into_iter().flatten() {
                let metrics = run["metrics"].as_array().cloned().unwrap_or_default();
                let auc = metrics.iter().find(|m| m[0] == "training_auc").and_then(|m| m[1].as_f64());
                rows.push(row([
                    &text(run, "id"),
                    &text(run, "name"),
                    &text(run, "experiment"),
                    &text(run, "status"),
                    &text(run, "author"),
                    &auc.map(|a| format!("{a:.3}")).unwrap_or_default(),
                ]));
            }
            render(&rows)
        });
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Endpoint {
    /// All endpoints.
    List(Server),
    /// One endpoint: split, traffic, ledger, request columns.
    Show {
        name: String,
        #[command(flatten)]
        server: Server,
    },
    /// The log, newest first, by filter; with --id one prediction.
    Log(log::Log),
    /// Try a row by hand: its score, what each decision is worth, and why. Nothing is logged.
    Explain(log::Explain),
    /// Traffic over time by variant.
    Traffic(log::Extent),
    /// Drift of inputs and scores.
    Drift(log::Extent),
    /// Where shadow and champion differ most.
    Disagreements(log::Extent),
    /// Settle what has matured.
    Settle {
        name: String,
        #[command(flatten)]
        server: Server,
    },
    /// Delete everything that was logged about a unit, for good.
    Erase(super::erase::Erase),
}

impl Endpoint {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        match self {
            Self::List(server) => {
                let endpoints = server.client()?.get("/v1/endpoints").await?;
                show(json, &endpoints, |e| {
                    let mut rows = vec![row(["endpoint", "initiative", "champion", "share"])];
                    for endpoint in e.as_array().into_iter().flatten() {
                        let champion = &endpoint["routes"]["champion"];
                        let share = format!("{} %", endpoint["routes"]["champion_percent"]);
                        let model = champion["model"].as_str().unwrap_or("none: the holdout rule decides");
                        rows.push(row([
                            &text(endpoint, "name"),
                            &text(endpoint, "initiative"),
                            model,
                            &share,
                        ]));
                    }
                    render(&rows)
                });
            }
            Self::Show { name, server } => {
                let view = server.client()?.get(&format!("/v1/endpoints/{name}")).await?;
                show(json, &view, pretty);
            }
            Self::Erase(erase) => erase.run(json).await?,
            Self::Log(verb) => verb.run(json).await?,
            Self::Explain(verb) => verb.run(json).await?,
            Self::Traffic(verb) => verb.traffic(json).await?,
            Self::Drift(verb) => verb.drift(json).await?,
            Self::Disagreements(verb) => verb.disagreements(json).await?,
            Self::Settle { name, server } => {
                let done = server.client()?.post(&format!("/v1/endpoints/{name}/settle"), &json!({})).await?;
                show(json, &done, |s| {
                    format!(
                        "Run {}: {} matured, {} corrected; settled until {}.",
                        s["run"],
                        s["matured"],
                        s["corrected"],
                        text(s, "settled_until")
                    )
                });
            }
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Only lines about this, such as term-deposit-calls.1.
    #[arg(long)]
    subject: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    server: Server,
}

impl Audit {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        let subject = self.subject.map(|s| format!("&subject={s}")).unwrap_or_default();
        let lines = self.server.client()?.get(&format!("/v1/audit?limit={}{subject}", self.limit)).await?;
        show(json, &lines, |l| {
            let mut rows = vec![row(["at", "actor", "role", "action", "subject"])];
            for line in l.as_array().into_iter().flatten() {
                rows.push(row([
                    &text(line, "at"),
                    &text(line, "actor"),
                    &text(line, "role"),
                    &text(line, "action"),
                    &text(line, "subject"),
                ]));
            }
            render(&rows)
        });
        Ok(())
    }
}

pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
