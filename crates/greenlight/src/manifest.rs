//! Reading manifests from a folder: YAML documents, and the files that they name.

use std::path::{Path, PathBuf};

use greenlight_domain::evidence::hex;
use greenlight_domain::manifest::Document;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::client::Client;
use crate::failure::Failure;

/// Documents of a folder or file, and the data files that they name by digest.
pub(crate) struct Manifests {
    /// The documents, with digests filled in.
    pub documents: Vec<Document>,
    /// Files to be uploaded: digest and path.
    pub files: Vec<(String, PathBuf)>,
}

const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Reads `path`: one YAML file, or every `.yaml` and `.yml` of a folder in order of name.
pub(crate) fn read(path: &Path) -> Result<Manifests, Failure> {
    let mut manifests = Manifests { documents: Vec::new(), files: Vec::new() };
    for file in yaml_files(path)? {
        let size = std::fs::metadata(&file)?.len();
        if size > MAX_FILE {
            return Err(Failure::Input(format!("{}: larger than 4 MiB; is it a manifest?", file.display())));
        }
        let text = std::fs::read_to_string(&file)?;
        let values: Vec<Value> = serde_saphyr::from_multiple(&text)
            .map_err(|e| Failure::Input(format!("{}: {e}", file.display())))?;
        for (index, value) in values.into_iter().enumerate() {
            let place = || format!("{}, document {}", file.display(), index + 1);
            let mut document: Document =
                serde_json::from_value(value).map_err(|e| Failure::Input(format!("{}: {e}", place())))?;
            if let Document::Dataset { spec, .. } = &mut document {
                let data = file.parent().unwrap_or(Path::new(".")).join(&spec.file);
                spec.sha256 = digest(&data)?;
                manifests.files.push((spec.sha256.clone(), data));
            }
            document.validate().map_err(|e| Failure::Input(format!("{}: {e}", place())))?;
            manifests.documents.push(document);
        }
    }
    if manifests.documents.is_empty() {
        return Err(Failure::Input(format!("{}: there are no YAML manifests here", path.display())));
    }
    Ok(manifests)
}

/// Uploads the files that the server does not have yet.
pub(crate) async fn upload(client: &Client, manifests: &Manifests) -> Result<(), Failure> {
    for (sha256, path) in &manifests.files {
        put(client, sha256, path).await?;
    }
    Ok(())
}

/// Uploads a file, unless the server has it, and returns its digest.
pub(crate) async fn upload_file(client: &Client, path: &Path) -> Result<String, Failure> {
    let sha256 = digest(path)?;
    put(client, &sha256, path).await.map(|()| sha256)
}

async fn put(client: &Client, sha256: &str, path: &Path) -> Result<(), Failure> {
    let known = client.get(&format!("/v1/artifacts/{sha256}")).await?;
    if known.get("present").and_then(Value::as_bool) != Some(true) {
        let bytes = std::fs::read(path)?;
        client.put(&format!("/v1/artifacts/{sha256}"), bytes.into()).await?;
    }
    Ok(())
}

fn yaml_files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let missing = |e: std::io::Error| Failure::Input(format!("{}: {e}", path.display()));
    if !std::fs::metadata(path).map_err(missing)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(missing)? {
        let file = entry?.path();
        if matches!(file.extension().and_then(|e| e.to_str()), Some("yaml" | "yml")) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn digest(path: &Path) -> Result<String, Failure> {
    let mut file =
        std::fs::File::open(path).map_err(|e| Failure::Input(format!("{}: {e}", path.display())))?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut file, &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}
