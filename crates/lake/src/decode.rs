//! Arrow columns of query results to the rows of the trait.
//!
//! Refuses rows that lack what our own writer always writes: that is a corrupt table, not a missing value.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    StructArray,
};
use arrow_schema::DataType;
use greenlight_app::lake::{JoinedRow, LakeError, ShadowRow, TrafficRow};
use greenlight_domain::frame::{Column, ColumnType, Field, Frame};
use greenlight_domain::prediction::{PredictionId, Variant};
use greenlight_domain::time::Micros;

use crate::{error, schema};

/// Most different texts of a batch that are shared instead of copied.
const SHARED_TEXTS: usize = 4_096;

/// One column of a result, whatever width its reader chose.
fn column(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<ArrayRef, LakeError> {
    let column = batch
        .column_by_name(name)
        .ok_or_else(|| LakeError::Corrupt(format!("the table lacks the column '{name}'")))?;
    if column.data_type() == data_type {
        return Ok(Arc::clone(column));
    }
    arrow_cast::cast(column, data_type).map_err(error::arrow)
}

struct Columns<'a> {
    batch: &'a RecordBatch,
    texts: Texts,
}

/// Shares equal texts, because decisions, releases and categories repeat.
#[derive(Default)]
pub(crate) struct Texts(HashMap<Box<str>, Arc<str>>);

