//! Shadows: each scores every request of its endpoint after the response, on a bounded queue that drops rather than slows.

use std::sync::Arc;
use std::time::Instant;

use greenlight_app::App;
use greenlight_app::live::{LiveEndpoint, LiveModel};
use greenlight_domain::frame::Column;
use greenlight_domain::prediction::{IdKey, Prediction, PredictionBatch, PredictionId, Variant};
use greenlight_domain::route::MAX_SHADOWS;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Requests that may wait for the shadow.
const QUEUE: usize = 4_096;
/// KiB of rows that may wait, so that large requests cannot fill the memory; a row takes one at least.
const ROOM_KIB: usize = 100_000;
/// KiB of rows that are logged together.
const LOGGED_KIB: u32 = 8_192;
/// Requests that are scored and logged together, so that the shadow keeps up with many small ones.
const TOGETHER: usize = 256;

/// A live request to be mirrored.
pub(crate) struct Mirror {
    pub endpoint: Arc<LiveEndpoint>,
    pub live: Arc<PredictionBatch>,
    /// Room for its rows; given back when it has been scored.
    pub room: Option<OwnedSemaphorePermit>,
}

pub(crate) struct ShadowQueue {
    sender: mpsc::Sender<Mirror>,
    room: Arc<Semaphore>,
    app: Arc<App>,
}

impl ShadowQueue {
    /// Starts the worker; it ends when the queue is dropped.
    pub(crate) fn start(app: Arc<App>) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Mirror>(QUEUE);
        let worker = Arc::clone(&app);
        tokio::spawn(async move {
            let mut mirrors = Vec::with_capacity(TOGETHER);
            while receiver.recv_many(&mut mirrors, TOGETHER).await > 0 {
                let batch = std::mem::take(&mut mirrors);
                let key = worker.id_key;
                let scored = tokio::task::spawn_blocking(move || score_all(&batch, &key)).await;
                for (name, batch) in scored.unwrap_or_default() {
                    log(&worker, &name, batch).await;
                }
            }
        });
        Self { sender, room: Arc::new(Semaphore::new(ROOM_KIB)), app }
    }

    /// Mirrors a request unless the queue is full.
    pub(crate) fn offer(&self, mut mirror: Mirror) {
        let rows = u32::try_from(mirror.live.predictions.len()).unwrap_or(u32::MAX);
        let refused = match Arc::clone(&self.room).try_acquire_many_owned(kib(&mirror.live)) {
            Ok(room) => {
                mirror.room = Some(room);
                match self.sender.try_send(mirror) {
                    Ok(()) => return,
                    Err(TrySendError::Full(mirror) | TrySendError::Closed(mirror)) => mirror,
                }
            }
            Err(_) => mirror,
        };
        for shadow in &refused.endpoint.shadows {
            refused.endpoint.meters.dropped.inc_by(u64::from(rows));
            self.app.live.drop_shadow(&shadow.release, u64::from(rows));
        }
    }
}

/// About how much memory a batch takes.
fn kib(batch: &PredictionBatch) -> u32 {
    let text = |column: &Column| match column {
        Column::Number(values) => 8 * values.len(),
        Column::Text(values) => values.iter().flatten().map(|text| 32 + text.len()).sum(),
    };
    let bytes: usize = batch.features.columns().iter().map(text).sum();
    u32::try_from(batch.predictions.len().max(bytes / 1_024)).unwrap_or(u32::MAX)
}

async fn log(app: &App, name: &str, batch: PredictionBatch) {
    let rows = batch.predictions.len() as u64;
    let release = release(&batch).cloned();
    if let Err(error) = app.lake.append_predictions(name, &batch).await {
        tracing::warn!(endpoint = %name, %error, "a shadow's predictions were not logged");
        if let Some(release) = release {
            app.live.drop_shadow(&release, rows);
        }
    }
}

/// Scores each request by itself (its time is what is measured) and gathers the rows of neighbours.
fn score_all(mirrors: &[Mirror], key: &IdKey) -> Vec<(Arc<str>, PredictionBatch)> {
    let mut batches: Vec<(Arc<str>, PredictionBatch)> = Vec::new();
    for mirror in mirrors {
        for shadow in &mirror.endpoint.shadows {
            let Some(batch) = score(mirror, shadow, key) else { continue };
            // Neighbours of one release: what could not be logged is counted for it.
            let open =
                batches.iter_mut().rev().take(MAX_SHADOWS).find(|(name, open)| {
                    *name == mirror.endpoint.name && release(open) == Some(&shadow.release)
                });
            if let Some((_, open)) = open
                && kib(open) + kib(&batch) <= LOGGED_KIB
                && open.features.append(&batch.features).is_ok()
            {
                open.predictions.extend(batch.predictions);
                continue;
            }
            batches.push((Arc::clone(&mirror.endpoint.name), batch));
        }
    }
    batches
}

fn release(batch: &PredictionBatch) -> Option<&Arc<str>> {
    batch.predictions.first().and_then(|prediction| prediction.release.as_ref())
}

fn score(mirror: &Mirror, shadow: &LiveModel, key: &IdKey) -> Option<PredictionBatch> {
    let endpoint = &mirror.endpoint;
    let started = Instant::now();
    let result = shadow.model.score(&mirror.live.features);
    let elapsed = started.elapsed();
    let latency_us = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
    endpoint.meters.shadow_model.observe(elapsed.as_secs_f64());
    endpoint.meters.shadow.inc_by(mirror.live.predictions.len() as u64);
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
                candidates: None,
                decision_propensity: 1.0,
                fallback: None,
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
    let features = match &endpoint.mask {
        Some(mask) => {
            let weights: Vec<f64> = mirror.live.predictions.iter().map(|p| p.feature_weight).collect();
            mask.apply(&mirror.live.features, &weights).ok()?
        }
        None => mirror.live.features.clone(),
    };
    Some(PredictionBatch { features, predictions })
}
