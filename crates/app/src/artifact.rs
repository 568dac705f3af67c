//! Artifacts by content: models and data files under the SHA-256 of their bytes.
//!
//! Bytes get their name only when the digest is right, so nothing half-written is ever visible.

use std::ops::Deref;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use greenlight_domain::evidence::hex;
use object_store::path::Path;
use object_store::{GetResult, ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempPath};
use tokio::io::AsyncWriteExt;

use crate::AppError;
use crate::files::{Files, unavailable};
use crate::repository::Found;

/// Where artifacts lie.
#[derive(Debug, Clone)]
pub struct Artifacts {
    files: Files,
}

/// The file of an artifact; one that was fetched from a bucket goes with this.
#[derive(Debug)]
pub struct ArtifactFile {
    path: PathBuf,
    _fetched: Option<TempPath>,
}

impl Deref for ArtifactFile {
    type Target = FilePath;

    fn deref(&self) -> &FilePath {
        &self.path
    }
}

impl AsRef<FilePath> for ArtifactFile {
    fn as_ref(&self) -> &FilePath {
        &self.path
    }
}

impl Artifacts {
    /// Artifacts below `root`, which is created.
    pub fn open(root: PathBuf) -> Result<Self, AppError> {
        Ok(Self { files: Files::open(root)? })
    }

    /// Artifacts in a bucket, which is asked whether it answers.
    pub async fn open_in(store: Arc<dyn ObjectStore>) -> Result<Self, AppError> {
        if let Some(Err(error)) = store.list(Some(&Path::from("sha256"))).next().await {
            return Err(unavailable(&error));
        }
        Ok(Self { files: Files::in_store(store) })
    }

    /// The files they lie in.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// Stores bytes and returns their digest.
    pub async fn put(&self, bytes: Bytes) -> Result<String, AppError> {
        let digest = hex(&Sha256::digest(&bytes));
        let limit = bytes.len() as u64;
        let whole = stream::iter([Ok::<_, std::convert::Infallible>(bytes)]);
        self.put_stream(&digest, limit, whole).await?;
        Ok(digest)
    }

    /// Stores a stream of at most `limit` bytes that must have this digest. Goes on when nobody waits for it any more, so
    /// that an upload that breaks off is noticed and thrown away.
    pub async fn put_stream<E: std::fmt::Display + Send + 'static>(
        &self,
        digest: &str,
        limit: u64,
        stream: impl Stream<Item = Result<Bytes, E>> + Unpin + Send + 'static,
    ) -> Result<u64, AppError> {
        check_digest(digest)?;
        let (files, digest) = (self.files.clone(), digest.to_owned());
        let upload = async move {
            let mut hasher = Sha256::new();
            let received = files.receive(place(&digest), limit, stream, |bytes| hasher.update(bytes)).await?;
            let found = hex(&hasher.finalize());
            if found != digest {
                received.discard().await;
                return Err(AppError::Invalid(format!("the bytes have SHA-256 {found}, not {digest}")));
            }
            let size = received.size;
            received.publish().await?;
            Ok(size)
        };
        tokio::spawn(upload).await.map_err(|error| AppError::Internal(error.to_string()))?
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
        let bytes = self.found(digest).await?.bytes().await.map_err(|e| unavailable(&e))?;
        if hex(&Sha256::digest(&bytes)) != digest {
            return Err(changed(digest));
        }
        Ok(bytes)
    }

    /// The bytes of an artifact as they come from the store, for files of any size.
    pub async fn stream(&self, digest: &str) -> Result<Found, AppError> {
        Ok(Found::from(self.found(digest).await?))
    }

    async fn found(&self, digest: &str) -> Result<GetResult, AppError> {
        check_digest(digest)?;
        match self.files.store.get(&place(digest)).await {
            Ok(found) => Ok(found),
            Err(object_store::Error::NotFound { .. }) => Err(missing(digest)),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// The file of an artifact, for readers that need one. From a bucket it is fetched, and checked against its digest.
    pub async fn file(&self, digest: &str) -> Result<ArtifactFile, AppError> {
        check_digest(digest)?;
        if let Some(path) = self.files.on_disk(&place(digest)) {
            if !self.has(digest).await? {
                return Err(missing(digest));
            }
            return Ok(ArtifactFile { path, _fetched: None });
        }
        let mut stream = self.found(digest).await?.into_stream();
        let full = |error: std::io::Error| {
            AppError::Unavailable(format!("artifact {digest} into a temporary file: {error}"))
        };
        let (file, fetched) = NamedTempFile::new().map_err(full)?.into_parts();
        let mut file = tokio::fs::File::from_std(file);
        let mut hasher = Sha256::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|e| unavailable(&e))?;
            hasher.update(&chunk);
            file.write_all(&chunk).await.map_err(full)?;
        }
        file.flush().await.map_err(full)?;
        if hex(&hasher.finalize()) != digest {
            return Err(changed(digest));
        }
        Ok(ArtifactFile { path: fetched.to_path_buf(), _fetched: Some(fetched) })
    }
}

fn missing(digest: &str) -> AppError {
    AppError::not_found("artifact", digest, "upload it first")
}

fn changed(digest: &str) -> AppError {
    AppError::Invalid(format!(
        "artifact {digest} was changed on disk: its bytes no longer have that digest; restore it from a backup"
    ))
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

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn a_bucket_keeps_what_has_its_digest_and_lends_files() {
        let store = Arc::new(InMemory::new());
        let artifacts = Artifacts::open_in(Arc::clone(&store) as Arc<dyn ObjectStore>).await.unwrap();
        let digest = artifacts.put(Bytes::from_static(b"rows")).await.unwrap();
        assert!(artifacts.has(&digest).await.unwrap());
        assert_eq!(artifacts.get(&digest).await.unwrap(), b"rows".as_slice());
        let file = artifacts.file(&digest).await.unwrap();
        let path = file.to_path_buf();
        assert_eq!(std::fs::read(&file).unwrap(), b"rows");
        drop(file);
        assert!(!path.exists(), "a fetched file goes with its last reader");
        let other = "0".repeat(64);
        let wrong = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"other rows"))]);
        let error = artifacts.put_stream(&other, 99, wrong).await.unwrap_err();
        assert!(error.to_string().contains("not 0000"), "{error}");
        assert!(artifacts.file(&other).await.is_err() && !artifacts.has(&other).await.unwrap());
        store.put(&place(&digest), b"changed".as_slice().into()).await.unwrap();
        for error in [artifacts.get(&digest).await.err(), artifacts.file(&digest).await.err()] {
            assert!(error.unwrap().to_string().contains("was changed"));
        }
    }
}
