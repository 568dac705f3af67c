//! `greenlight serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::server::{self, Settings};

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Folder of the data.
    #[arg(long, env = "GREENLIGHT_DATA", default_value = "greenlight-data")]
    data: PathBuf,
    /// Database URL; SQLite in the data folder when left out, or postgres://…
    #[arg(long, env = "GREENLIGHT_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// Where tables of batch predictions lie: the data folder when left out, or redis://… or rediss://…
    #[arg(long, env = "GREENLIGHT_ONLINE", hide_env_values = true)]
    online: Option<String>,
    /// Address to listen on. Anything but the loopback lets other machines in.
    #[arg(long, env = "GREENLIGHT_LISTEN", default_value = "127.0.0.1:5170")]
    listen: SocketAddr,
    /// Seconds between settling in the background; 0 never settles by itself.
    #[arg(long, default_value_t = 60)]
    settle_every: u64,
}

impl Serve {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        let filter =
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,greenlight=info"));
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
        let settle_every = (self.settle_every > 0).then(|| Duration::from_secs(self.settle_every));
        let settings = Settings {
            data: self.data,
            database: self.database,
            online: self.online,
            listen: self.listen,
            settle_every,
        };
        let running = server::start(&settings).await?;
        if json {
            println!("{}", json!({ "url": running.url, "first_token": running.first_token }));
        } else {
            println!("Greenlight serves {}", running.url);
            if let Some(first) = &running.first_token {
                println!("First start. This admin token is shown once; keep it:\n\n  {}\n", first.token);
                println!("Next: export GREENLIGHT_TOKEN=… and 'greenlight apply -f examples/bank/'");
            }
        }
        wait_for_signal().await?;
        tracing::info!("stopping: requests in flight are finished first");
        running.stop().await
    }
}

async fn wait_for_signal() -> Result<(), Failure> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => Ok(result?),
        _ = terminate.recv() => Ok(()),
    }
}
