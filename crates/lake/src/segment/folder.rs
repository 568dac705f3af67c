//! The segments of one table: their numbers, how far each is durable, and which are closed.
//!
//! The writer thread reports here after each sync; sealing and reading take what stands here, so bytes that were
//! written but not synced are never seen. Refuses to open a segment whose good part cannot be told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use greenlight_app::lake::LakeError;
use greenlight_domain::frame::Field;

use super::{Kind, MAGIC, read};
use crate::error;
use crate::segment::disk::{self, sync_folder};

/// The features that the records of a segment have.
pub(crate) type Features = Arc<[Field]>;

/// A segment that holds rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) sequence: i64,
    pub(crate) path: PathBuf,
    /// Bytes that are durable.
    pub(crate) good: u64,
    /// Whether the writer is done with it.
    pub(crate) closed: bool,
}

/// The segments of one table.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    kind: Kind,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    segments: BTreeMap<i64, Segment>,
    next: i64,
}

impl Folder {
    /// Reads what a crash left behind, cutting torn tails; `sealed` is the newest number that the table records.
    /// Also returns the features of the segments that hold rows.
    pub(crate) fn recover(
        path: PathBuf,
        kind: Kind,
        sealed: i64,
    ) -> Result<(Self, Vec<Features>), LakeError> {
        std::fs::create_dir_all(&path).map_err(|e| error::io(&path, &e))?;
        let mut state = State { segments: BTreeMap::new(), next: sealed + 1 };
        let mut all_features = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(|e| error::io(&path, &e))? {
            let file = entry.map_err(|e| error::io(&path, &e))?.path();
            let Some(sequence) = sequence_of(&file, kind) else { continue };
            state.next = state.next.max(sequence + 1);
            if let Some((segment, features)) = recover_file(file, sequence)? {
                state.segments.insert(sequence, segment);
                all_features.push(features);
            }
        }
        // The folder may be new: its name, its endpoint's name and their parent must be durable too.
        for folder in path.ancestors().take(3) {
            sync_folder(folder).map_err(|e| error::io(folder, &e))?;
        }
        Ok((Self { path, kind, state: Mutex::new(state) }, all_features))
    }

    /// Takes a number and the path of a new segment.
    pub(crate) fn next(&self) -> (i64, PathBuf) {
        let mut state = self.state();
        let sequence = state.next;
        state.next += 1;
        (sequence, self.path.join(format!("{}-{sequence:012}.seg", self.kind.as_str())))
    }

    /// Reports that the first `good` bytes of a segment are durable.
    pub(crate) fn advance(&self, sequence: i64, path: &Path, good: u64) {
        let segment = Segment { sequence, path: path.to_owned(), good, closed: false };
        self.state().segments.insert(sequence, segment);
    }

    /// Reports that a segment gets no more rows.
    pub(crate) fn close(&self, sequence: i64) {
        if let Some(segment) = self.state().segments.get_mut(&sequence) {
            segment.closed = true;
        }
    }

    /// Every segment with durable rows, oldest first.
    pub(crate) fn segments(&self) -> Vec<Segment> {
        self.state().segments.values().cloned().collect()
    }

    /// The segments that can be sealed, oldest first: those before the first one that is still open.
    pub(crate) fn closed(&self) -> Vec<Segment> {
        self.state().segments.values().take_while(|segment| segment.closed).cloned().collect()
    }

    /// Deletes segments that are sealed.
    pub(crate) fn delete(&self, segments: &[Segment]) -> Result<(), LakeError> {
        for segment in segments {
            std::fs::remove_file(&segment.path).map_err(|e| error::io(&segment.path, &e))?;
            self.state().segments.remove(&segment.sequence);
        }
        sync_folder(&self.path).map_err(|e| error::io(&self.path, &e))
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sequence_of(file: &Path, kind: Kind) -> Option<i64> {
    let name = file.file_name()?.to_str()?;
    let number = name.strip_prefix(kind.as_str())?.strip_prefix('-')?.strip_suffix(".seg")?;
    number.parse().ok().filter(|sequence| *sequence >= 0)
}

/// Cuts the torn tail of a left-over segment; deletes it when no rows are left.
fn recover_file(path: PathBuf, sequence: i64) -> Result<Option<(Segment, Features)>, LakeError> {
    let bytes = std::fs::read(&path).map_err(|e| error::io(&path, &e))?;
    if let Some(version) =
        bytes.strip_prefix(b"GLSEG").and_then(|rest| rest.get(..3)).filter(|v| *v != b"002")
    {
        let version = String::from_utf8_lossy(version).into_owned();
        let problem = format!(
            "has format {version} where this version reads 002; seal it with the version that wrote it"
        );
        return Err(error::corrupt(&path, problem));
    }
    let found = read::scan(&bytes);
    if found.damaged {
        keep_damaged(&path)?;
    }
    let features = read::features(&path, &bytes, &found)?;
    let Some(features) = features.filter(|_| found.batches() > 0) else {
        std::fs::remove_file(&path).map_err(|e| error::io(&path, &e))?;
        return Ok(None);
    };
    let tail = &bytes[found.good..];
    if !tail.is_empty() {
        if !read::is_zero(tail) {
            tracing::warn!(segment = %path.display(), cut = tail.len(), "cut a torn tail that was never acknowledged");
        }
        let file = std::fs::OpenOptions::new().write(true).open(&path).map_err(|e| error::io(&path, &e))?;
        disk::truncate(&file, found.good as u64).map_err(|e| error::io(&path, &e))?;
    }
    debug_assert!(found.good > MAGIC.len());
    Ok(Some((Segment { sequence, path, good: found.good as u64, closed: true }, features)))
}

/// A crash tears one frame at most. Whatever looks otherwise is kept beside for a person to look at.
fn keep_damaged(path: &Path) -> Result<(), LakeError> {
    let aside = path.with_extension("damaged");
    std::fs::copy(path, &aside).map_err(|e| error::io(&aside, &e))?;
    tracing::error!(segment = %path.display(), copy = %aside.display(), "a segment is damaged before its end");
    Ok(())
}
