//! A row by hand as a frame: names and types checked against what the endpoint takes.

use std::sync::Arc;

use greenlight_domain::frame::{Column, ColumnType, Frame};
use greenlight_domain::model::Signature;
use serde_json::{Map, Value};

use crate::AppError;
use crate::live::LiveEndpoint;

const MAX_TEXT: usize = 4_096;

/// Reads one row of the endpoint's features. Every input of the model must be there, `null` where it is missing;
/// what only the value model reads may be left out and is missing then.
pub(super) fn read(
    live: &LiveEndpoint,
    signature: &Signature,
    row: &Map<String, Value>,
) -> Result<Frame, AppError> {
    let own = |name: &str| name == live.spec.unit || live.spec.event_time.as_deref() == Some(name);
    let known = |name: &str| live.features.iter().any(|field| field.name.as_ref() == name);
    if let Some(unknown) = row.keys().find(|name| !known(name) && !own(name)) {
        let shown: String = unknown.chars().take(80).collect();
        return Err(AppError::Invalid(format!(
            "row: '{shown}' is no feature of endpoint '{}'; it takes {}",
            live.name,
            live.features.iter().map(|field| field.name.as_ref()).collect::<Vec<_>>().join(", ")
        )));
    }
    let strange = signature.inputs.iter().find(|input| !live.features.contains(input));
    if let Some(input) = strange {
        return Err(AppError::Invalid(format!(
            "model: it needs '{}', which requests to endpoint '{}' do not carry; name another version",
            input.name, live.name
        )));
    }
    let missing: Vec<&str> = signature
        .inputs
        .iter()
        .map(|input| input.name.as_ref())
        .filter(|name| !row.contains_key(*name))
        .collect();
    if !missing.is_empty() {
        return Err(AppError::Invalid(format!(
            "row: {} not there; send null where a value is missing",
            match missing.as_slice() {
                [one] => format!("'{one}' is"),
                several => format!("{} are", several.join(", ")),
            }
        )));
    }
    let columns = live
        .features
        .iter()
        .map(|field| cell(&field.name, field.column_type, row.get(field.name.as_ref())))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Frame::new(Arc::clone(&live.features), columns)?)
}

fn cell(name: &str, column_type: ColumnType, value: Option<&Value>) -> Result<Column, AppError> {
    let wrong = |wanted: &str| AppError::Invalid(format!("row: '{name}' must be {wanted} or null"));
    Ok(match (column_type, value) {
        (ColumnType::Number, None | Some(Value::Null)) => Column::Number(vec![f64::NAN]),
        (ColumnType::Text, None | Some(Value::Null)) => Column::Text(vec![None]),
        (ColumnType::Number, Some(value)) => {
            let number = value.as_f64().filter(|number| number.is_finite());
            Column::Number(vec![number.ok_or_else(|| wrong("a number"))?])
        }
        (ColumnType::Text, Some(Value::String(text))) if text.len() <= MAX_TEXT => {
            Column::Text(vec![Some(text.as_str().into())])
        }
        (ColumnType::Text, Some(_)) => return Err(wrong("text of at most 4,096 bytes")),
    })
}
