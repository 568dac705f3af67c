//! What a scored chunk becomes: rows with a probability and perhaps a decision, in a file that is whole or absent.
//!
//! A file is written under another name, synced, and then renamed, so that a crash leaves nothing half-written that
//! looks whole. The same rows give the same bytes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_cast::display::array_value_to_string;
use arrow_schema::{ArrowError, DataType, Field as ArrowField, Schema};
use greenlight_app::lake::LakeError;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value};

use crate::error;
use crate::segment::disk::sync_folder;
use crate::session::BATCH_ROWS;

/// Column of the model's probability.
pub const PROBABILITY: &str = "probability";
/// Column of the decision.
pub const DECISION: &str = "decision";

/// The kept columns with what the model said and, where an endpoint was asked, what it would do.
pub fn result_rows(
    kept: &RecordBatch,
    probabilities: Vec<f64>,
    decisions: Option<&[Arc<str>]>,
) -> Result<RecordBatch, LakeError> {
    let mut fields: Vec<ArrowField> = kept.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let mut columns = kept.columns().to_vec();
    fields.push(ArrowField::new(PROBABILITY, DataType::Float64, true));
    columns.push(Arc::new(Float64Array::from(probabilities)) as ArrayRef);
    if let Some(decisions) = decisions {
        fields.push(ArrowField::new(DECISION, DataType::Utf8, true));
        columns.push(Arc::new(StringArray::from_iter_values(decisions)));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(error::arrow)
}

/// Writes a Parquet file that is durable and whole when this returns, replacing what was there. Blocks.
pub fn write_part(path: &Path, batches: &[RecordBatch]) -> Result<(), LakeError> {
    let Some(first) = batches.first() else { return Ok(()) };
    place(path, &first.schema(), |writer| batches.iter().try_for_each(|batch| writer.write(batch)))
}

/// Makes one Parquet file of several, in their order. Blocks.
pub fn assemble(parts: &[PathBuf], output: &Path) -> Result<(), LakeError> {
    let Some(first) = parts.first() else { return Ok(()) };
    let schema = Arc::clone(open(first)?.schema());
    place(output, &schema, |writer| {
        for part in parts {
            let reader = open(part).map_err(|e| ParquetError::External(e.to_string().into()))?;
            for batch in reader.with_batch_size(BATCH_ROWS).build()? {
                writer.write(&batch?)?;
            }
        }
        Ok(())
    })
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, LakeError> {
    let file = File::open(path).map_err(|e| error::io(path, &e))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| error::corrupt(path, e))
}

fn place(
    path: &Path,
    schema: &Arc<Schema>,
    write: impl FnOnce(&mut ArrowWriter<File>) -> Result<(), ParquetError>,
) -> Result<(), LakeError> {
    let failed = |e: ParquetError| LakeError::Storage(format!("{}: {e}", path.display()));
    let io = |e: std::io::Error| error::io(path, &e);
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let file = File::create(&temporary).map_err(io)?;
    let synced = file.try_clone().map_err(io)?;
    let mut writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties().map_err(failed)?))
        .map_err(failed)?;
    write(&mut writer).map_err(failed)?;
    writer.close().map_err(failed)?;
    synced.sync_all().map_err(io)?;
    std::fs::rename(&temporary, path).map_err(io)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_folder(folder).map_err(io)
}

fn properties() -> Result<WriterProperties, ParquetError> {
    let compression = Compression::ZSTD(ZstdLevel::try_new(1)?);
    Ok(WriterProperties::builder().set_compression(compression).build())
}

/// A Parquet file of some rows, in memory.
pub fn parquet_bytes(batches: &[RecordBatch]) -> Result<Vec<u8>, LakeError> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let failed = |e: ParquetError| LakeError::Storage(e.to_string());
    let mut writer = ArrowWriter::try_new(Vec::new(), first.schema(), Some(properties().map_err(failed)?))
        .map_err(failed)?;
    for batch in batches {
        writer.write(batch).map_err(failed)?;
    }
    writer.into_inner().map_err(failed)
}

/// The text of column `key` in each row, and the other columns as a JSON object. Missing values are null; what JSON
/// has no form for is text.
pub fn json_rows(rows: &RecordBatch, key: &str) -> Result<Vec<(Option<String>, Value)>, LakeError> {
    let keys = rows
        .column_by_name(key)
        .ok_or_else(|| LakeError::Schema(format!("the rows have no column '{key}'")))?;
    let schema = rows.schema();
    let row = |row| {
        let mut object = Map::new();
        for (field, column) in schema.fields().iter().zip(rows.columns()).filter(|(f, _)| f.name() != key) {
            object.insert(field.name().clone(), json(column, row)?);
        }
        let text = keys.is_valid(row).then(|| array_value_to_string(keys, row)).transpose()?;
        Ok((text, Value::Object(object)))
    };
    (0..rows.num_rows()).map(row).collect::<Result<_, ArrowError>>().map_err(error::arrow)
}

fn json(column: &ArrayRef, row: usize) -> Result<Value, ArrowError> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match column.data_type() {
        DataType::Boolean => Value::from(column.as_boolean().value(row)),
        DataType::Float64 => Value::from(column.as_primitive::<Float64Type>().value(row)),
        whole if whole.is_integer() => {
            let text = array_value_to_string(column, row)?;
            text.parse::<i64>().map_or(Value::from(text), Value::from)
        }
        _ => Value::from(array_value_to_string(column, row)?),
    })
}
