//! The A/B test of a release against the holdout, read from daily statistics.

use greenlight_domain::ab_test::{Cell, Readout, read};
use greenlight_domain::evidence::Grade;
use greenlight_domain::money::Currency;
use greenlight_domain::release::Stage;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::Micros;
use serde::Serialize;

use crate::release::{find, policy_of};
use crate::{App, AppError, allow};

/// A test with what it belongs to.
#[derive(Debug, Clone, Serialize)]
pub struct AbTestView {
    /// The release whose model is the treatment.
    pub release: String,
    /// `name@version` of that model.
    pub model: String,
    /// Its endpoint.
    pub endpoint: String,
    /// Where the release stands.
    pub stage: Stage,
    /// What the holdout gets.
    pub holdout: String,
    /// Which money.
    pub currency: Currency,
    /// How the figures are known: randomised on live traffic.
    pub grade: Grade,
    /// Level of the intervals.
    pub level: f64,
    /// Predictions with an event time before this are settled.
    pub settled_until: Option<Micros>,
    /// Predictions that decided about a unit while the release was rolling out, matured or not.
    pub predictions: u64,
    /// What the test says.
    #[serde(flatten)]
    pub readout: Readout,
}

/// Reads the test of a release.
pub async fn of_release(app: &App, actor: &Actor, id: &str) -> Result<AbTestView, AppError> {
    allow(actor, Action::Read)?;
    let release = find(app, id).await?;
    let mut connection = app.store.read().await?;
    let missing = || AppError::not_found("endpoint", &release.endpoint, "");
    let policy = policy_of(&mut connection, &release.policy).await?.rollout;
    let spec =
        greenlight_store::endpoint::get(&mut connection, &release.endpoint).await?.ok_or_else(missing)?;
    let cursor =
        greenlight_store::endpoint::cursor(&mut connection, &release.endpoint).await?.ok_or_else(missing)?;
    let initiative = greenlight_store::initiative::get(&mut connection, &spec.initiative)
        .await?
        .ok_or_else(|| AppError::not_found("initiative", &spec.initiative, ""))?;
    let rows = greenlight_store::ledger::statistics(&mut connection, &release.endpoint, Some(id)).await?;
    drop(connection);
    let cells: Vec<Cell> = rows
        .into_iter()
        .map(|row| Cell {
            variant: row.variant,
            champion_percent: row.champion_percent,
            statistics: row.statistics,
        })
        .collect();
    let traffic = app.lake.traffic(&release.endpoint, Some(id)).await?;
    Ok(AbTestView {
        readout: read(&cells, &policy)?,
        model: format!("{}@{}", release.model, release.model_version),
        release: release.id,
        endpoint: release.endpoint,
        stage: release.stage,
        holdout: spec.holdout.title,
        currency: initiative.value.currency,
        grade: Grade::A,
        level: 1.0 - policy.alpha,
        settled_until: (cursor.settled_until > Micros(0)).then_some(cursor.settled_until),
        predictions: traffic.iter().map(|row| row.predictions).sum(),
    })
}
