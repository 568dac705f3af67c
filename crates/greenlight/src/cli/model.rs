//! `greenlight model` and `greenlight train`: model versions and where they come from.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::look::pretty;
use super::upstream::Upstream;
use super::{Server, show};
use crate::demo::text;
use crate::failure::Failure;
use crate::manifest;
use crate::table::{render, row};

#[derive(Debug, Args)]
pub(crate) struct Train {
    /// Name of the training.
    name: String,
    #[command(flatten)]
    server: Server,
}

impl Train {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        let made =
            self.server.client()?.post(&format!("/v1/trainings/{}/runs", self.name), &json!({})).await?;
        show(json, &made, trained);
        Ok(())
    }
}

/// A new version with its metrics.
fn trained(made: &Value) -> String {
    let mut out = format!(
        "{}@{} from run {}\n",
        text(&made["model"], "name"),
        made["model"]["version"],
        text(&made["run"], "id")
    );
    for metric in made["run"]["metrics"].as_array().into_iter().flatten() {
        let value = metric[1].as_f64().unwrap_or_default();
        let _ = writeln!(out, "  {:24} {value:.4}", metric[0].as_str().unwrap_or_default());
    }
    out
}

#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// Register a model file (LightGBM text, XGBoost JSON or UBJSON, ONNX) or a model of another server.
    Register {
        /// Name of the model; the file or upstream becomes its next version.
        name: String,
        /// The file.
        #[arg(required_unless_present = "addresses", conflicts_with = "addresses")]
        file: Option<PathBuf>,
        #[command(flatten)]
        upstream: Box<Upstream>,
        /// Data set that it was trained on, such as bank@1.
        #[arg(long)]
        dataset: String,
        /// End of its training window, exclusive, such as 2020-11-01.
        #[arg(long)]
        trained_until: String,
        /// Initiative that it was made for.
        #[arg(long, default_value = "")]
        initiative: String,
        /// The file that it was converted from, to compare scores with.
        #[arg(long)]
        converted_from: Option<PathBuf>,
        /// Largest difference from the original's scores [default: 0.0001].
        #[arg(long, requires = "converted_from")]
        tolerance: Option<f64>,
        #[command(flatten)]
        server: Server,
    },
    /// The newest model versions.
    List(Server),
    /// One model version with its run.
    Show {
        /// Such as calls-boosted@1.
        reference: String,
        #[command(flatten)]
        server: Server,
    },
}

impl Model {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        match self {
            Self::Register {
                name,
                file,
                upstream,
                dataset,
                trained_until,
                initiative,
                converted_from,
                tolerance,
                server,
            } => {
                let client = server.client()?;
                let sha256 = match file {
                    Some(file) => manifest::upload_file(&client, &file).await?,
                    None => String::new(),
                };
                let wanted = if upstream.addresses.is_empty() { Value::Null } else { upstream.wanted()? };
                let converted_from = match converted_from {
                    Some(original) => Some(manifest::upload_file(&client, &original).await?),
                    None => None,
                };
                let request = json!({
                    "sha256": sha256, "upstream": wanted, "columns": upstream.columns, "dataset": dataset, "trained_until": trained_until,
                    "initiative": initiative, "converted_from": converted_from, "tolerance": tolerance,
                });
                let made = client.post(&format!("/v1/models/{name}/versions"), &request).await?;
                show(json, &made, trained);
            }
            Self::List(server) => {
                let models = server.client()?.get("/v1/models").await?;
                show(json, &models, |m| {
                    let mut rows = vec![row(["model", "data set", "trained until", "author", "sha256"])];
                    for model in m.as_array().into_iter().flatten() {
                        let reference = format!("{}@{}", text(model, "name"), model["version"]);
                        let until = text(model, "trained_until").get(..10).unwrap_or("").to_owned();
                        let digest = text(model, "sha256").get(..12).unwrap_or("").to_owned();
                        rows.push(row([
                            &reference,
                            &text(model, "dataset"),
                            &until,
                            &text(model, "author"),
                            &digest,
                        ]));
                    }
                    render(&rows)
                });
            }
            Self::Show { reference, server } => {
                let (name, version) = greenlight_domain::training::split_version(&reference)
                    .map_err(|e| Failure::Input(e.to_string()))?;
                let model = server.client()?.get(&format!("/v1/models/{name}/versions/{version}")).await?;
                show(json, &model, pretty);
            }
        }
        Ok(())
    }
}
