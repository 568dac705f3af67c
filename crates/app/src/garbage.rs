//! Removing for good what was deleted long ago: rows and files.
//!
//! What somebody living refers to stays, and is named with who holds it: a run that made a model version or a logged
//! model, a run or a logged model that a registered version comes from, an experiment in which something stays.
//!
//! A run or a logged model goes in three steps. One transaction removes its own row and writes down its number and the
//! place of its files: nobody finds it from then on, so nothing can come to refer to it while it goes. Then go the rows
//! that hang on it, in transactions so small that nobody waits long, then its files, last of all what was written down.
//! Wherever that breaks off, either all of it is there or it is written down, and the next collection begins with that.
//! A new version of the registry waits for the first step, or that step for it, so neither overlooks the other.
//!
//! Files that lie where this server does not reach are left; the answer and the audit trail say where. What clients put
//! beside runs and models, and artifacts that lie by content, are nobody's to collect here.

use std::collections::HashMap;

use greenlight_domain::role::{Action, Actor};
use greenlight_domain::time::Micros;
use greenlight_store::garbage::{self, Candidate, ExperimentCandidate, Garbage, Holder, Kind, Page};
use greenlight_store::{StoreError, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{App, AppError, allow, run_artifact};

/// How long something stays deleted at least, unless another age is asked for: MLflow's users expect a month to change
/// their minds.
pub const DEFAULT_HOURS: u32 = 30 * 24;
/// Whatever is asked for, longer than any transaction that may have begun when something was not deleted yet.
const LEAST_AGE_US: i64 = 10_000_000;
const HOUR_US: i64 = 3_600_000_000;
/// Runs, models or experiments of one transaction.
const BATCH: i64 = 50;
/// Rows of one transaction.
const ROWS: i64 = 5_000;
/// Data sets, whose rows are long, of one transaction.
const DATASETS: i64 = 200;
/// Most runs and models of one collection; the next one takes the next.
const MOST: usize = 1_000;
/// Most names in an answer.
const MOST_NAMED: usize = 1_000;

/// What to collect.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collect {
    /// What was deleted at least so many hours ago.
    #[serde(default = "default_hours")]
    pub older_than_hours: u32,
    /// Only say what would go.
    #[serde(default)]
    pub dry_run: bool,
}

fn default_hours() -> u32 {
    DEFAULT_HOURS
}

/// What a collection did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Collection {
    /// What was deleted then or before was looked at.
    pub before: Micros,
    /// Whether nothing was removed.
    pub dry_run: bool,
    /// Runs.
    pub runs: u64,
    /// Logged models.
    pub logged_models: u64,
    /// Experiments.
    pub experiments: u64,
    /// Versions of registered models.
    pub registered_versions: u64,
    /// Data sets that no run reads any more.
    pub datasets: u64,
    /// Rows that hung on the runs and models; zero when nothing was removed.
    pub rows: u64,
    /// What went, by name; not all of it when it is much.
    pub gone: Vec<Named>,
    /// What was deleted and stays because somebody refers to it; not all of it when it is much.
    pub kept: Vec<Kept>,
    /// How much stays.
    pub kept_count: u64,
    /// Places of files that this server does not reach and so leaves; not all of them when they are many.
    pub files_left: Vec<String>,
    /// Whether another collection would find more.
    pub more: bool,
}

/// Something by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Which noun.
    pub what: &'static str,
    /// Its id or name.
    pub name: String,
}

/// What stays, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Which noun.
    pub what: &'static str,
    /// Its id or name.
    pub name: String,
    /// Who refers to it.
    pub because: String,
}

/// Removes what was deleted long enough ago, or says what would go.
pub async fn collect(app: &App, actor: &Actor, asked: Collect) -> Result<Collection, AppError> {
    allow(actor, Action::Collect)?;
    let age = i64::from(asked.older_than_hours).saturating_mul(HOUR_US).max(LEAST_AGE_US);
    let before = Micros(app.clock.now().0.saturating_sub(age));
    let mut collector = Collector::new(app, actor, before, asked.dry_run);
    if !asked.dry_run {
        for repository in [Some(&app.repository), app.shared_repository.as_ref()].into_iter().flatten() {
            repository.sweep().await?;
        }
        collector.finish().await?;
    }
    // Models first: one that goes holds its run no longer, and both hold their experiment.
    if collector.all_of(Kind::LoggedModel).await? && collector.all_of(Kind::Run).await? {
        collector.experiments().await?;
        collector.versions().await?;
        collector.datasets().await?;
    } else {
        collector.report.more = true;
    }
    Ok(collector.report)
}

