//! A published generation that is being read, and written to one key at a time.

use super::file::{File, Pairs, wrong};
use crate::limits::Pair;
use crate::{Generation, OnlineError, Result};
use arc_swap::ArcSwap;
use bytes::Bytes;
use redb::ReadableTableMetadata;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) struct Live {
    pub(super) generation: Generation,
    /// What readers see. Declared before the file, so that it lets go of it first.
    snapshot: ArcSwap<Pairs>,
    /// Held from before a commit until its snapshot is shown: an older one never replaces a newer one.
    writing: Mutex<()>,
    file: Arc<File>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl Live {
    pub(super) fn new(generation: Generation, file: Arc<File>) -> Result<Self> {
        let snapshot = ArcSwap::from_pointee(file.snapshot()?);
        Ok(Self { generation, snapshot, writing: Mutex::new(()), file })
    }

    /// Reads all keys from one snapshot.
    pub(super) fn read(
        &self,
        keys: &[&[u8]],
        decode: impl Fn(&[u8]) -> Result<Option<Bytes>, &'static str>,
    ) -> Result<Vec<Option<Bytes>>> {
        let snapshot = self.snapshot.load();
        let read = |key: &&[u8]| match snapshot.get(*key).map_err(wrong(self.file.path()))? {
            Some(stored) => decode(stored.value())
                .map_err(|reason| OnlineError::corrupt(self.file.path().display(), reason)),
            None => Ok(None),
        };
        keys.iter().map(read).collect()
    }

    pub(super) fn keys(&self) -> Result<u64> {
        self.snapshot.load().len().map_err(wrong(self.file.path()))
    }

    pub(super) fn upsert(&self, pairs: Vec<Pair>, expires_at: Option<i64>) -> Result<()> {
        let _writing = self.lock();
        self.file.upsert(&pairs, expires_at)?;
        self.show()
    }

    pub(super) fn purge(&self, now: i64, limit: u64) -> Result<u64> {
        let _writing = self.lock();
        let purged = self.file.purge(now, usize::try_from(limit).unwrap_or(usize::MAX))?;
        if purged > 0 {
            self.show()?;
        }
        Ok(purged)
    }

    fn show(&self) -> Result<()> {
        self.snapshot.store(Arc::new(self.file.snapshot()?));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
