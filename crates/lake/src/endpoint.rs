//! One endpoint: its segments, its writers and its tables.
//!
//! Appends go to the writer threads and wait for nothing else. Seals and everything that must not see a
//! row in two places take turns. Refuses events that do not fit the features it was opened with.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use greenlight_app::lake::LakeError;
use greenlight_domain::frame::Field;
use greenlight_domain::prediction::{Outcome, PredictionBatch};
use tokio::sync::{Mutex, MutexGuard};

use crate::lake::Limits;
use crate::segment::Kind;
use crate::segment::disk::Disk;
use crate::segment::folder::{Folder, Segment};
use crate::segment::read::Batches;
use crate::segment::writer::{Records, Writer};
use crate::table::Table;
use crate::{encode, error, schema};

/// Most bytes of segments that one Delta commit takes.
const COMMIT_BYTES: u64 = 256 << 20;

/// Events of one kind: first in segments, then in a table.
pub(crate) struct Events {
    kind: Kind,
    folder: Arc<Folder>,
    writer: Writer,
    pub(crate) table: Table,
}

/// One endpoint of the lake.
pub(crate) struct Endpoint {
    features: RwLock<Arc<[Field]>>,
    pub(crate) predictions: Events,
    pub(crate) outcomes: Events,
    turn: Mutex<()>,
}

impl Endpoint {
    /// Recovers the endpoint in `path` and starts its writers.
    pub(crate) async fn open(
        path: &Path,
        features: Arc<[Field]>,
        limits: &Limits,
    ) -> Result<Self, LakeError> {
        schema::check_features(&features)?;
        let (predictions, logged) = Events::open(path, Kind::Predictions, limits).await?;
        if let Some(stored) = predictions.table.schema()? {
            schema::check_growth(&stored, &features)?;
        }
        for stored in logged {
            schema::check_growth(&schema::predictions(&stored), &features)?;
        }
        let (outcomes, _) = Events::open(path, Kind::Outcomes, limits).await?;
        Ok(Self { features: RwLock::new(features), predictions, outcomes, turn: Mutex::new(()) })
    }

    /// Adds features; the next append starts a segment that has them.
    pub(crate) fn grow(&self, features: Arc<[Field]>) -> Result<(), LakeError> {
        schema::check_features(&features)?;
        let mut now = self.features.write().unwrap_or_else(PoisonError::into_inner);
        schema::check_growth(&schema::predictions(&now), &features)?;
        *now = features;
        Ok(())
    }

