//! Hypotheses: opened with what would refute them, closed with a finding, found again by their words.

use std::collections::HashMap;

use greenlight_domain::hypothesis::{
    Finding, HypothesisSpec, RUN_TAG, bm25, counted, id_of, number_of, query_words, words,
};
use greenlight_domain::role::{Action, Actor};
use greenlight_domain::run::check_words;
use greenlight_store::hypothesis::{self, Event, Hypothesis, Which};
use greenlight_store::run::{RunRecord, described};
use greenlight_store::{Connection, StoreError, run_tag};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use greenlight_store::hypothesis::{Event as HypothesisEvent, Hypothesis as HypothesisRecord};

use crate::{App, AppError, allow, run};

/// Most hypotheses of an answer.
pub const MAX_LISTED: i64 = 200;
/// Most runs that are shown.
pub const MAX_RUNS: i64 = 50;
/// Hypotheses that are shown as similar.
const SIMILAR: usize = 5;
/// Most hypotheses that are looked at for one word.
const MAX_HOLDING: i64 = 5_000;

/// What is asked for; what is empty leaves nothing out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct HypothesisSearch {
    /// Words; the last may be the beginning of one.
    pub q: String,
    /// Initiative.
    pub initiative: String,
    /// `open`, `supports`, `refutes` or `inconclusive`.
    pub verdict: String,
}

/// One in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HypothesisLine {
    /// Such as `H-12`.
    pub id: String,
    /// The hypothesis.
    #[serde(flatten)]
    pub hypothesis: Hypothesis,
}

/// One with everything.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HypothesisView {
    /// Such as `H-12`.
    pub id: String,
    /// The hypothesis.
    #[serde(flatten)]
    pub hypothesis: Hypothesis,
    /// What happened to it, oldest first.
    pub events: Vec<Event>,
    /// Runs that joined it, newest first, at most 50.
    pub runs: Vec<HypothesisRun>,
}

/// A run that joined.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HypothesisRun {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: String,
    /// Its newest metrics.
    pub metrics: Vec<(String, f64)>,
}

/// A new one, and those that say something alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Opened {
    /// The new one.
    #[serde(flatten)]
    pub line: HypothesisLine,
    /// Earlier ones with similar words: read their findings first.
    pub similar: Vec<HypothesisLine>,
}

fn line(hypothesis: Hypothesis) -> HypothesisLine {
    HypothesisLine { id: id_of(hypothesis.number), hypothesis }
}

/// Opens a hypothesis.
pub async fn open(app: &App, actor: &Actor, mut spec: HypothesisSpec) -> Result<Opened, AppError> {
    allow(actor, Action::Train)?;
    spec.validate()?;
    if spec.owner.is_empty() {
        spec.owner.clone_from(&actor.name);
    }
    let mut transaction = app.store.begin().await?;
    let initiative = &spec.initiative;
    if !initiative.is_empty()
        && greenlight_store::initiative::get(&mut transaction, initiative).await?.is_none()
    {
        return Err(AppError::not_found("initiative", initiative, "apply its manifest first"));
    }
    let alike = ranked(&mut transaction, &spec.statement, false).await?;
    let similar = of_numbers(&mut transaction, &alike[..alike.len().min(SIMILAR)]).await?;
    let text = [spec.statement.as_str(), &spec.why, &spec.refuted_by].join(" ");
    let number = hypothesis::open(&mut transaction, &spec, &counted(words(&text)), app.stamp(actor)).await?;
    let opened = find(&mut transaction, number).await?;
    app.audit(
        &mut transaction,
        actor,
        "hypothesis.open",
        &id_of(number),
        json!({ "statement": spec.statement }),
    )
    .await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(Opened { line: line(opened), similar })
}

async fn find(connection: &mut Connection, number: i64) -> Result<Hypothesis, AppError> {
    hypothesis::get(connection, &[number]).await?.pop().ok_or_else(|| {
        AppError::not_found("hypothesis", &id_of(number), "list them with 'greenlight hypothesis list'")
    })
}

/// Earlier hypotheses whose words are like these, before somebody opens another.
pub async fn similar(app: &App, actor: &Actor, statement: &str) -> Result<Vec<HypothesisLine>, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    let alike = ranked(&mut connection, statement, false).await?;
    of_numbers(&mut connection, &alike[..alike.len().min(SIMILAR)]).await
}

/// Closes a hypothesis with a finding.
pub async fn close(app: &App, actor: &Actor, id: &str, finding: Finding) -> Result<HypothesisView, AppError> {
    allow(actor, Action::Train)?;
    finding.validate()?;
    let number = number_of(id)?;
    let mut transaction = app.store.begin().await?;
    let known = find(&mut transaction, number).await?;
    if !known.verdict.is_empty() {
        return Err(AppError::Conflict(format!(
            "{} is closed: its finding says '{}'; reopen it with a reason before another finding",
            id_of(number),
            known.verdict
        )));
    }
    let text = [finding.learned.as_str(), &finding.next].join(" ");
    let event = (Some(&finding), "");
    hypothesis::add_event(&mut transaction, number, event, &counted(words(&text)), app.stamp(actor)).await?;
    let detail = json!({ "verdict": finding.verdict, "effect": finding.effect });
    app.audit(&mut transaction, actor, "hypothesis.close", &id_of(number), detail).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    view(app, actor, id).await
}

