//! Events to append, and short ways to ask for them back.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use greenlight_app::lake::{Asked, JoinedBatch, JoinedRow, Lake, LakeError};
use greenlight_domain::frame::{Column, Field, Frame};
use greenlight_domain::prediction::{IdKey, Outcome, Prediction, PredictionBatch, PredictionId, Variant};
use greenlight_domain::time::Micros;
use greenlight_lake::{Limits, LocalLake};

pub(crate) const ENDPOINT: &str = "calls";
pub(crate) const START: Micros = Micros(1_241_431_200_000_000);
const KEY: IdKey = IdKey([7; 16]);
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A fresh id at `START` plus some seconds.
pub(crate) fn id_at(seconds: i64) -> PredictionId {
    let random = NEXT.fetch_add(1, Ordering::Relaxed);
    PredictionId::issue(&KEY, ENDPOINT, after(seconds), random)
}

pub(crate) fn after(seconds: i64) -> Micros {
    Micros(START.0 + seconds * 1_000_000)
}

pub(crate) fn features() -> Arc<[Field]> {
    [Field::number("age"), Field::text("job title"), Field::number("emp.var.rate")].into()
}

pub(crate) fn prediction(seconds: i64, variant: Variant) -> Prediction {
    Prediction {
        id: id_at(seconds),
        at: after(seconds),
        unit: format!("unit-{seconds}").into(),
        variant,
        propensity: 0.8,
        champion_propensity: 0.9,
        release: Some("release-1".into()),
        model: Some("uplift@3".into()),
        route_version: 12,
        probability: 0.25,
        decision: "call".into(),
        champion_decision: Some("call".into()),
        mirrors: None,
        latency_us: 120,
        error: None,
        candidates: None,
        fallback: None,
        decision_propensity: 1.0,
        feature_weight: 1.0,
        trace: None,
    }
}

/// A batch with features that tell the rows apart: age is the second, job is missing for odd rows.
pub(crate) fn batch(predictions: Vec<Prediction>) -> PredictionBatch {
    let seconds: Vec<i64> = predictions.iter().map(|p| (p.at.0 - START.0) / 1_000_000).collect();
    let ages = seconds.iter().map(|&s| s as f64).collect();
    let jobs = seconds.iter().map(|&s| (s % 2 == 0).then(|| Arc::from("admin."))).collect();
    let rates = seconds.iter().map(|&s| if s == 3 { f64::NAN } else { -1.8 }).collect();
    let columns = vec![Column::Number(ages), Column::Text(jobs), Column::Number(rates)];
    PredictionBatch { features: Frame::new(features(), columns).unwrap(), predictions }
}

pub(crate) fn outcome(prediction_id: PredictionId, value: f64) -> Outcome {
    Outcome { prediction_id, name: "subscribed".into(), value, at: after(3_600) }
}

/// A lake in a folder of its own with the endpoint open.
pub(crate) async fn lake(root: &std::path::Path) -> LocalLake {
    lake_with(root, Limits::default()).await
}

pub(crate) async fn lake_with(root: &std::path::Path, limits: Limits) -> LocalLake {
    let lake = LocalLake::open_with(root, limits).unwrap();
    lake.open(ENDPOINT, features()).await.unwrap();
    lake
}

/// Everything in that range of seconds, with all features and the outcomes of all segments.
pub(crate) fn asked(from: i64, until: i64) -> Asked {
    Asked {
        outcome: "subscribed".into(),
        from: after(from),
        until: after(until),
        segment: i64::MAX,
        since: None,
        reads: (0..features().len()).collect(),
        distinct: false,
    }
}

/// What a join gives, in order of time.
pub(crate) async fn joined(lake: &dyn Lake, asked: &Asked) -> Result<Vec<(JoinedRow, Frame)>, LakeError> {
    let rows: Arc<Mutex<Vec<(JoinedRow, Frame)>>> = Arc::default();
    let taken = Arc::clone(&rows);
    let take = move |batch: JoinedBatch| {
        assert!(!batch.rows.is_empty() && batch.rows.len() <= 8_192);
        let mut taken = taken.lock().unwrap();
        for (at, row) in batch.rows.into_iter().enumerate() {
            taken.push((row, batch.features.take(&[at])));
        }
        ControlFlow::Continue(())
    };
    lake.joined(ENDPOINT, asked, Arc::new(take)).await?;
    let mut rows = std::mem::take(&mut *rows.lock().unwrap());
    rows.sort_by_key(|(row, _)| (row.at, row.id));
    Ok(rows)
}

pub(crate) async fn matured(lake: &dyn Lake, from: i64, until: i64) -> Vec<JoinedRow> {
    let rows = joined(lake, &asked(from, until)).await.unwrap();
    rows.into_iter().map(|(row, _)| row).collect()
}

/// Appends one prediction a second from `seconds` and returns the ids.
pub(crate) async fn append(lake: &dyn Lake, seconds: std::ops::Range<i64>) -> Vec<PredictionId> {
    let predictions: Vec<_> = seconds.map(|s| prediction(s, Variant::Champion)).collect();
    let ids = predictions.iter().map(|p| p.id).collect();
    lake.append_predictions(ENDPOINT, &batch(predictions)).await.unwrap();
    ids
}

/// The segment files of the endpoint, by name.
pub(crate) fn segment_files(root: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(root.join(ENDPOINT).join("segments"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect();
    files.sort();
    files
}
