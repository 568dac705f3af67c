//! The rules of the house that neither rustc nor clippy knows, each in a module of its own.
//!
//! Reads every file that git tracks or would track, and nothing else. Refuses to repair: it names the place
//! and the next step, and a person decides.

mod edges;
mod features;
mod length;
mod manifest;
mod records;
mod source;
mod text;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is wrong, where, and the next step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    message: String,
    hint: String,
}

impl Finding {
    fn new(file: &File, line: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line, message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}\n    hint: {}", self.path, self.line, self.message, self.hint)
    }
}

/// A text file of the tree; `path` is relative to its root, with forward slashes.
#[derive(Debug)]
pub(crate) struct File {
    path: String,
    text: String,
}

impl File {
    fn has_extension(&self, extensions: &[&str]) -> bool {
        Path::new(&self.path)
            .extension()
            .and_then(|found| found.to_str())
            .is_some_and(|found| extensions.contains(&found))
    }

    /// Whether the whole file is tests: below a `tests` folder, or the `tests.rs` of a module.
    fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }
}

pub(crate) struct Report {
    pub(crate) files: usize,
    pub(crate) findings: Vec<Finding>,
}

/// Runs every rule over the checkout that holds the current folder.
pub(crate) fn run() -> Result<Report, String> {
    let root = PathBuf::from(output("git", &["rev-parse", "--show-toplevel"], Path::new("."))?.trim_end());
    let files = read_files(&root)?;
    let mut findings = Vec::new();
    for file in &files {
        findings.extend(text::check(file));
        if file.has_extension(&["rs"]) {
            let split = source::split(&file.text);
            findings.extend(length::check(file, &split));
            findings.extend(words::check(file, &split));
        }
    }
    findings.extend(edges::check(&files));
    findings.extend(records::check(&files));
    findings.extend(features::check(&root));
    findings.sort();
    Ok(Report { files: files.len(), findings })
}

/// A file that git lists but that is gone from disk, or that is not text, has nothing to be tidied.
fn read_files(root: &Path) -> Result<Vec<File>, String> {
    let listed = output("git", &["ls-files", "-co", "--exclude-standard", "-z"], root)?;
    let mut paths: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    Ok(paths
        .into_iter()
        .filter_map(|path| {
            let text = std::fs::read_to_string(root.join(path)).ok()?;
            Some(File { path: path.to_owned(), text })
        })
        .collect())
}

fn output(program: &str, arguments: &[&str], folder: &Path) -> Result<String, String> {
    let name = Path::new(program).file_name().map_or_else(Default::default, std::ffi::OsStr::to_string_lossy);
    let shown = format!("`{name} {}`", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .map_err(|error| format!("{shown} did not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("{shown} failed: {}", String::from_utf8_lossy(&output.stderr).trim_end()));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{shown} did not answer in UTF-8: {error}"))
}

/// For the rules' tests: findings as `line: message`.
#[cfg(test)]
fn brief(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}: {}", finding.line, finding.message)).collect()
}
