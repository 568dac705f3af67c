//! Small Parquet files that strangers send in a request.
//!
//! Refuses more rows or bytes than it was told to expect, by what the file says and by what it turns out to hold.

use bytes::Bytes;
use greenlight_app::lake::LakeError;
use greenlight_domain::frame::{Column, Field, Frame};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::session::BATCH_ROWS;
use crate::{dataset, error};

/// What messages call it: the sender gave no name.
const NAME: &str = "the file that was sent";
/// Most bytes that its columns may take once they are decompressed.
const MAX_DECODED: i64 = 256 << 20;
const MAX_COLUMNS: usize = 64;

/// Decodes a whole file, off the async threads.
pub(crate) async fn decode(file: Bytes, most_rows: usize) -> Result<Frame, LakeError> {
    let task = tokio::task::spawn_blocking(move || decode_blocking(file, most_rows));
    task.await.unwrap_or_else(|e| Err(corrupt(&e)))
}

fn corrupt(problem: &impl std::fmt::Display) -> LakeError {
    error::corrupt(NAME.as_ref(), format!("cannot be decoded: {problem}"))
}

fn decode_blocking(file: Bytes, most_rows: usize) -> Result<Frame, LakeError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|e| error::corrupt(NAME.as_ref(), format!("is not a whole Parquet file: {e}")))?;
    let rows = reader.metadata().file_metadata().num_rows();
    if usize::try_from(rows).map_or(true, |rows| rows > most_rows) {
        return Err(LakeError::Schema(format!("{NAME} has {rows} rows; send at most {most_rows} at once")));
    }
    let groups = reader.metadata().row_groups();
    let decoded = groups.iter().fold(0_i64, |sum, group| sum.saturating_add(group.total_byte_size().max(0)));
    if decoded > MAX_DECODED || reader.schema().fields().len() > MAX_COLUMNS {
        return Err(LakeError::Schema(format!(
            "{NAME} has {} columns and {decoded} bytes once decompressed; at most {MAX_COLUMNS} columns and \
             {MAX_DECODED} bytes are taken",
            reader.schema().fields().len()
        )));
    }
    let fields = reader
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let column_type = dataset::column_type(NAME.as_ref(), field.name(), field.data_type())?;
            Ok(Field { name: field.name().as_str().into(), column_type })
        })
        .collect::<Result<Vec<_>, LakeError>>()?;
    let mut columns: Vec<Column> = fields.iter().map(|field| Column::empty(field.column_type)).collect();
    let batches =
        reader.with_batch_size(BATCH_ROWS).with_limit(most_rows).build().map_err(|e| corrupt(&e))?;
    for batch in batches {
        let batch = batch.map_err(|e| corrupt(&e))?;
        for (column, values) in columns.iter_mut().zip(batch.columns()) {
            dataset::push(column, values).map_err(|e| corrupt(&e))?;
        }
    }
    Frame::new(fields.into(), columns).map_err(|e| LakeError::Schema(e.to_string()))
}
