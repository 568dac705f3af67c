//! One run as its page shows it: what was logged to it, its curves, its files, and what was made of it.

use greenlight_domain::model::ModelVersion;
use greenlight_domain::registry_search::{RegistryCondition, RegistryFilter, RegistrySubject};
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::run_search::Test;
use greenlight_domain::time::Micros;
use greenlight_store::logged_dataset::uses;
use greenlight_store::registry_search::{Question, search_versions};
use greenlight_store::{Connection, metric, run_model};

pub use greenlight_store::logged_dataset::Use;

use crate::experiment::Experiment;
use crate::logged_model::LoggedModel;
use crate::registered_version::RegisteredVersion;
use crate::run::{Latest, RunRecord};
use crate::run_artifact::{Entry, Owner, list};
use crate::{App, AppError, Kind, allow, experiment, run};

/// Most points of a curve; what is left out is spread evenly.
pub const MAX_POINTS: i64 = 500;
/// Most curves that are drawn at once.
pub const MAX_CURVES: usize = 12;
/// Curves that are drawn when nobody says which.
const USUAL_CURVES: usize = 6;
/// Most data sets, models and versions of a page, each.
pub const MAX_RELATED: i64 = 100;
/// Most entries of a folder.
pub const MAX_ENTRIES: usize = 1_000;

/// What is looked at of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunViewQuery {
    /// Metrics whose curves are drawn; the first ones that have steps when empty.
    pub metrics: Vec<String>,
    /// Folder of its files; empty for the first one.
    pub path: String,
}

/// The points of one metric, by step.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Name of the metric.
    pub key: String,
    /// Its points, thinned where there are many.
    pub points: Vec<Latest>,
}

/// A folder of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its path; empty for the first one.
    pub path: String,
    /// What lies in it, by name.
    pub entries: Vec<Entry>,
    /// Whether there is more.
    pub more: bool,
    /// Why it cannot be looked into; then there are no entries.
    pub problem: Option<String>,
}

/// A run with everything that its page shows.
#[derive(Debug, Clone, PartialEq)]
pub struct RunView {
    /// The run with parameters, metrics and tags.
    pub run: RunRecord,
    /// Its experiment.
    pub experiment: Experiment,
    /// Curves of the metrics that were asked for.
    pub curves: Vec<Curve>,
    /// The folder that was asked for.
    pub folder: Folder,
    /// Whether the actor may take files away.
    pub may_download: bool,
    /// Data sets that it read, at most one more than [`MAX_RELATED`].
    pub uses: Vec<Use>,
    /// Ids of logged models that it read.
    pub models_read: Vec<String>,
    /// Models that it logged.
    pub models: Vec<LoggedModel>,
    /// Versions of registered models that were made from it.
    pub registered: Vec<RegisteredVersion>,
    /// Model versions that endpoints can serve.
    pub servable: Vec<ModelVersion>,
    /// When it was looked at.
    pub at: Micros,
}

/// A run with its curves, files, and what was made of it.
pub async fn view(app: &App, actor: &Actor, id: &str, query: &RunViewQuery) -> Result<RunView, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    let info = run::find(&mut connection, id).await?;
    let experiment = experiment::find(&mut connection, info.experiment_id).await?;
    let described = greenlight_store::run::described(&mut connection, vec![info]).await?.pop();
    let run = described.ok_or_else(|| AppError::not_found("run", id, ""))?;
    let curves = curves(&mut connection, &run, &query.metrics).await?;
    let number = run.info.number;
    let uses = uses(&mut connection, number, MAX_RELATED + 1).await?;
    let models_read = run_model::read_by(&mut connection, number, MAX_RELATED).await?;
    let models = greenlight_store::logged_model::of_run(&mut connection, id, MAX_RELATED).await?;
    let registered = registered(&mut connection, id).await?;
    let servable = greenlight_store::model::of_run(&mut connection, id, MAX_RELATED).await?;
    drop(connection);
    let folder = folder(app, actor, id, &query.path).await?;
    Ok(RunView {
        run,
        experiment,
        curves,
        folder,
        may_download: actor.role.may(Action::Download),
        uses,
        models_read,
        models,
        registered,
        servable,
        at: app.clock.now(),
    })
}

