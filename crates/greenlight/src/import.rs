//! Bringing what MLflow keeps: experiments, runs with points and files, logged models, the registry with its aliases.
//!
//! Ids, version numbers, dates and authors stay. An import may break off anywhere and be run again: what has arrived is
//! known by a digest of how it was at the source and is not read again; what was half there is completed, because every
//! write says the same thing twice without harm. What somebody made or deleted here is left alone.
//!
//! Deleted runs, experiments and versions, traces and prompts are not brought.

mod folder;
mod report;
mod server;
mod source;
mod target;
mod wire;

use std::path::Path;

use futures::{StreamExt, stream};
use greenlight_app::import::{Ids, State};
use indicatif::ProgressBar;
use serde_json::Value;

pub(crate) use report::Report;
use source::{Source, artifact_uri};
use target::{Arrived, Target};
use wire::{digest, list, number, text};

use crate::client::Client;
use crate::failure::Failure;

/// Most versions that are tried again because what they come from had not arrived.
const MAX_LATER: usize = 100_000;

/// What to import.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// A tracking URI, or the path of an `mlruns` folder.
    pub from: String,
    /// Names of experiments; all when empty.
    pub experiments: Vec<String>,
    /// Runs at once.
    pub jobs: usize,
    /// Only say what would come.
    pub dry_run: bool,
    /// Look again at what has arrived.
    pub again: bool,
}

struct Import {
    asked: Asked,
    source: Source,
    target: Target,
    arrived: Arrived,
    bar: ProgressBar,
    report: Report,
}

