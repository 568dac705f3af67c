//! Writing to a Greenlight server: MLflow's calls for everything that they can say, `/v1/imports` for ids and dates.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use greenlight_app::import::{Ids, Imported, Known};
use serde_json::{Value, json};

use super::source::Source;
use super::wire::{Entry, Owner, list, number, pairs, text};
use crate::cli::encoded;
use crate::client::Client;
use crate::failure::Failure;

const MLFLOW: &str = "/api/2.0/mlflow";
/// Parameters, and tags, of one batch: well below MLflow's megabyte.
const PAIRS: usize = 50;
/// Points of one batch.
const POINTS: usize = 1_000;
/// Data sets of one call.
const INPUTS: usize = 50;
/// Deepest folder of files.
const MAX_DEPTH: usize = 64;
/// Most files of one run or model.
const MAX_FILES: u64 = 1_000_000;
/// How often a file is sent that does not arrive.
const ATTEMPTS: u32 = 3;

/// The server that is written to.
#[derive(Debug)]
pub(super) struct Target {
    pub client: Client,
    /// From where, as it is written beside what arrives.
    pub from: String,
}

/// What arrived, counted as it does.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    pub points: AtomicU64,
    pub files: AtomicU64,
    pub bytes: Arc<AtomicU64>,
    /// Files whose names this server refuses, and why.
    pub refused: Mutex<Vec<(String, Failure)>>,
}

