//! Results into a Delta table: one commit a chunk, with the job and the number of the chunk as its transaction, so
//! that a chunk is written once however often its writer dies.

use std::path::Path;

use arrow_array::RecordBatch;
use greenlight_app::lake::LakeError;

use crate::error;
use crate::table::Table;

/// A Delta table that one job writes.
pub struct DeltaOutput {
    table: Table,
}

impl DeltaOutput {
    /// Opens the table in `folder`, which the first chunk creates. `job` is the name of its transactions.
    pub async fn open(folder: &Path, job: &str) -> Result<Self, LakeError> {
        std::fs::create_dir_all(folder).map_err(|e| error::io(folder, &e))?;
        let folder = folder.canonicalize().map_err(|e| error::io(folder, &e))?;
        Ok(Self { table: Table::load(folder, job.to_owned()).await? })
    }

    /// Chunks of this job that the table holds.
    pub fn chunks(&self) -> u64 {
        u64::try_from(self.table.transaction()).unwrap_or(0)
    }

    /// Commits chunk number `sequence` (from 1), unless the table holds it.
    pub async fn commit(&self, sequence: u64, batches: Vec<RecordBatch>) -> Result<(), LakeError> {
        if sequence <= self.chunks() {
            return Ok(());
        }
        let version = i64::try_from(sequence)
            .map_err(|_| LakeError::Schema(format!("chunk {sequence} has no number in a Delta log")))?;
        let Some(schema) = batches.first().map(RecordBatch::schema) else { return Ok(()) };
        self.table.commit(&schema, batches.into_iter().map(Ok), self.table.mark(version)).await
    }
}
