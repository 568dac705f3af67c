//! Reconciling the ledger: what is booked of each day against a recomputation from the raw events, to the cent.
//!
//! The recomputation takes the same predictions, the newest outcomes that were settled and the value models that count them, and
//! knows nothing of what settle runs did before. It reads a day at a time and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use greenlight_domain::evidence::Grade;
use greenlight_domain::ledger::{DayStatistics, PostingKind, minor_of_micros};
use greenlight_domain::money::Currency;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::Micros;
use greenlight_store::Connection;
use greenlight_store::ledger::StatisticRow;
use serde::{Deserialize, Serialize};

use crate::lake::Asked;
use crate::live::LiveEndpoint;
use crate::valuation;
use crate::value_version::Valuer;
use crate::{App, AppError, allow};

/// Most differences of an answer; all are counted.
const MAX_DIFFERENCES: usize = 1_000;

/// Which days to reconcile.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Days {
    /// From the beginning of the day that holds this moment; from the first one when absent.
    pub from: Option<Micros>,
    /// Until the beginning of that day; until the last settled one when absent.
    pub until: Option<Micros>,
}

/// Something that is not booked as it comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Day of the predictions.
    pub day: String,
    /// Release; empty when none was rolling out.
    pub release: String,
    /// Variant; empty for money that is a comparison of variants.
    pub variant: String,
    /// Percent of units that got the champion; 0 when none was rolling out, and for postings.
    pub champion_percent: u8,
    /// Which figure: `gross_minor` and `incremental_minor` of postings, the others of daily statistics.
    pub what: &'static str,
    /// What the ledger says.
    pub booked: i64,
    /// What comes out of the raw events.
    pub recomputed: i64,
}

/// The ledger of an endpoint against its raw events.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reconciliation {
    /// Endpoint.
    pub endpoint: String,
    /// The first day that was compared.
    pub from: Option<Micros>,
    /// Until when.
    pub until: Micros,
    /// Days with a prediction or a booking.
    pub days: u64,
    /// Days that cannot be computed anew, because something of them was erased or kept for long enough.
    pub erased_days: u64,
    /// Predictions that were valued again.
    pub predictions: u64,
    /// Gross money of these days as it is booked, minor units.
    pub gross_minor: i64,
    /// Incremental money of these days as it is booked, minor units.
    pub incremental_minor: i64,
    /// Which money.
    pub currency: Currency,
    /// How the incremental money is known.
    pub grade: Grade,
    /// What does not agree, at most 1,000.
    pub differences: Vec<Difference>,
    /// How much does not agree.
    pub differences_count: u64,
}

impl Reconciliation {
    fn empty(live: &LiveEndpoint, until: Micros) -> Self {
        Self {
            endpoint: live.name.to_string(),
            from: None,
            until,
            days: 0,
            erased_days: 0,
            predictions: 0,
            gross_minor: 0,
            incremental_minor: 0,
            currency: live.value.currency,
            grade: Grade::A,
            differences: Vec::new(),
            differences_count: 0,
        }
    }

    fn compare(&mut self, at: &Difference, what: &'static str, booked: i64, recomputed: i64) {
        if booked == recomputed {
            return;
        }
        self.differences_count += 1;
        if self.differences.len() < MAX_DIFFERENCES {
            self.differences.push(Difference { what, booked, recomputed, ..at.clone() });
        }
    }
}

/// Computes the ledger of an endpoint anew from its raw events and compares it with what is booked.
pub async fn reconcile(
    app: &App,
    actor: &Actor,
    endpoint: &str,
    days: Days,
) -> Result<Reconciliation, AppError> {
    allow(actor, Action::Audit)?;
    let missing = || AppError::not_found("endpoint", endpoint, "list them with 'greenlight endpoint list'");
    let live = app.live.get(endpoint).ok_or_else(missing)?;
    // Nothing is booked meanwhile, as far as this server goes; another one moves the cursor, which is looked at again.
    let lock = app.settle_lock(endpoint).await;
    let _nothing_is_settled = lock.lock().await;
    let sealed = app.lake.seal(endpoint).await?;
    let mut connection = app.store.read().await?;
    let cursor = greenlight_store::endpoint::cursor(&mut connection, endpoint).await?.ok_or_else(missing)?;
    if sealed > cursor.outcome_segment {
        return Err(AppError::Conflict(format!(
            "outcomes have arrived since the last settle; run 'greenlight endpoint settle {endpoint}' and verify again"
        )));
    }
    let initiative = greenlight_store::initiative::get(&mut connection, &live.spec.initiative)
        .await?
        .ok_or_else(|| AppError::not_found("initiative", &live.spec.initiative, ""))?;
    let valuer = Arc::new(Valuer::load(&mut connection, &live).await?);
    let stored = greenlight_store::ledger::statistics(&mut connection, endpoint, None).await?;
    let until = days.until.map_or(cursor.settled_until, |until| Micros::from_day(until.day()));
    let mut found = Reconciliation::empty(&live, until.min(cursor.settled_until));
    let booked_first = stored.first().map_or(found.until, |row| Micros::from_day(row.statistics.day));
    let asked_first = days.from.map_or(Micros(i64::MIN), |from| Micros::from_day(from.day()));
    found.from = Some(booked_first.max(asked_first));
    let outcome = (initiative.value.outcome.as_str(), cursor.outcome_segment);
    let mut by_day: BTreeMap<i32, Vec<StatisticRow>> = BTreeMap::new();
    for row in stored {
        by_day.entry(row.statistics.day).or_default().push(row);
    }
    if asked_first < booked_first.min(found.until) {
        // What lies before the first day that is booked would be missing from the ledger altogether.
        let before = (asked_first, booked_first.min(found.until));
        reconcile_day(app, &valuer, outcome, before, &[], &mut found).await?;
    }
    let mut day = booked_first.max(asked_first).day();
    let erased = greenlight_store::ledger::erased(&mut connection, endpoint).await?;
    while Micros::from_day(day) < found.until {
        if erased.iter().any(|(first, last)| (*first..=*last).contains(&day)) {
            found.erased_days += 1;
            day += 1;
            continue;
        }
        let range = (Micros::from_day(day), Micros::from_day(day + 1).min(found.until));
        let stored = by_day.remove(&day).unwrap_or_default();
        let units = reconcile_day(app, &valuer, outcome, range, &stored, &mut found).await?;
        postings_of_day(&mut connection, endpoint, (day, units), &mut found).await?;
        day += 1;
    }
    let now = greenlight_store::endpoint::cursor(&mut connection, endpoint).await?.ok_or_else(missing)?;
    if now.run != cursor.run {
        return Err(AppError::Conflict(format!("{endpoint} was settled meanwhile; verify again")));
    }
    Ok(found)
}

