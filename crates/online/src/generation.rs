//! What is known about a generation, a table, a read and a purge. Both backends store a generation as this JSON.

use crate::{OnlineError, Result};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// One whole content of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// The caller's name for it.
    pub id: Arc<str>,
    /// Unlike all other generations of the store, so that a name can be used again.
    pub(crate) number: u64,
    /// The last batch that is durable; 0 before the first.
    pub batches: u64,
    /// How long it serves after it was published, in microseconds.
    pub expiry_micros: Option<i64>,
    /// When it was published, in microseconds since 1970.
    pub published_at: Option<i64>,
}

impl Generation {
    pub(crate) fn begin(id: &str, number: u64, expiry: Option<Duration>) -> Self {
        let expiry_micros = expiry.map(|expiry| i64::try_from(expiry.as_micros()).unwrap_or(i64::MAX));
        Self { id: id.into(), number, batches: 0, expiry_micros, published_at: None }
    }

    pub(crate) fn published(&self, now: i64) -> Self {
        Self { published_at: Some(now), ..self.clone() }
    }

    /// When all of it reads as missing, in microseconds since 1970.
    pub fn expires_at(&self) -> Option<i64> {
        Some(self.published_at?.saturating_add(self.expiry_micros?))
    }

    pub(crate) fn has_expired(&self, now: i64) -> bool {
        self.expires_at().is_some_and(|at| at <= now)
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Text, numbers and no maps: there is nothing in it that JSON could refuse.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn from_json(json: &[u8], place: &str) -> Result<Self> {
        let wrong =
            |error| OnlineError::corrupt(place, format!("a generation's record does not read: {error}"));
        serde_json::from_slice(json).map_err(wrong)
    }
}

/// A row of the list of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// What is read from it, unless [`Generation::expires_at`] has passed.
    pub active: Option<Generation>,
    /// Keys of the active generation, with those that have expired but are not purged yet.
    pub keys: u64,
    /// What is being loaded.
    pub loading: Option<Generation>,
}

/// The answer to a read of several keys, all from one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// Which generation; none when the table is unknown, not published yet or expired.
    pub generation: Option<Arc<str>>,
    /// One for each key, in the order of the keys; none where it is missing or expired.
    pub values: Vec<Option<Bytes>>,
}

impl Values {
    pub(crate) fn missing(keys: usize) -> Self {
        Self { generation: None, values: vec![None; keys] }
    }
}

/// What one step of purging removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Whole generations: replaced, abandoned, dropped or expired.
    pub generations: u64,
    /// Single keys that had expired.
    pub keys: u64,
    /// The step reached its limit: call again.
    pub more: bool,
}
