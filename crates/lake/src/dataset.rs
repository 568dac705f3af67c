//! Data sets: Parquet files that somebody else wrote.
//!
//! Rows are decoded batch by batch and only for the columns asked for. Refuses to trust a file: whatever is wrong
//! with it is an error that names the file, and a panic inside the decoder counts as a corrupt file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use greenlight_app::lake::{DatasetShape, LakeError};
use greenlight_domain::frame::{Column, ColumnType, Field, Frame};
use greenlight_domain::time::Micros;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error;
use crate::session::BATCH_ROWS;

/// Number of rows and the columns that a frame can hold.
pub(crate) async fn shape(file: &Path) -> Result<DatasetShape, LakeError> {
    blocking(file, |path| {
        let reader = open(path)?;
        let rows = reader.metadata().file_metadata().num_rows();
        let columns = reader
            .schema()
            .fields()
            .iter()
            .map(|field| {
                let column_type = column_type(path, field.name(), field.data_type())?;
                Ok(Field { name: field.name().as_str().into(), column_type })
            })
            .collect::<Result<Vec<_>, LakeError>>()?;
        Ok(DatasetShape { rows: u64::try_from(rows).unwrap_or(0), columns })
    })
    .await
}

/// The rows with `time` in the window, in the order of the file.
pub(crate) async fn read(
    file: &Path,
    columns: &[String],
    time: &str,
    window: Option<(Micros, Micros)>,
) -> Result<Frame, LakeError> {
    let (columns, time) = (columns.to_vec(), time.to_owned());
    blocking(file, move |path| read_blocking(path, &columns, &time, window)).await
}

/// Runs file work off the async threads; a panic of the decoder is a corrupt file.
async fn blocking<T: Send + 'static>(
    file: &Path,
    work: impl FnOnce(&Path) -> Result<T, LakeError> + Send + 'static,
) -> Result<T, LakeError> {
    let path: PathBuf = file.to_owned();
    let task = tokio::task::spawn_blocking({
        let path = path.clone();
        move || work(&path)
    });
    task.await.unwrap_or_else(|e| Err(error::corrupt(&path, format!("could not be decoded: {e}"))))
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, LakeError> {
    let file = File::open(path).map_err(|e| error::io(path, &e))?;
    ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|e| error::corrupt(path, format!("is not a whole Parquet file: {e}")))
}

fn read_blocking(
    path: &Path,
    columns: &[String],
    time: &str,
    window: Option<(Micros, Micros)>,
) -> Result<Frame, LakeError> {
    let reader = open(path)?;
    let schema = Arc::clone(reader.schema());
    let fields: Arc<[Field]> = columns
        .iter()
        .map(|name| {
            let at = position(path, &schema, name)?;
            let column_type = column_type(path, name, schema.field(at).data_type())?;
            Ok(Field { name: name.as_str().into(), column_type })
        })
        .collect::<Result<_, LakeError>>()?;
    let mut roots =
        columns.iter().map(|name| position(path, &schema, name)).collect::<Result<Vec<_>, _>>()?;
    if window.is_some() {
        roots.push(check_time(path, &schema, time)?);
    }
    let mask = ProjectionMask::roots(reader.parquet_schema(), roots);
    let batches = reader
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(|e| error::corrupt(path, e))?;
    let mut parts: Vec<Column> = fields.iter().map(|field| Column::empty(field.column_type)).collect();
    for batch in batches {
        let mut batch = batch.map_err(|e| error::corrupt(path, e))?;
        if let Some(window) = window {
            batch = within(path, &batch, time, window)?;
        }
        for (field, part) in fields.iter().zip(&mut parts) {
            let column =
                batch.column_by_name(&field.name).ok_or_else(|| absent(path, &schema, &field.name))?;
            push(part, column).map_err(|e| error::corrupt(path, format!("column '{}': {e}", field.name)))?;
        }
    }
    Frame::new(fields, parts).map_err(|e| LakeError::Schema(e.to_string()))
}

