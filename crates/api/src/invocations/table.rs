//! A table as MLflow's clients send it, and the request that it makes.

use std::borrow::Cow;

use greenlight_domain::frame::{Column, ColumnType, Field};
use greenlight_serving::{MAX_ROWS, Request};
use serde_json::{Map, Value};

use crate::oip::{MAX_INPUTS, OipError, shown};

/// Most values that records may leave out, taken together: each takes memory that was not sent.
pub(super) const MAX_FILLED: usize = 1_000_000;
const SHAPES: &str = "send one of dataframe_split, dataframe_records, instances and inputs, or text/csv";

/// Named columns of cells.
pub(super) struct Table {
    names: Vec<String>,
    columns: Vec<Vec<Value>>,
    rows: usize,
    /// Whether cells are texts that may mean numbers.
    from_text: bool,
}

impl Table {
    pub(super) fn from_json(bytes: &[u8]) -> Result<Self, OipError> {
        let body: Map<String, Value> = serde_json::from_slice(bytes)
            // Python writes a missing number as NaN, which is no JSON; its clients send that.
            .or_else(|error| serde_json::from_slice(&without_nan(bytes)).map_err(|_| error))
            .map_err(|e| invalid(format!("the body is not a JSON object: {e}")))?;
        let mut found = None;
        for (key, value) in body {
            match key.as_str() {
                "dataframe_split" | "dataframe_records" | "instances" | "inputs" if found.is_none() => {
                    found = Some((key, value));
                }
                // What an inference may take besides rows; no endpoint takes any.
                "params" if value.is_null() || value.as_object().is_some_and(Map::is_empty) => {}
                other => return Err(invalid(format!("'{}' is not understood; {SHAPES}", shown(other)))),
            }
        }
        match found {
            Some((key, Value::Object(mut split))) if key == "dataframe_split" => {
                Self::from_split(split.remove("columns"), split.remove("data"))
            }
            Some((_, Value::Array(records))) => Self::from_records(records),
            Some((_, Value::Object(columns))) => Self::from_columns(columns),
            _ => Err(invalid(SHAPES.to_owned())),
        }
    }

    fn from_split(columns: Option<Value>, data: Option<Value>) -> Result<Self, OipError> {
        let (Some(Value::Array(names)), Some(Value::Array(rows))) = (columns, data) else {
            return Err(invalid("dataframe_split needs the lists 'columns' and 'data'".to_owned()));
        };
        check_width(names.len())?;
        let names = names.into_iter().map(|name| match name {
            Value::String(name) => Ok(name),
            other => Err(invalid(format!("dataframe_split: column {other} has no name"))),
        });
        let mut table = Self::new(names.collect::<Result<_, _>>()?, false);
        for row in rows {
            let Value::Array(cells) = row else {
                return Err(invalid(format!("dataframe_split: row {} is not a list", table.rows)));
            };
            table.push(cells)?;
        }
        Ok(table)
    }

    fn from_records(records: Vec<Value>) -> Result<Self, OipError> {
        let Some(Value::Object(first)) = records.first() else {
            return Err(invalid(
                "send a list of objects, one a row, with the names of the columns".to_owned(),
            ));
        };
        check_width(first.len())?;
        let mut table = Self::new(first.keys().cloned().collect(), false);
        let mut filled = 0;
        for record in records {
            let Value::Object(mut record) = record else {
                return Err(invalid(format!("row {} is not an object", table.rows)));
            };
            filled += table.names.len().saturating_sub(record.len());
            if filled > MAX_FILLED {
                let problem = "too many values are left out; name every column in every row, or send columns";
                return Err(invalid(problem.to_owned()));
            }
            let cells = table.names.iter().map(|name| record.remove(name).unwrap_or(Value::Null)).collect();
            if let Some(name) = record.keys().next() {
                let problem = format!("row {}: '{}' is not in the first row", table.rows, shown(name));
                return Err(invalid(problem));
            }
            table.push(cells)?;
        }
        Ok(table)
    }

    fn from_columns(columns: Map<String, Value>) -> Result<Self, OipError> {
        let rows = columns.values().next().and_then(Value::as_array).map_or(1, Vec::len);
        let mut table = Self::new(Vec::new(), false);
        table.rows = rows;
        for (name, value) in columns {
            let cells = match value {
                // A tensor of shape [rows, 1] is a column too.
                Value::Array(cells) => cells.into_iter().map(only).collect(),
                single => vec![single],
            };
            if cells.len() != rows {
                let first = table.names.first().map_or("the first", String::as_str);
                let problem = format!(
                    "'{}' has {} rows where '{}' has {rows}",
                    shown(&name),
                    cells.len(),
                    shown(first)
                );
                return Err(invalid(problem));
            }
            table.names.push(name);
            table.columns.push(cells);
        }
        table.check_rows().map(|()| table)
    }

    pub(super) fn from_csv(bytes: &[u8]) -> Result<Self, OipError> {
        let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
        let wrong = |e: csv::Error| invalid(format!("the body is not CSV with a header: {e}"));
        let header = reader.headers().map_err(wrong)?;
        check_width(header.len())?;
        let names = header.iter().map(str::to_owned).collect();
        let mut table = Self::new(names, true);
        for row in reader.records() {
            let row = row.map_err(wrong)?;
            let cell = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
            table.push(row.iter().map(cell).collect())?;
        }
        Ok(table)
    }

