//! What experiments are searched by: MLflow's filter and order clauses, read into conditions.

use crate::DomainError;
use crate::filter::{Clause, Token, clauses, order, unquoted, wrong};
use crate::run_search::Test;

const KEYS: &str = "{'name', 'experiment_id', 'creation_time', 'last_update_time'}";
const TAG_SIGNS: &str = "{'=', '!=', 'LIKE', 'ILIKE', 'IS NULL', 'IS NOT NULL'}";

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExperimentSubject {
    /// Its name.
    Name,
    /// Its number, as a text.
    Id,
    /// When it was created, epoch milliseconds.
    CreationTime,
    /// When it changed last, epoch milliseconds.
    LastUpdateTime,
    /// A tag.
    Tag(String),
}

/// One condition; all of them must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentCondition {
    /// What it looks at. Never a number of experiments.
    pub subject: ExperimentSubject,
    /// What it asks.
    pub test: Test,
}

/// One part of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExperimentOrder {
    /// What is compared. Never a tag.
    pub subject: ExperimentSubject,
    /// From the least to the greatest.
    pub ascending: bool,
}

fn subject(name: &str) -> Result<ExperimentSubject, DomainError> {
    let (entity, key) = match name.split_once('.') {
        Some((entity, key)) => (entity, unquoted(key)),
        None => ("attribute", unquoted(name)),
    };
    match (entity, key) {
        ("tag" | "tags", key) => Ok(ExperimentSubject::Tag(key.to_owned())),
        ("attribute", "name") => Ok(ExperimentSubject::Name),
        ("attribute", "experiment_id") => Ok(ExperimentSubject::Id),
        ("attribute", "creation_time") => Ok(ExperimentSubject::CreationTime),
        ("attribute", "last_update_time") => Ok(ExperimentSubject::LastUpdateTime),
        ("attribute", other) => {
            Err(wrong(format!("Invalid attribute key '{other}' specified. Valid keys are '{KEYS}'")))
        }
        (other, _) => Err(wrong(format!(
            "Invalid entity type '{other}'. Valid entity types are ('attribute', 'tag', 'tags')"
        ))),
    }
}

fn condition(clause: &Clause<'_>) -> Result<ExperimentCondition, DomainError> {
    let subject = subject(clause.name)?;
    let text = clause.value.map_or("", Token::text);
    let test = match &subject {
        ExperimentSubject::Tag(_) => clause.pair("tag", TAG_SIGNS, "'")?,
        _ if clause.value.is_none() => {
            return Err(wrong(format!(
                "IS NULL / IS NOT NULL is only supported for tags, not for attribute '{}'",
                clause.name
            )));
        }
        ExperimentSubject::CreationTime | ExperimentSubject::LastUpdateTime => {
            clause.number(&format!("numeric attribute: {}", clause.name), text)?
        }
        ExperimentSubject::Name if matches!(clause.value, Some(Token::List(_))) => {
            return Err(wrong(
                "Only ['experiment_id'] attributes support comparison with a list of quoted string values.",
            ));
        }
        ExperimentSubject::Name | ExperimentSubject::Id => clause.text_or_list("attributes", "'")?,
    };
    Ok(ExperimentCondition { subject, test })
}

/// The conditions of a filter; none when it is empty. Fails with [`DomainError::Worded`].
pub fn parse_experiment_filter(filter: &str) -> Result<Vec<ExperimentCondition>, DomainError> {
    clauses(filter)?.iter().map(condition).collect()
}

/// One part of an order. Fails with [`DomainError::Worded`].
pub fn parse_experiment_order(text: &str) -> Result<ExperimentOrder, DomainError> {
    let (name, ascending) = order(text)?;
    match subject(name)? {
        ExperimentSubject::Tag(_) => Err(wrong("Invalid order_by entity: tag")),
        subject => Ok(ExperimentOrder { subject, ascending }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_search::Comparator;

    #[test]
    fn conditions_and_orders() {
        let found =
            parse_experiment_filter("name ILIKE 'ch%' AND tags.team = 'risk' AND creation_time > 5").unwrap();
        assert_eq!(found[0].test, Test::Like { pattern: "ch%".to_owned(), cased: false });
        assert_eq!(found[1].subject, ExperimentSubject::Tag("team".to_owned()));
        assert_eq!(found[2].test, Test::Number(Comparator::Greater, 5.0));
        let found = parse_experiment_filter("experiment_id IN ('1', '2')").unwrap();
        assert_eq!(found[0].test, Test::In(true, vec!["1".to_owned(), "2".to_owned()]));
        let order = parse_experiment_order("attribute.last_update_time DESC").unwrap();
        assert_eq!(order, ExperimentOrder { subject: ExperimentSubject::LastUpdateTime, ascending: false });
    }

    /// Messages of mlflow 3.17.2.
    #[test]
    fn what_is_wrong_is_said_in_mlflows_words() {
        let refused = |filter: &str| parse_experiment_filter(filter).unwrap_err().to_string();
        assert_eq!(
            refused("params.p = 'x'"),
            "Invalid entity type 'params'. Valid entity types are ('attribute', 'tag', 'tags')"
        );
        assert!(refused("lifecycle_stage = 'active'").starts_with("Invalid attribute key 'lifecycle_stage'"));
        assert_eq!(
            refused("experiment_id = 1"),
            "Expected a quoted string value for attributes. Got value 1"
        );
        assert!(refused("name IS NULL").starts_with("IS NULL / IS NOT NULL is only supported for tags"));
        assert_eq!(parse_experiment_order("tags.a").unwrap_err().to_string(), "Invalid order_by entity: tag");
    }
}