impl Texts {
    pub(crate) fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = text.into();
        if self.0.len() < SHARED_TEXTS {
            self.0.insert(text.into(), Arc::clone(&shared));
        }
        shared
    }
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Self {
        Self { batch, texts: Texts::default() }
    }

    fn text(&self, name: &str) -> Result<StringArray, LakeError> {
        Ok(column(self.batch, name, &DataType::Utf8)?.as_string::<i32>().clone())
    }

    fn shared(&mut self, name: &str) -> Result<Vec<Option<Arc<str>>>, LakeError> {
        let values = self.text(name)?;
        Ok(values.iter().map(|value| value.map(|text| self.texts.share(text))).collect())
    }

    fn ids(&self, name: &str) -> Result<Vec<PredictionId>, LakeError> {
        parsed(&self.text(name)?, name)
    }

    fn variants(&self, name: &str) -> Result<Vec<Variant>, LakeError> {
        parsed(&self.text(name)?, name)
    }

    fn doubles(&self, name: &str) -> Result<Float64Array, LakeError> {
        Ok(column(self.batch, name, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
    }

    fn optional_ints(&self, name: &str) -> Result<Int64Array, LakeError> {
        Ok(column(self.batch, name, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
    }

    fn ints(&self, name: &str) -> Result<Int64Array, LakeError> {
        let values = self.optional_ints(name)?;
        if values.null_count() > 0 { Err(missing(name)) } else { Ok(values) }
    }

    fn small_ints(&self, name: &str) -> Result<Int32Array, LakeError> {
        let values = column(self.batch, name, &DataType::Int32)?.as_primitive::<Int32Type>().clone();
        if values.null_count() > 0 { Err(missing(name)) } else { Ok(values) }
    }

    fn flags(&self, name: &str) -> Result<BooleanArray, LakeError> {
        Ok(column(self.batch, name, &DataType::Boolean)?.as_boolean().clone())
    }
}

fn missing(name: &str) -> LakeError {
    LakeError::Corrupt(format!("the table's column '{name}' lacks a value"))
}

fn parsed<T: std::str::FromStr>(values: &StringArray, name: &str) -> Result<Vec<T>, LakeError> {
    values
        .iter()
        .map(|value| {
            let text = value.ok_or_else(|| missing(name))?;
            text.parse()
                .map_err(|_| LakeError::Corrupt(format!("the table's column '{name}' holds '{text}'")))
        })
        .collect()
}

/// A flag; missing is false.
fn flag(values: &BooleanArray, row: usize) -> bool {
    values.is_valid(row) && values.value(row)
}

/// NaN where a number is missing.
fn number(values: &Float64Array, row: usize) -> f64 {
    if values.is_valid(row) { values.value(row) } else { f64::NAN }
}

/// Predictions, to be joined to their outcomes.
pub(crate) fn joined(batch: &RecordBatch) -> Result<Vec<JoinedRow>, LakeError> {
    let mut columns = Columns::of(batch);
    let (ids, at, variants) = (columns.ids("id")?, columns.ints("at_us")?, columns.variants("variant")?);
    let propensities = columns.doubles("champion_propensity")?;
    let releases = columns.shared("release")?;
    let probabilities = columns.doubles("probability")?;
    let decisions = columns.shared("decision")?;
    let champion_decisions = columns.shared("champion_decision")?;
    let failed = columns.flags("failed")?;
    let mut rows = Vec::with_capacity(ids.len());
    for (row, (((id, variant), release), champion_decision)) in
        ids.into_iter().zip(variants).zip(releases).zip(champion_decisions).enumerate()
    {
        rows.push(JoinedRow {
            id,
            at: Micros(at.value(row)),
            variant,
            champion_propensity: number(&propensities, row),
            release,
            probability: number(&probabilities, row),
            decision: decisions[row].clone().ok_or_else(|| missing("decision"))?,
            champion_decision,
            failed: flag(&failed, row),
            outcome: None,
            outcome_before: None,
        });
    }
    Ok(rows)
}

/// The features of a result in the schema `fields`; missing columns are missing values.
pub(crate) fn features(batch: &RecordBatch, fields: &Arc<[Field]>) -> Result<Frame, LakeError> {
    let stored =
        batch.column_by_name(schema::FEATURES).and_then(|c| c.as_any().downcast_ref::<StructArray>());
    let mut texts = Texts::default();
    let columns = fields
        .iter()
        .map(|field| {
            let stored = stored.and_then(|s| s.column_by_name(&schema::column_name(&field.name)));
            feature(field.column_type, stored, batch.num_rows(), &mut texts)
        })
        .collect::<Result<Vec<_>, _>>()?;
    if fields.is_empty() {
        return Ok(Frame::empty(Arc::clone(fields)).take(&vec![0; batch.num_rows()]));
    }
    Frame::new(Arc::clone(fields), columns).map_err(|e| LakeError::Corrupt(e.to_string()))
}

fn feature(
    column_type: ColumnType,
    stored: Option<&ArrayRef>,
    rows: usize,
    texts: &mut Texts,
) -> Result<Column, LakeError> {
    match (column_type, stored) {
        (ColumnType::Number, None) => Ok(Column::Number(vec![f64::NAN; rows])),
        (ColumnType::Text, None) => Ok(Column::Text(vec![None; rows])),
        (ColumnType::Number, Some(stored)) => {
            let stored = arrow_cast::cast(stored, &DataType::Float64).map_err(error::arrow)?;
            let values = stored.as_primitive::<Float64Type>();
            Ok(Column::Number(values.iter().map(|v| v.unwrap_or(f64::NAN)).collect()))
        }
        (ColumnType::Text, Some(stored)) => {
            let stored = arrow_cast::cast(stored, &DataType::Utf8).map_err(error::arrow)?;
            let values = stored.as_string::<i32>();
            Ok(Column::Text(values.iter().map(|v| v.map(|text| texts.share(text))).collect()))
        }
    }
}

/// An outcome.
pub(crate) struct Received {
    /// The prediction that it is about.
    pub(crate) id: u128,
    pub(crate) value: f64,
    /// Its segment, and its position there.
    pub(crate) place: (i64, i64),
}

/// The outcomes in a batch.
pub(crate) fn received_outcomes(batch: &RecordBatch) -> Result<Vec<Received>, LakeError> {
    let columns = Columns::of(batch);
    let ids = columns.ids("prediction_id")?;
    let (values, segments) = (columns.doubles("value")?, columns.ints(schema::SEGMENT)?);
    let positions = columns.ints(schema::POSITION)?;
    let rows = ids.into_iter().enumerate();
    Ok(rows
        .map(|(row, id)| Received {
            id: id.0.as_u128(),
            value: number(&values, row),
            place: (segments.value(row), positions.value(row)),
        })
        .collect())
}

/// The days in a batch.
pub(crate) fn days(batch: &RecordBatch) -> Result<Vec<i32>, LakeError> {
    Ok(Columns::of(batch).small_ints("day")?.values().to_vec())
}

/// Pairs of a number and a count.
pub(crate) fn counted_ints(
    batch: &RecordBatch,
    name: &str,
    count: &str,
) -> Result<Vec<(i64, i64)>, LakeError> {
    let columns = Columns::of(batch);
    let (values, counts) = (columns.ints(name)?, columns.ints(count)?);
    Ok(values.values().iter().copied().zip(counts.values().iter().copied()).collect())
}

/// Pairs of a text and a count.
pub(crate) fn counted_texts(
    batch: &RecordBatch,
    name: &str,
    count: &str,
) -> Result<Vec<(String, i64)>, LakeError> {
    let columns = Columns::of(batch);
    let (values, counts) = (columns.text(name)?, columns.ints(count)?);
    let texts = values.iter().map(|text| text.map(str::to_owned).ok_or_else(|| missing(name)));
    texts.zip(counts.values()).map(|(text, count)| Ok((text?, *count))).collect()
}

/// What a shadow did.
pub(crate) fn shadows(batch: &RecordBatch) -> Result<Vec<ShadowRow>, LakeError> {
    let columns = Columns::of(batch);
    let (probabilities, latencies) = (columns.doubles("probability")?, columns.ints("latency_us")?);
    let (disagrees, failed) = (columns.flags("disagrees")?, columns.flags("failed")?);
    Ok((0..batch.num_rows())
        .map(|row| {
            let failed = flag(&failed, row);
            ShadowRow {
                probability: if failed { f64::NAN } else { number(&probabilities, row) },
                disagrees: flag(&disagrees, row),
                latency_us: latencies.value(row),
                failed,
            }
        })
        .collect())
}

/// Traffic by variant.
pub(crate) fn traffic(batch: &RecordBatch) -> Result<Vec<TrafficRow>, LakeError> {
    let columns = Columns::of(batch);
    let variants = columns.variants("variant")?;
    let (predictions, errors) = (columns.ints("predictions")?, columns.ints("errors")?);
    let (p50, p99) = (columns.doubles("p50_latency_us")?, columns.doubles("p99_latency_us")?);
    let newest = columns.ints("newest")?;
    let rows = variants.into_iter().enumerate();
    Ok(rows
        .map(|(row, variant)| TrafficRow {
            variant,
            predictions: predictions.value(row).unsigned_abs(),
            errors: errors.value(row).unsigned_abs(),
            p50_latency_us: number(&p50, row),
            p99_latency_us: number(&p99, row),
            newest: Micros(newest.value(row)),
        })
        .collect())
}

/// The ids in a batch of predictions.
pub(crate) fn ids(batch: &RecordBatch) -> Result<Vec<PredictionId>, LakeError> {
    Columns::of(batch).ids("id")
}

/// The first value of a column of texts, for one-row answers.
pub(crate) fn single_text(batches: &[RecordBatch], name: &str) -> Result<Option<String>, LakeError> {
    let Some(batch) = batches.first() else { return Ok(None) };
    let values = Columns::of(batch).text(name)?;
    Ok(values.iter().next().flatten().map(str::to_owned))
}
