//! Answering a request: assign, score, decide, log, acknowledge.

use std::sync::Arc;
use std::time::Instant;

use greenlight_app::App;
use greenlight_app::live::LiveEndpoint;
use greenlight_app::metrics::Meters;
use greenlight_domain::assignment::{Arm, Assigned, place};
use greenlight_domain::decision::DecisionSpec;
use greenlight_domain::prediction::{Prediction, PredictionBatch, PredictionId, Variant};
use greenlight_domain::time::Micros;
use tracing::Instrument;

use crate::request::{Checked, check};
use crate::score::{HOLDOUT, Scores, score_all};
use crate::shadow::{Mirror, ShadowQueue};
use crate::{Request, ServingError, log};

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
    /// What was said about each row, in order.
    pub batch: Arc<PredictionBatch>,
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

    /// Answers `request`. When this returns an answer, every prediction in it is as durable as the endpoint promises.
    pub async fn infer(
        &self,
        endpoint: &Arc<LiveEndpoint>,
        request: Request<'_>,
    ) -> Result<Answer, ServingError> {
        let started = Instant::now();
        let meters = &endpoint.meters;
        let checked = check(endpoint, request).inspect_err(|_| {
            meters.invalid.inc();
        })?;
        let (features, units) = (&checked.features, &checked.units);
        let assigned: Vec<Assigned<'_>> = units
            .iter()
            .enumerate()
            .map(|(row, unit)| endpoint.assigner.assign(unit, features, row))
            .collect();
        let scoring = tracing::info_span!(target: "trace", "score");
        let scores =
            score_all(endpoint, features, &assigned, checked.trace.as_ref()).instrument(scoring).await;
        let latency_us = scores.champion_latency_us();
        let predictions = self.predictions(endpoint, &checked, &assigned, &scores);
        let batch = Arc::new(PredictionBatch { features: checked.features, predictions });
        let appended = Instant::now();
        let logging = tracing::info_span!(target: "trace", "append");
        log::append(&self.app, endpoint, &batch).instrument(logging).await.inspect_err(|_| {
            meters.unavailable.inc();
        })?;
        meters.append.observe(appended.elapsed().as_secs_f64());
        if let Some(latency_us) = latency_us {
            meters.champion_model.observe(latency_us as f64 / 1e6);
        }
        count(meters, &batch);
        let model = endpoint.champion.as_ref().map(|m| Arc::clone(&m.reference));
        if !endpoint.shadows.is_empty() {
            self.shadow.offer(Mirror {
                endpoint: Arc::clone(endpoint),
                live: Arc::clone(&batch),
                room: None,
            });
        }
        meters.request.observe(started.elapsed().as_secs_f64());
        Ok(Answer { model, batch })
    }

    fn predictions(
        &self,
        endpoint: &LiveEndpoint,
        checked: &Checked,
        assigned: &[Assigned<'_>],
        scores: &Scores<'_>,
    ) -> Vec<Prediction> {
        let now = self.app.clock.now();
        let ids: Vec<(PredictionId, Micros)> = (0..assigned.len())
            .map(|row| {
                let at = checked.times.as_ref().map_or(now, |times| times[row]);
                (PredictionId::issue(&self.app.id_key, &endpoint.name, at, rand::random()), at)
            })
            .collect();
        let decisions = decide(endpoint, checked, scores, &ids);
        let rows = ids.into_iter().zip(assigned).zip(decisions).enumerate();
        rows.map(|(row, ((id, assigned), decision))| {
            prediction(endpoint, checked, (row, id), assigned, scores, decision)
        })
        .collect()
    }
}

/// What the model behind each row decides, with its probability; `None` where no model could say.
type Decision = Option<(Arc<str>, f64)>;

