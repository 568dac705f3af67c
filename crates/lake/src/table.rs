//! One Delta table: exactly-once commits that survive a power cut, and a view to query.
//!
//! Delta Lake writes through `object_store`, which never syncs. So a commit here has an order: data files are written
//! and synced, then the log entry is committed, then the log is synced, and only then may a caller delete what the
//! commit replaces. The loaded state is kept and moved forward by our own commits; the log is read whole only at
//! the start and after an error. A deletion is a commit of the
//! same order. Refuses to compact.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Schema, SchemaRef};
use chrono::TimeDelta;
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::datasource::empty::EmptyTable;
use deltalake::datafusion::execution::SessionState;
use deltalake::datafusion::prelude::Expr;
use deltalake::kernel::engine::arrow_conversion::{TryIntoArrow, TryIntoKernel};
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, MetadataExt, StructType, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::writer::{DeltaWriter, RecordBatchWriter, WriteMode};
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError, TableProperty, ensure_table_uri};
use greenlight_app::lake::LakeError;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error;
use crate::log_repair;
use crate::schema::INDEXED_COLUMNS;
use crate::segment::disk::sync_folder;

/// Rows of a Parquet row group: small enough that a query for one day skips most of a large file.
const ROW_GROUP: usize = 131_072;

#[derive(Debug, Clone)]
struct Loaded {
    table: DeltaTable,
    /// The newest application transaction, -1 when there is none.
    transaction: i64,
}

/// What becomes of files that a deletion has replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leftover {
    /// They leave the disk at once; a query that is reading them fails and is asked again.
    RemoveNow,
    /// They leave once they have been of no use for an hour.
    KeepForReaders,
}

/// What a commit records, so that it is done once: a Delta application transaction.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) application: String,
    pub(crate) version: i64,
}

/// One Delta table, created by its first commit.
#[derive(Debug)]
pub(crate) struct Table {
    folder: PathBuf,
    /// Who writes, in the log.
    application: String,
    loaded: RwLock<Option<Loaded>>,
    /// Whether the log may hold an entry that is not loaded, or not durable.
    stale: AtomicBool,
}

impl Table {
    /// Reads the state of the table, if it exists, removing log files that a power cut left unfinished.
    pub(crate) async fn load(folder: PathBuf, application: String) -> Result<Self, LakeError> {
        let table = Self { folder, application, loaded: RwLock::new(None), stale: AtomicBool::new(true) };
        let folder = table.folder.clone();
        tokio::task::spawn_blocking(move || log_repair::repair(&folder)).await.map_err(error::task)??;
        table.refresh().await?;
        Ok(table)
    }

    /// Columns of the table, or `None` before its first commit.
    pub(crate) fn schema(&self) -> Result<Option<Schema>, LakeError> {
        self.loaded().map(|loaded| table_schema(&loaded.table).map_err(error::delta)).transpose()
    }

    /// Least and greatest value of a column of integers, and the number of rows, from the statistics of the files;
    /// `None` before the first commit, and where a file has no statistics.
    pub(crate) fn bounds(&self, column: &str) -> Result<Option<(i64, i64, u64)>, LakeError> {
        let Some(Loaded { table, .. }) = self.loaded() else { return Ok(None) };
        let state = table.snapshot().map_err(error::delta)?;
        let (mut low, mut high, mut rows) = (i64::MAX, i64::MIN, 0);
        for files in state.add_actions_batches(true).map_err(error::delta)? {
            let integers = |name: &str| {
                let found = files.column_by_name(name)?;
                let cast = arrow_cast::cast(found, &DataType::Int64).ok()?;
                let integers = cast.as_primitive::<Int64Type>().clone();
                (integers.null_count() == 0).then_some(integers)
            };
            let names = [format!("min.{column}"), format!("max.{column}")];
            let [Some(least), Some(greatest), Some(counts)] =
                [integers(&names[0]), integers(&names[1]), integers("num_records")]
            else {
                return Ok(None);
            };
            low = least.values().iter().copied().fold(low, i64::min);
            high = greatest.values().iter().copied().fold(high, i64::max);
            rows += counts.values().iter().map(|count| count.unsigned_abs()).sum::<u64>();
        }
        Ok((rows > 0).then_some((low, high, rows)))
    }

    /// The mark of the table's own application at that version.
    pub(crate) fn mark(&self, version: i64) -> Mark {
        Mark { application: self.application.clone(), version }
    }

    /// The newest application transaction that the table records, -1 when there is none.
    pub(crate) fn transaction(&self) -> i64 {
        self.loaded().map_or(-1, |loaded| loaded.transaction)
    }

