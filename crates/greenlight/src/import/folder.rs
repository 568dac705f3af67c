//! Reading a folder that MLflow's file store wrote (`mlruns`), without MLflow.
//!
//! Its files become the messages that a server would send. Links in it are not followed.

use std::fs;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::wire::{Entry, Owner, PAGE, Page, text};
use crate::failure::Failure;

/// Folders of an experiment that hold no run.
const RESERVED: [&str; 4] = ["tags", "datasets", "traces", "models"];
/// Where the registry lies, beside the experiments.
const REGISTRY: &str = "models";
/// Largest file of a description, a tag or a parameter, bytes.
const MAX_TEXT: u64 = 16 << 20;
/// Lines of a page of a history.
const MAX_LINES: usize = 25_000;
/// Deepest folder.
const MAX_DEPTH: usize = 64;
/// The words of a run's status, by number.
const STATUS: [&str; 5] = ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"];
/// The words of a logged model's status, by number.
const MODEL_STATUS: [&str; 4] = ["UNSPECIFIED", "PENDING", "READY", "UPLOAD_FAILED"];

/// A folder of MLflow's file store.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

fn unreadable(path: &Path, error: &impl std::fmt::Display) -> Failure {
    Failure::Input(format!("{}: {error}", path.display()))
}

/// Names in a folder that are folders, in order; none when there is no such folder.
fn folders(path: &Path) -> Result<Vec<String>, Failure> {
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
        let entry = entry.map_err(|error| unreadable(path, &error))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// A small file as text.
fn read(path: &Path) -> Result<String, Failure> {
    let size = fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
    if size > MAX_TEXT {
        return Err(unreadable(path, &format!("has {size} bytes and the limit is {MAX_TEXT}")));
    }
    fs::read_to_string(path).map_err(|error| unreadable(path, &error))
}

fn meta(folder: &Path) -> Result<Value, Failure> {
    let path = folder.join("meta.yaml");
    serde_saphyr::from_str(&read(&path)?).map_err(|error| unreadable(&path, &error))
}

/// All files below a folder as `(name, size)`, the name with slashes; none when there is no such folder.
fn leaves(folder: &Path) -> Result<Vec<(String, u64)>, Failure> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_owned(), String::new(), 0)];
    while let Some((path, prefix, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return Err(unreadable(&path, &"lies too deep"));
        }
        let Ok(entries) = fs::read_dir(&path) else { continue };
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&path, &error))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
            if kind.is_dir() {
                open.push((entry.path(), format!("{prefix}{name}/"), depth + 1));
            } else if kind.is_file() {
                let size = entry.metadata().map_err(|error| unreadable(&path, &error))?.len();
                found.push((format!("{prefix}{name}"), size));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Files of one value each as MLflow's list of keys and values.
fn values(folder: &Path) -> Result<Value, Failure> {
    let pair = |(key, _): (String, u64)| {
        let value = read(&folder.join(&key))?;
        Ok(json!({ "key": key, "value": value }))
    };
    leaves(folder)?.into_iter().map(pair).collect()
}

/// A value of a metric, as MLflow writes it into a message.
fn value_of(text: &str) -> Value {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => json!(number),
        Ok(number) if number.is_nan() => json!("NaN"),
        Ok(number) if number > 0.0 => json!("Infinity"),
        Ok(_) => json!("-Infinity"),
        Err(_) => Value::Null,
    }
}

/// A line of a metric: when, value, step, and for a logged model the run; then the data set.
fn point(key: &str, line: &str, is_of_model: bool) -> Option<Value> {
    let mut parts = line.split_whitespace();
    let at: i64 = parts.next()?.parse().ok()?;
    let value = value_of(parts.next()?);
    let step: i64 = parts.next().unwrap_or("0").parse().ok()?;
    let mut point = json!({ "key": key, "value": value, "timestamp": at, "step": step });
    if is_of_model {
        point["run_id"] = json!(parts.next()?);
    }
    if let (Some(name), Some(digest)) = (parts.next(), parts.next()) {
        point["dataset_name"] = json!(name);
        point["dataset_digest"] = json!(digest);
    }
    (!value.is_null()).then_some(point)
}

