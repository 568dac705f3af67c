//! Restating: valuing what is settled by a newer version of the value model.
//!
//! Nothing that was posted is touched. One run posts the differences, notes why, and lets the newer version count these
//! predictions from then on, so that late outcomes and reconciliation agree with it.

use std::collections::BTreeMap;

use greenlight_domain::ledger::{DayStatistics, minor_of_micros};
use greenlight_domain::money::Currency;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::Micros;
use greenlight_domain::value_model::taken_over;
use greenlight_store::endpoint::SettleCursor;
use greenlight_store::ledger::StatisticRow;
use greenlight_store::value_version::Restatement;
use greenlight_store::{Connection, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::lake::Asked;
use crate::settle::{earned_of, gross_of, post_all};
use crate::value_version::{self, Valuer};
use crate::{App, AppError, allow, valuation};

/// Longest reason.
const MAX_REASON: usize = 2_000;

/// What to restate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restate {
    /// From the beginning of the day that holds this moment; from the first one when absent.
    pub from: Option<Micros>,
    /// Until the beginning of that day; everything when absent, and what has not matured yet follows.
    pub until: Option<Micros>,
    /// Why, for those who read the ledger later.
    pub reason: String,
    /// Only say what it would change.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a restatement changed, or would change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Restated {
    /// Endpoint.
    pub endpoint: String,
    /// Version that these predictions are valued by now.
    pub version: i64,
    /// The settle run that posted the differences; absent when nothing was written.
    pub settle_run: Option<i64>,
    /// First event time.
    pub from: Micros,
    /// Event time after the last.
    pub until: Micros,
    /// Predictions that were valued again.
    pub predictions: u64,
    /// Gross money of these days before, minor units.
    pub gross_before_minor: i64,
    /// After.
    pub gross_after_minor: i64,
    /// Incremental money of these days before, minor units.
    pub incremental_before_minor: i64,
    /// After.
    pub incremental_after_minor: i64,
    /// Which money.
    pub currency: Currency,
}

/// Values settled predictions by the newest version of the value model and posts the differences.
pub async fn restate(
    app: &App,
    actor: &Actor,
    endpoint: &str,
    request: &Restate,
) -> Result<Restated, AppError> {
    allow(actor, Action::Record)?;
    let reason = reason_of(request)?;
    let missing = || AppError::not_found("endpoint", endpoint, "list them with 'greenlight endpoint list'");
    let live = app.live.get(endpoint).ok_or_else(missing)?;
    let lock = app.settle_lock(endpoint).await;
    let _one_at_a_time = lock.lock().await;
    let sealed = app.lake.seal(endpoint).await?;
    let mut connection = app.store.read().await?;
    let cursor = greenlight_store::endpoint::cursor(&mut connection, endpoint).await?.ok_or_else(missing)?;
    if sealed > cursor.outcome_segment {
        return Err(AppError::Conflict(format!(
            "outcomes have arrived since the last settle; run 'greenlight endpoint settle {endpoint}' and restate again"
        )));
    }
    let initiative = greenlight_store::initiative::get(&mut connection, &live.spec.initiative)
        .await?
        .ok_or_else(|| AppError::not_found("initiative", &live.spec.initiative, ""))?;
    let newest = value_version::newest(&mut connection, &live.spec.initiative, &initiative.value).await?;
    let stored = greenlight_store::ledger::statistics(&mut connection, endpoint, None).await?;
    let (from, until) = span(&stored, &cursor, request)?;
    refuse_erased(&mut connection, endpoint, (from, until)).await?;
    let before = Valuer::load(&mut connection, &live).await?;
    drop(connection);
    let after = before.restated((from, until), (newest.version, &newest.spec))?;
    let asked = Asked {
        outcome: initiative.value.outcome.clone(),
        from,
        until,
        segment: cursor.outcome_segment,
        since: None,
        reads: after.reads(),
        distinct: false,
    };
    let fresh = valuation::sum(app, &std::sync::Arc::new(after), asked).await?;
    let stored: Vec<StatisticRow> = stored
        .into_iter()
        .filter(|row| (from.day()..last_day(until)).contains(&row.statistics.day))
        .collect();
    let changes = differences(&stored, &fresh.rows)?;
    let (gross_before, incremental_before) = money(&stored);
    let (gross_after, incremental_after) = money(&fresh.rows);
    let mut restated = Restated {
        endpoint: endpoint.to_owned(),
        version: newest.version,
        settle_run: None,
        from,
        until,
        predictions: fresh.predictions,
        gross_before_minor: gross_before,
        gross_after_minor: gross_after,
        incremental_before_minor: incremental_before,
        incremental_after_minor: incremental_after,
        currency: live.value.currency,
    };
    if !request.dry_run {
        let run = cursor.run + 1;
        // Without an end, what has not matured yet is counted by the newest version too.
        let end = request.until.map(|_| until);
        let periods = taken_over(before.periods(), (from, end), newest.version);
        book(app, actor, (&cursor, &periods), &restated, (reason, &changes)).await?;
        restated.settle_run = Some(run);
    }
    Ok(restated)
}

fn reason_of(request: &Restate) -> Result<&str, AppError> {
    let reason = request.reason.trim();
    if reason.is_empty() || reason.len() > MAX_REASON {
        return Err(AppError::Invalid(format!("reason: say why, in at most {MAX_REASON} bytes")));
    }
    Ok(reason)
}

/// The day after the last one that lies before `until`, whole or in part.
fn last_day(until: Micros) -> i32 {
    Micros(until.0.saturating_sub(1)).day() + 1
}

