//! What registered models and their versions are searched by: MLflow's filter and order clauses, read into conditions.

use crate::DomainError;
use crate::filter::{Clause, Token, clauses, order, unquoted, wrong};
use crate::run_search::Test;

/// The tag that tells prompts from models.
pub const PROMPT_TAG: &str = "mlflow.prompt.is_prompt";

const SIGNS: &str = "{'=', '!=', 'LIKE', 'ILIKE'}";

/// What a condition or an order looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrySubject {
    /// The model's name.
    Name,
    /// A version's number.
    Version,
    /// The run that made a version.
    RunId,
    /// Where a version came from.
    Source,
    /// When it was created, epoch milliseconds.
    CreationTime,
    /// When it changed last, epoch milliseconds.
    LastUpdateTime,
    /// A tag.
    Tag(String),
}

/// One condition; all of them must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistryCondition {
    /// What it looks at.
    pub subject: RegistrySubject,
    /// What it asks.
    pub test: Test,
}

/// One part of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryOrder {
    /// What is compared. Never a tag.
    pub subject: RegistrySubject,
    /// From the least to the greatest.
    pub ascending: bool,
}

/// A filter, read.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistryFilter {
    /// Conditions.
    pub conditions: Vec<RegistryCondition>,
    /// Whether prompts are looked for, which stand in the same table, instead of models.
    pub prompts: bool,
}

/// What is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registry {
    /// Registered models.
    Models,
    /// Versions of them.
    Versions,
}

impl Registry {
    fn attribute(self, key: &str) -> Option<RegistrySubject> {
        match (self, key) {
            (_, "name") => Some(RegistrySubject::Name),
            (Self::Versions, "version_number") => Some(RegistrySubject::Version),
            (Self::Versions, "run_id") => Some(RegistrySubject::RunId),
            (Self::Versions, "source_path") => Some(RegistrySubject::Source),
            _ => None,
        }
    }

    fn keys(self) -> &'static str {
        match self {
            Self::Models => "{'name'}",
            Self::Versions => "{'name', 'version_number', 'run_id', 'source_path'}",
        }
    }

    fn order_attribute(self, key: &str) -> Option<RegistrySubject> {
        match (self, key) {
            (_, "name") => Some(RegistrySubject::Name),
            (_, "last_updated_timestamp") | (Self::Models, "timestamp") => {
                Some(RegistrySubject::LastUpdateTime)
            }
            (Self::Versions, "creation_timestamp") => Some(RegistrySubject::CreationTime),
            (Self::Versions, "version_number") => Some(RegistrySubject::Version),
            _ => None,
        }
    }

    fn order_keys(self) -> &'static str {
        match self {
            Self::Models => "{'name', 'timestamp', 'last_updated_timestamp'}",
            Self::Versions => "{'name', 'version_number', 'creation_timestamp', 'last_updated_timestamp'}",
        }
    }

    fn condition(self, clause: &Clause<'_>) -> Result<RegistryCondition, DomainError> {
        let (entity, key) = clause.name.split_once('.').unwrap_or(("attribute", clause.name));
        if clause.value.is_none() {
            return Err(wrong(format!("Invalid comparator for {entity}: {}", clause.comparator)));
        }
        let subject = match entity {
            "attribute" => self.attribute(key).ok_or_else(|| {
                wrong(format!("Invalid attribute key '{key}' specified. Valid keys are '{}'", self.keys()))
            })?,
            "tag" | "tags" => RegistrySubject::Tag(unquoted(key).to_owned()),
            other => {
                return Err(wrong(format!(
                    "Invalid entity type '{other}'. Valid entity types are ('attribute', 'tag', 'tags')"
                )));
            }
        };
        let test = match &subject {
            RegistrySubject::Tag(_) => clause.pair("tag", SIGNS, "")?,
            RegistrySubject::Version => version(clause)?,
            RegistrySubject::Source if matches!(clause.value, Some(Token::List(_))) => {
                let takes = if self == Self::Models { "['name']" } else { "['name', 'run_id']" };
                return Err(wrong(format!(
                    "Only {takes} attributes support comparison with a list of quoted string values."
                )));
            }
            _ => clause.text_or_list("attributes", "'")?,
        };
        Ok(RegistryCondition { subject, test })
    }

    /// Reads a filter; empty, it finds every model. Fails with [`DomainError::Worded`].
    pub fn filter(self, filter: &str) -> Result<RegistryFilter, DomainError> {
        let mut conditions =
            clauses(filter)?.iter().map(|clause| self.condition(clause)).collect::<Result<Vec<_>, _>>()?;
        let of_prompts = |c: &RegistryCondition| c.subject == RegistrySubject::Tag(PROMPT_TAG.to_owned());
        let prompts = conditions.iter().find(|c| of_prompts(c)).is_some_and(|c| match &c.test {
            Test::Text(is, text) => *is == text.eq_ignore_ascii_case("true"),
            _ => false,
        });
        if !prompts {
            conditions.retain(|condition| !of_prompts(condition));
        }
        Ok(RegistryFilter { conditions, prompts })
    }

    /// One part of an order. Fails with [`DomainError::Worded`].
    pub fn order(self, text: &str) -> Result<RegistryOrder, DomainError> {
        let (name, ascending) = order(text)?;
        let key = unquoted(name.strip_prefix("attribute.").unwrap_or(name));
        let subject = self.order_attribute(key).ok_or_else(|| {
            wrong(format!("Invalid order by key '{key}' specified. Valid keys are '{}'", self.order_keys()))
        })?;
        Ok(RegistryOrder { subject, ascending })
    }
}

