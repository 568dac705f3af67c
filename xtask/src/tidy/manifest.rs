//! Reads the dependency tables of a Cargo.toml, and nothing else of it.
//!
//! Line by line: cargo itself refuses a manifest that is not TOML, so this only has to find names. It knows
//! dotted keys, inline tables, tables of one dependency, platform tables, renames and arrays over several
//! lines.

use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) line: usize,
    /// The key that it stands under.
    pub(crate) key: String,
    /// The package's own name, where `package = "…"` gives one.
    pub(crate) renamed: Option<String>,
}

/// Dependencies that the crate is built with: `[dependencies]`, `[build-dependencies]` and their platform
/// tables. What only its tests use is free.
pub(crate) fn dependencies(manifest: &str) -> Vec<Dependency> {
    read(manifest, |table| matches!(table, "dependencies" | "build-dependencies"))
}

/// Renames in `[workspace.dependencies]`: key to package.
pub(crate) fn workspace_renames(manifest: &str) -> BTreeMap<String, String> {
    read(manifest, |table| table == "workspace.dependencies")
        .into_iter()
        .filter_map(|dependency| Some((dependency.key, dependency.renamed?)))
        .collect()
}

fn read(manifest: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<Dependency> {
    let mut found: Vec<Dependency> = Vec::new();
    // Where we are: in no wanted table, in a table of dependencies, or in the table of one of them.
    let mut inside = Inside::Elsewhere;
    let mut open_brackets = 0_i32;
    for (index, raw) in manifest.lines().enumerate() {
        let line = without_comment(raw).trim();
        let is_continued = open_brackets > 0;
        if let (false, Some(header)) = (is_continued, header(line)) {
            inside = enter(&header, &is_wanted);
            if let Inside::One(key) = &inside {
                found.push(Dependency { line: index + 1, key: key.clone(), renamed: None });
            }
            continue;
        }
        if let (false, Some((left, right))) = (is_continued, line.split_once('=')) {
            let parts = key_parts(left);
            match &inside {
                Inside::Table => add(&mut found, index + 1, &parts, right),
                Inside::One(key) if parts == ["package"] => rename(&mut found, key, text(right)),
                Inside::One(_) | Inside::Elsewhere => {}
            }
        }
        open_brackets += brackets(line);
    }
    found
}

enum Inside {
    Elsewhere,
    Table,
    One(String),
}

/// `[target.'cfg(unix)'.dependencies]` and `[dependencies.sqlx]` are dependency tables too.
fn enter(header: &[String], is_wanted: impl Fn(&str) -> bool) -> Inside {
    let rest = match header {
        [target, _, rest @ ..] if target == "target" => rest,
        other => other,
    };
    if is_wanted(&rest.join(".")) {
        return Inside::Table;
    }
    match rest.split_last() {
        Some((key, table)) if is_wanted(&table.join(".")) => Inside::One(key.clone()),
        _ => Inside::Elsewhere,
    }
}

fn add(found: &mut Vec<Dependency>, line: usize, parts: &[String], right: &str) {
    let Some((key, rest)) = parts.split_first() else { return };
    if !found.iter().any(|dependency| &dependency.key == key) {
        found.push(Dependency { line, key: key.clone(), renamed: None });
    }
    if rest == ["package"] {
        rename(found, key, text(right));
    } else if let Some((_, name)) = right.split_once("package") {
        rename(found, key, name.trim_start().strip_prefix('=').and_then(text));
    }
}

fn rename(found: &mut [Dependency], key: &str, package: Option<String>) {
    if let Some(dependency) = found.iter_mut().find(|dependency| dependency.key == key) {
        dependency.renamed = package;
    }
}

fn header(line: &str) -> Option<Vec<String>> {
    Some(key_parts(line.strip_prefix('[')?.strip_suffix(']')?))
}

/// `a."b.c".d` in its parts, without quotes.
fn key_parts(key: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quote = None;
    for character in key.chars() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, '.') => parts.push(String::new()),
            (None, _) if character.is_whitespace() => {}
            _ => {
                if let Some(part) = parts.last_mut() {
                    part.push(character);
                }
            }
        }
    }
    parts
}

/// The text between the first two quotes.
fn text(value: &str) -> Option<String> {
    value.split(['"', '\'']).nth(1).map(str::to_owned)
}

fn without_comment(line: &str) -> &str {
    outside_quotes(line).find(|&(_, character)| character == '#').map_or(line, |(at, _)| &line[..at])
}

fn brackets(line: &str) -> i32 {
    outside_quotes(line)
        .map(|(_, character)| match character {
            '[' | '{' => 1,
            ']' | '}' => -1,
            _ => 0,
        })
        .sum()
}

fn outside_quotes(line: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    line.char_indices().filter(move |&(_, character)| match quote {
        None if matches!(character, '"' | '\'') => {
            quote = Some(character);
            false
        }
        None => true,
        Some(open) => {
            if open == character {
                quote = None;
            }
            false
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{dependencies, workspace_renames};

    fn check(input: &str, expected: &[(usize, &str, Option<&str>)]) {
        let found = dependencies(input);
        let found: Vec<_> = found
            .iter()
            .map(|dependency| (dependency.line, dependency.key.as_str(), dependency.renamed.as_deref()))
            .collect();
        assert_eq!(found, expected, "{input}");
    }

    #[test]
    fn names_are_read_in_every_spelling() {
        check("[dependencies]\nserde.workspace = true\n", &[(2, "serde", None)]);
        check(
            "[dependencies]\nserde = { version = \"1\" } # why\n\"rand\" = '0.10'",
            &[(2, "serde", None), (3, "rand", None)],
        );
        check("[dependencies.serde]\nversion = \"1\"\nfeatures = [\n  \"a=b\",\n]\n", &[(1, "serde", None)]);
        check(
            "[dependencies]\na.version = \"1\"\na.features = [\n  \"x\",\n]\nb = \"1\"",
            &[(2, "a", None), (6, "b", None)],
        );
        check("[target.'cfg(target_os = \"linux\")'.dependencies]\nlibc = \"0.2\"", &[(2, "libc", None)]);
        check("[build-dependencies]\ncc = \"1\"", &[(2, "cc", None)]);
    }

    #[test]
    fn renames_are_seen_through() {
        check("[dependencies]\ndb = { package = \"sqlx\", version = \"0.9\" }", &[(2, "db", Some("sqlx"))]);
        check("[dependencies]\ndb.package = \"sqlx\"", &[(2, "db", Some("sqlx"))]);
        check("[dependencies.db]\nversion = \"0.9\"\npackage = \"sqlx\"", &[(1, "db", Some("sqlx"))]);
        let renames =
            workspace_renames("[workspace.dependencies]\ndb = { package = \"sqlx\" }\nserde = \"1\"");
        assert_eq!(renames.into_iter().collect::<Vec<_>>(), [("db".to_owned(), "sqlx".to_owned())]);
    }

    #[test]
    fn other_tables_are_none_of_its_business() {
        check("[package]\nname = \"a\"\n[dev-dependencies]\ninsta = \"1\"\n[features]\nb = [\"c\"]", &[]);
        check("[dev-dependencies.insta]\nversion = \"1\"", &[]);
        check("# [dependencies]\n# sqlx = \"1\"", &[]);
    }
}
