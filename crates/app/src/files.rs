//! Files in a folder of ours or in a bucket, written whole or not at all.
//!
//! In a folder, bytes go to a file of their own first, which gets its name when it is complete and on disk. What an
//! upload leaves behind when the process dies is removed at a later start, or by a collection of garbage. In a bucket,
//! an object is there once its last part is, and parts of an upload that breaks off are thrown away; those of a process
//! that dies are the bucket's to expire, by a rule of its operator.

mod upload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};

use crate::AppError;
use crate::live::blocking;
use upload::Upload;

/// Where uploads lie until they are complete, in a folder of ours.
const INCOMING: &str = "incoming";
/// The same in a folder that others write too.
const INCOMING_AMONG_OTHERS: &str = ".greenlight-incoming";
/// Longer than any upload takes; another server of the same folder may be receiving what is younger.
const ABANDONED: Duration = Duration::from_hours(24);
const CHUNK: usize = 5 * 1024 * 1024;

/// A folder, or a bucket.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) store: Arc<dyn ObjectStore>,
    folder: Option<Folder>,
}

/// A folder of this machine.
#[derive(Debug, Clone)]
struct Folder {
    root: PathBuf,
    incoming: &'static str,
}

/// A file that was received and has no name yet.
pub(crate) struct Received {
    /// Its bytes.
    pub(crate) size: u64,
    files: Files,
    target: Path,
    form: Form,
}

/// Where a received file waits.
enum Form {
    Temporary(Path),
    Upload(Upload),
}

/// What receives.
enum Writer {
    Folder(WriteMultipart, Path),
    Store(Upload),
}

pub(crate) fn unavailable(error: &impl std::fmt::Display) -> AppError {
    AppError::Unavailable(format!("the artifact store does not answer: {error}"))
}

impl Files {
    /// The folder `root`, which is created and is ours alone.
    pub(crate) fn open(root: PathBuf) -> Result<Self, AppError> {
        Self::open_with(root, INCOMING)
    }

    /// The folder `root`, which is created and others write too.
    pub(crate) fn open_shared(root: PathBuf) -> Result<Self, AppError> {
        Self::open_with(root, INCOMING_AMONG_OTHERS)
    }

