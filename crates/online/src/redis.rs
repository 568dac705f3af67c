//! The Redis (or Valkey) backend: each generation is one hash, each change of more than one key one script.
//!
//! Under a prefix: `tables` (a set of names), and for each table `active:T` and `load:T` (hashes of stored values) and
//! `expiry:T` (a sorted set of the keys that expire). The field with the empty name, which no key can have, holds the
//! generation's record; so one HMGET reads values and their generation together, and one compare-and-set of that
//! record fences every change. Publishing renames the hash; the server frees what it replaced in the background.
//!
//! Keys of one table and the set of tables are changed together, so a Redis Cluster is refused by its server; use one
//! server, with replicas. What is durable is decided by the server's `appendonly` and `appendfsync`.

mod link;
mod script;

use crate::generation::{Generation, Purged, Table, Values};
use crate::limits::Pair;
use crate::{OnlineError, Result, entry};
use bytes::Bytes;
use link::Link;
use script::{ABANDON, BEGIN, EXPIRE, PUBLISH, PURGE, PUT, UPSERT};
use std::time::Duration;

/// The field of a generation's record.
const RECORD: &[u8] = b"";
/// A compare-and-set that fails has seen another writer; so many of them in a row are a quarrel.
const ATTEMPTS: usize = 4;

type Bulk = Option<Vec<u8>>;

#[derive(Debug)]
pub(crate) struct Redis {
    link: Link,
    prefix: String,
}

/// The server's keys of one table.
struct Keys {
    tables: String,
    active: String,
    load: String,
    expiry: String,
}

impl Redis {
    pub(crate) fn open(url: &str) -> Result<Self> {
        let (url, prefix) = split_prefix(url)?;
        Ok(Self { link: Link::open(&url)?, prefix })
    }

    pub(crate) async fn check(&self) -> Result<()> {
        self.link.read(&redis::cmd("PING")).await
    }

    pub(crate) async fn begin(&self, table: &str, id: &str, expiry: Option<Duration>) -> Result<Generation> {
        let keys = self.keys(table);
        for _ in 0..ATTEMPTS {
            let (active, load) = self.records(&keys).await?;
            let loading = self.parse(load.as_deref(), &keys.load)?;
            if let Some(loading) = loading.filter(|loading| &*loading.id == id) {
                return Ok(loading);
            }
            let active = self.parse(active.as_deref(), &keys.active)?;
            if let Some(active) = active.filter(|active| &*active.id == id) {
                return Ok(active);
            }
            let number = self.link.write(redis::cmd("INCR").arg(format!("{}number", self.prefix))).await?;
            let begun = Generation::begin(id, number, expiry);
            let mut call = script::call(BEGIN, &[&keys.load, &keys.tables]);
            call.arg(load.unwrap_or_default()).arg(begun.to_json()).arg(table);
            if self.link.write::<bool>(&call).await? {
                return Ok(begun);
            }
        }
        Err(self.quarrel(table))
    }

    pub(crate) async fn put(
        &self,
        table: &str,
        generation: &Generation,
        sequence: u64,
        pairs: Vec<Pair>,
    ) -> Result<u64> {
        let keys = self.keys(table);
        let next = Generation { batches: sequence, ..generation.clone() };
        let mut call = script::call(PUT, &[&keys.load]);
        call.arg(generation.to_json()).arg(next.to_json());
        for (key, value) in &pairs {
            call.arg(key).arg(entry::encode(value, None));
        }
        let now: Bulk = self.link.write(&call).await?;
        // Another writer of the same load, or this one before its connection broke, may have been faster.
        match self.parse(now.as_deref(), &keys.load)? {
            Some(now) if now.number == next.number && now.batches >= sequence => Ok(now.batches),
            _ => Err(OnlineError::superseded(table, &generation.id)),
        }
    }

