//! What runs read and wrote: data sets and logged models.

use greenlight_domain::role::{Action, Actor};
use greenlight_domain::run::check_words;
use greenlight_store::run_model::ModelOutput;
use greenlight_store::{StoreError, logged_dataset, run_model};

pub use greenlight_store::logged_dataset::{LoggedDataset, RunInput, Summary};

use crate::run::{check_id, find_active};
use crate::{App, AppError, allow};

/// Most data sets, and most models, of one call.
const MAX_INPUTS: usize = 10_000;
/// Most experiments whose data sets are asked for at once.
const MAX_EXPERIMENTS: usize = 20;
/// Most data sets of an answer.
const MAX_SUMMARIES: i64 = 1_000;

fn check(input: &RunInput) -> Result<(), AppError> {
    let dataset = &input.dataset;
    check_words("name", &dataset.name, 500)?;
    check_words("digest", &dataset.digest, 36)?;
    check_words("source", &dataset.source, 65_535)?;
    check_words("schema", &dataset.schema, 1_048_575)?;
    check_words("profile", &dataset.profile, 16_777_215)?;
    for (key, value) in &input.tags {
        check_words("key", key, 255)?;
        check_words("value", value, 500)?;
    }
    Ok(())
}

/// Says which data sets and which models a run read. What is known already is not written again.
pub async fn log_inputs(
    app: &App,
    actor: &Actor,
    run_id: &str,
    mut inputs: Vec<RunInput>,
    models: &[&str],
) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    check_id(run_id)?;
    if inputs.len() > MAX_INPUTS || models.len() > MAX_INPUTS {
        return Err(AppError::Invalid(format!("send at most {MAX_INPUTS} data sets at once")));
    }
    for input in &mut inputs {
        check(input)?;
        let last: std::collections::BTreeMap<String, String> = input.tags.drain(..).collect();
        input.tags = last.into_iter().collect();
    }
    let mut seen = std::collections::HashSet::new();
    inputs.retain(|input| seen.insert((input.dataset.name.clone(), input.dataset.digest.clone())));
    let mut transaction = app.store.begin().await?;
    let info = find_active(&mut transaction, run_id).await?;
    logged_dataset::log(&mut transaction, (info.number, info.experiment_id), &inputs).await?;
    run_model::log_inputs(&mut transaction, info.number, models).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Says which models a run wrote, each once.
pub async fn log_outputs(
    app: &App,
    actor: &Actor,
    run_id: &str,
    models: &[ModelOutput],
) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    if models.len() > MAX_INPUTS {
        return Err(AppError::Invalid(format!("send at most {MAX_INPUTS} models at once")));
    }
    let mut transaction = app.store.begin().await?;
    let info = find_active(&mut transaction, run_id).await?;
    match run_model::log_outputs(&mut transaction, info.number, models).await {
        Err(StoreError::Conflict) => {
            return Err(AppError::Invalid(format!(
                "run {run_id} has one of these models as its output already; an output is logged once"
            )));
        }
        other => other?,
    }
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Refuses to look for data sets nowhere, or in too many places.
pub fn check_experiments(count: usize) -> Result<(), AppError> {
    match count {
        0 => Err(AppError::Invalid(
            "SearchDatasets request must specify at least one experiment_id.".to_owned(),
        )),
        1..=MAX_EXPERIMENTS => Ok(()),
        _ => Err(AppError::Invalid(format!(
            "SearchDatasets request cannot specify more than {MAX_EXPERIMENTS} experiment_ids. Received {count} \
             experiment_ids."
        ))),
    }
}

/// The data sets that runs of these experiments read.
pub async fn summaries(app: &App, actor: &Actor, experiments: &[i64]) -> Result<Vec<Summary>, AppError> {
    allow(actor, Action::Read)?;
    check_experiments(experiments.len())?;
    let mut connection = app.store.read().await?;
    Ok(logged_dataset::summaries(&mut connection, experiments, MAX_SUMMARIES).await?)
}
