//! What serving reads: every endpoint with its request schema, value model, routes and loaded models.
//!
//! Use cases publish a whole new table after they commit; a request in flight keeps the one it began with.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use greenlight_domain::endpoint::EndpointSpec;
use greenlight_domain::frame::Field;
use greenlight_domain::route::{RoutedModel, Routes};
use greenlight_domain::training::split_version;
use greenlight_domain::value_model::ValueModel;

use crate::runtime::Model;
use crate::{App, AppError};

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
    /// How money is counted and decisions are made.
    pub value: ValueModel,
    /// What happens to units outside the champion's share.
    pub holdout_decision: Arc<str>,
    /// Routes in force.
    pub routes: Routes,
    /// The champion, loaded.
    pub champion: Option<LiveModel>,
    /// The shadow, loaded.
    pub shadow: Option<LiveModel>,
}

/// All endpoints by name; swapped as a whole.
#[derive(Default)]
pub struct Live(ArcSwap<HashMap<Arc<str>, Arc<LiveEndpoint>>>);

impl Live {
    /// The endpoint of that name.
    pub fn get(&self, name: &str) -> Option<Arc<LiveEndpoint>> {
        self.0.load().get(name).cloned()
    }

    /// Names of all endpoints.
    pub fn names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.0.load().keys().cloned().collect();
        names.sort();
        names
    }

    fn put(&self, endpoint: Arc<LiveEndpoint>) {
        self.0.rcu(|table| {
            let mut next = HashMap::clone(table);
            next.insert(Arc::clone(&endpoint.name), Arc::clone(&endpoint));
            next
        });
    }
}

/// Publishes every endpoint of the store.
pub(crate) async fn publish_all(app: &App) -> Result<(), AppError> {
    let mut connection = app.store.read().await?;
    let endpoints = greenlight_store::endpoint::list(&mut connection).await?;
    drop(connection);
    for (name, _) in endpoints {
        publish(app, &name).await?;
    }
    Ok(())
}

/// Publishes one endpoint as the store has it now.
pub(crate) async fn publish(app: &App, name: &str) -> Result<Arc<LiveEndpoint>, AppError> {
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
    drop(connection);
    let features = dataset.decision_time_features();
    let value = ValueModel::compile(&initiative.value, &features)?;
    app.lake.open(name, Arc::clone(&features)).await?;
    let endpoint = Arc::new(LiveEndpoint {
        name: name.into(),
        holdout_decision: spec.holdout.decision.as_str().into(),
        champion: load_routed(app, routes.champion.as_ref()).await?,
        shadow: load_routed(app, routes.shadow.as_ref()).await?,
        spec,
        features,
        value,
        routes,
    });
    app.live.put(Arc::clone(&endpoint));
    Ok(endpoint)
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

/// Loads a model version from its artifact, off the async threads.
pub(crate) async fn load(app: &App, name: &str, version: i64) -> Result<Arc<dyn Model>, AppError> {
    let mut connection = app.store.read().await?;
    let model = greenlight_store::model::get(&mut connection, name, version)
        .await?
        .ok_or_else(|| AppError::not_found("model version", &format!("{name}@{version}"), ""))?;
    drop(connection);
    let bytes = app.artifacts.get(&model.sha256).await?;
    let runtime = Arc::clone(&app.runtime);
    let loaded = blocking(move || runtime.load(&bytes)).await??;
    if loaded.signature() != &model.signature {
        return Err(AppError::Invalid(format!(
            "the artifact of {name}@{version} has another signature than was registered"
        )));
    }
    Ok(loaded)
}

/// Runs work that blocks off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AppError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| AppError::Internal(format!("a background task failed: {e}")))
}
