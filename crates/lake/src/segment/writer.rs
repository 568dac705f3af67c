//! The writer thread of one table: group commit.
//!
//! It takes one request and whatever else waits, writes them as one frame, syncs, and only then answers them all.
//! After any error it answers `Unavailable`, cuts the file back to the last durable frame and starts a new segment
//! with the next request: a kernel that failed to sync once cannot be trusted with the same pages again. Refuses to
//! queue without bound: a full queue is answered at once.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use arrow_array::RecordBatch;
use arrow_ipc::MetadataVersion;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, SchemaRef};
use greenlight_app::lake::LakeError;
use greenlight_domain::frame::Field;
use greenlight_domain::prediction::{Outcome, PredictionBatch};
use tokio::sync::{mpsc, oneshot};

use super::disk::{self, Disk, sync_folder};
use super::folder::Folder;
use super::{MAGIC, MAX_PAYLOAD, push_frame};
use crate::lake::Limits;
use crate::{encode, schema};

/// The rows of one request; a table gets one kind only.
#[derive(Debug)]
pub(crate) enum Rows {
    Predictions(PredictionBatch),
    Outcomes(Vec<Outcome>),
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Self::Predictions(batch) => batch.predictions.len(),
            Self::Outcomes(outcomes) => outcomes.len(),
        }
    }
}

struct Append {
    rows: Rows,
    done: oneshot::Sender<Result<(), LakeError>>,
}

enum Command {
    Append(Append),
    /// Close the open segment after everything that was queued before, then answer.
    Rotate(oneshot::Sender<()>),
}

/// The features of an endpoint now, shared with the threads that write them.
pub(crate) type Features = Arc<RwLock<Arc<[Field]>>>;

/// The features now.
pub(crate) fn current(features: &Features) -> Arc<[Field]> {
    Arc::clone(&features.read().unwrap_or_else(PoisonError::into_inner))
}

