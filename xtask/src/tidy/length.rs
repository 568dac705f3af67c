//! Bounds on length: 600 lines a file, 70 lines a function, tests aside.
//!
//! A function is counted as it is read, from the line of its `fn` to the line of its closing brace, comments
//! and blank lines included.

use super::source::{Split, is_name};
use super::{File, Finding};
use std::ops::RangeInclusive;

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;

pub(crate) fn check(file: &File, split: &Split) -> Vec<Finding> {
    if file.is_test() {
        return Vec::new();
    }
    let code: Vec<char> = split.code.chars().collect();
    let tests = test_modules(&code);
    let mut findings = Vec::new();

    let in_tests: usize = tests.iter().map(|lines| lines.end() - lines.start() + 1).sum();
    let lines = file.text.lines().count() - in_tests;
    if lines > FILE_LINES {
        let message =
            format!("the file has {lines} lines without its tests; at most {FILE_LINES} are allowed");
        findings.push(Finding::new(file, 1, message, "split it by noun; aim at 300 lines"));
    }
    for function in functions(&code) {
        if function.lines > FUNCTION_LINES && !tests.iter().any(|lines| lines.contains(&function.line)) {
            let message = format!(
                "function `{}` has {} lines; at most {FUNCTION_LINES} are allowed",
                function.name, function.lines
            );
            let hint = "give its parts names of their own; aim at 40 lines";
            findings.push(Finding::new(file, function.line, message, hint));
        }
    }
    findings
}

#[derive(Debug, PartialEq)]
struct Function {
    name: String,
    line: usize,
    lines: usize,
}

fn functions(code: &[char]) -> Vec<Function> {
    let mut found = Vec::new();
    for at in words(code, "fn") {
        let Some((name, after)) = name_after(code, at + 2) else { continue };
        let Some(open) = body(code, after) else { continue };
        let Some(close) = closing(code, open) else { continue };
        let (first, last) = (line_of(code, at), line_of(code, close));
        found.push(Function { name, line: first, lines: last - first + 1 });
    }
    found
}

/// Lines of each `#[cfg(test)] mod … { … }`, the attribute included.
fn test_modules(code: &[char]) -> Vec<RangeInclusive<usize>> {
    let mut found: Vec<RangeInclusive<usize>> = Vec::new();
    for at in words(code, "mod") {
        let Some((_, after)) = name_after(code, at + 3) else { continue };
        let Some(open) = skip_blanks(code, after).filter(|&open| code[open] == '{') else { continue };
        let Some(start) = test_attribute(code, at) else { continue };
        let Some(close) = closing(code, open) else { continue };
        let lines = line_of(code, start)..=line_of(code, close);
        // A test module inside a test module is already counted.
        if !found.iter().any(|outer| outer.contains(lines.start())) {
            found.push(lines);
        }
    }
    found
}

/// Where the attributes before the item at `item` start, if one of them is `#[cfg(test)]` or `#[cfg(all(test,
/// …))]`.
fn test_attribute(code: &[char], item: usize) -> Option<usize> {
    let start = code[..item]
        .iter()
        .rposition(|character| matches!(character, ';' | '{' | '}'))
        .map_or(0, |at| at + 1);
    let attributes: String =
        code[start..item].iter().filter(|character| !character.is_whitespace()).collect();
    let is_test = attributes.contains("#[cfg(test)]") || attributes.contains("#[cfg(all(test,");
    is_test.then(|| skip_blanks(code, start)).flatten()
}

/// Positions of `word` where it stands alone. `r#fn` is a name, not the word.
fn words(code: &[char], word: &str) -> Vec<usize> {
    let word: Vec<char> = word.chars().collect();
    let mut found = Vec::new();
    for at in 0..code.len() {
        let after = at + word.len();
        if code[at..].starts_with(&word)
            && !code.get(after).copied().is_some_and(is_name)
            && !code[..at].last().is_some_and(|&before| is_name(before) || before == '#')
        {
            found.push(at);
        }
    }
    found
}

/// The name that follows `at`, and where it ends. None for a `fn(…)` type or a macro's `fn $name`.
fn name_after(code: &[char], at: usize) -> Option<(String, usize)> {
    let start = skip_blanks(code, at)?;
    let start = if code[start..].starts_with(&['r', '#']) { start + 2 } else { start };
    let name: String = code[start..].iter().take_while(|&&character| is_name(character)).collect();
    let end = start + name.chars().count();
    (!name.is_empty()).then_some((name, end))
}

