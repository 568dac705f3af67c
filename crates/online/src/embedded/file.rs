//! The database file of one generation: its pairs, when they expire, and how far its load has come.

use crate::limits::Pair;
use crate::{OnlineError, Result, entry};
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::path::{Path, PathBuf};

const PAIRS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("pairs");
/// Only of pairs that expire. An entry whose pair was written again since is stale, and a purge passes over it.
const EXPIRIES: TableDefinition<(i64, &[u8]), ()> = TableDefinition::new("expiries");
const PROGRESS: TableDefinition<&str, u64> = TableDefinition::new("progress");
const BATCHES: &str = "batches";
const SEALED: &str = "sealed";
/// What a table may take of memory, or the size of its file when that is less; twice that while it is loaded anew. The
/// operating system's cache holds the rest of the file.
const CACHE_BYTES: usize = 128 << 20;

pub(super) type Pairs = ReadOnlyTable<&'static [u8], &'static [u8]>;
type Progress<'a> = redb::Table<'a, &'static str, u64>;

#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    database: Database,
}

/// The folder of the generations' files.
pub(super) fn folder(root: &Path) -> PathBuf {
    root.join("generations")
}

fn path(root: &Path, number: u64) -> PathBuf {
    folder(root).join(format!("{number}.redb"))
}

/// Makes the making and removing of files durable.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        std::fs::File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| OnlineError::storage(folder.display(), error))?;
    }
    Ok(())
}

impl File {
    /// Opens the file, or makes it.
    pub(super) fn create(root: &Path, number: u64) -> Result<Self> {
        let path = path(root, number);
        let empty = |database: Database, path: &Path| {
            let file = Self { path: path.to_owned(), database };
            file.write(true, |_, _| Ok(()))
        };
        let database = open_or_create(&path, CACHE_BYTES, empty)?;
        Ok(Self { path, database })
    }

    /// Opens the file of a generation that was published.
    pub(super) fn open(root: &Path, number: u64) -> Result<Self> {
        let path = path(root, number);
        if !path.exists() {
            return Err(OnlineError::corrupt(
                path.display(),
                "the file of a published generation is missing",
            ));
        }
        let database = open_or_create(&path, CACHE_BYTES, |_, _| Ok(()))?;
        Ok(Self { path, database })
    }

