//! The store: one value, two backends. Checks every bound before a backend sees the call.

use crate::embedded::Embedded;
use crate::limits::{self, Pair};
use crate::redis::Redis;
use crate::{Load, Purged, Result, Table, Values};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A handle; clones share what is behind it.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Backend,
}

#[derive(Debug, Clone)]
pub(crate) enum Backend {
    Embedded(Arc<Embedded>),
    Redis(Arc<Redis>),
}

impl Store {
    /// Opens `embedded:FOLDER` (or a plain path), which is made when it is missing and belongs to one process at a
    /// time; or `redis://…`, `rediss://…` (TLS), with `?prefix=NAME` when several installations share a server.
    /// A server is not contacted before the first call: see [`Store::check`].
    pub async fn open(url: &str) -> Result<Self> {
        let backend = if url.starts_with("redis://") || url.starts_with("rediss://") {
            Backend::Redis(Arc::new(Redis::open(url)?))
        } else {
            let folder = url.strip_prefix("embedded:").unwrap_or(url);
            refuse_other_schemes(folder)?;
            Backend::Embedded(Arc::new(Embedded::open(Path::new(folder)).await?))
        };
        Ok(Self { backend })
    }

    /// Whether the backend answers.
    pub async fn check(&self) -> Result<()> {
        match &self.backend {
            Backend::Embedded(_) => Ok(()),
            Backend::Redis(store) => store.check().await,
        }
    }

    /// Begins, or after a crash resumes, the load of a generation. A table has one load at a time: beginning another
    /// generation abandons the one that was on its way, and its writer is told so.
    pub async fn begin(&self, table: &str, generation: &str, expiry: Option<Duration>) -> Result<Load> {
        limits::check_table(table)?;
        limits::check_generation(generation)?;
        let begun = match &self.backend {
            Backend::Embedded(store) => store.begin(table, generation, expiry).await?,
            Backend::Redis(store) => store.begin(table, generation, expiry).await?,
        };
        Ok(Load::new(self.backend.clone(), table, begun))
    }

    /// Writes keys into the active generation, all of them or none, durably. They read as missing from `expires_at`
    /// on. The next generation that is published replaces them with the rest of the table.
    pub async fn upsert(
        &self,
        table: &str,
        pairs: Vec<Pair>,
        expires_at: Option<i64>,
        now: i64,
    ) -> Result<()> {
        limits::check_table(table)?;
        limits::check_batch(&pairs)?;
        match &self.backend {
            Backend::Embedded(store) => store.upsert(table, pairs, expires_at, now).await,
            Backend::Redis(store) => store.upsert(table, pairs, expires_at, now).await,
        }
    }

    /// Reads one key.
    pub async fn get(&self, table: &str, key: &[u8], now: i64) -> Result<Option<Bytes>> {
        let mut read = self.get_many(table, &[key], now).await?;
        Ok(read.values.pop().flatten())
    }

    /// Reads several keys of one generation, in one round trip.
    pub async fn get_many(&self, table: &str, keys: &[&[u8]], now: i64) -> Result<Values> {
        limits::check_table(table)?;
        limits::check_keys(keys)?;
        match &self.backend {
            Backend::Embedded(store) => store.get_many(table, keys, now),
            Backend::Redis(store) => store.get_many(table, keys, now).await,
        }
    }

    /// All tables, by name.
    pub async fn tables(&self) -> Result<Vec<Table>> {
        match &self.backend {
            Backend::Embedded(store) => store.tables().await,
            Backend::Redis(store) => store.tables().await,
        }
    }

    /// Removes a table with its active generation and its load; whether there was one.
    pub async fn drop_table(&self, table: &str) -> Result<bool> {
        limits::check_table(table)?;
        match &self.backend {
            Backend::Embedded(store) => store.drop_table(table).await,
            Backend::Redis(store) => store.drop_table(table).await,
        }
    }

    /// Frees what no read can see any more: at most `limit` keys and generations, and at least one.
    pub async fn purge(&self, now: i64, limit: u32) -> Result<Purged> {
        let limit = limit.max(1);
        match &self.backend {
            Backend::Embedded(store) => store.purge(now, limit).await,
            Backend::Redis(store) => store.purge(now, limit).await,
        }
    }
}

/// A mistyped scheme would otherwise become a folder of that name.
fn refuse_other_schemes(folder: &str) -> Result<()> {
    if folder.is_empty() || folder.contains("://") {
        // Not shown: what looks like a URL may hold a password.
        let problem = "this is no place for an online store; use embedded:FOLDER, redis://HOST:PORT or \
                       rediss://HOST:PORT";
        return Err(crate::OnlineError::Invalid(problem.to_owned()));
    }
    Ok(())
}
