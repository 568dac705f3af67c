//! From a version of the registry to a model version that can be released: its file as it is, its run as it was.
//!
//! Owns what a registration may leave out because the version, its run or its `MLmodel` file says it. It refuses files
//! that would have to be converted, and never writes to a run more than the run leaves open.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use greenlight_domain::evidence::hex;
use greenlight_domain::model::{ModelVersion, Registered};
use greenlight_domain::registry::ModelUri;
use greenlight_domain::role::Actor;
use greenlight_domain::training::split_version;
use greenlight_store::logged_dataset::{LoggedDataset, RunInput};
use greenlight_store::registered_version::RegisteredVersion;
use greenlight_store::run::{Run, RunRecord};
use greenlight_store::{Connection, dataset, run};
use sha2::{Digest, Sha256};

use crate::files::unavailable;
use crate::live::blocking;
use crate::model::{RegisterModel, register};
use crate::run_artifact::{self, Owner};
use crate::training::Trained;
use crate::{App, AppError, mlmodel, registered_version, version_source};

/// Largest file of a model; the engines load no larger.
const MAX_FILE: u64 = 256 << 20;
/// Most model versions that one version of the registry is looked for among.
const MAX_KNOWN: i64 = 1_000;
/// The tag of a run that says where its training data end.
const TRAINED_UNTIL: &str = "greenlight.trained_until";
/// The tag of a use of a data set that says what for.
const CONTEXT: &str = "mlflow.data.context";

/// A version of the registry with the run that made it, if this server knows that run.
pub(crate) struct Origin {
    pub(crate) registered: Registered,
    pub(crate) run: Option<Run>,
}

/// What comes of a request before its file is tried.
pub(crate) enum Prepared {
    /// It is complete, and its file among the artifacts.
    New(Option<Box<Origin>>),
    /// It was registered before.
    Known(Box<Trained>),
}

/// Checks the name of a model version; the registry's names may be others.
pub(crate) fn check_name(name: &str, from: Option<&str>) -> Result<(), AppError> {
    let checked = greenlight_domain::endpoint::check_name("name", name);
    checked.map_err(|error| match from {
        Some(uri) => AppError::Invalid(format!(
            "{error}; give it another one: greenlight model register --from {uri} --name NAME"
        )),
        None => error.into(),
    })
}

/// Completes a request that names a version of the registry; any other stays as it is.
pub(crate) async fn prepare(
    app: &App,
    name: &str,
    request: &mut RegisterModel,
) -> Result<Prepared, AppError> {
    let Some(uri) = request.from.clone() else { return Ok(Prepared::New(None)) };
    if !request.sha256.is_empty() || request.upstream.is_some() {
        let problem = "a model comes from the registry, from a file or from an upstream; send only one of from, \
                       sha256 and upstream";
        return Err(AppError::Invalid(problem.to_owned()));
    }
    let mut connection = app.store.read().await?;
    let version = version_at(&mut connection, &uri).await?;
    drop(connection);
    let registered = Registered { name: version.name.clone(), version: version.version };
    request.from = Some(registered.uri());
    request.sha256 = keep(app, &registered).await?;
    let mut connection = app.store.read().await?;
    let known = greenlight_store::model::of_registered(&mut connection, &registered, MAX_KNOWN).await?;
    let same = known.into_iter().find(|known| {
        known.name == name
            && known.sha256 == request.sha256
            && (request.dataset.is_empty() || request.dataset == known.dataset)
            && request.trained_until.is_none_or(|until| until == known.trained_until)
    });
    if let Some(model) = same {
        return Ok(Prepared::Known(Box::new(existing(&mut connection, model).await?)));
    }
    let made_by = made_by(&mut connection, &version).await?;
    complete(&mut connection, &registered, name, made_by.as_ref(), request).await?;
    Ok(Prepared::New(Some(Box::new(Origin { registered, run: made_by.map(|(run, _)| run) }))))
}

/// A model version that was there already.
pub(crate) async fn existing(connection: &mut Connection, model: ModelVersion) -> Result<Trained, AppError> {
    let run = run::get(connection, &model.run_id).await?;
    let run = run.ok_or_else(|| AppError::not_found("run", &model.run_id, ""))?;
    Ok(Trained { run, model, existing: true })
}

