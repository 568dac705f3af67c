//! Recording what happened to predicted units.
//!
//! An outcome names its prediction, or a unit: then it is about the unit's newest prediction at that moment. A
//! request is recorded whole or not at all; the same outcome twice is harmless, and the one received last counts.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use greenlight_domain::frame::{Column, Frame};
use greenlight_domain::prediction::{Outcome, PredictionId};
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::{DAY_US, Micros};
use serde::{Deserialize, Serialize};

use crate::lake::UnitAt;
use crate::{App, AppError, allow};

/// An outcome as a client posts it.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PostedOutcome {
    /// The id that infer returned. Either this or `unit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction_id: Option<String>,
    /// The unit, when its id was not kept: its newest prediction at or before `at` is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Name of the outcome in the value model.
    pub name: String,
    /// What happened: 0 or 1.
    pub value: f64,
    /// When it happened.
    pub at: Micros,
}

/// Where in a request an outcome stands, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The body is the outcome.
    Body,
    /// Position in the list `outcomes`, from 0.
    Item(usize),
    /// Line of a text file, from 1.
    Line(u64),
    /// Row of a Parquet file, from 1.
    Row(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => Ok(()),
            Self::Item(index) => write!(f, "outcomes[{index}]."),
            Self::Line(line) => write!(f, "line {line}: "),
            Self::Row(row) => write!(f, "row {row}: "),
        }
    }
}

/// One outcome of a request, or why it could not be read.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Where it stands.
    pub place: Place,
    /// What it says.
    pub outcome: Result<PostedOutcome, String>,
}

/// What became of a post.
#[derive(Debug, Serialize)]
pub struct Recorded {
    /// Outcomes that are durable now.
    pub accepted: usize,
}

/// Most outcomes in one post.
pub const MAX_OUTCOMES: usize = 10_000;
const SHOWN_PROBLEMS: usize = 5;
/// Longest unit that serving takes.
const MAX_UNIT_BYTES: usize = 256;
/// Largest whole number that a double holds exactly.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// What every outcome of a request is checked against.
struct Expected<'a> {
    endpoint: &'a str,
    name: String,
    window_days: u16,
    latest: Micros,
}

/// Records a list of outcomes: all of them or none.
pub async fn record(
    app: &App,
    actor: &Actor,
    endpoint: &str,
    posted: Vec<PostedOutcome>,
) -> Result<Recorded, AppError> {
    let place = |(index, outcome)| Sent { place: Place::Item(index), outcome: Ok(outcome) };
    record_sent(app, actor, endpoint, posted.into_iter().enumerate().map(place).collect()).await
}

/// Records the rows of a Parquet file: all of them or none. Columns as in [`PostedOutcome`]; `at` is a timestamp, a
/// date, a text, or epoch microseconds.
pub async fn record_parquet(
    app: &App,
    actor: &Actor,
    endpoint: &str,
    file: Bytes,
) -> Result<Recorded, AppError> {
    allow(actor, Action::Record)?;
    let frame = app.lake.decode_parquet(file, MAX_OUTCOMES).await?;
    record_sent(app, actor, endpoint, of_frame(&frame)?).await
}

/// Records outcomes wherever they stood: all of them or none.
pub async fn record_sent(
    app: &App,
    actor: &Actor,
    endpoint: &str,
    sent: Vec<Sent>,
) -> Result<Recorded, AppError> {
    allow(actor, Action::Record)?;
    let live = app.live.get(endpoint).ok_or_else(|| {
        AppError::not_found("endpoint", endpoint, "list them with 'greenlight endpoint list'")
    })?;
    if sent.is_empty() || sent.len() > MAX_OUTCOMES {
        return Err(AppError::Invalid(format!("outcomes: send 1 to {MAX_OUTCOMES}, not {}", sent.len())));
    }
    let (name, window_days) = expected_outcome(app, &live.spec.initiative).await?;
    let latest = Micros(app.clock.now().0 + DAY_US);
    let outcomes = resolve(app, &Expected { endpoint, name, window_days, latest }, &sent).await?;
    let newest = outcomes.iter().map(|o| o.at).max().unwrap_or_default();
    let accepted = outcomes.len();
    app.lake.append_outcomes(endpoint, outcomes).await?;
    let mut transaction = app.store.begin().await?;
    greenlight_store::endpoint::raise_watermark(&mut transaction, endpoint, newest).await?;
    transaction.commit().await.map_err(greenlight_store::StoreError::from)?;
    Ok(Recorded { accepted })
}