    /// Appends `batches`, each of `schema`, in one commit that records `mark`; they are asked for one at a time, off
    /// the async threads. The caller has checked that it was not recorded before, and is the only one to commit.
    pub(crate) async fn commit(
        &self,
        schema: &SchemaRef,
        batches: impl Iterator<Item = Result<RecordBatch, LakeError>> + Send + 'static,
        mark: Mark,
    ) -> Result<(), LakeError> {
        self.refresh().await?;
        match self.try_commit(schema, batches, &mark).await {
            Ok(loaded) => {
                self.store(Some(loaded));
                Ok(())
            }
            Err(failure) => {
                // The entry may have landed although something after it failed: only the log knows.
                self.stale.store(true, Ordering::SeqCst);
                self.refresh().await?;
                if self.recorded(&mark.application).await? < mark.version { Err(failure) } else { Ok(()) }
            }
        }
    }

    /// Deletes the rows for which `predicate` holds; the caller is the only one to commit. Returns how many.
    pub(crate) async fn delete(&self, predicate: Expr, leftover: Leftover) -> Result<u64, LakeError> {
        self.refresh().await?;
        let Some(Loaded { table, transaction }) = self.loaded() else { return Ok(0) };
        self.stale.store(true, Ordering::SeqCst);
        let version = table.version();
        let (mut table, metrics) = table
            .delete()
            .with_predicate(predicate)
            .with_writer_properties(properties_of_files().map_err(error::delta)?)
            .await
            .map_err(error::delta)?;
        if table.version() != version {
            self.sync_data().await?;
        }
        let (keep, enforce) = match leftover {
            Leftover::RemoveNow => (TimeDelta::zero(), false),
            Leftover::KeepForReaders => (TimeDelta::hours(1), false),
        };
        let vacuum =
            table.clone().vacuum().with_retention_period(keep).with_enforce_retention_duration(enforce);
        (table, _) = vacuum.await.map_err(error::delta)?;
        if let Some(version) = table.version() {
            self.sync_log(version).await?;
        }
        self.store(Some(Loaded { table, transaction }));
        self.stale.store(false, Ordering::SeqCst);
        Ok(metrics.num_deleted_rows.unwrap_or_default() as u64)
    }

    /// Syncs the data files: a deletion does not say which it has written.
    async fn sync_data(&self) -> Result<(), LakeError> {
        let entries = std::fs::read_dir(&self.folder).map_err(|e| error::io(&self.folder, &e))?;
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|e| error::io(&self.folder, &e))?.path();
            if path.extension().is_some_and(|extension| extension == "parquet") {
                files.push(path);
            }
        }
        files.push(self.folder.clone());
        sync_all(files).await
    }

    /// Reads the log again if it may hold more than we know, and makes what it holds durable. A process that was
    /// killed between a commit and its sync leaves an entry that only the kernel's memory has.
    pub(crate) async fn refresh(&self) -> Result<(), LakeError> {
        if !self.stale.load(Ordering::SeqCst) {
            return Ok(());
        }
        let loaded = if self.folder.join("_delta_log").is_dir() {
            self.read().await.map_err(error::delta)?
        } else {
            None
        };
        let version = loaded.as_ref().and_then(|loaded| loaded.table.version());
        self.store(loaded);
        if let Some(version) = version {
            self.sync_log(version).await?;
        }
        self.stale.store(false, Ordering::SeqCst);
        Ok(())
    }

    async fn try_commit(
        &self,
        schema: &SchemaRef,
        batches: impl Iterator<Item = Result<RecordBatch, LakeError>> + Send + 'static,
        mark: &Mark,
    ) -> Result<Loaded, LakeError> {
        let (mut table, before) = match self.loaded() {
            Some(loaded) => (loaded.table, loaded.transaction),
            None => (self.create(schema).await.map_err(error::delta)?, -1),
        };
        let actions = self.write_files(&table, batches).await?;
        let state = table.snapshot().map_err(error::delta)?;
        let properties = CommitProperties::default()
            .with_application_transaction(Transaction::new(&mark.application, mark.version));
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
        let commit = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(state.snapshot()), table.log_store(), operation)
            .await
            .map_err(error::delta)?;
        table.state = Some(commit.snapshot());
        self.sync_log(commit.version()).await?;
        let transaction = if mark.application == self.application { mark.version } else { before };
        Ok(Loaded { table, transaction })
    }

    /// The newest transaction of any application, read from the log.
    async fn recorded(&self, application: &str) -> Result<i64, LakeError> {
        let Some(Loaded { table, .. }) = self.loaded() else { return Ok(-1) };
        let log = table.log_store();
        let state = table.snapshot().map_err(error::delta)?;
        let version = state.transaction_version(log.as_ref(), application).await.map_err(error::delta)?;
        Ok(version.unwrap_or(-1))
    }

    async fn create(&self, schema: &SchemaRef) -> Result<DeltaTable, DeltaTableError> {
        std::fs::create_dir_all(&self.folder)?;
        let columns: StructType = schema.as_ref().try_into_kernel()?;
        self.builder()?
            .build()?
            .create()
            .with_columns(columns.fields().cloned())
            .with_configuration_property(TableProperty::DataSkippingNumIndexedCols, Some(INDEXED_COLUMNS))
            .await
    }

    /// Writes and syncs data files; the actions say which, and how the schema grew.
    async fn write_files(
        &self,
        table: &DeltaTable,
        batches: impl Iterator<Item = Result<RecordBatch, LakeError>> + Send + 'static,
    ) -> Result<Vec<Action>, LakeError> {
        let (adds, metadata) = write_parquet(table, batches).await?;
        let mut files: Vec<PathBuf> = adds.iter().map(|add| self.folder.join(&add.path)).collect();
        files.push(self.folder.clone());
        files.extend(self.folder.parent().map(Path::to_owned));
        sync_all(files).await?;
        Ok(metadata.into_iter().chain(adds.into_iter().map(Action::Add)).collect())
    }

    /// Syncs the log entry and what a checkpoint may have written beside it.
    async fn sync_log(&self, version: u64) -> Result<(), LakeError> {
        let log = self.folder.join("_delta_log");
        let mut files = Vec::new();
        let prefix = format!("{version:020}.");
        for entry in std::fs::read_dir(&log).map_err(|e| error::io(&log, &e))? {
            let entry = entry.map_err(|e| error::io(&log, &e))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(&prefix)
                || name == "_last_checkpoint"
                || (version <= 1 && name.starts_with('0'))
            {
                files.push(entry.path());
            }
        }
        files.push(log);
        sync_all(files).await
    }

    async fn read(&self) -> Result<Option<Loaded>, DeltaTableError> {
        let mut table = self.builder()?.build()?;
        if !table.verify_deltatable_existence().await? {
            return Ok(None);
        }
        table.load().await?;
        let log = table.log_store();
        let transaction = table.snapshot()?.transaction_version(log.as_ref(), &self.application).await?;
        Ok(Some(Loaded { table, transaction: transaction.unwrap_or(-1) }))
    }

    fn builder(&self) -> Result<DeltaTableBuilder, DeltaTableError> {
        DeltaTableBuilder::from_url(ensure_table_uri(self.folder.to_string_lossy())?)
    }

    /// What a query sees: the table as of now, or no rows of `schema` before its first commit.
    pub(crate) async fn provider(
        &self,
        session: &Arc<SessionState>,
        schema: &SchemaRef,
    ) -> Result<Arc<dyn TableProvider>, LakeError> {
        match self.loaded() {
            Some(loaded) => {
                loaded.table.table_provider().with_session(Arc::clone(session)).await.map_err(error::query)
            }
            None => Ok(Arc::new(EmptyTable::new(Arc::clone(schema)))),
        }
    }

    fn loaded(&self) -> Option<Loaded> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn store(&self, loaded: Option<Loaded>) {
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
    }
}

