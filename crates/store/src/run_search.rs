//! Finding runs: conditions and orders as SQL.
//!
//! What a client wrote is bound, never part of the text. Runs without the key of a condition do not meet it, not even
//! `!=`. In an order, values come first, then NaN, then runs that have none.

use std::collections::HashSet;

use greenlight_domain::run_search::{Attribute, Comparator, Condition, DatasetField, Order, Subject, Test};
use sqlx::AssertSqlSafe;

use crate::metric::stored;
use crate::run::{FROM, INFO, InfoRow, RunInfo, info_of};
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

/// Which of the runs a statement finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    /// All of them, in order.
    All,
    /// Those with a value of that metric, by it: read from its index as far as the page goes.
    Values(&'a str, bool),
    /// Those whose metric is not a number.
    NotNumbers(&'a str),
    /// Those without that metric.
    Missing(&'a str),
}

impl Part<'_> {
    /// The cross joins keep SQLite at the index: whatever it knows of the tables, it reads them from left to right.
    fn tables(self) -> &'static str {
        match self {
            Self::Values(..) | Self::NotNumbers(_) => {
                "from latest_metric as point cross join run cross join experiment"
            }
            Self::All | Self::Missing(_) => FROM,
        }
    }
}

/// What is found, without what of it and how much.
fn statement<'a>(
    asked: &RunSearch<'a>,
    part: Part<'a>,
    experiments: &str,
    orders: &'a [Order],
) -> Statement<'a> {
    const SAME: &str = "run.number = point.run and experiment.id = run.experiment_id";
    let mut statement = Statement::default();
    match part {
        Part::All => statement.wheres.push(format!("run.experiment_id in ({experiments})")),
        Part::Values(key, ascending) => {
            let key = statement.bind(Bound::Text(key));
            let of = format!("point.experiment_id = {experiments} and point.key = {key}");
            statement.wheres.push(format!("{of} and point.is_nan = 0 and {SAME}"));
            statement.orders.push(format!("point.value {}", if ascending { "asc" } else { "desc" }));
        }
        Part::NotNumbers(key) => {
            let key = statement.bind(Bound::Text(key));
            let of = format!("point.experiment_id = {experiments} and point.key = {key}");
            let (zero, _) = stored(f64::NAN);
            let zero = statement.bind(Bound::Number(zero));
            statement.wheres.push(format!("{of} and point.value = {zero} and point.is_nan = 1 and {SAME}"));
        }
        Part::Missing(key) => {
            let key = statement.bind(Bound::Text(key));
            let of = format!("point.run = run.number and point.key = {key}");
            statement.wheres.push(format!("run.experiment_id = {experiments}"));
            statement.wheres.push(format!("not exists (select 1 from latest_metric as point where {of})"));
        }
    }
    statement.wheres.extend(asked.view.condition("run"));
    for one in asked.conditions {
        let text = condition(&mut statement, one);
        statement.wheres.push(text);
    }
    for (at, order) in orders.iter().enumerate() {
        add_order(&mut statement, at, order);
    }
    statement
}

/// The runs that a question asks for.
pub async fn search(connection: &mut Connection, asked: RunSearch<'_>) -> Result<Vec<RunInfo>, StoreError> {
    if let ([experiment], [Order { subject: Subject::Metric(key), ascending }, orders @ ..]) =
        (asked.experiments, asked.orders)
    {
        return by_metric(connection, asked, *experiment, (key, *ascending), orders).await;
    }
    let experiments = rows::list(asked.experiments.iter().copied());
    let statement = statement(&asked, Part::All, &experiments, asked.orders);
    page(connection, statement, Part::All, (asked.limit, asked.offset)).await
}

/// The runs of one experiment by a metric: those with a value, then NaN, then those that have none. Each part is read
/// only as far as the page goes, so that a page costs the same among a hundred runs and among a million.
async fn by_metric(
    connection: &mut Connection,
    asked: RunSearch<'_>,
    experiment: i64,
    (key, ascending): (&str, bool),
    orders: &[Order],
) -> Result<Vec<RunInfo>, StoreError> {
    let experiment = experiment.to_string();
    let mut skip = asked.offset;
    let mut found: Vec<RunInfo> = Vec::new();
    for part in [Part::Values(key, ascending), Part::NotNumbers(key), Part::Missing(key)] {
        let left = asked.limit - found.len() as i64;
        if left <= 0 {
            break;
        }
        let these =
            page(connection, statement(&asked, part, &experiment, orders), part, (left, skip)).await?;
        if these.is_empty() && skip > 0 {
            skip -= count(connection, statement(&asked, part, &experiment, orders), part).await?;
        } else {
            skip = 0;
        }
        // A run whose metric changed between two reads is told once.
        let met: HashSet<i64> = found.iter().map(|run| run.number).collect();
        found.extend(these.into_iter().filter(|run| !met.contains(&run.number)));
    }
    Ok(found)
}

async fn page(
    connection: &mut Connection,
    mut statement: Statement<'_>,
    part: Part<'_>,
    (limit, offset): (i64, i64),
) -> Result<Vec<RunInfo>, StoreError> {
    statement.orders.push("run.started_at desc, run.id".to_owned());
    let page = statement.page(limit, offset);
    let text = format!(
        "select {INFO} {} {} where {} order by {} {page}",
        part.tables(),
        statement.joins.join(" "),
        statement.wheres.join(" and "),
        statement.orders.join(", ")
    );
    let found: Vec<InfoRow> =
        statement.apply(sqlx::query_as(AssertSqlSafe(text))).fetch_all(connection).await?;
    Ok(found.into_iter().map(info_of).collect())
}

async fn count(
    connection: &mut Connection,
    statement: Statement<'_>,
    part: Part<'_>,
) -> Result<i64, StoreError> {
    let text = format!(
        "select count(*) {} {} where {}",
        part.tables(),
        statement.joins.join(" "),
        statement.wheres.join(" and ")
    );
    let (count,): (i64,) = statement.apply(sqlx::query_as(AssertSqlSafe(text))).fetch_one(connection).await?;
    Ok(count)
}
