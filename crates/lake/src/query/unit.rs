//! The newest prediction of units at moments, for outcomes that come without a prediction id.
//!
//! All units of a request are one join, and only files whose statistics touch the span of the moments are read.

use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, cast::AsArray};
use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::datasource::MemTable;
use greenlight_app::lake::{LakeError, UnitAt};
use greenlight_domain::prediction::PredictionId;
use greenlight_domain::time::Micros;

use super::{Reader, first_id, text};
use crate::{decode, error};

const NEWEST: &str = "SELECT position, id FROM ( \
       SELECT a.position, p.id, row_number() OVER ( \
         PARTITION BY a.position ORDER BY p.at_us DESC, p.id DESC) AS age \
       FROM asked a JOIN predictions p ON p.unit = a.unit \
       WHERE p.variant <> 'shadow' \
         AND p.at_us >= $from AND p.at_us <= $until AND p.id >= $low AND p.id < $high \
         AND p.at_us <= a.at_us AND p.at_us >= a.from_us) \
     WHERE age = 1";

impl Reader {
    /// See `Lake::newest_predictions`.
    pub(crate) async fn newest_predictions(
        &self,
        asked: &[UnitAt],
        window_us: i64,
    ) -> Result<Vec<Option<PredictionId>>, LakeError> {
        let mut found = vec![None; asked.len()];
        let (Some(first), Some(last)) =
            (asked.iter().map(|a| a.at.0).min(), asked.iter().map(|a| a.at.0).max())
        else {
            return Ok(found);
        };
        let from = Micros(first.saturating_sub(window_us));
        let rows = asked_rows(asked, window_us).map_err(error::arrow)?;
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).map_err(error::query)?;
        self.session.register("asked", Arc::new(table))?;
        let values = vec![
            ("from", ScalarValue::from(from.0)),
            ("until", ScalarValue::from(last)),
            ("low", text(&first_id(from.unix_ms()))),
            ("high", text(&first_id(Micros(last).unix_ms() + 1))),
        ];
        for batch in self.session.collect(NEWEST, values).await? {
            let positions = batch.column_by_name("position").and_then(|c| c.as_primitive_opt::<Int64Type>());
            let positions =
                positions.ok_or_else(|| LakeError::Storage("the join lost its positions".to_owned()))?;
            for (position, id) in positions.values().iter().zip(decode::ids(&batch)?) {
                if let Some(place) = usize::try_from(*position).ok().and_then(|p| found.get_mut(p)) {
                    *place = Some(id);
                }
            }
        }
        Ok(found)
    }
}

impl Reader {
    /// See `Lake::days_of_unit`.
    pub(crate) async fn days_of_unit(&self, unit: &str) -> Result<Vec<i32>, LakeError> {
        let sql =
            "SELECT DISTINCT day FROM predictions WHERE unit = $unit AND variant <> 'shadow' ORDER BY day";
        let mut days = Vec::new();
        for batch in self.session.collect(sql, vec![("unit", text(unit))]).await? {
            days.extend(decode::days(&batch)?);
        }
        Ok(days)
    }
}

fn asked_rows(asked: &[UnitAt], window_us: i64) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let columns: [(&str, ArrayRef); 4] = [
        ("position", Arc::new(Int64Array::from_iter_values(0..asked.len() as i64))),
        ("unit", Arc::new(StringArray::from_iter_values(asked.iter().map(|a| &a.unit)))),
        ("at_us", Arc::new(Int64Array::from_iter_values(asked.iter().map(|a| a.at.0)))),
        (
            "from_us",
            Arc::new(Int64Array::from_iter_values(asked.iter().map(|a| a.at.0.saturating_sub(window_us)))),
        ),
    ];
    RecordBatch::try_from_iter(columns)
}