    fn new(names: Vec<String>, from_text: bool) -> Self {
        let columns = names.iter().map(|_| Vec::new()).collect();
        Self { names, columns, rows: 0, from_text }
    }

    fn push(&mut self, cells: Vec<Value>) -> Result<(), OipError> {
        if cells.len() != self.columns.len() {
            let problem =
                format!("row {} has {} values for {} columns", self.rows, cells.len(), self.columns.len());
            return Err(invalid(problem));
        }
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            column.push(cell);
        }
        self.rows += 1;
        self.check_rows()
    }

    fn check_rows(&self) -> Result<(), OipError> {
        if self.rows <= MAX_ROWS {
            return Ok(());
        }
        Err(invalid(format!("send at most {MAX_ROWS} rows")))
    }

    /// The request to an endpoint with these features, which say of which type each cell must be.
    pub(super) fn into_request<'a>(self, features: &[Field]) -> Result<Request<'a>, OipError> {
        check_width(self.names.len())?;
        let from_text = self.from_text;
        let columns = self.names.into_iter().zip(self.columns).map(|(name, cells)| {
            let feature = features.iter().find(|field| *field.name == *name);
            let is_number = feature.is_some_and(|field| field.column_type == ColumnType::Number);
            let column = if is_number { numbers(&name, cells, from_text)? } else { texts(&name, cells)? };
            Ok((Cow::Owned(name), column))
        });
        Ok(Request { columns: columns.collect::<Result<_, OipError>>()?, rows: self.rows, trace: None })
    }
}

/// The text with `null` for every bare `NaN`, `Infinity` and `-Infinity`.
fn without_nan(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    let (mut at, mut quoted) = (0, false);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let word = [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|word| rest.starts_with(word));
        match (quoted, rest[0], word) {
            (true, b'\\', _) => {
                text.extend_from_slice(&rest[..rest.len().min(2)]);
                at += 2;
                continue;
            }
            (_, b'"', _) => quoted = !quoted,
            (false, _, Some(word)) => {
                text.extend_from_slice(b"null");
                at += word.len();
                continue;
            }
            _ => {}
        }
        text.push(rest[0]);
        at += 1;
    }
    text
}

fn only(value: Value) -> Value {
    match value {
        Value::Array(mut cells) if cells.len() == 1 => cells.remove(0),
        other => other,
    }
}

fn numbers(name: &str, cells: Vec<Value>, from_text: bool) -> Result<Column, OipError> {
    let number = |(row, cell): (usize, Value)| {
        let number = match &cell {
            Value::Null => Some(f64::NAN),
            Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
            Value::Number(number) => number.as_f64(),
            Value::String(text) if from_text => text.trim().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| invalid(format!("'{}', row {row}: a number is needed", shown(name))))
    };
    cells.into_iter().enumerate().map(number).collect::<Result<_, _>>().map(Column::Number)
}

fn texts(name: &str, cells: Vec<Value>) -> Result<Column, OipError> {
    let text = |(row, cell): (usize, Value)| match cell {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.into())),
        // Units and times may come as integers.
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(Some(number.to_string().into())),
        _ => Err(invalid(format!("'{}', row {row}: a text is needed", shown(name)))),
    };
    cells.into_iter().enumerate().map(text).collect::<Result<_, _>>().map(Column::Text)
}

fn check_width(columns: usize) -> Result<(), OipError> {
    if columns <= MAX_INPUTS {
        return Ok(());
    }
    Err(invalid(format!("send at most {MAX_INPUTS} columns, not {columns}")))
}

fn invalid(message: String) -> OipError {
    OipError::invalid(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_leave_most_values_out_are_refused_before_they_take_memory() {
        let wide = |columns: usize, rows: usize| {
            let first: Vec<String> = (0..columns).map(|column| format!("\"{column}\":1")).collect();
            let body = format!("{{\"instances\":[{{{}}}{}]}}", first.join(","), ",{}".repeat(rows));
            Table::from_json(body.as_bytes()).map(|table| table.rows).map_err(|error| error.message)
        };
        assert_eq!(wide(20, 9_000), Ok(9_001));
        assert_eq!(wide(MAX_INPUTS, 400), Ok(401));
        assert!(wide(MAX_INPUTS, 600).unwrap_err().contains("too many values are left out"));
        assert!(wide(MAX_INPUTS + 1, 1).unwrap_err().contains("send at most 2000 columns"));
    }

    #[test]
    fn bare_nan_is_null_and_quoted_nan_stays() {
        let text = br#"{"a": [NaN, -Infinity, 1], "NaN": "say \"NaN\" \\", "b": Infinity}"#;
        let read = without_nan(text);
        let read: Value = serde_json::from_slice(&read).unwrap();
        assert_eq!(read, serde_json::json!({ "a": [null, null, 1], "NaN": "say \"NaN\" \\", "b": null }));
    }
}
