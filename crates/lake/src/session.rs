//! The bounded DataFusion session that every query of the lake runs in.
//!
//! Refuses to grow with the data: what does not fit the memory pool spills to disk.

use std::sync::Arc;

use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::execution::memory_pool::FairSpillPool;
use deltalake::datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use deltalake::datafusion::execution::{SendableRecordBatchStream, SessionState};
use deltalake::datafusion::prelude::{SessionConfig, SessionContext};
use greenlight_app::lake::LakeError;

use arrow_array::RecordBatch;

use crate::error;

/// Most rows of a batch that a query returns.
pub(crate) const BATCH_ROWS: usize = 8_192;
const PARTITIONS: usize = 2;

/// Values for the `$names` in a query.
pub(crate) type Parameters = Vec<(&'static str, ScalarValue)>;

/// Memory and spill files, shared by all queries of a lake.
pub(crate) fn runtime(memory_bytes: usize) -> Result<Arc<RuntimeEnv>, LakeError> {
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(memory_bytes)))
        .build_arc()
        .map_err(error::query)
}

/// One query's session.
pub(crate) struct Session {
    context: SessionContext,
}

impl Session {
    pub(crate) fn new(runtime: &Arc<RuntimeEnv>) -> Self {
        let mut config = SessionConfig::new().with_batch_size(BATCH_ROWS).with_target_partitions(PARTITIONS);
        config.options_mut().execution.parquet.schema_force_view_types = false;
        config.options_mut().execution.parquet.pushdown_filters = true;
        Self { context: SessionContext::new_with_config_rt(config, Arc::clone(runtime)) }
    }

    /// What a table needs to know of the session.
    pub(crate) fn state(&self) -> Arc<SessionState> {
        Arc::new(self.context.state())
    }

    /// Makes a table known under a name.
    pub(crate) fn register(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<(), LakeError> {
        self.context.register_table(name, table).map(|_| ()).map_err(error::query)
    }

    /// Runs a query and collects its rows.
    pub(crate) async fn collect(&self, sql: &str, values: Parameters) -> Result<Vec<RecordBatch>, LakeError> {
        let frame = self.context.sql(sql).await.map_err(error::query)?;
        let frame = frame.with_param_values(values).map_err(error::query)?;
        let mut batches = frame.collect().await.map_err(error::query)?;
        batches.retain(|batch| batch.num_rows() > 0);
        Ok(batches)
    }

    /// Runs a query and gives its rows as they come, in as many streams as the plan has partitions.
    pub(crate) async fn streams(
        &self,
        sql: &str,
        values: Parameters,
    ) -> Result<Vec<SendableRecordBatchStream>, LakeError> {
        let frame = self.context.sql(sql).await.map_err(error::query)?;
        let frame = frame.with_param_values(values).map_err(error::query)?;
        frame.execute_stream_partitioned().await.map_err(error::query)
    }
}
