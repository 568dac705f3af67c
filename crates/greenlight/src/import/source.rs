//! Where an import comes from: a tracking server, or a folder of MLflow's file store.

use std::path::Path;

use axum::body::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::folder::Folder;
use super::server::Server;
use super::wire::{Entry, Owner, Page, text};
use crate::failure::Failure;

/// Bytes of a file that are in memory at once.
const CHUNK: usize = 1 << 20;

/// What is read from.
#[derive(Debug)]
pub(super) enum Source {
    Server(Server),
    Folder(Folder),
}

impl Source {
    /// A tracking URI as MLflow's client takes it: `http://`, `https://`, `file:` or a path.
    pub(super) fn new(from: &str) -> Result<Self, Failure> {
        if from.starts_with("http://") || from.starts_with("https://") {
            return Ok(Self::Server(Server::new(from)?));
        }
        let scheme = from.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| scheme.len() > 1);
        match scheme {
            None => Ok(Self::Folder(Folder::new(Path::new(from))?)),
            Some("file") => {
                let path = from.trim_start_matches("file:");
                let path = path.strip_prefix("//localhost").or(path.strip_prefix("//")).unwrap_or(path);
                Ok(Self::Folder(Folder::new(Path::new(path))?))
            }
            Some(scheme)
                if ["sqlite", "postgresql", "mysql", "mssql"].iter().any(|db| scheme.starts_with(db)) =>
            {
                Err(Failure::Input(format!(
                    "a database is read through its server: run 'mlflow server --backend-store-uri {from} --port 5000' \
                     and give --from http://127.0.0.1:5000"
                )))
            }
            Some(other) => Err(Failure::Input(format!(
                "'{other}:' cannot be read; give the http address of a tracking server, or the path of an mlruns folder"
            ))),
        }
    }

    pub(super) async fn experiments(&self, after: Option<&str>) -> Result<Page, Failure> {
        match self {
            Self::Server(server) => server.experiments(after).await,
            Self::Folder(folder) => folder.experiments(after),
        }
    }

    pub(super) async fn runs(&self, experiment: &str, after: Option<&str>) -> Result<Page, Failure> {
        match self {
            Self::Server(server) => server.runs(experiment, after).await,
            Self::Folder(folder) => folder.runs(experiment, after),
        }
    }

    pub(super) async fn run(&self, id: &str) -> Result<Value, Failure> {
        match self {
            Self::Server(server) => server.run(id).await,
            Self::Folder(folder) => folder.run(id),
        }
    }

    pub(super) async fn history(
        &self,
        experiment: &str,
        run: &str,
        key: &str,
        after: Option<&str>,
    ) -> Result<Page, Failure> {
        match self {
            Self::Server(server) => server.history(run, key, after).await,
            Self::Folder(folder) => folder.history(experiment, run, key, after),
        }
    }

    pub(super) async fn logged_models(&self, experiment: &str, after: Option<&str>) -> Result<Page, Failure> {
        match self {
            Self::Server(server) => server.logged_models(experiment, after).await,
            Self::Folder(folder) => folder.logged_models(experiment, after),
        }
    }

    pub(super) async fn registered_models(&self, after: Option<&str>) -> Result<Page, Failure> {
        match self {
            Self::Server(server) => server.registered_models(after).await,
            Self::Folder(folder) => folder.registered_models(after),
        }
    }

    pub(super) async fn versions(&self, model: &str, after: Option<&str>) -> Result<Page, Failure> {
        match self {
            Self::Server(server) => server.versions(model, after).await,
            Self::Folder(folder) => folder.versions(model),
        }
    }

    /// A page of a folder of files; a file store answers with all files below at once.
    pub(super) async fn files(
        &self,
        owner: Owner<'_>,
        folder: &str,
        after: Option<&str>,
    ) -> Result<(Vec<Entry>, Option<String>), Failure> {
        match self {
            Self::Server(server) => server.files(owner, folder, after).await,
            Self::Folder(store) => Ok((store.files(owner)?, None)),
        }
    }

    /// The bytes of a file.
    pub(super) async fn open(
        &self,
        owner: Owner<'_>,
        entry: &Entry,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Failure> {
        match self {
            Self::Server(server) => Ok(server.open(owner, entry).await?.boxed()),
            Self::Folder(folder) => {
                let path = folder.path(owner, entry);
                let file = tokio::fs::File::open(&path)
                    .await
                    .map_err(|error| Failure::Input(format!("{}: {error}", path.display())))?;
                Ok(chunks(file).boxed())
            }
        }
    }

    /// A place of files that this source names and that is not below it: a file store whose runs keep theirs in a bucket.
    pub(super) fn elsewhere<'a>(&self, uri: &'a str) -> Option<&'a str> {
        let scheme = uri.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| scheme.len() > 1)?;
        (matches!(self, Self::Folder(_)) && scheme != "file").then_some(uri)
    }
}

fn chunks(file: tokio::fs::File) -> impl futures::Stream<Item = std::io::Result<Bytes>> {
    stream::try_unfold(file, |mut file| async move {
        let mut chunk = vec![0; CHUNK];
        let length = file.read(&mut chunk).await?;
        chunk.truncate(length);
        Ok((length > 0).then(|| (Bytes::from(chunk), file)))
    })
    .into_stream()
}

/// Where a message says that files lie.
pub(super) fn artifact_uri(info: &Value) -> &str {
    text(info, "artifact_uri")
}
