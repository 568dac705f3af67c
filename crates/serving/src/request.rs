//! A request as rows of named columns, checked against what the endpoint asks for.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use greenlight_app::live::LiveEndpoint;
use greenlight_domain::frame::{Column, ColumnType, Field, Frame};
use greenlight_domain::time::Micros;

use crate::ServingError;

/// Most rows in one request.
pub const MAX_ROWS: usize = 10_000;
const MAX_UNIT_BYTES: usize = 256;

/// Rows in named columns of equal length, as a protocol delivered them.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Columns by name.
    pub columns: Vec<(Cow<'a, str>, Column)>,
    /// Number of rows; every column has as many.
    pub rows: usize,
    /// Where it belongs in a distributed trace.
    pub trace: Option<Trace>,
}

/// A W3C trace that a request belongs to.
#[derive(Debug, Clone)]
pub struct Trace {
    /// 32 hexadecimal digits.
    pub id: Arc<str>,
    /// The `traceparent` that an upstream gets.
    pub parent: Arc<str>,
}

/// A request that fits its endpoint.
pub(crate) struct Checked {
    pub features: Frame,
    pub units: Vec<Arc<str>>,
    pub times: Option<Vec<Micros>>,
    /// What each decision is worth for each row (see `ValueModel::worth`), row after row.
    pub worth: Vec<[f64; 2]>,
    pub trace: Option<Trace>,
}

/// Checks names, types and sizes; takes the columns apart into features, units and event times.
pub(crate) fn check(endpoint: &LiveEndpoint, request: Request<'_>) -> Result<Checked, ServingError> {
    if request.rows == 0 || request.rows > MAX_ROWS {
        return invalid(format!("send 1 to {MAX_ROWS} rows, not {}", request.rows));
    }
    let mut features: Vec<Option<Column>> = vec![None; endpoint.features.len()];
    let mut units = None;
    let mut times = None;
    // Most clients send the features in the order of the metadata, so the next one is looked for where it should be.
    let mut next = 0;
    for (name, column) in request.columns {
        if column.len() != request.rows {
            return invalid(format!("input '{name}' has {} values for {} rows", column.len(), request.rows));
        }
        if *name == *endpoint.spec.unit {
            sent_twice(&name, units.replace(read_units(&name, &column)?).is_some())?;
        } else if endpoint.spec.event_time.as_deref() == Some(&*name) {
            sent_twice(&name, times.replace(read_times(&name, &column)?).is_some())?;
        } else if let Some(at) = position(&endpoint.features, next, &name) {
            next = at + 1;
            let wanted = endpoint.features[at].column_type;
            if column.column_type() != wanted {
                return invalid(format!("input '{name}' must be {}", describe(wanted)));
            }
            sent_twice(&name, features[at].replace(column).is_some())?;
        } else {
            return invalid(format!("input '{name}' is unknown; this endpoint takes {}", names(endpoint)));
        }
    }
    let missing: Vec<&str> = endpoint
        .features
        .iter()
        .zip(&features)
        .filter(|(_, column)| column.is_none())
        .map(|(field, _)| field.name.as_ref())
        .chain(units.is_none().then_some(endpoint.spec.unit.as_str()))
        .chain(endpoint.spec.event_time.as_deref().filter(|_| times.is_none()))
        .collect();
    let (Some(units), true) = (units, missing.is_empty()) else {
        return invalid(format!("input {} is missing", missing.join(", ")));
    };
    let columns = features.into_iter().flatten().collect();
    let features = Frame::new(Arc::clone(&endpoint.features), columns)
        .map_err(|e| ServingError::Invalid(e.to_string()))?;
    let mut worth = Vec::with_capacity(request.rows * endpoint.value.decisions.len());
    for row in 0..request.rows {
        endpoint
            .value
            .worth(&features, row, &mut worth)
            .map_err(|e| ServingError::Invalid(format!("row {row}: {e}")))?;
        check_time(endpoint, times.as_ref().map(|t| t[row]), row)?;
    }
    Ok(Checked { features, units, times, worth, trace: request.trace })
}

fn sent_twice(name: &str, twice: bool) -> Result<(), ServingError> {
    if twice { invalid(format!("input '{name}' was sent twice")) } else { Ok(()) }
}

fn position(features: &[Field], next: usize, name: &str) -> Option<usize> {
    if features.get(next).is_some_and(|field| *field.name == *name) {
        return Some(next);
    }
    features.iter().position(|field| *field.name == *name)
}

/// A prediction in a time that is settled already would never be booked.
fn check_time(endpoint: &LiveEndpoint, at: Option<Micros>, row: usize) -> Result<(), ServingError> {
    let settled_until = Micros(endpoint.settled_until.load(Ordering::Relaxed));
    match at {
        Some(at) if at < settled_until => {
            invalid(format!("row {row}: its event time {at} is settled already (until {settled_until})"))
        }
        _ => Ok(()),
    }
}

fn read_units(name: &str, column: &Column) -> Result<Vec<Arc<str>>, ServingError> {
    let read = |row: usize, text: Option<Arc<str>>| match text {
        Some(unit) if !unit.is_empty() && unit.len() <= MAX_UNIT_BYTES => Ok(unit),
        _ => Err(ServingError::Invalid(format!(
            "input '{name}', row {row}: a unit is 1 to {MAX_UNIT_BYTES} bytes"
        ))),
    };
    match column {
        Column::Text(values) => values.iter().enumerate().map(|(row, v)| read(row, v.clone())).collect(),
        Column::Number(values) => values
            .iter()
            .enumerate()
            .map(|(row, number)| {
                // Beyond 2^53 two integers may share a double, and two units one identity.
                if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 {
                    return read(row, Some((*number as i64).to_string().into()));
                }
                invalid(format!("input '{name}', row {row}: send a unit as BYTES or an integer below 2^53"))
            })
            .collect(),
    }
}

/// RFC 3339, or epoch microseconds as digits.
fn time(text: &str) -> Option<Micros> {
    let digits =
        || text.parse().ok().filter(|micros| (0..9_000_000_000_000_000).contains(micros)).map(Micros);
    text.parse().ok().or_else(digits)
}

fn read_times(name: &str, column: &Column) -> Result<Vec<Micros>, ServingError> {
    let wrong = |row: usize| {
        ServingError::Invalid(format!("input '{name}', row {row}: send RFC 3339 text or epoch microseconds"))
    };
    match column {
        Column::Text(values) => values
            .iter()
            .enumerate()
            .map(|(row, text)| text.as_deref().and_then(time).ok_or_else(|| wrong(row)))
            .collect(),
        Column::Number(values) => values
            .iter()
            .enumerate()
            .map(|(row, number)| {
                let plausible = number.is_finite() && (0.0..9.0e15).contains(number);
                if plausible { Ok(Micros(*number as i64)) } else { Err(wrong(row)) }
            })
            .collect(),
    }
}

fn describe(wanted: ColumnType) -> &'static str {
    match wanted {
        ColumnType::Number => "a number (FP64, INT64, …)",
        ColumnType::Text => "text (BYTES)",
    }
}

fn names(endpoint: &LiveEndpoint) -> String {
    let own = std::iter::once(endpoint.spec.unit.as_str()).chain(endpoint.spec.event_time.as_deref());
    own.chain(endpoint.features.iter().map(|f| f.name.as_ref())).collect::<Vec<_>>().join(", ")
}

fn invalid<T>(message: String) -> Result<T, ServingError> {
    Err(ServingError::Invalid(message))
}
