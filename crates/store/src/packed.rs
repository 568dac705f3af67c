//! What many rows of one run say, as one row: each row that is read costs two trips between threads.
//!
//! Every text is led by its length in bytes, so that it may hold anything. Lists come back by key in the order of bytes,
//! whatever the collation of the database.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::QueryAs;
use sqlx::{Any, AssertSqlSafe, FromRow};

use crate::{Connection, StoreError, rows};

/// Runs as a statement names them. One is bound, so that its statement is prepared once; many are in the text, and such
/// a statement is not kept.
pub(crate) struct Runs {
    text: String,
    one: Option<i64>,
}

impl Runs {
    pub(crate) fn of(numbers: &[i64]) -> Self {
        match numbers {
            [one] => Self { text: "$1".to_owned(), one: Some(*one) },
            many => Self { text: rows::list(many.iter().copied()), one: None },
        }
    }

    /// Asks what a text says that names them with `in ({runs})` and binds nothing else.
    pub(crate) fn ask<T>(&self, text: String) -> QueryAs<'static, Any, T, AnyArguments>
    where
        T: for<'r> FromRow<'r, AnyRow>,
    {
        let query = sqlx::query_as(AssertSqlSafe(text));
        match self.one {
            Some(number) => query.bind(number),
            None => query.persistent(false),
        }
    }
}

impl std::fmt::Display for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Keys and values of a table that belong to some runs; for each run, by key.
pub(crate) async fn pairs(
    connection: &mut Connection,
    table: &str,
    runs: &Runs,
) -> Result<Vec<(i64, Vec<(String, String)>)>, StoreError> {
    let text = format!(
        "select run, string_agg(octet_length(key) || ':' || key || octet_length(value) || ':' || value, '') \
         from {table} where run in ({runs}) group by run"
    );
    let found: Vec<(i64, String)> = runs.ask(text).fetch_all(connection).await?;
    let unpacked = found.into_iter().map(|(run, text)| {
        let mut packed = Packed(&text);
        let mut pairs = Vec::new();
        while !packed.is_empty() {
            pairs.push((packed.text()?.to_owned(), packed.text()?.to_owned()));
        }
        pairs.sort_unstable();
        Ok((run, pairs))
    });
    unpacked.collect()
}

/// What is left to read.
pub(crate) struct Packed<'a>(pub(crate) &'a str);

impl<'a> Packed<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number and the sign after it.
    pub(crate) fn number(&mut self, end: char) -> Result<i64, StoreError> {
        let (number, rest) = self.0.split_once(end).ok_or_else(unreadable)?;
        self.0 = rest;
        number.parse().map_err(|_| unreadable())
    }

    /// A text after its length.
    pub(crate) fn text(&mut self) -> Result<&'a str, StoreError> {
        let length = usize::try_from(self.number(':')?).map_err(|_| unreadable())?;
        let (text, rest) = self.0.split_at_checked(length).ok_or_else(unreadable)?;
        self.0 = rest;
        Ok(text)
    }
}

fn unreadable() -> StoreError {
    let what = "lengths and texts of a run do not agree; the database must keep texts as UTF-8";
    StoreError::Database(sqlx::Error::Decode(what.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_may_hold_anything() {
        let mut packed = Packed("3:a:1-7 0:3:ü\0");
        assert_eq!(packed.text().unwrap(), "a:1");
        assert_eq!(packed.number(' ').unwrap(), -7);
        assert_eq!(packed.text().unwrap(), "");
        assert_eq!(packed.text().unwrap(), "ü\0");
        assert!(packed.is_empty());
    }

    #[test]
    fn what_does_not_agree_is_refused() {
        for text in ["", "4:abc", "1:ü", "-1:a", "x:a", "1"] {
            assert!(Packed(text).text().is_err(), "{text}");
        }
    }
}