    pub(crate) async fn publish(&self, table: &str, generation: &Generation, now: i64) -> Result<Generation> {
        let keys = self.keys(table);
        let mut expected = generation.clone();
        for _ in 0..ATTEMPTS {
            let published = expected.published(now);
            let mut call = script::call(PUBLISH, &[&keys.load, &keys.active, &keys.expiry]);
            call.arg(expected.to_json()).arg(published.to_json());
            if self.link.write::<bool>(&call).await? {
                return Ok(published);
            }
            let (active, load) = self.records(&keys).await?;
            let same = |other: &Generation| other.number == generation.number;
            if let Some(active) = self.parse(active.as_deref(), &keys.active)?.filter(same) {
                return Ok(active);
            }
            match self.parse(load.as_deref(), &keys.load)?.filter(same) {
                Some(loading) => expected = loading,
                None => return Err(OnlineError::superseded(table, &generation.id)),
            }
        }
        Err(self.quarrel(table))
    }

    pub(crate) async fn abandon(&self, table: &str, generation: &Generation) -> Result<()> {
        let keys = self.keys(table);
        for _ in 0..ATTEMPTS {
            let (_, load) = self.records(&keys).await?;
            let loading = self.parse(load.as_deref(), &keys.load)?;
            if loading.is_none_or(|loading| loading.number != generation.number) {
                return Ok(());
            }
            let mut call = script::call(ABANDON, &[&keys.load, &keys.active, &keys.tables]);
            call.arg(load.unwrap_or_default()).arg(table);
            if self.link.write::<bool>(&call).await? {
                return Ok(());
            }
        }
        Err(self.quarrel(table))
    }

    pub(crate) async fn upsert(
        &self,
        table: &str,
        pairs: Vec<Pair>,
        expires_at: Option<i64>,
        now: i64,
    ) -> Result<()> {
        let keys = self.keys(table);
        let score = expires_at.map_or_else(String::new, |at| at.to_string());
        for _ in 0..ATTEMPTS {
            let (record, _) = self.records(&keys).await?;
            let active = self.parse(record.as_deref(), &keys.active)?;
            if active.is_none_or(|active| active.has_expired(now)) {
                return Err(OnlineError::no_generation(table));
            }
            let mut call = script::call(UPSERT, &[&keys.active, &keys.expiry]);
            call.arg(record.unwrap_or_default()).arg(&score);
            for (key, value) in &pairs {
                call.arg(key).arg(entry::encode(value, expires_at));
            }
            if self.link.write::<bool>(&call).await? {
                return Ok(());
            }
        }
        Err(self.quarrel(table))
    }

    pub(crate) async fn get_many(&self, table: &str, keys: &[&[u8]], now: i64) -> Result<Values> {
        let place = self.keys(table).active;
        let mut call = redis::cmd("HMGET");
        call.arg(&place).arg(RECORD);
        for key in keys {
            call.arg(*key);
        }
        let mut found: Vec<Bulk> = self.link.read(&call).await?;
        if found.len() != keys.len() + 1 {
            return Err(OnlineError::corrupt(
                self.place(&place),
                "the server answered another number of values",
            ));
        }
        let values = found.split_off(1);
        let record = found.pop().flatten();
        let active = self.parse(record.as_deref(), &place)?;
        let Some(active) = active.filter(|active| !active.has_expired(now)) else {
            return Ok(Values::missing(keys.len()));
        };
        let read = |stored: Bulk| match stored {
            Some(stored) => {
                entry::read(&stored, now).map_err(|reason| OnlineError::corrupt(self.place(&place), reason))
            }
            None => Ok(None),
        };
        let values = values.into_iter().map(read).collect::<Result<Vec<Option<Bytes>>>>()?;
        Ok(Values { generation: Some(active.id), values })
    }

    pub(crate) async fn tables(&self) -> Result<Vec<Table>> {
        let mut tables = Vec::new();
        for name in self.names().await? {
            let keys = self.keys(&name);
            let (active, load) = self.records(&keys).await?;
            let fields: u64 = self.link.read(redis::cmd("HLEN").arg(&keys.active)).await?;
            let active = self.parse(active.as_deref(), &keys.active)?;
            let loading = self.parse(load.as_deref(), &keys.load)?;
            // Of a table that is dropped between the reads, nothing is left to list.
            if active.is_some() || loading.is_some() {
                tables.push(Table { name, active, keys: fields.saturating_sub(1), loading });
            }
        }
        Ok(tables)
    }

