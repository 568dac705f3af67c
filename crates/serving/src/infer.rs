//! Answering a request: assign, score, decide, log, acknowledge.

use std::sync::Arc;
use std::time::Instant;

use greenlight_app::App;
use greenlight_app::lake::Lake;
use greenlight_app::live::{LiveEndpoint, LiveModel};
use greenlight_domain::assignment::is_champion;
use greenlight_domain::frame::Frame;
use greenlight_domain::prediction::{Prediction, PredictionBatch, PredictionId, Variant};
use greenlight_domain::time::Micros;

use crate::request::{Checked, check};
use crate::shadow::{Mirror, ShadowQueue};
use crate::{Request, ServingError};

/// Answers requests for every endpoint of an [`App`].
pub struct Serving {
    app: Arc<App>,
    shadow: ShadowQueue,
}

/// What one row gets.
#[derive(Debug, Clone)]
pub struct AnswerRow {
    /// Id to post the outcome with.
    pub id: PredictionId,
    /// The model's probability; NaN when no model decided.
    pub probability: f64,
    /// What to do.
    pub decision: Arc<str>,
    /// Champion or holdout.
    pub variant: Variant,
    /// Probability with which this unit got this variant.
    pub propensity: f64,
}

/// What a request gets, once everything about it is durable.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `name@version` of the champion, if there is one.
    pub model: Option<Arc<str>>,
    /// One a row, in order.
    pub rows: Vec<AnswerRow>,
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
    pub async fn infer(&self, name: &str, request: Request) -> Result<Answer, ServingError> {
        let endpoint = self
            .app
            .live
            .get(name)
            .ok_or_else(|| ServingError::UnknownEndpoint(name.chars().take(100).collect()))?;
        let checked = check(&endpoint, request)?;
        let scored = endpoint.champion.as_ref().map(|champion| score(champion, &checked.features));
        let batch = self.assign(&endpoint, checked, scored.as_ref());
        let answer = answer(&endpoint, &batch);
        let mirror = endpoint.shadow.is_some().then(|| Mirror {
            endpoint: Arc::clone(&endpoint),
            live: batch.clone(),
            room: None,
        });
        let lake: &dyn Lake = self.app.lake.as_ref();
        lake.append_predictions(name, batch).await?;
        if let Some(mirror) = mirror {
            self.shadow.offer(mirror);
        }
        Ok(answer)
    }

    fn assign(&self, endpoint: &LiveEndpoint, checked: Checked, scored: Option<&Scored>) -> PredictionBatch {
        let now = self.app.clock.now();
        let weight = endpoint.routes.champion_weight();
        let mut predictions = Vec::with_capacity(checked.units.len());
        for (row, unit) in checked.units.into_iter().enumerate() {
            let at = checked.times.as_ref().map_or(now, |times| times[row]);
            let id = PredictionId::issue(&self.app.id_key, &endpoint.name, at, rand::random());
            predictions.push(assign_row(endpoint, &checked.features, (row, unit, at, id), weight, scored));
        }
        PredictionBatch { features: checked.features, predictions }
    }
}

fn assign_row(
    endpoint: &LiveEndpoint,
    features: &Frame,
    (row, unit, at, id): (usize, Arc<str>, Micros, PredictionId),
    weight: f64,
    scored: Option<&Scored>,
) -> Prediction {
    let champion = endpoint.champion.as_ref().filter(|_| is_champion(&endpoint.name, &unit, weight));
    let variant = if champion.is_some() { Variant::Champion } else { Variant::Holdout };
    // What the champion would do is logged for the holdout too: units on which both agree tell nothing apart.
    let champion_decision = scored
        .filter(|s| s.error.is_none())
        .map(|s| Arc::clone(endpoint.value.decide(features, row, s.probabilities[row])));
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

fn answer(endpoint: &LiveEndpoint, batch: &PredictionBatch) -> Answer {
    let rows = batch
        .predictions
        .iter()
        .map(|p| AnswerRow {
            id: p.id,
            probability: p.probability,
            decision: Arc::clone(&p.decision),
            variant: p.variant,
            propensity: p.propensity,
        })
        .collect();
    Answer { model: endpoint.champion.as_ref().map(|m| Arc::clone(&m.reference)), rows }
}
