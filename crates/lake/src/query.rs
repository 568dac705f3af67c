//! The SQL over an endpoint's tables.
//!
//! Every query bounds event time and prediction id with literals, so that Delta statistics skip the files of other
//! days: prediction ids are UUIDv7, whose text sorts by time. Refuses to interpolate: values are parameters.

mod explore;
mod unit;

use std::sync::Arc;

use arrow_array::RecordBatch;
use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::execution::runtime_env::RuntimeEnv;
use greenlight_app::lake::{
    JoinedBatch, JoinedRow, LakeError, LateBatch, LateRow, Settlement, ShadowRow, TrafficRow,
};
use greenlight_domain::frame::{Field, Frame};
use greenlight_domain::prediction::PredictionId;
use greenlight_domain::time::Micros;
use uuid::Uuid;

use crate::endpoint::Endpoint;
use crate::session::{Parameters, Session};
use crate::{decode, schema};

const JOINED_COLUMNS: &str = "p.id, p.at_us, p.variant, p.champion_propensity, p.release, p.probability, \
     p.decision, p.champion_decision, p.error IS NOT NULL AS failed, o.value AS outcome";

/// The newest outcome of each prediction with `$low <= prediction_id < $high`: the latest one received wins.
const NEWEST_OUTCOMES: &str = "SELECT prediction_id, value FROM ( \
       SELECT prediction_id, value, row_number() OVER ( \
         PARTITION BY prediction_id ORDER BY segment DESC, \"position\" DESC) AS age \
       FROM outcomes WHERE name = $outcome AND prediction_id >= $low AND prediction_id < $high) \
     WHERE age = 1";

/// The tables of an endpoint, ready for queries.
pub(crate) struct Reader {
    session: Session,
    features: Arc<[Field]>,
    /// `, p.features` when the table has them.
    feature_column: &'static str,
}

/// Rows of a result, each prediction once.
struct Joined {
    features: Frame,
    rows: Vec<JoinedRow>,
    /// Where each row stood in the result.
    kept: Vec<usize>,
}

impl Reader {
    pub(crate) async fn new(endpoint: &Endpoint, runtime: &Arc<RuntimeEnv>) -> Result<Self, LakeError> {
        let session = Session::new(runtime);
        let state = session.state();
        let features = endpoint.features();
        let predictions =
            endpoint.predictions.table.provider(&state, &schema::predictions_table(&features)).await?;
        let has_features = predictions.schema().column_with_name(schema::FEATURES).is_some();
        session.register("predictions", predictions)?;
        session.register(
            "outcomes",
            endpoint.outcomes.table.provider(&state, &schema::outcomes_table()).await?,
        )?;
        session.register(
            "settlements",
            endpoint.settlements.provider(&state, &schema::settlements_table()).await?,
        )?;
        let feature_column = if has_features { ", p.features" } else { "" };
        Ok(Self { session, features, feature_column })
    }

    /// Runs a query over the tables of the endpoint.
    pub(crate) async fn collect(&self, sql: &str, values: Parameters) -> Result<Vec<RecordBatch>, LakeError> {
        self.session.collect(sql, values).await
    }

    /// See `Lake::matured`.
    pub(crate) async fn matured(
        &self,
        outcome: &str,
        from: Micros,
        until: Micros,
    ) -> Result<Vec<JoinedBatch>, LakeError> {
        let sql = format!(
            "SELECT {JOINED_COLUMNS}{} FROM predictions p \
             LEFT JOIN ({NEWEST_OUTCOMES}) o ON o.prediction_id = p.id \
             WHERE p.variant <> 'shadow' AND p.at_us >= $from AND p.at_us < $until \
             ORDER BY p.at_us, p.id",
            self.feature_column
        );
        let values = vec![
            ("outcome", text(outcome)),
            ("low", text(&first_id(from.unix_ms()))),
            ("high", text(&first_id(Micros(until.0.saturating_add(999)).unix_ms()))),
            ("from", ScalarValue::from(from.0)),
            ("until", ScalarValue::from(until.0)),
        ];
        let mut last = None;
        let mut joined = Vec::new();
        for batch in self.session.collect(&sql, values).await? {
            let Joined { features, rows, .. } = self.joined(&batch, &mut last)?;
            joined.push(JoinedBatch { features, rows });
        }
        joined.retain(|batch| !batch.rows.is_empty());
        Ok(joined)
    }

