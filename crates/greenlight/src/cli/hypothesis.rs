//! `greenlight hypothesis`: what we believe, and what was found.

use std::fmt::Write as _;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::dataset::encoded;
use super::{Server, show};
use crate::demo::text;
use crate::failure::Failure;
use crate::table::{render, row};

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Verdict {
    Supports,
    Refutes,
    Inconclusive,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Hypothesis {
    Open(Box<Open>),
    /// The hypotheses that something last happened to, newest first.
    List {
        /// Only those of this initiative.
        #[arg(long, default_value = "")]
        initiative: String,
        /// open, supports, refutes or inconclusive.
        #[arg(long, default_value = "")]
        verdict: String,
        #[command(flatten)]
        server: Server,
    },
    /// Full-text search, findings included; the last word may be the beginning of one.
    Search {
        /// Words.
        #[arg(required = true)]
        words: Vec<String>,
        #[command(flatten)]
        server: Server,
    },
    /// One with its findings and runs.
    Show {
        /// Such as H-12.
        id: String,
        #[command(flatten)]
        server: Server,
    },
    Close(Box<Close>),
    /// Open a closed one again; its findings stay.
    Reopen {
        /// Such as H-12.
        id: String,
        /// Why it is worth another look.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        server: Server,
    },
    /// Let a run join. A client does the same with the tag greenlight.hypothesis.
    AddRun {
        /// Such as H-12.
        id: String,
        /// Id of the run.
        run: String,
        #[command(flatten)]
        server: Server,
    },
    /// Let a run leave.
    RemoveRun {
        /// Such as H-12.
        id: String,
        /// Id of the run.
        run: String,
        #[command(flatten)]
        server: Server,
    },
}

/// Open a hypothesis. Similar ones are shown with what was found: read them first.
#[derive(Debug, Args)]
pub(crate) struct Open {
    /// What is believed, in one sentence.
    statement: String,
    /// Why.
    #[arg(long)]
    why: String,
    /// What would refute it.
    #[arg(long)]
    refuted_by: String,
    /// The initiative that it is for.
    #[arg(long, default_value = "")]
    initiative: String,
    /// Who pursues it [default: whoever the token belongs to].
    #[arg(long, default_value = "")]
    owner: String,
    #[command(flatten)]
    server: Server,
}

/// Close a hypothesis with a finding.
#[derive(Debug, Args)]
pub(crate) struct Close {
    /// Such as H-12.
    id: String,
    /// What the finding says of it.
    #[arg(long, value_enum)]
    verdict: Verdict,
    /// What was learned.
    #[arg(long)]
    learned: String,
    /// What to do next.
    #[arg(long, default_value = "")]
    next: String,
    /// The effect; with --low, --high and --unit.
    #[arg(long, requires_all = ["low", "high", "unit"], allow_hyphen_values = true)]
    estimate: Option<f64>,
    /// Lower end of its interval.
    #[arg(long, allow_hyphen_values = true)]
    low: Option<f64>,
    /// Upper end of its interval.
    #[arg(long, allow_hyphen_values = true)]
    high: Option<f64>,
    /// Unit of the effect, such as "euros a client".
    #[arg(long)]
    unit: Option<String>,
    #[command(flatten)]
    server: Server,
}

impl Hypothesis {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        match self {
            Self::Open(open) => open.run(json).await?,
            Self::List { initiative, verdict, server } => {
                let path = format!(
                    "/v1/hypotheses?initiative={}&verdict={}",
                    encoded(&initiative),
                    encoded(&verdict)
                );
                show(json, &server.client()?.get(&path).await?, list);
            }
            Self::Search { words, server } => {
                let path = format!("/v1/hypotheses?q={}", encoded(&words.join(" ")));
                let found = server.client()?.get(&path).await?;
                show(json, &found, |found| {
                    if found.as_array().is_some_and(Vec::is_empty) {
                        return "Nobody has tried anything of these words yet.".to_owned();
                    }
                    list(found)
                });
            }
            Self::Show { id, server } => {
                let found = server.client()?.get(&format!("/v1/hypotheses/{}", encoded(&id))).await?;
                show(json, &found, whole);
            }
            Self::Close(close) => close.run(json).await?,
            Self::Reopen { id, reason, server } => {
                let path = format!("/v1/hypotheses/{}/reopen", encoded(&id));
                show(json, &server.client()?.post(&path, &json!({ "reason": reason })).await?, whole);
            }
            Self::AddRun { id, run, server } => {
                let path = format!("/v1/hypotheses/{}/runs/{}", encoded(&id), encoded(&run));
                let done = server.client()?.post(&path, &json!({})).await?;
                show(json, &done, |_| format!("Run {run} is part of {id}."));
            }
            Self::RemoveRun { id, run, server } => {
                let path = format!("/v1/hypotheses/{}/runs/{}", encoded(&id), encoded(&run));
                let done = server.client()?.delete(&path).await?;
                show(json, &done, |_| format!("Run {run} is no longer part of {id}."));
            }
        }
        Ok(())
    }
}

