//! Files of runs and models: MLflow's artifact proxy, and what its pages ask for.
//!
//! Bodies are streams in both directions, so a file may be larger than memory.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::StreamExt;
use greenlight_app::allow;
use greenlight_app::run_artifact::{self, Entry, Found, GetRange, Owner};
use greenlight_domain::role::Action;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::error::{Code, MlflowError};
use crate::ApiState;
use crate::auth::Caller;

type Answer = Result<Json<Value>, MlflowError>;

/// Largest file that MLflow's pages send.
const MAX_PAGE_UPLOAD: usize = 10 * 1024 * 1024;

/// Below `/api/2.0/mlflow-artifacts`.
pub(super) fn proxy() -> Router<ApiState> {
    Router::new()
        .route("/artifacts", get(list_all))
        .route("/artifacts/{*path}", get(download).put(upload).delete(remove))
        .route("/mpu/{*path}", post(no_parts))
        .route("/presigned/{*path}", get(no_presigned))
}

/// Below `/api/2.0/mlflow`.
pub(super) fn router() -> Router<ApiState> {
    Router::new()
        .route("/artifacts/list", get(list_of_run))
        .route("/artifacts/presigned-upload-url", post(no_presigned_url))
        .route("/artifacts/presigned-download-url", post(no_presigned_url))
        .route("/logged-models/{id}/artifacts/directories", get(list_of_model))
        .route("/logged-models/{id}/artifacts/files", get(file_of_model))
        .route("/upload-artifact", post(upload_of_page))
}

/// What MLflow's pages ask for at the root.
pub(super) fn pages() -> Router<ApiState> {
    Router::new()
        .route("/get-artifact", get(file_of_run))
        .route("/model-versions/get-artifact", get(file_of_version))
}

fn entry(prefix: &str, entry: &Entry) -> Value {
    let mut message = json!({ "path": format!("{prefix}{}", entry.name), "is_dir": entry.size.is_none() });
    if let Some(size) = entry.size.filter(|size| *size > 0) {
        message["file_size"] = json!(size);
    }
    message
}

fn entries(prefix: &str, found: &[Entry]) -> Value {
    found.iter().map(|one| entry(prefix, one)).collect()
}

async fn list_all(State(state): State<ApiState>, call: Call) -> Answer {
    allow(&call.actor, Action::Read)?;
    let parts = run_artifact::checked(call.fields().text("path")?.unwrap_or_default())?;
    let found = state.app.repository.list(&parts).await?;
    Ok(Json(if found.is_empty() { json!({}) } else { json!({ "files": entries("", &found) }) }))
}

fn listing(uri: &str, path: &str, found: &[Entry]) -> Json<Value> {
    let prefix = if path.is_empty() { String::new() } else { format!("{}/", path.trim_end_matches('/')) };
    let mut answer = Map::new();
    answer.insert("root_uri".to_owned(), json!(uri));
    if !found.is_empty() {
        answer.insert("files".to_owned(), entries(&prefix, found));
    }
    Json(Value::Object(answer))
}

async fn list_of_run(State(state): State<ApiState>, call: Call) -> Answer {
    let (id, path) = (call.fields().run_id()?, call.fields().text("path")?.unwrap_or_default());
    let (uri, found) = run_artifact::list(&state.app, &call.actor, Owner::Run(id), path).await?;
    Ok(listing(&uri, path, &found))
}

async fn list_of_model(State(state): State<ApiState>, Path(id): Path<String>, call: Call) -> Answer {
    let path = call.fields().text("artifact_directory_path")?.unwrap_or_default();
    let (uri, found) = run_artifact::list(&state.app, &call.actor, Owner::LoggedModel(&id), path).await?;
    Ok(listing(&uri, path, &found))
}

async fn upload(
    State(state): State<ApiState>,
    caller: Caller,
    Path(path): Path<String>,
    body: Body,
) -> Result<(), MlflowError> {
    allow(&caller.0, Action::Train)?;
    let parts = run_artifact::checked(&path)?;
    if parts.is_empty() || path.ends_with('/') {
        return Err(MlflowError::invalid("Artifact path must include a filename (cannot end with '/')."));
    }
    state.app.repository.put(parts, body.into_data_stream()).await?;
    Ok(())
}

