//! What a job is, and the note beside its output of how far it came.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use greenlight_app::AppError;
use greenlight_domain::evidence::hex;
use greenlight_lake::score::Source;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Plan;
use super::model::Scorer;
use super::output::Target;
use crate::failure::Failure;

/// Everything that the results depend on. Two runs of one job write the same chunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Path or URL.
    pub input: String,
    /// What tells that its rows are the same.
    pub input_digest: String,
    /// Version of a Delta table.
    pub input_version: Option<u64>,
    /// `name@version`.
    pub model: String,
    /// SHA-256 of the model's file.
    pub model_sha256: String,
    /// Endpoint and SHA-256 of its value model, when decisions were asked for.
    pub policy: Option<(String, String)>,
    /// Columns that are carried through.
    pub keep: Vec<String>,
    /// Rows of a chunk.
    pub batch_rows: usize,
}

impl Job {
    pub(super) fn new(source: &Source, scorer: &Scorer, plan: &Plan) -> Self {
        Self {
            input: plan.input.clone(),
            input_digest: source.digest().to_owned(),
            input_version: source.version(),
            model: scorer.reference().to_owned(),
            model_sha256: scorer.sha256().to_owned(),
            policy: scorer.policy(),
            keep: plan.keep.clone(),
            batch_rows: plan.batch_rows,
        }
    }

    /// 16 hexadecimal digits that stand for the job, in Delta transactions and names of generations.
    pub(crate) fn id(&self) -> String {
        // Text and numbers: there is nothing in it that JSON could refuse.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        hex(&Sha256::digest(bytes)).chars().take(16).collect()
    }

    /// What tells two jobs apart, for people.
    fn differences(&self, other: &Self) -> String {
        let rows = self.batch_rows != other.batch_rows;
        let content = self.input_digest != other.input_digest || self.input_version != other.input_version;
        let named = [
            (self.input != other.input, "another input"),
            (self.input == other.input && content, "an input that has changed since"),
            (self.model != other.model, "another model"),
            (self.model == other.model && self.model_sha256 != other.model_sha256, "another model file"),
            (self.policy != other.policy, "another endpoint or value model"),
            (self.keep != other.keep, "other columns to keep"),
            (rows, "another --batch-rows"),
        ];
        named.iter().filter(|(differs, _)| *differs).map(|(_, what)| *what).collect::<Vec<_>>().join(", ")
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Written {
    job: Job,
    /// Chunks that are durable.
    chunks: u64,
}

/// The folder beside an output in which its job works, held by one process at a time.
pub(super) struct Journal {
    folder: PathBuf,
    written: Written,
    _lock: File,
}

/// The version of a Delta input that a job which was cut off has been reading.
pub(super) fn pinned_version(target: &Target) -> Result<Option<u64>, Failure> {
    let Some(folder) = target.work_folder() else { return Ok(None) };
    Ok(load(&folder)?.and_then(|written| written.job.input_version))
}

fn load(folder: &Path) -> Result<Option<Written>, Failure> {
    let path = folder.join("journal.json");
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| {
            Failure::Input(format!(
                "{}: not a journal of this version ({e}); start over with --force",
                path.display()
            ))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::Input(format!("{}: {error}", path.display()))),
    }
}

impl Journal {
    /// Begins, resumes or starts over. `taken` says that the output is there already.
    pub(super) fn open(folder: PathBuf, job: Job, plan: &Plan, taken: bool) -> Result<Self, Failure> {
        let known = load(&folder)?;
        let output = &plan.target;
        let conflict = |problem: String| Err(AppError::Conflict(problem).into());
        let written = match known {
            Some(written) if plan.resume => {
                let differences = written.job.differences(&job);
                if !differences.is_empty() {
                    return conflict(format!(
                        "the job that was cut off at {output} is not this one: this has {differences}; repeat the \
                         command of that job, or start over with --force"
                    ));
                }
                written
            }
            Some(written) if !plan.force => {
                return conflict(format!(
                    "a job that writes {output} was cut off after {} chunks; go on with --resume, or start over with \
                     --force",
                    written.chunks
                ));
            }
            None if taken && !plan.force => {
                return conflict(format!("{output} exists; name another output, or replace it with --force"));
            }
            _ => Written { job, chunks: 0 },
        };
        std::fs::create_dir_all(&folder)?;
        let lock = lock(&folder)?;
        let journal = Self { folder, written, _lock: lock };
        journal.save()?;
        Ok(journal)
    }

    pub(super) fn chunks(&self) -> u64 {
        self.written.chunks
    }

    /// Where chunk number `sequence` waits for the others.
    pub(super) fn part(&self, sequence: u64) -> PathBuf {
        self.folder.join(format!("part-{sequence:08}.parquet"))
    }

    /// Notes that chunk number `sequence` is durable.
    pub(super) fn note(&mut self, sequence: u64) -> Result<(), Failure> {
        self.written.chunks = sequence;
        self.save()
    }

    fn save(&self) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(&self.written).map_err(|e| Failure::Input(e.to_string()))?;
        let temporary = self.folder.join("journal.json.tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, self.folder.join("journal.json"))?;
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }

    /// The job is done: nothing of it is left but its output.
    pub(super) fn remove(self) -> Result<(), Failure> {
        Ok(std::fs::remove_dir_all(&self.folder)?)
    }
}

fn lock(folder: &Path) -> Result<File, Failure> {
    let path = folder.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(AppError::Conflict(format!("another process works in {}", folder.display())).into())
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_known_by_what_its_results_depend_on() {
        let job = Job {
            input: "in.csv".to_owned(),
            input_digest: "a".to_owned(),
            input_version: None,
            model: "m@1".to_owned(),
            model_sha256: "b".to_owned(),
            policy: None,
            keep: vec!["id".to_owned()],
            batch_rows: 10,
        };
        assert_eq!(job.id(), job.clone().id());
        assert_eq!(job.differences(&job.clone()), "");
        let changed = Job { input_digest: "c".to_owned(), batch_rows: 11, ..job.clone() };
        assert_ne!(changed.id(), job.id());
        assert_eq!(job.differences(&changed), "an input that has changed since, another --batch-rows");
        let retrained = Job { model_sha256: "d".to_owned(), ..job.clone() };
        assert_eq!(job.differences(&retrained), "another model file");
    }
}
