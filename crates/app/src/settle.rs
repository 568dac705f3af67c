//! Settling: matured predictions meet their outcomes and become money, incrementally and exactly once.
//!
//! A run adds up what matured since the last one, and what new outcomes change about earlier predictions, from the sealed
//! log. Then one SQL transaction adds the statistics, writes the postings and moves the cursor from where the run began.
//! Cut off before that, nothing has happened; the next run says the same. Two runs at once cannot both move the cursor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use greenlight_domain::cost;
use greenlight_domain::evidence::Grade;
use greenlight_domain::initiative::InitiativeSpec;
use greenlight_domain::ledger::{Posting, PostingKind, minor_of_micros};
use greenlight_domain::money::Currency;
use greenlight_domain::prediction::Variant;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::Micros;
use greenlight_store::endpoint::SettleCursor;
use greenlight_store::ledger::StatisticRow;
use greenlight_store::{StoreError, Transaction};
use serde::Serialize;
use serde_json::json;

use crate::audit::new_id;
use crate::lake::Asked;
use crate::live::LiveEndpoint;
use crate::valuation::{self, Sums};
use crate::value_version::Valuer;
use crate::{App, AppError, allow};

/// What a settle did.
#[derive(Debug, Clone, Serialize)]
pub struct Settled {
    /// Number of the run.
    pub run: i64,
    /// Predictions before this event time are settled now.
    pub settled_until: Micros,
    /// Predictions that matured in this run.
    pub matured: u64,
    /// Predictions that a late or revised outcome corrected.
    pub corrected: u64,
}

/// Settles an endpoint as far as its outcomes have matured.
pub async fn settle(app: &App, actor: &Actor, endpoint: &str) -> Result<Settled, AppError> {
    allow(actor, Action::Record)?;
    let live = app.live.get(endpoint).ok_or_else(|| {
        AppError::not_found("endpoint", endpoint, "list them with 'greenlight endpoint list'")
    })?;
    let lock = app.settle_lock(endpoint).await;
    let _one_at_a_time = lock.lock().await;
    let Some(run) = set_out(app, &live).await? else {
        let cursor = cursor_of(app, endpoint).await?;
        return Ok(Settled {
            run: cursor.run,
            settled_until: cursor.settled_until,
            matured: 0,
            corrected: 0,
        });
    };
    let sums = run.sum(app, &run.valuer).await?;
    book(app, actor, &live, &run, &sums).await?;
    // The endpoint may have been published anew meanwhile.
    for published in app.live.get(endpoint).iter().chain([&live]) {
        published.settled_until.fetch_max(run.after.settled_until.0, Ordering::SeqCst);
    }
    Ok(Settled {
        run: run.after.run,
        settled_until: run.after.settled_until,
        matured: sums.matured.predictions,
        corrected: sums.corrected.predictions,
    })
}

/// One settle run.
struct Run {
    before: SettleCursor,
    after: SettleCursor,
    initiative: InitiativeSpec,
    valuer: Arc<Valuer>,
}

/// What a run found.
struct Found {
    matured: Sums,
    corrected: Sums,
}

async fn cursor_of(app: &App, endpoint: &str) -> Result<SettleCursor, AppError> {
    let mut connection = app.store.read().await?;
    greenlight_store::endpoint::cursor(&mut connection, endpoint)
        .await?
        .ok_or_else(|| AppError::not_found("endpoint", endpoint, ""))
}

/// Reads how far the endpoint is settled and how far it can be; `None` when there is nothing to do.
async fn set_out(app: &App, live: &Arc<LiveEndpoint>) -> Result<Option<Run>, AppError> {
    let sealed = app.lake.seal(&live.name).await?;
    let before = cursor_of(app, &live.name).await?;
    let mut connection = app.store.read().await?;
    let initiative = greenlight_store::initiative::get(&mut connection, &live.spec.initiative)
        .await?
        .ok_or_else(|| AppError::not_found("initiative", &live.spec.initiative, ""))?;
    // In a replay the events carry their own time, and the newest outcome tells how late it is.
    let now = if live.spec.event_time.is_some() { before.watermark } else { app.clock.now() };
    let until = now.plus_days(-i64::from(initiative.value.window_days)).max(before.settled_until);
    if until == before.settled_until && sealed <= before.outcome_segment {
        return Ok(None);
    }
    let after = SettleCursor {
        settled_until: until,
        run: before.run + 1,
        outcome_segment: sealed.max(before.outcome_segment),
        ..before
    };
    let valuer = Arc::new(Valuer::load(&mut connection, live).await?);
    Ok(Some(Run { before, after, initiative, valuer }))
}

