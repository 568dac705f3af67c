//! Conditions and orders from their text.

use super::{Attribute, Comparator, Condition, DatasetField, Order, Subject, Test};
use crate::DomainError;
use crate::filter::{Clause, Token, clauses, list, order, text_of, unquoted, wrong};

const ATTRIBUTES: &str = "{'run_id', 'run_name', 'user_id', 'status', 'artifact_uri', 'start_time', 'end_time', \
                          'Created', 'created', 'run name', 'Run name', 'Run Name'}";
const DATASET_KEYS: &str = "{'name', 'digest', 'context'}";
const NUMBER_SIGNS: &str = "{'=', '!=', '<', '<=', '>', '>='}";
const TEXT_SIGNS: &str = "{'=', '!=', 'LIKE', 'ILIKE', 'IN', 'NOT IN'}";
const PAIR_SIGNS: &str = "{'=', '!=', 'LIKE', 'ILIKE', 'IS NULL', 'IS NOT NULL'}";

/// The conditions of a filter; none when it is empty. Fails with [`DomainError::Worded`].
pub fn parse_filter(filter: &str) -> Result<Vec<Condition>, DomainError> {
    clauses(filter)?.iter().map(Clause::read).collect()
}

impl Clause<'_> {
    fn read(&self) -> Result<Condition, DomainError> {
        let subject = subject(self.name, false)?;
        let text = self.value.map_or("", Token::text);
        let test = match &subject {
            Subject::Metric(key) => self.not_null("metric", key)?.number("metric", text)?,
            Subject::Param(_) => self.pair("parameter", PAIR_SIGNS, "'")?,
            Subject::Tag(_) => self.pair("tag", PAIR_SIGNS, "")?,
            Subject::Attribute(attribute) if attribute.is_number() => {
                let written = self.name.rsplit_once('.').map_or(self.name, |(_, key)| key);
                let what = format!("numeric attribute: {}", unquoted(written));
                self.not_null("attribute", &what)?.number(&what, text)?
            }
            Subject::Attribute(attribute) => self.not_null("attribute", self.name)?.attribute(*attribute)?,
            Subject::Dataset(_) => self.not_null("dataset", self.name)?.dataset()?,
        };
        Ok(Condition { subject, test })
    }

    fn not_null(&self, entity: &str, key: &str) -> Result<&Self, DomainError> {
        if self.value.is_some() {
            return Ok(self);
        }
        Err(wrong(format!(
            "IS NULL / IS NOT NULL is only supported for tags and params, not for '{entity}' '{key}'"
        )))
    }

    pub(crate) fn number(&self, what: &str, text: &str) -> Result<Test, DomainError> {
        let number = match self.value {
            Some(Token::Number(number)) => number.parse().ok(),
            _ => None,
        };
        let number =
            number.ok_or_else(|| wrong(format!("Expected numeric value type for {what}. Found {text}")))?;
        let comparator = Comparator::of(&self.comparator);
        comparator
            .map(|comparator| Test::Number(comparator, number))
            .ok_or_else(|| self.comparator_error(NUMBER_SIGNS, ""))
    }

    fn comparator_error(&self, signs: &str, end: &str) -> DomainError {
        wrong(format!("Invalid comparator '{}' not one of '{signs}{end}", self.comparator.to_uppercase()))
    }

    /// A parameter or a tag.
    pub(crate) fn pair(&self, entity: &str, signs: &str, end: &str) -> Result<Test, DomainError> {
        let Some(value) = self.value else { return Ok(Test::Present(self.comparator == "IS NOT NULL")) };
        let expected = || {
            wrong(format!(
                "Expected a quoted string value for {entity} (e.g. 'my-value'). Got value {}",
                value.text()
            ))
        };
        let text = text_of(value)?.ok_or_else(expected)?;
        self.text_test(text).ok_or_else(|| self.comparator_error(signs, end))
    }

    fn text_test(&self, text: &str) -> Option<Test> {
        match self.comparator.as_str() {
            "=" => Some(Test::Text(true, text.to_owned())),
            "!=" => Some(Test::Text(false, text.to_owned())),
            "LIKE" | "ILIKE" => {
                Some(Test::Like { pattern: text.to_owned(), cased: self.comparator == "LIKE" })
            }
            _ => None,
        }
    }

    fn attribute(&self, attribute: Attribute) -> Result<Test, DomainError> {
        match self.value {
            Some(Token::List(_)) if attribute != Attribute::RunId => Err(wrong(
                "Only ['run_id'] attributes support comparison with a list of quoted string values.",
            )),
            _ => self.text_or_list("attributes", "'"),
        }
    }

    fn dataset(&self) -> Result<Test, DomainError> {
        self.text_or_list("dataset attributes", "")
    }

    pub(crate) fn text_or_list(&self, what: &str, end: &str) -> Result<Test, DomainError> {
        let value = self.value.unwrap_or(Token::Other(""));
        if let Token::List(written) = value {
            let listed = list(written)?;
            return match self.comparator.as_str() {
                "IN" | "NOT IN" => Ok(Test::In(self.comparator == "IN", listed)),
                _ => Err(self.comparator_error(TEXT_SIGNS, end)),
            };
        }
        let expected =
            || wrong(format!("Expected a quoted string value for {what}. Got value {}", value.text()));
        let text = text_of(value)?.ok_or_else(expected)?;
        self.text_test(text).ok_or_else(|| self.comparator_error(TEXT_SIGNS, end))
    }
}

