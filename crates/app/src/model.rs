//! Model versions: registering files of other libraries and models of other servers, listing, showing.
//!
//! A file is loaded, tried and scored on the data that it was trained on before it becomes a version; a converted
//! file is compared with its original first, because a conversion to single precision can change decisions.

use std::sync::Arc;

use bytes::Bytes;
use greenlight_domain::dataset::{ColumnRole, DatasetSpec};
use greenlight_domain::frame::{ColumnType, Field, Frame};
use greenlight_domain::model::{ModelVersion, Signature};
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::Micros;
use greenlight_domain::training::split_version;
use greenlight_store::run::Run;
use serde::Deserialize;

use crate::gate::outcomes;
use crate::live::{blocking, smoke};
use crate::runtime::Model;
use crate::servable::{self, Prepared};
use crate::training::{self, CODE_VERSION, Quality, Trained};
use crate::{App, AppError, allow};

const LIST_LIMIT: i64 = 200;
/// How far a score of a converted model may lie from its original's.
const TOLERANCE: f64 = 1e-4;
/// Before any recorded time.
const BEGINNING: Micros = Micros(-62_135_596_800_000_000);

/// A model file of another library, uploaded as an artifact before or lying in the registry; or a model of another
/// server.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterModel {
    /// SHA-256 of the file. Empty for an upstream and for a version of the registry.
    #[serde(default)]
    pub sha256: String,
    /// The version of the registry that it is: `models:/name@alias` or `models:/name/3`. Its run may say what is left
    /// out here: the data set by an input that names it or its place, the rest by the tags
    /// `greenlight.trained_until` and `greenlight.initiative`.
    #[serde(default)]
    pub from: Option<String>,
    /// Where the model of another server is: `protocol`, `addresses`, `model`, and settings. This server calls the
    /// addresses, so that whoever may register models chooses whom it calls.
    #[serde(default)]
    pub upstream: Option<serde_json::Value>,
    /// Columns of the data set that the upstream gets, in order; every one before the decision when empty.
    #[serde(default)]
    pub columns: Vec<String>,
    /// `name@version` of the data set that it was trained on.
    #[serde(default)]
    pub dataset: String,
    /// End of its training window, exclusive: nothing before may be used to judge it.
    #[serde(default)]
    pub trained_until: Option<Micros>,
    /// The initiative that it was made for.
    #[serde(default)]
    pub initiative: String,
    /// SHA-256 of the file that it was converted from, to compare scores with.
    #[serde(default)]
    pub converted_from: Option<String>,
    /// Largest difference from the original's scores that is accepted; 0.0001 when absent.
    #[serde(default)]
    pub tolerance: Option<f64>,
}

struct Read {
    signature: Signature,
    flavor: &'static str,
    quality: Quality,
}

/// Registers a file as the next version of `name`. A version of the registry that was registered under this name before
/// comes back as it is.
pub async fn register(
    app: &App,
    actor: &Actor,
    name: &str,
    mut request: RegisterModel,
) -> Result<Trained, AppError> {
    allow(actor, Action::Train)?;
    servable::check_name(name, request.from.as_deref())?;
    let started_at = app.clock.now();
    let origin = match servable::prepare(app, name, &mut request).await? {
        Prepared::New(origin) => origin,
        Prepared::Known(known) => return Ok(*known),
    };
    let until = request.trained_until.ok_or_else(|| {
        let problem = "say with trained_until where its training data end, as a date or RFC 3339 time";
        AppError::Invalid(problem.to_owned())
    })?;
    let (dataset_name, version) = split_version(&request.dataset)?;
    let mut connection = app.store.read().await?;
    let (dataset, _) = greenlight_store::dataset::get(&mut connection, dataset_name, version)
        .await?
        .ok_or_else(|| AppError::not_found("dataset", &request.dataset, "apply its manifest first"))?;
    drop(connection);
    dataset.check_has_contract(&request.dataset)?;
    describe_upstream(app, &mut request, &dataset.decision_time_features()).await?;
    let (model, original, size_bytes) = open(app, &request).await?;
    check_inputs(model.as_ref(), &dataset.decision_time_features(), &request.dataset)?;
    let outcome = dataset.column_of(ColumnRole::Outcome).unwrap_or_default().to_owned();
    let frame = window(app, &dataset, [Some(&model), original.as_ref()], until).await?;
    if frame.rows() == 0 {
        return Err(AppError::Invalid(format!(
            "{} has no rows before {until}; say with trained_until where its training data end",
            request.dataset
        )));
    }
    let tolerance = request.tolerance.unwrap_or(TOLERANCE);
    let positive = dataset.positive;
    let read = blocking(move || {
        let happened = outcomes(&frame, &outcome, &positive)?;
        judge(model.as_ref(), original.as_deref(), &frame, &happened, tolerance)
    })
    .await??;
    let (registered, made_by) = origin.map_or((None, None), |origin| (Some(origin.registered), origin.run));
    let run = match made_by {
        Some(run) => Run { dataset: request.dataset.clone(), initiative: request.initiative.clone(), ..run },
        None => run_of(app, actor, name, &request, started_at, &read),
    };
    let model = ModelVersion {
        name: name.to_owned(),
        version: 0,
        run_id: run.id.clone(),
        signature: read.signature,
        flavor: read.flavor.to_owned(),
        sha256: request.sha256,
        size_bytes,
        dataset: request.dataset,
        trained_until: until,
        score_edges: read.quality.score_edges,
        score_counts: read.quality.score_counts,
        author: actor.name.clone(),
        created_at: app.clock.now(),
        registered,
    };
    training::insert(app, actor, "model.register", run, model).await
}