fn position(path: &Path, schema: &SchemaRef, name: &str) -> Result<usize, LakeError> {
    schema.index_of(name).map_err(|_| absent(path, schema, name))
}

fn absent(path: &Path, schema: &SchemaRef, name: &str) -> LakeError {
    let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let file = error::file_name(path);
    LakeError::Schema(format!("{file} has no column '{name}'; it has {}", known.join(", ")))
}

fn check_time(path: &Path, schema: &SchemaRef, time: &str) -> Result<usize, LakeError> {
    let at = position(path, schema, time)?;
    let data_type = schema.field(at).data_type();
    if column_type(path, time, data_type)? == ColumnType::Text {
        return Err(LakeError::Schema(format!(
            "{}: column '{time}' is {data_type}, not a date, a timestamp or epoch microseconds",
            error::file_name(path)
        )));
    }
    Ok(at)
}

pub(crate) fn column_type(path: &Path, name: &str, data_type: &DataType) -> Result<ColumnType, LakeError> {
    match data_type {
        DataType::Boolean
        | DataType::Date32
        | DataType::Date64
        | DataType::Timestamp(..)
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..) => Ok(ColumnType::Number),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(ColumnType::Text),
        DataType::Dictionary(_, values) => column_type(path, name, values),
        numeric if numeric.is_numeric() => Ok(ColumnType::Number),
        other => Err(LakeError::Schema(format!(
            "{}: column '{name}' is {other}; a data set holds numbers, dates, timestamps, flags and text",
            error::file_name(path)
        ))),
    }
}

/// The rows with `time` in the window; a row without time is outside.
fn within(
    path: &Path,
    batch: &RecordBatch,
    time: &str,
    (from, until): (Micros, Micros),
) -> Result<RecordBatch, LakeError> {
    let column = batch.column_by_name(time).ok_or_else(|| absent(path, &batch.schema(), time))?;
    let times = numbers(column).map_err(|e| error::corrupt(path, e))?;
    let (from, until) = (from.0 as f64, until.0 as f64);
    let kept: BooleanArray = times.iter().map(|at| Some(*at >= from && *at < until)).collect();
    arrow_select::filter::filter_record_batch(batch, &kept).map_err(|e| error::corrupt(path, e))
}

pub(crate) fn push(part: &mut Column, column: &ArrayRef) -> Result<(), arrow_schema::ArrowError> {
    match part {
        Column::Number(values) => values.extend(numbers(column)?),
        Column::Text(values) => {
            let column = arrow_cast::cast(column, &DataType::Utf8)?;
            let mut last: Option<Arc<str>> = None;
            for text in column.as_string::<i32>() {
                // Neighbours are often equal; a category then costs a counter, not a copy.
                let shared = match (text, last.take()) {
                    (Some(text), Some(known)) if *known == *text => Some(known),
                    (text, _) => text.map(Arc::from),
                };
                values.push(shared.clone());
                last = shared;
            }
        }
    }
    Ok(())
}

/// Numbers of any numeric, date, timestamp or flag column; NaN where one is missing.
fn numbers(column: &ArrayRef) -> Result<Vec<f64>, arrow_schema::ArrowError> {
    if let DataType::Dictionary(_, values) = column.data_type() {
        return numbers(&arrow_cast::cast(column, values)?);
    }
    if matches!(column.data_type(), DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)) {
        let micros = arrow_cast::cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
        let micros = arrow_cast::cast(&micros, &DataType::Int64)?;
        return Ok(micros
            .as_primitive::<Int64Type>()
            .iter()
            .map(|v| v.map_or(f64::NAN, |v| v as f64))
            .collect());
    }
    let doubles = arrow_cast::cast(column, &DataType::Float64)?;
    Ok(doubles.as_primitive::<Float64Type>().iter().map(|v| v.unwrap_or(f64::NAN)).collect())
}
