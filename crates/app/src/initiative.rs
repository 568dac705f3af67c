//! Initiatives and the portfolio, as people look at them.

use greenlight_domain::business_case::BusinessCaseSpec;
use greenlight_domain::initiative::InitiativeSpec;
use greenlight_domain::release::{Release, Stage};
use greenlight_domain::role::{Action, Actor};
use serde::Serialize;

use crate::ledger::LedgerView;
use crate::{App, AppError, allow};

/// An initiative with what it earned so far.
#[derive(Debug, Clone, Serialize)]
pub struct InitiativeView {
    /// Its name.
    pub name: String,
    /// As its owner wrote it.
    pub spec: InitiativeSpec,
    /// How far it has come, in one or two words.
    pub stage: &'static str,
    /// The business case in force, with its name.
    pub business_case: Option<(String, BusinessCaseSpec)>,
    /// The ledgers of its endpoints.
    pub ledgers: Vec<LedgerView>,
    /// Its releases, newest first.
    pub releases: Vec<Release>,
}

/// All initiatives with their figures: the portfolio.
pub async fn portfolio(app: &App, actor: &Actor) -> Result<Vec<InitiativeView>, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    let initiatives = greenlight_store::initiative::list(&mut connection).await?;
    drop(connection);
    let mut views = Vec::with_capacity(initiatives.len());
    for (name, spec) in initiatives {
        views.push(fill(app, actor, name, spec).await?);
    }
    Ok(views)
}

/// One initiative.
pub async fn view(app: &App, actor: &Actor, name: &str) -> Result<InitiativeView, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    let spec = greenlight_store::initiative::get(&mut connection, name).await?.ok_or_else(|| {
        AppError::not_found("initiative", name, "list them with 'greenlight initiative list'")
    })?;
    drop(connection);
    fill(app, actor, name.to_owned(), spec).await
}

async fn fill(
    app: &App,
    actor: &Actor,
    name: String,
    spec: InitiativeSpec,
) -> Result<InitiativeView, AppError> {
    let mut connection = app.store.read().await?;
    let business_case = greenlight_store::business_case::newest(&mut connection, &name).await?;
    let endpoints = greenlight_store::endpoint::list(&mut connection).await?;
    let mine: Vec<String> =
        endpoints.into_iter().filter(|(_, e)| e.initiative == name).map(|(endpoint, _)| endpoint).collect();
    let mut releases = Vec::new();
    for endpoint in &mine {
        releases.extend(greenlight_store::release::list(&mut connection, Some(endpoint)).await?);
    }
    drop(connection);
    let mut ledgers = Vec::with_capacity(mine.len());
    for endpoint in &mine {
        ledgers.push(crate::ledger::of_endpoint(app, actor, endpoint).await?);
    }
    Ok(InitiativeView { stage: stage(&releases), name, spec, business_case, ledgers, releases })
}

/// Derived, never stored: the furthest that any release has come.
fn stage(releases: &[Release]) -> &'static str {
    let any = |stages: &[Stage]| releases.iter().any(|r| stages.contains(&r.stage));
    if any(&[Stage::Live]) {
        "live"
    } else if any(&[Stage::Rollout]) {
        "rolling out"
    } else if any(&[Stage::Gated, Stage::Shadow, Stage::AwaitingApproval, Stage::Approved]) {
        "in release"
    } else if releases.is_empty() {
        "framed"
    } else {
        "in research"
    }
}