fn word(words: &[&str], meta: &Value) -> String {
    let at = meta["status"].as_u64().and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
    words.get(at).copied().unwrap_or_default().to_owned()
}

/// A page of names, and where the next one begins.
fn names_after(names: Vec<String>, after: Option<&str>) -> (Vec<String>, Option<String>) {
    let rest: Vec<String> =
        names.into_iter().filter(|name| after.is_none_or(|last| name.as_str() > last)).collect();
    let next = (rest.len() > PAGE).then(|| rest[PAGE - 1].clone());
    (rest.into_iter().take(PAGE).collect(), next)
}

fn is_active(meta: &Value) -> bool {
    text(meta, "lifecycle_stage") != "deleted"
}

impl Folder {
    /// The folder, or the `mlruns` in it.
    pub(super) fn new(path: &Path) -> Result<Self, Failure> {
        let inner = path.join("mlruns");
        let root = if inner.is_dir() { inner } else { path.to_owned() };
        if !root.is_dir() {
            return Err(Failure::Input(format!("there is no folder {}", path.display())));
        }
        let folder = Self { root };
        if folder.experiment_names()?.is_empty() {
            return Err(Failure::Input(format!(
                "{} holds no experiments: an mlruns folder has one folder an experiment, each with a meta.yaml",
                folder.root.display()
            )));
        }
        Ok(folder)
    }

    fn experiment_names(&self) -> Result<Vec<String>, Failure> {
        let is_one = |name: &String| {
            !name.starts_with('.') && name != REGISTRY && self.root.join(name).join("meta.yaml").is_file()
        };
        Ok(folders(&self.root)?.into_iter().filter(is_one).collect())
    }

    pub(super) fn experiments(&self, after: Option<&str>) -> Result<Page, Failure> {
        let (names, next) = names_after(self.experiment_names()?, after);
        let mut items = Vec::new();
        for id in names {
            let folder = self.root.join(&id);
            let meta = meta(&folder)?;
            if is_active(&meta) {
                let tags = values(&folder.join("tags"))?;
                items.push(json!({ "experiment_id": id, "name": text(&meta, "name"), "tags": tags }));
            }
        }
        Ok(Page { items, next })
    }

    pub(super) fn runs(&self, experiment: &str, after: Option<&str>) -> Result<Page, Failure> {
        let folder = self.root.join(experiment);
        let is_one = |name: &String| {
            !RESERVED.contains(&name.as_str()) && folder.join(name).join("meta.yaml").is_file()
        };
        let (names, next) = names_after(folders(&folder)?.into_iter().filter(is_one).collect(), after);
        let mut items = Vec::new();
        for id in names {
            let meta = meta(&folder.join(&id))?;
            if is_active(&meta) {
                items.push(self.described(experiment, &id, &meta)?);
            }
        }
        Ok(Page { items, next })
    }

    /// Where a run lies, whichever experiment it is in.
    pub(super) fn run(&self, id: &str) -> Result<Value, Failure> {
        for experiment in self.experiment_names()? {
            let folder = self.root.join(&experiment).join(id);
            if folder.join("meta.yaml").is_file() {
                return self.described(&experiment, id, &meta(&folder)?);
            }
        }
        Err(Failure::Input(format!("there is no run {id} in {}", self.root.display())))
    }

    fn described(&self, experiment: &str, id: &str, meta: &Value) -> Result<Value, Failure> {
        let folder = self.root.join(experiment).join(id);
        // A file of points only grows, so its length says whether there are new ones.
        let metrics: Vec<Value> = leaves(&folder.join("metrics"))?
            .into_iter()
            .map(|(key, size)| json!({ "key": key, "bytes": size }))
            .collect();
        let mut info = json!({
            "run_id": id, "run_name": meta["run_name"], "user_id": meta["user_id"], "status": "RUNNING",
            "start_time": meta["start_time"], "end_time": meta["end_time"], "artifact_uri": meta["artifact_uri"],
        });
        // Runs count from 1.
        let at = meta["status"].as_u64().and_then(|at| usize::try_from(at.checked_sub(1)?).ok());
        if let Some(status) = at.and_then(|at| STATUS.get(at)) {
            info["status"] = json!(status);
        }
        let (datasets, models) = self.inputs(experiment, &folder)?;
        let mut outputs = Vec::new();
        for name in folders(&folder.join("outputs"))? {
            let output = self::meta(&folder.join("outputs").join(name))?;
            outputs.push(json!({ "model_id": output["destination_id"], "step": output["step"] }));
        }
        Ok(json!({
            "info": info,
            "data": { "metrics": metrics, "params": values(&folder.join("params"))?, "tags": values(&folder.join("tags"))? },
            "inputs": { "dataset_inputs": datasets, "model_inputs": models },
            "outputs": { "model_outputs": outputs },
        }))
    }

