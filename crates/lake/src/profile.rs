//! Profiling a source: one pass over all columns, batch by batch.
//!
//! Each value goes twice: into the profile as a number or a text, and into the digest as bytes that depend on the value
//! alone. Integers are 8 bytes and floating numbers the bits of a double, so that a column has the same digest in Parquet
//! and in Arrow. Refuses to look into lists and structures: they are hashed in their written form and counted.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use greenlight_app::lake::LakeError;
use greenlight_domain::dataset::profile::{ColumnProfiler, Content, Profile, finish};
use greenlight_domain::frame::{Column, ColumnType};

use crate::score::{Reader, Source};
use crate::{dataset, error};

/// Rows that are looked at together.
const ROWS: usize = 8_192;
/// Most columns of a profile; each keeps a sample of its values.
const MAX_COLUMNS: usize = 2_000;
const MISSING: u8 = 0;
const PRESENT: u8 = 1;

/// Reads a whole source and says what is in it.
pub async fn profile(source: Source) -> Result<Profile, LakeError> {
    let name = source.name().to_owned();
    let task = tokio::task::spawn_blocking(move || profile_blocking(&source));
    task.await.unwrap_or_else(|e| Err(error::corrupt(name.as_ref(), format!("could not be decoded: {e}"))))
}

fn profile_blocking(source: &Source) -> Result<Profile, LakeError> {
    let mut reader = Reader::whole(source);
    let fields = reader.kept().fields().clone();
    if fields.len() > MAX_COLUMNS {
        let problem =
            format!("{} has {} columns; at most {MAX_COLUMNS} are profiled", source.name(), fields.len());
        return Err(LakeError::Schema(problem));
    }
    let mut columns: Vec<ColumnProfiler> = fields
        .iter()
        .map(|field| {
            let (content, words) = (content(field.data_type()), source.type_of(field.name()));
            ColumnProfiler::new(field.name(), &words, content, source.is_untyped())
        })
        .collect();
    let mut rows = 0;
    loop {
        let pieces = reader.next_chunk(ROWS)?;
        if pieces.is_empty() {
            return Ok(finish(rows, columns));
        }
        for piece in pieces {
            rows += piece.kept.num_rows() as u64;
            for ((column, field), values) in columns.iter_mut().zip(&fields).zip(piece.kept.columns()) {
                absorb(column, values).map_err(|e| {
                    error::corrupt(source.name().as_ref(), format!("column '{}': {e}", field.name()))
                })?;
            }
        }
    }
}

fn content(data_type: &DataType) -> Content {
    match data_type {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Content::Time,
        other => match dataset::column_type("".as_ref(), "", other) {
            Ok(ColumnType::Number) => Content::Number,
            Ok(ColumnType::Text) => Content::Text,
            Err(_) => Content::Other,
        },
    }
}

fn absorb(column: &mut ColumnProfiler, values: &ArrayRef) -> Result<(), ArrowError> {
    let bytes = canonical(values)?;
    let mut found = match content(values.data_type()) {
        Content::Other => {
            column.absorb_opaque(values.len() as u64, values.logical_null_count() as u64, &bytes);
            return Ok(());
        }
        Content::Text => Column::empty(ColumnType::Text),
        Content::Number | Content::Time => Column::empty(ColumnType::Number),
    };
    dataset::push(&mut found, values)?;
    column.absorb(&found, &bytes);
    Ok(())
}

/// The bytes that stand for values in a digest.
fn canonical(values: &ArrayRef) -> Result<Vec<u8>, ArrowError> {
    let data_type = values.data_type();
    let mut bytes = Vec::with_capacity(values.len() * 9);
    match data_type {
        DataType::Utf8 => {
            for text in values.as_string::<i32>() {
                push_text(&mut bytes, text);
            }
        }
        DataType::Boolean | DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
            let wide = if matches!(data_type, DataType::Boolean) {
                arrow_cast::cast(values, &DataType::Int64)?
            } else {
                let micros = arrow_cast::cast(values, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
                arrow_cast::cast(&micros, &DataType::Int64)?
            };
            push_integers(&mut bytes, &wide);
        }
        // An unsigned number beyond the signed ones is written out below.
        integer if integer.is_integer() && *integer != DataType::UInt64 => {
            push_integers(&mut bytes, &arrow_cast::cast(values, &DataType::Int64)?);
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let wide = arrow_cast::cast(values, &DataType::Float64)?;
            for number in wide.as_primitive::<Float64Type>() {
                push(&mut bytes, number.map(|number| number.to_bits().to_le_bytes()));
            }
        }
        _ => {
            let options = FormatOptions::default();
            let shown = ArrayFormatter::try_new(values, &options)?;
            for row in 0..values.len() {
                let text = values.is_valid(row).then(|| shown.value(row).try_to_string()).transpose()?;
                push_text(&mut bytes, text.as_deref());
            }
        }
    }
    Ok(bytes)
}

fn push_integers(bytes: &mut Vec<u8>, wide: &ArrayRef) {
    for number in wide.as_primitive::<Int64Type>() {
        push(bytes, number.map(i64::to_le_bytes));
    }
}

fn push(bytes: &mut Vec<u8>, value: Option<[u8; 8]>) {
    match value {
        Some(value) => {
            bytes.push(PRESENT);
            bytes.extend_from_slice(&value);
        }
        None => bytes.push(MISSING),
    }
}

fn push_text(bytes: &mut Vec<u8>, text: Option<&str>) {
    push(bytes, text.map(|text| (text.len() as u64).to_le_bytes()));
    bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float32Array, Float64Array, Int32Array, Int64Array, StringArray, UInt8Array};

    use super::*;

    fn same(a: impl Array + 'static, b: impl Array + 'static) -> bool {
        let (a, b): (ArrayRef, ArrayRef) = (Arc::new(a), Arc::new(b));
        canonical(&a).unwrap() == canonical(&b).unwrap()
    }

    #[test]
    fn values_count_and_not_how_wide_they_are_stored() {
        assert!(same(Int32Array::from(vec![Some(1), None]), Int64Array::from(vec![Some(1), None])));
        assert!(same(Int64Array::from(vec![7]), UInt8Array::from(vec![7])));
        assert!(same(Float32Array::from(vec![0.5]), Float64Array::from(vec![0.5])));
        assert!(!same(Int64Array::from(vec![1, 2]), Int64Array::from(vec![2, 1])));
        assert!(!same(StringArray::from(vec!["ab", "c"]), StringArray::from(vec!["a", "bc"])));
        assert!(!same(StringArray::from(vec![Some("")]), StringArray::from(vec![None::<&str>])));
    }
}
