//! `greenlight serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use greenlight_domain::role::Role;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;
use crate::server::{self, Settings, Stop};
use crate::telemetry::{self, Collector};

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Folder of the data.
    #[arg(long, env = "GREENLIGHT_DATA", default_value = "greenlight-data")]
    data: PathBuf,
    /// Database URL; SQLite in the data folder when left out, or postgres://…
    #[arg(long, env = "GREENLIGHT_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// Where the artifacts lie: a folder, or s3://bucket/path, gs://bucket/path or az://container/path, with credentials from
    /// the environment (AWS_…, GOOGLE_…, AZURE_…). In the data folder when left out. Servers that share a database must
    /// share it.
    #[arg(long, env = "GREENLIGHT_ARTIFACTS", value_name = "PLACE")]
    artifacts: Option<String>,
    /// Where MLflow's clients put the artifacts of new experiments, such as s3://bucket/path, which they then write and read
    /// themselves. Through this server into the folder of the artifacts when left out.
    #[arg(long, value_name = "URI")]
    default_artifact_root: Option<String>,
    /// Where tables of batch predictions lie: the data folder when left out, or redis://… or rediss://…
    #[arg(long, env = "GREENLIGHT_ONLINE", hide_env_values = true)]
    online: Option<String>,
    /// Address to listen on. Anything but the loopback lets other machines in.
    #[arg(long, env = "GREENLIGHT_LISTEN", default_value = "127.0.0.1:5170")]
    listen: SocketAddr,
    /// Take requests without a token for those of this role (viewer, scientist, approver, operator, admin), to try things
    /// on one machine. Only where nobody else can connect: with a loopback address to listen on.
    #[arg(long, value_name = "ROLE")]
    anonymous: Option<Role>,
    /// Let webhooks be at addresses of private networks and speak plain HTTP. Without it only public addresses over HTTPS are
    /// called, because whoever adds a webhook chooses whom this server calls.
    #[arg(long)]
    private_webhooks: bool,
    /// Seconds between settling in the background; 0 never settles by itself.
    #[arg(long, default_value_t = 60)]
    settle_every: u64,
    /// Remove for good, once a day, what was deleted at least so long ago, such as 30d; what somebody refers to stays. Nothing
    /// is removed by itself when left out.
    #[arg(long, value_name = "AGE", value_parser = super::gc::hours)]
    delete_after: Option<u32>,
    /// Most open connections; the next ones wait until one ends.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: u32,
    /// Most memory of loaded models, MiB; half of the machine's when left out.
    #[arg(long)]
    model_memory: Option<usize>,
    /// Seconds between the signal to stop and refusing connections: not ready, but answering.
    #[arg(long, default_value_t = 5)]
    drain_seconds: u64,
    /// Seconds that requests in flight may take after that.
    #[arg(long, default_value_t = 30)]
    drain_limit: u64,
    /// Where traces go: the gRPC address of an OpenTelemetry collector, such as http://127.0.0.1:4317.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp: Option<String>,
    /// Share of the requests without a traceparent that are traced, 0 to 1.
    #[arg(long, default_value_t = 0.01, value_parser = share)]
    trace_ratio: f64,
}

impl Serve {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        if self.anonymous.is_some() && !self.listen.ip().is_loopback() {
            let problem = format!("--anonymous: {} lets other machines in; listen on 127.0.0.1", self.listen);
            return Err(Failure::Input(problem));
        }
        let ratio = self.trace_ratio;
        let collector =
            self.otlp.as_ref().filter(|url| !url.is_empty()).map(|url| Collector { url: url.clone(), ratio });
        let traces = telemetry::start(collector.as_ref())?;
        let running = server::start(&self.settings(), traces.as_ref()).await?;
        let mut signals = Signals::listen()?;
        if json {
            println!("{}", json!({ "url": running.url, "first_token": running.first_token }));
        } else {
            println!("Greenlight serves {}", running.url);
            if let Some(first) = &running.first_token {
                println!("First start. This admin token is shown once; keep it:\n\n  {}\n", first.token);
                println!("Next: export GREENLIGHT_TOKEN=… and 'greenlight apply -f examples/bank/'");
            }
        }
        signals.next().await;
        tracing::info!("stopping: requests in flight are finished first; another signal ends them");
        let (drain, limit) = (Duration::from_secs(self.drain_seconds), Duration::from_secs(self.drain_limit));
        running.stop(Stop { drain, limit }, signals.next()).await?;
        if let Some(traces) = traces {
            traces.end().await;
        }
        Ok(())
    }

    fn settings(&self) -> Settings {
        let usual = Settings::new(self.data.clone(), self.listen);
        Settings {
            database: self.database.clone(),
            artifacts: self.artifacts.clone(),
            artifact_root: self.default_artifact_root.clone(),
            online: self.online.clone(),
            settle_every: (self.settle_every > 0).then(|| Duration::from_secs(self.settle_every)),
            delete_after_hours: self.delete_after,
            max_connections: self.max_connections,
            anonymous: self.anonymous,
            private_webhooks: self.private_webhooks,
            model_memory: self
                .model_memory
                .map_or(usual.model_memory, |mebibytes| mebibytes.saturating_mul(1 << 20)),
            ..usual
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| format!("'{text}' is not a share from 0 to 1"))
}

/// What tells a server to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