    /// What lies in a bucket.
    pub(crate) fn in_store(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, folder: None }
    }

    fn open_with(root: PathBuf, incoming: &'static str) -> Result<Self, AppError> {
        std::fs::create_dir_all(&root).map_err(|e| unavailable(&e))?;
        let store = LocalFileSystem::new_with_prefix(&root).map_err(|e| unavailable(&e))?;
        let store = store.with_automatic_cleanup(true);
        remove_abandoned(&root.join(incoming));
        Ok(Self { store: Arc::new(store), folder: Some(Folder { root, incoming }) })
    }

    /// Where a file lies on this machine; none in a bucket.
    pub(crate) fn on_disk(&self, place: &Path) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.root.join(place.as_ref()))
    }

    /// Removes what uploads left behind that broke off with their server.
    pub(crate) async fn sweep(&self) -> Result<(), AppError> {
        let Some(folder) = self.folder.clone() else { return Ok(()) };
        blocking(move || remove_abandoned(&folder.root.join(folder.incoming))).await
    }

    /// Receives at most `limit` bytes that are to lie at `target` once they are published, and shows them to `see` as
    /// they come.
    pub(crate) async fn receive<E: std::fmt::Display>(
        &self,
        target: Path,
        limit: u64,
        mut stream: impl Stream<Item = Result<Bytes, E>> + Unpin,
        mut see: impl FnMut(&[u8]),
    ) -> Result<Received, AppError> {
        let limit = if self.folder.is_some() { limit } else { limit.min(upload::MAX_BYTES) };
        let mut writer = self.writer(&target).await?;
        let mut size = 0_u64;
        while let Some(chunk) = stream.next().await {
            let problem = match chunk {
                Ok(chunk) if size + chunk.len() as u64 > limit => {
                    AppError::Invalid(format!("larger than {limit} bytes"))
                }
                Ok(chunk) => {
                    size += chunk.len() as u64;
                    see(&chunk);
                    match writer.write(chunk).await {
                        Ok(()) => continue,
                        Err(error) => error,
                    }
                }
                Err(error) => AppError::Invalid(format!("the upload broke off: {error}")),
            };
            writer.abort().await;
            return Err(problem);
        }
        Ok(Received { size, files: self.clone(), target, form: writer.end().await? })
    }

    async fn writer(&self, target: &Path) -> Result<Writer, AppError> {
        let Some(folder) = &self.folder else {
            return Ok(Writer::Store(Upload::begin(Arc::clone(&self.store), target.clone())));
        };
        let temporary = Path::from(format!("{}/{}", folder.incoming, uuid::Uuid::now_v7().simple()));
        let upload = self.store.put_multipart(&temporary).await.map_err(|e| unavailable(&e))?;
        Ok(Writer::Folder(WriteMultipart::new_with_chunk_size(upload, CHUNK), temporary))
    }

    /// Gives a file of the folder its name, once its bytes are on disk: the database may name it from then on.
    async fn rename(&self, temporary: &Path, target: &Path) -> Result<(), AppError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let (from, to) = (folder.root.join(temporary.as_ref()), folder.root.join(target.as_ref()));
        blocking(move || std::fs::File::open(from)?.sync_all()).await?.map_err(|e| unavailable(&e))?;
        self.store.rename(temporary, target).await.map_err(|e| unavailable(&e))?;
        let parent = to.parent().map(std::path::Path::to_owned).unwrap_or_default();
        blocking(move || std::fs::File::open(parent)?.sync_all()).await?.map_err(|e| unavailable(&e))
    }
}

impl Writer {
    async fn write(&mut self, chunk: Bytes) -> Result<(), AppError> {
        match self {
            Self::Folder(writer, _) => {
                writer.wait_for_capacity(2).await.map_err(|e| unavailable(&e))?;
                writer.put(chunk);
                Ok(())
            }
            Self::Store(upload) => upload.write(chunk).await,
        }
    }

    async fn end(self) -> Result<Form, AppError> {
        Ok(match self {
            Self::Folder(writer, temporary) => {
                writer.finish().await.map_err(|e| unavailable(&e))?;
                Form::Temporary(temporary)
            }
            Self::Store(upload) => Form::Upload(upload),
        })
    }

    async fn abort(self) {
        match self {
            Self::Folder(writer, _) => {
                if let Err(error) = writer.abort().await {
                    tracing::warn!(%error, "an upload that broke off stays until a later start");
                }
            }
            Self::Store(upload) => upload.abort().await,
        }
    }
}

impl Received {
    /// Gives the file its name. When that fails, nothing is left of it.
    pub(crate) async fn publish(self) -> Result<(), AppError> {
        match self.form {
            Form::Temporary(temporary) => {
                let named = self.files.rename(&temporary, &self.target).await;
                if named.is_err() {
                    discard(&self.files, &temporary).await;
                }
                named
            }
            Form::Upload(upload) => upload.finish().await,
        }
    }

    /// Throws the file away.
    pub(crate) async fn discard(self) {
        match self.form {
            Form::Temporary(temporary) => discard(&self.files, &temporary).await,
            Form::Upload(upload) => upload.abort().await,
        }
    }
}

/// Throws a received file away; what cannot be removed now is removed at a later start.
async fn discard(files: &Files, temporary: &Path) {
    if let Err(error) = files.store.delete(temporary).await {
        tracing::warn!(%error, "an upload that is not wanted stays until a later start");
    }
}

fn remove_abandoned(folder: &std::path::Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let age = entry.metadata().and_then(|data| data.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > ABANDONED)
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::warn!(%error, "an abandoned upload cannot be removed");
        }
    }
}
