//! Verbs as a newcomer and a script meet them.

use std::process::Command;

use crate::process::{BINARY, Server, manifests};

fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(BINARY).args(arguments).env_remove("GREENLIGHT_TOKEN").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn exit_codes_and_hints_are_those_of_the_help_page() {
    let (code, _, error) = run(&["release", "list", "--token", "gl_0", "--url", "http://127.0.0.1:9"]);
    assert_eq!(code, 6);
    assert!(error.contains("does not answer") && error.contains("greenlight serve"), "{error}");
    let (code, page, _) = run(&["explain", "gl0002"]);
    assert_eq!(code, 0);
    assert!(page.contains("| approver |"));
    assert_eq!(run(&["explain", "GL9999"]).0, 2);
    let (code, _, error) = run(&["plan", "-f", "/nowhere", "--token", "gl_0"]);
    assert_eq!(code, 2);
    assert!(error.contains("/nowhere"), "{error}");
}

#[test]
fn a_first_lap_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (code, _, error) = run(&["release", "list", "--url", &server.url]);
    assert_eq!(code, 2);
    assert!(error.contains("GREENLIGHT_TOKEN") && error.contains("greenlight explain GL0004"), "{error}");
    let token = server.first_token.clone().unwrap();
    let bank = manifests();
    let bank = bank.to_str().unwrap();
    let empty = server.verb(&token, &["initiative", "list"]);
    assert!(
        String::from_utf8_lossy(&empty.stdout).contains("greenlight apply -f"),
        "an empty list says what to do"
    );
    let planned = server.json(&token, &["plan", "-f", bank]);
    assert!(planned.as_array().unwrap().iter().all(|c| c["action"] == "create"));
    server.json(&token, &["apply", "-f", bank]);
    let again = server.json(&token, &["plan", "-f", bank]);
    assert!(again.as_array().unwrap().iter().all(|c| c["action"] == "unchanged"), "{again}");
    let trained = server.json(&token, &["train", "calls-boosted"]);
    assert_eq!(trained["model"]["dataset"], "bank-marketing@1");
    let release = server.json(
        &token,
        &["release", "submit", "--endpoint", "term-deposit-calls", "--model", "calls-boosted@1"],
    );
    assert_eq!(release["stage"], "gated", "{release}");
    let own = server.verb(&token, &["release", "approve", "term-deposit-calls.1", "--json"]);
    assert_eq!(own.status.code(), Some(5), "not yet, and never by the author");
    let missing = server.verb(&token, &["release", "show", "none"]);
    assert_eq!(missing.status.code(), Some(4));
    let issued = server.json(&token, &["token", "issue", "--name", "vera", "--role", "viewer"]);
    let viewer = issued["token"].as_str().unwrap();
    assert_eq!(server.verb(viewer, &["train", "calls-boosted"]).status.code(), Some(3));
    let trail = server.json(&token, &["audit", "--subject", "term-deposit-calls.1"]);
    assert_eq!(trail[0]["actor"], "admin");
}
