//! The audit line that every change writes in its own transaction.

use greenlight_domain::role::{Action, Actor};
use greenlight_store::audit::AuditLine;
use greenlight_store::{Connection, Stamp};
use serde_json::Value;

use crate::{App, AppError, allow};

/// Most lines that one request may read.
const MAX_LINES: i64 = 1_000;

impl App {
    /// Writes the line; call it with the transaction of the change.
    pub(crate) async fn audit(
        &self,
        connection: &mut Connection,
        actor: &Actor,
        action: &str,
        subject: &str,
        detail: Value,
    ) -> Result<(), AppError> {
        let id = new_id();
        greenlight_store::audit::append(connection, &id, self.clock.now(), actor, (action, subject, &detail))
            .await?;
        Ok(())
    }

    /// The newest lines of the trail.
    pub async fn audit_trail(
        &self,
        actor: &Actor,
        subject: Option<&str>,
        limit: i64,
    ) -> Result<Vec<AuditLine>, AppError> {
        allow(actor, Action::Audit)?;
        let mut connection = self.store.read().await?;
        Ok(greenlight_store::audit::newest(&mut connection, subject, limit.clamp(1, MAX_LINES)).await?)
    }

    /// Now, by this actor.
    pub(crate) fn stamp<'a>(&self, actor: &'a Actor) -> Stamp<'a> {
        Stamp { at: self.clock.now(), actor: &actor.name }
    }
}

/// A UUIDv7 in text; sorts by time.
pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().hyphenated().to_string()
}
