//! Loading a generation, batch by batch, exactly once.
//!
//! A job numbers its batches from 1 and puts them in order. After a crash it begins the same generation again, asks
//! [`Load::resume`] which batch was the last to become durable, and goes on behind it. A batch is durable with its
//! number or not at all.

use crate::limits::{Pair, check_batch};
use crate::store::Backend;
use crate::{Generation, OnlineError, Result};

/// A generation on its way into a table. Dropping the value keeps what was put, for a later [`crate::Store::begin`].
#[derive(Debug)]
pub struct Load {
    backend: Backend,
    table: String,
    generation: Generation,
}

/// What a put did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The batch is durable now.
    Written,
    /// The batch was durable already, and nothing was written.
    Repeated,
}

impl Load {
    pub(crate) fn new(backend: Backend, table: &str, generation: Generation) -> Self {
        Self { backend, table: table.to_owned(), generation }
    }

    /// The last batch that is durable; 0 before the first. Go on with the one behind it.
    pub fn resume(&self) -> u64 {
        self.generation.batches
    }

    /// Whether this generation was published before, by a job that crashed before it could say so.
    pub fn is_published(&self) -> bool {
        self.generation.published_at.is_some()
    }

    /// Makes batch number `sequence` durable; of a key that occurs twice, the last value counts. Keys in ascending
    /// order load several times faster on the embedded backend.
    pub async fn put(&mut self, sequence: u64, pairs: Vec<Pair>) -> Result<Put> {
        check_batch(&pairs)?;
        if (1..=self.generation.batches).contains(&sequence) {
            return Ok(Put::Repeated);
        }
        if self.is_published() {
            return Err(self.invalid("is published already; begin another generation to change the table"));
        }
        let next = self.generation.batches + 1;
        if sequence != next {
            return Err(
                self.invalid(&format!("expects batch {next}, not {sequence}; put the batches in order"))
            );
        }
        let durable = match &self.backend {
            Backend::Embedded(store) => store.put(&self.table, &self.generation, sequence, pairs).await?,
            Backend::Redis(store) => store.put(&self.table, &self.generation, sequence, pairs).await?,
        };
        self.generation.batches = durable;
        Ok(Put::Written)
    }

    /// Swaps the table to this generation, at once and durably: every read is of the old one or of this one.
    /// Publishing again changes nothing. What was replaced is freed by [`crate::Store::purge`].
    pub async fn publish(&mut self, now: i64) -> Result<Generation> {
        if !self.is_published() {
            self.generation = match &self.backend {
                Backend::Embedded(store) => store.publish(&self.table, &self.generation, now).await?,
                Backend::Redis(store) => store.publish(&self.table, &self.generation, now).await?,
            };
        }
        Ok(self.generation.clone())
    }

    /// Throws away what was put. A generation that is published stays.
    pub async fn abandon(self) -> Result<()> {
        if self.is_published() {
            return Ok(());
        }
        match &self.backend {
            Backend::Embedded(store) => store.abandon(&self.table, &self.generation).await,
            Backend::Redis(store) => store.abandon(&self.table, &self.generation).await,
        }
    }

    fn invalid(&self, problem: &str) -> OnlineError {
        OnlineError::Invalid(format!(
            "generation '{}' of table '{}' {problem}",
            self.generation.id, self.table
        ))
    }
}
