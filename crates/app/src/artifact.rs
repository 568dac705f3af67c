//! Artifacts by content: models and data files under the SHA-256 of their bytes.
//!
//! Bytes go to a temporary object first and get their name only when the digest is right, so nothing half-written
//! is ever visible.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use greenlight_domain::evidence::hex;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload, WriteMultipart};
use sha2::{Digest, Sha256};

use crate::AppError;
use crate::live::blocking;

/// Where artifacts lie.
#[derive(Debug, Clone)]
pub struct Artifacts {
    store: Arc<LocalFileSystem>,
    root: PathBuf,
}

const CHUNK: usize = 5 * 1024 * 1024;

impl Artifacts {
    /// Artifacts below `root`, which is created.
    pub fn open(root: PathBuf) -> Result<Self, AppError> {
        std::fs::create_dir_all(&root).map_err(|e| unavailable(&e))?;
        let store = LocalFileSystem::new_with_prefix(&root).map_err(|e| unavailable(&e))?;
        Ok(Self { store: Arc::new(store), root })
    }

    /// Stores bytes and returns their digest.
    pub async fn put(&self, bytes: Bytes) -> Result<String, AppError> {
        let digest = hex(&Sha256::digest(&bytes));
        let temporary = temporary();
        self.store.put(&temporary, PutPayload::from(bytes)).await.map_err(|e| unavailable(&e))?;
        self.publish(&temporary, &digest).await?;
        Ok(digest)
    }

    /// Stores a stream of at most `limit` bytes that must have this digest.
    pub async fn put_stream<E: std::fmt::Display>(
        &self,
        digest: &str,
        limit: u64,
        mut stream: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<u64, AppError> {
        check_digest(digest)?;
        let temporary = temporary();
        let upload = self.store.put_multipart(&temporary).await.map_err(|e| unavailable(&e))?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, CHUNK);
        let mut hasher = Sha256::new();
        let mut size = 0_u64;
        while let Some(chunk) = stream.next().await {
            let problem = match chunk {
                Ok(chunk) if size + chunk.len() as u64 > limit => {
                    let _ = chunk;
                    format!("larger than {limit} bytes")
                }
                Ok(chunk) => {
                    size += chunk.len() as u64;
                    hasher.update(&chunk);
                    writer.wait_for_capacity(2).await.map_err(|e| unavailable(&e))?;
                    writer.put(chunk);
                    continue;
                }
                Err(error) => format!("the upload broke off: {error}"),
            };
            writer.abort().await.map_err(|e| unavailable(&e))?;
            return Err(AppError::Invalid(problem));
        }
        let found = hex(&hasher.finalize());
        if found != digest {
            writer.abort().await.map_err(|e| unavailable(&e))?;
            return Err(AppError::Invalid(format!("the bytes have SHA-256 {found}, not {digest}")));
        }
        writer.finish().await.map_err(|e| unavailable(&e))?;
        self.publish(&temporary, digest).await?;
        Ok(size)
    }

    /// Gives an uploaded object its name, once its bytes are on disk: the database may name it from then on.
    async fn publish(&self, temporary: &Path, digest: &str) -> Result<(), AppError> {
        let target = place(digest);
        let (from, to) = (self.root.join(temporary.as_ref()), self.root.join(target.as_ref()));
        blocking(move || std::fs::File::open(from)?.sync_all()).await?.map_err(|e| unavailable(&e))?;
        self.store.rename(temporary, &target).await.map_err(|e| unavailable(&e))?;
        let folder = to.parent().map(std::path::Path::to_owned).unwrap_or_default();
        blocking(move || std::fs::File::open(folder)?.sync_all()).await?.map_err(|e| unavailable(&e))
    }

    /// Whether an artifact is there.
    pub async fn has(&self, digest: &str) -> Result<bool, AppError> {
        check_digest(digest)?;
        match self.store.head(&place(digest)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// The bytes of an artifact, checked against their digest.
    pub async fn get(&self, digest: &str) -> Result<Bytes, AppError> {
        check_digest(digest)?;
        let missing = || AppError::not_found("artifact", digest, "upload it first");
        let found = match self.store.get(&place(digest)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Err(missing()),
            Err(error) => return Err(unavailable(&error)),
        };
        let bytes = found.bytes().await.map_err(|e| unavailable(&e))?;
        if hex(&Sha256::digest(&bytes)) != digest {
            return Err(AppError::Invalid(format!(
                "artifact {digest} was changed on disk: its bytes no longer have that digest; restore it from a backup"
            )));
        }
        Ok(bytes)
    }

    /// The file of an artifact, for readers that need one.
    pub async fn file(&self, digest: &str) -> Result<PathBuf, AppError> {
        if !self.has(digest).await? {
            return Err(AppError::not_found("artifact", digest, "upload it first"));
        }
        Ok(self.root.join(place(digest).as_ref()))
    }
}

fn place(digest: &str) -> Path {
    Path::from(format!("sha256/{}/{digest}", &digest[..2]))
}

fn temporary() -> Path {
    Path::from(format!("incoming/{}", uuid::Uuid::now_v7().simple()))
}

fn check_digest(digest: &str) -> Result<(), AppError> {
    if digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return Ok(());
    }
    Err(AppError::Invalid("a digest is 64 lower-case hexadecimal digits of SHA-256".to_owned()))
}

fn unavailable(error: &impl std::fmt::Display) -> AppError {
    AppError::Unavailable(format!("the artifact store does not answer: {error}"))
}