    /// Rows and features of a batch, each prediction once. A client that never got its answer may append again.
    fn joined(&self, batch: &RecordBatch, last: &mut Option<PredictionId>) -> Result<Joined, LakeError> {
        let mut rows = decode::joined(batch)?;
        let mut features = decode::features(batch, &self.features)?;
        let kept: Vec<usize> =
            (0..rows.len()).filter(|&row| last.replace(rows[row].id) != Some(rows[row].id)).collect();
        if kept.len() < rows.len() {
            rows = kept.iter().map(|&row| rows[row].clone()).collect();
            features = features.take(&kept);
        }
        Ok(Joined { features, rows, kept })
    }

    /// See `Lake::late`.
    pub(crate) async fn late(
        &self,
        outcome: &str,
        settled_until: Micros,
        after_segment: i64,
    ) -> Result<LateBatch, LakeError> {
        let mut late = LateBatch { features: Frame::empty(Arc::clone(&self.features)), rows: Vec::new() };
        let mut values = vec![("outcome", text(outcome)), ("after", ScalarValue::from(after_segment))];
        let bounds = self
            .session
            .collect(
                "SELECT min(prediction_id) AS low, max(prediction_id) AS high FROM outcomes \
                 WHERE name = $outcome AND segment > $after",
                values.clone(),
            )
            .await?;
        let (low, high) = (decode::single_text(&bounds, "low")?, decode::single_text(&bounds, "high")?);
        let (Some(low), Some(high)) = (low, high) else { return Ok(late) };
        values.extend([
            ("low", text(&low)),
            // The smallest text that is greater than the highest id.
            ("high", text(&format!("{high}0"))),
            ("until", ScalarValue::from(settled_until.0)),
        ]);
        let mut last = None;
        for batch in self.session.collect(&self.late_sql(), values).await? {
            let settled = decode::settlements(&batch, "settled_")?;
            let Joined { features, rows, kept } = self.joined(&batch, &mut last)?;
            late.features.append(&features).map_err(|e| LakeError::Corrupt(e.to_string()))?;
            let pairs = rows.into_iter().zip(kept);
            late.rows.extend(pairs.map(|(row, at)| LateRow { row, settled: settled[at].clone() }));
        }
        Ok(late)
    }

    fn late_sql(&self) -> String {
        format!(
            "WITH fresh AS ( \
               SELECT DISTINCT prediction_id FROM outcomes WHERE name = $outcome AND segment > $after \
                 AND prediction_id >= $low AND prediction_id < $high), \
             latest AS ( \
               SELECT * FROM (SELECT s.*, row_number() OVER (PARTITION BY s.id ORDER BY s.run DESC) AS age \
                 FROM settlements s WHERE s.id >= $low AND s.id < $high \
                   AND s.id IN (SELECT prediction_id FROM fresh)) \
               WHERE age = 1) \
             SELECT {JOINED_COLUMNS}{}, \
               s.day AS settled_day, s.variant AS settled_variant, s.release AS settled_release, \
               s.value_minor AS settled_value_minor, s.earned_minor AS settled_earned_minor, \
               s.positive AS settled_positive, s.failed AS settled_failed, \
               s.champion_percent AS settled_champion_percent, \
               s.reversed_value_minor AS settled_reversed_value_minor, \
               s.reversed_earned_minor AS settled_reversed_earned_minor, \
               s.reversed_positive AS settled_reversed_positive \
             FROM predictions p \
             JOIN fresh f ON f.prediction_id = p.id \
             JOIN ({NEWEST_OUTCOMES}) o ON o.prediction_id = p.id \
             JOIN latest s ON s.id = p.id \
             WHERE p.at_us < $until AND p.id >= $low AND p.id < $high \
             ORDER BY p.at_us, p.id",
            self.feature_column
        )
    }

