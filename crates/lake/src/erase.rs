//! Deleting: a unit's data on request, and what is older than it may be kept.
//!
//! Rows leave the Delta tables by a commit that rewrites the files which hold them, and then the old files leave the
//! disk, so that nothing of an erased unit remains. Settlements stay: they hold an id and money, and no data of a
//! unit. Refuses to guess a unit: it is compared as a value, never as SQL.

use std::sync::Arc;

use arrow_array::RecordBatch;
use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::execution::runtime_env::RuntimeEnv;
use deltalake::datafusion::prelude::{Expr, col, lit};
use greenlight_app::lake::{Erased, LakeError};
use greenlight_domain::prediction::PredictionId;
use greenlight_domain::time::Micros;

use crate::decode;
use crate::endpoint::Endpoint;
use crate::query::{Reader, first_id};
use crate::table::Leftover;

/// Prediction ids that one commit looks for.
const IDS_AT_ONCE: usize = 5_000;

/// Deletes every prediction of `unit`, with its outcomes.
pub(crate) async fn unit(
    endpoint: &Endpoint,
    runtime: &Arc<RuntimeEnv>,
    unit: &str,
) -> Result<Erased, LakeError> {
    endpoint.seal().await?;
    let _turn = endpoint.turn().await;
    let ids = ids_of(endpoint, runtime, unit).await?;
    let mut erased = Erased::default();
    // Outcomes first: cut off between the two, the predictions still tell which outcomes are left.
    for some in ids.chunks(IDS_AT_ONCE) {
        let listed = some.iter().map(|id| lit(id.to_string())).collect();
        let of_unit = col("prediction_id").in_list(listed, false);
        erased.outcomes += endpoint.outcomes.table.delete(of_unit, Leftover::RemoveNow).await?;
    }
    for some in ids.chunks(IDS_AT_ONCE) {
        // By id: the log of a table keeps what a deletion looked for.
        let listed = some.iter().map(|id| lit(id.to_string())).collect();
        let predictions = &endpoint.predictions.table;
        erased.predictions +=
            predictions.delete(col("id").in_list(listed, false), Leftover::RemoveNow).await?;
    }
    Ok(erased)
}

/// Deletes predictions from before `before`, with their outcomes.
pub(crate) async fn before(endpoint: &Endpoint, before: Micros) -> Result<Erased, LakeError> {
    endpoint.seal().await?;
    let _turn = endpoint.turn().await;
    let old_outcomes: Expr = col("prediction_id").lt(lit(first_id(before.unix_ms())));
    let outcomes = endpoint.outcomes.table.delete(old_outcomes, Leftover::KeepForReaders).await?;
    let old = col("at_us").lt(lit(before.0));
    let predictions = endpoint.predictions.table.delete(old, Leftover::KeepForReaders).await?;
    Ok(Erased { predictions, outcomes })
}

async fn ids_of(
    endpoint: &Endpoint,
    runtime: &Arc<RuntimeEnv>,
    unit: &str,
) -> Result<Vec<PredictionId>, LakeError> {
    let reader = Reader::new(endpoint, runtime).await?;
    let found: Vec<RecordBatch> = reader
        .collect("SELECT id FROM predictions WHERE unit = $unit", vec![("unit", ScalarValue::from(unit))])
        .await?;
    let mut ids = Vec::new();
    for batch in &found {
        ids.extend(decode::ids(batch)?);
    }
    Ok(ids)
}
