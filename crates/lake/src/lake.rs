//! The lake on local disk: endpoints by name, and the trait that the house calls.
//!
//! Refuses names that could leave its folder, and a folder that another process holds: two writers would cut each
//! other's segments.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use deltalake::datafusion::execution::runtime_env::RuntimeEnv;
use greenlight_app::lake::log::{
    Disagreements, LogEntry, LogExtent, LogFilter, LogRow, LogSample, TrafficBucket, Window,
};
use greenlight_app::lake::{
    Asked, DatasetShape, Erased, Lake, LakeError, ShadowRow, Take, TrafficRow, UnitAt,
};
use greenlight_domain::dataset::profile::Profile;
use greenlight_domain::endpoint::check_name;
use greenlight_domain::frame::{Field, Frame};
use greenlight_domain::prediction::{Outcome, PredictionBatch, PredictionId};
use greenlight_domain::time::Micros;

use crate::endpoint::Endpoint;
use crate::query::Reader;
use crate::score::Source;
use crate::{dataset, decode, erase, error, profile, session, upload};

/// Bounds of the lake.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes after which a segment is closed and a new one begun.
    pub segment_bytes: u64,
    /// Requests that may wait for one table's disk; more are refused with `Unavailable`.
    pub queued_requests: usize,
    /// Bytes of records that may wait for one table's disk; more are refused likewise.
    pub queued_bytes: usize,
    /// Rows after which a group commit takes no further request.
    pub group_rows: usize,
    /// Memory of all queries together, in bytes; beyond it they spill to disk.
    pub query_memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            queued_requests: 4_096,
            queued_bytes: 256 << 20,
            group_rows: 4_096,
            query_memory_bytes: 512 << 20,
        }
    }
}

/// Durable events in a local folder: `<root>/<endpoint>/{predictions,outcomes,segments}`.
pub struct LocalLake {
    root: PathBuf,
    limits: Limits,
    runtime: Arc<RuntimeEnv>,
    endpoints: RwLock<HashMap<String, Arc<Endpoint>>>,
    opening: tokio::sync::Mutex<()>,
    /// Held while the lake is open; dropped last, after the writer threads have ended.
    _lock: File,
}

impl std::fmt::Debug for LocalLake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalLake").field("root", &self.root).finish_non_exhaustive()
    }
}

impl LocalLake {
    /// Opens or creates the lake in `root`. Fails with `Unavailable` while another process holds it.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, LakeError> {
        Self::open_with(root, Limits::default())
    }

    /// Opens or creates the lake in `root` with other bounds.
    pub fn open_with(root: impl Into<PathBuf>, limits: Limits) -> Result<Self, LakeError> {
        let root = root.into();
        std::fs::create_dir_all(&root).map_err(|e| error::io(&root, &e))?;
        let root = root.canonicalize().map_err(|e| error::io(&root, &e))?;
        let lock = lock(&root)?;
        let runtime = session::runtime(limits.query_memory_bytes)?;
        Ok(Self {
            root,
            limits,
            runtime,
            endpoints: RwLock::default(),
            opening: tokio::sync::Mutex::default(),
            _lock: lock,
        })
    }

    fn find(&self, name: &str) -> Option<Arc<Endpoint>> {
        self.endpoints.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn endpoint(&self, name: &str) -> Result<Arc<Endpoint>, LakeError> {
        self.find(name)
            .ok_or_else(|| LakeError::Storage(format!("the endpoint '{name}' is not open in the lake")))
    }

    async fn reader(&self, name: &str) -> Result<(Arc<Endpoint>, Reader), LakeError> {
        let endpoint = self.endpoint(name)?;
        let reader = Reader::new(&endpoint, &self.runtime).await?;
        Ok((endpoint, reader))
    }
}

fn lock(root: &Path) -> Result<File, LakeError> {
    let path = root.join(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| error::io(&path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LakeError::Unavailable(format!(
            "another process holds {}; stop it, or ask it over its API",
            root.display()
        ))),
        Err(TryLockError::Error(e)) => Err(error::io(&path, &e)),
    }
}

#[async_trait]
impl Lake for LocalLake {
    async fn open(&self, endpoint: &str, features: Arc<[Field]>) -> Result<(), LakeError> {
        check_name("endpoint", endpoint).map_err(|e| LakeError::Schema(e.to_string()))?;
        let _one = self.opening.lock().await;
        if let Some(open) = self.find(endpoint) {
            return open.grow(features);
        }
        let opened = Endpoint::open(&self.root.join(endpoint), features, &self.limits).await?;
        let mut endpoints = self.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        endpoints.insert(endpoint.to_owned(), Arc::new(opened));
        Ok(())
    }

