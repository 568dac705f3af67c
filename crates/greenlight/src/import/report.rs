//! What an import did: counts, what stayed as it is here, what did not come.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use super::is_fatal;
use super::target::Arrived;
use crate::failure::Failure;

/// Most lines of a list that are kept; all are counted.
const MAX_LINES: usize = 1_000;
/// Most lines of a list that people are shown.
const SHOWN: usize = 20;

/// How many of a kind came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    /// New here, or changed at the source since.
    pub imported: u64,
    /// Here already, as it is at the source.
    pub unchanged: u64,
}

impl Tally {
    pub(super) fn count(&mut self, is_new: bool) {
        if is_new {
            self.imported += 1;
        } else {
            self.unchanged += 1;
        }
    }
}

/// Something that did not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Failed {
    what: String,
    why: String,
}

/// What an import did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    from: String,
    dry_run: bool,
    pub(super) experiments: Tally,
    pub(super) runs: Tally,
    pub(super) logged_models: Tally,
    pub(super) registered_models: Tally,
    pub(super) versions: Tally,
    pub(super) aliases_set: u64,
    points: u64,
    files: u64,
    bytes: u64,
    /// What was left as it is here, and what stayed where it was.
    notes: Vec<String>,
    notes_count: u64,
    failures: Vec<Failed>,
    failures_count: u64,
}

impl Report {
    pub(super) fn new(from: &str, dry_run: bool) -> Self {
        Self { from: from.to_owned(), dry_run, ..Self::default() }
    }

    /// Whether something did not come.
    pub(crate) fn has_failures(&self) -> bool {
        self.failures_count > 0
    }

    pub(super) fn note(&mut self, note: String) {
        self.notes_count += 1;
        if self.notes.len() < MAX_LINES {
            self.notes.push(note);
        }
    }

    pub(super) fn leave(&mut self, what: String, why: &str) {
        self.note(format!("{what} {why}; it stays as it is"));
    }

    pub(super) fn fail(&mut self, what: String, error: &Failure) {
        self.failures_count += 1;
        if self.failures.len() < MAX_LINES {
            self.failures.push(Failed { what, why: error.to_string() });
        }
    }

    /// Counts something that came, or why it did not; fails when nothing else would come either.
    pub(super) fn done(
        &mut self,
        what: String,
        done: Result<(), Failure>,
        arrived: &Arrived,
        tally: impl Fn(&mut Self) -> &mut Tally,
    ) -> Result<(), Failure> {
        for (file, error) in arrived.take_refused() {
            self.fail(file, &error);
        }
        match done {
            Ok(()) => tally(self).imported += 1,
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => self.fail(what, &error),
        }
        Ok(())
    }

    /// One line about how far it is.
    pub(super) fn progress(&self, experiment: &str, arrived: &Arrived) -> String {
        let Tally { imported, unchanged } = self.runs;
        format!(
            "{experiment}: {} runs, {} new · {} points · {} files, {}",
            HumanCount(imported + unchanged),
            HumanCount(imported),
            HumanCount(arrived.points.load(Ordering::Relaxed)),
            HumanCount(arrived.files.load(Ordering::Relaxed)),
            HumanBytes(arrived.bytes.load(Ordering::Relaxed)),
        )
    }

    pub(super) fn counted(mut self, arrived: &Arrived) -> Self {
        self.points = arrived.points.load(Ordering::Relaxed);
        self.files = arrived.files.load(Ordering::Relaxed);
        self.bytes = arrived.bytes.load(Ordering::Relaxed);
        self
    }

    /// The report for people.
    pub(crate) fn human(&self) -> String {
        let rows = [
            ("experiments", self.experiments),
            ("runs", self.runs),
            ("logged models", self.logged_models),
            ("registered models", self.registered_models),
            ("versions", self.versions),
        ];
        let mut table = vec![crate::table::row([
            "",
            if self.dry_run { "would come" } else { "imported" },
            if self.dry_run { "here already" } else { "unchanged" },
        ])];
        for (name, tally) in rows {
            let counts = [HumanCount(tally.imported).to_string(), HumanCount(tally.unchanged).to_string()];
            table.push(crate::table::row([name, &counts[0], &counts[1]]));
        }
        let mut out = format!("From {}\n\n{}", self.from, crate::table::render(&table));
        let aliases = match self.aliases_set {
            1 => "1 alias".to_owned(),
            count => format!("{} aliases", HumanCount(count)),
        };
        if self.dry_run {
            let _ = write!(out, "\nNothing was written. Would set {aliases}.");
        } else {
            let _ = write!(
                out,
                "\n{} points, {} files of {}, {aliases}.",
                HumanCount(self.points),
                HumanCount(self.files),
                HumanBytes(self.bytes),
            );
        }
        if self.notes_count > 0 {
            let _ = write!(out, "\n\nLeft as it is ({}):", HumanCount(self.notes_count));
            lines(&mut out, self.notes_count, self.notes.iter().cloned());
        }
        if self.failures_count > 0 {
            let _ = write!(out, "\n\nDid not come ({}):", HumanCount(self.failures_count));
            let failed = self.failures.iter().map(|failed| format!("{}: {}", failed.what, failed.why));
            lines(&mut out, self.failures_count, failed);
        }
        out
    }
}

fn lines(out: &mut String, count: u64, lines: impl Iterator<Item = String>) {
    for line in lines.take(SHOWN) {
        let _ = write!(out, "\n  {line}");
    }
    let rest = count.saturating_sub(SHOWN as u64);
    if rest > 0 {
        let _ = write!(out, "\n  and {} more; --json lists up to {MAX_LINES}", HumanCount(rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_came_what_stayed_and_what_did_not_come() {
        let mut report = Report::new("http://tracking", false);
        report.runs = Tally { imported: 1_200, unchanged: 1 };
        report.leave("run a".to_owned(), "was deleted here");
        for n in 0..22 {
            report.fail(format!("run {n}"), &Failure::Input("no".to_owned()));
        }
        let text = report.human();
        for part in
            ["1,200", "Left as it is (1):", "run a was deleted here; it stays", "run 19: no", "and 2 more"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("run 20:") && report.has_failures());
    }

    #[test]
    fn what_makes_everything_else_fail_too_ends_the_import() {
        let (mut report, arrived) = (Report::default(), Arrived::default());
        let gone = Err(Failure::Unreachable("gone".to_owned()));
        assert!(report.done("run a".to_owned(), gone, &arrived, |report| &mut report.runs).is_err());
        let wrong = Err(Failure::Input("wrong".to_owned()));
        assert!(report.done("run b".to_owned(), wrong, &arrived, |report| &mut report.runs).is_ok());
        assert_eq!((report.failures_count, report.runs.imported), (1, 0));
    }
}
