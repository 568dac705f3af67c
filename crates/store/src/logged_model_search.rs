//! Finding logged models: conditions and orders as SQL.

use greenlight_domain::logged_model::{
    LoggedModelAttribute, LoggedModelCondition, LoggedModelOrder, LoggedModelSubject,
};
use sqlx::AssertSqlSafe;

use crate::logged_model::{COLUMNS, LoggedModel, filled};
use crate::statement::{Bound, Statement};
use crate::{Connection, StoreError, rows};

/// A data set that values of metrics were measured on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasuredOn {
    /// Name.
    pub name: String,
    /// Digest; empty for values that say none.
    pub digest: String,
}

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct LoggedModelSearch<'a> {
    /// Numbers of experiments.
    pub experiments: &'a [i64],
    /// What all of them meet.
    pub conditions: &'a [LoggedModelCondition],
    /// Data sets, one of which the metrics of the conditions were measured on.
    pub datasets: &'a [MeasuredOn],
    /// In which order; then the newest first, then by id.
    pub orders: &'a [LoggedModelOrder],
    /// Most models.
    pub limit: i64,
    /// Models to leave out at the start.
    pub offset: i64,
}

fn column(attribute: LoggedModelAttribute) -> &'static str {
    match attribute {
        LoggedModelAttribute::Id => "m.id",
        LoggedModelAttribute::Experiment => "m.experiment_id",
        LoggedModelAttribute::Name => "m.name",
        LoggedModelAttribute::CreationTime => "(m.created_at / 1000)",
        LoggedModelAttribute::LastUpdateTime => "(m.updated_at / 1000)",
        LoggedModelAttribute::Status => "m.status",
        LoggedModelAttribute::ModelType => "m.model_type",
        LoggedModelAttribute::SourceRun => "m.source_run_id",
    }
}

/// What a row `v` of the metrics must be, for one of the data sets.
fn measured_on<'a>(statement: &mut Statement<'a>, datasets: &'a [MeasuredOn]) -> String {
    let each: Vec<String> = datasets
        .iter()
        .map(|dataset| {
            let name = statement.bind(Bound::Text(&dataset.name));
            let digest = statement.bind(Bound::Text(&dataset.digest));
            format!("(v.dataset_name = {name} and v.dataset_digest = {digest})")
        })
        .collect();
    if each.is_empty() { String::new() } else { format!(" and ({})", each.join(" or ")) }
}

fn condition<'a>(
    statement: &mut Statement<'a>,
    condition: &'a LoggedModelCondition,
    datasets: &'a [MeasuredOn],
) -> String {
    const PARAM: (&str, &str) = ("logged_model_param", "owner = m.number");
    const TAG: (&str, &str) = ("logged_model_tag", "owner = m.number");
    match &condition.subject {
        LoggedModelSubject::Attribute(attribute) => statement.test(column(*attribute), &condition.test),
        LoggedModelSubject::Param(key) => statement.pair(PARAM, key, &condition.test),
        LoggedModelSubject::Tag(key) => statement.pair(TAG, key, &condition.test),
        LoggedModelSubject::Metric(key) => {
            let key = statement.bind(Bound::Text(key));
            let value = statement.test("v.value", &condition.test);
            let datasets = measured_on(statement, datasets);
            format!(
                "exists (select 1 from logged_model_metric as v where v.model = m.number and v.key = {key} \
                 and v.is_nan = 0 and {value}{datasets})"
            )
        }
    }
}

fn add_order<'a>(statement: &mut Statement<'a>, order: &'a LoggedModelOrder) {
    let direction = if order.ascending { "asc" } else { "desc" };
    let value = match &order.subject {
        LoggedModelSubject::Metric(key) => {
            let key = statement.bind(Bound::Text(key));
            let mut wheres = format!("v.model = m.number and v.key = {key} and v.is_nan = 0");
            for (column, wanted) in
                [("dataset_name", &order.dataset_name), ("dataset_digest", &order.dataset_digest)]
            {
                if let Some(wanted) = wanted {
                    let place = statement.bind(Bound::Text(wanted));
                    wheres = format!("{wheres} and v.{column} = {place}");
                }
            }
            format!(
                "(select v.value from logged_model_metric as v where {wheres} \
                 order by v.at_ms desc, v.step desc, v.run_id limit 1)"
            )
        }
        LoggedModelSubject::Attribute(attribute) => column(*attribute).to_owned(),
        LoggedModelSubject::Param(_) | LoggedModelSubject::Tag(_) => return,
    };
    statement.orders.push(format!("{value} {direction} nulls last"));
}

/// The models that a question asks for; deleted ones are never among them.
pub async fn search(
    connection: &mut Connection,
    asked: LoggedModelSearch<'_>,
) -> Result<Vec<LoggedModel>, StoreError> {
    let mut statement = Statement::default();
    statement.wheres.push("m.deleted_at is null".to_owned());
    statement.wheres.push(format!("m.experiment_id in ({})", rows::list(asked.experiments.iter().copied())));
    for one in asked.conditions {
        let text = condition(&mut statement, one, asked.datasets);
        statement.wheres.push(text);
    }
    let of_metrics = |c: &LoggedModelCondition| matches!(c.subject, LoggedModelSubject::Metric(_));
    if !asked.datasets.is_empty() && !asked.conditions.iter().any(of_metrics) {
        let datasets = measured_on(&mut statement, asked.datasets);
        statement.wheres.push(format!(
            "exists (select 1 from logged_model_metric as v where v.model = m.number{datasets})"
        ));
    }
    for order in asked.orders {
        add_order(&mut statement, order);
    }
    statement.orders.push("m.created_at desc, m.id".to_owned());
    let page = statement.page(asked.limit, asked.offset);
    let text = format!(
        "select {COLUMNS} where {} order by {} {page}",
        statement.wheres.join(" and "),
        statement.orders.join(", ")
    );
    let found = statement.apply(sqlx::query_as(AssertSqlSafe(text))).fetch_all(&mut *connection).await?;
    filled(connection, found).await
}
