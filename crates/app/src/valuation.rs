//! Valuing predictions with their outcomes and adding them up by release, variant, split and day.
//!
//! A sum is a function of the sealed events and the value models alone: asked twice, it says the same. It keeps the sums
//! and never the rows, so its memory does not grow with the log. Refuses to book anything.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use greenlight_domain::ledger::{DayStatistics, earned_micros, earned_minor};
use greenlight_domain::prediction::{PredictionId, Variant};
use greenlight_domain::time::Micros;
use greenlight_domain::value_model::Valued;
use greenlight_store::ledger::StatisticRow;
use serde::Serialize;

use crate::lake::{Asked, JoinedBatch, JoinedRow, LakeError};
use crate::value_version::Valuer;
use crate::{App, AppError};

/// What one prediction was worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Worth {
    /// By the value model, minor units.
    pub value_minor: i64,
    /// Its contribution to the money earned against the holdout, minor units; `None` when it was not randomised.
    pub earned_minor: Option<f64>,
    /// Whether an outcome other than 0 was seen.
    pub positive: bool,
}

/// Sums over predictions.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// By release, variant, split and day.
    pub(crate) rows: Vec<StatisticRow>,
    /// Predictions that were added, or whose worth changed when only changes were asked for.
    pub(crate) predictions: u64,
}

/// Adds up what is asked for. With [`Asked::since`], the sums are changes: what a prediction is worth now less what it
/// was worth then, and no unit is counted again.
pub(crate) async fn sum(app: &App, valuer: &Arc<Valuer>, asked: Asked) -> Result<Sums, AppError> {
    for distinct in [false, true] {
        let adder = Arc::new(Adder {
            valuer: Arc::clone(valuer),
            only_changes: asked.since.is_some(),
            sums: Mutex::default(),
            failure: Mutex::default(),
        });
        let taker = Arc::clone(&adder);
        let asked = Asked { distinct, ..asked.clone() };
        let joined =
            app.lake.joined(&valuer.live.name, &asked, Arc::new(move |batch| taker.take(&batch))).await;
        match joined {
            // Rare: a client that never got its answer sent again. Only then are ids remembered.
            Err(LakeError::Repeated(_)) if !distinct => {}
            Err(failure) => return Err(failure.into()),
            Ok(()) => return adder.finish(),
        }
    }
    Ok(Sums::default())
}

/// What the ledger says of one prediction, when it is settled: by the outcomes of segments up to `segment`.
pub(crate) async fn of_prediction(
    app: &App,
    valuer: Valuer,
    (outcome, segment): (&str, i64),
    (id, at): (PredictionId, Micros),
) -> Result<Option<Worth>, AppError> {
    let asked = Asked {
        outcome: outcome.to_owned(),
        from: at,
        until: Micros(at.0.saturating_add(1)),
        segment,
        since: None,
        reads: valuer.reads(),
        distinct: true,
    };
    let found: Arc<Mutex<Option<Result<Worth, AppError>>>> = Arc::default();
    let (slot, name) = (Arc::clone(&found), Arc::clone(&valuer.live.name));
    let take = move |batch: JoinedBatch| {
        let Some(index) = batch.rows.iter().position(|row| row.id == id) else {
            return ControlFlow::Continue(());
        };
        let row = &batch.rows[index];
        let worth = worth(&valuer, &batch, index, row.outcome);
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(worth);
        ControlFlow::Break(())
    };
    app.lake.joined(&name, &asked, Arc::new(take)).await?;
    let worth = found.lock().unwrap_or_else(PoisonError::into_inner).take();
    worth.transpose()
}

type Key = (Option<Arc<str>>, Variant, u8, i32);

/// Adds batches from several threads.
struct Adder {
    valuer: Arc<Valuer>,
    only_changes: bool,
    sums: Mutex<(BTreeMap<Key, DayStatistics>, u64)>,
    failure: Mutex<Option<AppError>>,
}

