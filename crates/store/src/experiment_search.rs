//! Finding experiments: conditions and orders as SQL.

use greenlight_domain::experiment_search::{ExperimentCondition, ExperimentOrder, ExperimentSubject};
use sqlx::AssertSqlSafe;

use crate::experiment::{COLUMNS, Experiment, Row, fill_tags, of_row};
use crate::run_search::View;
use crate::statement::Statement;
use crate::{Connection, StoreError};

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct ExperimentSearch<'a> {
    /// Which experiments are looked at.
    pub view: View,
    /// What all of them meet.
    pub conditions: &'a [ExperimentCondition],
    /// In which order; without one, the newest first.
    pub orders: &'a [ExperimentOrder],
    /// Most experiments.
    pub limit: i64,
    /// Experiments to leave out at the start.
    pub offset: i64,
}

fn column(subject: &ExperimentSubject) -> &'static str {
    match subject {
        ExperimentSubject::Name => "experiment.name",
        ExperimentSubject::Id | ExperimentSubject::Tag(_) => "cast(experiment.id as text)",
        ExperimentSubject::CreationTime => "(experiment.created_at / 1000)",
        ExperimentSubject::LastUpdateTime => "(experiment.updated_at / 1000)",
    }
}

/// The experiments that a question asks for, with their tags.
pub async fn search(
    connection: &mut Connection,
    asked: ExperimentSearch<'_>,
) -> Result<Vec<Experiment>, StoreError> {
    let mut statement = Statement::default();
    // SQL wants one condition at least.
    statement.wheres.push("1 = 1".to_owned());
    statement.wheres.extend(asked.view.condition("experiment"));
    for condition in asked.conditions {
        let text = match &condition.subject {
            ExperimentSubject::Tag(key) => {
                statement.pair(("experiment_tag", "experiment_id = experiment.id"), key, &condition.test)
            }
            subject => statement.test(column(subject), &condition.test),
        };
        statement.wheres.push(text);
    }
    for order in asked.orders {
        // Numbers in the order of numbers.
        let column =
            if order.subject == ExperimentSubject::Id { "experiment.id" } else { column(&order.subject) };
        statement.orders.push(format!("{column} {}", if order.ascending { "asc" } else { "desc" }));
    }
    let last = if asked.orders.is_empty() {
        "experiment.created_at desc, experiment.id"
    } else {
        "experiment.id desc"
    };
    statement.orders.push(last.to_owned());
    let page = statement.page(asked.limit, asked.offset);
    let text = format!(
        "select {COLUMNS} from experiment where {} order by {} {page}",
        statement.wheres.join(" and "),
        statement.orders.join(", ")
    );
    let rows: Vec<Row> =
        statement.apply(sqlx::query_as(AssertSqlSafe(text))).fetch_all(&mut *connection).await?;
    let mut found: Vec<Experiment> = rows.into_iter().map(of_row).collect();
    fill_tags(connection, &mut found).await?;
    Ok(found)
}