    fn inputs(&self, experiment: &str, run: &Path) -> Result<(Vec<Value>, Vec<Value>), Failure> {
        let (mut datasets, mut models) = (Vec::new(), Vec::new());
        for name in folders(&run.join("inputs"))? {
            let input = meta(&run.join("inputs").join(name))?;
            let id = text(&input, "source_id");
            match text(&input, "source_type") {
                "DATASET" if is_name(id) => {
                    let dataset = meta(&self.root.join(experiment).join("datasets").join(id))?;
                    let tags: Vec<Value> = input["tags"]
                        .as_object()
                        .into_iter()
                        .flatten()
                        .map(|(key, value)| json!({ "key": key, "value": value }))
                        .collect();
                    datasets.push(json!({ "dataset": without_nulls(dataset), "tags": tags }));
                }
                "MODEL_INPUT" | "MODEL" => models.push(json!({ "model_id": id })),
                _ => {}
            }
        }
        Ok((datasets, models))
    }

    /// A page of a history; `after` is where in the file it begins.
    pub(super) fn history(
        &self,
        experiment: &str,
        run: &str,
        key: &str,
        after: Option<&str>,
    ) -> Result<Page, Failure> {
        let path = self.root.join(experiment).join(run).join("metrics").join(key);
        let wrong = |error: std::io::Error| unreadable(&path, &error);
        let mut file = fs::File::open(&path).map_err(wrong)?;
        let mut place: u64 = after.and_then(|text| text.parse().ok()).unwrap_or(0);
        file.seek(SeekFrom::Start(place)).map_err(wrong)?;
        let mut reader = BufReader::new(file);
        let (mut items, mut line) = (Vec::new(), String::new());
        for _ in 0..MAX_LINES {
            line.clear();
            let length = reader.read_line(&mut line).map_err(wrong)?;
            if length == 0 {
                return Ok(Page { items, next: None });
            }
            place += length as u64;
            let read = point(key, &line, false);
            items.push(read.ok_or_else(|| unreadable(&path, &format!("'{}' is no point", line.trim())))?);
        }
        Ok(Page { items, next: Some(place.to_string()) })
    }

    pub(super) fn logged_models(&self, experiment: &str, after: Option<&str>) -> Result<Page, Failure> {
        let folder = self.root.join(experiment).join(REGISTRY);
        let is_one = |name: &String| folder.join(name).join("meta.yaml").is_file();
        let (names, next) = names_after(folders(&folder)?.into_iter().filter(is_one).collect(), after);
        let mut items = Vec::new();
        for id in names {
            let folder = folder.join(&id);
            let meta = meta(&folder)?;
            if !is_active(&meta) {
                continue;
            }
            let mut metrics = Vec::new();
            for (key, _) in leaves(&folder.join("metrics"))? {
                let lines = read(&folder.join("metrics").join(&key))?;
                metrics.extend(lines.lines().filter_map(|line| point(&key, line, true)));
            }
            items.push(json!({
                "info": {
                    "model_id": id, "name": meta["name"], "model_type": meta["model_type"],
                    "source_run_id": meta["source_run_id"], "artifact_uri": meta["artifact_location"],
                    "creation_timestamp_ms": meta["creation_timestamp"],
                    "last_updated_timestamp_ms": meta["last_updated_timestamp"],
                    "status": format!("LOGGED_MODEL_{}", word(&MODEL_STATUS, &meta)),
                    "tags": values(&folder.join("tags"))?,
                },
                "data": { "params": values(&folder.join("params"))?, "metrics": metrics },
            }));
        }
        Ok(Page { items, next })
    }

