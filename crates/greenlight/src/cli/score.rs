//! `greenlight score`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{Server, show};
use crate::demo::text;
use crate::failure::Failure;
use crate::score::{self, Plan, Target, Which};

/// Rows of a chunk when the command does not say.
const FILE_ROWS: usize = 100_000;
/// Most rows of a chunk that the key-value store takes.
const MAX_KV_ROWS: usize = 10_000;
const MAX_ROWS: usize = 1_000_000;

/// Run a model or an endpoint's decisions over a whole file or table.
///
/// The model's file is fetched from the server and rows are scored here, chunk by chunk, in bounded memory. Every
/// chunk is written exactly once: after a crash, repeat the command with --resume. A Parquet file and a key-value
/// table appear whole, at the end; a Delta table grows by one commit a chunk.
///
/// With --endpoint each row gets the decision that its champion would take: the one with the highest expected value.
/// No unit is held out, and nothing is logged as live traffic, so what a batch decides is not settled in the ledger.
#[derive(Debug, Args)]
pub(crate) struct Score {
    /// Model version, such as calls-boosted@1.
    #[arg(long, required_unless_present = "endpoint", conflicts_with = "endpoint")]
    model: Option<String>,
    /// Endpoint whose champion and value model are asked; adds the column 'decision'.
    #[arg(long)]
    endpoint: Option<String>,
    /// Rows: FILE.parquet, FILE.csv with a header, or a Delta table; a path, s3://, gs://, az:// or https:// URL.
    ///
    /// The clouds' usual variables (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, …) say who asks.
    #[arg(long)]
    input: String,
    /// Results: FILE.parquet, a folder (becomes a Delta table), or kv:TABLE (replaces the table, all at once).
    #[arg(long)]
    output: String,
    /// Column that becomes the key of kv:TABLE; in files it is kept.
    #[arg(long)]
    key: Option<String>,
    /// Columns to carry through, separated by commas.
    #[arg(long, value_delimiter = ',')]
    keep: Vec<String>,
    /// How long kv:TABLE is read after it is published, such as 12h or 7d.
    #[arg(long)]
    expires: Option<String>,
    /// Rows that are scored and written together [default: 100000; 10000 into kv:].
    #[arg(long)]
    batch_rows: Option<usize>,
    /// Go on with a job that was cut off; begins when there is none.
    #[arg(long)]
    resume: bool,
    /// Replace an output that exists, or start over instead of resuming.
    #[arg(long, conflicts_with = "resume")]
    force: bool,
    #[command(flatten)]
    server: Server,
}

impl Score {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        let client = self.server.client()?;
        let plan = self.plan(!json)?;
        let scored = json!(score::run(&client, plan).await?);
        show(json, &scored, summary);
        Ok(())
    }

    fn plan(self, progress: bool) -> Result<Plan, Failure> {
        let target = target(&self.output, self.key.as_deref())?;
        let into_kv = matches!(target, Target::Kv { .. });
        let (default, most) = if into_kv { (MAX_KV_ROWS, MAX_KV_ROWS) } else { (FILE_ROWS, MAX_ROWS) };
        let batch_rows = self.batch_rows.unwrap_or(default);
        if batch_rows == 0 || batch_rows > most {
            return Err(Failure::Input(format!("--batch-rows: must be 1 to {most}")));
        }
        if self.expires.is_some() && !into_kv {
            return Err(Failure::Input("--expires: only kv:TABLE expires".to_owned()));
        }
        let mut keep = self.keep;
        keep.retain(|column| Some(column) != self.key.as_ref());
        keep.splice(0..0, self.key);
        let which = match (self.model, self.endpoint) {
            (Some(model), None) => Which::Model(model),
            (None, Some(endpoint)) => Which::Endpoint(endpoint),
            _ => return Err(Failure::Input("name either --model or --endpoint".to_owned())),
        };
        Ok(Plan {
            which,
            input: self.input,
            target,
            keep,
            batch_rows,
            expires_seconds: self.expires.as_deref().map(seconds).transpose()?,
            resume: self.resume,
            force: self.force,
            progress,
        })
    }
}

fn target(output: &str, key: Option<&str>) -> Result<Target, Failure> {
    if let Some(table) = output.strip_prefix("kv:") {
        let key = key.ok_or_else(|| {
            Failure::Input("--key: say which column clients look up, such as --key client_id".to_owned())
        })?;
        return Ok(Target::Kv { table: table.to_owned(), key: key.to_owned() });
    }
    let path = output.strip_prefix("file://").unwrap_or(output);
    if let Some((scheme, _)) = path.split_once("://") {
        return Err(Failure::Input(format!("--output: '{scheme}://' is not written; name a local path")));
    }
    let path = PathBuf::from(path.trim_end_matches('/'));
    match path.extension().and_then(|e| e.to_str()) {
        _ if path.as_os_str().is_empty() => Err(Failure::Input("--output: is empty".to_owned())),
        Some("parquet" | "pq") => Ok(Target::Parquet(path)),
        Some("csv") => Err(Failure::Input("--output: CSV is read, not written; use .parquet".to_owned())),
        _ => Ok(Target::Delta(path)),
    }
}

/// `90s`, `30m`, `12h` or `7d` in seconds.
fn seconds(text: &str) -> Result<u64, Failure> {
    let wrong = || Failure::Input(format!("--expires: '{text}' is not a time such as 30m, 12h or 7d"));
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).filter(|s| *s > 0).ok_or_else(wrong)
}

fn summary(done: &Value) -> String {
    let resumed = done["resumed_after"].as_u64().unwrap_or(0);
    let before = if resumed > 0 { format!(" ({resumed} before were there already)") } else { String::new() };
    format!(
        "Scored {} rows{before} with {} into {} in {:.1} s: {:.0} rows/s.",
        done["rows"],
        text(done, "model"),
        text(done, "output"),
        done["seconds"].as_f64().unwrap_or_default(),
        done["rows_per_second"].as_f64().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_targets_are_read_as_people_write_them() {
        for (text, expected) in [("90s", 90), ("30m", 1_800), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(seconds(text).unwrap(), expected);
        }
        for bad in ["", "7", "d", "0d", "-1d", "7w", "7 d", "99999999999999999999d", "7é"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        let kv = Target::Kv { table: "t".to_owned(), key: "id".to_owned() };
        assert_eq!(target("kv:t", Some("id")).unwrap(), kv);
        assert!(target("kv:t", None).is_err());
        assert_eq!(target("file:///a/b.parquet", None).unwrap(), Target::Parquet("/a/b.parquet".into()));
        assert_eq!(target("scores/", None).unwrap(), Target::Delta("scores".into()));
        assert!(target("s3://bucket/x", None).is_err() && target("a.csv", None).is_err());
    }
}