/// Checks every outcome and finds the predictions of those that name a unit, all units in one query.
async fn resolve(app: &App, expected: &Expected<'_>, sent: &[Sent]) -> Result<Vec<Outcome>, AppError> {
    let mut outcomes = Vec::with_capacity(sent.len());
    let mut problems = Vec::new();
    let mut asked = Vec::new();
    for Sent { place, outcome } in sent {
        match outcome.as_ref().map_err(Clone::clone).and_then(|post| check(app, expected, post)) {
            Ok(Checked::Known(outcome)) => outcomes.push((*place, Some(outcome.prediction_id), outcome)),
            Ok(Checked::OfUnit(unit, outcome)) => {
                asked.push(UnitAt { unit, at: outcome.at });
                outcomes.push((*place, None, outcome));
            }
            Err(problem) => problems.push(format!("{place}{problem}")),
        }
    }
    // What is refused anyway costs no query.
    if !asked.is_empty() && problems.is_empty() {
        let mut found = newest_predictions(app, expected, &asked).await?.into_iter().zip(&asked);
        for (place, id, _) in outcomes.iter_mut().filter(|(_, id, _)| id.is_none()) {
            let Some((prediction, UnitAt { unit, at })) = found.next() else { break };
            *id = prediction;
            if prediction.is_none() {
                problems.push(format!(
                    "{place}unit: '{unit}' has no prediction in the {} days up to {at}; post the outcome by \
                     prediction_id, or mend 'at'",
                    expected.window_days
                ));
            }
        }
    }
    refuse(problems)?;
    Ok(outcomes
        .into_iter()
        .filter_map(|(_, id, outcome)| Some(Outcome { prediction_id: id?, ..outcome }))
        .collect())
}

/// The newest prediction of each unit at its moment. What was acknowledged a moment ago is sealed first.
async fn newest_predictions(
    app: &App,
    expected: &Expected<'_>,
    asked: &[UnitAt],
) -> Result<Vec<Option<PredictionId>>, AppError> {
    app.lake.seal(expected.endpoint).await?;
    let window_us = i64::from(expected.window_days) * DAY_US;
    let found = app.lake.newest_predictions(expected.endpoint, asked, window_us).await?;
    if found.len() == asked.len() {
        return Ok(found);
    }
    Err(AppError::Internal(format!("the lake answered {} of {} units", found.len(), asked.len())))
}

fn refuse(mut problems: Vec<String>) -> Result<(), AppError> {
    if problems.is_empty() {
        return Ok(());
    }
    let more = problems.len().saturating_sub(SHOWN_PROBLEMS);
    problems.truncate(SHOWN_PROBLEMS);
    let tail = if more > 0 { format!("; and {more} more") } else { String::new() };
    Err(AppError::Invalid(format!("{}{tail}; nothing was recorded", problems.join("; "))))
}

/// Name of the outcome, and the days within which it counts.
async fn expected_outcome(app: &App, initiative: &str) -> Result<(String, u16), AppError> {
    let mut connection = app.store.read().await?;
    greenlight_store::initiative::get(&mut connection, initiative)
        .await?
        .map(|spec| (spec.value.outcome, spec.value.window_days))
        .ok_or_else(|| AppError::not_found("initiative", initiative, ""))
}

enum Checked {
    Known(Outcome),
    /// Its prediction is not known yet.
    OfUnit(Arc<str>, Outcome),
}

fn check(app: &App, expected: &Expected<'_>, post: &PostedOutcome) -> Result<Checked, String> {
    let outcome =
        |id| Outcome { prediction_id: id, name: post.name.as_str().into(), value: post.value, at: post.at };
    match (&post.prediction_id, &post.unit) {
        (Some(id), None) => {
            let id: PredictionId = id.parse().map_err(|e| format!("{e}"))?;
            if !id.is_genuine(&app.id_key, expected.endpoint) {
                return Err(format!(
                    "prediction_id: '{id}' was not issued by endpoint '{}'",
                    expected.endpoint
                ));
            }
            check_fields(expected, post)?;
            check_window(expected, post, id)?;
            Ok(Checked::Known(outcome(id)))
        }
        (None, Some(unit)) => {
            if unit.is_empty() || unit.len() > MAX_UNIT_BYTES {
                return Err(format!("unit: a unit is 1 to {MAX_UNIT_BYTES} bytes long, not {}", unit.len()));
            }
            check_fields(expected, post)?;
            let unknown = PredictionId(uuid::Uuid::nil());
            Ok(Checked::OfUnit(unit.as_str().into(), outcome(unknown)))
        }
        (None, None) => Err("prediction_id: say which prediction, or name its unit".to_owned()),
        (Some(_), Some(_)) => Err("unit: send either prediction_id or unit, not both".to_owned()),
    }
}

