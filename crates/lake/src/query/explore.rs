//! The SQL behind the pages that look into the log: its pages, one entry, samples, traffic by time, disagreements.
//!
//! Refuses a question without a window: every scan is bounded by event time and id, so that Delta statistics skip the
//! files of other days. Reads every column as text or number by itself, because a page must show what a later
//! version logged.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use deltalake::datafusion::common::ScalarValue;
use greenlight_app::lake::LakeError;
use greenlight_app::lake::log::{
    Disagreement, Disagreements, LogEntry, LogExtent, LogFilter, LogRow, LogSample, LoggedOutcome,
    MAX_BUCKETS, MAX_PAGE, MAX_SAMPLE, TrafficBucket, Window,
};
use greenlight_domain::frame::Frame;
use greenlight_domain::prediction::PredictionId;
use greenlight_domain::time::Micros;

use super::{Reader, first_id, text};
use crate::session::Parameters;
use crate::{decode, error};

const ROW_COLUMNS: &str = "p.id, p.at_us, p.unit, p.variant, p.propensity, p.release, p.model, p.probability, \
     p.decision, p.champion_decision, p.mirrors, p.latency_us, p.error";
/// Columns that a [`LogRow`] holds already, and those that only the lake itself needs.
const SHOWN: [&str; 16] = [
    "id",
    "at_us",
    "unit",
    "variant",
    "propensity",
    "release",
    "model",
    "probability",
    "decision",
    "champion_decision",
    "mirrors",
    "latency_us",
    "error",
    "day",
    "segment",
    "features",
];
const IN_WINDOW: &str = "p.at_us >= $from AND p.at_us < $until AND p.id >= $low AND p.id < $high";
/// Most outcomes or mirrors that are shown of one prediction.
const MAX_RELATED: usize = 50;
/// Most rows of one answer; a day of busy traffic may be sampled, never listed.
const MAX_DISAGREEMENTS: usize = 100;

/// Values for [`IN_WINDOW`].
fn within(window: Window) -> Parameters {
    vec![
        ("from", ScalarValue::from(window.from.0)),
        ("until", ScalarValue::from(window.until.0)),
        ("low", text(&first_id(window.from.unix_ms()))),
        ("high", text(&first_id(Micros(window.until.0.saturating_add(999)).unix_ms()))),
    ]
}

/// Conditions with their values, and nothing that came from a client in the text.
fn conditions(filter: &LogFilter) -> (String, Parameters) {
    let (mut sql, mut values) = (IN_WINDOW.to_owned(), within(filter.window));
    let equal = [
        ("unit", "p.unit = $unit", &filter.unit),
        ("variant", "p.variant = $variant", &filter.variant),
        ("decision", "p.decision = $decision", &filter.decision),
        ("model", "p.model = $model", &filter.model),
    ];
    for (name, condition, wanted) in equal {
        if let Some(wanted) = wanted {
            sql.push_str(" AND ");
            sql.push_str(condition);
            values.push((name, text(wanted)));
        }
    }
    let bounds =
        [("least", "p.probability >= $least", filter.least), ("most", "p.probability <= $most", filter.most)];
    for (name, condition, bound) in bounds {
        if let Some(bound) = bound {
            sql.push_str(" AND ");
            sql.push_str(condition);
            values.push((name, ScalarValue::from(bound)));
        }
    }
    match filter.failed {
        Some(true) => sql.push_str(" AND p.error IS NOT NULL"),
        Some(false) => sql.push_str(" AND p.error IS NULL"),
        None => {}
    }
    if let Some((at, id)) = filter.after {
        sql.push_str(" AND (p.at_us < $after_at OR (p.at_us = $after_at AND p.id < $after_id))");
        values.push(("after_at", ScalarValue::from(at.0)));
        values.push(("after_id", text(&id.to_string())));
    }
    (sql, values)
}

