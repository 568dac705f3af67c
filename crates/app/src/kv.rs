//! Tables of keys and JSON values: what a batch wrote for clients to look up.
//!
//! Owns who may read, load and drop, and the loads that are open on this server. A read asks neither the database nor
//! a lock. A load is numbered chunks: each is durable with its number or not at all, and nobody reads any of them
//! before the whole table is swapped. Refuses values that are not JSON.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::Micros;
use greenlight_online::{Generation, Load, MAX_KEYS_READ, OnlineError, Put, Store};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use crate::{App, AppError, allow};

/// Longest time after which a table expires: ten years.
const MAX_EXPIRY_SECONDS: u64 = 10 * 366 * 86_400;
/// Keys and generations that one step of the purge may free, and how many steps follow one another.
const PURGE_STEP: u32 = 10_000;
const PURGE_STEPS: usize = 100;
/// Loads that are open on this server.
const MAX_OPEN: usize = 256;

/// The store with the loads that are on their way into it.
pub struct Tables {
    store: Store,
    /// By table. A load whose server was restarted is begun again and goes on where it was.
    loads: std::sync::Mutex<HashMap<String, Open>>,
}

#[derive(Clone)]
struct Open {
    generation: Arc<str>,
    load: Arc<Mutex<Load>>,
}

/// A table in a list.
#[derive(Debug, Serialize)]
pub struct TableLine {
    /// Its name.
    pub table: String,
    /// The generation that is read, if one was published.
    pub generation: Option<Arc<str>>,
    /// Its rows.
    pub rows: u64,
    /// When it was published.
    pub published_at: Option<Micros>,
    /// When all of it reads as missing.
    pub expires_at: Option<Micros>,
    /// A load on its way.
    pub loading: Option<LoadLine>,
}

/// A load in a list, or as it was begun.
#[derive(Debug, Serialize)]
pub struct LoadLine {
    /// The generation that is loaded.
    pub generation: Arc<str>,
    /// The last chunk that is durable; 0 before the first.
    pub durable: u64,
    /// Whether it was published before.
    pub published: bool,
}

/// How to begin a load.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// Seconds after which the table reads as missing once it is published; never when absent.
    #[serde(default)]
    pub expires_seconds: Option<u64>,
}

/// Rows of a chunk.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunk {
    /// The rows, at most 10,000.
    pub rows: Vec<Row>,
}

/// A key and its value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The key.
    pub key: String,
    /// Any JSON.
    pub value: Box<RawValue>,
}

/// The value of one key.
#[derive(Debug, Serialize)]
pub struct Found {
    /// The table.
    pub table: String,
    /// The key.
    pub key: String,
    /// The generation that it was read from.
    pub generation: Arc<str>,
    /// What was stored.
    pub value: Box<RawValue>,
}

/// The values of several keys, all from one generation.
#[derive(Debug, Serialize)]
pub struct FoundMany {
    /// The table.
    pub table: String,
    /// The generation.
    pub generation: Arc<str>,
    /// One for each key, in the order asked; null where it is missing.
    pub values: Vec<Option<Box<RawValue>>>,
}

impl Tables {
    /// Tables in that store.
    pub fn new(store: Store) -> Self {
        Self { store, loads: std::sync::Mutex::default() }
    }

    fn open_load(&self, table: &str) -> Option<Open> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner).get(table).cloned()
    }

    fn remember(&self, table: &str, open: Open) -> Result<(), AppError> {
        let mut loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        if loads.len() >= MAX_OPEN && !loads.contains_key(table) {
            return Err(AppError::Unavailable(format!("{MAX_OPEN} loads are open; finish or abandon one")));
        }
        loads.insert(table.to_owned(), open);
        Ok(())
    }

    fn forget(&self, table: &str) {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner).remove(table);
    }

    fn load(&self, table: &str, generation: &str) -> Result<Arc<Mutex<Load>>, AppError> {
        match self.open_load(table) {
            Some(open) if *open.generation == *generation => Ok(open.load),
            _ => Err(AppError::Conflict(format!(
                "no load of generation '{}' into table '{}' is open here: the server was restarted, or another load \
                 has begun since; begin it again to see which chunk is next",
                shown(generation),
                shown(table)
            ))),
        }
    }
}