/// A collection as it goes on.
struct Collector<'a> {
    app: &'a App,
    actor: &'a Actor,
    report: Collection,
    /// Runs and models that would have gone, by experiment.
    would_go: HashMap<i64, i64>,
    /// How many more runs and models this collection takes.
    left: usize,
}

impl<'a> Collector<'a> {
    fn new(app: &'a App, actor: &'a Actor, before: Micros, dry_run: bool) -> Self {
        let report = Collection {
            before,
            dry_run,
            runs: 0,
            logged_models: 0,
            experiments: 0,
            registered_versions: 0,
            datasets: 0,
            rows: 0,
            gone: Vec::new(),
            kept: Vec::new(),
            kept_count: 0,
            files_left: Vec::new(),
            more: false,
        };
        Self { app, actor, report, would_go: HashMap::new(), left: MOST }
    }

    fn page(&self, after: i64) -> Page {
        Page { before: self.report.before, after, limit: BATCH }
    }

    fn gone(&mut self, what: &'static str, name: String) {
        if self.report.gone.len() < MOST_NAMED {
            self.report.gone.push(Named { what, name });
        }
    }

    fn keep(&mut self, what: &'static str, name: String, because: String) {
        self.report.kept_count += 1;
        if self.report.kept.len() < MOST_NAMED {
            self.report.kept.push(Kept { what, name, because });
        }
    }

    /// Takes every run or logged model; false when there were more than one collection takes.
    async fn all_of(&mut self, kind: Kind) -> Result<bool, AppError> {
        let mut after = 0;
        loop {
            let (found, gone) = self.some_of(kind, after).await?;
            let Some(last) = found.last().map(|candidate| candidate.number) else { return Ok(true) };
            after = last;
            for candidate in found {
                if let Some(holder) = &candidate.held_by {
                    self.keep(noun(kind), candidate.id, because(holder));
                } else if gone.contains(&candidate.number) {
                    self.count(kind, &candidate);
                    self.gone(noun(kind), candidate.id);
                }
            }
            if !self.report.dry_run {
                self.finish().await?;
            }
            self.left = self.left.saturating_sub(gone.len());
            if self.left == 0 && !self.report.dry_run {
                return Ok(false);
            }
        }
    }

    fn count(&mut self, kind: Kind, candidate: &Candidate) {
        match kind {
            Kind::Run => self.report.runs += 1,
            Kind::LoggedModel => self.report.logged_models += 1,
        }
        if self.report.dry_run {
            *self.would_go.entry(candidate.experiment_id).or_default() += 1;
        }
        if run_artifact::place(self.app, &candidate.place).is_none()
            && self.report.files_left.len() < MOST_NAMED
        {
            self.report.files_left.push(candidate.place.clone());
        }
    }

    /// Takes some runs or logged models; which were looked at, and which of them went or would go.
    async fn some_of(&mut self, kind: Kind, after: i64) -> Result<(Vec<Candidate>, Vec<i64>), AppError> {
        let page = self.page(after);
        if self.report.dry_run {
            let mut connection = self.app.store.read().await?;
            let found = candidates(&mut connection, kind, page).await?;
            let free = found.iter().filter(|candidate| candidate.held_by.is_none());
            let free = free.map(|candidate| candidate.number).collect();
            return Ok((found, free));
        }
        let mut transaction = self.app.store.begin().await?;
        garbage::hold(&mut transaction).await?;
        let found = candidates(&mut transaction, kind, page).await?;
        let free: Vec<&Candidate> = found.iter().filter(|candidate| candidate.held_by.is_none()).collect();
        if free.is_empty() {
            return Ok((found, Vec::new()));
        }
        let times = (self.report.before, self.app.clock.now());
        let gone = garbage::remove(&mut transaction, kind, &free, times).await?;
        let went = || free.iter().filter(|candidate| gone.contains(&candidate.number));
        let ids: Vec<&str> = went().map(|candidate| candidate.id.as_str()).collect();
        let left: Vec<&str> = went()
            .filter(|candidate| run_artifact::place(self.app, &candidate.place).is_none())
            .map(|candidate| candidate.place.as_str())
            .collect();
        let detail = json!({ "ids": ids, "before": self.report.before, "files_left": left });
        self.commit(transaction, noun(kind), detail).await?;
        Ok((found, gone))
    }

