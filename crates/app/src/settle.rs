//! Settling: matured predictions meet their outcomes and become money, incrementally and exactly once.
//!
//! A run first records what it sets out to do, then writes its settlements to the lake under its number, then adds
//! their statistics and postings and moves the cursor in one SQL transaction. Cut off at any point, the next settle
//! finishes the same run with the same range, and each of the three steps takes place once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use greenlight_domain::cost;
use greenlight_domain::evidence::Grade;
use greenlight_domain::frame::Frame;
use greenlight_domain::ledger::{
    DayStatistics, Posting, PostingKind, earned_micros, earned_minor, minor_of_micros,
};
use greenlight_domain::prediction::Variant;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::Micros;
use greenlight_domain::value_model::{ValueModel, Valued};
use greenlight_store::endpoint::{SettleCursor, SettleIntent};
use greenlight_store::ledger::StatisticRow;
use greenlight_store::{StoreError, Transaction};
use serde::Serialize;
use serde_json::json;

use crate::audit::new_id;
use crate::lake::{JoinedRow, Reversed, Settlement};
use crate::live::LiveEndpoint;
use crate::{App, AppError, allow};

/// What a settle did.
#[derive(Debug, Clone, Serialize)]
pub struct Settled {
    /// Number of the run.
    pub run: i64,
    /// Predictions before this event time are settled now.
    pub settled_until: Micros,
    /// Predictions that matured in this run.
    pub matured: usize,
    /// Predictions that a late or revised outcome corrected.
    pub corrected: usize,
}

/// Settles an endpoint as far as its outcomes have matured.
pub async fn settle(app: &App, actor: &Actor, endpoint: &str) -> Result<Settled, AppError> {
    allow(actor, Action::Record)?;
    let live = app.live.get(endpoint).ok_or_else(|| {
        AppError::not_found("endpoint", endpoint, "list them with 'greenlight endpoint list'")
    })?;
    let lock = app.settle_lock(endpoint).await;
    let _one_at_a_time = lock.lock().await;
    let (before, intent, initiative) = match set_out(app, &live, endpoint).await? {
        Task::Run(before, intent, initiative) => (before, intent, *initiative),
        Task::Nothing(cursor) => {
            let (run, settled_until) = (cursor.run, cursor.settled_until);
            return Ok(Settled { run, settled_until, matured: 0, corrected: 0 });
        }
    };
    let resumed = app.lake.settlements_of(endpoint, intent.run).await?;
    let settlements = if let Some(written) = resumed {
        written
    } else {
        let valued = value_all(app, &live, &initiative.value.outcome, &before, &intent).await?;
        if !valued.is_empty() {
            app.lake.write_settlements(endpoint, intent.run, &valued).await?;
        }
        valued
    };
    let corrected = settlements.iter().filter(|s| s.reverses.is_some()).count();
    let matured = settlements.len() - corrected;
    book(app, actor, &live, &initiative.costs, (&before, &intent), &settlements).await?;
    // The endpoint may have been published anew meanwhile.
    for published in app.live.get(endpoint).iter().chain([&live]) {
        published.settled_until.fetch_max(intent.until.0, Ordering::SeqCst);
    }
    Ok(Settled { run: intent.run, settled_until: intent.until.max(before.settled_until), matured, corrected })
}

enum Task {
    Run(SettleCursor, SettleIntent, Box<greenlight_domain::initiative::InitiativeSpec>),
    Nothing(SettleCursor),
}

/// Reads how far the endpoint is settled and records what this run will do, unless a run was cut off.
async fn set_out(app: &App, live: &LiveEndpoint, endpoint: &str) -> Result<Task, AppError> {
    let missing = || AppError::not_found("endpoint", endpoint, "");
    let sealed = app.lake.seal(endpoint).await?;
    let mut transaction = app.store.begin().await?;
    let cursor = greenlight_store::endpoint::cursor(&mut transaction, endpoint).await?.ok_or_else(missing)?;
    let pending =
        greenlight_store::endpoint::intent(&mut transaction, endpoint).await?.ok_or_else(missing)?;
    let initiative = greenlight_store::initiative::get(&mut transaction, &live.spec.initiative)
        .await?
        .ok_or_else(|| AppError::not_found("initiative", &live.spec.initiative, ""))?;
    if pending.run == cursor.run + 1 {
        return Ok(Task::Run(cursor, pending, Box::new(initiative)));
    }
    // In a replay the events carry their own time, and the newest outcome tells how late it is.
    let now = if live.spec.event_time.is_some() { cursor.watermark } else { app.clock.now() };
    let until = now.plus_days(-i64::from(initiative.value.window_days)).max(cursor.settled_until);
    if until == cursor.settled_until && sealed <= cursor.outcome_segment {
        return Ok(Task::Nothing(cursor));
    }
    let intent = SettleIntent { run: cursor.run + 1, until, segment: sealed };
    greenlight_store::endpoint::intend(&mut transaction, endpoint, &intent).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(Task::Run(cursor, intent, Box::new(initiative)))
}

