//! Events to Arrow columns.
//!
//! Missing numbers (NaN) and missing texts become null. Refuses nothing: the caller has checked lengths and names.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, StructArray,
    new_null_array,
};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use greenlight_domain::frame::Column;
use greenlight_domain::prediction::{Outcome, PredictionBatch, PredictionId};
use uuid::Uuid;

use crate::schema;

/// Predictions as one batch of `schema`, which has their features.
pub(crate) fn predictions(schema: &SchemaRef, rows: &PredictionBatch) -> Result<RecordBatch, ArrowError> {
    let all = &rows.predictions;
    let mut columns: Vec<ArrayRef> = vec![
        ids(all.iter().map(|p| Some(p.id))),
        ints(all.iter().map(|p| p.at.0)),
        Arc::new(all.iter().map(|p| p.at.day()).collect::<Int32Array>()),
        texts(all.iter().map(|p| Some(p.variant.as_str()))),
        numbers(all.iter().map(|p| p.propensity)),
        numbers(all.iter().map(|p| p.champion_propensity)),
        texts(all.iter().map(|p| p.release.as_deref())),
        texts(all.iter().map(|p| p.model.as_deref())),
        ints(all.iter().map(|p| p.route_version)),
        numbers(all.iter().map(|p| p.probability)),
        texts(all.iter().map(|p| Some(p.decision.as_ref()))),
        texts(all.iter().map(|p| p.champion_decision.as_deref())),
        ids(all.iter().map(|p| p.mirrors)),
        ints(all.iter().map(|p| p.latency_us)),
        texts(all.iter().map(|p| Some(p.unit.as_ref()))),
        texts(all.iter().map(|p| p.error.as_deref())),
        texts(all.iter().map(|p| p.candidates.as_deref())),
        texts(all.iter().map(|p| p.fallback.as_deref())),
        numbers(all.iter().map(|p| p.decision_propensity)),
        numbers(all.iter().map(|p| p.feature_weight)),
        texts(all.iter().map(|p| p.trace.as_deref())),
    ];
    let features = rows.features.fields();
    if !features.is_empty() {
        let children = rows.features.columns().iter().map(feature).collect();
        columns.push(Arc::new(StructArray::try_new(schema::feature_columns(features), children, None)?));
    }
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn feature(column: &Column) -> ArrayRef {
    match column {
        Column::Number(values) => numbers(values.iter().copied()),
        Column::Text(values) => texts(values.iter().map(Option::as_deref)),
    }
}

/// Outcomes as one batch of `schema`.
pub(crate) fn outcomes(schema: &SchemaRef, rows: &[Outcome]) -> Result<RecordBatch, ArrowError> {
    let columns: Vec<ArrayRef> = vec![
        ids(rows.iter().map(|o| Some(o.prediction_id))),
        texts(rows.iter().map(|o| Some(o.name.as_ref()))),
        numbers(rows.iter().map(|o| o.value)),
        ints(rows.iter().map(|o| o.at.0)),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns)
}

/// A batch of a segment as its table holds it: with segment and position, and null for features it did not have.
pub(crate) fn for_table(
    batch: &RecordBatch,
    table: &SchemaRef,
    segment: i64,
    first_position: i64,
) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let columns = table
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            schema::SEGMENT => Ok(ints(std::iter::repeat_n(segment, rows))),
            schema::POSITION => Ok(ints(first_position..first_position + rows as i64)),
            name => match (batch.column_by_name(name), field.data_type()) {
                (Some(column), DataType::Struct(_)) => grown(column, field.data_type(), rows),
                (Some(column), _) => Ok(Arc::clone(column)),
                (None, data_type) => Ok(new_null_array(data_type, rows)),
            },
        })
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(Arc::clone(table), columns)
}

/// A struct with the children of `target`, null where `column` lacks them.
fn grown(column: &ArrayRef, target: &DataType, rows: usize) -> Result<ArrayRef, ArrowError> {
    let (Some(old), DataType::Struct(fields)) = (column.as_any().downcast_ref::<StructArray>(), target)
    else {
        return Err(ArrowError::SchemaError("the column 'features' is not a struct".to_owned()));
    };
    let children = fields
        .iter()
        .map(|field| {
            old.column_by_name(field.name())
                .map_or_else(|| new_null_array(field.data_type(), rows), Arc::clone)
        })
        .collect();
    Ok(Arc::new(StructArray::try_new(fields.clone(), children, None)?))
}

fn ints(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn numbers(values: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(values.map(|value| (!value.is_nan()).then_some(value)).collect::<Float64Array>())
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn ids(values: impl Iterator<Item = Option<PredictionId>>) -> ArrayRef {
    let mut builder = arrow_array::builder::StringBuilder::new();
    let mut buffer = Uuid::encode_buffer();
    for value in values {
        match value {
            Some(id) => builder.append_value(id.0.hyphenated().encode_lower(&mut buffer)),
            None => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}
