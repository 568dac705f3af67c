//! The board and a hypothesis: the finding first, hostile text as text, forms for whoever may write.

use greenlight_app::hypothesis::{
    HypothesisEvent, HypothesisLine, HypothesisRecord, HypothesisRun, HypothesisSearch, HypothesisView,
};
use greenlight_domain::hypothesis::{Effect, Finding, HypothesisSpec, Verdict};
use greenlight_domain::role::Role;
use greenlight_web::pages;

use crate::fixtures::{actor, day};

const HOSTILE: &str = "<script>alert('x')</script>";

fn record(number: i64, verdict: &str) -> HypothesisRecord {
    HypothesisRecord {
        number,
        spec: HypothesisSpec {
            statement: format!("Shorter calls sell more {HOSTILE}"),
            why: "calls cost money".to_owned(),
            refuted_by: "an A/B test".to_owned(),
            initiative: "calls".to_owned(),
            owner: "dana".to_owned(),
        },
        verdict: verdict.to_owned(),
        created_at: day(-9),
        created_by: "dana".to_owned(),
        updated_at: day(-3),
    }
}

fn view(verdict: &str) -> HypothesisView {
    let finding = Finding {
        verdict: Verdict::Refutes,
        effect: Some(Effect { unit: "points".to_owned(), estimate: -0.4, low: -0.9, high: 0.1 }),
        learned: "customers felt hurried".to_owned(),
        next: "try scripts".to_owned(),
    };
    let event = |finding, reason: &str| HypothesisEvent {
        finding,
        reason: reason.to_owned(),
        at: day(-3),
        actor: "dana".to_owned(),
    };
    let run = HypothesisRun {
        id: "0af3".repeat(8),
        name: "trial".to_owned(),
        status: "FINISHED".to_owned(),
        metrics: vec![("auc".to_owned(), 0.71)],
    };
    HypothesisView {
        id: "H-1".to_owned(),
        hypothesis: record(1, verdict),
        events: vec![event(Some(finding), ""), event(None, "a new script")],
        runs: vec![run],
    }
}

#[track_caller]
fn says(page: &maud::Markup, expected: &[&str]) {
    for words in expected {
        assert!(page.0.contains(words), "'{words}' is missing in {}", page.0);
    }
    assert!(!page.0.contains(HOSTILE), "hostile text is markup");
}

#[test]
fn the_board_has_a_column_for_each_verdict() {
    let scientist = actor("dana", Role::Scientist);
    let asked = HypothesisSearch::default();
    says(
        &pages::hypothesis::board(&[], &asked, &scientist),
        &["greenlight hypothesis open", "/hypotheses/new"],
    );
    let line = |number, verdict: &str| HypothesisLine {
        id: format!("H-{number}"),
        hypothesis: record(number, verdict),
    };
    let lines = [line(1, ""), line(2, "refutes"), line(3, "supports")];
    let page = pages::hypothesis::board(&lines, &asked, &actor("vera", Role::Viewer));
    says(&page, &["1 is open", "1 refuted", "1 supported", "0 inconclusive", "/hypotheses/H-2"]);
    assert!(!page.0.contains("/hypotheses/new"));
    let nothing = HypothesisSearch { q: HOSTILE.to_owned(), ..asked };
    says(
        &pages::hypothesis::board(&[], &nothing, &scientist),
        &["Nobody has tried anything of these words yet"],
    );
}

#[test]
fn a_finding_stands_first_and_can_be_questioned() {
    let scientist = actor("dana", Role::Scientist);
    let closed = pages::hypothesis::page(&view("refutes"), &scientist, None);
    says(
        &closed,
        &["refuted", "customers felt hurried", "try scripts", "effect-range", "Open it again", "auc 0.71"],
    );
    let open = pages::hypothesis::page(&view(""), &scientist, Some("It is closed."));
    says(&open, &["Close it with a finding", "opened it again: a new script", "It is closed.", "1 run"]);
    let viewer = pages::hypothesis::page(&view(""), &actor("vera", Role::Viewer), None);
    assert!(!viewer.0.contains("<form class=\"narrow-form\""));
}
