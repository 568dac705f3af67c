//! Removes Delta log files that a power cut left unfinished.
//!
//! A log entry, a checkpoint or the pointer to it can be torn only between its writing and our sync, and nothing was
//! deleted on its behalf before that sync. So a torn last entry is as if it never was: its segments are still here
//! and are sealed again. Refuses to touch any entry but the last one; damage elsewhere is reported by the reader.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use greenlight_app::lake::LakeError;
use serde_json::Value;

use crate::error;
use crate::segment::disk::sync_folder;

/// Last bytes of every Parquet file.
const PARQUET_MAGIC: &[u8; 4] = b"PAR1";

/// Repairs the log of the table in `folder`, if it has one.
pub(crate) fn repair(folder: &Path) -> Result<(), LakeError> {
    let log = folder.join("_delta_log");
    if !log.is_dir() {
        return Ok(());
    }
    let torn = torn_files(&log).map_err(|e| error::io(&log, &e))?;
    for file in &torn {
        tracing::warn!(file = %file.display(), "removed an unfinished file of the table's log");
        std::fs::remove_file(file).map_err(|e| error::io(file, &e))?;
    }
    if torn.is_empty() { Ok(()) } else { sync_folder(&log).map_err(|e| error::io(&log, &e)) }
}

fn torn_files(log: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    let mut torn = Vec::new();
    for entry in std::fs::read_dir(log)? {
        let path = entry?.path();
        let name = error::file_name(&path);
        if name.ends_with(".checkpoint.parquet") {
            if !ends_with_magic(&path)? {
                torn.push(path);
            }
        } else if name.strip_suffix(".json").is_some_and(is_version) {
            entries.push(path);
        }
    }
    let pointer = log.join("_last_checkpoint");
    if pointer.exists() && (!torn.is_empty() || !is_json_lines(&pointer)?) {
        torn.push(pointer);
    }
    entries.sort_unstable();
    if let Some(last) = entries.pop()
        && !is_json_lines(&last)?
    {
        torn.push(last);
    }
    Ok(torn)
}

/// Whether a name is that of a log entry, less its ending: twenty digits.
fn is_version(name: &str) -> bool {
    name.len() == 20 && name.bytes().all(|b| b.is_ascii_digit())
}

fn ends_with_magic(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() < 12 {
        return Ok(false);
    }
    let mut tail = [0; 4];
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut tail)?;
    Ok(tail == *PARQUET_MAGIC)
}

fn is_json_lines(path: &Path) -> io::Result<bool> {
    let bytes = std::fs::read(path)?;
    let mut values = serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>().peekable();
    Ok(values.peek().is_some() && values.all(|value| value.is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unfinished_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("_delta_log");
        std::fs::create_dir(&log).unwrap();
        let write = |name: &str, text: &str| std::fs::write(log.join(name), text).unwrap();
        write("00000000000000000000.json", "{\"commitInfo\":{}}\n{\"add\":{}}");
        write("00000000000000000001.json", "");
        write("00000000000000000001.checkpoint.parquet", "PAR1 but cut off here");
        write("_last_checkpoint", "{\"version\":1}");
        repair(folder.path()).unwrap();
        let left: Vec<_> = std::fs::read_dir(&log).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["00000000000000000000.json"]);
    }
}