    async fn append_predictions(&self, endpoint: &str, batch: &PredictionBatch) -> Result<(), LakeError> {
        self.endpoint(endpoint)?.append_predictions(batch).await
    }

    async fn append_outcomes(&self, endpoint: &str, outcomes: Vec<Outcome>) -> Result<(), LakeError> {
        self.endpoint(endpoint)?.append_outcomes(outcomes).await
    }

    async fn seal(&self, endpoint: &str) -> Result<i64, LakeError> {
        self.endpoint(endpoint)?.seal().await
    }

    async fn joined(&self, endpoint: &str, asked: &Asked, take: Take) -> Result<(), LakeError> {
        self.reader(endpoint).await?.1.joined(asked, take).await
    }

    async fn shadow_rows(&self, endpoint: &str, release: &str) -> Result<Vec<ShadowRow>, LakeError> {
        self.reader(endpoint).await?.1.shadow_rows(release).await
    }

    async fn traffic(&self, endpoint: &str, release: Option<&str>) -> Result<Vec<TrafficRow>, LakeError> {
        self.reader(endpoint).await?.1.traffic(release).await
    }

    async fn log_extent(&self, endpoint: &str) -> Result<Option<LogExtent>, LakeError> {
        let (endpoint, reader) = self.reader(endpoint).await?;
        if let Some((oldest, newest, predictions)) = endpoint.predictions.table.bounds("at_us")? {
            return Ok(Some(LogExtent { oldest: Micros(oldest), newest: Micros(newest), predictions }));
        }
        reader.log_extent().await
    }

    async fn log_page(&self, endpoint: &str, filter: &LogFilter) -> Result<Vec<LogRow>, LakeError> {
        self.reader(endpoint).await?.1.log_page(filter).await
    }

    async fn log_entry(&self, endpoint: &str, id: PredictionId) -> Result<Option<LogEntry>, LakeError> {
        self.reader(endpoint).await?.1.log_entry(id).await
    }

    async fn log_sample(&self, endpoint: &str, window: Window, rows: usize) -> Result<LogSample, LakeError> {
        self.reader(endpoint).await?.1.log_sample(window, rows).await
    }

    async fn traffic_over_time(
        &self,
        endpoint: &str,
        window: Window,
        bucket_us: i64,
    ) -> Result<Vec<TrafficBucket>, LakeError> {
        self.reader(endpoint).await?.1.traffic_over_time(window, bucket_us).await
    }

    async fn disagreements(
        &self,
        endpoint: &str,
        window: Window,
        most: usize,
    ) -> Result<Disagreements, LakeError> {
        self.reader(endpoint).await?.1.disagreements(window, most).await
    }

    async fn prediction_ids(&self, endpoint: &str) -> Result<Vec<PredictionId>, LakeError> {
        let endpoint = self.endpoint(endpoint)?;
        // Nothing may move from a segment to the table between the two reads.
        let _turn = endpoint.turn().await;
        let unsealed = endpoint.unsealed_predictions().await?;
        let mut ids = Reader::new(&endpoint, &self.runtime).await?.prediction_ids().await?;
        for batch in &unsealed {
            ids.extend(decode::ids(batch)?);
        }
        Ok(ids)
    }

    async fn days_of_unit(&self, endpoint: &str, unit: &str) -> Result<Vec<i32>, LakeError> {
        self.seal(endpoint).await?;
        self.reader(endpoint).await?.1.days_of_unit(unit).await
    }

    async fn erase(&self, endpoint: &str, unit: &str) -> Result<Erased, LakeError> {
        erase::unit(self.endpoint(endpoint)?.as_ref(), &self.runtime, unit).await
    }

    async fn delete_before(&self, endpoint: &str, before: Micros) -> Result<Erased, LakeError> {
        erase::before(self.endpoint(endpoint)?.as_ref(), before).await
    }

    async fn newest_predictions(
        &self,
        endpoint: &str,
        asked: &[UnitAt],
        window_us: i64,
    ) -> Result<Vec<Option<PredictionId>>, LakeError> {
        self.reader(endpoint).await?.1.newest_predictions(asked, window_us).await
    }

    async fn decode_parquet(&self, file: Bytes, most_rows: usize) -> Result<Frame, LakeError> {
        upload::decode(file, most_rows).await
    }

    async fn profile(&self, file: &Path, format: &str) -> Result<Profile, LakeError> {
        profile::profile(Source::open_as(file, format).await?).await
    }

    async fn dataset_shape(&self, file: &Path) -> Result<DatasetShape, LakeError> {
        dataset::shape(file).await
    }

    async fn read_dataset(
        &self,
        file: &Path,
        columns: &[String],
        time: &str,
        window: Option<(Micros, Micros)>,
    ) -> Result<Frame, LakeError> {
        dataset::read(file, columns, time, window).await
    }
}