    async fn commit(
        &self,
        mut transaction: Transaction,
        subject: &str,
        detail: serde_json::Value,
    ) -> Result<(), AppError> {
        self.app.audit(&mut transaction, self.actor, "garbage.collect", subject, detail).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    /// Removes what is left of what went, also in a collection before this one.
    async fn finish(&mut self) -> Result<(), AppError> {
        loop {
            let mut connection = self.app.store.read().await?;
            let pending = garbage::pending(&mut connection, BATCH).await?;
            drop(connection);
            if pending.is_empty() {
                return Ok(());
            }
            for one in &pending {
                self.report.rows += remove_rows(self.app, one).await?;
                if let Some((repository, parts)) = run_artifact::place(self.app, &one.place) {
                    repository.delete(&parts).await?;
                }
                let mut transaction = self.app.store.begin().await?;
                garbage::finish(&mut transaction, one).await?;
                transaction.commit().await.map_err(StoreError::from)?;
            }
        }
    }

    /// Takes every experiment in which nothing is left.
    async fn experiments(&mut self) -> Result<(), AppError> {
        let mut after = 0;
        loop {
            let page = self.page(after);
            let mut connection = self.app.store.read().await?;
            let found = garbage::experiments(&mut connection, page).await?;
            drop(connection);
            let Some(last) = found.last().map(|experiment| experiment.id) else { return Ok(()) };
            after = last;
            for experiment in found {
                self.experiment(experiment).await?;
            }
        }
    }

    async fn experiment(&mut self, found: ExperimentCandidate) -> Result<(), AppError> {
        let would_go = self.would_go.get(&found.id).copied().unwrap_or(0);
        if found.runs + found.models > would_go {
            let because =
                format!("{} of its runs and logged models stay", found.runs + found.models - would_go);
            self.keep("experiment", found.name, because);
            return Ok(());
        }
        if !self.report.dry_run {
            let mut transaction = self.app.store.begin().await?;
            if !garbage::remove_experiment(&mut transaction, found.id, self.report.before).await? {
                return Ok(());
            }
            let detail = json!({ "id": found.id, "name": found.name, "before": self.report.before });
            self.commit(transaction, "experiment", detail).await?;
        }
        self.report.experiments += 1;
        self.gone("experiment", found.name);
        Ok(())
    }

    async fn versions(&mut self) -> Result<(), AppError> {
        let mut after = 0;
        loop {
            let page = self.page(after);
            let mut connection = self.app.store.read().await?;
            let found = garbage::versions(&mut connection, page).await?;
            drop(connection);
            let Some((last, _)) = found.last() else { return Ok(()) };
            after = *last;
            if !self.report.dry_run {
                let numbers: Vec<i64> = found.iter().map(|version| version.0).collect();
                let names: Vec<&str> = found.iter().map(|version| version.1.as_str()).collect();
                let detail = json!({ "ids": names, "before": self.report.before });
                let mut transaction = self.app.store.begin().await?;
                garbage::remove_versions(&mut transaction, &numbers).await?;
                self.commit(transaction, "registered version", detail).await?;
            }
            self.report.registered_versions += found.len() as u64;
            for (_, name) in found {
                self.gone("registered version", name);
            }
        }
    }

    async fn datasets(&mut self) -> Result<(), AppError> {
        if self.report.dry_run {
            let mut connection = self.app.store.read().await?;
            self.report.datasets =
                garbage::count_unread_datasets(&mut connection, self.report.before).await?;
            return Ok(());
        }
        let mut after = 0;
        loop {
            let mut connection = self.app.store.read().await?;
            let unread = garbage::unread_datasets(&mut connection, after, DATASETS).await?;
            drop(connection);
            let Some(last) = unread.last() else { return Ok(()) };
            after = *last;
            let mut transaction = self.app.store.begin().await?;
            let removed = garbage::remove_datasets(&mut transaction, &unread).await?;
            self.commit(transaction, "logged data set", json!({ "count": removed })).await?;
            self.report.datasets += removed;
        }
    }
}

async fn candidates(
    connection: &mut greenlight_store::Connection,
    kind: Kind,
    page: Page,
) -> Result<Vec<Candidate>, AppError> {
    Ok(match kind {
        Kind::Run => garbage::runs(connection, page).await?,
        Kind::LoggedModel => garbage::logged_models(connection, page).await?,
    })
}

/// Removes the rows that hang on what is gone; how many there were.
async fn remove_rows(app: &App, garbage: &Garbage) -> Result<u64, AppError> {
    let mut sum = 0;
    loop {
        let mut transaction = app.store.begin().await?;
        let removed = garbage::remove_rows(&mut transaction, garbage, ROWS).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        if removed == 0 {
            return Ok(sum);
        }
        sum += removed;
    }
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Run => "run",
        Kind::LoggedModel => "logged model",
    }
}

fn because(holder: &Holder) -> String {
    match holder {
        Holder::Model(reference) => format!("it made the model version {reference}"),
        Holder::Registered(version) => format!("the registered model {version} comes from it"),
        Holder::Experiment(name) => format!("the experiment '{name}' has its artifacts below its own"),
        Holder::Logged(id) => format!("it made the logged model {id}; delete that too"),
    }
}
