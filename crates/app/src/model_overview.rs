//! Models by name: what the registry knows, what endpoints can serve, and what it earns there.

use greenlight_domain::model::ModelVersion;
use greenlight_domain::registry_search::{RegistryCondition, RegistryFilter, RegistryOrder, RegistrySubject};
use greenlight_domain::release::Release;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::run_search::Test;
use greenlight_store::Connection;
use greenlight_store::registry_search::{Question, search_models, search_versions};

pub use greenlight_store::model::ModelName;

use crate::experiment_overview::pattern;
use crate::ledger::{LedgerView, of_endpoint};
use crate::registered_history::{Span, changes, spans};
use crate::registered_model::RegisteredModel;
use crate::registered_version::RegisteredVersion;
use crate::{App, AppError, allow};

/// Most registered models of a page, and most versions of one.
pub const MAX_MODELS: i64 = 50;
/// Most names of servable models, and most versions and releases of one name.
pub const MAX_SERVABLE: i64 = 200;
/// Most endpoints whose ledgers are read for one model.
pub const MAX_ENDPOINTS: usize = 10;

/// Models by name.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelList {
    /// What the names contain; empty for all.
    pub part: String,
    /// Registered models before the page.
    pub offset: i64,
    /// Registered models, by name.
    pub registered: Vec<RegisteredModel>,
    /// Whether there are more of them.
    pub more: bool,
    /// Names of models that endpoints can serve, at most [`MAX_SERVABLE`].
    pub servable: Vec<ModelName>,
}

/// Registered models and servable ones whose names contain `part`, in any case.
pub async fn list(app: &App, actor: &Actor, part: &str, offset: i64) -> Result<ModelList, AppError> {
    allow(actor, Action::Read)?;
    let (part, offset) = (part.trim(), offset.max(0));
    let test = pattern(part)?;
    let conditions = vec![RegistryCondition { subject: RegistrySubject::Name, test }];
    let filter = RegistryFilter { conditions, prompts: false };
    let question = Question { filter: &filter, orders: &[], limit: MAX_MODELS + 1, offset };
    let mut connection = app.store.read().await?;
    let mut registered = search_models(&mut connection, question).await?;
    let more = registered.len() as i64 > MAX_MODELS;
    registered.truncate(usize::try_from(MAX_MODELS).unwrap_or(0));
    let servable = greenlight_store::model::names(&mut connection, part, MAX_SERVABLE).await?;
    Ok(ModelList { part: part.to_owned(), offset, registered, more, servable })
}

/// Everything under one name.
#[derive(Debug, Clone)]
pub struct ModelView {
    /// The name.
    pub name: String,
    /// The registered model, when there is one.
    pub registered: Option<RegisteredModel>,
    /// Registered versions before the page.
    pub offset: i64,
    /// Its versions, the highest first.
    pub versions: Vec<RegisteredVersion>,
    /// Whether there are lower ones.
    pub more: bool,
    /// Which version was what, when.
    pub spans: Vec<Span>,
    /// Whether there were more changes than were read.
    pub older_changes: bool,
    /// Versions that endpoints can serve, the newest first.
    pub servable: Vec<ModelVersion>,
    /// Their releases, the newest first.
    pub releases: Vec<Release>,
    /// Ledgers of the endpoints that they were released to, at most [`MAX_ENDPOINTS`].
    pub ledgers: Vec<LedgerView>,
}

/// Everything under one name, with a page of its registered versions.
pub async fn view(app: &App, actor: &Actor, name: &str, offset: i64) -> Result<ModelView, AppError> {
    allow(actor, Action::Read)?;
    let offset = offset.max(0);
    let mut connection = app.store.read().await?;
    let registered = greenlight_store::registered_model::get(&mut connection, name).await?;
    let servable = greenlight_store::model::versions(&mut connection, name, MAX_SERVABLE).await?;
    if registered.is_none() && servable.is_empty() {
        return Err(AppError::not_found("model", name, "look for it on the page of models"));
    }
    let (mut versions, mut found) = (Vec::new(), (Vec::new(), false));
    if registered.is_some() {
        versions = of_name(&mut connection, name, offset).await?;
        found = changes(&mut connection, name).await?;
    }
    let more = versions.len() as i64 > MAX_MODELS;
    versions.truncate(usize::try_from(MAX_MODELS).unwrap_or(0));
    let releases = greenlight_store::release::of_model(&mut connection, name, MAX_SERVABLE).await?;
    drop(connection);
    let mut ledgers: Vec<LedgerView> = Vec::new();
    for release in &releases {
        if ledgers.len() < MAX_ENDPOINTS && !ledgers.iter().any(|l| l.endpoint == release.endpoint) {
            ledgers.push(of_endpoint(app, actor, &release.endpoint).await?);
        }
    }
    Ok(ModelView {
        name: name.to_owned(),
        registered,
        offset,
        versions,
        more,
        spans: spans(&found.0),
        older_changes: found.1,
        servable,
        releases,
        ledgers,
    })
}

async fn of_name(
    connection: &mut Connection,
    name: &str,
    offset: i64,
) -> Result<Vec<RegisteredVersion>, AppError> {
    let test = Test::Text(true, name.to_owned());
    let conditions = vec![RegistryCondition { subject: RegistrySubject::Name, test }];
    let filter = RegistryFilter { conditions, prompts: false };
    let orders = [RegistryOrder { subject: RegistrySubject::Version, ascending: false }];
    let question = Question { filter: &filter, orders: &orders, limit: MAX_MODELS + 1, offset };
    Ok(search_versions(connection, question).await?)
}
