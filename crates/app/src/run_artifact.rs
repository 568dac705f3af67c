//! Files of runs, logged models and registered versions: where they lie, who may read, write and delete them.

use std::convert::Infallible;

use bytes::Bytes;
use futures::{TryStreamExt, stream};
use greenlight_domain::role::{Action, Actor};
use greenlight_store::Connection;

pub use object_store::GetRange;

use crate::repository::Repository;
pub use crate::repository::{Entry, Found};

use crate::files::unavailable;
use crate::location::{authority_and_path, below, scheme};
use crate::{App, AppError, allow, logged_model, registered_version, run};

/// Whose files are meant.
#[derive(Debug, Clone, Copy)]
pub enum Owner<'a> {
    /// A run, by id.
    Run(&'a str),
    /// A logged model, by id.
    LoggedModel(&'a str),
    /// A version of a registered model.
    Version(&'a str, &'a str),
}

/// Where an owner's files lie: the URI, the repository and the parts of the path in it.
struct Root<'a> {
    uri: String,
    repository: &'a Repository,
    parts: Vec<String>,
}

async fn root<'a>(app: &'a App, owner: Owner<'_>) -> Result<Root<'a>, AppError> {
    let mut connection = app.store.read().await?;
    let uri = match owner {
        Owner::Run(id) => run::find(&mut connection, id).await?.artifact_uri,
        Owner::LoggedModel(id) => logged_model::find_active(&mut connection, id).await?.artifact_uri,
        Owner::Version(name, version) => {
            let version = greenlight_domain::registry::version_number(version)?;
            let found = registered_version::find(&mut connection, name, version).await?;
            resolved(&mut connection, &found.storage_location).await?
        }
    };
    let (repository, parts) = place(app, &uri).ok_or_else(|| {
        AppError::Invalid(format!(
            "the files lie at '{uri}', which this server does not read; use a client that may read it"
        ))
    })?;
    Ok(Root { uri, repository, parts })
}

/// The repository that a URI leads to and the parts of the path in it; none when this server does not read there.
pub(crate) fn place<'a>(app: &'a App, uri: &str) -> Option<(&'a Repository, Vec<String>)> {
    let own = kept(uri).or_else(|| behind_proxy(uri, &app.artifact_root));
    let own = own.map(|parts| (&app.repository, parts));
    own.or_else(|| {
        let shared = app.shared_repository.as_ref()?;
        Some((shared, below_root(uri, &app.artifact_root)?))
    })
}

/// Where the proxy answers, as it stands in the URL of a server.
const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";

/// Whether a URL is that of the proxy of a server.
pub(crate) fn is_proxy(url: &str) -> bool {
    let is_http = scheme(url).is_some_and(|scheme| matches!(scheme.as_str(), "http" | "https"));
    is_http && authority_and_path(url).1.trim_end_matches('/').ends_with(PROXY)
}

/// The parts of a place behind this server's own proxy, when the root of the artifacts is its URL.
fn behind_proxy(uri: &str, root: &str) -> Option<Vec<String>> {
    let rest = uri.strip_prefix(root.trim_end_matches('/')).filter(|_| is_proxy(root))?;
    rest.starts_with('/').then(|| below(rest.trim_start_matches('/')).ok()).flatten()
}

/// The path of a folder that a URI or a path names.
pub(crate) fn local(uri: &str) -> Option<&str> {
    let is_local = scheme(uri).is_none_or(|scheme| scheme == "file");
    let (host, path) = authority_and_path(uri);
    (is_local && host.is_none_or(|host| host == "localhost") && path.starts_with('/')).then_some(path)
}

/// The parts of a local place below the root of the artifacts, which is local too.
fn below_root(uri: &str, root: &str) -> Option<Vec<String>> {
    let (path, root) = (local(uri)?, local(root)?.trim_end_matches('/'));
    let rest = path.strip_prefix(root).filter(|rest| rest.starts_with('/'))?;
    below(rest.trim_start_matches('/')).ok()
}

/// A place without `runs:`, which names the folder of a run.
async fn resolved(connection: &mut Connection, uri: &str) -> Result<String, AppError> {
    if scheme(uri).as_deref() != Some("runs") {
        return Ok(uri.to_owned());
    }
    let (_, path) = authority_and_path(uri);
    let path = path.trim_start_matches('/');
    let (id, rest) = path.split_once('/').unwrap_or((path, ""));
    let found = run::find(connection, id).await?;
    Ok(format!("{}/{rest}", found.artifact_uri))
}

/// The parts of a place in our own repository.
pub(crate) fn kept(uri: &str) -> Option<Vec<String>> {
    let (host, path) = authority_and_path(uri);
    let ours = scheme(uri).as_deref() == Some("mlflow-artifacts") && host.is_none();
    ours.then(|| below(path.trim_start_matches('/')).ok()).flatten()
}

/// What an owner has at a path: the URI of its folder, and the entries.
pub async fn list(
    app: &App,
    actor: &Actor,
    owner: Owner<'_>,
    path: &str,
) -> Result<(String, Vec<Entry>), AppError> {
    allow(actor, Action::Read)?;
    let inner = below(path)?;
    let mut root = root(app, owner).await?;
    root.parts.extend(inner);
    let entries = root.repository.list(&root.parts).await?;
    Ok((root.uri, entries))
}

/// Opens a file of an owner.
pub async fn open(
    app: &App,
    actor: &Actor,
    owner: Owner<'_>,
    path: &str,
    range: Option<GetRange>,
) -> Result<Found, AppError> {
    allow(actor, Action::Download)?;
    opened(app, owner, path, range).await
}

/// The same for use cases, which have asked who may.
pub(crate) async fn opened(
    app: &App,
    owner: Owner<'_>,
    path: &str,
    range: Option<GetRange>,
) -> Result<Found, AppError> {
    let inner = below(path)?;
    let mut root = root(app, owner).await?;
    root.parts.extend(inner);
    root.repository.get(&root.parts, range).await
}

/// A file of at most `limit` bytes of text.
pub(crate) async fn text(app: &App, owner: Owner<'_>, path: &str, limit: u64) -> Result<String, AppError> {
    let mut found = opened(app, owner, path, None).await?;
    if found.size > limit {
        let problem = format!("'{path}' has {} bytes and the limit is {limit}", found.size);
        return Err(AppError::Invalid(problem));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = found.bytes.try_next().await.map_err(|error| unavailable(&error))? {
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| AppError::Invalid(format!("'{path}' is no UTF-8 text")))
}

/// Stores a small file of a run.
pub async fn put(app: &App, actor: &Actor, run_id: &str, path: &str, bytes: Bytes) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    let inner = below(path)?;
    if bytes.is_empty() {
        return Err(AppError::Invalid("Request must specify data.".to_owned()));
    }
    let mut root = root(app, Owner::Run(run_id)).await?;
    root.parts.extend(inner);
    let whole = stream::iter([Ok::<_, Infallible>(bytes)]);
    root.repository.put(root.parts, whole).await?;
    Ok(())
}

/// A path in the repository, whoever owns it.
pub fn checked(path: &str) -> Result<Vec<String>, AppError> {
    below(path)
}