fn check_fields(expected: &Expected<'_>, post: &PostedOutcome) -> Result<(), String> {
    if post.name != expected.name {
        let shown: String = post.name.chars().take(60).collect();
        return Err(format!("name: '{shown}' is not an outcome of this endpoint; it is '{}'", expected.name));
    }
    if !(0.0..=1.0).contains(&post.value) {
        return Err(format!("value: {} is not between 0 and 1", post.value));
    }
    if post.at > expected.latest {
        return Err(format!("at: {} lies in the future", post.at));
    }
    Ok(())
}

fn check_window(expected: &Expected<'_>, post: &PostedOutcome, id: PredictionId) -> Result<(), String> {
    if post.at < Micros(id.time().0 - 1_000) {
        return Err(format!("at: {} lies before the prediction ({})", post.at, id.time()));
    }
    let window_days = expected.window_days;
    if post.at > id.time().plus_days(i64::from(window_days)) {
        return Err(format!(
            "at: {} lies more than {window_days} days after the prediction, so it does not count",
            post.at
        ));
    }
    Ok(())
}

/// The rows of a table as outcomes; fails when a column is unknown or one that is needed is missing.
fn of_frame(frame: &Frame) -> Result<Vec<Sent>, AppError> {
    const COLUMNS: [&str; 5] = ["prediction_id", "unit", "name", "value", "at"];
    if let Some(unknown) = frame.fields().iter().find(|f| !COLUMNS.contains(&f.name.as_ref())) {
        let known = COLUMNS.join(", ");
        let problem = format!("column '{}' is unknown; outcomes have {known}", unknown.name);
        return Err(AppError::Invalid(problem));
    }
    for needed in ["name", "value", "at"] {
        if frame.column(needed).is_none() {
            return Err(AppError::Invalid(format!("column '{needed}' is missing")));
        }
    }
    let row = |row| Sent { place: Place::Row(row + 1), outcome: of_row(frame, row) };
    Ok((0..frame.rows()).map(row).collect())
}

fn of_row(frame: &Frame, row: usize) -> Result<PostedOutcome, String> {
    let at = match frame.column("at") {
        Some(Column::Number(values)) if values[row].is_finite() => Micros(values[row] as i64),
        Some(Column::Text(values)) => match &values[row] {
            Some(text) => text.parse().map_err(|e| format!("at: {e}"))?,
            None => return Err("at: is missing".to_owned()),
        },
        _ => return Err("at: is missing".to_owned()),
    };
    let value = match frame.column("value") {
        Some(Column::Number(values)) => values[row],
        _ => return Err("value: is text where a number is needed".to_owned()),
    };
    let name = text(frame, "name", row).ok_or("name: is missing")?;
    let (prediction_id, unit) = (text(frame, "prediction_id", row), text(frame, "unit", row));
    Ok(PostedOutcome { prediction_id, unit, name, value, at })
}

/// A text of a column, or a whole number as people write it; `None` where it is missing.
fn text(frame: &Frame, column: &str, row: usize) -> Option<String> {
    match frame.column(column)? {
        Column::Text(values) => values[row].as_deref().map(str::to_owned),
        Column::Number(values) => {
            let value = values[row];
            (value.fract() == 0.0 && value.abs() <= MAX_WHOLE).then(|| format!("{value:.0}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenlight_domain::frame::Field;

    #[test]
    fn rows_of_a_table_become_outcomes_or_say_which_value_is_wrong() {
        let fields: Arc<[Field]> =
            vec![Field::number("unit"), Field::text("name"), Field::number("value"), Field::number("at")]
                .into();
        let columns = vec![
            Column::Number(vec![17.0, f64::NAN]),
            Column::Text(vec![Some("bought".into()), Some("bought".into())]),
            Column::Number(vec![1.0, 0.0]),
            Column::Number(vec![1_241_431_200_000_000.0, f64::NAN]),
        ];
        let sent = of_frame(&Frame::new(fields, columns).unwrap()).unwrap();
        let first = sent[0].outcome.as_ref().unwrap();
        assert_eq!(first.unit.as_deref(), Some("17"), "a whole number is a unit as it is written");
        assert_eq!(first.at.to_string(), "2009-05-04T10:00:00Z");
        assert_eq!(sent[1].outcome.as_ref().unwrap_err(), "at: is missing");
        assert_eq!(sent[1].place.to_string(), "row 2: ");
    }

    #[test]
    fn a_table_with_other_columns_is_refused_by_name() {
        let check = |fields: Vec<Field>, hint: &str| {
            let error = of_frame(&Frame::empty(fields.into())).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        };
        check(vec![Field::text("label")], "column 'label' is unknown");
        check(vec![Field::text("name"), Field::number("value")], "column 'at' is missing");
    }
}