    /// The features now.
    pub(crate) fn features(&self) -> Arc<[Field]> {
        Arc::clone(&self.features.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the turn to seal or read what is not sealed.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub(crate) async fn append_predictions(&self, batch: &PredictionBatch) -> Result<(), LakeError> {
        if batch.predictions.is_empty() {
            return Ok(());
        }
        self.check_batch(batch)?;
        self.predictions.writer.append(Records::predictions(batch)).await
    }

    pub(crate) async fn append_outcomes(&self, outcomes: Vec<Outcome>) -> Result<(), LakeError> {
        if outcomes.is_empty() {
            return Ok(());
        }
        self.outcomes.writer.append(Records::outcomes(&outcomes)).await
    }

    /// A batch may lack a feature that was added after its request came in; it may not bring an unknown one.
    fn check_batch(&self, batch: &PredictionBatch) -> Result<(), LakeError> {
        let features = self.features();
        let (rows, expected) = (batch.features.rows(), batch.predictions.len());
        if rows != expected && !batch.features.fields().is_empty() {
            return Err(LakeError::Schema(format!(
                "{expected} predictions came with {rows} rows of features"
            )));
        }
        if Arc::ptr_eq(batch.features.fields(), &features) || *batch.features.fields() == features {
            return Ok(());
        }
        match batch.features.fields().iter().find(|field| !features.contains(field)) {
            Some(field) => Err(LakeError::Schema(format!(
                "the endpoint does not log a feature '{}' of that type; open it with the new features first",
                field.name
            ))),
            None => Ok(()),
        }
    }

    /// Moves everything that is acknowledged into the tables. Returns the newest sealed outcome segment.
    pub(crate) async fn seal(&self) -> Result<i64, LakeError> {
        let _turn = self.turn().await;
        self.predictions.writer.rotate().await?;
        self.outcomes.writer.rotate().await?;
        // Predictions first, so that a sealed outcome never waits for its prediction.
        self.predictions.seal(|| schema::predictions_table(&self.features())).await?;
        self.outcomes.seal(schema::outcomes_table).await?;
        Ok(self.outcomes.table.transaction().max(0))
    }

    /// Durable predictions that are not sealed; the caller has the turn.
    pub(crate) async fn unsealed_predictions(&self) -> Result<Vec<RecordBatch>, LakeError> {
        let sealed = self.predictions.table.transaction();
        let mut segments = self.predictions.folder.segments();
        segments.retain(|segment| segment.sequence > sealed);
        let read = tokio::task::spawn_blocking(move || {
            let mut rows = Vec::new();
            for segment in segments {
                for batch in Batches::open(&segment.path, Kind::Predictions, segment.good)? {
                    rows.push(batch?);
                }
            }
            Ok(rows)
        });
        read.await.map_err(error::task)?
    }
}

impl Events {
    async fn open(path: &Path, kind: Kind, limits: &Limits) -> Result<(Self, Vec<Arc<[Field]>>), LakeError> {
        let application = format!("greenlight-segments-{}", kind.as_str());
        let table = Table::load(path.join(kind.as_str()), application).await?;
        let (segments, sealed) = (path.join("segments"), table.transaction().max(0));
        let (folder, logged) = tokio::task::spawn_blocking(move || Folder::recover(segments, kind, sealed))
            .await
            .map_err(error::task)??;
        let folder = Arc::new(folder);
        let writer = Writer::start(Arc::clone(&folder), limits, Disk::default())?;
        Ok((Self { kind, folder, writer, table }, logged))
    }

    /// Commits closed segments, several at a time, and deletes each after its commit is durable.
    async fn seal(&self, schema: impl Fn() -> SchemaRef + Send) -> Result<(), LakeError> {
        self.table.refresh().await?;
        let sealed = self.table.transaction();
        let (written, waiting): (Vec<Segment>, Vec<Segment>) =
            self.folder.closed().into_iter().partition(|segment| segment.sequence <= sealed);
        // Asked after the segments were listed: features only grow, so none of these has one that the schema lacks.
        let schema = schema();
        if !written.is_empty() {
            // A crash came between the commit and the deletion.
            tracing::info!(
                kind = self.kind.as_str(),
                segments = written.len(),
                "deleted segments sealed before"
            );
            self.delete(written).await?;
        }
        for group in groups(&waiting) {
            let last = group.last().map_or(sealed, |segment| segment.sequence);
            let rows = table_rows(group.to_vec(), self.kind, Arc::clone(&schema));
            self.table.commit(&schema, rows, self.table.mark(last)).await?;
            self.delete(group.to_vec()).await?;
        }
        Ok(())
    }

    async fn delete(&self, segments: Vec<Segment>) -> Result<(), LakeError> {
        let folder = Arc::clone(&self.folder);
        tokio::task::spawn_blocking(move || folder.delete(&segments)).await.map_err(error::task)?
    }
}

/// Splits segments into runs for one commit each.
fn groups(segments: &[Segment]) -> Vec<&[Segment]> {
    let mut groups = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (i, segment) in segments.iter().enumerate() {
        if i > start && bytes + segment.good > COMMIT_BYTES {
            groups.push(&segments[start..i]);
            (start, bytes) = (i, 0);
        }
        bytes += segment.good;
    }
    if start < segments.len() {
        groups.push(&segments[start..]);
    }
    groups
}

/// The rows of segments as their table holds them.
fn table_rows(
    segments: Vec<Segment>,
    kind: Kind,
    table: SchemaRef,
) -> impl Iterator<Item = Result<RecordBatch, LakeError>> + Send + 'static {
    segments.into_iter().flat_map(move |segment| {
        let (batches, failure) = match Batches::open(&segment.path, kind, segment.good) {
            Ok(batches) => (Some(batches), None),
            Err(error) => (None, Some(Err(error))),
        };
        let table = Arc::clone(&table);
        let rows = batches.into_iter().flatten().scan(0, move |position, batch| {
            let first = *position;
            Some(batch.and_then(|batch| {
                *position += batch.num_rows() as i64;
                encode::for_table(&batch, &table, segment.sequence, first).map_err(error::arrow)
            }))
        });
        rows.chain(failure)
    })
}