/// A version's number, in quotes or not.
fn version(clause: &Clause<'_>) -> Result<Test, DomainError> {
    let written = clause.value.map_or("", Token::text);
    let digits = unquoted(written);
    if digits.parse::<i64>().is_err() {
        return Err(wrong(format!("Invalid value for numeric attribute 'version_number': {written}")));
    }
    let number = Clause {
        name: clause.name,
        comparator: clause.comparator.clone(),
        value: Some(Token::Number(digits)),
    };
    number.number("numeric attribute: version_number", digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_search::Comparator;

    #[test]
    fn conditions_of_models_and_versions() {
        let found = Registry::Models.filter("name ILIKE 'ch%' AND tags.`a b` != 'x'").unwrap();
        assert_eq!(found.conditions[0].test, Test::Like { pattern: "ch%".to_owned(), cased: false });
        assert_eq!(found.conditions[1].subject, RegistrySubject::Tag("a b".to_owned()));
        assert!(!found.prompts);
        let found = Registry::Versions.filter("run_id IN ('a', 'b') and version_number >= '2'").unwrap();
        assert_eq!(found.conditions[0].test, Test::In(true, vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(found.conditions[1].test, Test::Number(Comparator::AtLeast, 2.0));
        let order = Registry::Versions.order("version_number DESC").unwrap();
        assert_eq!(order, RegistryOrder { subject: RegistrySubject::Version, ascending: false });
    }

    #[test]
    fn prompts_are_found_only_by_who_asks_for_them() {
        let prompts = |filter: &str| {
            let found = Registry::Models.filter(filter).unwrap();
            (found.prompts, found.conditions.len())
        };
        assert_eq!(prompts("tags.`mlflow.prompt.is_prompt` = 'true'"), (true, 1));
        assert_eq!(prompts("tag.mlflow.prompt.is_prompt != 'true' AND name = 'a'"), (false, 1));
        assert_eq!(prompts(""), (false, 0));
    }

    /// Messages of mlflow 3.17.2.
    #[test]
    fn what_is_wrong_is_said_in_mlflows_words() {
        let refused = |registry: Registry, filter: &str| registry.filter(filter).unwrap_err().to_string();
        assert!(refused(Registry::Models, "run_id = 'a'").starts_with("Invalid attribute key 'run_id'"));
        assert!(refused(Registry::Models, "x.y = 'a'").starts_with("Invalid entity type 'x'"));
        assert!(refused(Registry::Versions, "version_number = 'a'").starts_with("Invalid value for numeric"));
        assert!(refused(Registry::Versions, "source_path IN ('a')").starts_with("Only ['name', 'run_id']"));
        assert!(refused(Registry::Models, "name = 'a' OR name = 'b'").contains("Invalid clause(s)"));
        assert!(Registry::Models.order("creation_timestamp").is_err());
    }
}