impl Reader {
    /// See `Lake::log_extent`.
    pub(crate) async fn log_extent(&self) -> Result<Option<LogExtent>, LakeError> {
        let sql =
            "SELECT min(at_us) AS oldest, max(at_us) AS newest, count(*) AS predictions FROM predictions";
        let batches = self.session.collect(sql, Vec::new()).await?;
        let Some(batch) = batches.first() else { return Ok(None) };
        let (oldest, newest) = (ints(batch, "oldest")?, ints(batch, "newest")?);
        if oldest.is_null(0) || newest.is_null(0) {
            return Ok(None);
        }
        Ok(Some(LogExtent {
            oldest: Micros(oldest.value(0)),
            newest: Micros(newest.value(0)),
            predictions: ints(batch, "predictions")?.value(0).unsigned_abs(),
        }))
    }

    /// See `Lake::log_page`.
    pub(crate) async fn log_page(&self, filter: &LogFilter) -> Result<Vec<LogRow>, LakeError> {
        let (conditions, values) = conditions(filter);
        let limit = filter.limit.clamp(1, MAX_PAGE);
        // A prediction that a client sent twice stands there twice; the other half is room for those.
        let sql = format!(
            "SELECT {ROW_COLUMNS} FROM predictions p WHERE {conditions} \
             ORDER BY p.at_us DESC, p.id DESC LIMIT {}",
            limit * 2
        );
        let mut rows = Vec::new();
        for batch in self.session.collect(&sql, values).await? {
            rows.extend(log_rows(&batch)?);
        }
        rows.dedup_by_key(|row| row.id);
        rows.truncate(limit);
        Ok(rows)
    }

    /// See `Lake::log_entry`.
    pub(crate) async fn log_entry(&self, id: PredictionId) -> Result<Option<LogEntry>, LakeError> {
        // The id carries its event time to the millisecond.
        let at = id.time();
        let window = Window { from: at, until: Micros(at.0.saturating_add(1_000)) };
        let mut values = within(window);
        values.push(("id", text(&id.to_string())));
        let sql = format!("SELECT p.* FROM predictions p WHERE {IN_WINDOW} AND p.id = $id LIMIT 1");
        let batches = self.session.collect(&sql, values.clone()).await?;
        let Some(batch) = batches.first() else { return Ok(None) };
        let Some(row) = log_rows(batch)?.into_iter().next() else { return Ok(None) };
        let sql = format!(
            "SELECT {ROW_COLUMNS} FROM predictions p WHERE {IN_WINDOW} AND p.mirrors = $id \
             ORDER BY p.id LIMIT {MAX_RELATED}"
        );
        let mut mirrors = Vec::new();
        for batch in self.session.collect(&sql, values).await? {
            mirrors.extend(log_rows(&batch)?);
        }
        mirrors.dedup_by_key(|row| row.id);
        Ok(Some(LogEntry {
            row,
            more: others(batch)?,
            features: decode::features(batch, &self.features)?,
            outcomes: self.outcomes_of(id).await?,
            mirrors,
        }))
    }

    async fn outcomes_of(&self, id: PredictionId) -> Result<Vec<LoggedOutcome>, LakeError> {
        let sql = format!(
            "SELECT name, value, at_us FROM outcomes WHERE prediction_id = $id \
             ORDER BY segment, \"position\" LIMIT {MAX_RELATED}"
        );
        let mut outcomes = Vec::new();
        for batch in self.session.collect(&sql, vec![("id", text(&id.to_string()))]).await? {
            let (names, values) = (texts(&batch, "name")?, doubles(&batch, "value")?);
            let times = ints(&batch, "at_us")?;
            outcomes.extend((0..batch.num_rows()).map(|row| LoggedOutcome {
                name: names.value(row).to_owned(),
                value: values.value(row),
                at: Micros(times.value(row)),
            }));
        }
        Ok(outcomes)
    }

