//! `greenlight dataset`: data sets, their versions, what is in them.

use std::path::Path;

use clap::{Args, Subcommand};
use greenlight_app::AppError;
use greenlight_domain::dataset::record::place;
use greenlight_domain::time::Micros;
use greenlight_lake::profile::profile;
use greenlight_lake::score::{Source, is_delta};
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde_json::{Value, json};

use super::look::pretty;
use super::{Server, show};
use crate::demo::text;
use crate::failure::Failure;
use crate::manifest;
use crate::table::{render, row};

#[derive(Debug, Subcommand)]
pub(crate) enum Dataset {
    /// All data sets, registered or logged by runs.
    List {
        /// Begin after this name; an answer holds 50.
        #[arg(long, default_value = "")]
        after: String,
        #[command(flatten)]
        server: Server,
    },
    /// A data set with its versions and who uses them; with NAME@VERSION one version with all its columns.
    Show {
        /// Such as bank or bank@2.
        reference: String,
        #[command(flatten)]
        server: Server,
    },
    Add(Box<Add>),
}

/// Add a version: read it, say what is in it, and keep it or its place.
///
/// A file of this machine is uploaded, and the server reads it. What lies elsewhere (a URL, or a Delta table) stays
/// there: it is read here, with the credentials of this machine, and only its profile and place are sent. Adding the same
/// content at the same place again changes nothing.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Name of the data set; the content becomes its next version.
    name: String,
    /// FILE.parquet, FILE.csv with a header, FILE.arrow or a Delta table: a path, s3://, gs://, az:// or https:// URL.
    place: String,
    /// Leave a file of this machine where it is: send its place and profile only.
    #[arg(long)]
    no_upload: bool,
    /// What the data are and where they came from.
    #[arg(long, default_value = "")]
    description: String,
    /// SPDX identifier or name of the licence, such as CC-BY-4.0.
    #[arg(long, default_value = "")]
    licence: String,
    /// Who answers for it [default: whoever the token belongs to].
    #[arg(long, default_value = "")]
    owner: String,
    /// Initiative that it was made for.
    #[arg(long, default_value = "")]
    initiative: String,
    /// Id of the run that wrote it.
    #[arg(long, default_value = "")]
    run: String,
    /// Column of event times.
    #[arg(long, default_value = "")]
    time: String,
    #[command(flatten)]
    server: Server,
}

impl Dataset {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        match self {
            Self::List { after, server } => {
                let listed = server.client()?.get(&format!("/v1/datasets?after={}", encoded(&after))).await?;
                show(json, &listed, list);
            }
            Self::Show { reference, server } => {
                let client = server.client()?;
                let path = match reference.rsplit_once('@') {
                    Some((name, version)) => format!("{}/versions/{}", encoded(name), encoded(version)),
                    None => encoded(&reference),
                };
                let found = client.get(&format!("/v1/datasets/{path}")).await?;
                let is_version = found["record"].is_object();
                show(json, &found, if is_version { version } else { pretty });
            }
            Self::Add(add) => add.run(json).await?,
        }
        Ok(())
    }
}

impl Add {
    async fn run(self, json: bool) -> Result<(), Failure> {
        let client = self.server.client()?;
        let waiting = waiting(!json, &format!("Reading {}", self.place));
        let path = Path::new(self.place.strip_prefix("file://").unwrap_or(&self.place));
        let is_file = path.is_file() && !is_delta(path);
        let mut request = json!({
            "description": self.description, "licence": self.licence, "owner": self.owner,
            "initiative": self.initiative, "run_id": self.run, "time_column": self.time,
        });
        if is_file && !self.no_upload {
            // Opened here too, so that a file that cannot be read is refused before it is sent.
            let source = Source::open(&self.place, None).await.map_err(AppError::from)?;
            request["format"] = json!(source.format().to_lowercase());
            request["sha256"] = json!(manifest::upload_file(&client, path).await?);
        } else {
            let source = Source::open(&self.place, None).await.map_err(AppError::from)?;
            request["format"] = json!(source.format().to_lowercase());
            let whole = if is_file || is_delta(path) {
                path.canonicalize()?.display().to_string()
            } else {
                self.place.clone()
            };
            request["source"] = json!(place(&whole));
            request["profile"] = json!(profile(source).await.map_err(AppError::from)?);
        }
        let added = client.post(&format!("/v1/datasets/{}/versions", encoded(&self.name)), &request).await?;
        waiting.finish_and_clear();
        show(json, &added, |added| {
            let reference = format!("{}@{}", text(added, "name"), added["version"]);
            let word = if added["created"] == true { "Added" } else { "Nothing changed: this is" };
            format!("{word} {reference}\n{}", version(added))
        });
        Ok(())
    }
}

fn waiting(shown: bool, what: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    if !shown {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    bar
}

/// A part of a path.
pub(crate) fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn list(listed: &Value) -> String {
    let rows = listed.as_array().cloned().unwrap_or_default();
    if rows.is_empty() {
        return "No data sets yet. Next: greenlight dataset add NAME FILE.parquet --licence CC-BY-4.0"
            .to_owned();
    }
    let mut out = vec![row(["data set", "versions", "rows", "columns", "licence", "runs", "initiatives"])];
    for each in &rows {
        let record = &each["newest"]["record"];
        let columns = record["profile"]["columns"].as_array().map_or(0, Vec::len);
        let initiatives = each["initiatives"].as_array().cloned().unwrap_or_default();
        let names: Vec<&str> = initiatives.iter().filter_map(Value::as_str).collect();
        let known = record.is_object();
        out.push(row([
            &text(each, "name"),
            &each["versions"].to_string(),
            &if known { record["profile"]["rows"].to_string() } else { "logged only".to_owned() },
            &if known { columns.to_string() } else { String::new() },
            &text(&each["newest"]["spec"], "licence"),
            &each["runs"].to_string(),
            &names.join(", "),
        ]));
    }
    render(&out)
}

fn version(found: &Value) -> String {
    let record = &found["record"];
    let profile = &record["profile"];
    let mut rows = vec![row(["column", "type", "missing", "distinct", "from", "to", "most frequent"])];
    for column in profile["columns"].as_array().into_iter().flatten() {
        let top: Vec<&str> = column["top"]
            .as_array()
            .into_iter()
            .flatten()
            .take(3)
            .filter_map(|t| t["value"].as_str())
            .collect();
        let is_time = column["content"] == "time";
        let number = |value: &Value| match value.as_f64() {
            Some(micros) if is_time => Micros(micros as i64).date().to_string(),
            Some(number) => format!("{number}"),
            None => String::new(),
        };
        rows.push(row([
            &text(column, "name"),
            &text(column, "type"),
            &column["missing"].to_string(),
            &column["distinct"].as_i64().map_or_else(|| "over 10000".to_owned(), |n| n.to_string()),
            &number(&column["spread"]["min"]),
            &number(&column["spread"]["max"]),
            &top.join(", "),
        ]));
    }
    format!(
        "  {} rows, digest {}, at {}\n{}",
        profile["rows"],
        text(profile, "digest").get(..12).unwrap_or_default(),
        text(record, "source"),
        render(&rows)
    )
}