    pub(super) fn remove(root: &Path, number: u64) -> Result<()> {
        let path = path(root, number);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(OnlineError::storage(path.display(), error))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The last batch that is durable.
    pub(super) fn batches(&self) -> Result<u64> {
        let read = || -> Result<u64, redb::Error> {
            let read = self.database.begin_read()?;
            Ok(read.open_table(PROGRESS)?.get(BATCHES)?.map_or(0, |batches| batches.value()))
        };
        read().map_err(wrong(&self.path))
    }

    /// Opens a load again whose publishing did not reach the catalogue.
    pub(super) fn resume(&self) -> Result<u64> {
        self.write(true, |_, progress| Ok(progress.remove(SEALED).map(drop)?)).map_err(wrong(&self.path))?;
        self.batches()
    }

    /// Makes a batch durable with its number; the last durable batch then. None when the load is over.
    pub(super) fn put(&self, sequence: u64, mut pairs: Vec<Pair>) -> Result<Option<u64>> {
        // Neighbours in the tree become neighbours in time. The sort is stable: of equal keys the last one wins.
        pairs.sort_by(|one, other| one.0.cmp(&other.0));
        self.write(false, |write, progress| {
            if progress.get(SEALED)?.is_some() {
                return Ok(None);
            }
            let batches = progress.get(BATCHES)?.map_or(0, |batches| batches.value());
            if sequence <= batches {
                return Ok(Some(batches));
            }
            let mut table = write.open_table(PAIRS)?;
            for (key, value) in &pairs {
                table.insert(key.as_slice(), entry::encode(value, None).as_slice())?;
            }
            progress.insert(BATCHES, sequence)?;
            Ok(Some(sequence))
        })
        .map_err(wrong(&self.path))
    }

    /// No batch comes after this one. The commit also makes the file quick to open after a crash.
    pub(super) fn seal(&self) -> Result<u64> {
        self.write(true, |_, progress| {
            progress.insert(SEALED, 1)?;
            Ok(progress.get(BATCHES)?.map_or(0, |batches| batches.value()))
        })
        .map_err(wrong(&self.path))
    }

    pub(super) fn snapshot(&self) -> Result<Pairs> {
        let open = || -> Result<Pairs, redb::Error> { Ok(self.database.begin_read()?.open_table(PAIRS)?) };
        open().map_err(wrong(&self.path))
    }

    pub(super) fn upsert(&self, pairs: &[Pair], expires_at: Option<i64>) -> Result<()> {
        self.write(true, |write, _| {
            let mut table = write.open_table(PAIRS)?;
            let mut expiries = write.open_table(EXPIRIES)?;
            for (key, value) in pairs {
                table.insert(key.as_slice(), entry::encode(value, expires_at).as_slice())?;
                if let Some(at) = expires_at {
                    expiries.insert((at, key.as_slice()), ())?;
                }
            }
            Ok(())
        })
        .map_err(wrong(&self.path))
    }

    /// Removes at most `limit` pairs that have expired; how many entries were dealt with.
    pub(super) fn purge(&self, now: i64, limit: usize) -> Result<u64> {
        let due = self.due(now, limit).map_err(wrong(&self.path))?;
        if due.is_empty() {
            return Ok(0);
        }
        self.write(true, |write, _| {
            let mut table = write.open_table(PAIRS)?;
            let mut expiries = write.open_table(EXPIRIES)?;
            for (at, key) in &due {
                let key = key.as_slice();
                let expires_then = |stored: &[u8]| entry::expires_at(stored) == Some(*at);
                if table.get(key)?.is_some_and(|stored| expires_then(stored.value())) {
                    table.remove(key)?;
                }
                expiries.remove((*at, key))?;
            }
            Ok(due.len() as u64)
        })
        .map_err(wrong(&self.path))
    }

    fn due(&self, now: i64, limit: usize) -> Result<Vec<(i64, Vec<u8>)>, redb::Error> {
        let first: (i64, &[u8]) = (i64::MIN, &[]);
        let end: (i64, &[u8]) = (now.saturating_add(1), &[]);
        let expiries = self.database.begin_read()?.open_table(EXPIRIES)?;
        let mut due = Vec::new();
        for entry in expiries.range(first..end)?.take(limit) {
            let entry = entry?;
            let (at, key) = entry.0.value();
            due.push((at, key.to_vec()));
        }
        Ok(due)
    }

    /// One durable commit. With `quick` it also saves what opening the file after a crash would otherwise have to
    /// read the whole file for, which costs a load too much for each of its batches.
    fn write<T>(
        &self,
        quick: bool,
        change: impl FnOnce(&WriteTransaction, &mut Progress<'_>) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        let mut write = self.database.begin_write()?;
        write.set_quick_repair(quick);
        let done = {
            // All tables exist after the first commit, so that a reader finds them.
            write.open_table(PAIRS)?;
            write.open_table(EXPIRIES)?;
            change(&write, &mut write.open_table(PROGRESS)?)?
        };
        write.commit()?;
        Ok(done)
    }
}

/// Opens a database. A missing one is made whole under another name first: a kill in the midst of it would otherwise
/// leave a file that is no database.
pub(super) fn open_or_create(
    path: &Path,
    cache_bytes: usize,
    empty: impl FnOnce(Database, &Path) -> Result<(), redb::Error>,
) -> Result<Database> {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(cache_bytes);
    if !path.exists() {
        let unfinished = path.with_extension("unfinished");
        let failed = |error: std::io::Error| OnlineError::storage(unfinished.display(), error);
        if unfinished.exists() {
            std::fs::remove_file(&unfinished).map_err(failed)?;
        }
        let database = builder.create(&unfinished).map_err(wrong(&unfinished))?;
        empty(database, &unfinished).map_err(wrong(&unfinished))?;
        std::fs::rename(&unfinished, path).map_err(failed)?;
        path.parent().map_or(Ok(()), sync_folder)?;
    }
    builder.open(path).map_err(wrong(path))
}

/// Says what a failure of a file means to a caller.
pub(super) fn wrong<E: Into<redb::Error>>(path: &Path) -> impl FnOnce(E) -> OnlineError {
    move |error| match error.into() {
        redb::Error::Corrupted(reason) => OnlineError::corrupt(path.display(), reason),
        error => OnlineError::storage(path.display(), error),
    }
}
