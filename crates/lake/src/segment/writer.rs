//! The writer thread of one table: group commit.
//!
//! It takes one request and whatever else waits, writes them as one frame, syncs, and only then answers them all.
//! It lets threads that are ready go first, and does not wait for company otherwise: while one group is synced the next
//! one gathers by itself (measured: pauses between commits cost more processor time than the syncs that they save).
//! After any error it answers `Unavailable`, cuts the file back to the last durable frame and starts a new segment
//! with the next request: a kernel that failed to sync once cannot be trusted with the same pages again. Refuses to
//! queue without bound: a full queue, by requests or by bytes, is answered at once.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use greenlight_app::lake::LakeError;
use greenlight_domain::frame::Field;
use greenlight_domain::prediction::{Outcome, PredictionBatch};
use tokio::sync::{mpsc, oneshot};

use super::disk::{self, Disk, sync_folder};
use super::folder::Folder;
use super::{MAGIC, MAX_PAYLOAD, push_frame, record};
use crate::lake::Limits;

/// Zeros written ahead of the frames at a time.
const AHEAD_BYTES: usize = 1 << 20;
/// Bytes after which a group commit takes no further request.
const GROUP_BYTES: usize = 8 << 20;

/// The records of one request.
#[derive(Debug)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    rows: usize,
    features: Arc<[Field]>,
}

impl Records {
    /// Predictions with their features.
    pub(crate) fn predictions(batch: &PredictionBatch) -> Self {
        Self {
            bytes: record::predictions(batch),
            rows: batch.predictions.len(),
            features: Arc::clone(batch.features.fields()),
        }
    }

    /// Outcomes.
    pub(crate) fn outcomes(outcomes: &[Outcome]) -> Self {
        Self { bytes: record::outcomes(outcomes), rows: outcomes.len(), features: Arc::default() }
    }
}

struct Append {
    records: Records,
    done: oneshot::Sender<Result<(), LakeError>>,
}

enum Command {
    Append(Append),
    /// Close the open segment after everything that was queued before, then answer.
    Rotate(oneshot::Sender<()>),
}

