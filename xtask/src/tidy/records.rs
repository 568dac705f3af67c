//! Decision records: `docs/decisions/NNNN-what-was-decided.md`, each in the list of the README beside them.

use super::{File, Finding};
use std::collections::BTreeMap;

const FOLDER: &str = "docs/decisions/";
const LIST: &str = "docs/decisions/README.md";

pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let list = files.iter().find(|file| file.path == LIST);
    let mut numbers: BTreeMap<&str, &str> = BTreeMap::new();
    let mut findings = Vec::new();
    for (file, name) in records(files) {
        let Some(number) = number(name) else {
            let hint = "name it NNNN-what-was-decided.md: four digits, then lower-case words joined by `-`";
            findings.push(Finding::new(file, 1, "a decision record without a number", hint));
            continue;
        };
        if let Some(earlier) = numbers.insert(number, name) {
            let message = format!("number {number} is already taken by {earlier}");
            findings.push(Finding::new(file, 1, message, "take the next free number"));
        }
        if list.is_some_and(|list| !list.text.contains(&format!("({name})"))) {
            let hint = format!("add a row with a link to ({name}) to {LIST}");
            findings.push(Finding::new(file, 1, "a decision record that the list does not name", hint));
        }
    }
    if let Some(list) = list {
        findings.extend(dead_links(list, files));
    }
    findings
}

fn records(files: &[File]) -> impl Iterator<Item = (&File, &str)> {
    files.iter().filter(|file| file.path != LIST && file.has_extension(&["md"])).filter_map(|file| {
        let name = file.path.strip_prefix(FOLDER)?;
        Some((file, name))
    })
}

/// The number of a well-formed name.
fn number(name: &str) -> Option<&str> {
    let (number, title) = name.strip_suffix(".md")?.split_once('-')?;
    let is_number = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_title = title.split('-').all(|word| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    });
    (is_number && is_title).then_some(number)
}

fn dead_links(list: &File, files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in list.text.lines().enumerate() {
        for target in
            line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
        {
            let is_there = files.iter().any(|file| file.path.strip_prefix(FOLDER) == Some(target));
            if number(target).is_some() && !is_there {
                let message = format!("the list names {target}, which is not there");
                findings.push(Finding::new(
                    list,
                    index + 1,
                    message,
                    "write the record, or take the row out",
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::{File, brief};

    fn check(input: &[(&str, &str)], expected: &[&str]) {
        let files: Vec<File> = input
            .iter()
            .map(|(name, text)| File { path: format!("docs/decisions/{name}"), text: (*text).to_owned() })
            .collect();
        assert_eq!(brief(&super::check(&files)), expected, "{input:?}");
    }

    #[test]
    fn a_record_has_a_number_and_a_row() {
        check(&[("0001-one-port.md", ""), ("README.md", "| [One port](0001-one-port.md) | |")], &[]);
        check(&[("0001-one-port.md", "")], &[]);
        check(
            &[("0001-one-port.md", ""), ("README.md", "")],
            &["1: a decision record that the list does not name"],
        );
        check(&[("one-port.md", "")], &["1: a decision record without a number"]);
        check(&[("0001-One_Port.md", "")], &["1: a decision record without a number"]);
    }

    #[test]
    fn a_number_is_used_once() {
        check(&[("0001-a.md", ""), ("0001-b.md", "")], &["1: number 0001 is already taken by 0001-a.md"]);
    }

    #[test]
    fn a_row_names_a_record_that_is_there() {
        check(
            &[("README.md", "\n| [a](0002-a.md) | [site](https://example.org) |")],
            &["2: the list names 0002-a.md, which is not there"],
        );
    }
}
