//! Experiments at a glance: how many runs each has, and when the newest began.

use greenlight_domain::experiment_search::{ExperimentCondition, ExperimentSubject};
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::run_search::Test;
use greenlight_domain::time::Micros;
use greenlight_store::experiment_search::{ExperimentSearch, search};

use crate::experiment::Experiment;
use crate::run_search::View;
use crate::{App, AppError, allow};

/// Most experiments of a page.
pub const MAX_EXPERIMENTS: i64 = 25;
/// Runs of one experiment are counted up to here: a page stays quick whatever lies in the store.
pub const MAX_COUNTED: i64 = 10_000;
/// Longest part of a name that is looked for, in characters.
const MAX_PART: usize = 256;

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Exactly(u64),
    /// More than that; the rest was not counted.
    MoreThan(u64),
}

impl Count {
    /// A count that went up to `most`, which was looked for with a limit of one more.
    pub(crate) fn bounded(found: i64, most: i64) -> Self {
        let number = |n: i64| u64::try_from(n).unwrap_or(0);
        if found > most { Self::MoreThan(number(most)) } else { Self::Exactly(number(found)) }
    }
}

/// An experiment in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentLine {
    /// The experiment.
    pub experiment: Experiment,
    /// Its runs that are not deleted.
    pub runs: Count,
    /// When the newest of them started.
    pub newest_run: Option<Micros>,
}

/// A page of experiments.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentPage {
    /// What the names contain; empty for all.
    pub part: String,
    /// Experiments before the page.
    pub offset: i64,
    /// The experiments, the newest first.
    pub lines: Vec<ExperimentLine>,
    /// Whether there are more.
    pub more: bool,
}

/// Checks a part of a name and makes it a pattern. `%` stands for any characters in it, too.
pub(crate) fn pattern(part: &str) -> Result<Test, AppError> {
    if part.chars().count() > MAX_PART {
        return Err(AppError::Invalid(format!("look for a part of a name of at most {MAX_PART} characters")));
    }
    Ok(Test::Like { pattern: format!("%{part}%"), cased: false })
}

/// Experiments whose names contain `part`, in any case, after the first `offset` of them.
pub async fn overview(app: &App, actor: &Actor, part: &str, offset: i64) -> Result<ExperimentPage, AppError> {
    allow(actor, Action::Read)?;
    let part = part.trim();
    let mut conditions = Vec::new();
    if !part.is_empty() {
        conditions.push(ExperimentCondition { subject: ExperimentSubject::Name, test: pattern(part)? });
    }
    let offset = offset.max(0);
    let question = ExperimentSearch {
        view: View::Active,
        conditions: &conditions,
        orders: &[],
        limit: MAX_EXPERIMENTS + 1,
        offset,
    };
    let mut connection = app.store.read().await?;
    let mut found = search(&mut connection, question).await?;
    let more = found.len() as i64 > MAX_EXPERIMENTS;
    found.truncate(usize::try_from(MAX_EXPERIMENTS).unwrap_or(0));
    let mut lines = Vec::with_capacity(found.len());
    for experiment in found {
        let (count, newest_run) =
            greenlight_store::run::extent(&mut connection, experiment.id, MAX_COUNTED + 1).await?;
        lines.push(ExperimentLine { experiment, runs: Count::bounded(count, MAX_COUNTED), newest_run });
    }
    Ok(ExperimentPage { part: part.to_owned(), offset, lines, more })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_says_where_it_ended() {
        assert_eq!(Count::bounded(3, 10), Count::Exactly(3));
        assert_eq!(Count::bounded(10, 10), Count::Exactly(10));
        assert_eq!(Count::bounded(11, 10), Count::MoreThan(10));
    }

    #[test]
    fn a_part_of_a_name_is_bounded() {
        assert!(pattern(&"ü".repeat(MAX_PART)).is_ok());
        assert!(pattern(&"ü".repeat(MAX_PART + 1)).is_err());
    }
}
