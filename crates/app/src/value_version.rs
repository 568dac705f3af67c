//! Versions of value models: which one decides, which one counts what, and what a new one changes.
//!
//! A new version counts from the moment it is applied on. It decides once a release has passed its gates with it, and it
//! counts what is settled already when somebody restates that ([`crate::restatement`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::Micros;
use greenlight_domain::value_model::{Period, ValueModel, ValueModelSpec, taken_over, version_at};
use greenlight_store::value_version::{Restatement, ValueVersion};
use greenlight_store::{Connection, value_version as store};
use serde::Serialize;

use crate::live::LiveEndpoint;
use crate::{App, AppError, allow};

/// Whether a field of a manifest may change while a release decides by the value model that it is part of.
pub(crate) fn may_change(path: &str) -> bool {
    path == "value.expression" || path.starts_with("value.assumptions")
}

/// All versions of an initiative, oldest first; `newest` is what its specification says.
pub(crate) async fn all(
    connection: &mut Connection,
    initiative: &str,
    newest: &ValueModelSpec,
) -> Result<Vec<ValueVersion>, AppError> {
    let mut versions = store::list(connection, initiative).await?;
    if versions.is_empty() {
        versions.push(first(newest));
    }
    Ok(versions)
}

fn first(spec: &ValueModelSpec) -> ValueVersion {
    ValueVersion { version: 1, spec: spec.clone(), created_at: Micros(0), created_by: String::new() }
}

/// The newest version of an initiative.
pub(crate) async fn newest(
    connection: &mut Connection,
    initiative: &str,
    newest: &ValueModelSpec,
) -> Result<ValueVersion, AppError> {
    Ok(all(connection, initiative, newest).await?.pop().unwrap_or_else(|| first(newest)))
}

/// Notes a version of an initiative that was just written, when it differs from the one `before`, and lets it count from
/// now on.
pub(crate) async fn note(
    app: &App,
    connection: &mut Connection,
    actor: &Actor,
    initiative: &str,
    (before, now): (Option<&ValueModelSpec>, &ValueModelSpec),
) -> Result<(), AppError> {
    if before == Some(now) {
        return Ok(());
    }
    let mut newest = store::list(connection, initiative).await?.last().map_or(0, |known| known.version);
    if let (0, Some(before)) = (newest, before) {
        // Older than the record of versions.
        let stamp = greenlight_store::Stamp { at: Micros(0), actor: "" };
        store::insert(connection, initiative, (1, before), stamp).await?;
        newest = 1;
    }
    let version = newest + 1;
    store::insert(connection, initiative, (version, now), app.stamp(actor)).await?;
    if version == 1 {
        return Ok(());
    }
    for (endpoint, spec) in greenlight_store::endpoint::list(connection).await? {
        if spec.initiative == initiative {
            let cursor = greenlight_store::endpoint::cursor(connection, &endpoint).await?.unwrap_or_default();
            let now = if spec.event_time.is_some() { cursor.watermark } else { app.clock.now() };
            let from = now.max(cursor.settled_until);
            let periods = store::periods(connection, &endpoint).await?;
            let after = taken_over(&periods, (from, None), version);
            store::set_periods(connection, &endpoint, &after).await?;
        }
    }
    Ok(())
}

/// Lets the newest version count everything of an endpoint that is new in its initiative.
pub(crate) async fn begin(
    connection: &mut Connection,
    endpoint: &str,
    initiative: &str,
) -> Result<(), AppError> {
    let newest = store::list(connection, initiative).await?.last().map_or(1, |known| known.version);
    let periods = [Period { from: Micros(0), version: newest }];
    Ok(store::set_periods(connection, endpoint, &periods).await?)
}

/// The value models of an endpoint by the time of the predictions that they count.
pub(crate) struct Valuer {
    pub(crate) live: Arc<LiveEndpoint>,
    periods: Vec<Period>,
    models: BTreeMap<i64, ValueModel>,
}

impl Valuer {
    /// Reads what counts now.
    pub(crate) async fn load(
        connection: &mut Connection,
        live: &Arc<LiveEndpoint>,
    ) -> Result<Self, AppError> {
        let name = &live.spec.initiative;
        let initiative = greenlight_store::initiative::get(connection, name)
            .await?
            .ok_or_else(|| AppError::not_found("initiative", name, ""))?;
        let periods = store::periods(connection, &live.name).await?;
        let mut models = BTreeMap::new();
        for known in all(connection, name, &initiative.value).await? {
            let counts = periods.iter().any(|period| period.version == known.version);
            if counts || known.version == 1 {
                models.insert(known.version, ValueModel::compile(&known.spec, &live.features)?);
            }
        }
        Ok(Self { live: Arc::clone(live), periods, models })
    }

    /// The same with one model more, which counts a period.
    pub(crate) fn restated(
        &self,
        (from, until): (Micros, Micros),
        (version, spec): (i64, &ValueModelSpec),
    ) -> Result<Self, AppError> {
        let mut models = self.models.clone();
        models.insert(version, ValueModel::compile(spec, &self.live.features)?);
        let periods = taken_over(&self.periods, (from, Some(until)), version);
        Ok(Self { live: Arc::clone(&self.live), periods, models })
    }

    pub(crate) fn periods(&self) -> &[Period] {
        &self.periods
    }

    /// The model that counts a prediction of that time.
    pub(crate) fn at(&self, at: Micros) -> &ValueModel {
        self.models.get(&version_at(&self.periods, at)).unwrap_or(&self.live.value)
    }

    /// Positions of the features that any of them may depend on.
    pub(crate) fn reads(&self) -> BTreeSet<usize> {
        self.models.values().flat_map(ValueModel::reads).collect()
    }
}

/// What counts an endpoint's predictions, and what was restated.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointValue {
    /// Endpoint.
    pub endpoint: String,
    /// Which version counts from when on; version 1 before the first of them.
    pub periods: Vec<Period>,
    /// The version that the champion decides by.
    pub decides_by: i64,
    /// What was restated, oldest first.
    pub restatements: Vec<Restatement>,
}

/// The value models of an initiative.
#[derive(Debug, Clone, Serialize)]
pub struct ValueHistory {
    /// Initiative.
    pub initiative: String,
    /// All versions, oldest first.
    pub versions: Vec<ValueVersion>,
    /// By endpoint.
    pub endpoints: Vec<EndpointValue>,
}

/// The value models of an initiative and what each of them counts.
pub async fn history(app: &App, actor: &Actor, initiative: &str) -> Result<ValueHistory, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    let spec = greenlight_store::initiative::get(&mut connection, initiative).await?.ok_or_else(|| {
        AppError::not_found("initiative", initiative, "list them with 'greenlight initiative list'")
    })?;
    let versions = all(&mut connection, initiative, &spec.value).await?;
    let newest = versions.last().map_or(1, |known| known.version);
    let mut endpoints = Vec::new();
    for (endpoint, spec) in greenlight_store::endpoint::list(&mut connection).await? {
        if spec.initiative != initiative {
            continue;
        }
        let routes = greenlight_store::route::current(&mut connection, &endpoint).await?;
        let mut decides_by = newest;
        if let Some(champion) = &routes.champion {
            let release = greenlight_store::release::get(&mut connection, &champion.release).await?;
            decides_by = release.map_or(1, |release| release.value_version);
        }
        endpoints.push(EndpointValue {
            periods: store::periods(&mut connection, &endpoint).await?,
            restatements: store::restatements(&mut connection, &endpoint).await?,
            decides_by,
            endpoint,
        });
    }
    Ok(ValueHistory { initiative: initiative.to_owned(), versions, endpoints })
}
