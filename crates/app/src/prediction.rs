//! Looking into the log: pages of predictions by filter, and one prediction with everything that became of it.
//!
//! Refuses to read the whole log: without a window it is the last days before the newest event.

use std::sync::Arc;

use greenlight_domain::frame::{Column, Frame};
use greenlight_domain::money::Currency;
use greenlight_domain::prediction::PredictionId;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::{DAY_US, Micros};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lake::log::{LogExtent, LogFilter, LogRow, LoggedOutcome, MAX_PAGE, Window};
use crate::live::LiveEndpoint;
use crate::valuation::{self, Worth};
use crate::value_version::Valuer;
use crate::{App, AppError, allow};

/// Days before the newest event that are shown when nobody says otherwise.
pub const DEFAULT_DAYS: i64 = 7;
/// Most days of one window.
pub const MAX_DAYS: i64 = 366;
const DEFAULT_LIMIT: usize = 50;
const MAX_TEXT: usize = 256;

/// What is looked for, as a form or an address carries it: an empty text is no filter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogQuery {
    /// First event time, RFC 3339 or a date.
    pub from: String,
    /// First event time after the window, RFC 3339 or a date.
    pub until: String,
    /// One unit.
    pub unit: String,
    /// One variant.
    pub variant: String,
    /// One decision.
    pub decision: String,
    /// One model, `name@version`.
    pub model: String,
    /// `yes` for rows whose model failed, `no` for the others.
    pub error: String,
    /// Least probability.
    pub probability_from: String,
    /// Greatest probability.
    pub probability_until: String,
    /// One prediction.
    pub id: String,
    /// Where the page before ended, as its `next` says.
    pub after: String,
    /// Rows of a page, at most 100.
    pub limit: String,
}

/// A page of the log.
#[derive(Debug, Clone, Serialize)]
pub struct LogPage {
    /// Endpoint.
    pub endpoint: String,
    /// The window that was looked at; absent while the log is empty.
    pub window: Option<Window>,
    /// Where the sealed log begins and ends.
    pub extent: Option<LogExtent>,
    /// Newest first.
    pub rows: Vec<LogRow>,
    /// `after` of the next page, when this one is full.
    pub next: Option<String>,
    /// What may be decided here.
    pub decisions: Vec<String>,
    /// What was asked.
    pub query: LogQuery,
}

/// One prediction with everything that became of it.
#[derive(Debug, Clone, Serialize)]
pub struct PredictionView {
    /// Endpoint.
    pub endpoint: String,
    /// The logged row.
    #[serde(flatten)]
    pub row: LogRow,
    /// Other columns that hold something.
    pub more: Vec<(String, String)>,
    /// Features with their values; `null` is missing.
    pub features: Vec<(String, Value)>,
    /// Outcomes in the order in which they were received.
    pub outcomes: Vec<LoggedOutcome>,
    /// What the ledger says it was worth; absent until it is settled, and for a shadow.
    pub settled: Option<Worth>,
    /// Shadows that mirrored it.
    pub mirrors: Vec<LogRow>,
    /// Which money that is in.
    pub currency: Currency,
}

/// The endpoint that is being looked at.
pub(crate) fn live_endpoint(app: &App, name: &str) -> Result<Arc<LiveEndpoint>, AppError> {
    app.live
        .get(name)
        .ok_or_else(|| AppError::not_found("endpoint", name, "list them with 'greenlight endpoint list'"))
}

/// The last `days` before the newest event of an endpoint, which belongs to them; `None` while the log is empty.
pub(crate) async fn newest_days(
    app: &App,
    endpoint: &str,
    days: i64,
) -> Result<Option<(LogExtent, Window)>, AppError> {
    if !(1..=MAX_DAYS).contains(&days) {
        return Err(AppError::Invalid(format!("days: {days} is not between 1 and {MAX_DAYS}")));
    }
    let extent = app.lake.log_extent(endpoint).await?;
    Ok(extent.map(|extent| {
        let until = Micros(extent.newest.0.saturating_add(1));
        (extent, Window { from: until.plus_days(-days), until })
    }))
}

