//! `greenlight outcome`: outcomes from files, a bounded part of the file at a time.
//!
//! Each part is recorded whole or not at all. Recording one twice is harmless, so a file that was cut off is simply
//! recorded again.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use clap::Subcommand;
use greenlight_app::AppError;
use greenlight_app::outcome::MAX_OUTCOMES;
use greenlight_lake::score::{Reader, Source, parquet_bytes};
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde_json::{Value, json};

use super::{Server, show};
use crate::client::Client;
use crate::failure::Failure;

/// Largest JSON file, which is read whole.
const MAX_JSON_BYTES: u64 = 1 << 30;
/// Bytes of text after which a part is sent, well below what the server takes.
const PART_BYTES: usize = 8 << 20;

const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";
const PARQUET: &str = "application/vnd.apache.parquet";

#[derive(Debug, Subcommand)]
pub(crate) enum Outcome {
    /// Record a file of outcomes: .json, .ndjson, .csv with a header, or .parquet.
    ///
    /// Columns or fields: name, value (0 or 1), at, and either prediction_id or unit; a unit stands for its newest
    /// prediction at that moment. Outcomes may be late, repeated and corrected: the one received last counts.
    Record {
        /// Endpoint.
        endpoint: String,
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        server: Server,
    },
    /// Post outcomes from a JSON file: {"outcomes": [{"prediction_id", "name", "value", "at"}, …]}.
    Post {
        /// Endpoint.
        endpoint: String,
        /// The file.
        #[arg(short, long)]
        file: PathBuf,
        #[command(flatten)]
        server: Server,
    },
}

impl Outcome {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        match self {
            Self::Record { endpoint, file, server } => {
                let mut sender = Sender::new(server.client()?, &endpoint, !json);
                record(&mut sender, &file).await?;
                sender.bar.finish_and_clear();
                let done = json!({ "accepted": sender.accepted, "requests": sender.requests });
                show(json, &done, |d| format!("Recorded {} outcomes.", d["accepted"]));
            }
            Self::Post { endpoint, file, server } => {
                let bytes =
                    std::fs::read(&file).map_err(|e| Failure::Input(format!("{}: {e}", file.display())))?;
                let body: Value = serde_json::from_slice(&bytes)
                    .map_err(|e| Failure::Input(format!("{}: {e}", file.display())))?;
                let done =
                    server.client()?.post(&format!("/v1/endpoints/{endpoint}/outcomes"), &body).await?;
                show(json, &done, |d| format!("Recorded {} outcomes.", d["accepted"]));
            }
        }
        Ok(())
    }
}

struct Sender {
    client: Client,
    path: String,
    accepted: u64,
    requests: u64,
    bar: ProgressBar,
}