/// Metrics whose curves are drawn: those that were named, or the first ones that were logged at a step.
fn drawn(run: &RunRecord, named: &[String]) -> Vec<String> {
    if !named.is_empty() {
        let mut all: Vec<String> = Vec::new();
        for key in named {
            if !all.contains(key) && run.metrics.iter().any(|metric| metric.key == *key) {
                all.push(key.clone());
            }
        }
        all.truncate(MAX_CURVES);
        return all;
    }
    let stepped = run.metrics.iter().filter(|metric| metric.step != 0);
    stepped.take(USUAL_CURVES).map(|metric| metric.key.clone()).collect()
}

async fn curves(
    connection: &mut Connection,
    run: &RunRecord,
    named: &[String],
) -> Result<Vec<Curve>, AppError> {
    let mut curves = Vec::new();
    for key in drawn(run, named) {
        let points =
            metric::sample(connection, run.info.number, &key, (i64::MIN, i64::MAX), MAX_POINTS).await?;
        curves.push(Curve { key, points });
    }
    Ok(curves)
}

async fn registered(connection: &mut Connection, id: &str) -> Result<Vec<RegisteredVersion>, AppError> {
    let test = Test::Text(true, id.to_owned());
    let conditions = vec![RegistryCondition { subject: RegistrySubject::RunId, test }];
    let filter = RegistryFilter { conditions, prompts: false };
    let question = Question { filter: &filter, orders: &[], limit: MAX_RELATED, offset: 0 };
    Ok(search_versions(connection, question).await?)
}

/// A folder that cannot be read is no reason to show nothing of the run.
async fn folder(app: &App, actor: &Actor, id: &str, path: &str) -> Result<Folder, AppError> {
    let mut folder = Folder { path: path.to_owned(), entries: Vec::new(), more: false, problem: None };
    match list(app, actor, Owner::Run(id), path).await {
        Ok((_, entries)) => {
            folder.more = entries.len() > MAX_ENTRIES;
            folder.entries = entries.into_iter().take(MAX_ENTRIES).collect();
        }
        Err(error) if error.kind() == Kind::Internal => return Err(error),
        Err(error) => folder.problem = Some(error.to_string()),
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RunInfo;

    fn run_with(metrics: &[(&str, i64)]) -> RunRecord {
        let latest =
            |(key, step): &(&str, i64)| Latest { key: (*key).to_owned(), value: 0.5, at_ms: 0, step: *step };
        RunRecord {
            info: RunInfo {
                number: 1,
                id: "r".into(),
                experiment_id: 0,
                name: "n".into(),
                status: "RUNNING".into(),
                author: "dana".into(),
                started_at: Micros(0),
                ended_at: None,
                deleted_at: None,
                artifact_uri: String::new(),
            },
            params: vec![],
            metrics: metrics.iter().map(latest).collect(),
            tags: vec![],
            inputs: vec![],
            model_inputs: vec![],
            model_outputs: vec![],
        }
    }

    #[test]
    fn curves_are_those_with_steps_or_those_that_are_named() {
        let run = run_with(&[("auc", 0), ("loss", 9), ("val", 9)]);
        assert_eq!(drawn(&run, &[]), ["loss", "val"]);
        let named = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        assert_eq!(drawn(&run, &named(&["auc", "none", "auc"])), ["auc"]);
        let many: Vec<(String, i64)> = (0..40).map(|n| (format!("m{n:02}"), 1)).collect();
        let many: Vec<(&str, i64)> = many.iter().map(|(key, step)| (key.as_str(), *step)).collect();
        let wide = run_with(&many);
        assert_eq!(drawn(&wide, &[]).len(), USUAL_CURVES);
        let all: Vec<String> = wide.metrics.iter().map(|metric| metric.key.clone()).collect();
        assert_eq!(drawn(&wide, &all).len(), MAX_CURVES);
    }
}