/// A page of the log.
pub async fn list(app: &App, actor: &Actor, endpoint: &str, query: LogQuery) -> Result<LogPage, AppError> {
    allow(actor, Action::Read)?;
    let live = live_endpoint(app, endpoint)?;
    let mut page = LogPage {
        endpoint: endpoint.to_owned(),
        window: None,
        extent: None,
        rows: Vec::new(),
        next: None,
        decisions: live.value.decisions.iter().map(ToString::to_string).collect(),
        query,
    };
    let wanted = id_of(&page.query)?;
    let newest = newest_days(app, endpoint, DEFAULT_DAYS).await?;
    // Parsed even when the log is empty: a wrong filter is wrong on the first day, too.
    let (extent, default) = match newest {
        Some((extent, window)) => (Some(extent), window),
        None => (None, Window { from: Micros(0), until: Micros(1) }),
    };
    let filter = filter(&page.query, default)?;
    if extent.is_none() {
        return Ok(page);
    }
    if let Some(id) = wanted {
        page.rows.extend(app.lake.log_entry(endpoint, id).await?.map(|entry| entry.row));
    } else {
        page.rows = app.lake.log_page(endpoint, &filter).await?;
        if page.rows.len() == filter.limit {
            page.next = page.rows.last().map(|row| format!("{}_{}", row.at.0, row.id));
        }
    }
    page.window = Some(filter.window);
    page.extent = extent;
    Ok(page)
}

/// One prediction.
pub async fn view(app: &App, actor: &Actor, endpoint: &str, id: &str) -> Result<PredictionView, AppError> {
    allow(actor, Action::Read)?;
    let live = live_endpoint(app, endpoint)?;
    let id: PredictionId = id.parse()?;
    let missing = || {
        let hint = "only sealed predictions are shown; look again after the next seal, or check the id";
        AppError::not_found("prediction", &id.to_string(), hint)
    };
    let entry = app.lake.log_entry(endpoint, id).await?.ok_or_else(missing)?;
    let settled = settled(app, &live, &entry.row).await?;
    Ok(PredictionView {
        endpoint: endpoint.to_owned(),
        settled,
        row: entry.row,
        more: entry.more,
        features: cells(&entry.features, 0),
        outcomes: entry.outcomes,
        mirrors: entry.mirrors,
        currency: live.value.currency,
    })
}

async fn settled(app: &App, live: &Arc<LiveEndpoint>, row: &LogRow) -> Result<Option<Worth>, AppError> {
    let mut connection = app.store.read().await?;
    let cursor = greenlight_store::endpoint::cursor(&mut connection, &live.name).await?.unwrap_or_default();
    if row.at >= cursor.settled_until {
        return Ok(None);
    }
    let initiative = greenlight_store::initiative::get(&mut connection, &live.spec.initiative).await?;
    let Some(initiative) = initiative else { return Ok(None) };
    let valuer = Valuer::load(&mut connection, live).await?;
    drop(connection);
    let outcome = (initiative.value.outcome.as_str(), cursor.outcome_segment);
    valuation::of_prediction(app, valuer, outcome, (row.id, row.at)).await
}

/// The cells of one row by name, as JSON; missing values and numbers that JSON cannot write are `null`.
pub(crate) fn cells(frame: &Frame, row: usize) -> Vec<(String, Value)> {
    frame
        .fields()
        .iter()
        .zip(frame.columns())
        .map(|(field, column)| {
            let value = match column {
                Column::Number(values) => values.get(row).map_or(Value::Null, |number| Value::from(*number)),
                Column::Text(values) => {
                    values.get(row).and_then(Option::as_deref).map_or(Value::Null, Value::from)
                }
            };
            (field.name.to_string(), value)
        })
        .collect()
}

fn id_of(query: &LogQuery) -> Result<Option<PredictionId>, AppError> {
    if query.id.trim().is_empty() { Ok(None) } else { Ok(Some(query.id.trim().parse()?)) }
}

fn filter(query: &LogQuery, default: Window) -> Result<LogFilter, AppError> {
    let text = |name: &str, text: &str| match text.trim() {
        "" => Ok(None),
        long if long.len() > MAX_TEXT => Err(invalid(name, "is longer than 256 bytes")),
        text => Ok(Some(text.to_owned())),
    };
    let failed = match query.error.trim() {
        "" => None,
        "yes" => Some(true),
        "no" => Some(false),
        _ => return Err(invalid("error", "is neither yes nor no")),
    };
    Ok(LogFilter {
        window: window(query, default)?,
        unit: text("unit", &query.unit)?,
        variant: text("variant", &query.variant)?,
        decision: text("decision", &query.decision)?,
        model: text("model", &query.model)?,
        failed,
        least: probability("probability_from", &query.probability_from)?,
        most: probability("probability_until", &query.probability_until)?,
        after: after(query.after.trim())?,
        limit: limit(query.limit.trim())?,
    })
}

