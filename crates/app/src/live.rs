//! What serving reads: every endpoint with its request schema, value model, routes and loaded models.
//!
//! Use cases publish a whole new table after they commit; a request in flight keeps the one it began with.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use greenlight_domain::assignment::Assigner;
use greenlight_domain::endpoint::EndpointSpec;
use greenlight_domain::frame::{Column, ColumnType, Field, Frame};
use greenlight_domain::log::LogMask;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::route::{RoutedModel, Routes};
use greenlight_domain::training::split_version;
use greenlight_domain::value_model::{ValueModel, ValueModelSpec};
use greenlight_store::Connection;

use crate::metrics::Meters;
use crate::runtime::Model;
use crate::{App, AppError, allow, value_version};

/// A model behind an endpoint.
pub struct LiveModel {
    /// Which release.
    pub release: Arc<str>,
    /// `name@version`.
    pub reference: Arc<str>,
    /// The loaded model.
    pub model: Arc<dyn Model>,
}

/// An endpoint as serving needs it.
pub struct LiveEndpoint {
    /// Its name.
    pub name: Arc<str>,
    /// As its owner wrote it.
    pub spec: EndpointSpec,
    /// What a request carries, beside unit and event time.
    pub features: Arc<[Field]>,
    /// What decisions are made by: the value model that the champion's release was judged by, or the newest without one.
    pub value: ValueModel,
    /// What happens to units outside the champion's share.
    pub holdout_decision: Arc<str>,
    /// Routes in force.
    pub routes: Routes,
    /// The champion, loaded.
    pub champion: Option<LiveModel>,
    /// Answers when the champion fails.
    pub previous: Option<LiveModel>,
    /// Challengers, loaded; one that cannot be loaded is missing, and the champion answers for it.
    pub challengers: Vec<LiveModel>,
    /// Who gets which of them.
    pub assigner: Assigner,
    /// What becomes of features in the log; everything is logged when absent.
    pub mask: Option<LogMask>,
    /// Shadows, loaded; one that cannot be loaded is missing.
    pub shadows: Vec<LiveModel>,
    /// Its counters.
    pub meters: Meters,
    /// Predictions before this event time (microseconds) are settled; a new one there would never be booked.
    pub settled_until: AtomicI64,
}

/// All endpoints by name; swapped as a whole.
#[derive(Default)]
pub struct Live {
    table: ArcSwap<HashMap<Arc<str>, Arc<LiveEndpoint>>>,
    /// Endpoints that clients do not get; outcomes and settling go on.
    unloaded: ArcSwap<HashSet<String>>,
    /// Mirrored rows that did not reach the shadow's log, by release, since the start.
    dropped: Mutex<HashMap<Arc<str>, u64>>,
}

impl Live {
    /// The endpoint of that name.
    pub fn get(&self, name: &str) -> Option<Arc<LiveEndpoint>> {
        self.table.load().get(name).cloned()
    }

    /// The endpoint of that name, unless it was taken away from clients.
    pub fn served(&self, name: &str) -> Option<Arc<LiveEndpoint>> {
        self.get(name).filter(|_| !self.unloaded.load().contains(name))
    }

    /// Names of all endpoints.
    pub fn names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.table.load().keys().cloned().collect();
        names.sort();
        names
    }

    /// Notes that rows of a shadow were dropped.
    pub fn drop_shadow(&self, release: &Arc<str>, rows: u64) {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        *dropped.entry(Arc::clone(release)).or_default() += rows;
    }

    /// Rows of that shadow that were dropped since the start.
    pub fn dropped_shadow(&self, release: &str) -> u64 {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner).get(release).copied().unwrap_or(0)
    }

    fn set_unloaded(&self, name: &str, unloaded: bool) {
        self.unloaded.rcu(|names| {
            let mut next = HashSet::clone(names);
            if unloaded {
                next.insert(name.to_owned())
            } else {
                next.remove(name)
            };
            next
        });
    }

    fn put(&self, endpoint: Arc<LiveEndpoint>) {
        self.table.rcu(|table| {
            let mut next = HashMap::clone(table);
            next.insert(Arc::clone(&endpoint.name), Arc::clone(&endpoint));
            next
        });
    }
}