/// A running writer thread.
pub(crate) struct Writer {
    queue: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        folder: Arc<Folder>,
        features: Features,
        limits: &Limits,
        disk: Disk,
    ) -> Result<Self, LakeError> {
        let (queue, requests) = mpsc::channel(limits.queued_requests);
        let work = Work { folder, features, limits: limits.clone(), disk, open: None };
        let thread = std::thread::Builder::new()
            .name("lake-writer".to_owned())
            .spawn(move || work.run(requests))
            .map_err(|e| LakeError::Unavailable(format!("no thread for the event log: {e}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Appends rows; returns when they are durable.
    pub(crate) async fn append(&self, rows: Rows) -> Result<(), LakeError> {
        let (done, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.try_send(Command::Append(Append { rows, done })).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => LakeError::Unavailable(
                "too many requests wait for the disk; try again in a moment".to_owned(),
            ),
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })?;
        answer.await.map_err(|_| stopped())?
    }

    /// Closes the open segment, with everything that was queued before.
    pub(crate) async fn rotate(&self) -> Result<(), LakeError> {
        let (done, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(Command::Rotate(done)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // The thread ends once its queue is empty; its own panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn stopped() -> LakeError {
    LakeError::Unavailable("its writer has stopped; restart the server".to_owned())
}

struct Work {
    folder: Arc<Folder>,
    features: Features,
    limits: Limits,
    disk: Disk,
    open: Option<OpenSegment>,
}

impl Work {
    fn run(mut self, mut requests: mpsc::Receiver<Command>) {
        while let Some(first) = requests.blocking_recv() {
            let (group, rotate) = self.gather(first, &mut requests);
            if !group.is_empty() {
                self.answer(group);
            }
            if let Some(done) = rotate {
                self.close();
                let _ = done.send(());
            }
        }
        self.close();
    }

    /// Takes what waits, up to a bound on rows or a request to rotate.
    fn gather(
        &self,
        first: Command,
        requests: &mut mpsc::Receiver<Command>,
    ) -> (Vec<Append>, Option<oneshot::Sender<()>>) {
        let mut group = Vec::new();
        let mut rows = 0;
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Rotate(done) => return (group, Some(done)),
                Command::Append(append) => {
                    rows += append.rows.len();
                    group.push(append);
                }
            }
            next = if rows < self.limits.group_rows { requests.try_recv().ok() } else { None };
        }
        (group, None)
    }

    fn answer(&mut self, group: Vec<Append>) {
        let (rows, waiting): (Vec<Rows>, Vec<_>) = group.into_iter().map(|a| (a.rows, a.done)).unzip();
        let written = self.write(&rows).map_err(|failure| self.give_up(failure));
        for done in waiting {
            let answer = match &written {
                Ok(()) => Ok(()),
                Err(Failure::Disk(e)) => Err(LakeError::Unavailable(format!("{e}; try again later"))),
                Err(Failure::Encoding(e)) => Err(LakeError::Schema(e.to_string())),
            };
            // A client that went away does not need its answer.
            let _ = done.send(answer);
        }
    }

    fn write(&mut self, rows: &[Rows]) -> Result<(), Failure> {
        let features = current(&self.features);
        if self.open.as_ref().is_some_and(|open| open.is_outdated(&features, self.limits.segment_bytes)) {
            self.close();
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(OpenSegment::create(&self.folder, &self.disk, features, rows)?),
        };
        let batch = encode::rows(&open.schema, &open.features, rows)?;
        open.append(&self.disk, &batch)?;
        self.folder.advance(open.sequence, &open.path, open.good);
        Ok(())
    }

    /// Leaves the segment behind as it was after its last durable frame.
    fn give_up(&mut self, failure: Failure) -> Failure {
        if let Some(open) = &self.open {
            tracing::error!(segment = %open.path.display(), error = %failure.text(), "the event log failed to write");
            if let Err(error) = disk::truncate(&open.file, open.good) {
                // Readers stop at `good`; at worst a restart finds a whole frame that nobody was promised.
                tracing::error!(segment = %open.path.display(), %error, "could not cut the failed frame off");
            }
        }
        self.close();
        failure
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        if open.batches == 0 {
            // Without rows nobody knows of it; a left-over would be removed at the next start.
            let _ = std::fs::remove_file(&open.path);
        }
        self.folder.close(open.sequence);
    }
}

/// Why a group was not written.
enum Failure {
    Disk(io::Error),
    Encoding(ArrowError),
}

impl Failure {
    fn text(&self) -> String {
        match self {
            Self::Disk(e) => e.to_string(),
            Self::Encoding(e) => e.to_string(),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        Self::Encoding(error)
    }
}

struct OpenSegment {
    sequence: i64,
    path: PathBuf,
    file: File,
    features: Arc<[Field]>,
    schema: SchemaRef,
    stream: StreamWriter<Vec<u8>>,
    good: u64,
    batches: u64,
}

impl OpenSegment {
    fn create(folder: &Folder, disk: &Disk, features: Arc<[Field]>, rows: &[Rows]) -> Result<Self, Failure> {
        let schema = match rows.first() {
            Some(Rows::Outcomes(_)) => schema::outcomes(),
            _ => schema::predictions(&features),
        };
        let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5)?;
        let mut stream = StreamWriter::try_new_with_options(Vec::new(), &schema, options)?;
        let mut head = MAGIC.to_vec();
        push_frame(&mut head, &std::mem::take(stream.get_mut()));
        let (sequence, path) = folder.next();
        let mut file = disk::create(&path)?;
        let written = disk
            .write_at(&mut file, 0, &head)
            .and_then(|()| disk.sync(&file))
            .and_then(|()| sync_folder(folder.path()));
        if let Err(error) = written {
            let _ = std::fs::remove_file(&path);
            return Err(error.into());
        }
        let good = head.len() as u64;
        Ok(Self { sequence, path, file, features, schema, stream, good, batches: 0 })
    }

    /// Whether the next rows belong into a new segment.
    fn is_outdated(&self, features: &Arc<[Field]>, limit: u64) -> bool {
        self.good >= limit || *features != self.features
    }

    fn append(&mut self, disk: &Disk, batch: &RecordBatch) -> Result<(), Failure> {
        self.stream.get_mut().clear();
        self.stream.write(batch)?;
        let payload = self.stream.get_ref();
        if payload.len() > MAX_PAYLOAD {
            let problem = format!("{} bytes in one group; send fewer rows at once", payload.len());
            return Err(Failure::Encoding(ArrowError::InvalidArgumentError(problem)));
        }
        let mut frame = Vec::with_capacity(payload.len() + super::FRAME_HEAD);
        push_frame(&mut frame, payload);
        disk.write_at(&mut self.file, self.good, &frame)?;
        disk.sync(&self.file)?;
        self.good += frame.len() as u64;
        self.batches += 1;
        Ok(())
    }
}
