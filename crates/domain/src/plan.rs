//! A plan: what applying manifests would change, field by field, before anything changes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What would happen to one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlannedAction {
    /// It does not exist yet.
    Create,
    /// It exists and differs.
    Update,
    /// It exists and is the same.
    Unchanged,
    /// It differs but is immutable.
    Refused,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Dotted path.
    pub path: String,
    /// Value now, absent when the field is new.
    pub from: Option<Value>,
    /// Value after, absent when the field goes.
    pub to: Option<Value>,
}

/// What would happen to one document, with the fields that differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Kind of the document.
    pub kind: String,
    /// Its name, with its version where it has one.
    pub name: String,
    /// What would happen.
    pub action: PlannedAction,
    /// Fields that differ; empty for what is created or unchanged.
    pub fields: Vec<FieldChange>,
    /// Why it is refused and what to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The fields in which two JSON values differ, by dotted path.
pub fn differences(from: &Value, to: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    walk("", Some(from), Some(to), &mut changes);
    changes
}

fn walk(path: &str, from: Option<&Value>, to: Option<&Value>, changes: &mut Vec<FieldChange>) {
    if from == to {
        return;
    }
    if let (Some(Value::Object(before)), Some(Value::Object(after))) = (from, to) {
        let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            walk(&inner, before.get(name), after.get(name), changes);
        }
        return;
    }
    changes.push(FieldChange { path: path.to_owned(), from: from.cloned(), to: to.cloned() });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_named_by_its_path() {
        let from = json!({ "title": "a", "value": { "currency": "EUR", "window": 7 }, "old": 1 });
        let to = json!({ "title": "a", "value": { "currency": "EUR", "window": 14 }, "new": [1] });
        let paths: Vec<String> = differences(&from, &to).into_iter().map(|c| c.path).collect();
        assert_eq!(paths, ["new", "old", "value.window"]);
        assert!(differences(&from, &from).is_empty());
    }
}