/// The model version that says the same of the same version of the registry, if there is one.
pub(crate) async fn known(
    connection: &mut Connection,
    model: &ModelVersion,
) -> Result<Option<ModelVersion>, AppError> {
    let Some(registered) = &model.registered else { return Ok(None) };
    let known = greenlight_store::model::of_registered(connection, registered, MAX_KNOWN).await?;
    Ok(known.into_iter().find(|known| {
        (&known.name, &known.sha256, &known.dataset, known.trained_until)
            == (&model.name, &model.sha256, &model.dataset, model.trained_until)
    }))
}

/// `name@version` of the newest model version that comes from what `uri` names; it is registered when there is none
/// and its run says everything that is needed.
pub(crate) async fn reference(app: &App, actor: &Actor, uri: &str) -> Result<String, AppError> {
    let mut connection = app.store.read().await?;
    let version = version_at(&mut connection, uri).await?;
    let registered = Registered { name: version.name, version: version.version };
    let newest = greenlight_store::model::of_registered(&mut connection, &registered, 1).await?.pop();
    drop(connection);
    if let Some(newest) = newest {
        return Ok(newest.reference());
    }
    let request = RegisterModel { from: Some(registered.uri()), ..RegisterModel::default() };
    Ok(register(app, actor, &registered.name, request).await?.model.reference())
}

/// The version of the registry that a URI names.
async fn version_at(connection: &mut Connection, uri: &str) -> Result<RegisteredVersion, AppError> {
    let shown = || uri.chars().take(200).collect::<String>();
    match uri.strip_prefix("models:").and_then(ModelUri::parse) {
        None => Err(AppError::Invalid(format!(
            "'{}' names no version of the registry; write models:/NAME@ALIAS or models:/NAME/3",
            shown()
        ))),
        Some(ModelUri::Logged(_)) => Err(AppError::Invalid(format!(
            "'{}' is a logged model and no version of the registry; register it first: \
             mlflow.register_model('{}', NAME)",
            shown(),
            shown()
        ))),
        Some(named) => {
            let (name, version) = version_source::named(connection, named).await?;
            registered_version::find(connection, &name, version).await
        }
    }
}

/// Copies the file of a version among the artifacts, with the names of its columns where it lacks them; its digest.
async fn keep(app: &App, registered: &Registered) -> Result<String, AppError> {
    let (number, uri) = (registered.version.to_string(), registered.uri());
    let owner = Owner::Version(&registered.name, &number);
    let text = run_artifact::text(app, owner, mlmodel::FILE, mlmodel::MAX_BYTES).await;
    let text = text.map_err(|error| match error {
        AppError::NotFound { what: "artifact", .. } => AppError::Invalid(format!(
            "{uri} has no {} file; log the model with mlflow.lightgbm, mlflow.xgboost or mlflow.onnx and register that",
            mlmodel::FILE
        )),
        other => other,
    })?;
    let served = mlmodel::read(&text, &uri)?;
    let file = run_artifact::opened(app, owner, &served.path, None).await?;
    if file.size > MAX_FILE {
        let (path, size) = (&served.path, file.size);
        let problem =
            format!("'{path}' of {uri} has {size} bytes and the limit is {MAX_FILE}; log a smaller model");
        return Err(AppError::Invalid(problem));
    }
    // Read twice, because an artifact is stored under the digest of bytes that are known.
    let sha256 = digest(file.bytes).await?;
    let again = run_artifact::opened(app, owner, &served.path, None).await?;
    app.artifacts.put_stream(&sha256, MAX_FILE, again.bytes).await?;
    if served.columns.is_empty() {
        return Ok(sha256);
    }
    let bytes = app.artifacts.get(&sha256).await?;
    let runtime = Arc::clone(&app.runtime);
    match blocking(move || runtime.name_columns(&bytes, &served.columns)).await?? {
        Some(named) => app.artifacts.put(named.into()).await,
        None => Ok(sha256),
    }
}

/// SHA-256 of the bytes that come.
async fn digest(
    mut bytes: BoxStream<'static, Result<Bytes, object_store::Error>>,
) -> Result<String, AppError> {
    let mut hasher = Sha256::new();
    while let Some(chunk) = bytes.next().await {
        hasher.update(&chunk.map_err(|e| unavailable(&e))?);
    }
    Ok(hex(&hasher.finalize()))
}

