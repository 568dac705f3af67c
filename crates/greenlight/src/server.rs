//! Wiring a server: storage, lake, models, API and pages on one port.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use greenlight_api::ApiState;
use greenlight_app::clock::Clock;
use greenlight_app::live::LiveEndpoint;
use greenlight_app::token::IssuedToken;
use greenlight_app::{App, AppError, Parts};
use greenlight_domain::log::Durability;
use greenlight_domain::role::Role;
use greenlight_inference::Runtime;
use greenlight_lake::LocalLake;
use greenlight_online::Store as Online;
use greenlight_serving::Serving;
use greenlight_store::Store;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::connections::Connections;
use crate::courier::HttpCourier;
use crate::failure::Failure;
use crate::telemetry::Traces;
use crate::{artifact_store, jobs, machine};

/// Where a server keeps its data and where it listens.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Folder of everything that is embedded.
    pub data: PathBuf,
    /// Database URL; the embedded one when absent.
    pub database: Option<String>,
    /// Folder or bucket of the artifacts, when servers share it; in the data folder when absent.
    pub artifacts: Option<String>,
    /// Where clients put the artifacts of new experiments: a URI; through this server when absent.
    pub artifact_root: Option<String>,
    /// Where keys and values lie: `redis://…`; a folder of the data when absent.
    pub online: Option<String>,
    /// Address.
    pub listen: SocketAddr,
    /// How often to settle in the background; never when absent.
    pub settle_every: Option<Duration>,
    /// How many hours something stays deleted before it is removed for good; for ever when absent.
    pub delete_after_hours: Option<u32>,
    /// Most open connections; fewer when the system allows fewer files.
    pub max_connections: u32,
    /// Most memory of loaded models, bytes.
    pub model_memory: usize,
    /// What requests without a token may do; they are refused when absent.
    pub anonymous: Option<Role>,
    /// Whether webhooks may be at private addresses and speak plain HTTP.
    pub private_webhooks: bool,
}

impl Settings {
    /// What a server does unless it is told otherwise.
    pub(crate) fn new(data: PathBuf, listen: SocketAddr) -> Self {
        Self {
            data,
            database: None,
            artifacts: None,
            artifact_root: None,
            online: None,
            listen,
            settle_every: None,
            delete_after_hours: None,
            max_connections: 10_000,
            model_memory: machine::model_memory(),
            anonymous: None,
            private_webhooks: false,
        }
    }
}

/// How a server stops.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop {
    /// How long it says that it is not ready and answers all the same, so that load balancers notice.
    pub drain: Duration,
    /// How long requests in flight may take after that.
    pub limit: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Self { drain: Duration::ZERO, limit: Duration::from_secs(30) }
    }
}

/// How long the database may take to close.
const CLOSE: Duration = Duration::from_secs(10);

/// A server that answers requests.
pub(crate) struct Running {
    /// `http://…`.
    pub url: String,
    /// The application.
    pub app: Arc<App>,
    /// The first admin token, when this was the first start.
    pub first_token: Option<IssuedToken>,
    connections: Connections,
    jobs: JoinSet<()>,
}

impl Running {
    /// Says that it is not ready, goes on answering for a while, finishes what is in flight, closes the database. When
    /// `hurry` comes, it ends at once: what was not answered was not acknowledged.
    pub(crate) async fn stop(mut self, stop: Stop, hurry: impl Future<Output = ()>) -> Result<(), Failure> {
        self.app.drain();
        let orderly = async {
            tokio::time::sleep(stop.drain).await;
            self.connections.finish(stop.limit).await
        };
        let finished = tokio::select! {
            finished = orderly => finished,
            () = hurry => false,
        };
        if !finished {
            tracing::warn!("some requests were not answered; nothing that was acknowledged is lost");
        }
        self.connections.end().await;
        self.jobs.shutdown().await;
        self.flush().await;
        if tokio::time::timeout(CLOSE, self.app.store.close()).await.is_err() {
            tracing::warn!("the database did not close in time; it recovers at the next start");
        }
        Ok(())
    }
}

