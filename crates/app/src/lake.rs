//! What the house needs from the lake: durable events, and the joins that settling and gates read.
//!
//! One of the two traits of the house. The real one stands in `greenlight-lake` with a contract suite, one in memory
//! for tests of everything above it in `greenlight-testkit`.

pub mod log;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use greenlight_domain::dataset::profile::Profile;
use greenlight_domain::frame::{Field, Frame};
use greenlight_domain::prediction::{Outcome, PredictionBatch, PredictionId, Variant};
use greenlight_domain::time::Micros;
use serde::Serialize;
use thiserror::Error;

use self::log::{Disagreements, LogEntry, LogExtent, LogFilter, LogRow, LogSample, TrafficBucket, Window};

/// Why the lake did not do something.
#[derive(Debug, Error)]
pub enum LakeError {
    /// The disk cannot follow or is full: nothing was acknowledged; the caller may try again later.
    #[error("the event log cannot be written: {0}")]
    Unavailable(String),
    /// A file is not what it claims to be; the message says which and where.
    #[error("{0}")]
    Corrupt(String),
    /// The data do not have the columns or types that were asked for.
    #[error("{0}")]
    Schema(String),
    /// A prediction was logged twice, and [`Asked::distinct`] was not asked for; what was given so far is worth nothing.
    #[error("prediction {0} was logged twice")]
    Repeated(PredictionId),
    /// Anything else that the storage reports.
    #[error("lake: {0}")]
    Storage(String),
}

/// One prediction that decided about a unit, joined to its outcome, as settling needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinedRow {
    /// Which prediction.
    pub id: PredictionId,
    /// Its event time.
    pub at: Micros,
    /// Champion or holdout.
    pub variant: Variant,
    /// Probability with which the unit would have got the champion; 0 when nothing was rolling out.
    pub champion_propensity: f64,
    /// The release that was rolling out, if any.
    pub release: Option<Arc<str>>,
    /// The model's probability; NaN when none was asked.
    pub probability: f64,
    /// What was done.
    pub decision: Arc<str>,
    /// What the champion would have decided, where one was asked (see `Prediction::champion_decision`).
    pub champion_decision: Option<Arc<str>>,
    /// Whether the model failed and the holdout rule answered.
    pub failed: bool,
    /// The latest outcome that was received, if any.
    pub outcome: Option<f64>,
    /// What that was as of [`Asked::since`].
    pub outcome_before: Option<f64>,
}

/// Joined rows with the features that the value model reads.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinedBatch {
    /// Features, one row for each of `rows`.
    pub features: Frame,
    /// The rows.
    pub rows: Vec<JoinedRow>,
}

/// Which predictions are to be joined, and what counts as their outcome.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Name of the outcome.
    pub outcome: String,
    /// Event time from.
    pub from: Micros,
    /// Event time until, not included.
    pub until: Micros,
    /// Outcomes in segments up to this one count.
    pub segment: i64,
    /// When there is one: only predictions with an outcome in a later segment. Each comes with what its outcome was as
    /// of this segment ([`JoinedRow::outcome_before`]).
    pub since: Option<i64>,
    /// Positions of the features that are read; the others come as missing values.
    pub reads: BTreeSet<usize>,
    /// Whether to leave out all but one of a prediction that was logged twice, at the cost of remembering ids. Without,
    /// the join ends with [`LakeError::Repeated`] when it meets one.
    pub distinct: bool,
}

/// Takes joined rows, from several threads at once, in no particular order; `Break` ends the join.
pub type Take = Arc<dyn Fn(JoinedBatch) -> ControlFlow<()> + Send + Sync>;

/// A data set's shape, as read from its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatasetShape {
    /// Rows.
    pub rows: u64,
    /// Columns in the order of the file.
    pub columns: Vec<Field>,
}

/// What a shadow did, from the log.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowRow {
    /// Its probability; NaN when it failed.
    pub probability: f64,
    /// Whether its decision differs from the live one.
    pub disagrees: bool,
    /// Microseconds spent scoring.
    pub latency_us: i64,
    /// Whether it failed.
    pub failed: bool,
}

/// Counts of live traffic of one variant, from the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrafficRow {
    /// Which variant.
    pub variant: Variant,
    /// Predictions.
    pub predictions: u64,
    /// Of those, how many failed and fell back.
    pub errors: u64,
    /// Median scoring time, microseconds.
    pub p50_latency_us: f64,
    /// 99th percentile of scoring time, microseconds.
    pub p99_latency_us: f64,
    /// Event time of the newest one.
    pub newest: Micros,
}

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Predictions, mirrored ones included.
    pub predictions: u64,
    /// Outcomes of these predictions.
    pub outcomes: u64,
}

/// A unit at a moment, whose newest prediction is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitAt {
    /// Which unit.
    pub unit: Arc<str>,
    /// When.
    pub at: Micros,
}

