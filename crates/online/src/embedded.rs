//! The embedded backend: a folder with a catalogue and one database file for each generation.
//!
//! A file for each generation makes the costly things cheap: publishing is one commit of the catalogue, a generation
//! of any size goes by removing its file, the disk gets the space back at once, and a load of one table does not wait
//! for a write to another. Reads go through a snapshot that is swapped after each commit: no lock, no transaction.
//!
//! The order on disk keeps a kill at any moment harmless: the catalogue names a file before the file exists, and
//! forgets it after the file is gone.

mod catalog;
mod file;
mod live;

use crate::generation::{Generation, Purged, Table, Values};
use crate::limits::{MAX_TABLES, Pair};
use crate::{OnlineError, Result, entry};
use arc_swap::ArcSwap;
use catalog::{Catalog, Row};
use file::File;
use live::Live;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Embedded {
    folder: PathBuf,
    live: ArcSwap<HashMap<String, Arc<Live>>>,
    catalog: Mutex<Catalog>,
}

impl Embedded {
    pub(crate) async fn open(folder: &Path) -> Result<Self> {
        let folder = folder.to_owned();
        blocking(move || Self::open_now(folder)).await
    }

    fn open_now(folder: PathBuf) -> Result<Self> {
        let catalog = Catalog::open(&folder)?;
        let mut live = HashMap::new();
        for (name, row) in &catalog.rows {
            if let Some(active) = &row.active {
                let file = File::open(&folder, active.number)?;
                live.insert(name.clone(), Arc::new(Live::new(active.clone(), Arc::new(file))?));
            }
        }
        Ok(Self { folder, live: ArcSwap::from_pointee(live), catalog: Mutex::new(catalog) })
    }

    pub(crate) async fn begin(
        self: &Arc<Self>,
        table: &str,
        generation: &str,
        expiry: Option<Duration>,
    ) -> Result<Generation> {
        let (store, table, id) = (Arc::clone(self), table.to_owned(), generation.to_owned());
        blocking(move || store.begin_now(&table, &id, expiry)).await
    }

    fn begin_now(&self, table: &str, id: &str, expiry: Option<Duration>) -> Result<Generation> {
        let mut catalog = self.catalog();
        let row = catalog.rows.get(table).cloned().unwrap_or_default();
        if let Some(loading) = row.loading.as_ref().filter(|loading| &*loading.id == id) {
            let batches = catalog.loading_file(&self.folder, loading.number)?.resume()?;
            return Ok(Generation { batches, ..loading.clone() });
        }
        if let Some(active) = row.active.as_ref().filter(|active| &*active.id == id) {
            return Ok(active.clone());
        }
        if !catalog.rows.contains_key(table) && catalog.rows.len() >= MAX_TABLES {
            return Err(OnlineError::Invalid(format!(
                "table '{table}' would be one more than the {MAX_TABLES} that an embedded store keeps; drop one \
                 first, or use Redis"
            )));
        }
        let begun = Generation::begin(id, catalog.next_number(), expiry);
        let retired: Vec<u64> = row.loading.iter().map(|old| old.number).collect();
        catalog.commit(table, Row { loading: Some(begun.clone()), ..row }, &retired)?;
        catalog.loading_file(&self.folder, begun.number)?;
        Ok(begun)
    }

    pub(crate) async fn put(
        self: &Arc<Self>,
        table: &str,
        generation: &Generation,
        sequence: u64,
        pairs: Vec<Pair>,
    ) -> Result<u64> {
        let (store, table, generation) = (Arc::clone(self), table.to_owned(), generation.clone());
        blocking(move || {
            let file = store.file_of_load(&mut store.catalog(), &table, &generation)?;
            file.put(sequence, pairs)?.ok_or_else(|| OnlineError::superseded(&table, &generation.id))
        })
        .await
    }

    pub(crate) async fn publish(
        self: &Arc<Self>,
        table: &str,
        generation: &Generation,
        now: i64,
    ) -> Result<Generation> {
        let (store, table, generation) = (Arc::clone(self), table.to_owned(), generation.clone());
        blocking(move || store.publish_now(&table, &generation, now)).await
    }

    fn publish_now(&self, table: &str, generation: &Generation, now: i64) -> Result<Generation> {
        let mut catalog = self.catalog();
        let row = catalog.rows.get(table).cloned().unwrap_or_default();
        if let Some(active) = row.active.as_ref().filter(|active| active.number == generation.number) {
            return Ok(active.clone());
        }
        let file = self.file_of_load(&mut catalog, table, generation)?;
        let published = Generation { batches: file.seal()?, ..generation.published(now) };
        let live = Arc::new(Live::new(published.clone(), file)?);
        let retired: Vec<u64> = row.active.iter().map(|old| old.number).collect();
        catalog.commit(table, Row { active: Some(published.clone()), loading: None }, &retired)?;
        self.serve(table, Some(live));
        Ok(published)
    }