impl Running {
    /// Writes what was answered before it was on disk. A log that is written before the answer needs none of this.
    async fn flush(&self) {
        for name in self.app.live.names() {
            let waits = |endpoint: &Arc<LiveEndpoint>| endpoint.spec.log.durability == Durability::Async;
            if self.app.live.get(&name).as_ref().is_some_and(waits)
                && let Err(error) = self.app.lake.seal(&name).await
            {
                tracing::error!(endpoint = %name, %error, "the last predictions may not be on disk");
            }
        }
    }
}

/// Opens a data folder: database, lake (recovering what a crash left behind), artifacts, models.
pub(crate) async fn open(settings: &Settings) -> Result<Arc<App>, Failure> {
    let data = &settings.data;
    std::fs::create_dir_all(data).map_err(|e| Failure::Input(format!("{}: {e}", data.display())))?;
    let embedded = format!("sqlite:{}", data.join("greenlight.db").display());
    let database = settings.database.as_deref().unwrap_or(&embedded);
    let artifacts = artifact_store::open(settings.artifacts.as_deref(), &data.join("artifacts")).await?;
    let folder = format!("embedded:{}", data.join("online").display());
    let online = Online::open(settings.online.as_deref().unwrap_or(&folder)).await.map_err(AppError::from)?;
    if let Err(error) = online.check().await {
        // Serving goes on without it; what needs it says so until it is back.
        tracing::warn!(%error, "the online store does not answer");
    }
    let courier = HttpCourier::new(settings.private_webhooks)
        .map_err(|e| Failure::Input(format!("the HTTP client of webhooks cannot start: {e}")))?;
    let app = App::start(Parts {
        store: Store::connect(database).await.map_err(AppError::from)?,
        lake: Arc::new(LocalLake::open(data.join("lake")).map_err(AppError::from)?),
        runtime: Arc::new(Runtime),
        artifacts,
        artifact_root: settings.artifact_root.clone(),
        online,
        courier: Arc::new(courier),
        clock: Clock::System,
        model_memory: settings.model_memory,
        anonymous: settings.anonymous,
    })
    .await?;
    Ok(app)
}

/// Starts a server; its requests are traced when there are `traces`.
pub(crate) async fn start(settings: &Settings, traces: Option<&Traces>) -> Result<Running, Failure> {
    let app = open(settings).await?;
    let first_token = app.issue_first_token().await?;
    let serving = Arc::new(Serving::start(Arc::clone(&app)));
    let state = ApiState { app: Arc::clone(&app), serving };
    let mut routes = greenlight_web::router(Arc::clone(&app)).merge(greenlight_api::router(state));
    if let Some(role) = settings.anonymous {
        tracing::warn!("whoever reaches {} without a token is {role}", settings.listen);
        routes = routes.layer(axum::middleware::from_fn(greenlight_api::only_from_here));
    }
    let routes = traces.map_or(routes.clone(), |traces| traces.around(routes));
    let listener = TcpListener::bind(settings.listen).await.map_err(|e| {
        Failure::Input(format!("cannot listen on {}: {e}; choose another with --listen", settings.listen))
    })?;
    let url = format!("http://{}", listener.local_addr()?);
    let most = machine::connections(settings.max_connections);
    let connections = Connections::accept(listener, routes, Arc::clone(&app), most);
    let mut jobs = JoinSet::new();
    jobs.spawn(jobs::follow(Arc::clone(&app)));
    if let Some(every) = settings.settle_every {
        jobs.spawn(jobs::settle_and_look(Arc::clone(&app), every));
    }
    jobs.spawn(jobs::purge(Arc::clone(&app)));
    jobs.spawn(jobs::deliver(Arc::clone(&app)));
    jobs.spawn(jobs::retain(Arc::clone(&app)));
    if let Some(hours) = settings.delete_after_hours {
        jobs.spawn(jobs::collect(Arc::clone(&app), hours));
    }
    Ok(Running { url, app, first_token, connections, jobs })
}