/// What is done about something that is at the source.
enum Step {
    Bring,
    Unchanged,
    Left(&'static str),
}

/// Imports what is asked for. The report also says what did not come, and why.
pub(crate) async fn run(client: Client, asked: Asked, bar: ProgressBar) -> Result<Report, Failure> {
    let source = Source::new(&asked.from)?;
    let from = label(&asked.from);
    let report = Report::new(&from, asked.dry_run);
    let target = Target { client, from };
    let mut import = Import { asked, source, target, arrived: Arrived::default(), bar, report };
    let mut missing = import.asked.experiments.clone();
    let mut after = None;
    loop {
        let page = import.source.experiments(after.as_deref()).await?;
        for experiment in &page.items {
            let name = text(experiment, "name");
            if import.asked.experiments.is_empty() || missing.iter().any(|wanted| wanted == name) {
                missing.retain(|wanted| wanted != name);
                import.experiment(experiment).await?;
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if let Some(name) = missing.first() {
        return Err(Failure::Input(format!("there is no experiment '{name}' at {}", import.target.from)));
    }
    import.registry().await?;
    import.bar.finish_and_clear();
    Ok(import.report.counted(&import.arrived))
}

/// The source as it is written down here: whole, and without a password.
fn label(from: &str) -> String {
    if let Ok(mut url) = url::Url::parse(from)
        && url.has_host()
    {
        // A URL with a host has a place for both.
        let _ = url.set_password(None);
        let _ = url.set_username("");
        return url.as_str().trim_end_matches('/').to_owned();
    }
    let path = Path::new(from.trim_start_matches("file://"));
    path.canonicalize().map_or_else(|_| from.to_owned(), |path| path.display().to_string())
}

/// Whether nothing else would come either.
fn is_fatal(error: &Failure) -> bool {
    matches!(error, Failure::Unreachable(_) | Failure::Server { status: 401 | 403, .. })
}

impl Import {
    fn step(&self, state: Option<&State>, digest: &str) -> Step {
        match state {
            Some(state) if !state.is_imported => Step::Left("is here already and was not imported"),
            Some(state) if state.is_deleted => Step::Left("was deleted here"),
            Some(state) if !self.asked.again && state.digest.as_deref() == Some(digest) => Step::Unchanged,
            _ => Step::Bring,
        }
    }

    async fn experiment(&mut self, wire: &Value) -> Result<(), Failure> {
        let (id, name) = (text(wire, "experiment_id"), text(wire, "name"));
        let here = if self.asked.dry_run {
            let found = self.target.experiment(name).await?;
            self.report.experiments.count(found.is_none());
            found.and_then(|found| number(&found, "experiment_id")).unwrap_or(-1)
        } else {
            match self.target.ensure_experiment(wire).await {
                Ok((here, is_new)) => {
                    self.report.experiments.count(is_new);
                    here
                }
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) => {
                    self.report.fail(format!("experiment '{name}'"), &error);
                    return Ok(());
                }
            }
        };
        self.models_of(name, id, here).await?;
        self.runs_of(name, id, here).await
    }

    fn say(&self, experiment: &str) {
        self.bar.set_message(self.report.progress(experiment, &self.arrived));
    }

    async fn models_of(&mut self, name: &str, experiment: &str, here: i64) -> Result<(), Failure> {
        let mut after = None;
        loop {
            let page = self.source.logged_models(experiment, after.as_deref()).await?;
            let ids = page.items.iter().map(|model| text(&model["info"], "model_id").to_owned()).collect();
            let known = self.target.known(&Ids { logged_models: ids, ..Ids::default() }).await?.logged_models;
            for wire in &page.items {
                let (id, digest) = (text(&wire["info"], "model_id"), digest(wire));
                let what = format!("logged model {id}");
                match self.step(known.get(id), &digest) {
                    Step::Unchanged => self.report.logged_models.unchanged += 1,
                    Step::Left(why) => self.report.leave(what, why),
                    Step::Bring if self.asked.dry_run => self.report.logged_models.imported += 1,
                    Step::Bring => {
                        self.note_elsewhere(&what, artifact_uri(&wire["info"]));
                        let place = (experiment, here);
                        let done =
                            self.target.logged_model(&self.source, &self.arrived, place, wire, &digest).await;
                        self.report.done(what, done, &self.arrived, |report| &mut report.logged_models)?;
                    }
                }
                self.say(name);
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn runs_of(&mut self, name: &str, experiment: &str, here: i64) -> Result<(), Failure> {
        let mut after = None;
        loop {
            let page = self.source.runs(experiment, after.as_deref()).await?;
            let ids = page.items.iter().map(|run| text(&run["info"], "run_id").to_owned()).collect();
            let known = self.target.known(&Ids { runs: ids, ..Ids::default() }).await?.runs;
            let mut wanted = Vec::new();
            for wire in &page.items {
                let (id, digest) = (text(&wire["info"], "run_id"), digest(wire));
                match self.step(known.get(id), &digest) {
                    Step::Unchanged => self.report.runs.unchanged += 1,
                    Step::Left(why) => self.report.leave(format!("run {id}"), why),
                    Step::Bring if self.asked.dry_run => self.report.runs.imported += 1,
                    Step::Bring => {
                        self.note_elsewhere(&format!("run {id}"), artifact_uri(&wire["info"]));
                        wanted.push((id, wire, digest));
                    }
                }
            }
            self.bring(name, (experiment, here), wanted).await?;
            self.say(name);
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Brings the runs of a page, several at once.
    async fn bring(
        &mut self,
        name: &str,
        place: (&str, i64),
        wanted: Vec<(&str, &Value, String)>,
    ) -> Result<(), Failure> {
        let Self { asked, source, target, arrived, bar, report } = self;
        let (source, target, counts) = (&*source, &*target, &*arrived);
        let one = |(id, wire, digest): (&'_ str, &'_ Value, String)| {
            let id = id.to_owned();
            let wire = wire.clone();
            let place = (place.0.to_owned(), place.1);
            async move {
                let done = target.run(source, counts, (&place.0, place.1), &wire, &digest).await;
                (id, done)
            }
        };
        let mut running = stream::iter(wanted.into_iter().map(one)).buffer_unordered(asked.jobs);
        while let Some((id, done)) = running.next().await {
            report.done(format!("run {id}"), done, counts, |report| &mut report.runs)?;
            bar.set_message(report.progress(name, counts));
        }
        Ok(())
    }

    fn note_elsewhere(&mut self, what: &str, uri: &str) {
        if let Some(place) = self.source.elsewhere(uri) {
            self.report.note(format!(
                "the files of {what} stay at {place}; an import from the tracking server brings them"
            ));
        }
    }

    async fn registry(&mut self) -> Result<(), Failure> {
        let (mut after, mut later) = (None, Vec::new());
        loop {
            let page = self.source.registered_models(after.as_deref()).await?;
            for model in &page.items {
                self.model(model, &mut later).await?;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        // A version may be a copy of one of another model, which has arrived by now.
        for version in std::mem::take(&mut later) {
            let what = described(&version);
            let done = self.version(&version).await;
            self.version_done(what, done)?;
        }
        Ok(())
    }

    async fn model(&mut self, wire: &Value, later: &mut Vec<Value>) -> Result<(), Failure> {
        let name = text(wire, "name");
        let mut versions = Vec::new();
        let mut after = None;
        loop {
            let page = self.source.versions(name, after.as_deref()).await?;
            versions.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        versions.sort_by_key(|version| number(version, "version"));
        if !self.asked.experiments.is_empty() {
            let mut here = Vec::new();
            for version in versions {
                let run = text(&version, "run_id");
                if !run.is_empty() && self.target.artifact_uri(run).await?.is_some() {
                    here.push(version);
                }
            }
            versions = here;
            if versions.is_empty() {
                return Ok(());
            }
        }
        self.bar.set_message(format!("model {name}"));
        if self.asked.dry_run {
            return self.would(wire, &versions).await;
        }
        let (here, is_new) = match self.target.registered_model(wire).await {
            Ok(found) => found,
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => {
                self.report.fail(format!("model '{name}'"), &error);
                return Ok(());
            }
        };
        self.report.registered_models.count(is_new);
        for version in versions {
            match self.version(&version).await {
                Err(Failure::Server { status: 404, .. }) if later.len() < MAX_LATER => later.push(version),
                done => self.version_done(described(&version), done)?,
            }
        }
        self.aliases(wire, &here).await
    }

    /// Counts what a model would bring.
    async fn would(&mut self, wire: &Value, versions: &[Value]) -> Result<(), Failure> {
        let name = text(wire, "name");
        let here = self.target.model(name).await?;
        self.report.registered_models.count(here.is_none());
        for version in versions {
            let number = number(version, "version").unwrap_or(0);
            let is_here = here.is_some() && self.target.has_version(name, number).await?;
            self.report.versions.count(!is_here);
        }
        let known = here.unwrap_or_default();
        let set = list(wire, "aliases").iter().filter(|alias| held(&known, text(alias, "alias")).is_none());
        self.report.aliases_set += set.count() as u64;
        Ok(())
    }

    fn version_done(&mut self, what: String, done: Result<bool, Failure>) -> Result<(), Failure> {
        match done {
            Ok(is_new) => self.report.versions.count(is_new),
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => self.report.fail(what, &error),
        }
        Ok(())
    }

    /// A version with its files where they lie here; whether it is new.
    async fn version(&self, wire: &Value) -> Result<bool, Failure> {
        let (source, run) = (text(wire, "source"), text(wire, "run_id"));
        let by_name = source.starts_with("models:/");
        if run.is_empty() || by_name {
            return self.target.version(wire, source).await;
        }
        let Some(here) = self.target.artifact_uri(run).await? else {
            return Err(Failure::Input(format!(
                "its run {run} is not here; if it was deleted at the source, restore it there and import again"
            )));
        };
        if source.starts_with("runs:/") {
            return self.target.version(wire, source).await;
        }
        let there = self.source.run(run).await?;
        let place = below(source, artifact_uri(&there["info"])).map(|rest| format!("{here}{rest}"));
        self.target.version(wire, place.as_deref().unwrap_or(source)).await
    }

    /// Sets the aliases that nobody here has given.
    async fn aliases(&mut self, wire: &Value, here: &Value) -> Result<(), Failure> {
        let name = text(wire, "name");
        for alias in list(wire, "aliases") {
            let (word, version) = (text(alias, "alias"), number(alias, "version").unwrap_or(0));
            match held(here, word) {
                Some(held) if held == version => {}
                Some(held) => self.report.note(format!(
                    "the alias {name}@{word} stays at version {held}; at the source it names version {version}"
                )),
                None => match self.target.alias(name, word, version).await {
                    Ok(()) => self.report.aliases_set += 1,
                    Err(error) if is_fatal(&error) => return Err(error),
                    Err(error) => self.report.fail(format!("alias {name}@{word}"), &error),
                },
            }
        }
        Ok(())
    }
}

/// Which version an alias names here.
fn held(model: &Value, alias: &str) -> Option<i64> {
    let found = list(model, "aliases").iter().find(|one| text(one, "alias") == alias)?;
    number(found, "version")
}

fn described(version: &Value) -> String {
    format!("version {} of '{}'", number(version, "version").unwrap_or(0), text(version, "name"))
}

/// What stands behind a root in a place; none when the place is not below it.
fn below<'a>(place: &'a str, root: &str) -> Option<&'a str> {
    let plain = |uri: &'a str| uri.strip_prefix("file://").unwrap_or(uri);
    let root = root.strip_prefix("file://").unwrap_or(root).trim_end_matches('/');
    let rest = plain(place).strip_prefix(root)?;
    (!root.is_empty() && (rest.is_empty() || rest.starts_with('/'))).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_keeps_what_stands_behind_its_root() {
        assert_eq!(below("file:///a/1/artifacts/model", "/a/1/artifacts/"), Some("/model"));
        assert_eq!(below("s3://b/1/artifacts", "s3://b/1/artifacts"), Some(""));
        for (place, root) in [("/a/12/m", "/a/1"), ("s3://c/1", "s3://b/1"), ("/a", "")] {
            assert_eq!(below(place, root), None, "{place} {root}");
        }
    }

    #[test]
    fn a_source_is_written_down_without_its_password() {
        assert_eq!(label("https://ann:secret@tracking.example/mlflow/"), "https://tracking.example/mlflow");
        assert_eq!(label("http://127.0.0.1:5000"), "http://127.0.0.1:5000");
    }
}
