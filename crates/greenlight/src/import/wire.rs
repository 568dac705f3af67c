//! MLflow's messages, as both readers give them, and the digest that says whether something changed.

use greenlight_domain::evidence::hex;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Most entries of a page that a reader asks for: a run may hold thousands of values.
pub(super) const PAGE: usize = 100;

/// A page of anything, and what asks for the next one.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub items: Vec<Value>,
    pub next: Option<String>,
}

/// What has files.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner<'a> {
    Run { experiment: &'a str, id: &'a str },
    LoggedModel { experiment: &'a str, id: &'a str },
}

/// Something in a folder of files; `path` is from the owner's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub path: String,
    pub is_folder: bool,
    pub size: u64,
}

/// A field of text; empty when it is absent.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// A field with a whole number, which older servers write as text.
pub(super) fn number(value: &Value, key: &str) -> Option<i64> {
    let field = &value[key];
    field.as_i64().or_else(|| field.as_str()?.parse().ok())
}

/// Entries of a field that holds a list; none when it is absent.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Keys and values of a field that holds such a list.
pub(super) fn pairs(value: &Value, key: &str) -> Vec<(String, String)> {
    let pair = |one: &Value| (text(one, "key").to_owned(), text(one, "value").to_owned());
    list(value, key).iter().map(pair).collect()
}

/// Says whether something is as it was: SHA-256 over all of its fields but those that only say where it lies. The order
/// of lists does not count, because a server may answer in another one each time.
pub(super) fn digest(value: &Value) -> String {
    let mut out = String::new();
    canonical(value, &mut out);
    hex(&Sha256::digest(out.as_bytes()))
}

/// Where something lies, and what a server says beside it.
const PLACES: [&str; 5] =
    ["artifact_uri", "artifact_location", "experiment_id", "last_updated_timestamp_ms", "registrations"];

fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> =
                fields.iter().filter(|(key, _)| !PLACES.contains(&key.as_str())).collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (key, field) in fields {
                out.push_str(&Value::from(key.as_str()).to_string());
                canonical(field, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            let mut texts: Vec<String> = items
                .iter()
                .map(|item| {
                    let mut text = String::new();
                    canonical(item, &mut text);
                    text
                })
                .collect();
            texts.sort_unstable();
            out.push('[');
            for text in texts {
                out.push_str(&text);
                out.push(',');
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_digest_is_that_of_what_was_logged_in_whatever_order() {
        let run = json!({ "info": { "run_id": "a", "artifact_uri": "s3://b" }, "tags": [{"key": "x"}, {"key": "y"}] });
        let moved = json!({ "tags": [{"key": "y"}, {"key": "x"}], "info": { "artifact_uri": "/tmp", "run_id": "a" } });
        assert_eq!(digest(&run), digest(&moved));
        for changed in [json!({ "info": { "run_id": "b" } }), json!({ "tags": [{"key": "x"}] })] {
            assert_ne!(digest(&run), digest(&changed));
        }
        assert_ne!(digest(&json!(["a", "b"])), digest(&json!(["a,b"])), "texts are quoted");
    }

    #[test]
    fn numbers_may_be_text() {
        let value = json!({ "a": 5, "b": "6", "c": "x" });
        assert_eq!([number(&value, "a"), number(&value, "b"), number(&value, "c")], [Some(5), Some(6), None]);
    }
}