    /// See `Lake::log_sample`.
    pub(crate) async fn log_sample(&self, window: Window, rows: usize) -> Result<LogSample, LakeError> {
        let rows = rows.clamp(1, MAX_SAMPLE);
        let sql =
            format!("SELECT count(*) AS n FROM predictions p WHERE {IN_WINDOW} AND p.variant <> 'shadow'");
        let counted = self.session.collect(&sql, within(window)).await?;
        let population = match counted.first() {
            Some(batch) => ints(batch, "n")?.value(0).unsigned_abs(),
            None => 0,
        };
        let mut sample = LogSample {
            population,
            features: Frame::empty(Arc::clone(&self.features)),
            probabilities: Vec::new(),
            models: Vec::new(),
        };
        let mut values = within(window);
        let draw = match cut(population, rows) {
            Some(cut) => {
                values.push(("cut", text(&cut)));
                "AND right(p.id, 8) < $cut"
            }
            None => "",
        };
        let sql = format!(
            "SELECT p.id, p.probability, p.model{} FROM predictions p \
             WHERE {IN_WINDOW} AND p.variant <> 'shadow' {draw} ORDER BY p.id LIMIT {}",
            self.feature_column(),
            rows * 2
        );
        for batch in self.session.collect(&sql, values).await? {
            let (probabilities, models) = (doubles(&batch, "probability")?, texts(&batch, "model")?);
            let features = decode::features(&batch, &self.features)?;
            sample.features.append(&features).map_err(|e| LakeError::Corrupt(e.to_string()))?;
            for row in 0..batch.num_rows() {
                sample.probabilities.push(number(&probabilities, row).unwrap_or(f64::NAN));
                sample.models.push(optional(&models, row));
            }
        }
        Ok(sample)
    }

    /// See `Lake::traffic_over_time`.
    pub(crate) async fn traffic_over_time(
        &self,
        window: Window,
        bucket_us: i64,
    ) -> Result<Vec<TrafficBucket>, LakeError> {
        let extent = window.until.0.saturating_sub(window.from.0);
        let bucket_us = bucket_us.max(1);
        if extent.div_euclid(bucket_us) >= MAX_BUCKETS as i64 {
            return Err(LakeError::Schema(format!("traffic is counted in at most {MAX_BUCKETS} stretches")));
        }
        let mut values = within(window);
        values.push(("width", ScalarValue::from(bucket_us)));
        let sql = format!(
            "SELECT (p.at_us - $from) / $width AS bucket, p.variant, count(*) AS predictions, \
               count(p.error) AS errors, \
               approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(p.latency_us AS DOUBLE)) AS p50, \
               approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY CAST(p.latency_us AS DOUBLE)) AS p99 \
             FROM predictions p WHERE {IN_WINDOW} GROUP BY 1, 2 ORDER BY 1, 2"
        );
        let mut buckets = Vec::new();
        for batch in self.session.collect(&sql, values).await? {
            let (places, variants) = (ints(&batch, "bucket")?, texts(&batch, "variant")?);
            let (predictions, errors) = (ints(&batch, "predictions")?, ints(&batch, "errors")?);
            let (p50, p99) = (doubles(&batch, "p50")?, doubles(&batch, "p99")?);
            buckets.extend((0..batch.num_rows()).map(|row| TrafficBucket {
                at: Micros(window.from.0 + places.value(row) * bucket_us),
                variant: variants.value(row).to_owned(),
                predictions: predictions.value(row).unsigned_abs(),
                errors: errors.value(row).unsigned_abs(),
                p50_latency_us: p50.value(row),
                p99_latency_us: p99.value(row),
            }));
        }
        Ok(buckets)
    }