impl Adder {
    fn take(&self, batch: &JoinedBatch) -> ControlFlow<()> {
        match self.add(batch) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                ControlFlow::Break(())
            }
        }
    }

    fn add(&self, batch: &JoinedBatch) -> Result<(), AppError> {
        // A batch has few keys, and its neighbours share one.
        let mut local: Vec<(Key, DayStatistics)> = Vec::new();
        let mut predictions = 0;
        for (index, row) in batch.rows.iter().enumerate() {
            let new = worth(&self.valuer, batch, index, row.outcome)?;
            let mut old = None;
            if self.only_changes {
                let before = worth(&self.valuer, batch, index, row.outcome_before)?;
                if (before.value_minor, before.positive) == (new.value_minor, new.positive) {
                    continue;
                }
                old = Some(before);
            }
            predictions += 1;
            add_to(statistics_of(&mut local, row), row, new, old);
        }
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.1 += predictions;
        for (key, part) in local {
            let day = key.3;
            sums.0.entry(key).or_insert_with(|| DayStatistics { day, ..DayStatistics::default() }).add(&part);
        }
        Ok(())
    }

    fn finish(&self) -> Result<Sums, AppError> {
        if let Some(failure) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(failure);
        }
        let (rows, predictions) =
            std::mem::take(&mut *self.sums.lock().unwrap_or_else(PoisonError::into_inner));
        let rows = rows
            .into_iter()
            .map(|((release, variant, champion_percent, _), statistics)| StatisticRow {
                release: release.as_deref().unwrap_or("").to_owned(),
                variant,
                champion_percent,
                statistics,
            })
            .collect();
        Ok(Sums { rows, predictions })
    }
}

fn statistics_of<'a>(local: &'a mut Vec<(Key, DayStatistics)>, row: &JoinedRow) -> &'a mut DayStatistics {
    let (percent, day) = ((row.champion_propensity * 100.0).round() as u8, row.at.day());
    let found = local.iter().rposition(|((release, variant, split, on), _)| {
        (*on, *split, *variant) == (day, percent, row.variant) && *release == row.release
    });
    let at = found.unwrap_or_else(|| {
        let key = (row.release.clone(), row.variant, percent, day);
        local.push((key, DayStatistics { day, ..DayStatistics::default() }));
        local.len() - 1
    });
    &mut local[at].1
}

fn add_to(day: &mut DayStatistics, row: &JoinedRow, new: Worth, old: Option<Worth>) {
    let is_new = i64::from(old.is_none());
    day.units += is_new;
    day.errors += is_new * i64::from(row.failed);
    day.positives += i64::from(new.positive) - i64::from(old.is_some_and(|old| old.positive));
    let change = new.value_minor.saturating_sub(old.map_or(0, |old| old.value_minor));
    day.gross_minor = day.gross_minor.saturating_add(change);
    let square = |worth: Worth| (worth.value_minor as f64).powi(2);
    day.value_sum_squares += square(new) - old.map_or(0.0, square);
    if let Some(earned) = new.earned_minor {
        let before = old.and_then(|old| old.earned_minor).unwrap_or(0.0);
        day.randomised += is_new;
        day.earned_sum += earned - before;
        let exact = earned_micros(earned).saturating_sub(earned_micros(before));
        day.earned_micros = day.earned_micros.saturating_add(exact);
        day.earned_sum_squares += earned * earned - before * before;
    }
}

/// What one row of a batch is worth with that outcome.
fn worth(
    valuer: &Valuer,
    batch: &JoinedBatch,
    index: usize,
    outcome: Option<f64>,
) -> Result<Worth, AppError> {
    let row = &batch.rows[index];
    // An outcome that did not come within the window did not happen.
    let outcome = outcome.unwrap_or(0.0);
    let value_minor = valuer.at(row.at).value_minor(Valued {
        frame: &batch.features,
        row: index,
        probability: row.probability,
        decision: &row.decision,
        outcome,
    })?;
    // What a challenger earns against the champion is a comparison of its own.
    let compared = row.variant != Variant::Challenger;
    let randomised =
        compared && row.release.is_some() && row.champion_propensity > 0.0 && row.champion_propensity < 1.0;
    let earned_minor = if randomised {
        // Without a decision of the champion it failed, and both arms got the holdout rule: nothing differed.
        let agree = row
            .champion_decision
            .as_deref()
            .is_none_or(|decision| decision == valuer.live.holdout_decision.as_ref());
        Some(earned_minor(row.variant, row.champion_propensity, agree, value_minor)?)
    } else {
        None
    };
    Ok(Worth { value_minor, earned_minor, positive: outcome > 0.0 })
}