/// The brace that opens the body after a signature; None when the function is only declared.
fn body(code: &[char], at: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (offset, character) in code[at..].iter().enumerate() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(at + offset),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

fn closing(code: &[char], open: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (offset, character) in code[open..].iter().enumerate() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(open + offset);
        }
    }
    None
}

fn skip_blanks(code: &[char], at: usize) -> Option<usize> {
    code.get(at..)?.iter().position(|character| !character.is_whitespace()).map(|offset| at + offset)
}

fn line_of(code: &[char], at: usize) -> usize {
    1 + code[..at].iter().filter(|&&character| character == '\n').count()
}

#[cfg(test)]
mod tests {
    use super::super::{File, brief, source};
    use super::{functions, test_modules};

    fn check(path: &str, input: &str, expected: &[&str]) {
        let file = File { path: path.to_owned(), text: input.to_owned() };
        assert_eq!(brief(&super::check(&file, &source::split(input))), expected, "{path}");
    }

    fn check_functions(input: &str, expected: &[(&str, usize, usize)]) {
        let code: Vec<char> = source::split(input).code.chars().collect();
        let found = functions(&code);
        let found: Vec<_> =
            found.iter().map(|found| (found.name.as_str(), found.line, found.lines)).collect();
        assert_eq!(found, expected, "{input}");
    }

    fn check_tests(input: &str, expected: &[(usize, usize)]) {
        let code: Vec<char> = source::split(input).code.chars().collect();
        let found: Vec<_> = test_modules(&code).iter().map(|lines| (*lines.start(), *lines.end())).collect();
        assert_eq!(found, expected, "{input}");
    }

    fn function_of(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    step();\n".repeat(lines - 2))
    }

    #[test]
    fn functions_are_counted_from_fn_to_brace() {
        check_functions("fn a() {}", &[("a", 1, 1)]);
        check_functions(
            "\npub(crate) async fn a<'a>(\n    x: &'a str,\n) -> u8\n{\n    1\n}\n",
            &[("a", 2, 6)],
        );
        check_functions("fn a() {\n    fn b() {\n    }\n}", &[("a", 1, 4), ("b", 2, 2)]);
        check_functions("impl A {\n    fn r#type(&self) {\n    }\n}", &[("type", 2, 2)]);
    }

    #[test]
    fn declarations_and_pointers_are_no_functions() {
        check_functions("trait A { fn a(&self) -> [u8; 4]; }", &[]);
        check_functions("type A = fn(u8) -> u8;", &[]);
        check_functions("macro_rules! m { ($n:ident) => { fn $n() {} } }", &[]);
        check_functions("let fn_a = 1; // fn b() {}", &[]);
    }

    #[test]
    fn braces_in_literals_and_comments_do_not_count() {
        check_functions("fn a() {\n    \"}\"; '}'; r#\"}\"#; /* } */ // }\n}", &[("a", 1, 3)]);
        check_functions("fn a(x: [u8; { 2 }]) {\n}", &[("a", 1, 2)]);
    }

    #[test]
    fn test_modules_are_found_with_their_attributes() {
        check_tests("fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n", &[(3, 5)]);
        check_tests("#[cfg(test)]\n#[path = \"x\"]\npub(crate) mod tests {}\n", &[(1, 3)]);
        check_tests("#[cfg(all(test, unix))]\nmod tests {\n}", &[(1, 3)]);
        check_tests("#[cfg(test)]\nmod tests;\nmod other {}\n", &[]);
        check_tests("mod plain {\n    #[cfg(test)]\n    mod tests {\n    }\n}", &[(2, 4)]);
    }

    #[test]
    fn seventy_lines_pass_and_one_more_does_not() {
        check("crates/app/src/a.rs", &function_of(70), &[]);
        check(
            "crates/app/src/a.rs",
            &function_of(71),
            &["1: function `long` has 71 lines; at most 70 are allowed"],
        );
    }

    #[test]
    fn tests_may_be_long() {
        let inside = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function_of(71));
        check("crates/app/src/a.rs", &inside, &[]);
        check("crates/app/tests/it/a.rs", &function_of(71), &[]);
        check("crates/app/src/a/tests.rs", &function_of(71), &[]);
        check("crates/app/src/a.rs", &format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(700)), &[]);
    }

    #[test]
    fn six_hundred_lines_pass_and_one_more_does_not() {
        check("crates/app/src/a.rs", &"// a\n".repeat(600), &[]);
        check(
            "crates/app/src/a.rs",
            &"// a\n".repeat(601),
            &["1: the file has 601 lines without its tests; at most 600 are allowed"],
        );
    }
}
