//! The verbs. Every step of the demo is one; each takes `--json`.

mod dataset;
mod erase;
mod explain;
mod gc;
mod hypothesis;
mod import;
mod kv;
mod lake;
mod ledger;
mod lineage;
mod log;
mod look;
mod model;
mod outcome;
mod posting;
mod release;
mod replay;
mod score;
mod serve;
mod setup;
mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde_json::Value;

pub(crate) use dataset::encoded;

use crate::client::Client;
use crate::demo::{self, Demo};
use crate::failure::Failure;

/// Greenlight takes a model from a business case to production and says what it earns.
///
/// Exit codes: 0 done, 1 defect, 2 wrong input, 3 not allowed, 4 no such thing, 5 the present state does not allow
/// it, 6 the server does not answer.
#[derive(Debug, Parser)]
#[command(name = "greenlight", version, propagate_version = true)]
pub(crate) struct Arguments {
    /// Answer in JSON.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    verb: Verb,
}

/// Which server, and who speaks.
#[derive(Debug, Clone, Args)]
pub(crate) struct Server {
    /// Address of the server.
    #[arg(long, env = "GREENLIGHT_URL", default_value = "http://127.0.0.1:5170")]
    url: String,
    /// Bearer token; a server that was started with --anonymous needs none.
    #[arg(long, env = "GREENLIGHT_TOKEN", hide_env_values = true, default_value = "")]
    token: String,
}

impl Server {
    fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.url, &self.token)
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Walk one lap of the loop on real data, then serve the pages.
    Demo {
        /// Folder of the manifests.
        #[arg(long, default_value = "examples/bank")]
        manifests: PathBuf,
        /// Folder of the data; a temporary one when left out.
        #[arg(long)]
        data: Option<PathBuf>,
        /// Address to listen on; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:5170")]
        listen: SocketAddr,
        /// End after the report.
        #[arg(long)]
        exit: bool,
    },
    /// Run the server.
    Serve(serve::Serve),
    /// Show what applying manifests would change.
    Plan(setup::Manifests),
    /// Create or change what manifests describe, all or nothing.
    Apply(setup::Manifests),
    /// Train a model that a manifest of kind Training describes.
    Train(model::Train),
    /// Issue, list and revoke tokens.
    #[command(subcommand)]
    Token(setup::Token),
    /// Releases: submit, shadow, approve, roll out, roll back.
    #[command(subcommand)]
    Release(release::Release),
    /// Initiatives and what they earned.
    #[command(subcommand)]
    Initiative(look::Initiative),
    /// Model versions: register, list, show.
    #[command(subcommand)]
    Model(model::Model),
    /// Runs.
    #[command(subcommand)]
    Run(look::Run),
    /// Hypotheses and findings: open, search, close.
    #[command(subcommand)]
    Hypothesis(hypothesis::Hypothesis),
    /// Bring what another system keeps.
    #[command(subcommand)]
    Import(import::Import),
    /// Data sets: add, list, show.
    #[command(subcommand)]
    Dataset(dataset::Dataset),
    /// What was made from what.
    #[command(subcommand)]
    Lineage(lineage::Lineage),
    /// Endpoints.
    #[command(subcommand)]
    Endpoint(look::Endpoint),
    /// What an endpoint earned.
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Say what happened to predicted units.
    #[command(subcommand)]
    Outcome(outcome::Outcome),
    Score(score::Score),
    /// Tables of batch predictions that clients look up by key.
    #[command(subcommand)]
    Kv(kv::Kv),
    /// The audit trail, newest first.
    Audit(look::Audit),
    /// Remove for good what was deleted long ago: runs, experiments, logged models, with their files.
    Gc(gc::Gc),
    /// The event log of a data folder whose server is not running.
    #[command(subcommand)]
    Lake(lake::Lake),
    /// Replay recorded history as live traffic.
    Replay(replay::Replay),
    /// What an error code means and what to do.
    Explain {
        /// Such as GL0004; all of them when left out.
        code: Option<String>,
    },
}

/// Runs a verb.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let json = arguments.json;
    match arguments.verb {
        Verb::Demo { manifests, data, listen, exit } => {
            demo::run(Demo { manifests, data, listen, exit, json }).await
        }
        Verb::Serve(verb) => verb.run(json).await,
        Verb::Plan(verb) => verb.plan(json).await,
        Verb::Apply(verb) => verb.apply(json).await,
        Verb::Train(verb) => verb.run(json).await,
        Verb::Token(verb) => verb.run(json).await,
        Verb::Release(verb) => verb.run(json).await,
        Verb::Initiative(verb) => verb.run(json).await,
        Verb::Model(verb) => verb.run(json).await,
        Verb::Run(verb) => verb.run(json).await,
        Verb::Hypothesis(verb) => verb.run(json).await,
        Verb::Import(verb) => verb.run(json).await,
        Verb::Dataset(verb) => verb.run(json).await,
        Verb::Lineage(verb) => verb.run(json).await,
        Verb::Endpoint(verb) => verb.run(json).await,
        Verb::Ledger(verb) => verb.run(json).await,
        Verb::Outcome(verb) => verb.run(json).await,
        Verb::Score(verb) => verb.run(json).await,
        Verb::Kv(verb) => verb.run(json).await,
        Verb::Audit(verb) => verb.run(json).await,
        Verb::Gc(verb) => verb.run(json).await,
        Verb::Lake(verb) => verb.run(json).await,
        Verb::Replay(verb) => verb.run(json).await,
        Verb::Explain { code } => explain::explain(code.as_deref(), json),
    }
}

/// Prints JSON, or what `human` makes of it.
fn show(json: bool, value: &Value, human: impl FnOnce(&Value) -> String) {
    if json {
        println!("{value}");
    } else {
        println!("{}", human(value).trim_end());
    }
}