    pub(crate) async fn abandon(self: &Arc<Self>, table: &str, generation: &Generation) -> Result<()> {
        let (store, table, number) = (Arc::clone(self), table.to_owned(), generation.number);
        blocking(move || {
            let mut catalog = store.catalog();
            let Some(row) = catalog.row_loading(&table, number) else { return Ok(()) };
            catalog.commit(&table, Row { loading: None, ..row }, &[number])
        })
        .await
    }

    pub(crate) async fn upsert(
        self: &Arc<Self>,
        table: &str,
        pairs: Vec<Pair>,
        expires_at: Option<i64>,
        now: i64,
    ) -> Result<()> {
        let Some(live) = self.serving(table, now) else { return Err(OnlineError::no_generation(table)) };
        blocking(move || live.upsert(pairs, expires_at)).await
    }

    pub(crate) fn get_many(&self, table: &str, keys: &[&[u8]], now: i64) -> Result<Values> {
        let Some(live) = self.serving(table, now) else { return Ok(Values::missing(keys.len())) };
        let values = live.read(keys, |stored| entry::read(stored, now))?;
        Ok(Values { generation: Some(Arc::clone(&live.generation.id)), values })
    }

    pub(crate) async fn tables(self: &Arc<Self>) -> Result<Vec<Table>> {
        let store = Arc::clone(self);
        blocking(move || {
            let mut catalog = store.catalog();
            let live = store.live.load_full();
            let rows = catalog.rows.clone();
            let table = |(name, row): (String, Row)| {
                let keys = live.get(&name).map_or(Ok(0), |live| live.keys())?;
                let loading = match row.loading {
                    Some(loading) => {
                        let batches = catalog.loading_file(&store.folder, loading.number)?.batches()?;
                        Some(Generation { batches, ..loading })
                    }
                    None => None,
                };
                Ok(Table { name, active: row.active, keys, loading })
            };
            rows.into_iter().map(table).collect()
        })
        .await
    }

    pub(crate) async fn drop_table(self: &Arc<Self>, table: &str) -> Result<bool> {
        let (store, table) = (Arc::clone(self), table.to_owned());
        blocking(move || {
            let mut catalog = store.catalog();
            let Some(row) = catalog.rows.get(&table).cloned() else { return Ok(false) };
            let retired: Vec<u64> = row.active.iter().chain(&row.loading).map(|old| old.number).collect();
            catalog.commit(&table, Row::default(), &retired)?;
            store.serve(&table, None);
            Ok(true)
        })
        .await
    }

    pub(crate) async fn purge(self: &Arc<Self>, now: i64, limit: u32) -> Result<Purged> {
        let store = Arc::clone(self);
        blocking(move || store.purge_now(now, u64::from(limit))).await
    }

    fn purge_now(&self, now: i64, limit: u64) -> Result<Purged> {
        let mut purged = Purged::default();
        {
            let mut catalog = self.catalog();
            for (name, row) in catalog.rows.clone() {
                if let Some(active) = row.active.as_ref().filter(|active| active.has_expired(now)) {
                    catalog.commit(&name, Row { active: None, ..row.clone() }, &[active.number])?;
                    self.serve(&name, None);
                }
            }
            purged.generations = catalog.remove_retired(&self.folder, limit)?;
            purged.more = catalog.has_retired();
        }
        for live in self.live.load_full().values() {
            let left = limit - purged.generations - purged.keys;
            if left == 0 {
                purged.more = true;
                break;
            }
            purged.keys += live.purge(now, left)?;
        }
        purged.more |= purged.generations + purged.keys >= limit;
        Ok(purged)
    }

    /// The file of a load, unless the load is over.
    fn file_of_load(&self, catalog: &mut Catalog, table: &str, generation: &Generation) -> Result<Arc<File>> {
        if catalog.row_loading(table, generation.number).is_none() {
            return Err(OnlineError::superseded(table, &generation.id));
        }
        catalog.loading_file(&self.folder, generation.number)
    }

    fn serving(&self, table: &str, now: i64) -> Option<Arc<Live>> {
        self.live.load().get(table).filter(|live| !live.generation.has_expired(now)).cloned()
    }

    /// Readers of the old map keep what they hold; called with the catalogue locked, so that no swap is lost.
    fn serve(&self, table: &str, next: Option<Arc<Live>>) {
        let mut live = HashMap::clone(&self.live.load());
        match next {
            Some(next) => live.insert(table.to_owned(), next),
            None => live.remove(table),
        };
        self.live.store(Arc::new(live));
    }

    /// What it holds is changed only after the commit of the same change, so a panic leaves it whole.
    fn catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => {
            Err(OnlineError::storage("the embedded folder", format!("a write ended early: {error}")))
        }
    }
}
