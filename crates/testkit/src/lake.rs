//! A lake in memory that keeps the contract of `greenlight_app::lake::Lake`.

mod log;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use greenlight_app::lake::log::{
    Disagreements, LogEntry, LogExtent, LogFilter, LogRow, LogSample, TrafficBucket, Window,
};
use greenlight_app::lake::{
    Asked, DatasetShape, Erased, JoinedBatch, JoinedRow, Lake, LakeError, ShadowRow, Take, TrafficRow, UnitAt,
};
use greenlight_domain::dataset::profile::{ColumnProfiler, Content, Profile, finish};
use greenlight_domain::frame::{ColumnType, Field, Frame};
use greenlight_domain::prediction::{Outcome, Prediction, PredictionBatch, PredictionId, Variant};
use greenlight_domain::time::Micros;

#[derive(Default)]
struct Tables {
    features: Option<Frame>,
    predictions: Vec<Prediction>,
    sealed_predictions: usize,
    outcomes: Vec<(i64, Outcome)>,
    sealed_outcomes: usize,
    segment: i64,
}

/// Events in memory.
#[derive(Default)]
pub struct MemoryLake {
    tables: Mutex<HashMap<String, Tables>>,
    /// The data set that `read_dataset` answers from, whatever file it is asked for.
    dataset: Mutex<Option<(Frame, String)>>,
    /// The frame that `decode_parquet` answers with, whatever bytes it gets.
    upload: Mutex<Option<Frame>>,
    full: std::sync::atomic::AtomicBool,
}

impl MemoryLake {
    /// Makes `frame` the data set; `time` is its column of event times.
    pub fn set_dataset(&self, frame: Frame, time: &str) {
        *self.dataset.lock().unwrap() = Some((frame, time.to_owned()));
    }

    /// Makes `frame` what every Parquet file in a request decodes to.
    pub fn set_upload(&self, frame: Frame) {
        *self.upload.lock().unwrap() = Some(frame);
    }

    /// From now on every append and every table to open is refused as if the disk were full, until it is set back.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, std::sync::atomic::Ordering::SeqCst);
    }

    /// Everything that was logged for an endpoint.
    pub fn predictions(&self, endpoint: &str) -> Vec<Prediction> {
        self.with(endpoint, |t| t.predictions.clone())
    }

    /// The features that were logged with them.
    pub fn features(&self, endpoint: &str) -> Frame {
        self.with(endpoint, |t| t.features.clone()).expect("open first")
    }

    fn with<T>(&self, endpoint: &str, work: impl FnOnce(&mut Tables) -> T) -> T {
        work(self.tables.lock().unwrap().entry(endpoint.to_owned()).or_default())
    }

    fn check_room(&self) -> Result<(), LakeError> {
        if self.full.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(LakeError::Unavailable("no space left on device".to_owned()));
        }
        Ok(())
    }
}

impl Tables {
    /// Deletes predictions and their outcomes.
    fn delete(&mut self, gone: impl Fn(&Prediction) -> bool) -> Erased {
        let kept: Vec<usize> = (0..self.predictions.len()).filter(|i| !gone(&self.predictions[*i])).collect();
        let ids: Vec<PredictionId> = self.predictions.iter().filter(|p| gone(p)).map(|p| p.id).collect();
        let before = (self.predictions.len(), self.outcomes.len());
        self.features = self.features.as_ref().map(|features| features.take(&kept));
        self.predictions = kept.iter().map(|i| self.predictions[*i].clone()).collect();
        self.outcomes.retain(|(_, outcome)| !ids.contains(&outcome.prediction_id));
        self.sealed_predictions = self.predictions.len();
        self.sealed_outcomes = self.outcomes.len();
        Erased {
            predictions: (before.0 - self.predictions.len()) as u64,
            outcomes: (before.1 - self.outcomes.len()) as u64,
        }
    }
}

/// The newest sealed outcome of a prediction in segments up to `segment`, with its segment.
fn newest(tables: &Tables, id: PredictionId, asked: &Asked, segment: i64) -> Option<(i64, f64)> {
    let mut sealed = tables.outcomes[..tables.sealed_outcomes].iter().rev();
    sealed
        .find(|(received, o)| *received <= segment && o.prediction_id == id && *o.name == *asked.outcome)
        .map(|(received, o)| (*received, o.value))
}

fn joined(tables: &Tables, index: usize, asked: &Asked) -> JoinedRow {
    let p = &tables.predictions[index];
    let as_of = |segment: i64| newest(tables, p.id, asked, segment).map(|(_, value)| value);
    JoinedRow {
        id: p.id,
        at: p.at,
        variant: p.variant,
        champion_propensity: p.champion_propensity,
        release: p.release.clone(),
        probability: p.probability,
        decision: Arc::clone(&p.decision),
        champion_decision: p.champion_decision.clone(),
        failed: p.error.is_some(),
        outcome: as_of(asked.segment),
        outcome_before: asked.since.and_then(as_of),
    }
}

