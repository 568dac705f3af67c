//! Logged models: how far they are, and what they are searched by.

use crate::DomainError;
use crate::filter::{Clause, Token, clauses, list, text_of, unquoted, wrong};
use crate::run_search::Test;

/// How far a logged model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedModelStatus {
    /// Nobody said.
    Unspecified,
    /// Its files are on their way.
    Pending,
    /// Its files are there.
    Ready,
    /// Its files did not arrive.
    UploadFailed,
}

impl LoggedModelStatus {
    /// All of them, each at the place of its number.
    pub const ALL: [Self; 4] = [Self::Unspecified, Self::Pending, Self::Ready, Self::UploadFailed];

    /// MLflow's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "LOGGED_MODEL_STATUS_UNSPECIFIED",
            Self::Pending => "LOGGED_MODEL_PENDING",
            Self::Ready => "LOGGED_MODEL_READY",
            Self::UploadFailed => "LOGGED_MODEL_UPLOAD_FAILED",
        }
    }

    /// MLflow's number.
    pub fn number(self) -> i64 {
        Self::ALL.iter().position(|status| *status == self).map_or(0, |at| at as i64)
    }

    /// The status of that number; a number that is none of MLflow's says nothing.
    pub fn of_number(number: i64) -> Self {
        let at = usize::try_from(number).unwrap_or(0);
        Self::ALL.get(at).copied().unwrap_or(Self::Unspecified)
    }

    /// The status of that word, long or short.
    pub fn of_word(word: &str) -> Option<Self> {
        let short = |status: &Self| status.as_str().trim_start_matches("LOGGED_MODEL_");
        Self::ALL.into_iter().find(|status| status.as_str() == word || short(status) == word)
    }
}

/// What a condition or an order looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedModelSubject {
    /// A column of the model itself.
    Attribute(LoggedModelAttribute),
    /// Any value of a metric; in an order the newest.
    Metric(String),
    /// A parameter.
    Param(String),
    /// A tag.
    Tag(String),
}

/// What a logged model itself has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedModelAttribute {
    /// `m-` and 32 hexadecimal digits.
    Id,
    /// Number of its experiment.
    Experiment,
    /// Its name.
    Name,
    /// When it was created, epoch milliseconds.
    CreationTime,
    /// When it changed last, epoch milliseconds.
    LastUpdateTime,
    /// How far it is.
    Status,
    /// Kind of model, in its author's words.
    ModelType,
    /// The run that logged it.
    SourceRun,
}

impl LoggedModelAttribute {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "model_id" => Self::Id,
            "experiment_id" => Self::Experiment,
            "name" => Self::Name,
            "creation_time" | "creation_timestamp" | "creation_timestamp_ms" => Self::CreationTime,
            "last_updated_timestamp" | "last_updated_timestamp_ms" => Self::LastUpdateTime,
            "status" => Self::Status,
            "model_type" => Self::ModelType,
            "source_run_id" => Self::SourceRun,
            _ => return None,
        })
    }

    fn is_number(self) -> bool {
        matches!(self, Self::CreationTime | Self::LastUpdateTime | Self::Status | Self::Experiment)
    }
}

/// One condition; all of them must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedModelCondition {
    /// What it looks at.
    pub subject: LoggedModelSubject,
    /// What it asks.
    pub test: Test,
}

/// One part of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedModelOrder {
    /// What is compared: an attribute or a metric.
    pub subject: LoggedModelSubject,
    /// From the least to the greatest.
    pub ascending: bool,
    /// Only values that were measured on a data set of that name.
    pub dataset_name: Option<String>,
    /// Only values that were measured on a data set of that digest.
    pub dataset_digest: Option<String>,
}

/// Reads a filter; empty, it finds every model. Fails with [`DomainError::Worded`].
pub fn parse_logged_model_filter(filter: &str) -> Result<Vec<LoggedModelCondition>, DomainError> {
    let read = clauses(filter).map_err(|_| {
        wrong(format!(
            "Invalid filter string: '{filter}'. Expected a list of comparisons separated by 'AND' (e.g. 'metrics.loss > \
             0.1 AND params.lr = 0.01')."
        ))
    })?;
    read.iter().map(condition).collect()
}

/// The subject of a part of an order. Fails with [`DomainError::Worded`].
pub fn logged_model_order(field: &str) -> Result<LoggedModelSubject, DomainError> {
    match field.split_once('.') {
        Some(("metrics", key)) => Ok(LoggedModelSubject::Metric(key.to_owned())),
        Some(_) => Err(wrong(format!("Invalid order by field name: {field}. Only metrics are supported."))),
        None => LoggedModelAttribute::of(field)
            .map(LoggedModelSubject::Attribute)
            .ok_or_else(|| wrong(format!("Invalid order by field name: {field}"))),
    }
}

fn condition(clause: &Clause<'_>) -> Result<LoggedModelCondition, DomainError> {
    let subject = subject(clause.name)?;
    let number = match &subject {
        LoggedModelSubject::Metric(_) => true,
        LoggedModelSubject::Attribute(attribute) => attribute.is_number(),
        _ => false,
    };
    let test = match &subject {
        LoggedModelSubject::Attribute(LoggedModelAttribute::Status) => status(clause)?,
        _ if number => clause.number(clause.name, clause.value.map_or("", Token::text))?,
        _ => text(clause)?,
    };
    Ok(LoggedModelCondition { subject, test })
}