    /// See `Lake::disagreements`.
    pub(crate) async fn disagreements(
        &self,
        window: Window,
        most: usize,
    ) -> Result<Disagreements, LakeError> {
        // A mirror carries the event time of what it mirrors, so both stand in the same window.
        let pairs = format!(
            "SELECT live.id, live.at_us, live.unit, live.model AS live_model, \
               live.probability AS live_probability, live.decision AS live_decision, \
               p.id AS shadow_id, p.model AS shadow_model, p.probability AS shadow_probability, \
               p.decision AS shadow_decision, abs(p.probability - live.probability) AS difference, \
               p.decision <> live.decision AS differs \
             FROM predictions p JOIN ( \
               SELECT p.id, p.at_us, p.unit, p.model, p.probability, \
                 coalesce(p.champion_decision, p.decision) AS decision \
               FROM predictions p WHERE {IN_WINDOW} AND p.variant <> 'shadow') live ON live.id = p.mirrors \
             WHERE {IN_WINDOW} AND p.variant = 'shadow' AND p.error IS NULL"
        );
        let sql = format!(
            "SELECT count(*) AS compared, count(CASE WHEN differs THEN 1 END) AS differing, \
               avg(difference) AS mean FROM ({pairs})"
        );
        let mut found =
            Disagreements { compared: 0, decisions_differ: 0, mean_difference: None, top: Vec::new() };
        if let Some(batch) = self.session.collect(&sql, within(window)).await?.first() {
            found.compared = ints(batch, "compared")?.value(0).unsigned_abs();
            found.decisions_differ = ints(batch, "differing")?.value(0).unsigned_abs();
            found.mean_difference = number(&doubles(batch, "mean")?, 0);
        }
        let sql = format!(
            "SELECT * FROM ({pairs}) WHERE differs OR difference > 0 \
             ORDER BY difference DESC NULLS LAST, differs DESC, shadow_id LIMIT {}",
            most.clamp(1, MAX_DISAGREEMENTS)
        );
        for batch in self.session.collect(&sql, within(window)).await? {
            found.top.extend(disagreeing(&batch)?);
        }
        Ok(found)
    }
}

/// The text below which the random end of an id must lie so that about `rows` of `population` are drawn.
fn cut(population: u64, rows: usize) -> Option<String> {
    let share = rows as f64 / population.max(1) as f64;
    // The last 32 bits of an id are a keyed hash: each of them is as likely as the next.
    (share < 1.0).then(|| format!("{:08x}", (share * f64::from(u32::MAX)) as u32))
}

fn disagreeing(batch: &RecordBatch) -> Result<Vec<Disagreement>, LakeError> {
    let (ids, times, units) = (texts(batch, "id")?, ints(batch, "at_us")?, texts(batch, "unit")?);
    let (live_models, shadow_models) = (texts(batch, "live_model")?, texts(batch, "shadow_model")?);
    let (live, shadow) = (doubles(batch, "live_probability")?, doubles(batch, "shadow_probability")?);
    let (live_decisions, shadow_decisions) =
        (texts(batch, "live_decision")?, texts(batch, "shadow_decision")?);
    (0..batch.num_rows())
        .map(|row| {
            Ok(Disagreement {
                id: id(ids.value(row))?,
                at: Micros(times.value(row)),
                unit: units.value(row).to_owned(),
                live_model: optional(&live_models, row),
                live_probability: number(&live, row),
                live_decision: live_decisions.value(row).to_owned(),
                shadow_model: optional(&shadow_models, row),
                shadow_probability: number(&shadow, row),
                shadow_decision: shadow_decisions.value(row).to_owned(),
            })
        })
        .collect()
}

