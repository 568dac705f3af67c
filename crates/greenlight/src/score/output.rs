//! Where results go: a Parquet file, a Delta table, or a table of the key-value store.
//!
//! Each takes chunks by number and is told when the last one came. Before that nobody sees a Parquet file or the new
//! generation of a key-value table; a Delta table shows what is committed so far.

use std::fmt;
use std::path::PathBuf;

use arrow_array::RecordBatch;
use greenlight_app::AppError;
use greenlight_app::lake::LakeError;
use greenlight_lake::score::{DeltaOutput, assemble, is_delta, json_rows, write_part};
use serde_json::{Value, json};

use super::Plan;
use super::journal::{Job, Journal};
use crate::client::Client;
use crate::demo::text;
use crate::failure::Failure;

/// Where results go, as the command names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// One Parquet file.
    Parquet(PathBuf),
    /// The folder of a Delta table.
    Delta(PathBuf),
    /// A table of the key-value store, keyed by that column.
    Kv { table: String, key: String },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parquet(path) | Self::Delta(path) => path.display().fmt(f),
            Self::Kv { table, .. } => write!(f, "kv:{table}"),
        }
    }
}

impl Target {
    /// The folder beside a file in which its job works.
    pub(super) fn work_folder(&self) -> Option<PathBuf> {
        match self {
            Self::Parquet(path) | Self::Delta(path) => {
                let mut folder = path.as_os_str().to_owned();
                folder.push(".score");
                Some(PathBuf::from(folder))
            }
            Self::Kv { .. } => None,
        }
    }
}

pub(super) enum Output {
    Parquet { path: PathBuf, journal: Journal },
    Delta { table: DeltaOutput, journal: Journal },
    Kv(Box<Kv>),
}

impl Output {
    pub(super) async fn open(client: &Client, plan: &Plan, job: Job) -> Result<Self, Failure> {
        let work = plan.target.work_folder();
        match (&plan.target, work) {
            (Target::Parquet(path), Some(work)) => {
                if path.is_dir() {
                    return Err(Failure::Input(format!("{} is a folder", path.display())));
                }
                let journal = Journal::open(work, job, plan, path.exists())?;
                Ok(Self::Parquet { path: path.clone(), journal })
            }
            (Target::Delta(folder), Some(work)) => {
                let name = format!("greenlight-score-{}", job.id());
                let taken = folder.read_dir().is_ok_and(|mut entries| entries.next().is_some());
                if taken && plan.force && !is_delta(folder) {
                    // The folder may have been named by mistake.
                    let problem =
                        format!("{} is not a Delta table and not empty; it is not removed", folder.display());
                    return Err(AppError::Conflict(problem).into());
                }
                let journal = Journal::open(work, job, plan, taken)?;
                if taken && plan.force {
                    std::fs::remove_dir_all(folder)?;
                }
                let table = DeltaOutput::open(folder, &name).await.map_err(AppError::from)?;
                Ok(Self::Delta { table, journal })
            }
            (Target::Kv { table, key }, _) => {
                Ok(Self::Kv(Box::new(Kv::open(client, plan, job, table, key).await?)))
            }
            (target, None) => Err(Failure::Input(format!("{target} has no place to work in"))),
        }
    }

    /// Chunks that are durable already.
    pub(super) fn durable(&self) -> u64 {
        match self {
            Self::Parquet { journal, .. } => journal.chunks(),
            Self::Delta { table, journal } => table.chunks().max(journal.chunks()),
            Self::Kv(kv) => kv.durable,
        }
    }