/// The rows before `until`: what the models read, and the outcome.
async fn window(
    app: &App,
    dataset: &DatasetSpec,
    models: [Option<&Arc<dyn Model>>; 2],
    until: Micros,
) -> Result<Frame, AppError> {
    let mut columns: Vec<String> = Vec::new();
    for field in models.into_iter().flatten().flat_map(|model| model.signature().inputs.iter()) {
        if !columns.iter().any(|column| column == field.name.as_ref()) {
            columns.push(field.name.to_string());
        }
    }
    columns.push(dataset.column_of(ColumnRole::Outcome).unwrap_or_default().to_owned());
    let time = dataset.column_of(ColumnRole::Time).unwrap_or_default();
    let file = app.artifacts.file(&dataset.sha256).await?;
    Ok(app.lake.read_dataset(&file, &columns, time, Some((BEGINNING, until))).await?)
}

/// Asks an upstream what it takes and answers, and stores its description as the artifact.
async fn describe_upstream(
    app: &App,
    request: &mut RegisterModel,
    features: &[Field],
) -> Result<(), AppError> {
    let Some(wanted) = request.upstream.clone() else {
        if request.sha256.is_empty() || !request.columns.is_empty() {
            let problem =
                "a model needs the sha256 of its file, or an upstream; only an upstream has columns";
            return Err(AppError::Invalid(problem.to_owned()));
        }
        return Ok(());
    };
    if !request.sha256.is_empty() {
        let problem = "a model is a file or an upstream; send sha256 or upstream, not both";
        return Err(AppError::Invalid(problem.to_owned()));
    }
    let chosen = |name: &String| {
        let found = features.iter().find(|field| field.name.as_ref() == name.as_str());
        found.cloned().ok_or_else(|| {
            let dataset = &request.dataset;
            AppError::Invalid(format!("{dataset} has no column '{name}' that is known before the decision"))
        })
    };
    let columns = match request.columns.as_slice() {
        [] => features.to_vec(),
        names => names.iter().map(chosen).collect::<Result<_, _>>()?,
    };
    let runtime = Arc::clone(&app.runtime);
    let artifact = blocking(move || runtime.connect(&wanted, &columns)).await??;
    request.sha256 = app.artifacts.put(artifact.into()).await?;
    Ok(())
}

/// Loads and tries the file, and the one that it was converted from.
async fn open(
    app: &App,
    request: &RegisterModel,
) -> Result<(Arc<dyn Model>, Option<Arc<dyn Model>>, i64), AppError> {
    let bytes = app.artifacts.get(&request.sha256).await?;
    let size_bytes = bytes.len() as i64;
    let original = match &request.converted_from {
        Some(sha256) => Some(app.artifacts.get(sha256).await?),
        None => None,
    };
    let runtime = Arc::clone(&app.runtime);
    blocking(move || {
        let model = runtime.load(&bytes)?;
        smoke(model.as_ref())?;
        let original = original.map(|bytes| runtime.load(&bytes)).transpose()?;
        Ok((model, original, size_bytes))
    })
    .await?
}