fn log_rows(batch: &RecordBatch) -> Result<Vec<LogRow>, LakeError> {
    let (ids, times, units) = (texts(batch, "id")?, ints(batch, "at_us")?, texts(batch, "unit")?);
    let (variants, propensities) = (texts(batch, "variant")?, doubles(batch, "propensity")?);
    let (releases, models) = (texts(batch, "release")?, texts(batch, "model")?);
    let (probabilities, decisions) = (doubles(batch, "probability")?, texts(batch, "decision")?);
    let (champions, mirrors) = (texts(batch, "champion_decision")?, texts(batch, "mirrors")?);
    let (latencies, errors) = (ints(batch, "latency_us")?, texts(batch, "error")?);
    (0..batch.num_rows())
        .map(|row| {
            Ok(LogRow {
                id: id(ids.value(row))?,
                at: Micros(times.value(row)),
                unit: units.value(row).to_owned(),
                variant: variants.value(row).to_owned(),
                propensity: number(&propensities, row),
                release: optional(&releases, row),
                model: optional(&models, row),
                probability: number(&probabilities, row),
                decision: decisions.value(row).to_owned(),
                champion_decision: optional(&champions, row),
                mirrors: optional(&mirrors, row).map(|text| id(&text)).transpose()?,
                latency_us: latencies.value(row),
                error: optional(&errors, row),
            })
        })
        .collect()
}

/// The columns of the first row that no [`LogRow`] holds, as text, where they hold something.
fn others(batch: &RecordBatch) -> Result<Vec<(String, String)>, LakeError> {
    let mut found = Vec::new();
    for field in batch.schema().fields() {
        if SHOWN.contains(&field.name().as_str()) || field.data_type().is_nested() {
            continue;
        }
        if let Some(value) = optional(&texts(batch, field.name())?, 0) {
            found.push((field.name().clone(), value));
        }
    }
    Ok(found)
}

/// One column of a result in the type that is asked for, whatever width its reader chose.
fn column(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<ArrayRef, LakeError> {
    let found = batch
        .column_by_name(name)
        .ok_or_else(|| LakeError::Corrupt(format!("the table lacks the column '{name}'")))?;
    arrow_cast::cast(found, data_type).map_err(error::arrow)
}

fn texts(batch: &RecordBatch, name: &str) -> Result<StringArray, LakeError> {
    Ok(column(batch, name, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn ints(batch: &RecordBatch, name: &str) -> Result<Int64Array, LakeError> {
    Ok(column(batch, name, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

fn doubles(batch: &RecordBatch, name: &str) -> Result<Float64Array, LakeError> {
    Ok(column(batch, name, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

fn optional(values: &StringArray, row: usize) -> Option<String> {
    values.is_valid(row).then(|| values.value(row).to_owned())
}

fn number(values: &Float64Array, row: usize) -> Option<f64> {
    values.is_valid(row).then(|| values.value(row)).filter(|value| !value.is_nan())
}

fn id(text: &str) -> Result<PredictionId, LakeError> {
    text.parse().map_err(|_| LakeError::Corrupt(format!("the table's column 'id' holds '{text}'")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn the_cut_draws_the_share_that_was_asked_for() {
        assert_eq!(cut(100, 100), None);
        assert_eq!(cut(0, 10), None);
        assert_eq!(cut(200, 100).unwrap(), "7fffffff");
        assert_eq!(cut(1 << 32, 1).unwrap(), "00000000");
    }

    #[test]
    fn what_a_client_sends_is_never_in_the_text_of_a_query() {
        let hostile = "x' OR 1=1 --";
        let window = Window { from: Micros(0), until: Micros(1_000) };
        let mut filter = LogFilter::all(window, 10);
        filter.unit = Some(hostile.to_owned());
        filter.variant = Some(hostile.to_owned());
        filter.decision = Some(hostile.to_owned());
        filter.model = Some(hostile.to_owned());
        let (sql, values) = conditions(&filter);
        assert!(!sql.contains(hostile) && sql.contains("p.unit = $unit"), "{sql}");
        assert_eq!(values.len(), 4 + 4);
    }

    #[test]
    fn columns_that_are_shown_elsewhere_are_known_to_the_schema() {
        let known = schema::predictions_table(&[greenlight_domain::frame::Field::number("age")]);
        for name in SHOWN {
            assert!(known.column_with_name(name).is_some(), "{name}");
        }
    }
}
