//! Files of runs and logged models by path, as MLflow's clients name them behind `mlflow-artifacts:`.
//!
//! A file is there whole or not at all. A path is a list of parts that [`crate::location`] has checked.

use std::ops::Range;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use crate::AppError;
use crate::files::{Files, unavailable};
use crate::location::percent_decoded;

/// Folder of the files, beside the artifacts that lie by content.
const FOLDER: &str = "mlflow";
/// Largest file.
const MAX_FILE: u64 = 1 << 40;

/// All files of one server.
#[derive(Debug, Clone)]
pub struct Repository {
    files: Files,
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

fn place(parts: &[String]) -> Path {
    std::iter::once(FOLDER).chain(parts.iter().map(String::as_str)).collect()
}

fn shown(parts: &[String]) -> String {
    parts.join("/").chars().take(500).collect()
}

impl Repository {
    /// The files of these artifacts.
    pub(crate) fn of(files: &Files) -> Self {
        Self { files: files.clone() }
    }

    /// Stores a file, instead of one that was there. Goes on when nobody waits for it any more, so that an upload that
    /// breaks off is noticed and thrown away.
    pub async fn put<E: std::fmt::Display + Send + 'static>(
        &self,
        parts: Vec<String>,
        stream: impl Stream<Item = Result<Bytes, E>> + Unpin + Send + 'static,
    ) -> Result<u64, AppError> {
        let files = self.files.clone();
        let upload = async move {
            let (temporary, size) = files.receive(MAX_FILE, stream, |_| {}).await?;
            let Err(error) = files.publish(&temporary, &place(&parts)).await else { return Ok(size) };
            files.discard(&temporary).await;
            Err(in_the_way(&files, &parts).await.unwrap_or(error))
        };
        tokio::spawn(upload).await.map_err(|error| AppError::Internal(error.to_string()))?
    }

    /// Opens a file, or some of its bytes.
    pub async fn get(&self, parts: &[String], range: Option<GetRange>) -> Result<Found, AppError> {
        let options = GetOptions { range, ..GetOptions::default() };
        let absent = || AppError::not_found("artifact", &shown(parts), "");
        if parts.is_empty() || is_folder(&self.files, parts) {
            return Err(AppError::Invalid(format!(
                "Artifact path refers to a directory, not a file: '{}'",
                shown(parts)
            )));
        }
        match self.files.store.get_opts(&place(parts), options).await {
            Ok(found) => Ok(Found {
                size: found.meta.size,
                range: found.range.clone(),
                modified: Timestamp::from_second(found.meta.last_modified.timestamp()).unwrap_or_default(),
                etag: found.meta.e_tag.clone(),
                bytes: found.into_stream(),
            }),
            Err(object_store::Error::NotFound { .. }) => Err(absent()),
            // A part of the path is a file.
            Err(_) if is_below_a_file(&self.files, parts).await => Err(absent()),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// What lies in a folder, by name; nothing when there is none.
    pub async fn list(&self, parts: &[String]) -> Result<Vec<Entry>, AppError> {
        if !is_folder(&self.files, parts) {
            return Ok(Vec::new());
        }
        let found =
            self.files.store.list_with_delimiter(Some(&place(parts))).await.map_err(|e| unavailable(&e))?;
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
        if !is_folder(&self.files, parts) {
            return match self.files.store.delete(&place(parts)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(_) if is_below_a_file(&self.files, parts).await => Ok(()),
                Err(error) => Err(unavailable(&error)),
            };
        }
        let store = &self.files.store;
        let all = store.list(Some(&place(parts))).map_ok(|file| file.location).boxed();
        let gone = store.delete_stream(all);
        gone.try_for_each(|_| async { Ok(()) }).await.map_err(|e| unavailable(&e))
    }
}

fn is_folder(files: &Files, parts: &[String]) -> bool {
    files.root.join(place(parts).as_ref()).is_dir()
}

async fn is_below_a_file(files: &Files, parts: &[String]) -> bool {
    for end in 1..parts.len() {
        if files.store.head(&place(&parts[..end])).await.is_ok() {
            return true;
        }
    }
    false
}

/// Why a file cannot have that path.
async fn in_the_way(files: &Files, parts: &[String]) -> Option<AppError> {
    if is_folder(files, parts) {
        return Some(AppError::Invalid(format!("'{}' is a folder", shown(parts))));
    }
    if is_below_a_file(files, parts).await {
        return Some(AppError::Invalid(format!("a part of '{}' is a file, and no folder", shown(parts))));
    }
    None
}
