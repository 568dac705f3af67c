//! Writing predictions to the event log: as the endpoint's owner wants them logged, and as durably.

use std::sync::Arc;

use futures::FutureExt;
use greenlight_app::App;
use greenlight_app::lake::{Lake, LakeError};
use greenlight_app::live::LiveEndpoint;
use greenlight_domain::log::Durability;
use greenlight_domain::prediction::PredictionBatch;

/// The batch as it is logged: with redacted, hashed or sampled features.
pub(crate) fn logged(
    endpoint: &LiveEndpoint,
    batch: &Arc<PredictionBatch>,
) -> Result<Arc<PredictionBatch>, LakeError> {
    let Some(mask) = &endpoint.mask else { return Ok(Arc::clone(batch)) };
    let weights: Vec<f64> = batch.predictions.iter().map(|p| p.feature_weight).collect();
    let features = mask.apply(&batch.features, &weights).map_err(|e| LakeError::Schema(e.to_string()))?;
    Ok(Arc::new(PredictionBatch { features, predictions: batch.predictions.clone() }))
}

/// Appends `batch`; when this returns, it is as durable as the endpoint promises.
pub(crate) async fn append(
    app: &Arc<App>,
    endpoint: &Arc<LiveEndpoint>,
    batch: &Arc<PredictionBatch>,
) -> Result<(), LakeError> {
    let batch = logged(endpoint, batch)?;
    let lake: &dyn Lake = app.lake.as_ref();
    if endpoint.spec.log.durability == Durability::Ack {
        return lake.append_predictions(&endpoint.name, &batch).await;
    }
    let (app, endpoint) = (Arc::clone(app), Arc::clone(endpoint));
    let mut appending = Box::pin(async move { app.lake.append_predictions(&endpoint.name, &batch).await });
    // The first poll puts it into the queue, or says that there is no room: a client still hears of a full disk.
    if let Some(done) = (&mut appending).now_or_never() {
        return done;
    }
    tokio::spawn(async move {
        if let Err(error) = appending.await {
            tracing::error!(%error, "predictions of an endpoint with 'durability: async' were lost");
        }
    });
    Ok(())
}
