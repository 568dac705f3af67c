//! The grammar that MLflow's searches share: clauses joined by AND, and parts of an order.
//!
//! Owns how a text is cut into names, comparators and values. What a name means, and which comparators it takes, is for
//! each search to say.

mod token;

pub(crate) use token::Token;
use token::tokens;

use crate::DomainError;

/// Most clauses of one filter.
const MAX_CLAUSES: usize = 60;

pub(crate) fn wrong(message: impl Into<String>) -> DomainError {
    DomainError::Worded(message.into())
}

/// The clauses of a filter; none when it is empty. Fails with [`DomainError::Worded`].
pub(crate) fn clauses(filter: &str) -> Result<Vec<Clause<'_>>, DomainError> {
    let all = tokens(filter);
    let mut rest = &all[..];
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
    if clauses.len() > MAX_CLAUSES {
        return Err(wrong(format!(
            "a filter has at most {MAX_CLAUSES} conditions, and this one has {}",
            clauses.len()
        )));
    }
    Ok(clauses)
}

/// A name, a comparator in upper case, and what it is compared with.
pub(crate) struct Clause<'a> {
    pub(crate) name: &'a str,
    pub(crate) comparator: String,
    pub(crate) value: Option<Token<'a>>,
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

/// A quoted value without its quotes; nothing within is unescaped.
pub(crate) fn text_of(value: Token<'_>) -> Result<Option<&str>, DomainError> {
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
pub(crate) fn list(written: &str) -> Result<Vec<String>, DomainError> {
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

pub(crate) fn unquoted(key: &str) -> &str {
    let stripped = |text: &'static str, key| -> Option<&str> {
        let key: &str = key;
        (key.len() > 1).then(|| key.strip_prefix(text)?.strip_suffix(text)).flatten()
    };
    let key = stripped("'", key).or_else(|| stripped("\"", key)).unwrap_or(key);
    stripped("`", key).unwrap_or(key)
}

/// The name in one part of an order, and whether it ascends. Fails with [`DomainError::Worded`].
pub(crate) fn order(text: &str) -> Result<(&str, bool), DomainError> {
    let unreadable = || wrong(format!("Invalid order_by clause '{text}'. Could not be parsed."));
    if text.trim() != text {
        return Err(unreadable());
    }
    let (name, direction) = match tokens(text)[..] {
        [Token::Name(name)] => (name, None),
        [Token::Name(name), Token::Name(direction)] => (name, Some(direction)),
        _ => return Err(unreadable()),
    };
    match direction.map(str::to_ascii_lowercase).as_deref() {
        None | Some("asc") => Ok((name, true)),
        Some("desc") => Ok((name, false)),
        Some(_) => Err(wrong(format!("Invalid ordering key in order_by clause '{text}'."))),
    }
}