fn check_inputs(model: &dyn Model, features: &[Field], dataset: &str) -> Result<(), AppError> {
    let Some(unknown) = model.signature().inputs.iter().find(|input| !features.contains(input)) else {
        return Ok(());
    };
    let names: Vec<&str> = features.iter().map(|field| field.name.as_ref()).collect();
    Err(AppError::Invalid(format!(
        "the model needs '{}' and {dataset} has no such column of {} before the decision; it has {}. Train it on \
         columns of these names, or log an ONNX graph with a signature that names them in order",
        unknown.name,
        match unknown.column_type {
            ColumnType::Number => "numbers",
            ColumnType::Text => "text",
        },
        names.join(", ")
    )))
}

/// Scores the training window: quality, the scores that drift is measured against, and the distance from the original.
fn judge(
    model: &dyn Model,
    original: Option<&dyn Model>,
    frame: &Frame,
    happened: &[bool],
    tolerance: f64,
) -> Result<Read, AppError> {
    let scores = model.score(frame)?;
    let mut quality = training::quality(&scores, happened)?;
    if let Some(original) = original {
        let worst = parity(&original.score(frame)?, &scores, tolerance)?;
        quality.metrics.push(("largest_difference".to_owned(), worst));
    }
    Ok(Read { signature: model.signature().clone(), flavor: model.flavor(), quality })
}

/// The largest difference between the scores of a converted model and its original's; fails beyond `tolerance`.
fn parity(original: &[f64], converted: &[f64], tolerance: f64) -> Result<f64, AppError> {
    let mut worst = (0, 0.0_f64);
    for (row, (a, b)) in original.iter().zip(converted).enumerate() {
        let difference = (a - b).abs();
        if difference > worst.1 || difference.is_nan() {
            worst = (row, difference);
        }
    }
    if worst.1 <= tolerance {
        return Ok(worst.1);
    }
    let beyond = original.iter().zip(converted).filter(|(a, b)| (*a - *b).abs() > tolerance).count();
    Err(AppError::Invalid(format!(
        "the converted model differs from its original by up to {:.3} (row {}; {beyond} of {} rows differ by more than \
         {tolerance}); large numbers lose their last digits in single precision: register the original file, or convert \
         it in double precision",
        worst.1,
        worst.0,
        original.len()
    )))
}

fn run_of(
    app: &App,
    actor: &Actor,
    name: &str,
    request: &RegisterModel,
    started_at: Micros,
    read: &Read,
) -> Run {
    let param = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let mut params = vec![param("file_sha256", &request.sha256), param("file_format", read.flavor)];
    if let Some(uri) = &request.from {
        params.push(param("registered_from", uri));
    }
    if let Some(original) = &request.converted_from {
        params.push(param("converted_from", original));
    }
    let addresses = request.upstream.as_ref().and_then(|upstream| upstream["addresses"].as_array());
    for (index, address) in addresses.into_iter().flatten().enumerate() {
        params.push(param(&format!("address_{}", index + 1), address.as_str().unwrap_or_default()));
    }
    Run {
        id: uuid::Uuid::now_v7().simple().to_string(),
        experiment: "registered".to_owned(),
        name: name.to_owned(),
        status: "FINISHED".to_owned(),
        initiative: request.initiative.clone(),
        dataset: request.dataset.clone(),
        code_version: CODE_VERSION.to_owned(),
        author: actor.name.clone(),
        started_at,
        ended_at: Some(app.clock.now()),
        params,
        metrics: read.quality.metrics.clone(),
    }
}

/// The newest model versions.
pub async fn list(app: &App, actor: &Actor) -> Result<Vec<ModelVersion>, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    Ok(greenlight_store::model::newest(&mut connection, LIST_LIMIT).await?)
}

/// One model version with its run.
pub async fn view(app: &App, actor: &Actor, name: &str, version: i64) -> Result<Trained, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    let missing = || {
        AppError::not_found(
            "model version",
            &format!("{name}@{version}"),
            "list them with 'greenlight model list'",
        )
    };
    let model = greenlight_store::model::get(&mut connection, name, version).await?.ok_or_else(missing)?;
    let run = greenlight_store::run::get(&mut connection, &model.run_id).await?.ok_or_else(missing)?;
    Ok(Trained { run, model, existing: false })
}

/// The file of a model version, checked against its digest, for whoever scores elsewhere.
pub async fn artifact(app: &App, actor: &Actor, name: &str, version: i64) -> Result<Bytes, AppError> {
    allow(actor, Action::Download)?;
    let mut connection = app.store.read().await?;
    let model = greenlight_store::model::get(&mut connection, name, version).await?.ok_or_else(|| {
        let hint = "list them with 'greenlight model list'";
        AppError::not_found("model version", &format!("{name}@{version}"), hint)
    })?;
    drop(connection);
    app.artifacts.get(&model.sha256).await
}
