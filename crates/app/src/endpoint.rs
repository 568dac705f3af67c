//! Endpoints as people look at them: split, latency, errors, value by variant, releases.

use greenlight_domain::endpoint::EndpointSpec;
use greenlight_domain::release::Release;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::route::Routes;
use greenlight_store::route::RouteChange;
use serde::Serialize;

use crate::lake::TrafficRow;
use crate::ledger::LedgerView;
use crate::{App, AppError, allow};

/// An endpoint in a list.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointLine {
    /// Its name.
    pub name: String,
    /// Its initiative.
    pub initiative: String,
    /// Routes in force.
    pub routes: Routes,
}

/// An endpoint with everything that its page shows.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointView {
    /// Its name.
    pub name: String,
    /// As its owner wrote it.
    pub spec: EndpointSpec,
    /// Routes in force.
    pub routes: Routes,
    /// How they came to be, newest first.
    pub history: Vec<RouteChange>,
    /// Sealed traffic by variant.
    pub traffic: Vec<TrafficRow>,
    /// What it earned.
    pub ledger: LedgerView,
    /// Its releases, newest first.
    pub releases: Vec<Release>,
    /// Columns that a request carries: name and type.
    pub request: Vec<greenlight_domain::frame::Field>,
}

/// All endpoints.
pub async fn list(app: &App, actor: &Actor) -> Result<Vec<EndpointLine>, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    let mut lines = Vec::new();
    for (name, spec) in greenlight_store::endpoint::list(&mut connection).await? {
        let routes = greenlight_store::route::current(&mut connection, &name).await?;
        lines.push(EndpointLine { name, initiative: spec.initiative, routes });
    }
    Ok(lines)
}

/// One endpoint.
pub async fn view(app: &App, actor: &Actor, name: &str) -> Result<EndpointView, AppError> {
    let ledger = crate::ledger::of_endpoint(app, actor, name).await?;
    let traffic = app.lake.traffic(name, None).await?;
    let mut connection = app.store.read().await?;
    let missing = || AppError::not_found("endpoint", name, "list them with 'greenlight endpoint list'");
    let spec = greenlight_store::endpoint::get(&mut connection, name).await?.ok_or_else(missing)?;
    let routes = greenlight_store::route::current(&mut connection, name).await?;
    let history = greenlight_store::route::history(&mut connection, name).await?;
    let releases = greenlight_store::release::list(&mut connection, Some(name)).await?;
    let request = app.live.get(name).map(|live| live.features.to_vec()).unwrap_or_default();
    Ok(EndpointView { name: name.to_owned(), spec, routes, history, traffic, ledger, releases, request })
}
