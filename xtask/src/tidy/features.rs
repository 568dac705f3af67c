//! DataFusion is compiled once: every command that the scripts run must ask for it with the same features.
//!
//! Cargo joins the features of all that one command builds, development dependencies included where tests are
//! built. One feature more on any crate below `deltalake`, be it of a build script, gives everything above
//! that crate another identity, and a second compilation of many minutes.

use super::{File, Finding, output};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The top of the costly tree.
const COSTLY: &str = "deltalake";

/// What the lints and the tests build, and beside it what else is built.
const TESTS: &[&str] = &["--workspace", "--edges=normal,build,dev"];
const OTHERS: &[(&str, &[&str])] = &[
    ("script/demo", &["--package=greenlight", "--edges=normal,build"]),
    ("the documentation", &["--workspace", "--edges=normal,build"]),
];

pub(crate) fn check(root: &Path) -> Vec<Finding> {
    compare_all(root).unwrap_or_else(|message| {
        let hint =
            "when Cargo.lock is out of date, `cargo metadata` without --locked renews it; commit it then";
        vec![finding("Cargo.lock", message, hint)]
    })
}

fn compare_all(root: &Path) -> Result<Vec<Finding>, String> {
    let tests = tree(root, TESTS)?;
    let mut findings = Vec::new();
    for (name, selection) in OTHERS {
        findings.extend(compare(name, &tree(root, selection)?, &tests));
    }
    Ok(findings)
}

/// Every package, with its features, one a line behind its depth.
fn tree(root: &Path, selection: &[&str]) -> Result<String, String> {
    let arguments =
        [&["tree", "--locked", "--quiet", "--prefix=depth", "--format= {p} [{f}]"], selection].concat();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    output(&cargo, &arguments, root)
}

fn compare(name: &str, other: &str, tests: &str) -> Vec<Finding> {
    let (other, tests) = (below_costly(other), below_costly(tests));
    let different: Vec<&str> = other.symmetric_difference(&tests).copied().collect();
    if other.is_empty() || different.is_empty() {
        return Vec::new();
    }
    let message = format!(
        "{COSTLY} is compiled once for the tests and again for {name}; these differ: {}",
        different.join(", ")
    );
    let hint = "`cargo tree --workspace --edges normal,build,dev --invert PACKAGE` shows who asks for a \
                feature; a [dev-dependencies] entry, or a feature of one, is the usual reason";
    vec![finding("Cargo.toml", message, hint)]
}

fn finding(path: &str, message: String, hint: &str) -> Finding {
    Finding::new(&File { path: path.to_owned(), text: String::new() }, 1, message, hint)
}

/// All that the costly package is built from, itself included. Cargo prints what is below a package once, at
/// the package's first place.
fn below_costly(tree: &str) -> BTreeSet<&str> {
    let mut children: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut above: Vec<&str> = Vec::new();
    for (depth, package) in tree.lines().filter_map(depth_and_package) {
        above.truncate(depth);
        if let Some(parent) = above.last() {
            children.entry(parent).or_default().insert(package);
        }
        above.push(package);
        children.entry(package).or_default();
    }
    let is_costly = |package: &&str| package.split(' ').next() == Some(COSTLY);
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut ahead: Vec<&str> = children.keys().copied().filter(is_costly).collect();
    while let Some(package) = ahead.pop() {
        if found.insert(package) {
            ahead.extend(children.get(package).into_iter().flatten());
        }
    }
    found
}

fn depth_and_package(line: &str) -> Option<(usize, &str)> {
    let (depth, package) = line.split_once(' ')?;
    Some((depth.parse().ok()?, package.trim_end_matches(" (*)")))
}

#[cfg(test)]
mod tests {
    use super::super::brief;
    use super::compare;

    const DEMO: &str = "\
0 greenlight v0.1.0 []
1 deltalake v1.1.2 [datafusion]
2 psm v0.1.32 []
3 memchr v2.8.3 [std]
2 serde v1.0.229 [std]
1 serde v1.0.229 [std] (*)
";

    fn check(tests: &str, expected: &[&str]) {
        assert_eq!(brief(&compare("script/demo", DEMO, tests)), expected, "{tests}");
    }

    #[test]
    fn the_same_tree_is_compiled_once() {
        check(DEMO, &[]);
        check(&DEMO.replace("0 greenlight", "0 insta v1.49.0 [json]\n0 greenlight"), &[]);
    }

    #[test]
    fn features_elsewhere_do_not_matter() {
        check(&DEMO.replace("0 greenlight", "0 memchr v2.8.3 [default,std]\n0 greenlight"), &[]);
    }

    #[test]
    fn a_feature_below_the_costly_tree_does() {
        check(
            &DEMO.replace("memchr v2.8.3 [std]", "memchr v2.8.3 [default,std]"),
            &["1: deltalake is compiled once for the tests and again for script/demo; these differ: \
             memchr v2.8.3 [default,std], memchr v2.8.3 [std]"],
        );
    }

    #[test]
    fn what_cargo_prints_once_is_found_again() {
        let tests = "\
0 greenlight v0.1.0 []
1 serde v1.0.229 [std]
1 psm v0.1.32 []
2 memchr v2.8.3 [std]
1 deltalake v1.1.2 [datafusion]
2 psm v0.1.32 [] (*)
2 serde v1.0.229 [std] (*)
";
        check(tests, &[]);
    }
}
