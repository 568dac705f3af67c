//! Experiments by filter and order, a page at a time.

use greenlight_domain::experiment_search::{parse_experiment_filter, parse_experiment_order};
use greenlight_domain::role::{Action, Actor};
use greenlight_store::experiment::Experiment;
use greenlight_store::experiment_search::{ExperimentSearch, search};

use crate::run_search::View;
use crate::{App, AppError, allow};

/// Most experiments of a page.
const MAX_EXPERIMENTS: i64 = 50_000;
/// Most parts of an order.
const MAX_ORDERS: usize = 20;

/// A question in MLflow's grammar.
#[derive(Debug, Clone)]
pub struct SearchExperiments {
    /// What all experiments meet; empty for all.
    pub filter: String,
    /// In which order; without one, the newest first.
    pub orders: Vec<String>,
    /// Which experiments are looked at.
    pub view: View,
    /// Most experiments of the page.
    pub limit: i64,
    /// Experiments before the page.
    pub offset: i64,
}

/// Finds experiments; whether there are more.
pub async fn search_experiments(
    app: &App,
    actor: &Actor,
    asked: &SearchExperiments,
) -> Result<(Vec<Experiment>, bool), AppError> {
    allow(actor, Action::Read)?;
    let wrong = |what: &str| {
        AppError::Invalid(format!(
            "Invalid value {} for parameter 'max_results' supplied. It must be {what}",
            asked.limit
        ))
    };
    if asked.limit < 1 {
        return Err(wrong("a positive integer"));
    }
    if asked.limit > MAX_EXPERIMENTS {
        return Err(wrong("at most 50000"));
    }
    let conditions = parse_experiment_filter(&asked.filter)?;
    if asked.orders.len() > MAX_ORDERS {
        return Err(AppError::Invalid(format!("an order has at most {MAX_ORDERS} parts")));
    }
    let orders =
        asked.orders.iter().map(|order| parse_experiment_order(order)).collect::<Result<Vec<_>, _>>()?;
    let mut connection = app.store.read().await?;
    let question = ExperimentSearch {
        view: asked.view,
        conditions: &conditions,
        orders: &orders,
        limit: asked.limit + 1,
        offset: asked.offset.max(0),
    };
    let mut found = search(&mut connection, question).await?;
    let more = found.len() as i64 > asked.limit;
    found.truncate(usize::try_from(asked.limit).unwrap_or(0));
    Ok((found, more))
}