fn features(tables: &Tables, rows: &[usize]) -> Frame {
    tables.features.as_ref().expect("open first").take(rows)
}

#[async_trait]
impl Lake for MemoryLake {
    async fn open(&self, endpoint: &str, features: Arc<[Field]>) -> Result<(), LakeError> {
        self.check_room()?;
        self.with(endpoint, |t| {
            t.features.get_or_insert_with(|| Frame::empty(features));
        });
        Ok(())
    }

    async fn append_predictions(&self, endpoint: &str, batch: &PredictionBatch) -> Result<(), LakeError> {
        self.check_room()?;
        self.with(endpoint, |t| {
            t.features.as_mut().expect("open first").append(&batch.features).unwrap();
            t.predictions.extend(batch.predictions.iter().cloned());
        });
        Ok(())
    }

    async fn append_outcomes(&self, endpoint: &str, outcomes: Vec<Outcome>) -> Result<(), LakeError> {
        self.check_room()?;
        self.with(endpoint, |t| {
            let segment = t.segment + 1;
            t.outcomes.extend(outcomes.into_iter().map(|o| (segment, o)));
        });
        Ok(())
    }

    async fn seal(&self, endpoint: &str) -> Result<i64, LakeError> {
        Ok(self.with(endpoint, |t| {
            if t.outcomes.len() > t.sealed_outcomes {
                t.segment += 1;
            }
            t.sealed_outcomes = t.outcomes.len();
            t.sealed_predictions = t.predictions.len();
            t.segment
        }))
    }

    async fn joined(&self, endpoint: &str, asked: &Asked, take: Take) -> Result<(), LakeError> {
        let batch = self.with(endpoint, |t| {
            let is_fresh = |id| {
                let newest = newest(t, id, asked, asked.segment);
                asked.since.is_none_or(|since| newest.is_some_and(|(received, _)| received > since))
            };
            let wanted = |i: &usize| {
                let p = &t.predictions[*i];
                p.variant != Variant::Shadow && (asked.from..asked.until).contains(&p.at) && is_fresh(p.id)
            };
            let rows: Vec<usize> = (0..t.sealed_predictions).filter(wanted).collect();
            let joined_rows = rows.iter().map(|i| joined(t, *i, asked)).collect();
            JoinedBatch { features: features(t, &rows), rows: joined_rows }
        });
        let _ = take(batch);
        Ok(())
    }

    async fn shadow_rows(&self, endpoint: &str, release: &str) -> Result<Vec<ShadowRow>, LakeError> {
        Ok(self.with(endpoint, |t| {
            let sealed = &t.predictions[..t.sealed_predictions];
            let mine =
                |p: &&Prediction| p.variant == Variant::Shadow && p.release.as_deref() == Some(release);
            sealed
                .iter()
                .filter(mine)
                .map(|p| ShadowRow {
                    probability: p.probability,
                    disagrees: sealed
                        .iter()
                        .any(|live| Some(live.id) == p.mirrors && live.decision != p.decision),
                    latency_us: p.latency_us,
                    failed: p.error.is_some(),
                })
                .collect()
        }))
    }

