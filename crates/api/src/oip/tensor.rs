//! Tensors as JSON: one column each, shape `[rows]` or `[rows, 1]`.

use std::borrow::Cow;
use std::sync::Arc;

use greenlight_domain::frame::Column;
use greenlight_serving::MAX_ROWS;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::OipError;

#[derive(Deserialize)]
pub(crate) struct InputTensor<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: Vec<u64>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Serialize)]
pub(crate) struct OutputTensor {
    pub(crate) name: &'static str,
    pub(crate) datatype: &'static str,
    pub(crate) shape: [usize; 1],
    pub(crate) data: Vec<Value>,
}

/// The column that a tensor carries; `null` is a missing value, for floating types and text only.
pub(crate) fn read(input: InputTensor<'_>) -> Result<(String, Column), OipError> {
    let name: String = input.name.chars().take(200).collect();
    let rows = match input.shape.as_slice() {
        [rows] | [rows, 1] => *rows,
        other => {
            return Err(OipError::invalid(format!(
                "input '{name}': shape must be [rows] or [rows, 1], not {other:?}"
            )));
        }
    };
    if rows > MAX_ROWS as u64 {
        return Err(OipError::invalid(format!("send at most {MAX_ROWS} rows, not {rows}")));
    }
    let column = match input.datatype.as_ref() {
        "FP64" | "FP32" | "FP16" => Column::Number(floats(&name, input.data)?),
        "INT64" | "INT32" | "INT16" | "INT8" | "UINT64" | "UINT32" | "UINT16" | "UINT8" => {
            Column::Number(integers(&name, input.data)?)
        }
        "BOOL" => Column::Number(booleans(&name, input.data)?),
        "BYTES" => Column::Text(texts(&name, input.data)?),
        other => {
            let shown: String = other.chars().take(20).collect();
            return Err(OipError::invalid(format!("input '{name}': datatype '{shown}' is unknown")));
        }
    };
    if column.len() as u64 != rows {
        return Err(OipError::invalid(format!(
            "input '{name}': shape says {rows} rows, data has {}",
            column.len()
        )));
    }
    Ok((name, column))
}

fn parse<'a, T: Deserialize<'a>>(name: &str, what: &str, data: &'a RawValue) -> Result<Vec<T>, OipError> {
    serde_json::from_str(data.get())
        .map_err(|_| OipError::invalid(format!("input '{name}': data must be a flat array of {what}")))
}

fn floats(name: &str, data: &RawValue) -> Result<Vec<f64>, OipError> {
    let values: Vec<Option<f64>> = parse(name, "finite numbers or null", data)?;
    Ok(values.into_iter().map(|v| v.unwrap_or(f64::NAN)).collect())
}

fn integers(name: &str, data: &RawValue) -> Result<Vec<f64>, OipError> {
    let values: Vec<i64> = parse(name, "integers", data)?;
    Ok(values.into_iter().map(|v| v as f64).collect())
}

fn booleans(name: &str, data: &RawValue) -> Result<Vec<f64>, OipError> {
    let values: Vec<bool> = parse(name, "true or false", data)?;
    Ok(values.into_iter().map(|v| f64::from(u8::from(v))).collect())
}

fn texts(name: &str, data: &RawValue) -> Result<Vec<Option<Arc<str>>>, OipError> {
    let values: Vec<Option<Cow<'_, str>>> = parse(name, "strings or null", data)?;
    Ok(values.into_iter().map(|v| v.map(|text| Arc::from(text.as_ref()))).collect())
}