impl Open {
    async fn run(self, json: bool) -> Result<(), Failure> {
        let request = json!({
            "statement": self.statement, "why": self.why, "refuted_by": self.refuted_by,
            "initiative": self.initiative, "owner": self.owner,
        });
        let opened = self.server.client()?.post("/v1/hypotheses", &request).await?;
        show(json, &opened, |opened| {
            let id = text(opened, "id");
            let mut out = format!(
                "Opened {id}. Let runs join it: mlflow.set_tag(\"greenlight.hypothesis\", \"{id}\"), or 'greenlight \
                 hypothesis add-run {id} RUN'.\n"
            );
            if opened["similar"].as_array().is_some_and(|similar| !similar.is_empty()) {
                let _ = write!(out, "\nSimilar ones; read what was found:\n{}", list(&opened["similar"]));
            }
            out
        });
        Ok(())
    }
}

impl Close {
    async fn run(self, json: bool) -> Result<(), Failure> {
        let effect = self.estimate.map(
            |estimate| json!({ "unit": self.unit, "estimate": estimate, "low": self.low, "high": self.high }),
        );
        let verdict = format!("{:?}", self.verdict).to_lowercase();
        let request = json!({
            "verdict": verdict, "effect": effect, "learned": self.learned, "next": self.next,
        });
        let path = format!("/v1/hypotheses/{}/findings", encoded(&self.id));
        show(json, &self.server.client()?.post(&path, &request).await?, whole);
        Ok(())
    }
}

fn verdict(line: &Value) -> String {
    let verdict = text(line, "verdict");
    if verdict.is_empty() { "open".to_owned() } else { verdict }
}

fn list(found: &Value) -> String {
    let lines = found.as_array().cloned().unwrap_or_default();
    if lines.is_empty() {
        return "No hypotheses yet. Next: greenlight hypothesis open \"…\" --why \"…\" --refuted-by \"…\""
            .to_owned();
    }
    let mut rows = vec![row(["id", "finding", "initiative", "statement"])];
    for line in &lines {
        let spec = &line["spec"];
        rows.push(row([
            &text(line, "id"),
            &verdict(line),
            &text(spec, "initiative"),
            &text(spec, "statement"),
        ]));
    }
    render(&rows)
}

fn whole(found: &Value) -> String {
    let spec = &found["spec"];
    let mut out = format!(
        "{} ({})\n  {}\n  why:        {}\n  refuted by: {}\n  owner:      {}\n",
        text(found, "id"),
        verdict(found),
        text(spec, "statement"),
        text(spec, "why"),
        text(spec, "refuted_by"),
        text(spec, "owner")
    );
    for event in found["events"].as_array().into_iter().flatten() {
        let (at, who) = (text(event, "at"), text(event, "actor"));
        let day = at.get(..10).unwrap_or_default();
        let finding = &event["finding"];
        if finding.is_null() {
            let _ = writeln!(out, "\n  {day} {who} opened it again: {}", text(event, "reason"));
            continue;
        }
        let _ = writeln!(
            out,
            "\n  {day} {who} found that it {}: {}",
            text(finding, "verdict"),
            text(finding, "learned")
        );
        let effect = &finding["effect"];
        if effect.is_object() {
            let _ = writeln!(
                out,
                "    effect: {} ({} to {}) {}",
                effect["estimate"],
                effect["low"],
                effect["high"],
                text(effect, "unit")
            );
        }
        if !text(finding, "next").is_empty() {
            let _ = writeln!(out, "    next: {}", text(finding, "next"));
        }
    }
    let mut rows = vec![row(["run", "name", "status"])];
    for run in found["runs"].as_array().into_iter().flatten() {
        rows.push(row([&text(run, "id"), &text(run, "name"), &text(run, "status")]));
    }
    if rows.len() > 1 {
        let _ = write!(out, "\n{}", render(&rows));
    }
    out
}
