//! Turns the errors of files, Arrow, Parquet, Delta Lake and DataFusion into the lake's own words.
//!
//! Refuses to guess: what it cannot name stays `Storage` with the library's own message.

use std::io;
use std::path::Path;

use deltalake::DeltaTableError;
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::error::DataFusionError;
use greenlight_app::lake::LakeError;

/// A file or folder that could not be read or written, named by its path.
pub(crate) fn io(path: &Path, error: &io::Error) -> LakeError {
    LakeError::Storage(format!("{}: {error}", path.display()))
}

/// A segment file whose bytes are not what was written.
pub(crate) fn corrupt(path: &Path, problem: impl std::fmt::Display) -> LakeError {
    LakeError::Corrupt(format!("{}: {problem}", file_name(path)))
}

/// The last part of a path, for messages.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

pub(crate) fn arrow(error: ArrowError) -> LakeError {
    LakeError::Storage(error.to_string())
}

pub(crate) fn delta(error: DeltaTableError) -> LakeError {
    LakeError::Storage(error.to_string())
}

pub(crate) fn query(error: DataFusionError) -> LakeError {
    LakeError::Storage(error.to_string())
}

/// A background task that did not return; its panic is a defect of a library, reported instead of passed on.
pub(crate) fn task(error: tokio::task::JoinError) -> LakeError {
    LakeError::Storage(format!("a background task ended early: {error}"))
}