impl Sender {
    fn new(client: Client, endpoint: &str, progress: bool) -> Self {
        let bar = ProgressBar::no_length();
        bar.set_draw_target(if progress {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        let path = format!("/v1/endpoints/{endpoint}/outcomes");
        Self { client, path, accepted: 0, requests: 0, bar }
    }

    /// Sends a part; `begins` is the first line, item or row of it, for messages.
    async fn send(&mut self, content_type: &str, body: Vec<u8>, begins: &str) -> Result<(), Failure> {
        let answer = self.client.post_as(&self.path, content_type, body).await;
        let done = answer.map_err(|failure| match failure {
            Failure::Server { status, code, detail } => {
                let before = match self.accepted {
                    0 => String::new(),
                    n => format!(" ({n} outcomes before it are recorded; recording them again is harmless)"),
                };
                let detail = format!("in the part that begins at {begins}: {detail}{before}");
                Failure::Server { status, code, detail }
            }
            other => other,
        })?;
        self.accepted += done["accepted"].as_u64().unwrap_or(0);
        self.requests += 1;
        self.bar.set_position(self.accepted);
        Ok(())
    }
}

async fn record(sender: &mut Sender, path: &Path) -> Result<(), Failure> {
    let named = |e: &dyn std::fmt::Display| Failure::Input(format!("{}: {e}", path.display()));
    let open = || File::open(path).map_err(|e| named(&e));
    match path.extension().and_then(|e| e.to_str()) {
        Some("json") => {
            let mut bytes = Vec::new();
            open()?.take(MAX_JSON_BYTES + 1).read_to_end(&mut bytes).map_err(|e| named(&e))?;
            if bytes.len() as u64 > MAX_JSON_BYTES {
                return Err(named(&"is larger than 1 GiB; write one outcome a line into an .ndjson file"));
            }
            items(sender, serde_json::from_slice(&bytes).map_err(|e| named(&e))?).await
        }
        Some("ndjson" | "jsonl") => lines(sender, BufReader::new(open()?)).await,
        Some("csv") => records(sender, open()?).await,
        Some("parquet" | "pq") => rows(sender, path).await,
        _ => Err(named(&"is none of .json, .ndjson, .jsonl, .csv and .parquet")),
    }
}

async fn items(sender: &mut Sender, whole: Value) -> Result<(), Failure> {
    let list = match whole {
        Value::Array(list) => list,
        Value::Object(mut object) => match object.remove("outcomes") {
            Some(Value::Array(list)) => list,
            Some(other) => vec![other],
            None => vec![Value::Object(object)],
        },
        other => vec![other],
    };
    for (index, part) in list.chunks(MAX_OUTCOMES).enumerate() {
        let begins = format!("outcomes[{}]", index * MAX_OUTCOMES);
        let mut body = Vec::new();
        for item in part {
            serde_json::to_writer(&mut body, item).map_err(|e| Failure::Input(e.to_string()))?;
            body.push(b'\n');
        }
        sender.send(NDJSON, body, &begins).await?;
    }
    Ok(())
}

async fn lines(sender: &mut Sender, mut reader: impl BufRead) -> Result<(), Failure> {
    let (mut body, mut held, mut line, mut begins) = (Vec::new(), 0, 0_u64, 1);
    loop {
        let before = body.len();
        let mut bounded = Read::by_ref(&mut reader).take(PART_BYTES as u64);
        let read = bounded.read_until(b'\n', &mut body)?;
        if read == PART_BYTES && body.last() != Some(&b'\n') {
            return Err(Failure::Input(format!("line {} is longer than {PART_BYTES} bytes", line + 1)));
        }
        line += u64::from(read > 0);
        held += usize::from(!body[before..].trim_ascii().is_empty());
        if held > 0 && (read == 0 || held == MAX_OUTCOMES || body.len() >= PART_BYTES) {
            sender.send(NDJSON, std::mem::take(&mut body), &format!("line {begins}")).await?;
            (held, begins) = (0, line + 1);
        }
        if read == 0 {
            return Ok(());
        }
    }
}

async fn records(sender: &mut Sender, file: File) -> Result<(), Failure> {
    let wrong = |e: csv::Error| Failure::Input(e.to_string());
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(file);
    let mut records = reader.byte_records();
    let Some(header) = records.next() else { return Ok(()) };
    let header = header.map_err(wrong)?;
    let begin = || {
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        writer.write_byte_record(&header).map(|()| writer)
    };
    let (mut writer, mut held, mut bytes, mut begins) = (begin().map_err(wrong)?, 0, 0, 2);
    for record in records {
        let record = record.map_err(wrong)?;
        if held == 0 {
            begins = record.position().map_or(0, csv::Position::line);
        }
        writer.write_byte_record(&record).map_err(wrong)?;
        held += 1;
        bytes += record.as_slice().len();
        if held == MAX_OUTCOMES || bytes >= PART_BYTES {
            let full = std::mem::replace(&mut writer, begin().map_err(wrong)?);
            let body = full.into_inner().map_err(|e| Failure::Input(e.to_string()))?;
            sender.send(CSV, body, &format!("line {begins}")).await?;
            (held, bytes) = (0, 0);
        }
    }
    if held > 0 {
        let body = writer.into_inner().map_err(|e| Failure::Input(e.to_string()))?;
        sender.send(CSV, body, &format!("line {begins}")).await?;
    }
    Ok(())
}

async fn rows(sender: &mut Sender, path: &Path) -> Result<(), Failure> {
    let source = Source::open(&path.to_string_lossy(), None).await.map_err(AppError::from)?;
    if let Some(rows) = source.rows() {
        sender.bar.set_length(rows);
    }
    let columns = source.columns();
    let mut reader = Reader::open(&source, Arc::from([]), &columns, 0).map_err(AppError::from)?;
    let mut sent = 0;
    loop {
        let pieces =
            tokio::task::block_in_place(|| reader.next_chunk(MAX_OUTCOMES)).map_err(AppError::from)?;
        if pieces.is_empty() {
            return Ok(());
        }
        let batches: Vec<_> = pieces.into_iter().map(|piece| piece.kept).collect();
        let body = parquet_bytes(&batches).map_err(AppError::from)?;
        sender.send(PARQUET, body, &format!("row {}", sent + 1)).await?;
        sent += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    }
}
