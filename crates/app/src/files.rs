//! Files in a folder of ours, written whole or not at all.
//!
//! Bytes go to a file of their own first, which gets its name when it is complete and on disk. What an upload leaves
//! behind when the process dies is removed at a later start.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStoreExt, WriteMultipart};

use crate::AppError;
use crate::live::blocking;

/// Where uploads lie until they are complete, in a folder of ours.
const INCOMING: &str = "incoming";
/// The same in a folder that others write too.
const INCOMING_AMONG_OTHERS: &str = ".greenlight-incoming";
/// Longer than any upload takes; another server of the same folder may be receiving what is younger.
const ABANDONED: Duration = Duration::from_hours(24);
const CHUNK: usize = 5 * 1024 * 1024;

/// A folder.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) store: Arc<LocalFileSystem>,
    pub(crate) root: PathBuf,
    incoming: &'static str,
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

    fn open_with(root: PathBuf, incoming: &'static str) -> Result<Self, AppError> {
        std::fs::create_dir_all(&root).map_err(|e| unavailable(&e))?;
        let store = LocalFileSystem::new_with_prefix(&root).map_err(|e| unavailable(&e))?;
        let store = store.with_automatic_cleanup(true);
        remove_abandoned(&root.join(incoming));
        Ok(Self { store: Arc::new(store), root, incoming })
    }

    /// Receives at most `limit` bytes into a file without a name yet, and shows them to `see` as they come.
    pub(crate) async fn receive<E: std::fmt::Display>(
        &self,
        limit: u64,
        mut stream: impl Stream<Item = Result<Bytes, E>> + Unpin,
        mut see: impl FnMut(&[u8]),
    ) -> Result<(Path, u64), AppError> {
        let temporary = Path::from(format!("{}/{}", self.incoming, uuid::Uuid::now_v7().simple()));
        let upload = self.store.put_multipart(&temporary).await.map_err(|e| unavailable(&e))?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, CHUNK);
        let mut size = 0_u64;
        while let Some(chunk) = stream.next().await {
            let problem = match chunk {
                Ok(chunk) if size + chunk.len() as u64 > limit => format!("larger than {limit} bytes"),
                Ok(chunk) => {
                    size += chunk.len() as u64;
                    see(&chunk);
                    writer.wait_for_capacity(2).await.map_err(|e| unavailable(&e))?;
                    writer.put(chunk);
                    continue;
                }
                Err(error) => format!("the upload broke off: {error}"),
            };
            writer.abort().await.map_err(|e| unavailable(&e))?;
            return Err(AppError::Invalid(problem));
        }
        writer.finish().await.map_err(|e| unavailable(&e))?;
        Ok((temporary, size))
    }

    /// Gives a received file its name, once its bytes are on disk: the database may name it from then on.
    pub(crate) async fn publish(&self, temporary: &Path, target: &Path) -> Result<(), AppError> {
        let (from, to) = (self.root.join(temporary.as_ref()), self.root.join(target.as_ref()));
        blocking(move || std::fs::File::open(from)?.sync_all()).await?.map_err(|e| unavailable(&e))?;
        self.store.rename(temporary, target).await.map_err(|e| unavailable(&e))?;
        let folder = to.parent().map(std::path::Path::to_owned).unwrap_or_default();
        blocking(move || std::fs::File::open(folder)?.sync_all()).await?.map_err(|e| unavailable(&e))
    }

    /// Throws a received file away; what cannot be removed now is removed at a later start.
    pub(crate) async fn discard(&self, temporary: &Path) {
        if let Err(error) = self.store.delete(temporary).await {
            tracing::warn!(%error, "an upload that is not wanted stays until a later start");
        }
    }
}

impl Files {
    /// Removes what uploads left behind that broke off with their server.
    pub(crate) async fn sweep(&self) -> Result<(), AppError> {
        let folder = self.root.join(self.incoming);
        blocking(move || remove_abandoned(&folder)).await
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