/// Durable events and the joins over them.
#[async_trait]
pub trait Lake: Send + Sync + 'static {
    /// Makes the tables of an endpoint ready for events with these features, recovering segments that a crash left
    /// behind. Idempotent. Features may be added later, never removed or retyped.
    async fn open(&self, endpoint: &str, features: Arc<[Field]>) -> Result<(), LakeError>;

    /// Appends predictions; returns after the group commit that made them durable.
    async fn append_predictions(&self, endpoint: &str, batch: &PredictionBatch) -> Result<(), LakeError>;

    /// Appends outcomes; returns after the group commit that made them durable.
    /// Receiving the same outcome twice is harmless: the latest one of a prediction counts.
    async fn append_outcomes(&self, endpoint: &str, outcomes: Vec<Outcome>) -> Result<(), LakeError>;

    /// Seals what was appended so far into the Delta tables, exactly once, so that the joins below see it.
    /// Returns the sequence number of the newest sealed outcome segment (0 when there is none).
    async fn seal(&self, endpoint: &str) -> Result<i64, LakeError>;

    /// Gives the sealed predictions of champion, challenger and holdout that are asked for, each joined to its newest
    /// outcome, in batches of at most 8,192 rows. Memory is bounded whatever the log holds: it is read in slices of time.
    async fn joined(&self, endpoint: &str, asked: &Asked, take: Take) -> Result<(), LakeError>;

    /// What the shadow of `release` did.
    async fn shadow_rows(&self, endpoint: &str, release: &str) -> Result<Vec<ShadowRow>, LakeError>;

    /// Sealed traffic by variant; with `release`, only rows logged while that release was rolling out.
    async fn traffic(&self, endpoint: &str, release: Option<&str>) -> Result<Vec<TrafficRow>, LakeError>;

    /// Where the sealed log begins and ends; `None` while it is empty.
    async fn log_extent(&self, endpoint: &str) -> Result<Option<LogExtent>, LakeError>;

    /// Sealed predictions that the filter wants, newest first, each once.
    async fn log_page(&self, endpoint: &str, filter: &LogFilter) -> Result<Vec<LogRow>, LakeError>;

    /// One sealed prediction with features, outcomes and mirrors.
    async fn log_entry(&self, endpoint: &str, id: PredictionId) -> Result<Option<LogEntry>, LakeError>;

    /// About `rows` sealed predictions of the window, shadows left out, drawn by the random part of their ids;
    /// never more than twice as many.
    async fn log_sample(&self, endpoint: &str, window: Window, rows: usize) -> Result<LogSample, LakeError>;

    /// Sealed traffic of the window by variant, shadows included, in stretches of `bucket_us`; at most
    /// [`log::MAX_BUCKETS`] of them.
    async fn traffic_over_time(
        &self,
        endpoint: &str,
        window: Window,
        bucket_us: i64,
    ) -> Result<Vec<TrafficBucket>, LakeError>;

    /// Where shadows and live answers of the window differ most, at most `most` rows.
    async fn disagreements(
        &self,
        endpoint: &str,
        window: Window,
        most: usize,
    ) -> Result<Disagreements, LakeError>;

    /// The ids that are durable now, sealed or not, for the reconciliation of a client's ledger.
    async fn prediction_ids(&self, endpoint: &str) -> Result<Vec<PredictionId>, LakeError>;

    /// The days of this unit's predictions, shadows left out, in order.
    async fn days_of_unit(&self, endpoint: &str, unit: &str) -> Result<Vec<i32>, LakeError>;

    /// Deletes everything that names this unit: its predictions, mirrored ones included, and their outcomes. When this
    /// returns, their bytes are gone from the disk.
    async fn erase(&self, endpoint: &str, unit: &str) -> Result<Erased, LakeError>;

    /// Deletes predictions with event time before `before`, and their outcomes.
    async fn delete_before(&self, endpoint: &str, before: Micros) -> Result<Erased, LakeError>;

    /// For each of `asked`, in order: the newest sealed prediction of that unit (champion or holdout) with event time
    /// in `[at - window_us, at]`; of several at one moment, that with the greatest id.
    async fn newest_predictions(
        &self,
        endpoint: &str,
        asked: &[UnitAt],
        window_us: i64,
    ) -> Result<Vec<Option<PredictionId>>, LakeError>;

    /// The rows of a small Parquet file that a stranger sent: at most `most_rows`, and bounded bytes once decoded.
    /// Columns become what they become in [`Lake::read_dataset`].
    async fn decode_parquet(&self, file: Bytes, most_rows: usize) -> Result<Frame, LakeError>;

    /// What is in a file of this machine: `format` is `parquet`, `csv` or `arrow`.
    async fn profile(&self, file: &Path, format: &str) -> Result<Profile, LakeError>;

    /// The shape of a Parquet file.
    async fn dataset_shape(&self, file: &Path) -> Result<DatasetShape, LakeError>;

    /// Reads these columns of a Parquet file, with `time` in `[from, until)`, in the order of the file. Dates,
    /// timestamps and integers become numbers (time as epoch microseconds), strings text.
    async fn read_dataset(
        &self,
        file: &Path,
        columns: &[String],
        time: &str,
        window: Option<(Micros, Micros)>,
    ) -> Result<Frame, LakeError>;
}