    async fn traffic(&self, endpoint: &str, release: Option<&str>) -> Result<Vec<TrafficRow>, LakeError> {
        Ok(self.with(endpoint, |t| {
            [Variant::Challenger, Variant::Champion, Variant::Holdout]
                .into_iter()
                .filter_map(|variant| {
                    let rows: Vec<&Prediction> = t.predictions[..t.sealed_predictions]
                        .iter()
                        .filter(|p| {
                            p.variant == variant && (release.is_none() || p.release.as_deref() == release)
                        })
                        .collect();
                    let newest = rows.iter().map(|p| p.at).max()?;
                    let mut latencies: Vec<i64> = rows.iter().map(|p| p.latency_us).collect();
                    latencies.sort_unstable();
                    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] as f64;
                    Some(TrafficRow {
                        variant,
                        predictions: rows.len() as u64,
                        errors: rows.iter().filter(|p| p.error.is_some()).count() as u64,
                        p50_latency_us: at(0.5),
                        p99_latency_us: at(0.99),
                        newest,
                    })
                })
                .collect()
        }))
    }

    async fn log_extent(&self, endpoint: &str) -> Result<Option<LogExtent>, LakeError> {
        Ok(self.with(endpoint, |t| log::extent(t)))
    }

    async fn log_page(&self, endpoint: &str, filter: &LogFilter) -> Result<Vec<LogRow>, LakeError> {
        Ok(self.with(endpoint, |t| log::page(t, filter)))
    }

    async fn log_entry(&self, endpoint: &str, id: PredictionId) -> Result<Option<LogEntry>, LakeError> {
        Ok(self.with(endpoint, |t| log::entry(t, id)))
    }

    async fn log_sample(&self, endpoint: &str, window: Window, rows: usize) -> Result<LogSample, LakeError> {
        Ok(self.with(endpoint, |t| log::sample(t, window, rows)))
    }

    async fn traffic_over_time(
        &self,
        endpoint: &str,
        window: Window,
        bucket_us: i64,
    ) -> Result<Vec<TrafficBucket>, LakeError> {
        Ok(self.with(endpoint, |t| log::traffic(t, window, bucket_us)))
    }

    async fn disagreements(
        &self,
        endpoint: &str,
        window: Window,
        most: usize,
    ) -> Result<Disagreements, LakeError> {
        Ok(self.with(endpoint, |t| log::disagreements(t, window, most)))
    }

    async fn prediction_ids(&self, endpoint: &str) -> Result<Vec<PredictionId>, LakeError> {
        Ok(self.with(endpoint, |t| t.predictions.iter().map(|p| p.id).collect()))
    }

    async fn days_of_unit(&self, endpoint: &str, unit: &str) -> Result<Vec<i32>, LakeError> {
        Ok(self.with(endpoint, |t| {
            let hers = t.predictions.iter().filter(|p| p.variant != Variant::Shadow && *p.unit == *unit);
            let days: std::collections::BTreeSet<i32> = hers.map(|p| p.at.day()).collect();
            days.into_iter().collect()
        }))
    }

    async fn erase(&self, endpoint: &str, unit: &str) -> Result<Erased, LakeError> {
        Ok(self.with(endpoint, |t| t.delete(|p| p.unit.as_ref() == unit)))
    }

    async fn delete_before(&self, endpoint: &str, before: Micros) -> Result<Erased, LakeError> {
        Ok(self.with(endpoint, |t| t.delete(|p| p.at < before)))
    }

    async fn newest_predictions(
        &self,
        endpoint: &str,
        asked: &[UnitAt],
        window_us: i64,
    ) -> Result<Vec<Option<PredictionId>>, LakeError> {
        Ok(self.with(endpoint, |t| {
            let newest = |asked: &UnitAt| {
                t.predictions[..t.sealed_predictions]
                    .iter()
                    .filter(|p| p.variant != Variant::Shadow && p.unit == asked.unit)
                    .filter(|p| p.at <= asked.at && p.at.0 >= asked.at.0 - window_us)
                    .max_by_key(|p| (p.at, p.id))
                    .map(|p| p.id)
            };
            asked.iter().map(newest).collect()
        }))
    }

    async fn decode_parquet(&self, _file: Bytes, most_rows: usize) -> Result<Frame, LakeError> {
        let frame = self.upload.lock().unwrap().clone();
        let frame = frame.ok_or_else(|| LakeError::Corrupt("no upload was set".to_owned()))?;
        assert!(frame.rows() <= most_rows);
        Ok(frame)
    }

    async fn profile(&self, _file: &Path, _format: &str) -> Result<Profile, LakeError> {
        let dataset = self.dataset.lock().unwrap();
        let (frame, _) =
            dataset.as_ref().ok_or_else(|| LakeError::Corrupt("no data set was set".to_owned()))?;
        let columns = frame.fields().iter().zip(frame.columns()).map(|(field, values)| {
            let (content, words) = match field.column_type {
                ColumnType::Number => (Content::Number, "Float64"),
                ColumnType::Text => (Content::Text, "Utf8"),
            };
            let mut column = ColumnProfiler::new(&field.name, words, content, false);
            column.absorb(values, format!("{values:?}").as_bytes());
            column
        });
        Ok(finish(frame.rows() as u64, columns.collect()))
    }

    async fn dataset_shape(&self, _file: &Path) -> Result<DatasetShape, LakeError> {
        let dataset = self.dataset.lock().unwrap();
        let (frame, _) =
            dataset.as_ref().ok_or_else(|| LakeError::Corrupt("no data set was set".to_owned()))?;
        Ok(DatasetShape { rows: frame.rows() as u64, columns: frame.fields().to_vec() })
    }

    async fn read_dataset(
        &self,
        _file: &Path,
        columns: &[String],
        time: &str,
        window: Option<(Micros, Micros)>,
    ) -> Result<Frame, LakeError> {
        let dataset = self.dataset.lock().unwrap();
        let (frame, own_time) =
            dataset.as_ref().ok_or_else(|| LakeError::Corrupt("no data set was set".to_owned()))?;
        assert_eq!(time, own_time);
        let times = frame.numbers(time).unwrap();
        let inside =
            |i: &usize| window.is_none_or(|(from, until)| (from..until).contains(&Micros(times[*i] as i64)));
        let rows: Vec<usize> = (0..frame.rows()).filter(inside).collect();
        let fields: Arc<[Field]> = columns
            .iter()
            .map(|name| frame.fields().iter().find(|f| f.name.as_ref() == name).cloned())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| LakeError::Schema(format!("a column of {columns:?} is missing")))?
            .into();
        frame.take(&rows).select(&fields).map_err(|e| LakeError::Schema(e.to_string()))
    }
}
