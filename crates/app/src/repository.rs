//! Files of runs and logged models by path, as MLflow's clients name them behind `mlflow-artifacts:`.
//!
//! A file is there whole or not at all. A path is a list of parts that [`crate::location`] has checked. In a bucket, which
//! knows no folders, one name may be that of a file and begin the names of others; in a folder it may not.

use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt};

use crate::AppError;
use crate::files::{Files, unavailable};
use crate::location::percent_decoded;

/// Folder of the files, beside the artifacts that lie by content.
const FOLDER: &str = "mlflow";
/// Largest file.
const MAX_FILE: u64 = 1 << 40;

/// The files below one place.
#[derive(Debug, Clone)]
pub struct Repository {
    files: Files,
    folder: Option<&'static str>,
}

/// Something in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its size in bytes; none for a folder.
    pub size: Option<u64>,
}

/// A file that is read.
pub struct Found {
    /// Its whole size in bytes.
    pub size: u64,
    /// Which of its bytes come.
    pub range: Range<u64>,
    /// When it was written.
    pub modified: Timestamp,
    /// Changes when its content does.
    pub etag: Option<String>,
    /// The bytes.
    pub bytes: BoxStream<'static, Result<Bytes, object_store::Error>>,
}

impl From<GetResult> for Found {
    fn from(found: GetResult) -> Self {
        Self {
            size: found.meta.size,
            range: found.range.clone(),
            modified: Timestamp::from_second(found.meta.last_modified.timestamp()).unwrap_or_default(),
            etag: found.meta.e_tag.clone(),
            bytes: found.into_stream(),
        }
    }
}

fn shown(parts: &[String]) -> String {
    parts.join("/").chars().take(500).collect()
}

impl Repository {
    /// The files beside these artifacts.
    pub(crate) fn of(files: &Files) -> Self {
        Self { files: files.clone(), folder: Some(FOLDER) }
    }

    /// The files of a folder that clients write too.
    pub(crate) fn shared(root: PathBuf) -> Result<Self, AppError> {
        Ok(Self { files: Files::open_shared(root)?, folder: None })
    }

    /// Removes what uploads left behind that broke off with their server.
    pub(crate) async fn sweep(&self) -> Result<(), AppError> {
        self.files.sweep().await
    }

    fn place(&self, parts: &[String]) -> Path {
        self.folder.into_iter().chain(parts.iter().map(String::as_str)).collect()
    }

    /// Whether there is a folder of this machine; none is in a bucket.
    fn is_folder(&self, parts: &[String]) -> bool {
        self.files.on_disk(&self.place(parts)).is_some_and(|path| path.is_dir())
    }

    /// Whether something in a bucket lies below that name.
    async fn begins_names(&self, parts: &[String]) -> bool {
        matches!(self.files.store.list(Some(&self.place(parts))).next().await, Some(Ok(_)))
    }

    fn in_bucket(&self) -> bool {
        self.files.on_disk(&Path::default()).is_none()
    }

    async fn is_below_a_file(&self, parts: &[String]) -> bool {
        for end in 1..parts.len() {
            if self.files.store.head(&self.place(&parts[..end])).await.is_ok() {
                return true;
            }
        }
        false
    }

    /// Why a file cannot have that path.
    async fn in_the_way(&self, parts: &[String]) -> Option<AppError> {
        if self.is_folder(parts) {
            return Some(AppError::Invalid(format!("'{}' is a folder", shown(parts))));
        }
        if self.is_below_a_file(parts).await {
            return Some(AppError::Invalid(format!("a part of '{}' is a file, and no folder", shown(parts))));
        }
        None
    }