async fn remove(State(state): State<ApiState>, caller: Caller, Path(path): Path<String>) -> Answer {
    allow(&caller.0, Action::Train)?;
    state.app.repository.delete(&run_artifact::checked(&path)?).await?;
    Ok(Json(json!({})))
}

async fn download(
    State(state): State<ApiState>,
    caller: Caller,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, MlflowError> {
    allow(&caller.0, Action::Download)?;
    let parts = run_artifact::checked(&path)?;
    let found = state.app.repository.get(&parts, range(&headers)).await;
    Ok(file(&path, found?))
}

/// The one range that is asked for. Several are answered with the whole file, which is allowed.
fn range(headers: &HeaderMap) -> Option<GetRange> {
    let text = headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?;
    let (first, last) = text.trim().split_once('-')?;
    match (first.parse().ok(), last.parse().ok()) {
        (Some(first), None) if last.is_empty() => Some(GetRange::Offset(first)),
        (Some(first), Some(last)) if first <= last => {
            Some(GetRange::Bounded(first..u64::checked_add(last, 1)?))
        }
        (None, Some(count)) if first.is_empty() => Some(GetRange::Suffix(count)),
        _ => None,
    }
}

/// A file as it is sent: for keeping, never for showing, because anybody who logs decides what is in it.
fn file(path: &str, found: Found) -> Response {
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let length = found.range.end - found.range.start;
    let whole = length == found.size;
    let bytes = found.bytes.inspect(|chunk| {
        if let Err(error) = chunk {
            tracing::warn!(%error, "a download breaks off");
        }
    });
    let mut response = Response::new(Body::from_stream(bytes));
    let headers = response.headers_mut();
    let mut set = |name, text: String| {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, media_type(name).to_owned());
    set(header::CONTENT_DISPOSITION, disposition(name));
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned());
    set(header::CONTENT_LENGTH, length.to_string());
    set(header::ACCEPT_RANGES, "bytes".to_owned());
    set(header::LAST_MODIFIED, http_date(found.modified));
    if let Some(etag) = found.etag {
        set(header::ETAG, format!("\"{}\"", etag.trim_matches('"')));
    }
    if !whole {
        set(
            header::CONTENT_RANGE,
            format!("bytes {}-{}/{}", found.range.start, found.range.end.saturating_sub(1), found.size),
        );
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

/// A date as HTTP writes it (RFC 9110, section 5.6.7).
fn http_date(at: Timestamp) -> String {
    rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap_or_default()
}

/// What a file is by its name. Nothing that a browser would run.
fn media_type(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map_or(name, |(_, ending)| ending);
    match ending {
        "txt" | "log" | "err" | "cfg" | "conf" | "cnf" | "cf" | "ini" | "properties" | "prop" | "hocon"
        | "toml" | "yaml" | "yml" | "xml" | "json" | "js" | "py" | "py3" | "csv" | "tsv" | "md" | "rst"
        | "ipynb" | "MLmodel" | "mlproject" => "text/plain",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

/// To be saved under its name (RFC 6266; RFC 8187 for letters beyond ASCII).
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\') { c } else { '_' })
        .collect();
    let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if plain == name && name.chars().all(is_token) {
        format!("attachment; filename={name}")
    } else if plain == name {
        format!("attachment; filename=\"{plain}\"")
    } else {
        format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
    }
}

#[derive(Deserialize)]
struct OfRun {
    run_id: Option<String>,
    run_uuid: Option<String>,
    path: Option<String>,
}

fn needed<'a>(text: Option<&'a String>, name: &str) -> Result<&'a str, MlflowError> {
    let given = text.map(String::as_str).filter(|text| !text.is_empty());
    given.ok_or_else(|| MlflowError::invalid(format!("Request must specify {name}.")))
}

async fn file_of_run(
    State(state): State<ApiState>,
    caller: Caller,
    Query(asked): Query<OfRun>,
    headers: HeaderMap,
) -> Result<Response, MlflowError> {
    let id = needed(asked.run_id.as_ref().or(asked.run_uuid.as_ref()), "run_id")?;
    let path = needed(asked.path.as_ref(), "path")?;
    let found = run_artifact::open(&state.app, &caller.0, Owner::Run(id), path, range(&headers)).await?;
    Ok(file(path, found))
}

#[derive(Deserialize)]
struct OfVersion {
    name: Option<String>,
    version: Option<String>,
    path: Option<String>,
}

async fn file_of_version(
    State(state): State<ApiState>,
    caller: Caller,
    Query(asked): Query<OfVersion>,
    headers: HeaderMap,
) -> Result<Response, MlflowError> {
    let path = needed(asked.path.as_ref(), "path")?;
    let owner =
        Owner::Version(needed(asked.name.as_ref(), "name")?, needed(asked.version.as_ref(), "version")?);
    let found = run_artifact::open(&state.app, &caller.0, owner, path, range(&headers)).await?;
    Ok(file(path, found))
}

#[derive(Deserialize)]
struct OfModel {
    artifact_file_path: Option<String>,
}

async fn file_of_model(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(asked): Query<OfModel>,
    headers: HeaderMap,
) -> Result<Response, MlflowError> {
    let path = asked.artifact_file_path.filter(|path| !path.is_empty()).ok_or_else(|| MlflowError {
        code: Code::BadRequest,
        ..MlflowError::invalid("Request must include the \"artifact_file_path\" query parameter.")
    })?;
    let found =
        run_artifact::open(&state.app, &caller.0, Owner::LoggedModel(&id), &path, range(&headers)).await?;
    Ok(file(&path, found))
}

/// A small file from one of MLflow's pages.
async fn upload_of_page(
    State(state): State<ApiState>,
    caller: Caller,
    Query(asked): Query<OfRun>,
    body: Body,
) -> Result<impl IntoResponse, MlflowError> {
    allow(&caller.0, Action::Train)?;
    let id = needed(asked.run_uuid.as_ref(), "run_uuid")?;
    let path = needed(asked.path.as_ref(), "path")?;
    let bytes = axum::body::to_bytes(body, MAX_PAGE_UPLOAD)
        .await
        .map_err(|_| MlflowError::invalid("Artifact size is too large. Max size is 10MB."))?;
    run_artifact::put(&state.app, &caller.0, id, path, bytes).await?;
    Ok([(header::CONTENT_TYPE, "application/json")])
}

fn not_supported(message: &str) -> MlflowError {
    MlflowError {
        status: StatusCode::NOT_IMPLEMENTED,
        code: Code::NotImplemented,
        message: message.to_owned(),
    }
}

/// Files come through this server, whole, also into a bucket: MLflow's client falls back to that by this very message.
async fn no_parts(caller: Caller) -> Result<(), MlflowError> {
    allow(&caller.0, Action::Train)?;
    Err(not_supported("Multipart upload is not supported for the current artifact repository"))
}

async fn no_presigned(caller: Caller) -> Result<(), MlflowError> {
    allow(&caller.0, Action::Read)?;
    Err(not_supported("Multipart download is not supported for the current artifact repository"))
}

async fn no_presigned_url(caller: Caller) -> Result<(), MlflowError> {
    allow(&caller.0, Action::Read)?;
    Err(not_supported("Presigned URLs are not supported for the current artifact repository"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_str(text).unwrap());
            range(&headers)
        };
        assert_eq!(read("bytes=0-9"), Some(GetRange::Bounded(0..10)));
        assert_eq!(read("bytes=5-"), Some(GetRange::Offset(5)));
        assert_eq!(read("bytes=-7"), Some(GetRange::Suffix(7)));
        for whole in ["bytes=9-5", "bytes=1-2,4-5", "lines=1-2", "bytes=-", "bytes=0-18446744073709551615"] {
            assert_eq!(read(whole), None, "{whole}");
        }
    }

    #[test]
    fn a_name_is_written_so_that_every_browser_reads_it() {
        assert_eq!(disposition("a+1.txt"), "attachment; filename=a+1.txt");
        assert_eq!(disposition("a(1).txt"), "attachment; filename=\"a(1).txt\"");
        assert_eq!(
            disposition("ü\".txt"),
            "attachment; filename=\"__.txt\"; filename*=UTF-8''%C3%BC%22%2Etxt"
        );
    }
}
