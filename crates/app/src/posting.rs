//! The postings of an endpoint, as they were written.

use greenlight_domain::evidence::Grade;
use greenlight_domain::ledger::PostingKind;
use greenlight_domain::money::Currency;
use greenlight_domain::prediction::Variant;
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::Micros;
use serde::{Deserialize, Serialize};

use crate::{App, AppError, allow};

/// Most postings of an answer.
const MAX_POSTINGS: u32 = 10_000;

/// Which postings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostingQuery {
    /// `next` of the answer before; from the first one when absent.
    pub after: Option<String>,
    /// Only those of runs after this one.
    pub after_run: Option<i64>,
    /// Most of them; 1,000 when absent, at most 10,000.
    pub limit: Option<u32>,
}

/// A line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostingView {
    /// Its id.
    pub id: String,
    /// Initiative.
    pub initiative: String,
    /// Endpoint.
    pub endpoint: String,
    /// Release, if one was live.
    pub release: Option<String>,
    /// `name@version` of its model.
    pub model: Option<String>,
    /// Variant, for gross money.
    pub variant: Option<Variant>,
    /// Day of the predictions, such as 2026-03-01.
    pub day: String,
    /// Gross, incremental or cost.
    pub kind: PostingKind,
    /// Minor units; costs are negative.
    pub amount_minor: i64,
    /// Which money.
    pub currency: Currency,
    /// How it is known.
    pub grade: Grade,
    /// The settle run that wrote it.
    pub settle_run: i64,
    /// When.
    pub at: Micros,
}

/// Postings in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postings {
    /// The postings.
    pub postings: Vec<PostingView>,
    /// What to ask for next; absent at the end.
    pub next: Option<String>,
}

/// The postings of an endpoint, a page at a time.
pub async fn list(
    app: &App,
    actor: &Actor,
    endpoint: &str,
    query: &PostingQuery,
) -> Result<Postings, AppError> {
    allow(actor, Action::Read)?;
    let limit = query.limit.unwrap_or(1_000);
    if !(1..=MAX_POSTINGS).contains(&limit) {
        return Err(AppError::Invalid(format!("limit: must be 1 to {MAX_POSTINGS}")));
    }
    let after = match &query.after {
        None => (query.after_run.unwrap_or(0), MAX_ID),
        Some(token) => place(token)?,
    };
    let mut connection = app.store.read().await?;
    if greenlight_store::endpoint::get(&mut connection, endpoint).await?.is_none() {
        return Err(AppError::not_found("endpoint", endpoint, "list them with 'greenlight endpoint list'"));
    }
    let rows = greenlight_store::ledger::postings(&mut connection, endpoint, after, i64::from(limit)).await?;
    let is_full = rows.len() == limit as usize;
    let next = rows.last().filter(|_| is_full).map(|row| format!("{}:{}", row.posting.settle_run, row.id));
    let postings = rows
        .into_iter()
        .map(|row| PostingView {
            id: row.id,
            initiative: row.initiative,
            endpoint: row.posting.endpoint,
            release: row.posting.release,
            model: row.model,
            variant: row.posting.variant,
            day: Micros::from_day(row.posting.day).date().to_string(),
            kind: row.posting.kind,
            amount_minor: row.posting.amount_minor,
            currency: row.currency,
            grade: row.posting.grade,
            settle_run: row.posting.settle_run,
            at: row.at,
        })
        .collect();
    Ok(Postings { postings, next })
}

/// Sorts behind every id.
const MAX_ID: &str = "~";

fn place(token: &str) -> Result<(i64, &str), AppError> {
    let parsed = token.split_once(':').and_then(|(run, id)| Some((run.parse().ok()?, id)));
    parsed.ok_or_else(|| AppError::Invalid("after: is no place in a list of postings".to_owned()))
}
