//! The SQL over an endpoint's tables.
//!
//! Every query bounds event time and prediction id with literals, so that Delta statistics skip the files of other
//! days: prediction ids are UUIDv7, whose text sorts by time. Refuses to interpolate: values are parameters.

mod explore;
mod joined;
mod unit;

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::execution::runtime_env::RuntimeEnv;
use greenlight_app::lake::{LakeError, ShadowRow, TrafficRow};
use greenlight_domain::frame::Field;
use greenlight_domain::prediction::PredictionId;
use uuid::Uuid;

use crate::endpoint::Endpoint;
use crate::session::{Parameters, Session};
use crate::{decode, schema};

/// The tables of an endpoint, ready for queries.
pub(crate) struct Reader {
    session: Session,
    features: Arc<[Field]>,
    /// Features that the table has, by the names of their columns.
    stored_features: HashSet<String>,
}

impl Reader {
    pub(crate) async fn new(endpoint: &Endpoint, runtime: &Arc<RuntimeEnv>) -> Result<Self, LakeError> {
        let session = Session::new(runtime);
        let state = session.state();
        let features = endpoint.features();
        let predictions =
            endpoint.predictions.table.provider(&state, &schema::predictions_table(&features)).await?;
        let stored_features = schema::stored_features(&predictions.schema());
        session.register("predictions", predictions)?;
        session.register(
            "outcomes",
            endpoint.outcomes.table.provider(&state, &schema::outcomes_table()).await?,
        )?;
        Ok(Self { session, features, stored_features })
    }

    /// `, p.features` when the table has any.
    fn feature_column(&self) -> &'static str {
        if self.stored_features.is_empty() { "" } else { ", p.features" }
    }

    /// Runs a query over the tables of the endpoint.
    pub(crate) async fn collect(&self, sql: &str, values: Parameters) -> Result<Vec<RecordBatch>, LakeError> {
        self.session.collect(sql, values).await
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
    use greenlight_domain::time::Micros;

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
