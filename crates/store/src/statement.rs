//! Searches as they grow: conditions, orders, and the values that are bound.
//!
//! What a client wrote is bound, never part of the text.

use greenlight_domain::run_search::Test;
use sqlx::query::QueryAs;
use sqlx::{Any, any::AnyArguments};

/// A value that is bound.
pub(crate) enum Bound<'a> {
    Text(&'a str),
    Number(f64),
    Int(i64),
}

/// A statement as it grows.
#[derive(Default)]
pub(crate) struct Statement<'a> {
    pub(crate) wheres: Vec<String>,
    pub(crate) joins: Vec<String>,
    pub(crate) orders: Vec<String>,
    bound: Vec<Bound<'a>>,
}

impl<'a> Statement<'a> {
    /// Binds a value; its place in the text.
    pub(crate) fn bind(&mut self, value: Bound<'a>) -> String {
        self.bound.push(value);
        format!("${}", self.bound.len())
    }

    /// What a row of `table` with that key, which belongs to `owner`, must be.
    pub(crate) fn pair(&mut self, (table, owner): (&str, &str), key: &'a str, test: &'a Test) -> String {
        let key = self.bind(Bound::Text(key));
        let (not, value) = match test {
            Test::Present(true) => ("", String::new()),
            Test::Present(false) => ("not ", String::new()),
            other => ("", format!(" and {}", self.test("p.value", other))),
        };
        format!("{not}exists (select 1 from {table} as p where p.{owner} and p.key = {key}{value})")
    }

    /// What a column must be.
    pub(crate) fn test(&mut self, column: &str, test: &'a Test) -> String {
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

    /// The page's bounds, last of all: `limit … offset …`.
    pub(crate) fn page(&mut self, limit: i64, offset: i64) -> String {
        let (limit, offset) = (self.bind(Bound::Int(limit)), self.bind(Bound::Int(offset)));
        format!("limit {limit} offset {offset}")
    }

    /// The query with its values.
    pub(crate) fn apply<T>(
        self,
        mut query: QueryAs<'a, Any, T, AnyArguments>,
    ) -> QueryAs<'a, Any, T, AnyArguments> {
        for value in self.bound {
            query = match value {
                Bound::Text(text) => query.bind(text),
                Bound::Number(number) => query.bind(number),
                Bound::Int(int) => query.bind(int),
            };
        }
        query
    }
}
