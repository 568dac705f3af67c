//! Artifacts by content: models and data files under the SHA-256 of their bytes.
//!
//! Bytes get their name only when the digest is right, so nothing half-written is ever visible.

use std::path::PathBuf;

use bytes::Bytes;
use futures::{Stream, stream};
use greenlight_domain::evidence::hex;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use sha2::{Digest, Sha256};

use crate::AppError;
use crate::files::{Files, unavailable};
use crate::repository::Found;

/// Where artifacts lie.
#[derive(Debug, Clone)]
pub struct Artifacts {
    files: Files,
}

impl Artifacts {
    /// Artifacts below `root`, which is created.
    pub fn open(root: PathBuf) -> Result<Self, AppError> {
        Ok(Self { files: Files::open(root)? })
    }

    /// The files they lie in.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// Removes what uploads left behind that broke off with their server.
    pub(crate) async fn sweep(&self) -> Result<(), AppError> {
        self.files.sweep().await
    }

    /// Stores bytes and returns their digest.
    pub async fn put(&self, bytes: Bytes) -> Result<String, AppError> {
        let digest = hex(&Sha256::digest(&bytes));
        let limit = bytes.len() as u64;
        let whole = stream::iter([Ok::<_, std::convert::Infallible>(bytes)]);
        self.put_stream(&digest, limit, whole).await?;
        Ok(digest)
    }

    /// Stores a stream of at most `limit` bytes that must have this digest.
    pub async fn put_stream<E: std::fmt::Display>(
        &self,
        digest: &str,
        limit: u64,
        stream: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<u64, AppError> {
        check_digest(digest)?;
        let mut hasher = Sha256::new();
        let (temporary, size) = self.files.receive(limit, stream, |bytes| hasher.update(bytes)).await?;
        let found = hex(&hasher.finalize());
        if found != digest {
            self.files.discard(&temporary).await;
            return Err(AppError::Invalid(format!("the bytes have SHA-256 {found}, not {digest}")));
        }
        self.files.publish(&temporary, &place(digest)).await?;
        Ok(size)
    }

    /// Stores a stream of at most `limit` bytes and returns their digest.
    pub async fn keep<E: std::fmt::Display>(
        &self,
        limit: u64,
        stream: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<String, AppError> {
        let mut hasher = Sha256::new();
        let (temporary, _) = self.files.receive(limit, stream, |bytes| hasher.update(bytes)).await?;
        let digest = hex(&hasher.finalize());
        self.files.publish(&temporary, &place(&digest)).await?;
        Ok(digest)
    }

    /// Whether an artifact is there.
    pub async fn has(&self, digest: &str) -> Result<bool, AppError> {
        check_digest(digest)?;
        match self.files.store.head(&place(digest)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// The bytes of an artifact, checked against their digest.
    pub async fn get(&self, digest: &str) -> Result<Bytes, AppError> {
        check_digest(digest)?;
        let missing = || AppError::not_found("artifact", digest, "upload it first");
        let found = match self.files.store.get(&place(digest)).await {
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

    /// The bytes of an artifact as they come from the disk, for files of any size.
    pub async fn stream(&self, digest: &str) -> Result<Found, AppError> {
        check_digest(digest)?;
        match self.files.store.get(&place(digest)).await {
            Ok(found) => Ok(Found::from(found)),
            Err(object_store::Error::NotFound { .. }) => {
                Err(AppError::not_found("artifact", digest, "upload it first"))
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// The file of an artifact, for readers that need one.
    pub async fn file(&self, digest: &str) -> Result<PathBuf, AppError> {
        if !self.has(digest).await? {
            return Err(AppError::not_found("artifact", digest, "upload it first"));
        }
        Ok(self.files.root.join(place(digest).as_ref()))
    }
}

fn place(digest: &str) -> Path {
    Path::from(format!("sha256/{}/{digest}", &digest[..2]))
}

fn check_digest(digest: &str) -> Result<(), AppError> {
    if digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return Ok(());
    }
    Err(AppError::Invalid("a digest is 64 lower-case hexadecimal digits of SHA-256".to_owned()))
}