/// A running writer thread.
pub(crate) struct Writer {
    queue: Option<mpsc::Sender<Command>>,
    /// Bytes of records that wait or are being written.
    queued_bytes: Arc<AtomicUsize>,
    max_queued_bytes: usize,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(folder: Arc<Folder>, limits: &Limits, disk: Disk) -> Result<Self, LakeError> {
        let (queue, requests) = mpsc::channel(limits.queued_requests);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let work = Work {
            folder,
            limits: limits.clone(),
            disk,
            open: None,
            queued_bytes: Arc::clone(&queued_bytes),
            frame: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name("lake-writer".to_owned())
            .spawn(move || work.run(requests))
            .map_err(|e| LakeError::Unavailable(format!("no thread for the event log: {e}")))?;
        let max_queued_bytes = limits.queued_bytes;
        Ok(Self { queue: Some(queue), queued_bytes, max_queued_bytes, thread: Some(thread) })
    }

    /// Appends records; returns when they are durable.
    pub(crate) async fn append(&self, records: Records) -> Result<(), LakeError> {
        let (done, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        let bytes = records.bytes.len();
        if bytes > MAX_PAYLOAD {
            return Err(LakeError::Schema(format!("{bytes} bytes in one request; send fewer rows at once")));
        }
        if self.queued_bytes.fetch_add(bytes, Ordering::Relaxed) > self.max_queued_bytes {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(crowded());
        }
        queue.try_send(Command::Append(Append { records, done })).map_err(|refused| {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            match refused {
                mpsc::error::TrySendError::Full(_) => crowded(),
                mpsc::error::TrySendError::Closed(_) => stopped(),
            }
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

fn crowded() -> LakeError {
    LakeError::Unavailable("too many requests wait for the disk; try again in a moment".to_owned())
}

struct Work {
    folder: Arc<Folder>,
    limits: Limits,
    disk: Disk,
    open: Option<OpenSegment>,
    queued_bytes: Arc<AtomicUsize>,
    frame: Vec<u8>,
}

impl Work {
    fn run(mut self, mut requests: mpsc::Receiver<Command>) {
        let mut next = None;
        while let Some(first) = next.take().or_else(|| requests.blocking_recv()) {
            let Command::Append(append) = first else {
                self.rotate(first);
                continue;
            };
            // Whoever is ready to run may join the group first: a third more requests a sync where processors are busy,
            // and nothing is lost where they are not.
            std::thread::yield_now();
            let group;
            (group, next) = self.gather(append, &mut requests);
            self.answer(group);
        }
        self.close();
    }

    fn rotate(&mut self, command: Command) {
        self.close();
        if let Command::Rotate(done) = command {
            let _ = done.send(());
        }
    }

    /// Takes what waits and fits the same segment, up to a bound; what does not belong to the group comes next.
    fn gather(
        &self,
        first: Append,
        requests: &mut mpsc::Receiver<Command>,
    ) -> (Vec<Append>, Option<Command>) {
        let (mut rows, mut bytes) = (first.records.rows, first.records.bytes.len());
        let mut group = vec![first];
        while rows < self.limits.group_rows && bytes < GROUP_BYTES {
            match requests.try_recv() {
                Ok(Command::Append(append))
                    if bytes + append.records.bytes.len() <= MAX_PAYLOAD
                        && same(&append.records.features, &group[0].records.features) =>
                {
                    rows += append.records.rows;
                    bytes += append.records.bytes.len();
                    group.push(append);
                }
                Ok(other) => return (group, Some(other)),
                Err(_) => break,
            }
        }
        (group, None)
    }

    fn answer(&mut self, group: Vec<Append>) {
        let written = self.write(&group).map_err(|failure| self.give_up(failure));
        let bytes = group.iter().map(|append| append.records.bytes.len()).sum();
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        for append in group {
            let answer = match &written {
                Ok(()) => Ok(()),
                Err(error) => Err(LakeError::Unavailable(format!("{error}; try again later"))),
            };
            // A client that went away does not need its answer.
            let _ = append.done.send(answer);
        }
    }

    fn write(&mut self, group: &[Append]) -> io::Result<()> {
        let features = &group[0].records.features;
        if self.open.as_ref().is_some_and(|open| open.is_outdated(features, self.limits.segment_bytes)) {
            self.close();
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(OpenSegment::create(&self.folder, &self.disk, features)?),
        };
        self.frame.clear();
        push_frame(&mut self.frame, group.iter().map(|append| append.records.bytes.as_slice()));
        open.append(&self.disk, &self.frame)?;
        if self.frame.capacity() > 2 * GROUP_BYTES {
            self.frame = Vec::new();
        }
        self.folder.advance(open.sequence, &open.path, open.good);
        Ok(())
    }

    /// Leaves the segment behind as it was after its last durable frame.
    fn give_up(&mut self, failure: io::Error) -> io::Error {
        if let Some(open) = &self.open {
            tracing::error!(segment = %open.path.display(), error = %failure, "the event log failed to write");
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
        if open.frames == 0 {
            // Without rows nobody knows of it; a left-over would be removed at the next start.
            let _ = std::fs::remove_file(&open.path);
        } else if let Err(error) = open.file.set_len(open.good) {
            tracing::warn!(segment = %open.path.display(), %error, "the zeros after the last frame stay");
        }
        self.folder.close(open.sequence);
    }
}

/// Requests of one endpoint share their schema, so that comparing it is comparing an address.
fn same(one: &Arc<[Field]>, other: &Arc<[Field]>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

struct OpenSegment {
    sequence: i64,
    path: PathBuf,
    file: File,
    features: Arc<[Field]>,
    /// Bytes up to the last durable frame.
    good: u64,
    /// Bytes that the file has blocks for.
    allocated: u64,
    frames: u64,
}

impl OpenSegment {
    fn create(folder: &Folder, disk: &Disk, features: &Arc<[Field]>) -> io::Result<Self> {
        let schema = serde_json::to_vec(features).map_err(io::Error::other)?;
        let mut head = MAGIC.to_vec();
        push_frame(&mut head, std::iter::once(schema.as_slice()));
        let (sequence, path) = folder.next();
        let mut file = disk::create(&path)?;
        let written = disk
            .write_at(&mut file, 0, &head)
            .and_then(|()| disk.sync(&file))
            .and_then(|()| sync_folder(folder.path()));
        if let Err(error) = written {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        let good = head.len() as u64;
        Ok(Self { sequence, path, file, features: Arc::clone(features), good, allocated: good, frames: 0 })
    }

    /// Whether the next rows belong into a new segment.
    fn is_outdated(&self, features: &Arc<[Field]>, limit: u64) -> bool {
        self.good >= limit || !same(features, &self.features)
    }

    fn append(&mut self, disk: &Disk, frame: &[u8]) -> io::Result<()> {
        let end = self.good + frame.len() as u64;
        if end > self.allocated {
            // A sync that need not record a new length or new blocks writes less. A disk without room for zeros may
            // still have room for the frame.
            let ahead = end + AHEAD_BYTES as u64;
            let zeros = vec![0; (ahead - self.good) as usize];
            if disk.write_at(&mut self.file, self.good, &zeros).is_ok() {
                self.allocated = ahead;
            }
        }
        disk.write_at(&mut self.file, self.good, frame)?;
        disk.sync(&self.file)?;
        self.good = end;
        self.frames += 1;
        Ok(())
    }
}