    /// See `Lake::settlements_of`.
    pub(crate) async fn settlements_of(&self, run: i64) -> Result<Option<Vec<Settlement>>, LakeError> {
        let sql = "SELECT * FROM settlements WHERE run = $run ORDER BY id";
        let mut rows = Vec::new();
        for batch in self.session.collect(sql, vec![("run", ScalarValue::from(run))]).await? {
            rows.extend(decode::settlements(&batch, "")?);
        }
        Ok((!rows.is_empty()).then_some(rows))
    }

    /// See `Lake::shadow_rows`.
    pub(crate) async fn shadow_rows(&self, release: &str) -> Result<Vec<ShadowRow>, LakeError> {
        let mut values = vec![("release", text(release))];
        let bounds = self
            .session
            .collect(
                "SELECT min(mirrors) AS low, max(mirrors) AS high FROM predictions \
                 WHERE variant = 'shadow' AND release = $release",
                values.clone(),
            )
            .await?;
        let low = decode::single_text(&bounds, "low")?.unwrap_or_default();
        let high = decode::single_text(&bounds, "high")?.unwrap_or_default();
        values.extend([("low", text(&low)), ("high", text(&high))]);
        let sql = "SELECT s.probability, s.latency_us, s.error IS NOT NULL AS failed, \
                     s.error IS NULL AND live.decision IS NOT NULL AND s.decision <> live.decision AS disagrees \
                   FROM predictions s \
                   LEFT JOIN (SELECT id, decision FROM predictions \
                     WHERE variant <> 'shadow' AND id >= $low AND id <= $high) live ON live.id = s.mirrors \
                   WHERE s.variant = 'shadow' AND s.release = $release \
                   ORDER BY s.at_us, s.id";
        let mut rows = Vec::new();
        for batch in self.session.collect(sql, values).await? {
            rows.extend(decode::shadows(&batch)?);
        }
        Ok(rows)
    }

    /// See `Lake::traffic`.
    pub(crate) async fn traffic(&self, release: Option<&str>) -> Result<Vec<TrafficRow>, LakeError> {
        let (filter, values): (&str, Parameters) = match release {
            Some(release) => ("AND release = $release", vec![("release", text(release))]),
            None => ("", Vec::new()),
        };
        let sql = format!(
            "SELECT variant, count(*) AS predictions, count(error) AS errors, \
               approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(latency_us AS DOUBLE)) AS p50_latency_us, \
               approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY CAST(latency_us AS DOUBLE)) AS p99_latency_us, \
               max(at_us) AS newest \
             FROM predictions WHERE variant <> 'shadow' {filter} \
             GROUP BY variant ORDER BY variant"
        );
        let mut rows = Vec::new();
        for batch in self.session.collect(&sql, values).await? {
            rows.extend(decode::traffic(&batch)?);
        }
        Ok(rows)
    }

    /// The sealed ids, one for each row.
    pub(crate) async fn prediction_ids(&self) -> Result<Vec<PredictionId>, LakeError> {
        let mut ids = Vec::new();
        for batch in self.session.collect("SELECT id FROM predictions", Vec::new()).await? {
            ids.extend(decode::ids(&batch)?);
        }
        Ok(ids)
    }
}

fn text(value: &str) -> ScalarValue {
    ScalarValue::from(value)
}

/// A text that no id of that millisecond or later sorts before.
pub(crate) fn first_id(unix_ms: u64) -> String {
    if unix_ms >= 1 << 48 {
        return "g".to_owned();
    }
    Uuid::from_u128(u128::from(unix_ms) << 80).hyphenated().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_hold_for_every_id_of_their_time() {
        let at: Micros = "2009-05-04T10:00:00Z".parse().unwrap();
        let id =
            PredictionId::issue(&greenlight_domain::prediction::IdKey([1; 16]), "calls", at, 0).to_string();
        assert!(first_id(at.unix_ms()) <= id && id < first_id(at.unix_ms() + 1));
        assert!(first_id(Micros(i64::MIN).unix_ms()) <= id && id < first_id(Micros(i64::MAX).unix_ms()));
    }
}
