//! Blanks that no one sees until they make a diff, and the head that every crate begins with.

use super::{File, Finding};
use std::path::Path;

/// Scripts without an extension live in these folders.
const SCRIPTS: &[&str] = &["script/", ".ci/"];

pub(crate) fn check(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    if is_ours_to_format(file) {
        for (index, line) in file.text.lines().enumerate() {
            if line.contains('\t') {
                let hint = "indent with spaces; in a string, write \\t";
                findings.push(Finding::new(file, index + 1, "a tab", hint));
            }
            if line.ends_with(char::is_whitespace) {
                findings.push(Finding::new(file, index + 1, "trailing blanks", "remove them"));
            }
        }
    }
    if is_crate_root(&file.path) && !file.text.starts_with("//!") {
        let hint = "begin with what the crate owns and what it refuses";
        findings.push(Finding::new(file, 1, "the crate has no `//!` head", hint));
    }
    findings
}

fn is_ours_to_format(file: &File) -> bool {
    let is_script = SCRIPTS.iter().any(|folder| file.path.starts_with(folder))
        && Path::new(&file.path).extension().is_none();
    is_script || file.has_extension(&["rs", "md", "yaml", "yml", "sh"])
}

fn is_crate_root(path: &str) -> bool {
    matches!(path.split('/').collect::<Vec<_>>()[..], ["crates", _, "src", "lib.rs"])
}

#[cfg(test)]
mod tests {
    use super::super::{File, brief};

    fn check(path: &str, input: &str, expected: &[&str]) {
        let file = File { path: path.to_owned(), text: input.to_owned() };
        assert_eq!(brief(&super::check(&file)), expected, "{path}");
    }

    #[test]
    fn blanks_are_found_where_people_write() {
        check("docs/a.md", "a\nb \n", &["2: trailing blanks"]);
        check("xtask/src/a.rs", "\ta\n", &["1: a tab"]);
        check("examples/a.yaml", "a:\r\n  b: 1 \n", &["2: trailing blanks"]);
        check("script/test", "a  \n", &["1: trailing blanks"]);
        check("crates/lake/tests/data/a.csv", "a\t \n", &[]);
    }

    #[test]
    fn a_crate_begins_with_its_head() {
        check("crates/app/src/lib.rs", "//! Use cases.\n", &[]);
        check("crates/app/src/lib.rs", "mod a;\n", &["1: the crate has no `//!` head"]);
        check("crates/app/src/a/lib.rs", "mod a;\n", &[]);
    }
}
