//! Rows that lie elsewhere: `s3://`, `gs://`, `az://`, `http://` and `https://`.
//!
//! Objects are fetched whole into temporary files before they are read, one at a time, so that a connection that breaks
//! is the object store's business (it retries, and goes on where it was) and reading is the same everywhere.
//! Credentials and addresses come from the environment, under the names that the clouds' own tools use.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deltalake::DeltaTableBuilder;
use deltalake::logstore::object_store::path::Path as ObjectPath;
use deltalake::logstore::object_store::{ObjectStore, ObjectStoreExt, ObjectStoreScheme, parse_url_opts};
use deltalake::logstore::{LogStore, LogStoreFactory, ObjectStoreRef, StorageConfig};
use deltalake::logstore::{default_logstore, logstore_factories};
use futures::StreamExt;
use greenlight_app::lake::LakeError;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::runtime::Handle;
use url::Url;

use crate::error;

/// An object, or what the names of several begin with.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    url: Url,
    store: Arc<dyn ObjectStore>,
    path: ObjectPath,
    runtime: Handle,
}

/// A fetched object; its folder goes with the last one who reads it.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) path: PathBuf,
    _folder: TempDir,
}

impl Remote {
    /// What a URL names, unless it is a local one. Needs a runtime, later too.
    pub(super) fn parse(place: &str) -> Result<Option<Self>, LakeError> {
        let Some((scheme, _)) = place.split_once("://") else { return Ok(None) };
        if scheme == "file" {
            return Ok(None);
        }
        let wrong = |e: &dyn std::fmt::Display| LakeError::Schema(format!("{}: {e}", shown(place)));
        let url = Url::parse(place).map_err(|e| wrong(&e))?;
        if let Ok((ObjectStoreScheme::Local | ObjectStoreScheme::Memory, _)) | Err(_) =
            ObjectStoreScheme::parse(&url)
        {
            return Err(LakeError::Schema(format!(
                "'{scheme}://' is not read; name a path, file://, s3://, gs://, az://, http:// or https://"
            )));
        }
        // Who writes http:// means it; for the clouds it takes AWS_ALLOW_HTTP and its like.
        let plain = (scheme == "http").then(|| ("allow_http".to_owned(), "true".to_owned()));
        let options = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let (store, path) = parse_url_opts(&url, options.chain(plain)).map_err(|e| wrong(&e))?;
        Ok(Some(Self { url, store: Arc::from(store), path, runtime: Handle::current() }))
    }

    /// The last part of its name.
    pub(super) fn name(&self) -> String {
        self.path.filename().unwrap_or("the object").to_owned()
    }

    /// Its URL, without what may be secret.
    pub(super) fn place(&self) -> String {
        shown(self.url.as_str())
    }

    /// An object below this one.
    pub(super) fn below(&self, relative: &str) -> Result<Self, LakeError> {
        let joined = format!("{}/{relative}", self.path);
        let path = ObjectPath::parse(joined).map_err(|e| LakeError::Schema(e.to_string()))?;
        Ok(Self { path, ..self.clone() })
    }

    /// A builder of the Delta table there.
    pub(super) fn table(&self) -> Result<DeltaTableBuilder, LakeError> {
        let mut root = self.url.clone();
        root.set_query(None);
        if let Ok(scheme) = Url::parse(&format!("{}://", root.scheme())) {
            logstore_factories().entry(scheme).or_insert_with(|| Arc::new(ReadOnly));
        }
        let builder = DeltaTableBuilder::from_url(root.clone()).map_err(error::delta)?;
        Ok(builder.with_storage_backend(Arc::clone(&self.store), root))
    }

    /// Fetches the object under its own name, with what tells whether it is still the same.
    pub(super) async fn fetch_named(&self) -> Result<(Fetched, String), LakeError> {
        let folder =
            tempfile::Builder::new().prefix("greenlight-score-").tempdir().map_err(|e| self.io(&e))?;
        let path = folder.path().join(Path::new(&self.name()).file_name().unwrap_or_default());
        let mut file = File::create(&path).map_err(|e| self.io(&e))?;
        let identity = self.fetch_into(&mut file).await?;
        Ok((Fetched { path, _folder: folder }, identity))
    }

    /// Fetches the object into a file that has no name, from a thread that may block.
    pub(super) fn fetch(&self) -> Result<File, LakeError> {
        let mut file = tempfile::tempfile().map_err(|e| self.io(&e))?;
        self.runtime.block_on(self.fetch_into(&mut file))?;
        file.rewind().map_err(|e| self.io(&e))?;
        Ok(file)
    }

    async fn fetch_into(&self, file: &mut File) -> Result<String, LakeError> {
        let failed = |e: deltalake::logstore::object_store::Error| {
            LakeError::Storage(format!("{}: {e}", self.place()))
        };
        let found = self.store.get(&self.path).await.map_err(failed)?;
        let mut hasher = Sha256::new();
        hasher.update(found.meta.size.to_le_bytes());
        match &found.meta.e_tag {
            Some(tag) => hasher.update(tag),
            None => hasher.update(found.meta.last_modified.timestamp_micros().to_le_bytes()),
        }
        let expected = found.meta.size;
        let mut written = 0_u64;
        let mut stream = found.into_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(failed)?;
            written += chunk.len() as u64;
            tokio::task::block_in_place(|| file.write_all(&chunk)).map_err(|e| self.io(&e))?;
        }
        if written != expected {
            let problem = format!("{written} of {expected} bytes came");
            return Err(LakeError::Storage(format!("{}: {problem}", self.place())));
        }
        Ok(greenlight_domain::evidence::hex(&hasher.finalize()))
    }

    fn io(&self, error: &std::io::Error) -> LakeError {
        LakeError::Storage(format!("{} into a temporary file: {error}", self.place()))
    }
}

/// A URL without what may be secret: user, password, signature.
fn shown(place: &str) -> String {
    match Url::parse(place) {
        Ok(mut url) => {
            url.set_query(None);
            // Refused only by URLs that have neither.
            let _ = url.set_username("").and_then(|()| url.set_password(None));
            url.to_string()
        }
        Err(_) => "the URL".to_owned(),
    }
}

/// The log of a table that is read: commits of other writers need no protocol.
struct ReadOnly;

impl LogStoreFactory for ReadOnly {
    fn with_options(
        &self,
        prefixed_store: ObjectStoreRef,
        root_store: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> deltalake::DeltaResult<Arc<dyn LogStore>> {
        Ok(default_logstore(prefixed_store, root_store, location, options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_local_or_unknown_is_told_from_what_is_elsewhere() {
        assert!(Remote::parse("a/b.parquet").unwrap().is_none());
        assert!(Remote::parse("file:///a/b.parquet").unwrap().is_none());
        for bad in ["ftp://host/a.csv", "memory:///a.csv", "s3://", "http://"] {
            assert!(Remote::parse(bad).is_err(), "{bad}");
        }
        let object = Remote::parse("https://host/data/rows.csv?signature=secret").unwrap().unwrap();
        assert_eq!(object.name(), "rows.csv");
        assert_eq!(shown("https://user:pass@host/a.csv?signature=secret"), "https://host/a.csv");
    }
}
