//! Files of runs, logged models and registered versions: where they lie, who may read, write and delete them.

use greenlight_domain::role::{Action, Actor};
use greenlight_store::Connection;

pub use object_store::GetRange;

pub use crate::repository::{Entry, Found};

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

/// Folder of an owner's files, in our own repository.
async fn root(connection: &mut Connection, owner: Owner<'_>) -> Result<(String, Vec<String>), AppError> {
    let uri = match owner {
        Owner::Run(id) => run::find(connection, id).await?.artifact_uri,
        Owner::LoggedModel(id) => logged_model::find_active(connection, id).await?.artifact_uri,
        Owner::Version(name, version) => {
            let version = greenlight_domain::registry::version_number(version)?;
            let found = registered_version::find(connection, name, version).await?;
            resolved(connection, &found.storage_location).await?
        }
    };
    let parts = kept(&uri).ok_or_else(|| {
        AppError::Invalid(format!(
            "the files lie at '{uri}', which this server does not read; use a client that may read it"
        ))
    })?;
    Ok((uri, parts))
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

/// What an owner has at a path: the URI of its folder, the path as it is used, and the entries.
pub async fn list(
    app: &App,
    actor: &Actor,
    owner: Owner<'_>,
    path: &str,
) -> Result<(String, Vec<Entry>), AppError> {
    allow(actor, Action::Read)?;
    let inner = below(path)?;
    let (uri, mut parts) = root(&mut *app.store.read().await?, owner).await?;
    parts.extend(inner);
    Ok((uri, app.repository.list(&parts).await?))
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
    let inner = below(path)?;
    let (_, mut parts) = root(&mut *app.store.read().await?, owner).await?;
    parts.extend(inner);
    app.repository.get(&parts, range).await
}

/// Where a run's file of that path is to be written.
pub async fn place(app: &App, actor: &Actor, run_id: &str, path: &str) -> Result<Vec<String>, AppError> {
    allow(actor, Action::Train)?;
    let inner = below(path)?;
    let (_, mut parts) = root(&mut *app.store.read().await?, Owner::Run(run_id)).await?;
    parts.extend(inner);
    Ok(parts)
}

/// A path in the repository, whoever owns it.
pub fn checked(path: &str) -> Result<Vec<String>, AppError> {
    below(path)
}
