//! The catalogue of an embedded folder: which generation each table serves and loads, and which files are to go.
//!
//! Owns `catalog.redb` and `lock`, which is held as long as the folder is open. Refuses to touch a generation's content.

use super::file::{self, File, wrong};
use crate::{Generation, OnlineError, Result};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const TABLES: TableDefinition<&str, &[u8]> = TableDefinition::new("tables");
const RETIRED: TableDefinition<u64, ()> = TableDefinition::new("retired");
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
const LAST_NUMBER: &str = "last";
/// The catalogue is small, and its rows are kept in memory.
const CACHE_BYTES: usize = 1 << 20;

/// What the catalogue says about a table; an empty row is no row.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) active: Option<Generation>,
    pub(super) loading: Option<Generation>,
}

impl Row {
    fn is_empty(&self) -> bool {
        self.active.is_none() && self.loading.is_none()
    }
}

#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) rows: BTreeMap<String, Row>,
    loading: HashMap<u64, Arc<File>>,
    retired: BTreeSet<u64>,
    last_number: u64,
    path: PathBuf,
    database: Database,
    /// Let go of last, when the database is closed.
    _lock: std::fs::File,
}

impl Catalog {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let made = std::fs::create_dir_all(file::folder(folder));
        made.map_err(|error| OnlineError::storage(folder.display(), error))?;
        let lock = lock(folder)?;
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            file::sync_folder(parent)?;
        }
        let path = folder.join("catalog.redb");
        let database = file::open_or_create(&path, CACHE_BYTES, |_, _| Ok(()))?;
        let mut catalog = Self {
            rows: BTreeMap::new(),
            loading: HashMap::new(),
            retired: BTreeSet::new(),
            last_number: 0,
            path,
            database,
            _lock: lock,
        };
        catalog.write(|_| Ok(())).map_err(wrong(&catalog.path))?;
        catalog.read().map_err(wrong(&catalog.path))??;
        Ok(catalog)
    }

    fn read(&mut self) -> Result<Result<()>, redb::Error> {
        let read = self.database.begin_read()?;
        for row in read.open_table(TABLES)?.iter()? {
            let (name, json) = row?;
            match serde_json::from_slice(json.value()) {
                Ok(row) => self.rows.insert(name.value().to_owned(), row),
                Err(error) => {
                    let reason = format!("the record of table '{}' does not read: {error}", name.value());
                    return Ok(Err(OnlineError::corrupt(self.path.display(), reason)));
                }
            };
        }
        for number in read.open_table(RETIRED)?.iter()? {
            self.retired.insert(number?.0.value());
        }
        self.last_number = read.open_table(NUMBERS)?.get(LAST_NUMBER)?.map_or(0, |last| last.value());
        Ok(Ok(()))
    }

    /// A number that no generation of this folder has had. It counts as used with the next commit.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Makes a table's row and the numbers whose files are to go durable, together.
    pub(super) fn commit(&mut self, table: &str, row: Row, retired: &[u64]) -> Result<()> {
        let last_number = self.last_number;
        let json = serde_json::to_vec(&row)
            .map_err(|error| OnlineError::storage(self.path.display(), format!("a row: {error}")))?;
        self.write(|write| {
            let mut tables = write.open_table(TABLES)?;
            if row.is_empty() {
                tables.remove(table)?;
            } else {
                tables.insert(table, json.as_slice())?;
            }
            for number in retired {
                write.open_table(RETIRED)?.insert(number, ())?;
            }
            write.open_table(NUMBERS)?.insert(LAST_NUMBER, last_number)?;
            Ok(())
        })
        .map_err(wrong(&self.path))?;
        self.retired.extend(retired);
        // A retired file is closed with its last reader; a published one lives on in what serves it.
        let still_loading = row.loading.as_ref().map(|loading| loading.number);
        let before = self.rows.get(table).and_then(|row| row.loading.as_ref()).map(|loading| loading.number);
        if let Some(number) = before.filter(|number| Some(*number) != still_loading) {
            self.loading.remove(&number);
        }
        if row.is_empty() {
            self.rows.remove(table);
        } else {
            self.rows.insert(table.to_owned(), row);
        }
        Ok(())
    }

    /// The table's row, when it is loading the generation with that number.
    pub(super) fn row_loading(&self, table: &str, number: u64) -> Option<Row> {
        let row = self.rows.get(table)?;
        row.loading.as_ref().is_some_and(|loading| loading.number == number).then(|| row.clone())
    }

    /// The file of a generation that is being loaded; made anew when a kill came before it.
    pub(super) fn loading_file(&mut self, folder: &Path, number: u64) -> Result<Arc<File>> {
        if let Some(file) = self.loading.get(&number) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::create(folder, number)?);
        self.loading.insert(number, Arc::clone(&file));
        Ok(file)
    }

    pub(super) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Removes at most `limit` files, then forgets them; how many.
    pub(super) fn remove_retired(&mut self, folder: &Path, limit: u64) -> Result<u64> {
        let gone: Vec<u64> =
            self.retired.iter().copied().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
        if gone.is_empty() {
            return Ok(0);
        }
        gone.iter().try_for_each(|number| File::remove(folder, *number))?;
        file::sync_folder(&file::folder(folder))?;
        self.write(|write| {
            let mut retired = write.open_table(RETIRED)?;
            gone.iter().try_for_each(|number| retired.remove(number).map(drop))?;
            Ok(())
        })
        .map_err(wrong(&self.path))?;
        self.retired.retain(|number| !gone.contains(number));
        Ok(gone.len() as u64)
    }

    /// One durable commit; all tables exist after the first one.
    fn write(
        &self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error> {
        let mut write = self.database.begin_write()?;
        write.set_quick_repair(true);
        write.open_table(TABLES)?;
        write.open_table(RETIRED)?;
        write.open_table(NUMBERS)?;
        change(&write)?;
        write.commit()?;
        Ok(())
    }
}

/// The folder belongs to whoever holds this lock; the system takes it back from a process that ends in any way.
fn lock(folder: &Path) -> Result<std::fs::File> {
    let path = folder.join("lock");
    let failed = |error: std::io::Error| OnlineError::storage(path.display(), error);
    let file =
        std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(failed(error)),
        Err(TryLockError::WouldBlock) => Err(OnlineError::Unavailable {
            place: folder.display().to_string(),
            reason: "another process has the folder open; stop it, give this one a folder of its own, or use Redis, \
                     which processes can share"
                .to_owned(),
        }),
    }
}
