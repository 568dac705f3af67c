//! Finding runs: conditions and orders as SQL.
//!
//! What a client wrote is bound, never part of the text. Runs without the key of a condition do not meet it, not even
//! `!=`. In an order, values come first, then NaN, then runs that have none.

use greenlight_domain::run_search::{Attribute, Comparator, Condition, DatasetField, Order, Subject, Test};
use sqlx::AssertSqlSafe;

use crate::run::{INFO, InfoRow, RunInfo, info_of};
use crate::statement::{Bound, Statement};
use crate::{Connection, StoreError, rows};

/// Which runs are looked at, by whether they are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Those that are not.
    Active,
    /// Those that are.
    Deleted,
    /// All.
    All,
}

impl View {
    /// What the rows of `table` must meet.
    pub(crate) fn condition(self, table: &str) -> Option<String> {
        match self {
            Self::All => None,
            Self::Active => Some(format!("{table}.deleted_at is null")),
            Self::Deleted => Some(format!("{table}.deleted_at is not null")),
        }
    }
}

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct RunSearch<'a> {
    /// Numbers of experiments.
    pub experiments: &'a [i64],
    /// Which runs are looked at.
    pub view: View,
    /// What all of them meet.
    pub conditions: &'a [Condition],
    /// In which order; then the newest first, then by id.
    pub orders: &'a [Order],
    /// Most runs.
    pub limit: i64,
    /// Runs to leave out at the start.
    pub offset: i64,
}

/// The condition as SQL.
fn condition<'a>(statement: &mut Statement<'a>, condition: &'a Condition) -> String {
    const PARAM: (&str, &str) = ("param", "run = run.number");
    const TAG: (&str, &str) = ("run_tag", "run = run.number");
    match &condition.subject {
        Subject::Metric(key) => metric(statement, key, &condition.test),
        Subject::Param(key) => statement.pair(PARAM, key, &condition.test),
        Subject::Tag(key) => statement.pair(TAG, key, &condition.test),
        Subject::Attribute(Attribute::RunName) => statement.pair(TAG, "mlflow.runName", &condition.test),
        Subject::Attribute(attribute) => statement.test(column(*attribute), &condition.test),
        Subject::Dataset(field) => dataset(statement, *field, &condition.test),
    }
}

/// Each condition looks for a data set of its own among those that the run read, as in MLflow.
fn dataset<'a>(statement: &mut Statement<'a>, field: DatasetField, test: &'a Test) -> String {
    let (join, column) = match field {
        DatasetField::Name => ("join logged_dataset as d on d.number = i.dataset", "d.name"),
        DatasetField::Digest => ("join logged_dataset as d on d.number = i.dataset", "d.digest"),
        DatasetField::Context => {
            ("join run_input_tag as d on d.owner = i.number and d.key = 'mlflow.data.context'", "d.value")
        }
    };
    let value = statement.test(column, test);
    format!("exists (select 1 from run_input as i {join} where i.run = run.number and {value})")
}

fn metric<'a>(statement: &mut Statement<'a>, key: &'a str, test: &'a Test) -> String {
    let key = statement.bind(Bound::Text(key));
    let value = statement.test("m.value", test);
    // NaN differs from every number, and compares with none.
    let nan = if matches!(test, Test::Number(Comparator::NotEqual, _)) {
        "or m.is_nan = 1"
    } else {
        "and m.is_nan = 0"
    };
    format!(
        "exists (select 1 from latest_metric as m where m.run = run.number and m.key = {key} and ({value} {nan}))"
    )
}

fn add_order<'a>(statement: &mut Statement<'a>, at: usize, order: &'a Order) {
    let direction = if order.ascending { "asc" } else { "desc" };
    let (alias, table, key) = match &order.subject {
        Subject::Metric(key) => (format!("o{at}"), "latest_metric", key),
        Subject::Param(key) => (format!("o{at}"), "param", key),
        Subject::Tag(key) => (format!("o{at}"), "run_tag", key),
        Subject::Attribute(attribute) => {
            let column = column(*attribute);
            statement
                .orders
                .push(format!("case when {column} is null then 1 else 0 end, {column} {direction}"));
            return;
        }
        Subject::Dataset(_) => return,
    };
    let place = statement.bind(Bound::Text(key));
    statement
        .joins
        .push(format!("left join {table} as {alias} on {alias}.run = run.number and {alias}.key = {place}"));
    let missing = if table == "latest_metric" {
        format!("case when {alias}.run is null then 2 when {alias}.is_nan = 1 then 1 else 0 end")
    } else {
        format!("case when {alias}.run is null then 1 else 0 end")
    };
    statement.orders.push(format!("{missing}, {alias}.value {direction}"));
}

fn column(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::RunId => "run.id",
        Attribute::RunName => "run.name",
        Attribute::UserId => "run.author",
        Attribute::Status => "run.status",
        Attribute::ArtifactUri => "(experiment.artifact_location || '/' || run.id || '/artifacts')",
        Attribute::StartTime => "(run.started_at / 1000)",
        Attribute::EndTime => "(run.ended_at / 1000)",
    }
}

/// The runs that a question asks for.
pub async fn search(connection: &mut Connection, asked: RunSearch<'_>) -> Result<Vec<RunInfo>, StoreError> {
    let mut statement = Statement::default();
    statement
        .wheres
        .push(format!("run.experiment_id in ({})", rows::list(asked.experiments.iter().copied())));
    statement.wheres.extend(asked.view.condition("run"));
    for one in asked.conditions {
        let text = condition(&mut statement, one);
        statement.wheres.push(text);
    }
    for (at, order) in asked.orders.iter().enumerate() {
        add_order(&mut statement, at, order);
    }
    statement.orders.push("run.started_at desc, run.id".to_owned());
    let page = statement.page(asked.limit, asked.offset);
    let text = format!(
        "select {INFO} {} where {} order by {} {page}",
        statement.joins.join(" "),
        statement.wheres.join(" and "),
        statement.orders.join(", ")
    );
    let found: Vec<InfoRow> =
        statement.apply(sqlx::query_as(AssertSqlSafe(text))).fetch_all(connection).await?;
    Ok(found.into_iter().map(info_of).collect())
}