    pub(super) fn registered_models(&self, after: Option<&str>) -> Result<Page, Failure> {
        let folder = self.root.join(REGISTRY);
        let is_one = |name: &String| folder.join(name).join("meta.yaml").is_file();
        let (names, next) = names_after(folders(&folder)?.into_iter().filter(is_one).collect(), after);
        let mut items = Vec::new();
        for name in names {
            let folder = folder.join(&name);
            let meta = meta(&folder)?;
            let mut aliases = Vec::new();
            for (alias, _) in leaves(&folder.join("aliases"))? {
                let version = read(&folder.join("aliases").join(&alias))?;
                aliases.push(json!({ "alias": alias, "version": version.trim() }));
            }
            let tags = values(&folder.join("tags"))?;
            items.push(
                json!({ "name": name, "description": meta["description"], "tags": tags, "aliases": aliases }),
            );
        }
        Ok(Page { items, next })
    }

    pub(super) fn versions(&self, model: &str) -> Result<Page, Failure> {
        let folder = self.root.join(REGISTRY).join(model);
        let mut items = Vec::new();
        for name in folders(&folder)?.into_iter().filter(|name| name.starts_with("version-")) {
            let folder = folder.join(&name);
            let mut version = meta(&folder)?;
            if text(&version, "current_stage") == "Deleted_Internal" {
                continue;
            }
            version["version"] = json!(name.trim_start_matches("version-"));
            version["tags"] = values(&folder.join("tags"))?;
            items.push(without_nulls(version));
        }
        Ok(Page { items, next: None })
    }

    fn files_root(&self, owner: Owner<'_>) -> PathBuf {
        let (experiment, id) = match owner {
            Owner::Run { experiment, id } => (experiment, PathBuf::from(id)),
            Owner::LoggedModel { experiment, id } => (experiment, Path::new(REGISTRY).join(id)),
        };
        self.root.join(experiment).join(id).join("artifacts")
    }

    pub(super) fn files(&self, owner: Owner<'_>) -> Result<Vec<Entry>, Failure> {
        let found = leaves(&self.files_root(owner))?;
        Ok(found.into_iter().map(|(path, size)| Entry { path, is_folder: false, size }).collect())
    }

    pub(super) fn path(&self, owner: Owner<'_>, entry: &Entry) -> PathBuf {
        self.files_root(owner).join(&entry.path)
    }
}

/// Whether a name from a file names one thing in a folder, and leads nowhere else.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "." && name != ".."
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept: Map<String, Value> = fields.into_iter().filter(|(_, field)| !field.is_null()).collect();
            Value::Object(kept)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_in_each_of_its_forms() {
        let of = |line| point("auc", line, false);
        assert_eq!(of("5 0.25 3"), Some(json!({ "key": "auc", "value": 0.25, "timestamp": 5, "step": 3 })));
        assert_eq!(of("5 0.25").unwrap()["step"], 0, "before steps were written");
        assert_eq!(of("5 nan 1").unwrap()["value"], "NaN");
        assert_eq!(of("5 -inf 1").unwrap()["value"], "-Infinity");
        assert_eq!(of("5 1e308 1 train ab").unwrap()["dataset_digest"], "ab");
        assert_eq!((of("x 1 1"), of("5 x 1"), of("")), (None, None, None));
        let of_model = point("auc", "5 0.25 3 run1 train ab", true).unwrap();
        assert_eq!((&of_model["run_id"], &of_model["dataset_name"]), (&json!("run1"), &json!("train")));
    }

    #[test]
    fn a_page_of_names_says_where_the_next_begins() {
        let names: Vec<String> = (0..150).map(|n| format!("{n:03}")).collect();
        let (first, next) = names_after(names.clone(), None);
        assert_eq!((first.len(), next.as_deref()), (PAGE, Some("099")));
        let (second, next) = names_after(names, next.as_deref());
        assert_eq!((second.len(), second[0].as_str(), next), (50, "100", None));
    }

    #[test]
    fn a_name_does_not_lead_out_of_its_folder() {
        assert!(is_name("f98941a5") && is_name("a b"));
        for bad in ["", "..", ".", "../x", "a/b", "a\\b", "a\0"] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