/// From when until when: whole days, but for the end of what is settled.
fn span(
    stored: &[StatisticRow],
    cursor: &SettleCursor,
    request: &Restate,
) -> Result<(Micros, Micros), AppError> {
    let Some(first) = stored.first() else {
        return Err(AppError::Conflict("nothing is settled yet, so there is nothing to restate".to_owned()));
    };
    let first = Micros::from_day(first.statistics.day);
    let from = request.from.map_or(first, |from| Micros::from_day(from.day()).max(first));
    let until = request.until.map_or(cursor.settled_until, |until| Micros::from_day(until.day()));
    let until = until.min(cursor.settled_until);
    if from < until {
        return Ok((from, until));
    }
    let (first, settled) = (first.date(), cursor.settled_until.date());
    Err(AppError::Invalid(format!(
        "nothing of these days is settled; what is goes from {first} to {settled}"
    )))
}

/// What is erased cannot be valued again.
async fn refuse_erased(
    connection: &mut Connection,
    endpoint: &str,
    (from, until): (Micros, Micros),
) -> Result<(), AppError> {
    let erased = greenlight_store::ledger::erased(connection, endpoint).await?;
    let within = |&&(first, last): &&(i32, i32)| first < last_day(until) && last >= from.day();
    let Some((first, last)) = erased.iter().find(within) else { return Ok(()) };
    let date = |day: i32| Micros::from_day(day).date();
    Err(AppError::Conflict(format!(
        "predictions of {} to {} were erased or kept for long enough, so they cannot be valued again; restate the days \
         before or after",
        date((*first).max(from.day())),
        date((*last).min(last_day(until) - 1))
    )))
}

type Key = (i32, String, &'static str, u8);

fn keyed(rows: &[StatisticRow]) -> BTreeMap<Key, &StatisticRow> {
    let key = |row: &StatisticRow| {
        (row.statistics.day, row.release.clone(), row.variant.as_str(), row.champion_percent)
    };
    rows.iter().map(|row| (key(row), row)).collect()
}

/// What has to be added to the stored statistics for them to be the fresh ones.
fn differences(stored: &[StatisticRow], fresh: &[StatisticRow]) -> Result<Vec<StatisticRow>, AppError> {
    let (stored, fresh) = (keyed(stored), keyed(fresh));
    let disagree = || {
        AppError::Conflict(
            "the log does not hold the predictions that are booked; see 'greenlight ledger verify'"
                .to_owned(),
        )
    };
    if !stored.keys().eq(fresh.keys()) {
        return Err(disagree());
    }
    let mut changes = Vec::new();
    for (new, old) in fresh.values().zip(stored.values()) {
        let (new_day, old_day) = (&new.statistics, &old.statistics);
        if (new_day.units, new_day.positives) != (old_day.units, old_day.positives) {
            return Err(disagree());
        }
        if new_day == old_day {
            continue;
        }
        let statistics = DayStatistics {
            day: new_day.day,
            gross_minor: new_day.gross_minor.saturating_sub(old_day.gross_minor),
            earned_sum: new_day.earned_sum - old_day.earned_sum,
            earned_sum_squares: new_day.earned_sum_squares - old_day.earned_sum_squares,
            earned_micros: new_day.earned_micros.saturating_sub(old_day.earned_micros),
            value_sum_squares: new_day.value_sum_squares - old_day.value_sum_squares,
            ..DayStatistics::default()
        };
        changes.push(StatisticRow { statistics, ..(*new).clone() });
    }
    Ok(changes)
}

/// Gross and incremental money of rows: what their postings add up to.
fn money(rows: &[StatisticRow]) -> (i64, i64) {
    let mut earned: BTreeMap<(&str, i32), i64> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.release.is_empty()) {
        let sum = earned.entry((&row.release, row.statistics.day)).or_default();
        *sum = sum.saturating_add(row.statistics.earned_micros);
    }
    let gross = rows.iter().fold(0_i64, |sum, row| sum.saturating_add(row.statistics.gross_minor));
    (gross, earned.into_values().map(minor_of_micros).fold(0, i64::saturating_add))
}

async fn book(
    app: &App,
    actor: &Actor,
    (before, periods): (&SettleCursor, &[greenlight_domain::value_model::Period]),
    restated: &Restated,
    (reason, changes): (&str, &[StatisticRow]),
) -> Result<(), AppError> {
    let endpoint = restated.endpoint.as_str();
    let after = SettleCursor { run: before.run + 1, ..*before };
    let mut transaction = app.store.begin().await?;
    if !greenlight_store::endpoint::advance_cursor(&mut transaction, endpoint, before, &after).await? {
        return Err(AppError::Conflict(format!("{endpoint} was settled meanwhile; nothing was restated")));
    }
    for row in changes {
        greenlight_store::ledger::add_statistics(&mut transaction, endpoint, row).await?;
    }
    let rows: Vec<&StatisticRow> = changes.iter().collect();
    let mut postings = gross_of(endpoint, after.run, &rows);
    postings.extend(earned_of(&mut transaction, endpoint, after.run, &rows).await?);
    post_all(app, &mut transaction, &postings, restated.currency).await?;
    greenlight_store::value_version::set_periods(&mut transaction, endpoint, periods).await?;
    let note = Restatement {
        settle_run: after.run,
        version: restated.version,
        from: restated.from,
        until: restated.until,
        reason: reason.to_owned(),
        gross_change_minor: restated.gross_after_minor.saturating_sub(restated.gross_before_minor),
        incremental_change_minor: restated
            .incremental_after_minor
            .saturating_sub(restated.incremental_before_minor),
        at: app.clock.now(),
        by: actor.name.clone(),
    };
    greenlight_store::value_version::restated(&mut transaction, endpoint, &note).await?;
    app.audit(&mut transaction, actor, "ledger.restate", endpoint, json!(note)).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}
