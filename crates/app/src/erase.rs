//! Deleting logged data: a unit's on request, everybody's when the endpoint's owner says how long it is kept.

use std::sync::atomic::Ordering;

use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::Micros;
use greenlight_store::StoreError;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::lake::Erased;
use crate::{App, AppError, allow};

/// Deletes everything that an endpoint has logged about a unit. The audit trail keeps that it was done, not to whom:
/// it holds a digest of the name under the installation's key, by which a later question can be answered.
pub async fn erase(app: &App, actor: &Actor, endpoint: &str, unit: &str) -> Result<Erased, AppError> {
    allow(actor, Action::Erase)?;
    if app.live.get(endpoint).is_none() {
        return Err(AppError::not_found("endpoint", endpoint, "list them with 'greenlight endpoint list'"));
    }
    if unit.is_empty() {
        return Err(AppError::Invalid("unit: name whose data are to be deleted".to_owned()));
    }
    let days = app.lake.days_of_unit(endpoint, unit).await?;
    mark(app, endpoint, days.into_iter().map(|day| (day, day))).await?;
    let erased = app.lake.erase(endpoint, unit).await?;
    let digest = Sha256::new().chain_update(app.id_key.0).chain_update(unit).finalize();
    let detail = json!({ "unit_digest": format!("{digest:x}"), "predictions": erased.predictions, "outcomes": erased.outcomes });
    record(app, actor, "endpoint.erase", endpoint, detail).await?;
    Ok(erased)
}

/// Deletes what an endpoint has kept for longer than it is to; nothing where its owner says nothing. What is not
/// settled yet stays.
pub async fn retain(app: &App, actor: &Actor, endpoint: &str) -> Result<Erased, AppError> {
    allow(actor, Action::Erase)?;
    let Some(live) = app.live.get(endpoint) else { return Ok(Erased::default()) };
    let Some(days) = live.spec.log.keep_days else { return Ok(Erased::default()) };
    let settled = Micros(live.settled_until.load(Ordering::SeqCst));
    let before = app.clock.now().plus_days(-i64::from(days)).min(settled);
    if before <= Micros(0) {
        return Ok(Erased::default());
    }
    if app.lake.log_extent(endpoint).await?.is_none_or(|extent| extent.oldest >= before) {
        return Ok(Erased::default());
    }
    mark(app, endpoint, [(0, before.day())]).await?;
    let erased = app.lake.delete_before(endpoint, before).await?;
    if erased != Erased::default() {
        let detail =
            json!({ "before": before, "predictions": erased.predictions, "outcomes": erased.outcomes });
        record(app, actor, "endpoint.retention", endpoint, detail).await?;
    }
    Ok(erased)
}

/// Notes days that the ledger cannot be computed anew for. Before they are deleted: cut off between the two, a day too many
/// is not checked, where otherwise one would look wrong.
async fn mark(app: &App, endpoint: &str, days: impl IntoIterator<Item = (i32, i32)>) -> Result<(), AppError> {
    let mut transaction = app.store.begin().await?;
    for stretch in days {
        greenlight_store::ledger::mark_erased(&mut transaction, endpoint, stretch).await?;
    }
    Ok(transaction.commit().await.map_err(StoreError::from)?)
}

async fn record(
    app: &App,
    actor: &Actor,
    action: &str,
    endpoint: &str,
    detail: serde_json::Value,
) -> Result<(), AppError> {
    let mut transaction = app.store.begin().await?;
    app.audit(&mut transaction, actor, action, endpoint, detail).await?;
    Ok(transaction.commit().await.map_err(StoreError::from)?)
}
