//! The drawn edges: which crate may build on which, and which one library lives in which one crate.

use super::manifest::{self, Dependency};
use super::{File, Finding};
use std::collections::BTreeMap;

/// Each room of the house and the rooms it may build on. `testkit` may build on all of them, and none on it,
/// other than in tests.
const EDGES: &[(&str, &[&str])] = &[
    ("greenlight", &["api", "web", "serving", "app", "lake", "inference", "store", "online", "domain"]),
    ("api", &["app", "serving", "domain", "oip"]),
    ("web", &["app", "domain", "stats"]),
    ("serving", &["app", "domain"]),
    ("lake", &["app", "domain"]),
    ("inference", &["app", "domain", "evaluator", "oip"]),
    ("app", &["store", "online", "domain", "stats"]),
    ("evaluator", &[]),
    ("oip", &[]),
    ("online", &[]),
    ("store", &["domain"]),
    ("domain", &["stats"]),
    ("stats", &[]),
];

const TESTKIT: &str = "testkit";

/// A library, with all whose names begin with it and a dash, and the one crate that may name it.
const HOMES: &[(&str, &str)] = &[
    ("sqlx", "store"),
    ("datafusion", "lake"),
    ("deltalake", "lake"),
    ("ballista", "lake"),
    ("perpetual", "inference"),
    ("linfa", "inference"),
    ("ort", "inference"),
    ("tract", "inference"),
    ("onnx", "inference"),
    ("onnxruntime", "inference"),
    ("maud", "web"),
    ("redb", "online"),
    ("redis", "online"),
];

/// Crates of pure rules and numbers, and the libraries that would make them wait.
const PURE: &[&str] = &["domain", "stats"];
const WAITING: &[&str] = &["tokio", "async", "futures", "hyper", "reqwest", "axum", "tower"];

pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let renames = files
        .iter()
        .find(|file| file.path == "Cargo.toml")
        .map(|file| manifest::workspace_renames(&file.text))
        .unwrap_or_default();
    let mut findings = Vec::new();
    for file in files {
        if let ["crates", room, "Cargo.toml"] = file.path.split('/').collect::<Vec<_>>()[..] {
            findings.extend(check_crate(file, room, &renames));
        }
    }
    findings
}

fn check_crate(file: &File, room: &str, renames: &BTreeMap<String, String>) -> Vec<Finding> {
    if room != TESTKIT && !EDGES.iter().any(|(drawn, _)| *drawn == room) {
        let hint = "draw it in xtask/src/tidy/edges.rs, with a record in docs/decisions/ that says why";
        return vec![Finding::new(file, 1, format!("crate `{room}` is not drawn"), hint)];
    }
    manifest::dependencies(&file.text)
        .iter()
        .flat_map(|dependency| {
            let package = package(dependency, renames);
            [undrawn_edge(room, package), out_of_home(room, package), waiting(room, package)]
                .into_iter()
                .flatten()
                .map(|(message, hint)| Finding::new(file, dependency.line, message, hint))
        })
        .collect()
}

fn package<'a>(dependency: &'a Dependency, renames: &'a BTreeMap<String, String>) -> &'a str {
    dependency.renamed.as_ref().or_else(|| renames.get(&dependency.key)).unwrap_or(&dependency.key)
}

fn undrawn_edge(room: &str, package: &str) -> Option<(String, String)> {
    let target = if package == "greenlight" { package } else { package.strip_prefix("greenlight-")? };
    let allowed = EDGES.iter().find(|(drawn, _)| *drawn == room).map(|(_, allowed)| *allowed);
    // Only testkit, which is free, has no row.
    let allowed = allowed?;
    if allowed.contains(&target) {
        return None;
    }
    let onto = if allowed.is_empty() { "nothing of the house".to_owned() } else { allowed.join(", ") };
    let hint = "move what is needed down the arrows, or behind a trait of `app`; if the drawing is wrong, \
                change xtask/src/tidy/edges.rs and record why in docs/decisions/";
    Some((format!("`{room}` may not build on `{target}`, only on: {onto}"), hint.to_owned()))
}

