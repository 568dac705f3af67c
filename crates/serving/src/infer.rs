//! Answering a request: assign, score, decide, log, acknowledge.

use std::sync::Arc;
use std::time::Instant;

use greenlight_app::App;
use greenlight_app::lake::Lake;
use greenlight_app::live::{LiveEndpoint, LiveModel};
use greenlight_app::metrics::Meters;
use greenlight_domain::assignment::is_champion;
use greenlight_domain::frame::Frame;
use greenlight_domain::prediction::{Prediction, PredictionBatch, PredictionId, Variant};
use greenlight_domain::time::Micros;

use tokio::runtime::RuntimeFlavor;

use crate::request::{Checked, check};
use crate::shadow::{Mirror, ShadowQueue};
use crate::{Request, ServingError};

/// Rows that are scored on the thread of their request; more of them would keep the next one waiting.
const INLINE_ROWS: usize = 256;

/// Answers requests for every endpoint of an [`App`].
pub struct Serving {
    app: Arc<App>,
    shadow: ShadowQueue,
}

/// What a request gets, once everything about it is durable.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `name@version` of the champion, if there is one.
    pub model: Option<Arc<str>>,
    /// What was said about each row, in order, as it is logged.
    pub batch: Arc<PredictionBatch>,
}

/// What the champion said about every row of a request.
struct Scored {
    probabilities: Vec<f64>,
    error: Option<Arc<str>>,
    latency_us: i64,
}

impl Serving {
    /// Starts the worker that mirrors to shadows.
    pub fn start(app: Arc<App>) -> Self {
        let shadow = ShadowQueue::start(Arc::clone(&app));
        Self { app, shadow }
    }

    /// The application behind it.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Answers `request`. When this returns an answer, every prediction in it is on disk.
    pub async fn infer(
        &self,
        endpoint: &Arc<LiveEndpoint>,
        request: Request<'_>,
    ) -> Result<Answer, ServingError> {
        let started = Instant::now();
        let meters = &endpoint.meters;
        let rows = request.rows;
        let checked = check(endpoint, request).inspect_err(|_| {
            meters.invalid.inc();
        })?;
        let scored =
            endpoint.champion.as_ref().map(|champion| aside(rows, || score(champion, &checked.features)));
        let batch = Arc::new(self.assign(endpoint, checked, scored.as_ref()));
        let appended = Instant::now();
        let lake: &dyn Lake = self.app.lake.as_ref();
        lake.append_predictions(&endpoint.name, &batch).await.inspect_err(|_| {
            meters.unavailable.inc();
        })?;
        meters.append.observe(appended.elapsed().as_secs_f64());
        if let Some(scored) = &scored {
            meters.champion_model.observe(scored.latency_us as f64 / 1e6);
        }
        count(meters, &batch);
        let model = endpoint.champion.as_ref().map(|m| Arc::clone(&m.reference));
        if endpoint.shadow.is_some() {
            self.shadow.offer(Mirror {
                endpoint: Arc::clone(endpoint),
                live: Arc::clone(&batch),
                room: None,
            });
        }
        meters.request.observe(started.elapsed().as_secs_f64());
        Ok(Answer { model, batch })
    }

    fn assign(&self, endpoint: &LiveEndpoint, checked: Checked, scored: Option<&Scored>) -> PredictionBatch {
        let now = self.app.clock.now();
        let weight = endpoint.routes.champion_weight();
        let Checked { features, units, times, worth } = checked;
        let decisions = endpoint.value.decisions.len();
        let mut predictions = Vec::with_capacity(units.len());
        for (row, unit) in units.into_iter().enumerate() {
            let at = times.as_ref().map_or(now, |times| times[row]);
            let id = PredictionId::issue(&self.app.id_key, &endpoint.name, at, rand::random());
            let worth = &worth[row * decisions..][..decisions];
            predictions.push(assign_row(endpoint, (&features, worth), (row, unit, at, id), weight, scored));
        }
        PredictionBatch { features, predictions }
    }
}

/// Runs the scoring of many rows where it does not keep other requests waiting.
fn aside<T>(rows: usize, work: impl FnOnce() -> T) -> T {
    let many = rows > INLINE_ROWS;
    if many && tokio::runtime::Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
        return tokio::task::block_in_place(work);
    }
    work()
}

fn count(meters: &Meters, batch: &PredictionBatch) {
    let champions = batch.predictions.iter().filter(|p| p.variant == Variant::Champion).count() as u64;
    let failures = batch.predictions.iter().filter(|p| p.error.is_some()).count() as u64;
    let holdouts = batch.predictions.len() as u64 - champions;
    for (counter, rows) in
        [(&meters.champion, champions), (&meters.holdout, holdouts), (&meters.failures, failures)]
    {
        if rows > 0 {
            counter.inc_by(rows);
        }
    }
}

fn assign_row(
    endpoint: &LiveEndpoint,
    (features, worth): (&Frame, &[[f64; 2]]),
    (row, unit, at, id): (usize, Arc<str>, Micros, PredictionId),
    weight: f64,
    scored: Option<&Scored>,
) -> Prediction {
    let champion = endpoint.champion.as_ref().filter(|_| is_champion(&endpoint.name, &unit, weight));
    let variant = if champion.is_some() { Variant::Champion } else { Variant::Holdout };
    // What the champion would do is logged for the holdout too: units on which both agree tell nothing apart.
    let champion_decision = scored
        .filter(|s| s.error.is_none())
        .map(|s| Arc::clone(endpoint.value.choose(features, row, worth, s.probabilities[row])));
    let failed = champion.is_some() && champion_decision.is_none();
    let decision = match &champion_decision {
        Some(decision) if champion.is_some() => Arc::clone(decision),
        _ => Arc::clone(&endpoint.holdout_decision),
    };
    Prediction {
        id,
        at,
        unit,
        variant,
        propensity: if variant == Variant::Champion { weight } else { 1.0 - weight },
        champion_propensity: weight,
        release: endpoint.champion.as_ref().map(|m| Arc::clone(&m.release)),
        model: champion.map(|m| Arc::clone(&m.reference)),
        route_version: endpoint.routes.version,
        probability: match (champion, scored) {
            (Some(_), Some(scored)) if !failed => scored.probabilities[row],
            _ => f64::NAN,
        },
        decision,
        champion_decision,
        mirrors: None,
        latency_us: champion.and(scored).map_or(0, |s| s.latency_us),
        error: if failed { scored.and_then(|s| s.error.clone()) } else { None },
    }
}

/// Asks the model; a failure is recorded and the holdout rule answers, so that a broken model never costs an answer.
fn score(model: &LiveModel, features: &Frame) -> Scored {
    let started = Instant::now();
    let result = model.model.score(features);
    let latency_us = i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX);
    match result {
        Ok(probabilities) if probabilities.len() == features.rows() => {
            Scored { probabilities, error: None, latency_us }
        }
        Ok(_) => {
            Scored { probabilities: Vec::new(), error: Some("wrong number of scores".into()), latency_us }
        }
        Err(error) => Scored { probabilities: Vec::new(), error: Some(error.to_string().into()), latency_us },
    }
}
