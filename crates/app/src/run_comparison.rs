//! A few runs side by side, with the curves of one metric.

use greenlight_domain::role::{Action, Actor};
use greenlight_store::metric;

use crate::run::{Latest, RunRecord};
use crate::run_view::MAX_POINTS;
use crate::{App, AppError, allow};

/// Most runs that are compared at once.
pub const MAX_COMPARED: usize = 20;

/// Runs side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The runs with parameters, metrics and tags, in the order in which they were named.
    pub runs: Vec<RunRecord>,
    /// Ids that name no run.
    pub missing: Vec<String>,
    /// The metric whose curves are drawn; none when the runs have no metric.
    pub metric: Option<String>,
    /// Its points for each run, by step, thinned where there are many.
    pub curves: Vec<Vec<Latest>>,
}

/// Compares the runs of these ids; `metric` names the curves, or the first metric that was logged at a step.
pub async fn compare(
    app: &App,
    actor: &Actor,
    ids: &[String],
    metric: Option<&str>,
) -> Result<Comparison, AppError> {
    allow(actor, Action::Read)?;
    let mut wanted: Vec<&String> = Vec::new();
    for id in ids {
        if !wanted.contains(&id) {
            wanted.push(id);
        }
        if wanted.len() > MAX_COMPARED {
            return Err(AppError::Invalid(format!(
                "at most {MAX_COMPARED} runs are compared at once; go back and tick fewer"
            )));
        }
    }
    let mut connection = app.store.read().await?;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for id in wanted {
        match greenlight_store::run::info(&mut connection, id).await? {
            Some(info) => found.push(info),
            None => missing.push(id.clone()),
        }
    }
    let runs = greenlight_store::run::described(&mut connection, found).await?;
    let metric = drawn(&runs, metric);
    let mut curves = Vec::with_capacity(runs.len());
    if let Some(key) = &metric {
        for run in &runs {
            let steps = (i64::MIN, i64::MAX);
            curves.push(metric::sample(&mut connection, run.info.number, key, steps, MAX_POINTS).await?);
        }
    }
    Ok(Comparison { runs, missing, metric, curves })
}

fn drawn(runs: &[RunRecord], named: Option<&str>) -> Option<String> {
    let all = || runs.iter().flat_map(|run| &run.metrics);
    let named = named.and_then(|key| all().find(|metric| metric.key == key));
    let chosen = named.or_else(|| all().find(|metric| metric.step != 0)).or_else(|| all().next());
    chosen.map(|metric| metric.key.clone())
}