/// What a name means; orders know fewer spellings.
fn subject(name: &str, in_order: bool) -> Result<Subject, DomainError> {
    let (entity, key) = match name.split_once('.') {
        Some((entity, key)) => (unquoted(entity), unquoted(key)),
        None => ("attribute", unquoted(name)),
    };
    match entity {
        "metric" | "metrics" => Ok(Subject::Metric(key.to_owned())),
        "parameter" | "parameters" | "param" | "params" => Ok(Subject::Param(key.to_owned())),
        "tag" | "tags" => Ok(Subject::Tag(key.to_owned())),
        "attribute" | "attributes" | "attr" | "run" => attribute(key, in_order).map(Subject::Attribute),
        "dataset" | "datasets" if in_order => Err(wrong("Invalid identifier type 'dataset'")),
        "dataset" | "datasets" => dataset_field(key).map(Subject::Dataset),
        other => Err(wrong(format!(
            "Invalid entity type '{other}'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']"
        ))),
    }
}

fn attribute(key: &str, in_order: bool) -> Result<Attribute, DomainError> {
    match key {
        "run_id" => Ok(Attribute::RunId),
        "run_name" => Ok(Attribute::RunName),
        "run name" | "Run name" | "Run Name" if !in_order => Ok(Attribute::RunName),
        "user_id" => Ok(Attribute::UserId),
        "status" => Ok(Attribute::Status),
        "artifact_uri" => Ok(Attribute::ArtifactUri),
        "start_time" | "created" | "Created" => Ok(Attribute::StartTime),
        "end_time" => Ok(Attribute::EndTime),
        other => {
            Err(wrong(format!("Invalid attribute key '{other}' specified. Valid keys are '{ATTRIBUTES}'")))
        }
    }
}

fn dataset_field(key: &str) -> Result<DatasetField, DomainError> {
    match key {
        "name" => Ok(DatasetField::Name),
        "digest" => Ok(DatasetField::Digest),
        "context" => Ok(DatasetField::Context),
        other => {
            Err(wrong(format!("Invalid dataset key '{other}' specified. Valid keys are '{DATASET_KEYS}'")))
        }
    }
}

/// One part of an order: a name, and a direction that may be absent. Fails with [`DomainError::Worded`].
pub fn parse_order(text: &str) -> Result<Order, DomainError> {
    let (name, ascending) = order(text)?;
    Ok(Order { subject: subject(name, true)?, ascending })
}