fn subject(name: &str) -> Result<LoggedModelSubject, DomainError> {
    let attribute = |key: &str| {
        LoggedModelAttribute::of(unquoted(key))
            .map(LoggedModelSubject::Attribute)
            .ok_or_else(|| wrong(format!("A logged model has no attribute '{key}'")))
    };
    let Some((entity, key)) = name.split_once('.') else { return attribute(name) };
    let key_of = |key: &str| key.trim_matches('`').to_owned();
    match entity {
        "attributes" => attribute(key),
        "metrics" => Ok(LoggedModelSubject::Metric(key_of(key))),
        "params" => Ok(LoggedModelSubject::Param(key_of(key))),
        "tags" => Ok(LoggedModelSubject::Tag(key_of(key))),
        other => Err(wrong(format!(
            "Invalid entity type: '{other}'. Expected one of ['attributes', 'metrics', 'params', 'tags']."
        ))),
    }
}

fn comparators(clause: &Clause<'_>) -> DomainError {
    wrong(format!(
        "Invalid comparison operator for {}: '{}'. Expected one of ('=', '!=', 'LIKE', 'ILIKE', 'IN', 'NOT IN').",
        clause.name, clause.comparator
    ))
}

/// What is asked of a text. A word without quotes is one too, as in MLflow.
fn text(clause: &Clause<'_>) -> Result<Test, DomainError> {
    let value = clause.value.ok_or_else(|| comparators(clause))?;
    if let Token::List(written) = value {
        return match clause.comparator.as_str() {
            "IN" => Ok(Test::In(true, list(written)?)),
            "NOT IN" => Ok(Test::In(false, list(written)?)),
            _ => Err(comparators(clause)),
        };
    }
    let text = match value {
        Token::Text(_) => text_of(value)?.unwrap_or_default(),
        other => other.text(),
    };
    match clause.comparator.as_str() {
        "=" => Ok(Test::Text(true, text.to_owned())),
        "!=" => Ok(Test::Text(false, text.to_owned())),
        "LIKE" | "ILIKE" => Ok(Test::Like { pattern: text.to_owned(), cased: clause.comparator == "LIKE" }),
        _ => Err(comparators(clause)),
    }
}

/// A status by its word or its number. MLflow knows only the number.
fn status(clause: &Clause<'_>) -> Result<Test, DomainError> {
    let value = clause.value.ok_or_else(|| comparators(clause))?;
    let word = unquoted(value.text());
    let known = LoggedModelStatus::of_word(word).map(LoggedModelStatus::number).or_else(|| word.parse().ok());
    let number = known.ok_or_else(|| {
        wrong(format!("'{word}' is no status of a logged model; they are PENDING, READY and UPLOAD_FAILED"))
    })?;
    let digits = number.to_string();
    Clause { name: clause.name, comparator: clause.comparator.clone(), value: Some(Token::Number(&digits)) }
        .number(clause.name, &digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_search::Comparator;

    #[test]
    fn conditions_of_logged_models() {
        let found =
            parse_logged_model_filter("metrics.loss > 0.1 AND params.lr = 0.01 AND tags.`a b` LIKE 'x%'")
                .unwrap();
        assert_eq!(found[0].test, Test::Number(Comparator::Greater, 0.1));
        assert_eq!(found[1].test, Test::Text(true, "0.01".to_owned()));
        assert_eq!(found[2].subject, LoggedModelSubject::Tag("a b".to_owned()));
        let found =
            parse_logged_model_filter("name = 'm' and creation_timestamp >= 5 and status = 'READY'").unwrap();
        assert_eq!(found[1].subject, LoggedModelSubject::Attribute(LoggedModelAttribute::CreationTime));
        assert_eq!(found[2].test, Test::Number(Comparator::Equal, 2.0));
        let found = parse_logged_model_filter("name IN ('a', 'b')").unwrap();
        assert_eq!(found[0].test, Test::In(true, vec!["a".to_owned(), "b".to_owned()]));
    }

    /// Messages of mlflow 3.17.2.
    #[test]
    fn what_is_wrong_is_said_in_mlflows_words() {
        let refused = |filter: &str| parse_logged_model_filter(filter).unwrap_err().to_string();
        assert!(refused("metric.loss > 1").starts_with("Invalid entity type: 'metric'."));
        assert!(refused("name > 'a'").starts_with("Invalid comparison operator for name: '>'."));
        assert!(refused("metrics.a > 1 OR params.b = 'c'").starts_with("Invalid filter string:"));
        assert!(
            logged_model_order("params.a").unwrap_err().to_string().ends_with("Only metrics are supported.")
        );
        assert!(logged_model_order("").is_err());
    }

    #[test]
    fn a_status_has_a_word_and_a_number() {
        for status in LoggedModelStatus::ALL {
            assert_eq!(LoggedModelStatus::of_number(status.number()), status);
            assert_eq!(LoggedModelStatus::of_word(status.as_str()), Some(status));
        }
        assert_eq!(LoggedModelStatus::of_word("READY"), Some(LoggedModelStatus::Ready));
        assert_eq!(LoggedModelStatus::of_number(9), LoggedModelStatus::Unspecified);
    }
}
