//! Wiring a server: storage, lake, models, API and pages on one port.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use greenlight_api::ApiState;
use greenlight_app::artifact::Artifacts;
use greenlight_app::clock::Clock;
use greenlight_app::token::IssuedToken;
use greenlight_app::{App, AppError, Parts};
use greenlight_inference::Runtime;
use greenlight_lake::LocalLake;
use greenlight_online::Store as Online;
use greenlight_serving::Serving;
use greenlight_store::Store;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::jobs;

/// Where a server keeps its data and where it listens.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Folder of everything that is embedded.
    pub data: PathBuf,
    /// Database URL; the embedded one when absent.
    pub database: Option<String>,
    /// Where keys and values lie: `redis://…`; a folder of the data when absent.
    pub online: Option<String>,
    /// Address.
    pub listen: SocketAddr,
    /// How often to settle in the background; never when absent.
    pub settle_every: Option<Duration>,
}

/// A server that answers requests.
pub(crate) struct Running {
    /// `http://…`.
    pub url: String,
    /// The application.
    pub app: Arc<App>,
    /// The first admin token, when this was the first start.
    pub first_token: Option<IssuedToken>,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Stops accepting, finishes what is in flight, closes the database.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        let _ = self.stop.send(());
        match self.ended.await {
            Ok(result) => result?,
            Err(error) => return Err(Failure::Input(format!("the server did not end well: {error}"))),
        }
        self.app.store.close().await;
        Ok(())
    }
}

/// Opens a data folder: database, lake (recovering what a crash left behind), artifacts, models.
pub(crate) async fn open(
    data: &Path,
    database: Option<&str>,
    online: Option<&str>,
) -> Result<Arc<App>, Failure> {
    std::fs::create_dir_all(data).map_err(|e| Failure::Input(format!("{}: {e}", data.display())))?;
    let embedded = format!("sqlite:{}", data.join("greenlight.db").display());
    let folder = format!("embedded:{}", data.join("online").display());
    let online = Online::open(online.unwrap_or(&folder)).await.map_err(AppError::from)?;
    if let Err(error) = online.check().await {
        // Serving goes on without it; what needs it says so until it is back.
        tracing::warn!(%error, "the online store does not answer");
    }
    let app = App::start(Parts {
        store: Store::connect(database.unwrap_or(&embedded)).await.map_err(AppError::from)?,
        lake: Arc::new(LocalLake::open(data.join("lake")).map_err(AppError::from)?),
        runtime: Arc::new(Runtime),
        artifacts: Artifacts::open(data.join("artifacts"))?,
        online,
        clock: Clock::System,
    })
    .await?;
    Ok(app)
}

/// Starts a server.
pub(crate) async fn start(settings: &Settings) -> Result<Running, Failure> {
    let app = open(&settings.data, settings.database.as_deref(), settings.online.as_deref()).await?;
    let first_token = app.issue_first_token().await?;
    let serving = Arc::new(Serving::start(Arc::clone(&app)));
    let state = ApiState { app: Arc::clone(&app), serving };
    let routes = greenlight_web::router(Arc::clone(&app)).merge(greenlight_api::router(state));
    let listener = TcpListener::bind(settings.listen).await.map_err(|e| {
        Failure::Input(format!("cannot listen on {}: {e}; choose another with --listen", settings.listen))
    })?;
    let url = format!("http://{}", listener.local_addr()?);
    let (stop, stopped) = oneshot::channel();
    let server = axum::serve(tap(listener), routes).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let ended = tokio::spawn(async move { server.await });
    if let Some(every) = settings.settle_every {
        tokio::spawn(jobs::settle_and_look(Arc::clone(&app), every));
    }
    tokio::spawn(jobs::purge(Arc::clone(&app)));
    Ok(Running { url, app, first_token, stop, ended })
}

/// Small answers leave at once: without TCP_NODELAY a keep-alive client may wait 40 ms for them.
fn tap(listener: TcpListener) -> impl axum::serve::Listener<Addr = SocketAddr, Io = tokio::net::TcpStream> {
    axum::serve::ListenerExt::tap_io(listener, |stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    })
}