/// Puts an endpoint before clients again, with its routes and models as the store has them now.
pub async fn load_endpoint(app: &App, actor: &Actor, name: &str) -> Result<(), AppError> {
    allow(actor, Action::Rollout)?;
    publish(app, name).await?;
    record(app, actor, "endpoint.load", name).await?;
    app.live.set_unloaded(name, false);
    Ok(())
}

/// Takes an endpoint away from clients of this server, until it is loaded again. Its routes stay as they are.
pub async fn unload_endpoint(app: &App, actor: &Actor, name: &str) -> Result<(), AppError> {
    allow(actor, Action::Rollout)?;
    if app.live.get(name).is_none() {
        return Err(AppError::not_found("endpoint", name, "list them with 'greenlight endpoint list'"));
    }
    record(app, actor, "endpoint.unload", name).await?;
    app.live.set_unloaded(name, true);
    Ok(())
}

async fn record(app: &App, actor: &Actor, action: &str, name: &str) -> Result<(), AppError> {
    let mut transaction = app.store.begin().await?;
    app.audit(&mut transaction, actor, action, name, serde_json::json!({})).await?;
    transaction.commit().await.map_err(greenlight_store::StoreError::from)?;
    Ok(())
}

/// Publishes every endpoint of the store.
pub(crate) async fn publish_all(app: &App) -> Result<(), AppError> {
    let mut connection = app.store.read().await?;
    let endpoints = greenlight_store::endpoint::list(&mut connection).await?;
    drop(connection);
    for (name, _) in endpoints {
        // One endpoint that cannot be served must not keep the others, and the API that mends it, from starting.
        if let Err(error) = publish(app, &name).await {
            tracing::error!(endpoint = %name, %error, "an endpoint cannot be served");
        }
    }
    Ok(())
}

/// Publishes one endpoint as the store has it now.
pub(crate) async fn publish(app: &App, name: &str) -> Result<Arc<LiveEndpoint>, AppError> {
    let _one_at_a_time = app.publishing.lock().await;
    let mut connection = app.store.read().await?;
    let missing = || AppError::not_found("endpoint", name, "list them with 'greenlight endpoint list'");
    let spec = greenlight_store::endpoint::get(&mut connection, name).await?.ok_or_else(missing)?;
    let initiative = greenlight_store::initiative::get(&mut connection, &spec.initiative)
        .await?
        .ok_or_else(|| AppError::not_found("initiative", &spec.initiative, ""))?;
    let (dataset, version) = split_version(&spec.dataset)?;
    let (dataset, _) = greenlight_store::dataset::get(&mut connection, dataset, version)
        .await?
        .ok_or_else(|| AppError::not_found("dataset", &spec.dataset, ""))?;
    let routes = greenlight_store::route::current(&mut connection, name).await?;
    let deciding =
        deciding(&mut connection, &spec.initiative, initiative.value, routes.champion.as_ref()).await?;
    let cursor = greenlight_store::endpoint::cursor(&mut connection, name).await?.unwrap_or_default();
    drop(connection);
    let features = dataset.decision_time_features();
    let value = ValueModel::compile(&deciding, &features)?;
    let mut challengers = Vec::with_capacity(routes.challengers.len());
    for challenger in &routes.challengers {
        challengers.extend(load_spare(app, Some(&challenger.model), "a challenger").await);
    }
    let mut shadows = Vec::with_capacity(routes.shadows.len());
    for shadow in &routes.shadows {
        shadows.extend(load_spare(app, Some(shadow), "a shadow").await);
    }
    app.lake.open(name, Arc::clone(&features)).await?;
    let endpoint = Arc::new(LiveEndpoint {
        name: name.into(),
        holdout_decision: spec.holdout.decision.as_str().into(),
        champion: load_routed(app, routes.champion.as_ref()).await?,
        shadows,
        previous: load_spare(app, routes.previous.as_ref(), "the previous version").await,
        challengers,
        assigner: Assigner::new(name, &spec.assignment, &routes.split(), &features)?,
        mask: spec.log.mask(&features, &value.reads(), app.id_key)?,
        meters: app.metrics.meters(name),
        settled_until: AtomicI64::new(cursor.settled_until.0),
        spec,
        features,
        value,
        routes,
    });
    app.live.put(Arc::clone(&endpoint));
    Ok(endpoint)
}