/// Writes the batches to Parquet files; also returns the table's new metadata when they have columns it lacks.
async fn write_parquet(
    table: &DeltaTable,
    batches: impl Iterator<Item = Result<RecordBatch, LakeError>> + Send + 'static,
) -> Result<(Vec<Add>, Option<Action>), LakeError> {
    let properties = properties_of_files().map_err(error::delta)?;
    let mut writer =
        RecordBatchWriter::for_table(table).map_err(error::delta)?.with_writer_properties(properties);
    let before = writer.arrow_schema();
    let runtime = tokio::runtime::Handle::current();
    let write = async move {
        for batch in batches {
            writer.write_with_mode(batch?, WriteMode::MergeSchema).await.map_err(error::delta)?;
        }
        let after = writer.arrow_schema();
        Ok((writer.flush().await.map_err(error::delta)?, after))
    };
    // Reading and compressing take long: no request may wait behind them.
    let written = tokio::task::spawn_blocking(move || runtime.block_on(write)).await;
    let (adds, after) = written.map_err(error::task)??;
    if before == after {
        return Ok((adds, None));
    }
    let metadata = widened(table, &after).map_err(error::delta)?;
    Ok((adds, Some(metadata)))
}

fn widened(table: &DeltaTable, schema: &SchemaRef) -> Result<Action, DeltaTableError> {
    let columns: StructType = schema.as_ref().try_into_kernel()?;
    Ok(Action::Metadata(table.snapshot()?.metadata().clone().with_schema(&columns)?))
}

fn properties_of_files() -> Result<WriterProperties, DeltaTableError> {
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .build())
}

pub(crate) fn table_schema(table: &DeltaTable) -> Result<Schema, DeltaTableError> {
    Ok(table.snapshot()?.schema().as_ref().try_into_arrow()?)
}

async fn sync_all(files: Vec<PathBuf>) -> Result<(), LakeError> {
    tokio::task::spawn_blocking(move || files.iter().try_for_each(|file| sync_one(file)))
        .await
        .map_err(error::task)?
}

fn sync_one(file: &Path) -> Result<(), LakeError> {
    let synced = if file.is_dir() { sync_folder(file) } else { File::open(file).and_then(|f| f.sync_all()) };
    synced.map_err(|e| error::io(file, &e))
}