async fn value_all(
    app: &App,
    live: &LiveEndpoint,
    outcome: &str,
    before: &SettleCursor,
    intent: &SettleIntent,
) -> Result<Vec<Settlement>, AppError> {
    let mut settlements = Vec::new();
    if intent.until > before.settled_until {
        let batches = app.lake.matured(&live.name, outcome, before.settled_until, intent.until).await?;
        for batch in &batches {
            for (index, row) in batch.rows.iter().enumerate() {
                settlements.push(value_row(live, &batch.features, index, row, None)?);
            }
        }
    }
    if intent.segment > before.outcome_segment && before.settled_until > Micros(0) {
        let late = app.lake.late(&live.name, outcome, before.settled_until, before.outcome_segment).await?;
        for (index, late_row) in late.rows.iter().enumerate() {
            let old = &late_row.settled;
            let reversed = Reversed {
                value_minor: old.value_minor,
                earned_minor: old.earned_minor,
                positive: old.positive,
            };
            let new = value_row(live, &late.features, index, &late_row.row, Some(reversed))?;
            if new.value_minor != old.value_minor || new.positive != old.positive {
                settlements.push(new);
            }
        }
    }
    Ok(settlements)
}

pub(crate) fn value_row(
    live: &LiveEndpoint,
    features: &Frame,
    index: usize,
    row: &JoinedRow,
    reverses: Option<Reversed>,
) -> Result<Settlement, AppError> {
    // An outcome that did not come within the window did not happen.
    let outcome = row.outcome.unwrap_or(0.0);
    let value_minor = value_of(&live.value, features, index, row, outcome)?;
    // What a challenger earns against the champion is a comparison of its own.
    let compared = row.variant != Variant::Challenger;
    let randomised =
        compared && row.release.is_some() && row.champion_propensity > 0.0 && row.champion_propensity < 1.0;
    let earned = if randomised {
        // Without a decision of the champion it failed, and both arms got the holdout rule: nothing differed.
        let agree = row
            .champion_decision
            .as_deref()
            .is_none_or(|decision| decision == live.holdout_decision.as_ref());
        Some(earned_minor(row.variant, row.champion_propensity, agree, value_minor)?)
    } else {
        None
    };
    Ok(Settlement {
        id: row.id,
        day: row.at.day(),
        variant: row.variant,
        release: row.release.clone(),
        value_minor,
        earned_minor: earned,
        positive: outcome > 0.0,
        failed: row.failed,
        champion_percent: (row.champion_propensity * 100.0).round() as u8,
        reverses,
    })
}

fn value_of(
    value: &ValueModel,
    features: &Frame,
    index: usize,
    row: &JoinedRow,
    outcome: f64,
) -> Result<i64, AppError> {
    let valued = Valued {
        frame: features,
        row: index,
        probability: row.probability,
        decision: &row.decision,
        outcome,
    };
    Ok(value.value_minor(valued)?)
}

/// Statistics by release, variant, split and day.
pub(crate) fn summarise(settlements: &[Settlement]) -> Vec<StatisticRow> {
    let mut rows: BTreeMap<(String, Variant, u8, i32), DayStatistics> = BTreeMap::new();
    for settled in settlements {
        let release = settled.release.as_deref().unwrap_or("").to_owned();
        let key = (release, settled.variant, settled.champion_percent, settled.day);
        let day =
            rows.entry(key).or_insert_with(|| DayStatistics { day: settled.day, ..DayStatistics::default() });
        let old = settled.reverses;
        let is_new = i64::from(old.is_none());
        day.units += is_new;
        day.errors += is_new * i64::from(settled.failed);
        day.positives += i64::from(settled.positive) - i64::from(old.is_some_and(|o| o.positive));
        let change = settled.value_minor.saturating_sub(old.map_or(0, |o| o.value_minor));
        day.gross_minor = day.gross_minor.saturating_add(change);
        if let Some(earned) = settled.earned_minor {
            let before = old.and_then(|o| o.earned_minor).unwrap_or(0.0);
            day.randomised += is_new;
            day.earned_sum += earned - before;
            let exact = earned_micros(earned).saturating_sub(earned_micros(before));
            day.earned_micros = day.earned_micros.saturating_add(exact);
            day.earned_sum_squares += earned * earned - before * before;
        }
    }
    rows.into_iter()
        .map(|((release, variant, champion_percent, _), statistics)| StatisticRow {
            release,
            variant,
            champion_percent,
            statistics,
        })
        .collect()
}