/// The value model that the champion's release was judged by. A newer one decides once a release has passed its gates
/// with it.
async fn deciding(
    connection: &mut Connection,
    initiative: &str,
    newest: ValueModelSpec,
    champion: Option<&RoutedModel>,
) -> Result<ValueModelSpec, AppError> {
    let Some(champion) = champion else { return Ok(newest) };
    let release = greenlight_store::release::get(connection, &champion.release).await?;
    let version = release.map_or(1, |release| release.value_version);
    let versions = value_version::all(connection, initiative, &newest).await?;
    let found = versions.into_iter().find(|known| known.version == version);
    Ok(found.map_or(newest, |known| known.spec))
}

/// A model beside the champion that cannot be loaded is left out: it must never keep a champion from being taken back.
async fn load_spare(app: &App, routed: Option<&RoutedModel>, what: &str) -> Option<LiveModel> {
    match load_routed(app, routed).await {
        Ok(loaded) => loaded,
        Err(error) => {
            tracing::error!(%error, "{what} cannot be loaded");
            None
        }
    }
}

async fn load_routed(app: &App, routed: Option<&RoutedModel>) -> Result<Option<LiveModel>, AppError> {
    let Some(routed) = routed else {
        return Ok(None);
    };
    let model = load(app, &routed.model, routed.version).await?;
    Ok(Some(LiveModel {
        release: routed.release.as_str().into(),
        reference: routed.reference().into(),
        model,
    }))
}

/// The model version, loaded; one that was loaded before is not loaded again.
pub(crate) async fn load(app: &App, name: &str, version: i64) -> Result<Arc<dyn Model>, AppError> {
    let mut connection = app.store.read().await?;
    let model = greenlight_store::model::get(&mut connection, name, version)
        .await?
        .ok_or_else(|| AppError::not_found("model version", &format!("{name}@{version}"), ""))?;
    drop(connection);
    let loaded = app.models.get(&model.sha256, read(app, &model.sha256)).await?;
    if loaded.signature() != &model.signature {
        return Err(AppError::Invalid(format!(
            "the artifact of {name}@{version} has another signature than was registered"
        )));
    }
    Ok(loaded)
}

/// Reads a model from its artifact, off the async threads, and tries it.
async fn read(app: &App, sha256: &str) -> Result<Arc<dyn Model>, AppError> {
    let bytes = app.artifacts.get(sha256).await?;
    let runtime = Arc::clone(&app.runtime);
    let loaded = blocking(move || runtime.load(&bytes)).await??;
    // A server of others that is down must not keep an endpoint from being published: its fallback answers.
    if loaded.upstream().is_none() {
        smoke(loaded.as_ref())?;
    }
    Ok(loaded)
}

/// Scores a row of zeros and empty texts, so that a model which cannot score at all never gets near traffic.
pub(crate) fn smoke(model: &dyn Model) -> Result<(), AppError> {
    let fields = Arc::clone(&model.signature().inputs);
    let columns = fields
        .iter()
        .map(|field| match field.column_type {
            ColumnType::Number => Column::Number(vec![0.0]),
            ColumnType::Text => Column::Text(vec![Some("".into())]),
        })
        .collect();
    let scores = model.score(&Frame::new(fields, columns)?)?;
    if scores.len() == 1 {
        return Ok(());
    }
    Err(AppError::Invalid(format!("the model scored {} numbers for one row", scores.len())))
}

/// Runs work that blocks off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AppError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| AppError::Internal(format!("a background task failed: {e}")))
}