type Key = (String, String, u8);

/// Values the predictions of a range again and compares the statistics; what comes out, for the postings.
async fn reconcile_day(
    app: &App,
    valuer: &Arc<Valuer>,
    (outcome, segment): (&str, i64),
    (from, until): (Micros, Micros),
    stored: &[StatisticRow],
    found: &mut Reconciliation,
) -> Result<Vec<StatisticRow>, AppError> {
    let asked = Asked {
        outcome: outcome.to_owned(),
        from,
        until,
        segment,
        since: None,
        reads: valuer.reads(),
        distinct: false,
    };
    let valuation::Sums { rows: fresh, predictions } = valuation::sum(app, valuer, asked).await?;
    found.predictions += predictions;
    found.days += u64::from(!fresh.is_empty() || !stored.is_empty());
    let keyed = |rows: &[StatisticRow]| -> BTreeMap<(i32, Key), DayStatistics> {
        rows.iter()
            .map(|row| {
                let key = (row.release.clone(), row.variant.as_str().to_owned(), row.champion_percent);
                ((row.statistics.day, key), row.statistics.clone())
            })
            .collect()
    };
    let (booked, recomputed) = (keyed(stored), keyed(&fresh));
    let keys: BTreeSet<_> = booked.keys().chain(recomputed.keys()).collect();
    for (day, (release, variant, champion_percent)) in keys.iter().copied() {
        let key = (*day, (release.clone(), variant.clone(), *champion_percent));
        let (old, new) = (booked.get(&key).cloned(), recomputed.get(&key).cloned());
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let at = at(*day, release, variant, *champion_percent);
        for (what, booked, recomputed) in [
            ("units", old.units, new.units),
            ("positives", old.positives, new.positives),
            ("randomised", old.randomised, new.randomised),
            ("errors", old.errors, new.errors),
            ("gross", old.gross_minor, new.gross_minor),
            ("earned_micros", old.earned_micros, new.earned_micros),
        ] {
            found.compare(&at, what, booked, recomputed);
        }
    }
    Ok(fresh)
}

fn at(day: i32, release: &str, variant: &str, champion_percent: u8) -> Difference {
    Difference {
        day: Micros::from_day(day).date().to_string(),
        release: release.to_owned(),
        variant: variant.to_owned(),
        champion_percent,
        what: "",
        booked: 0,
        recomputed: 0,
    }
}

/// Compares the postings of a day with the money that came out.
async fn postings_of_day(
    connection: &mut Connection,
    endpoint: &str,
    (day, fresh): (i32, Vec<StatisticRow>),
    found: &mut Reconciliation,
) -> Result<(), AppError> {
    // Gross by release and variant, incremental by release.
    let mut money: BTreeMap<(&'static str, String, String), (i64, i64)> = BTreeMap::new();
    let mut earned: BTreeMap<String, i64> = BTreeMap::new();
    for row in &fresh {
        let key = ("gross_minor", row.release.clone(), row.variant.as_str().to_owned());
        let sum = &mut money.entry(key).or_default().1;
        *sum = sum.saturating_add(row.statistics.gross_minor);
        if !row.release.is_empty() {
            let sum = earned.entry(row.release.clone()).or_default();
            *sum = sum.saturating_add(row.statistics.earned_micros);
        }
    }
    for (release, micros) in earned {
        money.entry(("incremental_minor", release, String::new())).or_default().1 = minor_of_micros(micros);
    }
    for (kind, release, variant, booked) in
        greenlight_store::ledger::booked(connection, endpoint, day).await?
    {
        let what = match kind {
            PostingKind::Gross => {
                found.gross_minor += booked;
                "gross_minor"
            }
            PostingKind::Incremental => {
                found.incremental_minor += booked;
                "incremental_minor"
            }
            // What it cost is asserted, not computed from events.
            PostingKind::Cost => continue,
        };
        money.entry((what, release, variant)).or_default().0 = booked;
    }
    for ((what, release, variant), (booked, recomputed)) in money {
        found.compare(&at(day, &release, &variant, 0), what, booked, recomputed);
    }
    Ok(())
}
