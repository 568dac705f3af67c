//! Where artifacts lie: a folder of this machine, or a bucket.
//!
//! Credentials and addresses of buckets come from the environment, under the names that the clouds' own tools use. They
//! never leave this process: clients send and fetch their files through the server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use greenlight_app::artifact::Artifacts;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreScheme, parse_url_opts};
use url::Url;

use crate::failure::Failure;

/// What the names of variables begin with that say how to reach a bucket.
const VARIABLES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
/// How long a bucket may take to answer when a server starts.
const ANSWERS: Duration = Duration::from_secs(20);

/// Opens the artifacts at a place, or in the folder `usual` when none is given.
pub(crate) async fn open(place: Option<&str>, usual: &Path) -> Result<Artifacts, Failure> {
    let place = match place.map(parse).transpose()? {
        None => return Ok(Artifacts::open(usual.to_owned())?),
        Some(Place::Folder(folder)) => return Ok(Artifacts::open(folder)?),
        Some(Place::Bucket(url)) => url,
    };
    let store = bucket(&place)?;
    let opened = tokio::time::timeout(ANSWERS, Artifacts::open_in(store)).await;
    let silent = |why: String| Failure::Unreachable(format!("{place}: {why}"));
    match opened {
        Ok(Ok(artifacts)) => Ok(artifacts),
        Ok(Err(error)) => Err(silent(error.to_string())),
        Err(_) => Err(silent(format!(
            "the bucket did not answer within {} s; look at its name and at the variables AWS_…, GOOGLE_… or AZURE_…",
            ANSWERS.as_secs()
        ))),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Folder(PathBuf),
    Bucket(Url),
}

fn parse(place: &str) -> Result<Place, Failure> {
    let Some((scheme, path)) = place.split_once("://") else { return Ok(Place::Folder(place.into())) };
    if scheme == "file" {
        return Ok(Place::Folder(path.into()));
    }
    let refused = |why: &str| {
        Failure::Input(format!("--artifacts: {why}; name a folder, s3://bucket/path, gs://… or az://…"))
    };
    let url = Url::parse(place).map_err(|error| refused(&error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(refused("credentials belong into the environment, not into the URL"));
    }
    match ObjectStoreScheme::parse(&url) {
        Ok((
            ObjectStoreScheme::AmazonS3
            | ObjectStoreScheme::GoogleCloudStorage
            | ObjectStoreScheme::MicrosoftAzure,
            _,
        )) => Ok(Place::Bucket(url)),
        _ => Err(refused(&format!("artifacts cannot lie at '{scheme}://'"))),
    }
}

fn bucket(url: &Url) -> Result<Arc<dyn ObjectStore>, Failure> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| VARIABLES.iter().any(|prefix| name.starts_with(prefix)));
    let (store, path) =
        parse_url_opts(url, variables).map_err(|error| Failure::Input(format!("{url}: {error}")))?;
    Ok(Arc::new(PrefixStore::new(store, path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_buckets_are_told_apart_and_the_rest_is_refused() {
        assert_eq!(parse("some/folder").ok(), Some(Place::Folder("some/folder".into())));
        assert_eq!(parse("file:///data/a").ok(), Some(Place::Folder("/data/a".into())));
        for bucket in ["s3://b/p", "gs://b", "az://container/p"] {
            assert!(matches!(parse(bucket), Ok(Place::Bucket(_))), "{bucket}");
        }
        for wrong in
            ["http://host/a", "ftp://host/a", "memory:///a", "s3://key:secret@b/p", "s3://b?x=1", "s3://"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let error = parse("s3://key:secret@b/p").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