fn out_of_home(room: &str, package: &str) -> Option<(String, String)> {
    let (_, home) = HOMES.iter().find(|(library, home)| is_of(package, library) && *home != room)?;
    let hint = format!("ask `{home}` for what is needed, through `app`; tests name it in [dev-dependencies]");
    Some((format!("only `{home}` may name `{package}`"), hint))
}

fn waiting(room: &str, package: &str) -> Option<(String, String)> {
    if !PURE.contains(&room) || !WAITING.iter().any(|library| is_of(package, library)) {
        return None;
    }
    let hint = "take what is needed as an argument; the waiting belongs in `app` or behind its traits";
    Some((format!("`{room}` is pure rules and may not name `{package}`"), hint.to_owned()))
}

fn is_of(package: &str, library: &str) -> bool {
    package.strip_prefix(library).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

#[cfg(test)]
mod tests {
    use super::super::{File, brief};
    use super::{EDGES, HOMES};

    fn check(room: &str, dependencies: &str, expected: &[&str]) {
        let root = "[workspace.dependencies]\nhidden = { package = \"sqlx\", version = \"0.9\" }\n";
        let files = [
            File { path: "Cargo.toml".to_owned(), text: root.to_owned() },
            File {
                path: format!("crates/{room}/Cargo.toml"),
                text: format!("[dependencies]\n{dependencies}\n"),
            },
        ];
        assert_eq!(brief(&super::check(&files)), expected, "{room}: {dependencies}");
    }

    #[test]
    fn drawn_edges_pass_and_others_do_not() {
        check("api", "greenlight-app.workspace = true\ngreenlight-serving.workspace = true", &[]);
        check(
            "api",
            "greenlight-app.workspace = true\ngreenlight-store.workspace = true",
            &["3: `api` may not build on `store`, only on: app, serving, domain, oip"],
        );
        check(
            "stats",
            "greenlight-domain.workspace = true",
            &["2: `stats` may not build on `domain`, only on: nothing of the house"],
        );
        check(
            "store",
            "greenlight-testkit.workspace = true",
            &["2: `store` may not build on `testkit`, only on: domain"],
        );
    }

    #[test]
    fn tests_are_free() {
        check("testkit", "greenlight-lake.workspace = true\ngreenlight-web.workspace = true", &[]);
        check("store", "[dev-dependencies]\ngreenlight-testkit.workspace = true\nmaud = \"1\"", &[]);
    }

    #[test]
    fn a_library_has_one_home() {
        check("store", "sqlx.workspace = true", &[]);
        check("app", "sqlx.workspace = true", &["2: only `store` may name `sqlx`"]);
        check("app", "sqlx-core = \"0.9\"", &["2: only `store` may name `sqlx-core`"]);
        check("app", "db = { package = \"sqlx\", version = \"0.9\" }", &["2: only `store` may name `sqlx`"]);
        check("app", "hidden.workspace = true", &["2: only `store` may name `sqlx`"]);
        check("serving", "tract-onnx = \"1\"", &["2: only `inference` may name `tract-onnx`"]);
        check("serving", "orthodox = \"1\"", &[]);
        check("api", "maud.workspace = true", &["2: only `web` may name `maud`"]);
    }

    #[test]
    fn rules_do_not_wait() {
        check("domain", "tokio.workspace = true", &["2: `domain` is pure rules and may not name `tokio`"]);
        check(
            "stats",
            "async-trait.workspace = true",
            &["2: `stats` is pure rules and may not name `async-trait`"],
        );
        check("app", "tokio.workspace = true", &[]);
    }

    #[test]
    fn a_new_crate_has_to_be_drawn() {
        check("cluster", "", &["1: crate `cluster` is not drawn"]);
    }

    /// The table lists a crate after all that build on it, so an arrow can only point down: there is no way
    /// round.
    #[test]
    fn the_drawing_has_no_circle() {
        let position = |room: &str| EDGES.iter().position(|(drawn, _)| *drawn == room);
        for (room, allowed) in EDGES {
            for target in *allowed {
                assert!(position(room) < position(target), "{room} is listed below {target}");
            }
        }
        for (library, home) in HOMES {
            assert!(position(home).is_some(), "{library} lives in {home}, which is not drawn");
        }
    }
}