    /// Stores a file, instead of one that was there. Goes on when nobody waits for it any more, so that an upload that
    /// breaks off is noticed and thrown away.
    pub async fn put<E: std::fmt::Display + Send + 'static>(
        &self,
        parts: Vec<String>,
        stream: impl Stream<Item = Result<Bytes, E>> + Unpin + Send + 'static,
    ) -> Result<u64, AppError> {
        let this = self.clone();
        let upload = async move {
            let received = this.files.receive(this.place(&parts), MAX_FILE, stream, |_| {}).await?;
            let size = received.size;
            let Err(error) = received.publish().await else { return Ok(size) };
            if this.in_bucket() {
                return Err(error);
            }
            Err(this.in_the_way(&parts).await.unwrap_or(error))
        };
        tokio::spawn(upload).await.map_err(|error| AppError::Internal(error.to_string()))?
    }

    /// Opens a file, or some of its bytes.
    pub async fn get(&self, parts: &[String], range: Option<GetRange>) -> Result<Found, AppError> {
        let options = GetOptions { range, ..GetOptions::default() };
        let absent = || AppError::not_found("artifact", &shown(parts), "");
        let no_file = || {
            let path = shown(parts);
            AppError::Invalid(format!("Artifact path refers to a directory, not a file: '{path}'"))
        };
        if parts.is_empty() || self.is_folder(parts) {
            return Err(no_file());
        }
        match self.files.store.get_opts(&self.place(parts), options).await {
            Ok(found) => Ok(Found::from(found)),
            Err(object_store::Error::NotFound { .. }) => {
                let is_begun = self.in_bucket() && self.begins_names(parts).await;
                Err(if is_begun { no_file() } else { absent() })
            }
            // A part of the path is a file.
            Err(_) if !self.in_bucket() && self.is_below_a_file(parts).await => Err(absent()),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// What lies in a folder, by name; nothing when there is none.
    pub async fn list(&self, parts: &[String]) -> Result<Vec<Entry>, AppError> {
        if !self.in_bucket() && !self.is_folder(parts) {
            return Ok(Vec::new());
        }
        let found = self
            .files
            .store
            .list_with_delimiter(Some(&self.place(parts)))
            .await
            .map_err(|e| unavailable(&e))?;
        let name = |path: &Path| path.filename().and_then(percent_decoded).unwrap_or_default();
        let folders = found.common_prefixes.iter().map(|path| Entry { name: name(path), size: None });
        let files =
            found.objects.iter().map(|file| Entry { name: name(&file.location), size: Some(file.size) });
        let mut entries: Vec<Entry> = folders.chain(files).collect();
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Removes a file, or a folder with everything in it. What is not there is no problem.
    pub async fn delete(&self, parts: &[String]) -> Result<(), AppError> {
        if parts.is_empty() {
            return Err(AppError::Invalid("name what is to be deleted; this path is empty".to_owned()));
        }
        if !self.is_folder(parts) {
            match self.files.store.delete(&self.place(parts)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(_) if !self.in_bucket() && self.is_below_a_file(parts).await => {}
                Err(error) => return Err(unavailable(&error)),
            }
            if !self.in_bucket() {
                return Ok(());
            }
        }
        let store = &self.files.store;
        let all = store.list(Some(&self.place(parts))).map_ok(|file| file.location).boxed();
        // Another server may be deleting the same.
        let gone = store
            .delete_stream(all)
            .filter(|one| std::future::ready(!matches!(one, Err(object_store::Error::NotFound { .. }))));
        gone.try_for_each(|_| async { Ok(()) }).await.map_err(|e| unavailable(&e))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::stream;
    use object_store::memory::InMemory;

    use super::*;

    fn parts(path: &str) -> Vec<String> {
        path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    fn bucket() -> (Arc<InMemory>, Repository) {
        let store = Arc::new(InMemory::new());
        let files = Files::in_store(Arc::clone(&store) as Arc<dyn ObjectStore>);
        (store, Repository::of(&files))
    }

    async fn put(repository: &Repository, path: &str, bytes: &'static [u8]) {
        let whole = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(bytes))]);
        assert_eq!(repository.put(parts(path), whole).await.unwrap(), bytes.len() as u64);
    }

    async fn read(repository: &Repository, path: &str, range: Option<GetRange>) -> (u64, Vec<u8>) {
        let found = repository.get(&parts(path), range).await.unwrap();
        let chunks: Vec<Bytes> = found.bytes.try_collect().await.unwrap();
        (found.size, chunks.concat())
    }

    #[tokio::test]
    async fn a_bucket_is_listed_read_and_emptied_like_a_folder() {
        let (store, repository) = bucket();
        for (path, bytes) in
            [("0/r/artifacts/a b.txt", "12345"), ("0/r/artifacts/deep/c", ""), ("0/r/artifacts2/d", "d")]
        {
            put(&repository, path, bytes.as_bytes()).await;
        }
        let listed = repository.list(&parts("0/r/artifacts")).await.unwrap();
        let expected =
            [("a b.txt", Some(5)), ("deep", None)].map(|(name, size)| Entry { name: name.to_owned(), size });
        assert_eq!(listed, expected);
        assert!(repository.list(&parts("0/r/artifacts/a b.txt")).await.unwrap().is_empty(), "a file");
        assert!(repository.list(&parts("none")).await.unwrap().is_empty());
        assert_eq!(read(&repository, "0/r/artifacts/a b.txt", None).await, (5, b"12345".to_vec()));
        let middle = Some(GetRange::Bounded(1..3));
        assert_eq!(read(&repository, "0/r/artifacts/a b.txt", middle).await, (5, b"23".to_vec()));
        for (path, why) in [("0/r/artifacts", "refers to a directory"), ("0/r/none", "there is no artifact")]
        {
            let error = repository.get(&parts(path), None).await.err().unwrap().to_string();
            assert!(error.contains(why), "{path}: {error}");
        }
        repository.delete(&parts("0/r/artifacts")).await.unwrap();
        repository.delete(&parts("0/r/artifacts")).await.unwrap();
        repository.delete(&parts("0/r/artifacts2/d")).await.unwrap();
        assert_eq!(store.list(None).count().await, 0);
        assert!(repository.delete(&[]).await.is_err(), "everything is not deleted by accident");
    }

    #[tokio::test]
    async fn an_upload_to_a_bucket_that_breaks_off_leaves_nothing() {
        let (store, repository) = bucket();
        let chunks = [Ok(Bytes::from(vec![7; 20 << 20])), Err(std::io::Error::other("the line went dead"))];
        let error = repository.put(parts("0/r/artifacts/a"), stream::iter(chunks)).await.unwrap_err();
        assert!(error.to_string().contains("broke off"), "{error}");
        assert_eq!(store.list(None).count().await, 0);
    }
}