    /// Whether an earlier run had finished all but saying so.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self, Self::Kv(kv) if kv.published)
    }

    /// Makes chunk number `sequence` durable.
    pub(super) async fn write(&mut self, sequence: u64, batches: Vec<RecordBatch>) -> Result<(), Failure> {
        match self {
            Self::Parquet { journal, .. } => {
                let part = journal.part(sequence);
                blocking(|| write_part(&part, &batches))?;
                journal.note(sequence)
            }
            Self::Delta { table, journal } => {
                table.commit(sequence, batches).await.map_err(AppError::from)?;
                journal.note(sequence)
            }
            Self::Kv(kv) => kv.put(sequence, &batches).await,
        }
    }

    /// Leaves nothing of a job that found no rows.
    pub(super) async fn discard(self) -> Result<(), Failure> {
        match self {
            Self::Parquet { journal, .. } | Self::Delta { journal, .. } => journal.remove(),
            Self::Kv(kv) => kv.client.delete(&kv.path).await.map(|_| ()),
        }
    }

    /// Shows the whole result and leaves nothing else behind.
    pub(super) async fn finish(self, chunks: u64) -> Result<(), Failure> {
        match self {
            Self::Parquet { path, journal } => {
                let parts: Vec<PathBuf> = (1..=chunks).map(|sequence| journal.part(sequence)).collect();
                blocking(|| assemble(&parts, &path))?;
                journal.remove()
            }
            Self::Delta { journal, .. } => journal.remove(),
            Self::Kv(kv) => kv.publish().await,
        }
    }
}

fn blocking<T>(work: impl FnOnce() -> Result<T, LakeError>) -> Result<T, Failure> {
    Ok(tokio::task::block_in_place(work).map_err(AppError::from)?)
}

/// The load of a generation, on the server.
pub(super) struct Kv {
    client: Client,
    key: String,
    /// `/v1/kv/TABLE/loads/GENERATION`.
    path: String,
    durable: u64,
    published: bool,
}

impl Kv {
    async fn open(client: &Client, plan: &Plan, job: Job, table: &str, key: &str) -> Result<Self, Failure> {
        let tables = client.get("/v1/kv").await?;
        let known = tables.as_array().and_then(|tables| tables.iter().find(|t| t["table"] == table));
        let of = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let loading = of(known.map(|t| &t["loading"]["generation"]));
        let active = of(known.map(|t| &t["generation"]));
        let generation = generation(plan, &job.id(), loading, active)?;
        let path = format!("/v1/kv/{table}/loads/{generation}");
        let begun = client.post(&path, &json!({ "expires_seconds": plan.expires_seconds })).await?;
        Ok(Self {
            client: client.clone(),
            key: key.to_owned(),
            path,
            durable: begun["durable"].as_u64().unwrap_or(0),
            published: begun["published"].as_bool().unwrap_or(false),
        })
    }

    async fn put(&self, sequence: u64, batches: &[RecordBatch]) -> Result<(), Failure> {
        let mut rows = Vec::new();
        for batch in batches {
            for (key, value) in json_rows(batch, &self.key).map_err(AppError::from)? {
                let key = key.filter(|key| !key.is_empty()).ok_or_else(|| {
                    Failure::Input(format!("chunk {sequence}: column '{}' has a row without a key", self.key))
                })?;
                rows.push(json!({ "key": key, "value": value }));
            }
        }
        self.client.put_json(&format!("{}/{sequence}", self.path), &json!({ "rows": rows })).await.map(|_| ())
    }

    async fn publish(&self) -> Result<(), Failure> {
        self.client.post(&format!("{}/publish", self.path), &json!({})).await.map(|published| {
            tracing::debug!(generation = text(&published, "generation"), "published");
        })
    }
}

/// Which generation to load. Its name carries the job, so that a run that resumes finds its own.
fn generation(
    plan: &Plan,
    job: &str,
    loading: Option<String>,
    active: Option<String>,
) -> Result<String, Failure> {
    let mine = format!("score-{job}-");
    let output = &plan.target;
    let conflict = |problem: String| Err(AppError::Conflict(problem).into());
    match (loading, active) {
        (Some(loading), _) if plan.resume && loading.starts_with(&mine) => return Ok(loading),
        (None, Some(active)) if plan.resume && active.starts_with(&mine) => return Ok(active),
        (Some(_), _) if plan.resume => {
            return conflict(format!(
                "the load that was cut off at {output} is of another job: the input, the model, the columns or \
                 --batch-rows differ; repeat the command of that job, or start over with --force"
            ));
        }
        (Some(_), _) if !plan.force => {
            return conflict(format!(
                "a load of {output} is on its way or was cut off; go on with --resume, or start over with --force"
            ));
        }
        _ => {}
    }
    Ok(format!("{mine}{}", uuid::Uuid::now_v7().simple()))
}