fn shown(name: &str) -> String {
    name.chars().take(100).collect()
}

/// The value of one key.
pub async fn get(app: &App, actor: &Actor, table: &str, key: &str) -> Result<Found, AppError> {
    allow(actor, Action::Infer)?;
    let mut read = app.online.store.get_many(table, &[key.as_bytes()], app.clock.now().0).await?;
    let generation = read.generation.ok_or_else(|| no_table(table))?;
    let bytes = read.values.pop().flatten().ok_or_else(|| {
        AppError::not_found("key", key, &format!("generation '{generation}' of '{table}' lacks it"))
    })?;
    Ok(Found { table: table.to_owned(), key: key.to_owned(), generation, value: raw(table, &bytes)? })
}

/// The values of several keys of one generation.
pub async fn get_many(app: &App, actor: &Actor, table: &str, keys: &[String]) -> Result<FoundMany, AppError> {
    allow(actor, Action::Infer)?;
    if keys.is_empty() || keys.len() > MAX_KEYS_READ {
        return Err(AppError::Invalid(format!("keys: send 1 to {MAX_KEYS_READ}, not {}", keys.len())));
    }
    let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
    let read = app.online.store.get_many(table, &keys, app.clock.now().0).await?;
    let generation = read.generation.ok_or_else(|| no_table(table))?;
    let values = read.values.iter().map(|value| value.as_ref().map(|bytes| raw(table, bytes)).transpose());
    Ok(FoundMany { table: table.to_owned(), generation, values: values.collect::<Result<_, _>>()? })
}

fn no_table(table: &str) -> AppError {
    AppError::not_found("published table", table, "list them with 'greenlight kv list'")
}

fn raw(table: &str, bytes: &Bytes) -> Result<Box<RawValue>, AppError> {
    let value = str::from_utf8(bytes).ok().and_then(|text| RawValue::from_string(text.to_owned()).ok());
    value
        .ok_or_else(|| AppError::Conflict(format!("table '{table}' does not hold JSON; its writer reads it")))
}

/// All tables.
pub async fn list(app: &App, actor: &Actor) -> Result<Vec<TableLine>, AppError> {
    allow(actor, Action::Read)?;
    let line = |table: greenlight_online::Table| TableLine {
        table: table.name,
        generation: table.active.as_ref().map(|active| Arc::clone(&active.id)),
        rows: table.keys,
        published_at: table.active.as_ref().and_then(|active| active.published_at).map(Micros),
        expires_at: table.active.as_ref().and_then(Generation::expires_at).map(Micros),
        loading: table.loading.map(|loading| LoadLine {
            generation: loading.id,
            durable: loading.batches,
            published: false,
        }),
    };
    Ok(app.online.store.tables().await?.into_iter().map(line).collect())
}

/// Removes a table with everything in it.
pub async fn drop_table(app: &App, actor: &Actor, table: &str) -> Result<(), AppError> {
    allow(actor, Action::Rollout)?;
    app.online.forget(table);
    if !app.online.store.drop_table(table).await? {
        return Err(AppError::not_found("table", table, "list them with 'greenlight kv list'"));
    }
    record(app, actor, "kv.drop", table, json!({})).await
}