fn window(query: &LogQuery, default: Window) -> Result<Window, AppError> {
    let moment = |name: &str, text: &str| match text.trim() {
        "" => Ok(None),
        text => text.parse::<Micros>().map(Some).map_err(|e| invalid(name, &e.to_string())),
    };
    let window = match (moment("from", &query.from)?, moment("until", &query.until)?) {
        (None, None) => default,
        (Some(from), Some(until)) => Window { from, until },
        (Some(from), None) => {
            let until = default.until.max(Micros(from.0.saturating_add(1)));
            Window { from, until: until.min(from.plus_days(MAX_DAYS)) }
        }
        (None, Some(until)) => Window { from: until.plus_days(-DEFAULT_DAYS), until },
    };
    if window.until <= window.from {
        return Err(invalid("until", "must lie after from"));
    }
    if window.until.0.saturating_sub(window.from.0) > MAX_DAYS * DAY_US {
        return Err(invalid("from", &format!("a window holds at most {MAX_DAYS} days; move it nearer")));
    }
    Ok(window)
}

fn probability(name: &str, text: &str) -> Result<Option<f64>, AppError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    match text.trim().parse::<f64>() {
        Ok(number) if (0.0..=1.0).contains(&number) => Ok(Some(number)),
        _ => Err(invalid(name, "is not a number between 0 and 1")),
    }
}

fn limit(text: &str) -> Result<usize, AppError> {
    match text {
        "" => Ok(DEFAULT_LIMIT),
        text => text
            .parse()
            .ok()
            .filter(|limit| (1..=MAX_PAGE).contains(limit))
            .ok_or_else(|| invalid("limit", &format!("is not a number between 1 and {MAX_PAGE}"))),
    }
}

fn after(text: &str) -> Result<Option<(Micros, PredictionId)>, AppError> {
    if text.is_empty() {
        return Ok(None);
    }
    let place = text.split_once('_').and_then(|(at, id)| Some((Micros(at.parse().ok()?), id.parse().ok()?)));
    place.map(Some).ok_or_else(|| invalid("after", "is not what a page said as its next"))
}

fn invalid(name: &str, problem: &str) -> AppError {
    AppError::Invalid(format!("{name}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Window = Window { from: Micros(10 * DAY_US), until: Micros(17 * DAY_US) };

    fn query(change: impl FnOnce(&mut LogQuery)) -> Result<LogFilter, AppError> {
        let mut query = LogQuery::default();
        change(&mut query);
        filter(&query, DEFAULT)
    }

    #[test]
    fn an_empty_form_asks_for_the_newest_days() {
        assert_eq!(query(|_| ()).unwrap(), LogFilter::all(DEFAULT, DEFAULT_LIMIT));
    }

    #[test]
    fn a_window_needs_an_end_after_its_beginning_and_a_bound() {
        let whole = query(|q| q.from = "1970-01-05".into()).unwrap().window;
        assert_eq!((whole.from, whole.until), (Micros(4 * DAY_US), DEFAULT.until));
        let late = query(|q| q.from = "1970-02-01".into()).unwrap().window;
        assert!(late.from < late.until);
        let before = query(|q| q.until = "1970-01-09".into()).unwrap().window;
        assert_eq!((before.from, before.until), (Micros(DAY_US), Micros(8 * DAY_US)));
        for (from, until) in [("1970-01-09", "1970-01-09"), ("1970-01-01", "1980-01-01"), ("x", "")] {
            let refused = query(|q| (q.from, q.until) = (from.into(), until.into()));
            assert!(refused.is_err(), "{from} {until}");
        }
    }

    #[test]
    fn a_wrong_filter_is_named() {
        let check = |change: fn(&mut LogQuery), name: &str| {
            let error = query(change).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        };
        check(|q| q.error = "maybe".into(), "error:");
        check(|q| q.limit = "101".into(), "limit:");
        check(|q| q.limit = "0".into(), "limit:");
        check(|q| q.probability_from = "1.5".into(), "probability_from:");
        check(|q| q.probability_until = "NaN".into(), "probability_until:");
        check(|q| q.after = "5_x".into(), "after:");
        check(|q| q.unit = "u".repeat(257), "unit:");
    }
}
