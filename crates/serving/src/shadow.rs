//! Shadows: score after the response, on a bounded queue that drops rather than slows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use greenlight_app::App;
use greenlight_app::live::LiveEndpoint;
use greenlight_domain::prediction::{Prediction, PredictionBatch, PredictionId, Variant};
use tokio::sync::mpsc;

/// Requests that may wait for the shadow.
const QUEUE: usize = 1_024;

/// A live request to be mirrored.
pub(crate) struct Mirror {
    pub endpoint: Arc<LiveEndpoint>,
    pub live: PredictionBatch,
}

pub(crate) struct ShadowQueue {
    sender: mpsc::Sender<Mirror>,
    dropped: Arc<AtomicU64>,
}

impl ShadowQueue {
    /// Starts the worker; it ends when the queue is dropped.
    pub(crate) fn start(app: Arc<App>) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Mirror>(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        tokio::spawn(async move {
            while let Some(mirror) = receiver.recv().await {
                let name = Arc::clone(&mirror.endpoint.name);
                let key = app.id_key;
                let scored = tokio::task::spawn_blocking(move || score(&mirror, &key)).await;
                if let Ok(Some(batch)) = scored {
                    let rows = batch.predictions.len() as u64;
                    if let Err(error) = app.lake.append_predictions(&name, batch).await {
                        lost.fetch_add(rows, Ordering::Relaxed);
                        tracing::warn!(endpoint = %name, %error, "a shadow's predictions were not logged");
                    }
                }
            }
        });
        Self { sender, dropped }
    }

    /// Mirrors a request unless the queue is full.
    pub(crate) fn offer(&self, mirror: Mirror) {
        if let Err(mpsc::error::TrySendError::Full(mirror) | mpsc::error::TrySendError::Closed(mirror)) =
            self.sender.try_send(mirror)
        {
            self.dropped.fetch_add(mirror.live.predictions.len() as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn score(mirror: &Mirror, key: &greenlight_domain::prediction::IdKey) -> Option<PredictionBatch> {
    let endpoint = &mirror.endpoint;
    let shadow = endpoint.shadow.as_ref()?;
    let started = Instant::now();
    let result = shadow.model.score(&mirror.live.features);
    let latency_us = i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX);
    let predictions = mirror
        .live
        .predictions
        .iter()
        .enumerate()
        .map(|(row, live)| {
            let probability = result.as_ref().ok().and_then(|scores| scores.get(row).copied());
            let decision = match probability {
                Some(p) => Arc::clone(endpoint.value.decide(&mirror.live.features, row, p)),
                None => Arc::clone(&live.decision),
            };
            Prediction {
                id: PredictionId::issue(key, &endpoint.name, live.at, rand::random()),
                variant: Variant::Shadow,
                propensity: 1.0,
                release: Some(Arc::clone(&shadow.release)),
                model: Some(Arc::clone(&shadow.reference)),
                probability: probability.unwrap_or(f64::NAN),
                decision,
                champion_decision: None,
                mirrors: Some(live.id),
                latency_us,
                error: result.as_ref().err().map(|e| e.to_string().into()),
                ..live.clone()
            }
        })
        .collect();
    Some(PredictionBatch { features: mirror.live.features.clone(), predictions })
}
