//! Conditions and orders from their text.

use super::token::{Token, tokens};
use super::{Attribute, Comparator, Condition, DatasetField, Order, Subject, Test};
use crate::DomainError;

/// Most conditions of one filter.
const MAX_CONDITIONS: usize = 60;
const ATTRIBUTES: &str = "{'run_id', 'run_name', 'user_id', 'status', 'artifact_uri', 'start_time', 'end_time', \
                          'Created', 'created', 'run name', 'Run name', 'Run Name'}";
const DATASET_KEYS: &str = "{'name', 'digest', 'context'}";
const NUMBER_SIGNS: &str = "{'=', '!=', '<', '<=', '>', '>='}";
const TEXT_SIGNS: &str = "{'=', '!=', 'LIKE', 'ILIKE', 'IN', 'NOT IN'}";
const PAIR_SIGNS: &str = "{'=', '!=', 'LIKE', 'ILIKE', 'IS NULL', 'IS NOT NULL'}";

fn wrong(message: impl Into<String>) -> DomainError {
    DomainError::Search(message.into())
}

/// The conditions of a filter; none when it is empty. Fails with [`DomainError::Search`].
pub fn parse_filter(filter: &str) -> Result<Vec<Condition>, DomainError> {
    let mut rest = &tokens(filter)[..];
    let mut conditions = Vec::new();
    let mut strangers: Vec<&str> = Vec::new();
    let mut clauses = Vec::new();
    while let [first, after @ ..] = rest {
        if first.is_word("and") {
            rest = after;
        } else if let Some((clause, length)) = clause(rest) {
            clauses.push(clause);
            rest = &rest[length..];
        } else {
            strangers.push(first.text());
            rest = after;
        }
    }
    if !strangers.is_empty() {
        let quoted: Vec<String> = strangers.iter().map(|text| format!("'{text}'")).collect();
        return Err(wrong(format!("Invalid clause(s) in filter string: {}", quoted.join(", "))));
    }
    if clauses.len() > MAX_CONDITIONS {
        return Err(wrong(format!(
            "a filter has at most {MAX_CONDITIONS} conditions, and this one has {}",
            clauses.len()
        )));
    }
    for clause in clauses {
        conditions.push(clause.read()?);
    }
    Ok(conditions)
}

/// A name, a comparator in upper case, and what it is compared with.
struct Clause<'a> {
    name: &'a str,
    comparator: String,
    value: Option<Token<'a>>,
}

/// The clause at the start of the tokens, and how many of them it takes.
fn clause<'a>(rest: &[Token<'a>]) -> Option<(Clause<'a>, usize)> {
    let [Token::Name(name), rest @ ..] = rest else { return None };
    let word = |at: usize, word: &str| rest.get(at).is_some_and(|token| token.is_word(word));
    let make = |comparator: &str, value: Option<usize>| {
        let value_token = value.map(|at| rest.get(at).copied());
        let value_token = match value_token {
            Some(None) => return None,
            Some(Some(token)) => Some(token),
            None => None,
        };
        Some(Clause { name, comparator: comparator.to_owned(), value: value_token })
    };
    if word(0, "is") && word(1, "null") {
        return make("IS NULL", None).map(|clause| (clause, 3));
    }
    if word(0, "is") && word(1, "not") && word(2, "null") {
        return make("IS NOT NULL", None).map(|clause| (clause, 4));
    }
    if word(0, "in") {
        return make("IN", Some(1)).filter(is_list).map(|clause| (clause, 3));
    }
    if word(0, "not") && word(1, "in") {
        return make("NOT IN", Some(2)).filter(is_list).map(|clause| (clause, 4));
    }
    for like in ["LIKE", "ILIKE", "RLIKE", "REGEXP"] {
        if word(0, like) {
            return make(like, Some(1)).map(|clause| (clause, 3));
        }
        if word(0, "not") && word(1, like) {
            return make(&format!("NOT {like}"), Some(2)).map(|clause| (clause, 4));
        }
    }
    let Some(Token::Signs(signs)) = rest.first() else { return None };
    make(signs, Some(1)).map(|clause| (clause, 3))
}

fn is_list(clause: &Clause<'_>) -> bool {
    matches!(clause.value, Some(Token::List(_)))
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

    fn number(&self, what: &str, text: &str) -> Result<Test, DomainError> {
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
    fn pair(&self, entity: &str, signs: &str, end: &str) -> Result<Test, DomainError> {
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

    fn text_or_list(&self, what: &str, end: &str) -> Result<Test, DomainError> {
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

/// A quoted value without its quotes; nothing within is unescaped.
fn text_of(value: Token<'_>) -> Result<Option<&str>, DomainError> {
    match value {
        Token::Text(text) => Ok(Some(&text[1..text.len() - 1])),
        Token::Name(text) if text.len() > 1 && text.starts_with('"') && text.ends_with('"') => {
            Ok(Some(&text[1..text.len() - 1]))
        }
        Token::Name(text) => Err(wrong(format!(
            "Parameter value is either not quoted or unidentified quote types used for string value {text}. Use either \
             single or double quotes."
        ))),
        _ => Ok(None),
    }
}

/// The texts of a list.
fn list(written: &str) -> Result<Vec<String>, DomainError> {
    let ill = || {
        wrong(
            "While parsing a list in the query, expected a non-empty list of string values, but got ill-formed list.",
        )
    };
    let inner = written.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).ok_or_else(ill)?;
    let mut texts = Vec::new();
    let mut expect_comma = false;
    for token in tokens(inner) {
        match (token, expect_comma) {
            (Token::Other(","), true) => expect_comma = false,
            (Token::Number(_), false) => {
                return Err(wrong(format!(
                    "While parsing a list in the query, expected string value, punctuation, or whitespace, but got \
                     different type in list: {written}"
                )));
            }
            (_, false) => {
                texts.push(text_of(token)?.ok_or_else(ill)?.to_owned());
                expect_comma = true;
            }
            _ => return Err(ill()),
        }
    }
    if texts.is_empty() {
        return Err(wrong(
            "While parsing a list in the query, expected a non-empty list of string values, but got empty list",
        ));
    }
    Ok(texts)
}

fn unquoted(key: &str) -> &str {
    let stripped = |text: &'static str, key| -> Option<&str> {
        let key: &str = key;
        (key.len() > 1).then(|| key.strip_prefix(text)?.strip_suffix(text)).flatten()
    };
    let key = stripped("'", key).or_else(|| stripped("\"", key)).unwrap_or(key);
    stripped("`", key).unwrap_or(key)
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

/// One part of an order: a name, and a direction that may be absent. Fails with [`DomainError::Search`].
pub fn parse_order(text: &str) -> Result<Order, DomainError> {
    let unreadable = || wrong(format!("Invalid order_by clause '{text}'. Could not be parsed."));
    if text.trim() != text {
        return Err(unreadable());
    }
    // `metrics.1` is no name of a filter, and orders take it.
    let (name, direction) = match tokens(text)[..] {
        [Token::Name(name)] => (name, None),
        [Token::Name(name), Token::Name(direction)] => (name, Some(direction)),
        _ => return Err(unreadable()),
    };
    let ascending = match direction.map(str::to_ascii_lowercase).as_deref() {
        None | Some("asc") => true,
        Some("desc") => false,
        Some(_) => return Err(wrong(format!("Invalid ordering key in order_by clause '{text}'."))),
    };
    Ok(Order { subject: subject(name, true)?, ascending })
}
