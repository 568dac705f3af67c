//! Use cases: authorise, change, audit, in one transaction.
//!
//! Owns what a person or a program can do here, one file a noun, and the two traits behind which the lake and the
//! model runtime stand. It refuses HTTP, pages and command lines: those call the functions of this crate.

pub mod ab_test;
pub mod apply;
pub mod artifact;
pub mod challenge;
pub mod clock;
pub mod dataset;
pub mod drift;
pub mod endpoint;
pub mod erase;
pub mod experiment;
pub mod experiment_overview;
pub mod experiment_search;
pub mod explain;
mod files;
pub mod garbage;
pub mod gate;
pub mod hypothesis;
pub mod import;
pub mod initiative;
pub mod kv;
pub mod lake;
pub mod ledger;
pub mod lineage;
pub mod live;
pub mod location;
pub mod logged_model;
pub mod metrics;
mod mlmodel;
pub mod model;
mod model_cache;
pub mod model_overview;
pub mod openlineage;
pub mod outcome;
pub mod posting;
pub mod prediction;
pub mod reconciliation;
pub mod registered_history;
pub mod registered_model;
pub mod registered_version;
pub mod release;
pub mod reload;
pub mod repository;
pub mod restatement;
pub mod rollout;
pub mod run;
pub mod run_artifact;
pub mod run_comparison;
pub mod run_input;
pub mod run_search;
pub mod run_table;
pub mod run_view;
pub mod runtime;
mod servable;
pub mod settle;
pub mod token;
pub mod traffic;
pub mod training;
pub mod valuation;
pub mod value_version;
mod version_source;
pub mod webhook;

mod audit;
mod error;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use greenlight_domain::prediction::IdKey;
use greenlight_domain::role::{Actor, Role};
use greenlight_store::Store;
use tokio::sync::Mutex;

pub use error::{AppError, Kind, allow};
use greenlight_store::experiment::OWN_ROOT;

pub use greenlight_store::audit::AuditLine;
pub use greenlight_store::run::Run;
pub use greenlight_store::token::Token;

use artifact::Artifacts;
use clock::Clock;
use lake::Lake;
use live::Live;
use metrics::Metrics;
use model_cache::ModelCache;
use repository::Repository;
use runtime::ModelRuntime;

/// The name in the audit trail of whoever needs no token.
pub const ANONYMOUS: &str = "anonymous";

/// Everything that use cases need, wired once by the binary.
pub struct App {
    /// Metadata.
    pub store: Store,
    /// Events.
    pub lake: Arc<dyn Lake>,
    /// Models.
    pub runtime: Arc<dyn ModelRuntime>,
    /// Artifacts by content.
    pub artifacts: Artifacts,
    /// Files of runs and logged models, by path.
    pub repository: Repository,
    /// Where the artifacts of new experiments lie.
    pub artifact_root: String,
    /// The files there, when that is a folder of this machine.
    pub shared_repository: Option<Repository>,
    /// What batches wrote for clients to look up.
    pub online: kv::Tables,
    /// Carries messages to webhooks.
    pub courier: Arc<dyn webhook::Courier>,
    /// The time.
    pub clock: Clock,
    /// Key of prediction ids.
    pub id_key: IdKey,
    /// What serving reads: endpoints with their routes and loaded models.
    pub live: Arc<Live>,
    /// What operators watch.
    pub metrics: Metrics,
    /// Loaded models, shared by everything that asks them.
    pub models: ModelCache,
    /// Who acts when a request brings no token; nobody when absent.
    pub anonymous: Option<Arc<Actor>>,
    draining: AtomicBool,
    tokens: token::Cache,
    /// One publication at a time, from reading the store to swapping the table: an older read never overtakes.
    publishing: Mutex<()>,
    settling: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

/// The parts of an [`App`].
pub struct Parts {
    /// Metadata.
    pub store: Store,
    /// Events.
    pub lake: Arc<dyn Lake>,
    /// Models.
    pub runtime: Arc<dyn ModelRuntime>,
    /// Artifacts by content.
    pub artifacts: Artifacts,
    /// Where the artifacts of new experiments lie; with ours when absent.
    pub artifact_root: Option<String>,
    /// Keys and values.
    pub online: greenlight_online::Store,
    /// Carries messages to webhooks.
    pub courier: Arc<dyn webhook::Courier>,
    /// The time.
    pub clock: Clock,
    /// Most memory that loaded models may take, bytes.
    pub model_memory: usize,
    /// What requests without a token may do; nothing when absent.
    pub anonymous: Option<Role>,
}

impl App {
    /// Starts the application: reads tokens, opens the tables of every endpoint (recovering what a crash left
    /// behind) and loads the models that routes name.
    pub async fn start(parts: Parts) -> Result<Arc<Self>, AppError> {
        let id_key = token::id_key(&parts.store).await?;
        let artifact_root = parts.artifact_root.unwrap_or_else(|| OWN_ROOT.to_owned());
        experiment::check_root(&artifact_root)?;
        let shared_repository =
            run_artifact::local(&artifact_root).map(PathBuf::from).map(Repository::shared);
        let live = Arc::new(Live::default());
        let metrics = Metrics::default().watch(&live);
        let (count, memory) = (metrics.models_loaded.clone(), metrics.model_memory.clone());
        let app = Arc::new(Self {
            store: parts.store,
            lake: parts.lake,
            runtime: parts.runtime,
            artifact_root,
            shared_repository: shared_repository.transpose()?,
            repository: Repository::of(parts.artifacts.files()),
            artifacts: parts.artifacts,
            online: kv::Tables::new(parts.online),
            courier: parts.courier,
            clock: parts.clock,
            id_key,
            live,
            metrics,
            models: ModelCache::new(parts.model_memory, count, memory),
            anonymous: parts.anonymous.map(|role| Arc::new(Actor { name: ANONYMOUS.to_owned(), role })),
            draining: AtomicBool::new(false),
            tokens: token::Cache::default(),
            publishing: Mutex::new(()),
            settling: Mutex::new(HashMap::new()),
        });
        app.refresh_tokens().await?;
        live::publish_all(&app).await?;
        Ok(app)
    }

    /// Says to load balancers that this server is about to stop; it goes on answering.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether this server is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The lock that lets one settle of an endpoint run at a time.
    async fn settle_lock(&self, endpoint: &str) -> Arc<Mutex<()>> {
        let mut locks = self.settling.lock().await;
        Arc::clone(locks.entry(endpoint.to_owned()).or_default())
    }

    /// The platform itself, for background jobs: it appears in the audit trail under this name.
    pub fn system_actor() -> Actor {
        Actor { name: "greenlight".to_owned(), role: Role::Admin }
    }
}