impl Run {
    async fn sum(&self, app: &App, valuer: &Arc<Valuer>) -> Result<Found, AppError> {
        let matured = Asked {
            outcome: self.initiative.value.outcome.clone(),
            from: self.before.settled_until,
            until: self.after.settled_until,
            segment: self.after.outcome_segment,
            since: None,
            reads: valuer.reads(),
            distinct: false,
        };
        let changed = Asked {
            from: Micros(0),
            until: self.before.settled_until,
            since: Some(self.before.outcome_segment),
            ..matured.clone()
        };
        let mut corrected = Sums::default();
        if self.after.outcome_segment > self.before.outcome_segment {
            corrected = valuation::sum(app, valuer, changed).await?;
        }
        Ok(Found { matured: valuation::sum(app, valuer, matured).await?, corrected })
    }

    /// The cursor after this run, with the days for which costs are due now.
    fn costs_due(&self, matured: &Sums) -> (SettleCursor, u32) {
        let first_day = matured.rows.iter().map(|row| row.statistics.day).min();
        let from = match (self.before.cost_until, first_day) {
            (Micros(0), Some(day)) => Micros::from_day(day),
            (since, _) => since,
        };
        let until = if from == Micros(0) {
            Micros(0)
        } else {
            Micros::from_day(self.after.settled_until.day()).max(from)
        };
        let days = u32::try_from(until.day() - from.day()).unwrap_or(0);
        (SettleCursor { cost_until: until, ..self.after }, days)
    }
}

async fn book(
    app: &App,
    actor: &Actor,
    live: &LiveEndpoint,
    run: &Run,
    found: &Found,
) -> Result<(), AppError> {
    let rows: Vec<&StatisticRow> = found.matured.rows.iter().chain(&found.corrected.rows).collect();
    let (after, days) = run.costs_due(&found.matured);
    let mut postings = gross_of(&live.name, after.run, &rows);
    let cost_minor = cost::accrue(&run.initiative.costs, days, found.matured.predictions);
    if cost_minor != 0 {
        postings.push(Posting {
            endpoint: live.name.to_string(),
            release: None,
            variant: None,
            day: after.cost_until.day() - 1,
            kind: PostingKind::Cost,
            amount_minor: -cost_minor,
            grade: Grade::D,
            settle_run: after.run,
        });
    }
    let mut transaction = app.store.begin().await?;
    if !greenlight_store::endpoint::advance_cursor(&mut transaction, &live.name, &run.before, &after).await? {
        return Err(AppError::Conflict(format!(
            "another instance settled {} meanwhile; nothing was booked",
            live.name
        )));
    }
    for row in &rows {
        greenlight_store::ledger::add_statistics(&mut transaction, &live.name, row).await?;
    }
    postings.extend(earned_of(&mut transaction, &live.name, after.run, &rows).await?);
    post_all(app, &mut transaction, &postings, live.value.currency).await?;
    let predictions = found.matured.predictions + found.corrected.predictions;
    let detail = json!({ "run": after.run, "until": after.settled_until, "rows": predictions });
    app.audit(&mut transaction, actor, "ledger.settle", &live.name, detail).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Writes postings.
pub(crate) async fn post_all(
    app: &App,
    transaction: &mut Transaction,
    postings: &[Posting],
    currency: Currency,
) -> Result<(), AppError> {
    let now = app.clock.now();
    for posting in postings {
        greenlight_store::ledger::post(transaction, &new_id(), posting, currency, now).await?;
    }
    Ok(())
}

/// Gross money by release, variant and day.
pub(crate) fn gross_of(endpoint: &str, run: i64, rows: &[&StatisticRow]) -> Vec<Posting> {
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
pub(crate) async fn earned_of(
    transaction: &mut Transaction,
    endpoint: &str,
    run: i64,
    rows: &[&StatisticRow],
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