fn decide(
    endpoint: &LiveEndpoint,
    checked: &Checked,
    scores: &Scores<'_>,
    ids: &[(PredictionId, Micros)],
) -> Vec<Decision> {
    let (value, features) = (&endpoint.value, &checked.features);
    let count = value.decisions.len();
    let worth = |row: usize| &checked.worth[row * count..][..count];
    let probability =
        |row: usize| scores.of(row).and_then(|(scored, place)| scored.probabilities.get(place).copied());
    if endpoint.spec.decision == DecisionSpec::Best {
        let best = |row| Some((Arc::clone(value.choose(features, row, worth(row), probability(row)?)), 1.0));
        return (0..ids.len()).map(best).collect();
    }
    let mut expected = Vec::with_capacity(ids.len() * count);
    for row in 0..ids.len() {
        // A row that no model could score is never acted upon, so it takes nothing from a budget.
        let known = probability(row);
        match known {
            Some(known) => value.expected((features, row), worth(row), known, &mut expected),
            None => expected.extend(std::iter::repeat_n(0.0, count)),
        }
    }
    let draw = |row: usize| place("decision", &ids[row].0.to_string());
    let chosen = endpoint.spec.decision.choose(&expected, count, draw);
    let named = |(row, chosen): (usize, greenlight_domain::decision::Chosen)| {
        probability(row).map(|_| (Arc::clone(&value.decisions[chosen.decision]), chosen.propensity))
    };
    chosen.into_iter().enumerate().map(named).collect()
}

fn count(meters: &Meters, batch: &PredictionBatch) {
    let of = |variant| batch.predictions.iter().filter(|p| p.variant == variant).count() as u64;
    let failures = batch.predictions.iter().filter(|p| p.error.is_some()).count() as u64;
    for (counter, rows) in [
        (&meters.champion, of(Variant::Champion)),
        (&meters.challenger, of(Variant::Challenger)),
        (&meters.holdout, of(Variant::Holdout)),
        (&meters.failures, failures),
    ] {
        if rows > 0 {
            counter.inc_by(rows);
        }
    }
}

fn prediction(
    endpoint: &LiveEndpoint,
    checked: &Checked,
    (row, (id, at)): (usize, (PredictionId, Micros)),
    assigned: &Assigned<'_>,
    scores: &Scores<'_>,
    decided: Decision,
) -> Prediction {
    let (variant, routed) = match assigned.arm {
        Arm::Champion => (Variant::Champion, endpoint.champion.as_ref()),
        Arm::Challenger(release) => {
            (Variant::Challenger, endpoint.challengers.iter().find(|c| *c.release == **release))
        }
        Arm::Holdout => (Variant::Holdout, None),
    };
    let scored = scores.of(row);
    let (probability, error, latency_us, answered) = match (routed, &scored) {
        (Some(_), Some((scored, place))) => (
            scored.probabilities.get(*place).copied().unwrap_or(f64::NAN),
            scored.error.clone(),
            scored.latency_us,
            scored.model,
        ),
        (Some(_), None) => (f64::NAN, Some("its model is not loaded".into()), 0, None),
        (None, _) => (f64::NAN, None, 0, None),
    };
    let fallback =
        error.as_ref().map(|_| answered.map_or_else(|| HOLDOUT.into(), |m| Arc::clone(&m.reference)));
    // What the champion would do is logged for the holdout too: units on which both agree tell nothing apart.
    let champion_decision =
        decided.as_ref().filter(|_| variant != Variant::Challenger).map(|d| Arc::clone(&d.0));
    let (decision, decision_propensity) =
        decided.filter(|_| routed.is_some()).unwrap_or_else(|| (Arc::clone(&endpoint.holdout_decision), 1.0));
    let (champion, holdout) = (assigned.champion_propensity, assigned.holdout_propensity);
    let named = routed.or(endpoint.champion.as_ref());
    Prediction {
        id,
        at,
        unit: Arc::clone(&checked.units[row]),
        variant,
        propensity: assigned.propensity,
        champion_propensity: if champion > 0.0 { champion / (champion + holdout) } else { 0.0 },
        candidates: Some(Arc::clone(assigned.candidates)),
        release: named.map(|m| Arc::clone(&m.release)),
        model: answered
            .map(|m| Arc::clone(&m.reference))
            .or_else(|| routed.map(|m| Arc::clone(&m.reference))),
        route_version: endpoint.routes.version,
        probability,
        decision,
        decision_propensity,
        champion_decision,
        mirrors: None,
        latency_us,
        error,
        fallback,
        feature_weight: endpoint.mask.as_ref().map_or(1.0, |mask| mask.weight(id)),
        trace: checked.trace.as_ref().map(|trace| Arc::clone(&trace.id)),
    }
}
