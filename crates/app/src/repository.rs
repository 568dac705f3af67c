//! Files of runs and logged models by path, as MLflow's clients name them behind `mlflow-artifacts:`.
//!
//! A file is there whole or not at all. A path is a list of parts that [`crate::location`] has checked.

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

    fn place(&self, parts: &[String]) -> Path {
        self.folder.into_iter().chain(parts.iter().map(String::as_str)).collect()
    }

    fn is_folder(&self, parts: &[String]) -> bool {
        self.files.root.join(self.place(parts).as_ref()).is_dir()
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
            let (temporary, size) = this.files.receive(MAX_FILE, stream, |_| {}).await?;
            let published = this.files.publish(&temporary, &this.place(&parts)).await;
            let Err(error) = published else { return Ok(size) };
            this.files.discard(&temporary).await;
            Err(this.in_the_way(&parts).await.unwrap_or(error))
        };
        tokio::spawn(upload).await.map_err(|error| AppError::Internal(error.to_string()))?
    }

    /// Opens a file, or some of its bytes.
    pub async fn get(&self, parts: &[String], range: Option<GetRange>) -> Result<Found, AppError> {
        let options = GetOptions { range, ..GetOptions::default() };
        let absent = || AppError::not_found("artifact", &shown(parts), "");
        if parts.is_empty() || self.is_folder(parts) {
            return Err(AppError::Invalid(format!(
                "Artifact path refers to a directory, not a file: '{}'",
                shown(parts)
            )));
        }
        match self.files.store.get_opts(&self.place(parts), options).await {
            Ok(found) => Ok(Found::from(found)),
            Err(object_store::Error::NotFound { .. }) => Err(absent()),
            // A part of the path is a file.
            Err(_) if self.is_below_a_file(parts).await => Err(absent()),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// What lies in a folder, by name; nothing when there is none.
    pub async fn list(&self, parts: &[String]) -> Result<Vec<Entry>, AppError> {
        if !self.is_folder(parts) {
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
            return match self.files.store.delete(&self.place(parts)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(_) if self.is_below_a_file(parts).await => Ok(()),
                Err(error) => Err(unavailable(&error)),
            };
        }
        let store = &self.files.store;
        let all = store.list(Some(&self.place(parts))).map_ok(|file| file.location).boxed();
        let gone = store.delete_stream(all);
        gone.try_for_each(|_| async { Ok(()) }).await.map_err(|e| unavailable(&e))
    }
}
