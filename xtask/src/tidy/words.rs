//! Words that do not belong in a finished tree, and `async` where the rules live.

use super::source::{Split, is_name};
use super::{File, Finding};

/// Forbidden in code, with the next step.
const IN_CODE: &[(&str, &str)] = &[
    ("todo!(", "finish it, or return an error that says what is missing"),
    ("unimplemented!(", "finish it, or return an error that says what is missing"),
    ("#[allow(", "write `#[expect(lint, reason = \"…\")]`, which also says when it is no longer needed"),
    ("#![allow(", "write `#![expect(lint, reason = \"…\")]`, which also says when it is no longer needed"),
    ("#[ignore", "make the test run everywhere, or remove it"),
];

/// Forbidden in comments.
const IN_COMMENTS: &[&str] = &["FIXME", "XXX"];

/// Crates whose code is plain functions: no I/O, no clock, nothing to wait for.
const WITHOUT_ASYNC: &[&str] = &["crates/domain/src/", "crates/stats/src/"];

pub(crate) fn check(file: &File, split: &Split) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in split.code.lines().enumerate() {
        for (word, hint) in IN_CODE {
            if line.contains(word) {
                findings.push(Finding::new(file, index + 1, format!("`{word}` is not used here"), *hint));
            }
        }
        if has_word(line, "async") && WITHOUT_ASYNC.iter().any(|folder| file.path.starts_with(folder)) {
            let hint =
                "take what is needed as an argument; the waiting belongs in `app` or behind its traits";
            findings.push(Finding::new(file, index + 1, "`async` in a crate of pure rules", hint));
        }
    }
    for (index, line) in split.comments.lines().enumerate() {
        for word in IN_COMMENTS {
            if has_word(line, word) {
                let hint = "repair it now, or file an issue and name it in the comment";
                findings.push(Finding::new(file, index + 1, format!("a comment is marked {word}"), hint));
            }
        }
    }
    findings
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_name) && !line[at + word.len()..].starts_with(is_name))
}

#[cfg(test)]
mod tests {
    use super::super::{File, brief, source};

    fn check(path: &str, input: &str, expected: &[&str]) {
        let file = File { path: path.to_owned(), text: input.to_owned() };
        assert_eq!(brief(&super::check(&file, &source::split(input))), expected, "{input}");
    }

    #[test]
    fn forbidden_words_are_found_in_code() {
        let path = "crates/app/src/a.rs";
        check(path, "fn a() {\n    todo!()\n}", &["2: `todo!(` is not used here"]);
        check(path, "unimplemented!(\"later\")", &["1: `unimplemented!(` is not used here"]);
        check(path, "#[allow(dead_code)]", &["1: `#[allow(` is not used here"]);
        check(path, "#![allow(dead_code)]", &["1: `#![allow(` is not used here"]);
        check(path, "#[test]\n#[ignore = \"slow\"]", &["2: `#[ignore` is not used here"]);
        check(path, "#[expect(dead_code, reason = \"a\")]", &[]);
    }

    #[test]
    fn words_in_text_are_free() {
        check("xtask/src/a.rs", "let a = \"todo!( #[allow( #[ignore\"; // todo!() is forbidden", &[]);
        check("xtask/src/a.rs", "let a = \"FIXME\";", &[]);
    }

    #[test]
    fn marks_are_found_in_comments() {
        check("bench/a.rs", "a(); // FIXME: wrong", &["1: a comment is marked FIXME"]);
        check("bench/a.rs", "/* a\n XXX */", &["2: a comment is marked XXX"]);
        check("bench/a.rs", "// a name such as XXXXXX.tmp", &[]);
    }

    #[test]
    fn rules_do_not_wait() {
        check("crates/domain/src/a.rs", "async fn a() {}", &["1: `async` in a crate of pure rules"]);
        check("crates/domain/src/a.rs", "// async is refused\nfn is_async() {}", &[]);
        check("crates/app/src/a.rs", "async fn a() {}", &[]);
    }
}