/// Opens a closed hypothesis again; its findings stay.
pub async fn reopen(app: &App, actor: &Actor, id: &str, reason: &str) -> Result<HypothesisView, AppError> {
    allow(actor, Action::Train)?;
    check_words("reason", reason, 4_000)?;
    if reason.trim().is_empty() {
        return Err(AppError::Invalid("reason: say why it is worth another look".to_owned()));
    }
    let number = number_of(id)?;
    let mut transaction = app.store.begin().await?;
    if find(&mut transaction, number).await?.verdict.is_empty() {
        return Err(AppError::Conflict(format!("{} is open already", id_of(number))));
    }
    let event = (None, reason);
    hypothesis::add_event(&mut transaction, number, event, &counted(words(reason)), app.stamp(actor)).await?;
    app.audit(&mut transaction, actor, "hypothesis.reopen", &id_of(number), json!({ "reason": reason }))
        .await?;
    transaction.commit().await.map_err(StoreError::from)?;
    view(app, actor, id).await
}

/// Lets a run join a hypothesis, or leave it: by the tag that a client may set too.
pub async fn set_run(app: &App, actor: &Actor, id: &str, run_id: &str, joins: bool) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    let number = number_of(id)?;
    let mut transaction = app.store.begin().await?;
    find(&mut transaction, number).await?;
    let info = run::find_active(&mut transaction, run_id).await?;
    if joins {
        run_tag::set(&mut transaction, info.number, &[(RUN_TAG, &id_of(number))]).await?;
    } else {
        run_tag::delete(&mut transaction, info.number, RUN_TAG).await?;
    }
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// A hypothesis with its findings and runs.
pub async fn view(app: &App, actor: &Actor, id: &str) -> Result<HypothesisView, AppError> {
    allow(actor, Action::Read)?;
    let number = number_of(id)?;
    let mut connection = app.store.read().await?;
    let found = find(&mut connection, number).await?;
    let events = hypothesis::events(&mut connection, number).await?;
    let ids = hypothesis::runs(&mut connection, &id_of(number), MAX_RUNS).await?;
    let mut infos = Vec::with_capacity(ids.len());
    for id in &ids {
        infos.extend(greenlight_store::run::info(&mut connection, id).await?);
    }
    let runs = described(&mut connection, infos).await?.into_iter().map(joined).collect();
    Ok(HypothesisView { id: id_of(number), hypothesis: found, events, runs })
}

fn joined(record: RunRecord) -> HypothesisRun {
    HypothesisRun {
        id: record.info.id,
        name: record.info.name,
        status: record.info.status,
        metrics: record.metrics.into_iter().map(|latest| (latest.key, latest.value)).collect(),
    }
}

/// Hypotheses by their words, best first; without words the newest first. At most 200.
pub async fn search(
    app: &App,
    actor: &Actor,
    asked: &HypothesisSearch,
) -> Result<Vec<HypothesisLine>, AppError> {
    allow(actor, Action::Read)?;
    check_words("q", &asked.q, 1_000)?;
    let mut connection = app.store.read().await?;
    if asked.q.trim().is_empty() {
        let which = Which { initiative: &asked.initiative, verdict: &asked.verdict };
        let found = hypothesis::newest(&mut connection, &which, MAX_LISTED).await?;
        return Ok(found.into_iter().map(line).collect());
    }
    let numbers = ranked(&mut connection, &asked.q, true).await?;
    let mut lines = of_numbers(&mut connection, &numbers).await?;
    lines.retain(|line| {
        let verdict = if line.hypothesis.verdict.is_empty() { "open" } else { &line.hypothesis.verdict };
        (asked.initiative.is_empty() || line.hypothesis.spec.initiative == asked.initiative)
            && (asked.verdict.is_empty() || verdict == asked.verdict)
    });
    Ok(lines)
}

/// How many hypotheses an initiative has, by verdict; the open ones have an empty one.
pub async fn counts(app: &App, actor: &Actor, initiative: &str) -> Result<Vec<(String, i64)>, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    Ok(hypothesis::counts(&mut connection, initiative).await?)
}

/// Numbers of the hypotheses that hold words of the query, best first.
async fn ranked(connection: &mut Connection, query: &str, is_typed: bool) -> Result<Vec<i64>, AppError> {
    let (texts, mean) = hypothesis::extent(connection).await?;
    let words = query_words(query);
    let mut scores: HashMap<i64, f64> = HashMap::new();
    for (at, word) in words.iter().enumerate() {
        let is_beginning = is_typed && at + 1 == words.len();
        let holding = hypothesis::holding(connection, word, is_beginning, MAX_HOLDING).await?;
        let with = holding.len() as f64;
        for (number, count, length) in holding {
            *scores.entry(number).or_default() += bm25(count as f64, length as f64, mean, with, texts as f64);
        }
    }
    let mut best: Vec<(i64, f64)> = scores.into_iter().collect();
    best.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
    Ok(best.into_iter().take(MAX_LISTED as usize).map(|(number, _)| number).collect())
}

async fn of_numbers(connection: &mut Connection, numbers: &[i64]) -> Result<Vec<HypothesisLine>, AppError> {
    let found = hypothesis::get(connection, numbers).await?;
    let mut by_number: HashMap<i64, Hypothesis> = found.into_iter().map(|h| (h.number, h)).collect();
    Ok(numbers.iter().filter_map(|number| by_number.remove(number)).map(line).collect())
}
