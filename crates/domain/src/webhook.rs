//! Webhooks: which events of the registry others may be told of, and what a webhook may be called.

use serde_json::{Value, json};

use crate::DomainError;

/// Longest name, in characters.
const MAX_NAME: usize = 63;

/// Every event, as MLflow names them: what it is about, and what happened.
const EVENTS: [(&str, &str); 15] = [
    ("registered_model", "created"),
    ("model_version", "created"),
    // MLflow has none for a change of stage, which its users asked for.
    ("model_version", "updated"),
    ("model_version_tag", "set"),
    ("model_version_tag", "deleted"),
    ("model_version_alias", "created"),
    ("model_version_alias", "deleted"),
    ("prompt", "created"),
    ("prompt_version", "created"),
    ("prompt_tag", "set"),
    ("prompt_tag", "deleted"),
    ("prompt_version_tag", "set"),
    ("prompt_version_tag", "deleted"),
    ("prompt_alias", "created"),
    ("prompt_alias", "deleted"),
];

/// Something that happened in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebhookEvent {
    /// What it is about, such as `model_version_alias`.
    pub entity: &'static str,
    /// What happened, such as `created`.
    pub action: &'static str,
}

impl WebhookEvent {
    /// The event of that entity and action; none when there is no such event.
    pub fn of(entity: &str, action: &str) -> Option<Self> {
        let found = EVENTS.into_iter().find(|event| *event == (entity, action));
        found.map(|(entity, action)| Self { entity, action })
    }

    /// The same from words in either case, as they come in a request. Fails with [`DomainError::Worded`].
    pub fn parse(entity: &str, action: &str) -> Result<Self, DomainError> {
        let (entity, action) = (entity.to_ascii_lowercase(), action.to_ascii_lowercase());
        Self::of(&entity, &action).ok_or_else(|| {
            let mut actions: Vec<String> = EVENTS
                .into_iter()
                .filter(|event| event.0 == entity)
                .map(|event| format!("'{}'", event.1))
                .collect();
            actions.sort();
            DomainError::Worded(format!(
                "Invalid action '{action}' for entity '{entity}'. Valid actions are: [{}]",
                actions.join(", ")
            ))
        })
    }

    /// What a test of a webhook sends for it, field by field.
    pub fn example(self) -> Vec<(&'static str, Value)> {
        let prompt = self.entity.starts_with("prompt");
        let name = ("name", json!(if prompt { "example_prompt" } else { "example_model" }));
        let version = ("version", json!("1"));
        let tags = ("tags", json!({ "example_key": "example_value" }));
        let (key, value) = (("key", json!("example_key")), ("value", json!("example_value")));
        let description = |text: &str| ("description", json!(text));
        match (self.entity, self.action) {
            ("registered_model", _) => vec![name, tags, description("An example registered model")],
            ("prompt", _) => vec![name, tags, description("An example prompt")],
            ("model_version", "updated") => {
                vec![name, version, ("from_stage", json!("None")), ("stage", json!("Production"))]
            }
            ("model_version", _) => vec![
                name,
                version,
                ("source", json!("models:/123")),
                ("run_id", json!("abcd1234abcd5678")),
                tags,
                description("An example model version"),
            ],
            ("prompt_version", _) => vec![
                name,
                version,
                ("template", json!("Hello {{name}}!")),
                tags,
                description("An example prompt version"),
            ],
            ("prompt_tag", "set") => vec![name, key, value],
            ("prompt_tag", _) => vec![name, key],
            ("model_version_tag" | "prompt_version_tag", "set") => vec![name, version, key, value],
            ("model_version_tag" | "prompt_version_tag", _) => vec![name, version, key],
            (_, "created") => vec![name, ("alias", json!("example_alias")), version],
            _ => vec![name, ("alias", json!("example_alias"))],
        }
    }
}

/// Checks the name of a webhook.
pub fn check_webhook_name(name: &str) -> Result<(), DomainError> {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let within = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.len() <= MAX_NAME
        && ends(name.chars().next())
        && ends(name.chars().next_back())
        && name.chars().all(within)
    {
        return Ok(());
    }
    let shown: String = name.chars().take(200).collect();
    Err(DomainError::Worded(format!(
        "Webhook name '{shown}' is invalid. It must start and end with a letter or digit, be less than {MAX_NAME} characters \
         long, and contain only letters, digits, dots (.), underscores (_), and hyphens (-)."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_those_of_mlflow_and_a_change_of_stage() {
        let event = WebhookEvent::parse("MODEL_VERSION_ALIAS", "CREATED").unwrap();
        assert_eq!((event.entity, event.action), ("model_version_alias", "created"));
        let refused = WebhookEvent::parse("registered_model", "updated").unwrap_err().to_string();
        assert_eq!(
            refused,
            "Invalid action 'updated' for entity 'registered_model'. Valid actions are: ['created']"
        );
        assert!(WebhookEvent::of("prompt_alias", "deleted").is_some());
        assert_eq!(event.example()[1], ("alias", json!("example_alias")));
    }

    #[test]
    fn names_are_letters_digits_and_a_few_signs() {
        for good in ["a", "My-hook_1.x", &"a".repeat(63)] {
            assert_eq!(check_webhook_name(good), Ok(()), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "ä", &"a".repeat(64)] {
            assert!(check_webhook_name(bad).is_err(), "{bad}");
        }
    }
}
