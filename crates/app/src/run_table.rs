//! The runs of one experiment as a table: a page of them by filter and order, and what can be said cheaply about all.

use greenlight_domain::role::{Action, Actor};

use crate::experiment::Experiment;
use crate::experiment_overview::{Count, MAX_COUNTED};
use crate::run::RunRecord;
use crate::run_search::{SearchRuns, View, find};
use crate::{App, AppError, Kind, allow, experiment};

/// Lengths of a page that may be asked for.
pub const LENGTHS: [i64; 3] = [25, 50, 100];
/// Runs that may stand before a page: whoever wants those behind narrows the search.
pub const MAX_OFFSET: i64 = 1_000_000;
/// Longest filter or order, in characters.
const MAX_TEXT: usize = 4_000;

/// Which runs of an experiment are shown.
#[derive(Debug, Clone, PartialEq)]
pub struct RunTableQuery {
    /// MLflow's filter clause; empty for all.
    pub filter: String,
    /// One part of MLflow's order clause; empty for the newest first.
    pub order: String,
    /// Which runs are looked at.
    pub view: View,
    /// Most runs of the page, one of [`LENGTHS`].
    pub limit: i64,
    /// Runs before the page.
    pub offset: i64,
}

impl Default for RunTableQuery {
    fn default() -> Self {
        Self { filter: String::new(), order: String::new(), view: View::Active, limit: LENGTHS[1], offset: 0 }
    }
}

/// A page of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct RunTable {
    /// The experiment.
    pub experiment: Experiment,
    /// What was asked.
    pub query: RunTableQuery,
    /// The runs with parameters, metrics and tags; without what they read and wrote.
    pub runs: Vec<RunRecord>,
    /// Whether there are more.
    pub more: bool,
    /// How many runs match in all, where that is known without looking at every one.
    pub count: Option<Count>,
    /// Why the question cannot be answered; then there are no runs.
    pub problem: Option<String>,
}

/// A page of the runs of an experiment. A filter or an order that cannot be read is a [`RunTable::problem`], so that
/// whoever wrote it can mend it.
pub async fn table(
    app: &App,
    actor: &Actor,
    id: i64,
    mut query: RunTableQuery,
) -> Result<RunTable, AppError> {
    allow(actor, Action::Read)?;
    if !LENGTHS.contains(&query.limit) {
        query.limit = LENGTHS[1];
    }
    query.offset = query.offset.clamp(0, MAX_OFFSET);
    let mut connection = app.store.read().await?;
    let experiment = experiment::find(&mut connection, id).await?;
    let asked = SearchRuns {
        experiments: vec![id],
        filter: query.filter.clone(),
        orders: Some(query.order.clone()).filter(|order| !order.is_empty()).into_iter().collect(),
        view: query.view,
        limit: query.limit,
        offset: query.offset,
    };
    let found = match check(&query) {
        Ok(()) => find(&mut connection, &asked).await,
        Err(error) => Err(error),
    };
    let (found, more) = match found {
        Ok(found) => found,
        Err(error) if error.kind() == Kind::Invalid => {
            let problem = Some(error.to_string());
            return Ok(RunTable { experiment, query, runs: Vec::new(), more: false, count: None, problem });
        }
        Err(error) => return Err(error),
    };
    let all = query.filter.trim().is_empty() && query.view == View::Active;
    let count = if !more && (query.offset == 0 || !found.is_empty()) {
        Some(Count::Exactly(u64::try_from(query.offset).unwrap_or(0) + found.len() as u64))
    } else if all {
        let (count, _) = greenlight_store::run::extent(&mut connection, id, MAX_COUNTED + 1).await?;
        Some(Count::bounded(count, MAX_COUNTED))
    } else {
        None
    };
    let runs = greenlight_store::run::described(&mut connection, found).await?;
    Ok(RunTable { experiment, query, runs, more, count, problem: None })
}

fn check(query: &RunTableQuery) -> Result<(), AppError> {
    let long = |text: &str| text.chars().count() > MAX_TEXT;
    if long(&query.filter) || long(&query.order) {
        return Err(AppError::Invalid(format!("write a filter of at most {MAX_TEXT} characters")));
    }
    Ok(())
}
