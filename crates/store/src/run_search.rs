//! Finding runs: conditions and orders as SQL.
//!
//! What a client wrote is bound, never part of the text. Runs without the key of a condition do not meet it, not even
//! `!=`. In an order, values come first, then NaN, then runs that have none.

use greenlight_domain::run_search::{Attribute, Comparator, Condition, Order, Subject, Test};
use sqlx::AssertSqlSafe;

use crate::run::{INFO, InfoRow, RunInfo, info_of};
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

/// A value that is bound.
enum Bound<'a> {
    Text(&'a str),
    Number(f64),
    Int(i64),
}

/// A statement as it grows.
#[derive(Default)]
struct Statement<'a> {
    wheres: Vec<String>,
    joins: Vec<String>,
    orders: Vec<String>,
    bound: Vec<Bound<'a>>,
}

impl<'a> Statement<'a> {
    /// Binds a value; its place in the text.
    fn bind(&mut self, value: Bound<'a>) -> String {
        self.bound.push(value);
        format!("${}", self.bound.len())
    }

    fn condition(&mut self, condition: &'a Condition) {
        let text = match &condition.subject {
            Subject::Metric(key) => self.metric(key, &condition.test),
            Subject::Param(key) => self.pair("param", key, &condition.test),
            Subject::Tag(key) => self.pair("run_tag", key, &condition.test),
            Subject::Attribute(Attribute::RunName) => self.pair("run_tag", "mlflow.runName", &condition.test),
            Subject::Attribute(attribute) => self.test(column(*attribute), &condition.test),
            // No run has read a data set that was logged by a client yet.
            Subject::Dataset(_) => "1 = 0".to_owned(),
        };
        self.wheres.push(text);
    }

    fn metric(&mut self, key: &'a str, test: &'a Test) -> String {
        let key = self.bind(Bound::Text(key));
        let value = self.test("m.value", test);
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

    fn pair(&mut self, table: &str, key: &'a str, test: &'a Test) -> String {
        let key = self.bind(Bound::Text(key));
        let (not, value) = match test {
            Test::Present(true) => ("", String::new()),
            Test::Present(false) => ("not ", String::new()),
            other => ("", format!(" and {}", self.test("p.value", other))),
        };
        format!("{not}exists (select 1 from {table} as p where p.run = run.number and p.key = {key}{value})")
    }

    fn test(&mut self, column: &str, test: &'a Test) -> String {
        match test {
            Test::Number(comparator, number) => {
                let place = self.bind(Bound::Number(*number));
                format!("{column} {} {place}", comparator.as_str())
            }
            Test::Text(is, text) => {
                let place = self.bind(Bound::Text(text));
                format!("{column} {} {place}", if *is { "=" } else { "<>" })
            }
            Test::Like { pattern, cased } => {
                let place = self.bind(Bound::Text(pattern));
                if *cased {
                    format!("{column} like {place}")
                } else {
                    format!("lower({column}) like lower({place})")
                }
            }
            Test::In(is, texts) => {
                let places: Vec<String> = texts.iter().map(|text| self.bind(Bound::Text(text))).collect();
                format!("{column} {}in ({})", if *is { "" } else { "not " }, places.join(","))
            }
            Test::Present(present) => format!("{column} is {}null", if *present { "not " } else { "" }),
        }
    }

    fn order(&mut self, at: usize, order: &'a Order) {
        let direction = if order.ascending { "asc" } else { "desc" };
        let (alias, table, key) = match &order.subject {
            Subject::Metric(key) => (format!("o{at}"), "latest_metric", key),
            Subject::Param(key) => (format!("o{at}"), "param", key),
            Subject::Tag(key) => (format!("o{at}"), "run_tag", key),
            Subject::Attribute(attribute) => {
                let column = column(*attribute);
                self.orders
                    .push(format!("case when {column} is null then 1 else 0 end, {column} {direction}"));
                return;
            }
            Subject::Dataset(_) => return,
        };
        let place = self.bind(Bound::Text(key));
        self.joins.push(format!(
            "left join {table} as {alias} on {alias}.run = run.number and {alias}.key = {place}"
        ));
        let missing = if table == "latest_metric" {
            format!("case when {alias}.run is null then 2 when {alias}.is_nan = 1 then 1 else 0 end")
        } else {
            format!("case when {alias}.run is null then 1 else 0 end")
        };
        self.orders.push(format!("{missing}, {alias}.value {direction}"));
    }
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
    match asked.view {
        View::Active => statement.wheres.push("run.deleted_at is null".to_owned()),
        View::Deleted => statement.wheres.push("run.deleted_at is not null".to_owned()),
        View::All => {}
    }
    for condition in asked.conditions {
        statement.condition(condition);
    }
    for (at, order) in asked.orders.iter().enumerate() {
        statement.order(at, order);
    }
    statement.orders.push("run.started_at desc, run.id".to_owned());
    let (limit, offset) = (statement.bind(Bound::Int(asked.limit)), statement.bind(Bound::Int(asked.offset)));
    let text = format!(
        "select {INFO} {} where {} order by {} limit {limit} offset {offset}",
        statement.joins.join(" "),
        statement.wheres.join(" and "),
        statement.orders.join(", ")
    );
    let mut query = sqlx::query_as(AssertSqlSafe(text));
    for value in statement.bound {
        query = match value {
            Bound::Text(text) => query.bind(text),
            Bound::Number(number) => query.bind(number),
            Bound::Int(int) => query.bind(int),
        };
    }
    let found: Vec<InfoRow> = query.fetch_all(connection).await?;
    Ok(found.into_iter().map(info_of).collect())
}
