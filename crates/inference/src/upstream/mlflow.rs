//! MLflow's scoring server: the `dataframe_split` that it is sent, and the shapes in which models of its flavors answer.

use std::sync::Arc;

use greenlight_app::runtime::RuntimeError;
use greenlight_domain::frame::{Column, Field, Frame};
use serde::Serialize;
use serde_json::Value;

use super::failed::{CallError, clean};
use super::http::{flatten, parse};
use super::spec::Output;
use super::tensor::one_a_row;
use crate::encoder::column;

/// `{"dataframe_split": {"columns": […], "data": [[…], …]}}`; missing values are `null`.
#[derive(Debug, Serialize)]
pub(crate) struct Request {
    dataframe_split: Split,
}

#[derive(Debug, Serialize)]
struct Split {
    columns: Vec<Arc<str>>,
    data: Vec<Vec<Cell>>,
}

/// NaN is written as `null`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Cell {
    Number(f64),
    Text(Option<Arc<str>>),
}

pub(crate) fn request(columns: &[Field], rows: &Frame) -> Result<Request, RuntimeError> {
    let found = columns.iter().enumerate().map(|(position, field)| column(rows, position, field));
    let found = found.collect::<Result<Vec<_>, _>>()?;
    let row = |row: usize| {
        let cell = |found: &&Column| match found {
            Column::Number(values) if values[row].is_infinite() => Err(RuntimeError::Signature(format!(
                "row {row} holds {} and JSON has no such number",
                values[row]
            ))),
            Column::Number(values) => Ok(Cell::Number(values[row])),
            Column::Text(texts) => Ok(Cell::Text(texts[row].clone())),
        };
        found.iter().map(cell).collect::<Result<Vec<_>, _>>()
    };
    Ok(Request {
        dataframe_split: Split {
            columns: columns.iter().map(|field| Arc::clone(&field.name)).collect(),
            data: (0..rows.rows()).map(row).collect::<Result<_, _>>()?,
        },
    })
}

/// Reads `{"predictions": …}`: numbers, lists of numbers, objects with a column each, or columns with a list each.
pub(crate) fn scores(body: &[u8], rows: usize, output: &Output) -> Result<Vec<f64>, CallError> {
    let answer: Value = parse(body)?;
    let predictions = match &answer {
        Value::Object(object) => object.get("predictions"),
        Value::Array(_) => Some(&answer),
        _ => None,
    };
    let predictions =
        predictions.ok_or_else(|| CallError::Answer("it has no field 'predictions'".to_owned()))?;
    let list = match predictions {
        Value::Array(list) => list,
        Value::Object(columns) => match named(columns, output)? {
            Value::Array(list) => list,
            _ => return Err(CallError::Answer("a column of it is no list".to_owned())),
        },
        _ => return Err(CallError::Answer("'predictions' is no list".to_owned())),
    };
    if list.len() != rows {
        return Err(CallError::Answer(format!("{rows} rows were sent and {} came back", list.len())));
    }
    let mut numbers = Vec::with_capacity(rows);
    let mut width = 0;
    for (row, item) in list.iter().enumerate() {
        let item = match item {
            Value::Object(columns) => named(columns, output)?,
            other => other,
        };
        flatten(item, &mut numbers, 1)?;
        // Every row must be as wide as the first: a total that fits by chance would shift the rows.
        if row == 0 {
            width = numbers.len();
        }
        if width == 0 || numbers.len() != width * (row + 1) {
            return Err(CallError::Answer(format!("row {row} is not as wide as the first")));
        }
    }
    one_a_row(&numbers, rows, output)
}

/// The column that is meant: the named one, or the only one.
fn named<'a>(columns: &'a serde_json::Map<String, Value>, output: &Output) -> Result<&'a Value, CallError> {
    let found = match &output.name {
        Some(name) => columns.get(name),
        None if columns.len() == 1 => columns.values().next(),
        None => None,
    };
    found.ok_or_else(|| {
        let names: Vec<String> = columns.keys().take(10).map(|name| clean(name)).collect();
        CallError::Answer(format!("say with output.name which of {} is the probability", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, output: &Output) -> Result<Vec<f64>, CallError> {
        scores(body.as_bytes(), 2, output)
    }

    #[test]
    fn every_shape_of_pyfunc_is_read() {
        let any = Output::default();
        let p = Output { name: Some("p".to_owned()), index: None };
        for (body, output) in [
            (r#"{"predictions": [0.25, 0.5]}"#, &any),
            ("[0.25, 0.5]", &any),
            (r#"{"predictions": [[0.25], [0.5]]}"#, &any),
            (r#"{"predictions": [[0.75, 0.25], [0.5, 0.5]]}"#, &any),
            (r#"{"predictions": [{"p": 0.25}, {"p": 0.5}]}"#, &any),
            (r#"{"predictions": [{"p": 0.25, "q": 1}, {"p": 0.5, "q": 1}]}"#, &p),
            (r#"{"predictions": {"p": [0.25, 0.5], "q": [1, 1]}}"#, &p),
        ] {
            assert_eq!(read(body, output).as_deref(), Ok(&[0.25, 0.5][..]), "{body}");
        }
    }

    #[test]
    fn other_answers_are_refused() {
        for body in [
            r#"{"predictions": [0.25]}"#,
            r#"{"predictions": [0.25, 0.5, 0.5]}"#,
            r#"{"predictions": [0.25, NaN]}"#,
            r#"{"predictions": [0.25, null]}"#,
            r#"{"predictions": [true, false]}"#,
            r#"{"predictions": ["a", "b"]}"#,
            r#"{"predictions": [[0.25, 0.5, 0.25], [0.5]]}"#,
            r#"{"predictions": [[], []]}"#,
            r#"{"predictions": [{"p": 0.1, "q": 0.2}, {"p": 0.1, "q": 0.2}]}"#,
            r#"{"predictions": [1.5, 0.5]}"#,
            r#"{"predictions": 7}"#,
            r#"{"scores": [0.25, 0.5]}"#,
            "",
        ] {
            assert!(read(body, &Output::default()).is_err(), "{body}");
        }
    }
}
