//! Training in process: a window of a dataset version becomes a run and a model version.

use std::sync::Arc;

use bytes::Bytes;
use greenlight_domain::dataset::ColumnRole;
use greenlight_domain::model::ModelVersion;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::training::{TrainingSpec, split_version};
use greenlight_stats::{calibration, drift, ranking};
use greenlight_store::run::Run;
use serde::Serialize;
use serde_json::json;

use crate::gate::outcomes;
use crate::live::blocking;
use crate::{App, AppError, allow, servable};

/// What a training yielded.
#[derive(Debug, Clone, Serialize)]
pub struct Trained {
    /// The run.
    pub run: Run,
    /// The model version.
    pub model: ModelVersion,
    /// It was registered before, from the same version of the registry: nothing was made.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub existing: bool,
}

const SCORE_BINS: usize = 10;
const LIST_LIMIT: i64 = 200;

/// Version of the code that trains, as runs record it.
pub(crate) const CODE_VERSION: &str = concat!("greenlight ", env!("CARGO_PKG_VERSION"));

/// Runs the training of that name.
pub async fn train(app: &App, actor: &Actor, name: &str) -> Result<Trained, AppError> {
    allow(actor, Action::Train)?;
    let mut connection = app.store.read().await?;
    let missing = || AppError::not_found("training", name, "apply a manifest of kind Training first");
    let spec = greenlight_store::training::get(&mut connection, name).await?.ok_or_else(missing)?;
    let (dataset_name, version) = split_version(&spec.dataset)?;
    let (dataset, _) = greenlight_store::dataset::get(&mut connection, dataset_name, version)
        .await?
        .ok_or_else(|| AppError::not_found("dataset", &spec.dataset, ""))?;
    drop(connection);
    let started_at = app.clock.now();
    let outcome = dataset.column_of(ColumnRole::Outcome).unwrap_or_default().to_owned();
    let time = dataset.column_of(ColumnRole::Time).unwrap_or_default().to_owned();
    let file = app.artifacts.file(&dataset.sha256).await?;
    let mut columns = spec.features.clone();
    columns.push(outcome.clone());
    let frame = app.lake.read_dataset(&file, &columns, &time, Some((spec.from, spec.until))).await?;
    let runtime = Arc::clone(&app.runtime);
    let learner = spec.learner.clone();
    let positive = dataset.positive.clone();
    let fitted = blocking(move || {
        let happened = outcomes(&frame, &outcome, &positive)?;
        let fields: Arc<[_]> =
            frame.fields().iter().filter(|f| f.name.as_ref() != outcome).cloned().collect();
        let rows = frame.select(&fields)?;
        let trained = runtime.train(&learner, &rows, &happened)?;
        let scores = runtime.load(&trained.artifact)?.score(&rows)?;
        let quality = quality(&scores, &happened)?;
        Ok::<_, AppError>((trained, quality))
    });
    let (trained, quality) = fitted.await??;
    let size_bytes = trained.artifact.len() as i64;
    let sha256 = app.artifacts.put(Bytes::from(trained.artifact)).await?;
    let mut metrics = quality.metrics;
    // What the learner reports goes beside our own figures, and never in their place.
    let own: Vec<String> = metrics.iter().map(|m| m.0.clone()).collect();
    metrics.extend(trained.facts.into_iter().filter(|fact| !own.contains(&fact.0)));
    let run = run_of(app, actor, name, &spec, started_at, metrics);
    let model = ModelVersion {
        name: name.to_owned(),
        version: 0,
        run_id: run.id.clone(),
        signature: trained.signature,
        flavor: trained.flavor,
        sha256,
        size_bytes,
        dataset: spec.dataset,
        trained_until: spec.until,
        score_edges: quality.score_edges,
        score_counts: quality.score_counts,
        author: actor.name.clone(),
        created_at: app.clock.now(),
        registered: None,
    };
    insert(app, actor, "model.train", run, model).await
}

pub(crate) async fn insert(
    app: &App,
    actor: &Actor,
    action: &str,
    mut run: Run,
    mut model: ModelVersion,
) -> Result<Trained, AppError> {
    let mut transaction = app.store.begin().await?;
    if let Some(known) = servable::known(&mut transaction, &model).await? {
        return servable::existing(&mut transaction, known).await;
    }
    model.version = greenlight_store::model::next_version(&mut transaction, &model.name).await?;
    if greenlight_store::run::info(&mut transaction, &run.id).await?.is_none() {
        greenlight_store::run::insert(&mut transaction, &run).await?;
    } else {
        // A client's run keeps what was logged to it.
        greenlight_store::run::complete(&mut transaction, &run.id, &run.dataset, &run.initiative).await?;
        run = greenlight_store::run::get(&mut transaction, &run.id).await?.unwrap_or(run);
    }
    greenlight_store::model::insert(&mut transaction, &model).await?;
    let mut detail = json!({ "run": run.id, "sha256": model.sha256, "dataset": model.dataset });
    if let Some(registered) = &model.registered {
        detail["from"] = registered.uri().into();
    }
    app.audit(&mut transaction, actor, action, &model.reference(), detail).await?;
    transaction.commit().await.map_err(greenlight_store::StoreError::from)?;
    Ok(Trained { run, model, existing: false })
}

pub(crate) struct Quality {
    pub(crate) metrics: Vec<(String, f64)>,
    pub(crate) score_edges: Vec<f64>,
    pub(crate) score_counts: Vec<u64>,
}

pub(crate) fn quality(scores: &[f64], happened: &[bool]) -> Result<Quality, AppError> {
    let wrong = |e: greenlight_stats::StatsError| AppError::Invalid(format!("training: {e}"));
    let score_edges = drift::quantile_edges(scores, SCORE_BINS).map_err(wrong)?;
    let positives = happened.iter().filter(|h| **h).count();
    Ok(Quality {
        metrics: vec![
            ("training_rows".to_owned(), happened.len() as f64),
            ("training_positive_rate".to_owned(), positives as f64 / happened.len().max(1) as f64),
            ("training_auc".to_owned(), ranking::auc(scores, happened).map_err(wrong)?),
            ("training_log_loss".to_owned(), calibration::log_loss(scores, happened).map_err(wrong)?),
            ("training_brier".to_owned(), calibration::brier(scores, happened).map_err(wrong)?),
        ],
        score_counts: drift::histogram(scores, &score_edges),
        score_edges,
    })
}

fn run_of(
    app: &App,
    actor: &Actor,
    name: &str,
    spec: &TrainingSpec,
    started_at: greenlight_domain::time::Micros,
    metrics: Vec<(String, f64)>,
) -> Run {
    let mut params = spec.learner.parameters();
    params.push(("features".to_owned(), spec.features.join(",")));
    params.push(("from".to_owned(), spec.from.to_string()));
    params.push(("until".to_owned(), spec.until.to_string()));
    Run {
        id: uuid::Uuid::now_v7().simple().to_string(),
        experiment: spec.experiment.clone(),
        name: name.to_owned(),
        status: "FINISHED".to_owned(),
        initiative: spec.initiative.clone(),
        dataset: spec.dataset.clone(),
        code_version: CODE_VERSION.to_owned(),
        author: actor.name.clone(),
        started_at,
        ended_at: Some(app.clock.now()),
        params,
        metrics,
    }
}

/// The newest runs.
pub async fn runs(app: &App, actor: &Actor) -> Result<Vec<Run>, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    Ok(greenlight_store::run::newest(&mut connection, LIST_LIMIT).await?)
}
