//! Registered models: what their names, versions, stages and aliases may be, and the URIs that name them.
//!
//! The rules and their words are those of MLflow's registry, because its clients match on them.

use std::fmt;
use std::str::FromStr;

use crate::DomainError;
use crate::run::{check_key, check_words, is_path_below};

/// Longest name of a model, and of an alias, in characters.
pub const MAX_NAME: usize = 256;
/// Longest value of a model's or version's tag, in characters.
pub const MAX_TAG_VALUE: usize = 100_000;
/// Longest description, in characters.
pub const MAX_DESCRIPTION: usize = 100_000;
/// Longest source of a version, in characters.
pub const MAX_SOURCE: usize = 2_048;

fn refused(message: impl Into<String>) -> DomainError {
    DomainError::Worded(message.into())
}

/// Checks the name of a model; `field` is where it stands in the request.
pub fn check_model_name(field: &str, name: &str) -> Result<(), DomainError> {
    if name.trim().is_empty() {
        return Err(refused(format!("Missing value for required parameter '{field}'.")));
    }
    if name.contains(['/', ':']) {
        return Err(refused(format!("Invalid model name '{name}'. Names cannot contain '/' or ':'.")));
    }
    is_path_below("name", name)?;
    check_words("Model name", name, MAX_NAME)
}

/// Checks a tag of a model or a version.
pub fn check_tag(key: &str, value: &str) -> Result<(), DomainError> {
    check_key("key", "key", key)?;
    check_words("value", value, MAX_TAG_VALUE)
}

/// The number of a version.
pub fn version_number(text: &str) -> Result<i64, DomainError> {
    let number = text.trim().parse().ok().filter(|number: &i64| *number >= 0);
    number.ok_or_else(|| refused(format!("Parameter 'version' must be an integer, got '{text}'.")))
}

/// Checks an alias.
pub fn check_alias(alias: &str) -> Result<(), DomainError> {
    if alias.is_empty() {
        return Err(refused("Registered model alias name cannot be empty."));
    }
    if !alias.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-')) {
        return Err(refused(format!(
            "Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), and dashes (-)."
        )));
    }
    check_words("Registered model alias name", alias, MAX_NAME - 1)
}

/// Refuses aliases that mean something by themselves: `latest`, and `v` with a number.
pub fn check_new_alias(alias: &str) -> Result<(), DomainError> {
    check_alias(alias)?;
    if alias.eq_ignore_ascii_case("latest") {
        return Err(refused("'latest' alias name (case insensitive) is reserved."));
    }
    let number = alias.strip_prefix(['v', 'V']);
    if number.is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())) {
        return Err(refused(format!("Version alias name '{alias}' is reserved.")));
    }
    Ok(())
}

/// Where a version stands, for clients that still use stages; aliases say more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionStage {
    /// Nowhere yet.
    None,
    /// Being tried.
    Staging,
    /// In use.
    Production,
    /// Put away.
    Archived,
}

impl VersionStage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Staging, Self::Production, Self::Archived];

    /// MLflow's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }

    /// Whether versions in it are in use.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Staging | Self::Production)
    }
}

impl fmt::Display for VersionStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for VersionStage {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        Self::ALL.into_iter().find(|stage| stage.as_str().eq_ignore_ascii_case(text)).ok_or_else(|| {
            refused(format!(
                "Invalid Model Version stage: {text}. Value must be one of None, Staging, Production, Archived."
            ))
        })
    }
}

/// What a `models:/` URI names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelUri {
    /// `models:/m-…`: a model that was logged, registered or not.
    Logged(String),
    /// `models:/name/3`
    Version(String, i64),
    /// `models:/name/latest`
    Latest(String),
    /// `models:/name/Production`
    Stage(String, VersionStage),
    /// `models:/name@alias`
    Alias(String, String),
}

impl ModelUri {
    /// Reads what follows `models:`; nothing when it names nothing.
    pub fn parse(rest: &str) -> Option<Self> {
        let path = rest.split('?').next()?.strip_prefix('/')?.trim_start_matches('/');
        match path.split_once('/') {
            Some((name, suffix)) => {
                if name.trim().is_empty() || suffix.trim().is_empty() || suffix.contains('/') {
                    return None;
                }
                let name = name.to_owned();
                if suffix.chars().all(|c| c.is_ascii_digit()) {
                    return suffix.parse().ok().map(|version| Self::Version(name, version));
                }
                if suffix.eq_ignore_ascii_case("latest") {
                    return Some(Self::Latest(name));
                }
                suffix.parse().ok().map(|stage| Self::Stage(name, stage))
            }
            None => match path.rsplit_once('@') {
                Some((name, alias)) if !name.is_empty() && !alias.trim().is_empty() => {
                    Some(Self::Alias(name.to_owned(), alias.to_owned()))
                }
                Some(_) => None,
                None => (!path.is_empty()).then(|| Self::Logged(path.to_owned())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases() {
        assert!(check_model_name("name", "churn model é").is_ok());
        for bad in ["", "  ", "a/b", "a:b", ".", "..", "..a"] {
            assert!(check_model_name("name", bad).is_err(), "{bad}");
        }
        assert!(check_new_alias("champion").is_ok() && check_new_alias("vx").is_ok());
        for bad in ["", "a b", "Latest", "v12", "V1", "a.b"] {
            assert!(check_new_alias(bad).is_err(), "{bad}");
        }
        assert!(check_alias("latest").is_ok(), "it may be asked for");
        assert_eq!((version_number(" 12 "), version_number("x").is_err()), (Ok(12), true));
    }

    #[test]
    fn stages_are_read_in_any_case() {
        assert_eq!("PRODUCTION".parse(), Ok(VersionStage::Production));
        assert!("Deleted_Internal".parse::<VersionStage>().is_err());
    }

    #[test]
    fn uris_name_versions_stages_aliases_and_logged_models() {
        let read = |rest: &str| ModelUri::parse(rest);
        assert_eq!(read("/churn/3"), Some(ModelUri::Version("churn".to_owned(), 3)));
        assert_eq!(read("/churn/LATEST"), Some(ModelUri::Latest("churn".to_owned())));
        assert_eq!(read("/churn/staging"), Some(ModelUri::Stage("churn".to_owned(), VersionStage::Staging)));
        assert_eq!(read("/churn@best"), Some(ModelUri::Alias("churn".to_owned(), "best".to_owned())));
        assert_eq!(read("/m-1"), Some(ModelUri::Logged("m-1".to_owned())));
        for bad in ["churn/3", "/", "/a/b/c", "/a@", "/@x", "/a/", "/a/nowhere"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
