//! `greenlight import`: bringing what another system keeps.

use std::io::IsTerminal;
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::{Server, show};
use crate::failure::Failure;
use crate::import::{Asked, run};

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    Mlflow(Mlflow),
}

/// Experiments, runs, metrics, files, models and aliases of MLflow.
///
/// Ids, version numbers, dates and authors stay as they are. It may break off and be run again: what has arrived is not
/// read again, and a second run changes nothing. What somebody made, moved or deleted here is left alone. Deleted runs,
/// experiments and versions, traces and prompts are not brought.
///
/// A server that asks who you are is told so by `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`, or
/// `MLFLOW_TRACKING_TOKEN`, as by MLflow's own client.
#[derive(Debug, Args)]
pub(crate) struct Mlflow {
    /// Address of a tracking server (http or https), or the path of an mlruns folder.
    #[arg(long, value_name = "URI")]
    from: String,
    /// Name of an experiment, and of the models of its runs; may be given several times [default: all].
    #[arg(long = "experiment", value_name = "NAME")]
    experiments: Vec<String>,
    /// Runs at once.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    jobs: u8,
    /// Only say what would come.
    #[arg(long)]
    dry_run: bool,
    /// Look again at everything that has arrived: files that were added to runs later are found only so.
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    server: Server,
}

impl Import {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        let Self::Mlflow(asked) = self;
        let client = asked.server.client()?;
        let bar = bar(!json && std::io::stderr().is_terminal());
        let asked = Asked {
            from: asked.from,
            experiments: asked.experiments,
            jobs: usize::from(asked.jobs),
            dry_run: asked.dry_run,
            again: asked.again,
        };
        let report = run(client, asked, bar.clone()).await.inspect_err(|error| {
            bar.finish_and_clear();
            if !json && !matches!(error, Failure::Input(_)) {
                eprintln!(
                    "The import broke off. What has arrived stays; run the same command again to go on."
                );
            }
        })?;
        show(json, &json!(report), |_| report.human());
        if report.has_failures() {
            return Err(Failure::Partly(
                "some of it did not come; mend what the report says and run the same command again",
            ));
        }
        Ok(())
    }
}

fn bar(is_shown: bool) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} [{elapsed}] {msg}") {
        bar.set_style(style);
    }
    if !is_shown {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
