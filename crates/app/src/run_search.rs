//! Runs by filter and order, a page at a time.

use greenlight_domain::role::{Action, Actor};
use greenlight_domain::run_search::{parse_filter, parse_order};
use greenlight_store::Connection;
use greenlight_store::run::{RunInfo, RunRecord};
use greenlight_store::run_search::{RunSearch, search};

pub use greenlight_store::run_search::View;

use crate::{App, AppError, allow};

/// Most runs of a page.
pub const MAX_RUNS: i64 = 50_000;
/// Most parts of an order.
const MAX_ORDERS: usize = 20;

/// A question in MLflow's grammar.
#[derive(Debug, Clone)]
pub struct SearchRuns {
    /// Numbers of experiments; none finds nothing.
    pub experiments: Vec<i64>,
    /// What all runs meet; empty for all.
    pub filter: String,
    /// In which order; then the newest first.
    pub orders: Vec<String>,
    /// Which runs are looked at.
    pub view: View,
    /// Most runs of the page.
    pub limit: i64,
    /// Runs before the page.
    pub offset: i64,
}

/// A page of runs.
#[derive(Debug, Clone)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<RunRecord>,
    /// Whether there are more.
    pub more: bool,
}

/// Finds runs.
pub async fn search_runs(app: &App, actor: &Actor, asked: &SearchRuns) -> Result<RunPage, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    let (found, more) = find(&mut connection, asked).await?;
    let runs = greenlight_store::run::records(&mut connection, found).await?;
    Ok(RunPage { runs, more })
}

/// The runs of a page without what was logged to them; whether there are more.
pub(crate) async fn find(
    connection: &mut Connection,
    asked: &SearchRuns,
) -> Result<(Vec<RunInfo>, bool), AppError> {
    if !(1..=MAX_RUNS).contains(&asked.limit) {
        return Err(AppError::Invalid(format!(
            "Invalid value {} for parameter 'max_results' supplied. It must be 1 to {MAX_RUNS}",
            asked.limit
        )));
    }
    let conditions = parse_filter(&asked.filter)?;
    if asked.orders.len() > MAX_ORDERS {
        return Err(AppError::Invalid(format!("an order has at most {MAX_ORDERS} parts")));
    }
    let orders = asked.orders.iter().map(|order| parse_order(order)).collect::<Result<Vec<_>, _>>()?;
    if let Some(twice) =
        (1..orders.len()).find(|at| orders[..*at].iter().any(|o| o.subject == orders[*at].subject))
    {
        return Err(AppError::Invalid(format!(
            "`order_by` contains duplicate fields: '{}'",
            asked.orders[twice]
        )));
    }
    let question = RunSearch {
        experiments: &asked.experiments,
        view: asked.view,
        conditions: &conditions,
        orders: &orders,
        limit: asked.limit + 1,
        offset: asked.offset.max(0),
    };
    let mut found = search(connection, question).await?;
    let more = found.len() as i64 > asked.limit;
    found.truncate(usize::try_from(asked.limit).unwrap_or(0));
    Ok((found, more))
}
