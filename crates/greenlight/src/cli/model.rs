//! `greenlight model` and `greenlight train`: model versions and where they come from.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use greenlight_domain::endpoint::check_name;
use greenlight_domain::registry::ModelUri;
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
        "{}@{} from run {}{}\n",
        text(&made["model"], "name"),
        made["model"]["version"],
        text(&made["run"], "id"),
        if made["existing"] == true { "; registered before, nothing was made" } else { "" }
    );
    for metric in made["run"]["metrics"].as_array().into_iter().flatten() {
        let value = metric[1].as_f64().unwrap_or_default();
        let _ = writeln!(out, "  {:24} {value:.4}", metric[0].as_str().unwrap_or_default());
    }
    out
}

#[derive(Debug, Args)]
pub(crate) struct Register {
    /// Name of the model; the file or upstream becomes its next version [default: the registry's, with --from].
    #[arg(required_unless_present = "from")]
    name: Option<String>,
    /// The file.
    #[arg(required_unless_present_any = ["addresses", "from"], conflicts_with_all = ["addresses", "from"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    upstream: Upstream,
    /// Version of the registry that it is, such as models:/churn@champion or models:/churn/3. What its run says need
    /// not be said here.
    #[arg(long, value_name = "URI", conflicts_with = "addresses")]
    from: Option<String>,
    /// The name, with --from.
    #[arg(long = "name", value_name = "NAME", requires = "from", conflicts_with = "name")]
    other_name: Option<String>,
    /// Data set that it was trained on, such as bank@1.
    #[arg(long, required_unless_present = "from")]
    dataset: Option<String>,
    /// End of its training window, exclusive, such as 2020-11-01.
    #[arg(long, required_unless_present = "from")]
    trained_until: Option<String>,
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
}

impl Register {
    async fn run(self, json: bool) -> Result<(), Failure> {
        let name = self.name()?;
        let client = self.server.client()?;
        let sha256 = match &self.file {
            Some(file) => manifest::upload_file(&client, file).await?,
            None => String::new(),
        };
        let wanted = if self.upstream.addresses.is_empty() { Value::Null } else { self.upstream.wanted()? };
        let converted_from = match &self.converted_from {
            Some(original) => Some(manifest::upload_file(&client, original).await?),
            None => None,
        };
        let request = json!({
            "sha256": sha256, "from": self.from, "upstream": wanted, "columns": self.upstream.columns,
            "dataset": self.dataset.unwrap_or_default(), "trained_until": self.trained_until,
            "initiative": self.initiative, "converted_from": converted_from, "tolerance": self.tolerance,
        });
        let made = client.post(&format!("/v1/models/{name}/versions"), &request).await?;
        show(json, &made, trained);
        Ok(())
    }

    /// The name that was given, or else that in the URI.
    fn name(&self) -> Result<String, Failure> {
        if let Some(name) = self.name.as_ref().or(self.other_name.as_ref()) {
            return Ok(name.clone());
        }
        let uri = self.from.as_deref().unwrap_or_default();
        let Some(
            ModelUri::Version(name, _)
            | ModelUri::Latest(name)
            | ModelUri::Stage(name, _)
            | ModelUri::Alias(name, _),
        ) = uri.strip_prefix("models:").and_then(ModelUri::parse)
        else {
            return Err(Failure::Input(format!(
                "'{uri}' names no version of the registry; write models:/NAME@ALIAS or models:/NAME/3"
            )));
        };
        check_name("name", &name)
            .map_err(|e| Failure::Input(format!("{e}; give it another one with --name")))?;
        Ok(name)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// Register a model file (LightGBM text, XGBoost JSON or UBJSON, ONNX), a version of the registry or a model of
    /// another server.
    Register(Box<Register>),
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
            Self::Register(register) => register.run(json).await?,
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