impl Arrived {
    fn refuse(&self, owner: Owner<'_>, entry: &Entry, error: Failure) {
        let owner = match owner {
            Owner::Run { id, .. } => format!("run {id}"),
            Owner::LoggedModel { id, .. } => format!("logged model {id}"),
        };
        let what = format!("file '{}' of {owner}", entry.path);
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).push((what, error));
    }

    /// The files that were refused since this was asked last.
    pub(super) fn take_refused(&self) -> Vec<(String, Failure)> {
        std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn is_absent(error: &Failure) -> bool {
    matches!(error, Failure::Server { status: 404, .. })
}

impl Target {
    async fn call(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.client.post(&format!("{MLFLOW}/{path}"), body).await
    }

    /// The experiment of a name, deleted or not.
    pub(super) async fn experiment(&self, name: &str) -> Result<Option<Value>, Failure> {
        let path = format!("{MLFLOW}/experiments/get-by-name?experiment_name={}", encoded(name));
        match self.client.get(&path).await {
            Ok(mut found) => Ok(Some(found["experiment"].take())),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The number of an experiment here, which is made when there is none; tags that it lacks are set.
    pub(super) async fn ensure_experiment(&self, wire: &Value) -> Result<(i64, bool), Failure> {
        let name = text(wire, "name");
        let tags = pairs(wire, "tags");
        let Some(found) = self.experiment(name).await? else {
            let body = json!({ "name": name, "tags": wire["tags"] });
            let made = self.call("experiments/create", &body).await?;
            return number(&made, "experiment_id").map(|id| (id, true)).ok_or_else(unclear);
        };
        if text(&found, "lifecycle_stage") == "deleted" {
            return Err(Failure::Input(format!(
                "the experiment '{name}' was deleted here; restore it, or give it another name, and import again"
            )));
        }
        let id = number(&found, "experiment_id").ok_or_else(unclear)?;
        let known: BTreeMap<String, String> = pairs(&found, "tags").into_iter().collect();
        for (key, value) in tags.iter().filter(|(key, _)| !known.contains_key(key)) {
            let body = json!({ "experiment_id": id.to_string(), "key": key, "value": value });
            self.call("experiments/set-experiment-tag", &body).await?;
        }
        Ok((id, false))
    }

    pub(super) async fn known(&self, ids: &Ids) -> Result<Known, Failure> {
        let body = json!({ "runs": ids.runs, "logged_models": ids.logged_models });
        read(self.client.post("/v1/imports/known", &body).await?)
    }

    async fn imported(&self, kind: &str, body: &Value) -> Result<Imported, Failure> {
        read(self.client.post(&format!("/v1/imports/{kind}"), body).await?)
    }

    /// A whole run: what was logged to it, its points, its files; last of all, that it has arrived.
    pub(super) async fn run(
        &self,
        source: &Source,
        arrived: &Arrived,
        (experiment, here): (&str, i64),
        wire: &Value,
        digest: &str,
    ) -> Result<(), Failure> {
        let info = &wire["info"];
        let id = text(info, "run_id");
        let mut body = json!({
            "id": id, "experiment_id": here, "name": text(info, "run_name"), "user": text(info, "user_id"),
            "start_ms": number(info, "start_time").unwrap_or(0), "source": self.from,
        });
        let begun = self.imported("runs", &body).await?;
        self.inputs(id, wire).await?;
        self.pairs_of_run(id, wire).await?;
        for metric in list(&wire["data"], "metrics") {
            let key = text(metric, "key");
            let mut after = None;
            loop {
                let page = source.history(experiment, id, key, after.as_deref()).await?;
                for some in page.items.chunks(POINTS) {
                    let points: Vec<Value> = some.iter().map(|point| plain(key, point)).collect();
                    self.call("runs/log-batch", &json!({ "run_id": id, "metrics": points })).await?;
                    arrived.points.fetch_add(some.len() as u64, Ordering::Relaxed);
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        let owner = Owner::Run { experiment, id };
        self.files(source, arrived, owner, &begun).await?;
        self.outputs(id, wire, begun.created).await?;
        body["arrived"] =
            json!({ "status": text(info, "status"), "end_ms": number(info, "end_time"), "digest": digest });
        self.imported("runs", &body).await?;
        Ok(())
    }

    async fn inputs(&self, id: &str, wire: &Value) -> Result<(), Failure> {
        let inputs = &wire["inputs"];
        let (datasets, models) = (list(inputs, "dataset_inputs"), list(inputs, "model_inputs"));
        for some in datasets.chunks(INPUTS) {
            self.call("runs/log-inputs", &json!({ "run_id": id, "datasets": some })).await?;
        }
        if !models.is_empty() {
            self.call("runs/log-inputs", &json!({ "run_id": id, "models": models })).await?;
        }
        Ok(())
    }

    async fn pairs_of_run(&self, id: &str, wire: &Value) -> Result<(), Failure> {
        for field in ["params", "tags"] {
            for some in list(&wire["data"], field).chunks(PAIRS) {
                let mut body = json!({ "run_id": id });
                body[field] = json!(some);
                self.call("runs/log-batch", &body).await?;
            }
        }
        Ok(())
    }

    /// Models that the run wrote, which may be said once only.
    async fn outputs(&self, id: &str, wire: &Value, is_new: bool) -> Result<(), Failure> {
        let mut models = list(&wire["outputs"], "model_outputs").to_vec();
        if !is_new && !models.is_empty() {
            let here = self.client.get(&format!("{MLFLOW}/runs/get?run_id={}", encoded(id))).await?;
            let known = list(&here["run"]["outputs"], "model_outputs").to_vec();
            models.retain(|model| !known.iter().any(|known| known["model_id"] == model["model_id"]));
        }
        if !models.is_empty() {
            self.call("runs/outputs", &json!({ "run_id": id, "models": models })).await?;
        }
        Ok(())
    }

    /// A logged model with its files.
    pub(super) async fn logged_model(
        &self,
        source: &Source,
        arrived: &Arrived,
        (experiment, here): (&str, i64),
        wire: &Value,
        digest: &str,
    ) -> Result<(), Failure> {
        let info = &wire["info"];
        let id = text(info, "model_id");
        let metrics: Vec<Value> = list(&wire["data"], "metrics").iter().map(of_model).collect();
        let created = number(info, "creation_timestamp_ms").unwrap_or(0);
        let mut body = json!({
            "id": id, "experiment_id": here, "name": text(info, "name"), "model_type": text(info, "model_type"),
            "source_run_id": text(info, "source_run_id"), "user": text(info, "creator_id"), "created_ms": created,
            "updated_ms": number(info, "last_updated_timestamp_ms").unwrap_or(created),
            "status": "LOGGED_MODEL_PENDING", "source": self.from,
            "params": pairs(&wire["data"], "params"), "tags": pairs(info, "tags"),
        });
        let begun = self.imported("logged-models", &body).await?;
        for some in metrics.chunks(POINTS) {
            body["metrics"] = json!(some);
            self.imported("logged-models", &body).await?;
        }
        self.files(source, arrived, Owner::LoggedModel { experiment, id }, &begun).await?;
        body["metrics"] = json!([]);
        body["status"] = json!(text(info, "status"));
        body["digest"] = json!(digest);
        self.imported("logged-models", &body).await?;
        Ok(())
    }

    /// All files of a run or a model, but those that are here already in the same length.
    async fn files(
        &self,
        source: &Source,
        arrived: &Arrived,
        owner: Owner<'_>,
        begun: &Imported,
    ) -> Result<(), Failure> {
        let mut open = vec![(String::new(), 0)];
        let mut count = 0;
        while let Some((folder, depth)) = open.pop() {
            let mut known: Option<(String, HashMap<String, u64>)> = None;
            let mut after: Option<String> = None;
            loop {
                let (entries, next) = source.files(owner, &folder, after.as_deref()).await?;
                for entry in entries {
                    if entry.is_folder {
                        if depth == MAX_DEPTH {
                            return Err(Failure::Input(format!("the folder '{}' lies too deep", entry.path)));
                        }
                        open.push((entry.path, depth + 1));
                        continue;
                    }
                    count += 1;
                    if count > MAX_FILES {
                        return Err(Failure::Input(format!("there are more than {MAX_FILES} files")));
                    }
                    let root = place(&begun.artifact_uri)?;
                    if !begun.created {
                        let parent = entry.path.rsplit_once('/').map_or("", |(parent, _)| parent);
                        if known.as_ref().is_none_or(|(of, _)| of != parent) {
                            known = Some((parent.to_owned(), self.sizes(owner, parent).await?));
                        }
                        if known.as_ref().and_then(|(_, sizes)| sizes.get(&entry.path)) == Some(&entry.size) {
                            continue;
                        }
                    }
                    match self.upload(source, arrived, owner, (root, &entry)).await {
                        // One file with a name that nobody could ask for again does not hold up the others.
                        Err(error @ Failure::Server { status: 400, .. }) => {
                            arrived.refuse(owner, &entry, error);
                        }
                        done => done?,
                    }
                }
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The files that lie in a folder here, by path.
    async fn sizes(&self, owner: Owner<'_>, folder: &str) -> Result<HashMap<String, u64>, Failure> {
        let path = match owner {
            Owner::Run { id, .. } => {
                format!("{MLFLOW}/artifacts/list?run_id={}&path={}", encoded(id), encoded(folder))
            }
            Owner::LoggedModel { id, .. } => format!(
                "{MLFLOW}/logged-models/{}/artifacts/directories?artifact_directory_path={}",
                encoded(id),
                encoded(folder)
            ),
        };
        let found = self.client.get(&path).await?;
        let files = list(&found, "files").iter().filter(|file| file["is_dir"] != json!(true));
        Ok(files
            .map(|file| {
                let size = number(file, "file_size").and_then(|size| u64::try_from(size).ok());
                (text(file, "path").to_owned(), size.unwrap_or(0))
            })
            .collect())
    }

    async fn upload(
        &self,
        source: &Source,
        arrived: &Arrived,
        owner: Owner<'_>,
        (root, entry): (&str, &Entry),
    ) -> Result<(), Failure> {
        let parts: Vec<String> = entry.path.split('/').map(encoded).collect();
        let path = format!("/api/2.0/mlflow-artifacts/artifacts{root}/{}", parts.join("/"));
        for attempt in 1.. {
            let bytes = source.open(owner, entry).await?;
            let counted = counted(bytes, entry, &arrived.bytes);
            let sent = self.client.put_file(&path, reqwest::Body::wrap_stream(counted), entry.size).await;
            match sent {
                Ok(_) => break,
                Err(Failure::Unreachable(_)) if attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
        arrived.files.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A registered model; whether it is new here.
    pub(super) async fn registered_model(&self, wire: &Value) -> Result<(Value, bool), Failure> {
        let name = text(wire, "name");
        if let Some(found) = self.model(name).await? {
            return Ok((found, false));
        }
        let body = json!({ "name": name, "description": text(wire, "description"), "tags": wire["tags"] });
        let mut made = self.call("registered-models/create", &body).await?;
        Ok((made["registered_model"].take(), true))
    }

    /// The registered model of a name.
    pub(super) async fn model(&self, name: &str) -> Result<Option<Value>, Failure> {
        let path = format!("{MLFLOW}/registered-models/get?name={}", encoded(name));
        match self.client.get(&path).await {
            Ok(mut found) => Ok(Some(found["registered_model"].take())),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is a version of that number.
    pub(super) async fn has_version(&self, name: &str, version: i64) -> Result<bool, Failure> {
        let path = format!("{MLFLOW}/model-versions/get?name={}&version={version}", encoded(name));
        match self.client.get(&path).await {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A version, whose files lie at `source_uri` here; whether it is new.
    pub(super) async fn version(&self, wire: &Value, source_uri: &str) -> Result<bool, Failure> {
        let id = |key| Some(text(wire, key)).filter(|id| !id.is_empty());
        // A copy belongs to what its original belongs to; older servers do not say which logged model a source names.
        let model_id = match source_uri.strip_prefix("models:/") {
            Some(name) => Some(name).filter(|name| !name.contains(['/', '@'])),
            None => id("model_id"),
        };
        let body = json!({
            "name": text(wire, "name"), "version": number(wire, "version"), "source_uri": source_uri,
            "run_id": id("run_id"), "model_id": model_id, "run_link": text(wire, "run_link"),
            "description": text(wire, "description"), "stage": text(wire, "current_stage"),
            "user": text(wire, "user_id"), "created_ms": number(wire, "creation_timestamp").unwrap_or(0),
            "tags": pairs(wire, "tags"), "source": self.from,
        });
        Ok(self.imported("versions", &body).await?.created)
    }

    pub(super) async fn alias(&self, name: &str, alias: &str, version: i64) -> Result<(), Failure> {
        let body = json!({ "name": name, "alias": alias, "version": version.to_string() });
        self.call("registered-models/alias", &body).await?;
        Ok(())
    }

    /// Where the files of a run lie here; none when it is not here.
    pub(super) async fn artifact_uri(&self, run: &str) -> Result<Option<String>, Failure> {
        match self.client.get(&format!("{MLFLOW}/runs/get?run_id={}", encoded(run))).await {
            Ok(found) => Ok(Some(text(&found["run"]["info"], "artifact_uri").to_owned())),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn unclear() -> Failure {
    Failure::Unreachable("the server answered something unexpected; is it a Greenlight server?".to_owned())
}

fn read<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|_| unclear())
}

/// The path behind the proxy of a place that the server keeps itself.
fn place(uri: &str) -> Result<&str, Failure> {
    let path =
        uri.strip_prefix("mlflow-artifacts:").filter(|path| path.starts_with('/') && !path.starts_with("//"));
    path.ok_or_else(|| {
        Failure::Input(format!(
            "files would go to {uri}, which the server does not keep itself; import into an experiment whose artifacts \
             lie at mlflow-artifacts:/"
        ))
    })
}

/// A point without what only the model knows.
fn plain(key: &str, point: &Value) -> Value {
    json!({ "key": key, "value": point["value"], "timestamp": number(point, "timestamp").unwrap_or(0),
            "step": number(point, "step").unwrap_or(0) })
}

fn of_model(point: &Value) -> Value {
    let value = point["value"].as_str().map_or_else(|| point["value"].to_string(), str::to_owned);
    json!({ "key": text(point, "key"), "value": value, "at_ms": number(point, "timestamp").unwrap_or(0),
            "step": number(point, "step").unwrap_or(0), "run_id": text(point, "run_id"),
            "dataset_name": text(point, "dataset_name"), "dataset_digest": text(point, "dataset_digest") })
}

/// The bytes, counted; a file that ends early or late breaks off, so that nothing of it stays.
fn counted(
    bytes: futures::stream::BoxStream<'static, std::io::Result<axum::body::Bytes>>,
    entry: &Entry,
    all: &Arc<AtomicU64>,
) -> impl futures::Stream<Item = std::io::Result<axum::body::Bytes>> + use<> {
    let (size, all) = (entry.size, Arc::clone(all));
    let sent = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&sent);
    let bytes = bytes.inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            seen.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            all.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
    });
    let end = futures::stream::once(async move {
        let sent = sent.load(Ordering::Relaxed);
        let wrong =
            || std::io::Error::other(format!("the file has {sent} bytes and was said to have {size}"));
        // An empty file has no size in MLflow's messages, and neither has one whose size a store does not tell.
        if sent == size || size == 0 { Ok(axum::body::Bytes::new()) } else { Err(wrong()) }
    });
    bytes.chain(end)
}
