//! Where the files of a new version lie, and whether who adds it may say so.
//!
//! A source names files that others will load, and the server may be asked to read them. So it must be a place that the
//! named run or model owns, another version, or a bucket that needs credentials of its own.

use greenlight_domain::registry::{ModelUri, VersionStage};
use greenlight_store::Connection;

use crate::location::{authority_and_path, check_host, percent_decoded, scheme};
use crate::registered_model::{self, version_of_alias};
use crate::{AppError, logged_model, registered_version};

/// What a client says of a version's source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    pub source: &'a str,
    pub run_id: Option<&'a str>,
    pub model_id: Option<&'a str>,
    pub is_prompt: bool,
}

/// Where a version comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub uri: String,
    pub storage_location: String,
    pub run_id: Option<String>,
}

impl Given<'_> {
    fn run(&self) -> Option<&str> {
        self.run_id.filter(|id| !id.is_empty())
    }

    fn model(&self) -> Option<&str> {
        self.model_id.filter(|id| !id.is_empty())
    }

    fn refused(&self, why: &str) -> AppError {
        AppError::Invalid(format!("Invalid model version source: '{}'. {why}", self.source))
    }

    /// The request does not name what the source belongs to.
    fn unowned(&self) -> AppError {
        let parameter = if self.model().is_some() { "model_id" } else { "run_id" };
        self.refused(&format!(
            "The {parameter} request parameter must identify the resource that contains the source."
        ))
    }

    fn as_it_is(&self) -> Source {
        Source {
            uri: self.source.to_owned(),
            storage_location: self.source.to_owned(),
            run_id: Some(self.run_id.unwrap_or_default().to_owned()),
        }
    }
}

/// Finds out where a version's files lie.
pub(crate) async fn resolve(connection: &mut Connection, given: Given<'_>) -> Result<Source, AppError> {
    if given.source.is_empty() {
        return Err(AppError::Invalid("Missing value for required parameter 'source'.".to_owned()));
    }
    check_host("source", given.source)?;
    if given.is_prompt {
        if !matches!(given.source, "dummy-source" | "prompt-template") {
            return Err(AppError::Invalid(format!(
                "Invalid prompt source: '{}'. Prompt sources must use an MLflow placeholder.",
                given.source
            )));
        }
        return Ok(given.as_it_is());
    }
    let kind = scheme(given.source);
    if kind.as_deref() == Some("models") {
        return of_model(connection, given).await;
    }
    if !is_plain(given.source) {
        return Err(given.refused(
            "If supplying a source as an http, https, local file path, ftp, objectstore, or mlflow-artifacts uri, an \
             absolute path must be provided without relative path references present. Please provide an absolute path.",
        ));
    }
    match kind.as_deref() {
        Some("runs") => {
            let (host, path) = authority_and_path(given.source);
            let run = path.trim_start_matches('/').split('/').next();
            if host.is_some() || given.model().is_some() || run != given.run() {
                return Err(given.unowned());
            }
        }
        None | Some("file") => {
            if !owned(connection, given).await? {
                let parameter = if given.model().is_some() { "model_id" } else { "run_id" };
                return Err(given.refused(&format!(
                    "To use a local path as a model version source, the {parameter} request parameter has to be \
                     specified and the local path has to be contained within the artifact directory of the run \
                     specified by the {parameter}."
                )));
            }
        }
        Some("mlflow-artifacts") => {
            if !owned(connection, given).await? {
                return Err(given.unowned());
            }
        }
        Some(_) => {}
    }
    let mut source = given.as_it_is();
    if let (None, Some(id)) = (given.run(), given.model()) {
        source.run_id = Some(logged_model::find_active(connection, id).await?.source_run_id);
    }
    Ok(source)
}

/// Whether the source lies below the artifacts of the run or the model that was named.
async fn owned(connection: &mut Connection, given: Given<'_>) -> Result<bool, AppError> {
    let root = if let Some(model) = given.model() {
        greenlight_store::logged_model::get(connection, model).await?.map(|model| model.artifact_uri)
    } else if let Some(run) = given.run() {
        greenlight_store::run::info(connection, run).await?.map(|info| info.artifact_uri)
    } else {
        None
    };
    Ok(root.is_some_and(|root| lies_within(given.source, &root)))
}

/// Whether a place is another one, or below it.
fn lies_within(place: &str, root: &str) -> bool {
    let kind = |uri: &str| scheme(uri).filter(|scheme| scheme != "file");
    let ((host, path), (root_host, root_path)) = (authority_and_path(place), authority_and_path(root));
    let parts = |path: &str| -> Option<Vec<String>> {
        path.split('/').filter(|part| !part.is_empty()).map(decoded).collect()
    };
    let (Some(parts), Some(root_parts)) = (parts(path), parts(root_path)) else { return false };
    kind(place) == kind(root) && host == root_host && !root_parts.is_empty() && parts.starts_with(&root_parts)
}