    pub(crate) async fn drop_table(&self, table: &str) -> Result<bool> {
        let keys = self.keys(table);
        let mut both = redis::pipe();
        both.atomic();
        both.cmd("UNLINK").arg(&keys.active).arg(&keys.load).arg(&keys.expiry).ignore();
        both.cmd("SREM").arg(&keys.tables).arg(table);
        let (removed,): (u64,) = self.link.write_all(&both).await?;
        Ok(removed > 0)
    }

    /// Replaced generations are freed by the server itself; what is left is what has expired.
    pub(crate) async fn purge(&self, now: i64, limit: u32) -> Result<Purged> {
        let (limit, mut purged) = (u64::from(limit), Purged::default());
        for name in self.names().await? {
            let left = limit - purged.keys - purged.generations;
            if left == 0 {
                break;
            }
            let keys = self.keys(&name);
            let (record, _) = self.records(&keys).await?;
            if self.parse(record.as_deref(), &keys.active)?.is_some_and(|active| active.has_expired(now)) {
                let mut call = script::call(EXPIRE, &[&keys.active, &keys.expiry, &keys.load, &keys.tables]);
                call.arg(record.unwrap_or_default()).arg(&name);
                purged.generations += u64::from(self.link.write::<bool>(&call).await?);
                continue;
            }
            let mut call = script::call(PURGE, &[&keys.active, &keys.expiry]);
            let step = left.min(script::STEP);
            call.arg(now).arg(step);
            let gone: u64 = self.link.write(&call).await?;
            purged.keys += gone;
            purged.more |= gone == step;
        }
        purged.more |= purged.keys + purged.generations >= limit;
        Ok(purged)
    }

    async fn names(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> =
            self.link.read(redis::cmd("SMEMBERS").arg(format!("{}tables", self.prefix))).await?;
        names.sort_unstable();
        Ok(names)
    }

    /// The records of the active generation and of the load, as stored.
    async fn records(&self, keys: &Keys) -> Result<(Bulk, Bulk)> {
        let mut both = redis::pipe();
        both.atomic();
        both.cmd("HGET").arg(&keys.active).arg(RECORD);
        both.cmd("HGET").arg(&keys.load).arg(RECORD);
        self.link.read_all(&both).await
    }

    fn parse(&self, record: Option<&[u8]>, key: &str) -> Result<Option<Generation>> {
        record.map(|record| Generation::from_json(record, &self.place(key))).transpose()
    }

    fn keys(&self, table: &str) -> Keys {
        let key = |kind: &str| format!("{}{kind}:{table}", self.prefix);
        Keys {
            tables: format!("{}tables", self.prefix),
            active: key("active"),
            load: key("load"),
            expiry: key("expiry"),
        }
    }

    fn place(&self, key: &str) -> String {
        format!("{}, key {key}", self.link.place())
    }

    fn quarrel(&self, table: &str) -> OnlineError {
        OnlineError::Unavailable {
            place: self.link.place().to_owned(),
            reason: format!("table '{table}' was changed by others {ATTEMPTS} times in a row; try again"),
        }
    }
}

/// Takes our own parameter out of the URL; the rest is for the client library.
fn split_prefix(url: &str) -> Result<(String, String)> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (ours, others): (Vec<&str>, Vec<&str>) =
        query.split('&').filter(|part| !part.is_empty()).partition(|part| part.starts_with("prefix="));
    let prefix = ours.first().and_then(|part| part.strip_prefix("prefix=")).unwrap_or("greenlight");
    crate::limits::check_generation(prefix).map_err(|_| {
        OnlineError::Invalid("the prefix in a Redis URL must be letters, digits and _ - . : +".to_owned())
    })?;
    let url = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
    Ok((url, format!("{prefix}:online:")))
}

#[cfg(test)]
mod tests {
    use super::split_prefix;

    #[test]
    fn the_prefix_is_ours() {
        let check = |url: &str, rest: &str, prefix: &str| {
            let (found, key) = split_prefix(url).unwrap();
            assert_eq!((found.as_str(), key.as_str()), (rest, prefix), "{url}");
        };
        check("redis://h/1", "redis://h/1", "greenlight:online:");
        check("redis://h?prefix=a&protocol=resp3", "redis://h?protocol=resp3", "a:online:");
        assert!(split_prefix("redis://h?prefix=a b").is_err());
    }
}