/// The run that a version names, when it is one of this server's.
async fn made_by(
    connection: &mut Connection,
    version: &RegisteredVersion,
) -> Result<Option<(Run, RunRecord)>, AppError> {
    let Some(id) = version.run_id.as_deref().filter(|id| !id.is_empty()) else { return Ok(None) };
    let (Some(found), Some(info)) = (run::get(connection, id).await?, run::info(connection, id).await?)
    else {
        return Ok(None);
    };
    Ok(run::records(connection, vec![info]).await?.pop().map(|record| (found, record)))
}

/// Fills in what a request leaves out, or says what it has to be told.
async fn complete(
    connection: &mut Connection,
    registered: &Registered,
    name: &str,
    made_by: Option<&(Run, RunRecord)>,
    request: &mut RegisterModel,
) -> Result<(), AppError> {
    let tag = |key: &str| {
        let (_, record) = made_by?;
        record.tags.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    };
    if let (None, Some(until)) = (request.trained_until, tag(TRAINED_UNTIL)) {
        let until = until.parse().map_err(|error| {
            AppError::Invalid(format!("the tag {TRAINED_UNTIL} of the run of {}: {error}", registered.uri()))
        })?;
        request.trained_until = Some(until);
    }
    let mut read = Vec::new();
    if let (true, Some((run, record))) = (request.dataset.is_empty(), made_by) {
        read = datasets_of(connection, run, record).await?;
        if let [only] = read.as_slice() {
            request.dataset.clone_from(only);
        }
    }
    if !request.dataset.is_empty() && request.trained_until.is_some() {
        return Ok(());
    }
    Err(incomplete(registered, name, request, &read))
}

fn incomplete(registered: &Registered, name: &str, request: &RegisterModel, read: &[String]) -> AppError {
    let mut needs = Vec::new();
    let mut command = format!("greenlight model register --from {}", registered.uri());
    if name != registered.name {
        command.push_str(" --name ");
        command.push_str(name);
    }
    if request.dataset.is_empty() {
        let found = match read {
            [] => "its run names none of ours".to_owned(),
            several => format!("its run read {}", several.join(" and ")),
        };
        needs.push(format!("dataset, the NAME@VERSION that it was trained on ({found})"));
        command.push_str(" --dataset NAME@1");
    } else {
        command.push_str(" --dataset ");
        command.push_str(&request.dataset);
    }
    if let Some(until) = request.trained_until {
        command.push_str(" --trained-until ");
        command.push_str(&until.to_string());
    } else {
        needs.push(format!(
            "trained_until, the end of its training data as a date or RFC 3339 time (or the tag {TRAINED_UNTIL} of \
             its run)"
        ));
        command.push_str(" --trained-until 2026-01-31");
    }
    AppError::Invalid(format!("{} needs {}: {command}", registered.uri(), needs.join(", and ")))
}

/// The versions of our data sets that a run read; those that it read for training, when it says which.
async fn datasets_of(
    connection: &mut Connection,
    run: &Run,
    record: &RunRecord,
) -> Result<Vec<String>, AppError> {
    if !run.dataset.is_empty() {
        return Ok(vec![run.dataset.clone()]);
    }
    let is_training = |input: &&RunInput| {
        input
            .tags
            .iter()
            .any(|(key, value)| key == CONTEXT && value.to_ascii_lowercase().starts_with("train"))
    };
    let training: Vec<&RunInput> = record.inputs.iter().filter(is_training).collect();
    let inputs = if training.is_empty() { record.inputs.iter().collect() } else { training };
    let mut found: Vec<String> = Vec::new();
    for input in inputs {
        for reference in ours(connection, &input.dataset).await? {
            if !found.contains(&reference) {
                found.push(reference);
            }
        }
    }
    Ok(found)
}

/// The versions of ours that a logged data set is: the one that it is named after, or else those of its place.
async fn ours(connection: &mut Connection, logged: &LoggedDataset) -> Result<Vec<String>, AppError> {
    if let Ok((name, version)) = split_version(&logged.name)
        && dataset::get(connection, name, version).await?.is_some()
    {
        return Ok(vec![logged.name.clone()]);
    }
    let place = logged.place();
    if place.is_empty() {
        return Ok(Vec::new());
    }
    let found = dataset::at_place(connection, &place).await?;
    Ok(found.into_iter().map(|(name, version)| format!("{name}@{version}")).collect())
}