/// Without percent signs, however often they were put on.
fn decoded(text: &str) -> Option<String> {
    let mut text = text.to_owned();
    for _ in 0..10 {
        let next = percent_decoded(&text)?;
        if next == text {
            return Some(text);
        }
        text = next;
    }
    None
}

/// Whether a source is one absolute place: no `.`, no `..`, nothing hidden behind percent signs.
fn is_plain(source: &str) -> bool {
    let Some(source) = decoded(&source.replace('+', " ")) else { return false };
    let (host, path) = authority_and_path(&source);
    let parts = path.split('/').filter(|part| !part.is_empty());
    let dots = parts.clone().any(|part| matches!(part, "." | ".."));
    path.starts_with('/') && !source.contains('\0') && !dots && (host.is_none() || parts.count() > 0)
}

/// A version of another model, or a logged model.
async fn of_model(connection: &mut Connection, given: Given<'_>) -> Result<Source, AppError> {
    let rest = &given.source["models:".len()..];
    if rest.starts_with("//") {
        return Err(given.refused("Registered model sources must use the active model registry."));
    }
    let unnamed = || {
        given.refused("The model_id request parameter must identify the resource that contains the source.")
    };
    let (name, version) = match ModelUri::parse(rest).ok_or_else(unnamed)? {
        ModelUri::Logged(id) => {
            if given.model() != Some(&*id) {
                return Err(unnamed());
            }
            let model = logged_model::find_active(connection, &id).await?;
            let run = given.run().map_or(model.source_run_id, str::to_owned);
            return Ok(Source {
                uri: given.source.to_owned(),
                storage_location: model.artifact_uri,
                run_id: Some(run),
            });
        }
        other => named(connection, other).await?,
    };
    let model = registered_model::find(connection, &name).await?;
    if registered_model::is_prompt(&model.tags) {
        return Err(given.refused("Prompt versions cannot be used as model version sources."));
    }
    let found = registered_version::find(connection, &name, version).await?;
    let run = found.run_id.as_deref().unwrap_or_default();
    if given.run_id.is_some_and(|id| id != run) || given.model().is_some() {
        return Err(given
            .refused("The run_id and model_id request parameters must match the referenced model version."));
    }
    Ok(Source {
        uri: format!("models:/{name}/{version}"),
        storage_location: found.storage_location,
        run_id: given.run_id.map(str::to_owned).or(found.run_id),
    })
}

/// Name and number of the version that a URI names; a logged model has none.
pub(crate) async fn named(connection: &mut Connection, uri: ModelUri) -> Result<(String, i64), AppError> {
    Ok(match uri {
        ModelUri::Logged(id) => return Err(AppError::not_found("registered model", &id, "")),
        ModelUri::Version(name, version) => (name, version),
        ModelUri::Latest(name) => {
            let latest = version_of_alias(connection, &name, "latest").await?.version;
            (name, latest)
        }
        ModelUri::Stage(name, stage) => {
            let newest = newest_in(connection, &name, stage).await?;
            let newest = newest.ok_or_else(|| AppError::not_found("version of that stage", &name, ""))?;
            (name, newest)
        }
        ModelUri::Alias(name, alias) => {
            let version = version_of_alias(connection, &name, &alias).await?.version;
            (name, version)
        }
    })
}

async fn newest_in(
    connection: &mut Connection,
    name: &str,
    stage: VersionStage,
) -> Result<Option<i64>, AppError> {
    let model = registered_model::find(connection, name).await?;
    Ok(model.latest.iter().find(|version| version.stage == stage.as_str()).map(|version| version.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_one_absolute_place() {
        for good in
            ["s3://bucket/a/b", "/tmp/a", "runs:/abc/model", "mlflow-artifacts:/0/r/artifacts/m", "dbfs:/a"]
        {
            assert!(is_plain(good), "{good}");
        }
        for bad in [
            "s3://bucket",
            "s3://bucket/",
            "/tmp/../etc",
            "/tmp/./a",
            "a/b",
            "mlflow-artifacts:/0/%2e%2e/x",
            "mlflow-artifacts:/0/%252e%252e/x",
            "runs:abc",
            "s3://b/a%00",
        ] {
            assert!(!is_plain(bad), "{bad}");
        }
    }

    #[test]
    fn a_place_lies_within_its_root_only_part_by_part() {
        let root = "mlflow-artifacts:/0/abc/artifacts";
        assert!(lies_within("mlflow-artifacts:/0/abc/artifacts/model", root));
        assert!(lies_within("mlflow-artifacts:/0/%61bc/artifacts", root));
        assert!(lies_within("file:///tmp/run/model", "/tmp/run"));
        for outside in [
            "mlflow-artifacts:/0/abc/artifacts2/model",
            "mlflow-artifacts://host/0/abc/artifacts/model",
            "s3:/0/abc/artifacts/model",
            "/0/abc/artifacts",
        ] {
            assert!(!lies_within(outside, root), "{outside}");
        }
    }
}