/// Begins the load of a generation, or finds out where it was. Another load of that table is abandoned.
pub async fn begin(
    app: &App,
    actor: &Actor,
    table: &str,
    generation: &str,
    begin: Begin,
) -> Result<LoadLine, AppError> {
    allow(actor, Action::Rollout)?;
    if begin.expires_seconds.is_some_and(|s| !(1..=MAX_EXPIRY_SECONDS).contains(&s)) {
        return Err(AppError::Invalid(format!("expires_seconds: must be 1 to {MAX_EXPIRY_SECONDS}")));
    }
    let expiry = begin.expires_seconds.map(Duration::from_secs);
    let load = app.online.store.begin(table, generation, expiry).await?;
    let line =
        LoadLine { generation: generation.into(), durable: load.resume(), published: load.is_published() };
    let open = Open { generation: Arc::clone(&line.generation), load: Arc::new(Mutex::new(load)) };
    app.online.remember(table, open)?;
    Ok(line)
}

/// Makes chunk number `sequence` durable; a chunk that is durable already is left as it is.
pub async fn put(
    app: &App,
    actor: &Actor,
    (table, generation): (&str, &str),
    sequence: u64,
    chunk: Chunk,
) -> Result<LoadLine, AppError> {
    allow(actor, Action::Rollout)?;
    let load = app.online.load(table, generation)?;
    let mut load = load.lock().await;
    let pairs = |row: Row| (row.key.into_bytes(), Box::<str>::from(row.value).into_string().into_bytes());
    match load.put(sequence, chunk.rows.into_iter().map(pairs).collect()).await? {
        Put::Written | Put::Repeated => {}
    }
    Ok(LoadLine { generation: generation.into(), durable: load.resume(), published: load.is_published() })
}

/// Swaps the table to the generation that was loaded, at once.
pub async fn publish(app: &App, actor: &Actor, table: &str, generation: &str) -> Result<LoadLine, AppError> {
    allow(actor, Action::Rollout)?;
    let load = app.online.load(table, generation)?;
    let mut load = load.lock().await;
    let published = load.publish(app.clock.now().0).await?;
    let change = json!({ "generation": published.id, "chunks": published.batches });
    record(app, actor, "kv.publish", table, change).await?;
    app.online.forget(table);
    Ok(LoadLine { generation: published.id, durable: published.batches, published: true })
}

/// Throws away what was loaded and not published.
pub async fn abandon(app: &App, actor: &Actor, table: &str, generation: &str) -> Result<(), AppError> {
    allow(actor, Action::Rollout)?;
    // Begun again, because the server may have been restarted since; another load of the table stays.
    let tables = app.online.store.tables().await?;
    let loading = tables.into_iter().find(|line| line.name == table).and_then(|line| line.loading);
    if loading.is_none_or(|loading| *loading.id != *generation) {
        let hint = format!("table '{}' has no such load on its way", shown(table));
        return Err(AppError::not_found("load", generation, &hint));
    }
    app.online.forget(table);
    app.online.store.begin(table, generation, None).await?.abandon().await?;
    Ok(())
}

/// Frees what no read can see any more; bounded, and called again and again.
pub async fn purge(app: &App) -> Result<u64, AppError> {
    let mut freed = 0;
    for _ in 0..PURGE_STEPS {
        let purged = app.online.store.purge(app.clock.now().0, PURGE_STEP).await?;
        freed += purged.generations + purged.keys;
        if !purged.more {
            break;
        }
    }
    Ok(freed)
}

async fn record(
    app: &App,
    actor: &Actor,
    action: &str,
    table: &str,
    change: serde_json::Value,
) -> Result<(), AppError> {
    let mut transaction = app.store.begin().await?;
    app.audit(&mut transaction, actor, action, table, change).await?;
    transaction.commit().await.map_err(greenlight_store::StoreError::from)?;
    Ok(())
}

impl From<OnlineError> for AppError {
    fn from(error: OnlineError) -> Self {
        let message = error.to_string();
        match error {
            OnlineError::Unavailable { .. } | OnlineError::Storage { .. } => Self::Unavailable(message),
            OnlineError::Invalid(_) => Self::Invalid(message),
            OnlineError::Superseded { .. } => Self::Conflict(message),
            OnlineError::Corrupt { .. } => Self::Internal(message),
        }
    }
}