async fn book(
    app: &App,
    actor: &Actor,
    live: &LiveEndpoint,
    costs: &[cost::CostLine],
    (before, intent): (&SettleCursor, &SettleIntent),
    settlements: &[Settlement],
) -> Result<(), AppError> {
    let rows = summarise(settlements);
    let first_day = settlements.iter().map(|s| s.day).min();
    let cost_from = match (before.cost_until, first_day) {
        (Micros(0), Some(day)) => Micros::from_day(day),
        (since, _) => since,
    };
    let cost_until =
        if cost_from == Micros(0) { Micros(0) } else { Micros::from_day(intent.until.day()).max(cost_from) };
    let after = SettleCursor {
        settled_until: intent.until.max(before.settled_until),
        run: intent.run,
        outcome_segment: intent.segment.max(before.outcome_segment),
        cost_until,
        ..*before
    };
    let new = settlements.iter().filter(|s| s.reverses.is_none()).count() as u64;
    let days = u32::try_from(cost_until.day() - cost_from.day()).unwrap_or(0);
    let mut postings = gross_of(&live.name, intent.run, &rows);
    let cost_minor = cost::accrue(costs, days, new);
    if cost_minor != 0 {
        postings.push(Posting {
            endpoint: live.name.to_string(),
            release: None,
            variant: None,
            day: cost_until.day() - 1,
            kind: PostingKind::Cost,
            amount_minor: -cost_minor,
            grade: Grade::D,
            settle_run: intent.run,
        });
    }
    let mut transaction = app.store.begin().await?;
    if !greenlight_store::endpoint::advance_cursor(&mut transaction, &live.name, before, &after).await? {
        return Err(AppError::Conflict(format!(
            "another instance settled {} meanwhile; nothing was booked",
            live.name
        )));
    }
    for row in &rows {
        greenlight_store::ledger::add_statistics(&mut transaction, &live.name, row).await?;
    }
    postings.extend(earned_of(&mut transaction, &live.name, intent.run, &rows).await?);
    for posting in &postings {
        let now = app.clock.now();
        greenlight_store::ledger::post(&mut transaction, &new_id(), posting, live.value.currency, now)
            .await?;
    }
    let detail = json!({ "run": intent.run, "until": after.settled_until, "rows": settlements.len() });
    app.audit(&mut transaction, actor, "ledger.settle", &live.name, detail).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Gross money by release, variant and day.
fn gross_of(endpoint: &str, run: i64, rows: &[StatisticRow]) -> Vec<Posting> {
    let mut gross: BTreeMap<(&str, Variant, i32), i64> = BTreeMap::new();
    for row in rows {
        let sum = gross.entry((&row.release, row.variant, row.statistics.day)).or_default();
        *sum = sum.saturating_add(row.statistics.gross_minor);
    }
    gross
        .into_iter()
        .filter(|(_, minor)| *minor != 0)
        .map(|((release, variant, day), amount_minor)| Posting {
            endpoint: endpoint.to_owned(),
            release: (!release.is_empty()).then(|| release.to_owned()),
            variant: Some(variant),
            day,
            kind: PostingKind::Gross,
            amount_minor,
            grade: Grade::A,
            settle_run: run,
        })
        .collect()
}

/// What each release earned on the days of this run, less what is booked already: the postings of a day always add up to
/// the day's earnings rounded once, however many runs wrote them.
async fn earned_of(
    transaction: &mut Transaction,
    endpoint: &str,
    run: i64,
    rows: &[StatisticRow],
) -> Result<Vec<Posting>, AppError> {
    let touched: BTreeSet<(&str, i32)> = rows
        .iter()
        .filter(|row| !row.release.is_empty())
        .map(|row| (row.release.as_str(), row.statistics.day))
        .collect();
    let mut postings = Vec::new();
    for (release, day) in touched {
        let (micros, booked) = greenlight_store::ledger::earned(transaction, endpoint, release, day).await?;
        let amount_minor = minor_of_micros(micros).saturating_sub(booked);
        if amount_minor != 0 {
            postings.push(Posting {
                endpoint: endpoint.to_owned(),
                release: Some(release.to_owned()),
                variant: None,
                day,
                kind: PostingKind::Incremental,
                amount_minor,
                grade: Grade::A,
                settle_run: run,
            });
        }
    }
    Ok(postings)
}
