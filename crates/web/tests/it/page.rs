//! Whole pages: what they say first, what they offer to whom, and that hostile text stays text.

use greenlight_app::AppError;
use greenlight_domain::evidence::Grade;
use greenlight_domain::release::Stage;
use greenlight_domain::role::Role;
use greenlight_web::{error_page, pages};

use crate::fixtures::{
    ab_test, actor, endpoint, endpoint_line, figure, initiative, release, release_view, value_history,
};

const HOSTILE: &str = "<script>alert('x')</script>\"><img src=x onerror=y>";

fn proven() -> greenlight_domain::ledger::Figure {
    figure(1_732_000.0, 251_000.0, 3_213_000.0, Grade::A)
}

/// What stands in `main`, a tag a line, so that a snapshot shows a change where it is.
fn content(page: &maud::Markup) -> String {
    let text = page.0.replace("><", ">\n<");
    let from = text.find("<main").unwrap();
    let until = text.find("</main>").unwrap();
    text[from..until].to_owned()
}

fn says(page: &maud::Markup, expected: &[&str]) {
    for words in expected {
        assert!(page.0.contains(words), "'{words}' is missing in {}", page.0);
    }
}

#[test]
fn the_portfolio_answers_its_question() {
    let viewer = actor("vera", Role::Viewer);
    let views = [initiative("Fewer calls", Some(proven())), initiative("Complaints", None)];
    insta::assert_snapshot!(content(&pages::portfolio::page(&views, &viewer)));
    let empty = pages::portfolio::page(&[], &viewer);
    says(&empty, &["greenlight apply -f examples/bank/", "greenlight demo"]);
}

#[test]
fn two_currencies_are_not_added() {
    let mut dollars = initiative("Fewer calls, overseas", Some(proven()));
    dollars.spec.value.currency = "USD".parse().unwrap();
    let views = [initiative("Fewer calls", Some(proven())), dollars];
    says(
        &pages::portfolio::page(&views, &actor("vera", Role::Viewer)),
        &["different currencies, so there is no sum"],
    );
}

#[test]
fn an_initiative_says_first_what_it_earned() {
    let viewer = actor("vera", Role::Viewer);
    let page =
        pages::initiative::page(&initiative("Fewer calls", Some(proven())), &value_history(&[]), &viewer);
    says(
        &page,
        &[
            "€17,320",
            "€2,510 to €32,130",
            "lies wholly above zero",
            "CASE WHEN decision",
            "Assumed, not measured",
        ],
    );
    let early = pages::initiative::page(&initiative("Fewer calls", None), &value_history(&[]), &viewer);
    says(&early, &["Nothing earned yet", "No day has been settled yet"]);
}

#[test]
fn ledgers_of_several_endpoints_are_added_day_by_day() {
    let mut view = initiative("Fewer calls", Some(proven()));
    let mut second = view.ledgers[0].clone();
    second.forecast.truncate(100);
    view.ledgers.push(second);
    let page = pages::initiative::page(&view, &value_history(&[]), &actor("vera", Role::Viewer));
    says(&page, &["€34,640", "90 % confidence sequence"]);
}

#[test]
fn a_stopped_release_says_which_requirement_stopped_it() {
    let page = pages::release::page(&release_view(Stage::Stopped), &actor("ada", Role::Approver), None);
    insta::assert_snapshot!(content(&page));
}

#[test]
fn a_live_release_shows_all_its_evidence() {
    let page = pages::release::page(&release_view(Stage::Live), &actor("vera", Role::Viewer), None);
    says(&page, &["2008-07", "Score drift (PSI)", "2 of 2", "present", "resamples", "0.183 ms"]);
}

#[test]
fn a_test_says_first_what_to_do_and_why() {
    let viewer = actor("vera", Role::Viewer);
    let ship = pages::ab_test::page(&ab_test(250.0, 0), &viewer);
    says(
        &ship,
        &["Ship it", "lies wholly above zero", "grade A", "greenlight release ab-test calls.3 --json"],
    );
    let open = pages::ab_test::page(&ab_test(20.0, 0), &viewer);
    says(&open, &["Keep going", "still includes zero"]);
    let blocked = pages::ab_test::page(&ab_test(250.0, 8), &viewer);
    says(&blocked, &["No verdict", "units were lost", "1,920", "2,400"]);
    let mut empty = ab_test(250.0, 0);
    empty.readout = greenlight_domain::ab_test::read(&[], &crate::fixtures::policy().rollout).unwrap();
    says(&pages::ab_test::page(&empty, &viewer), &["Keep going", "greenlight endpoint settle calls"]);
}

#[test]
fn only_somebody_who_may_decide_is_offered_the_form() {
    let view = release_view(Stage::AwaitingApproval);
    let page = |name, role| pages::release::page(&view, &actor(name, role), None).0;
    let form = "action=\"/releases/calls.3/decisions\"";
    assert_eq!(page("bo", Role::Approver).matches(form).count(), 2);
    assert!(!page("vera", Role::Viewer).contains(form));
    assert!(!page("ada", Role::Approver).contains(form), "she has decided already");
    assert!(!page("sam", Role::Admin).contains(form), "he submitted it");
    let approved = pages::release::page(&release_view(Stage::Approved), &actor("bo", Role::Approver), None);
    assert!(!approved.0.contains(form));
}

#[test]
fn a_refused_decision_is_shown_on_the_page() {
    let view = release_view(Stage::AwaitingApproval);
    let page = pages::release::page(&view, &actor("ada", Role::Approver), Some("Ada has decided already"));
    says(&page, &["role=\"alert\"", "Ada has decided already"]);
}

#[test]
fn an_endpoint_shows_its_split_and_a_request() {
    let page = pages::endpoint::page(&endpoint(), &actor("vera", Role::Viewer));
    says(
        &page,
        &[
            "Champion 90 percent, holdout 10 percent.",
            "Call everyone on the list",
            "/v2/models/calls/infer",
            "0.171 ms",
        ],
    );
    insta::assert_snapshot!(content(&page));
}

#[test]
fn lists_say_what_to_do_when_empty() {
    let viewer = actor("vera", Role::Viewer);
    says(&pages::release::list_page(&[], &viewer), &["greenlight release submit"]);
    says(&pages::endpoint::list_page(&[], &viewer), &["greenlight apply"]);
    says(&pages::release::list_page(&[release("calls.1", Stage::Live)], &viewer), &["1 serving"]);
    says(&pages::endpoint::list_page(&[endpoint_line()], &viewer), &["1 of 1 endpoint"]);
}

#[test]
fn hostile_text_stays_text() {
    let mut view = initiative(HOSTILE, Some(proven()));
    view.name = HOSTILE.into();
    view.spec.problem = HOSTILE.into();
    view.spec.value.assumptions = vec![HOSTILE.into()];
    view.business_case = view.business_case.map(|(_, case)| (HOSTILE.into(), case));
    let mut release = release_view(Stage::AwaitingApproval);
    release.release.model = HOSTILE.into();
    release.release.reason = Some(HOSTILE.into());
    release.approvals[0].comment = HOSTILE.into();
    release.evidence[0].result.checks[0].found = HOSTILE.into();
    let mut endpoint = endpoint();
    endpoint.spec.unit = format!("{HOSTILE}' ; rm -rf /");
    endpoint.history[0].reason = HOSTILE.into();
    let who = actor(HOSTILE, Role::Approver);
    for page in [
        pages::portfolio::page(&[view.clone()], &who),
        pages::initiative::page(&view, &value_history(&["'<b>'", "1"]), &who),
        pages::release::page(&release, &who, Some(HOSTILE)),
        pages::endpoint::page(&endpoint, &who),
        pages::login::page(HOSTILE, Some(HOSTILE)),
        error_page(Some(&who), &AppError::not_found("page", HOSTILE, "")),
    ] {
        assert!(!page.0.contains("<script") && !page.0.contains("<img"), "{}", page.0);
        assert!(!page.0.contains("style=") && !page.0.contains("NaN"), "{}", page.0);
    }
}

#[test]
fn a_quote_cannot_leave_the_shell_command() {
    let mut endpoint = endpoint();
    endpoint.spec.unit = "a'b".into();
    let page = pages::endpoint::page(&endpoint, &actor("vera", Role::Viewer));
    says(&page, &["a'\\''b"]);
}

#[test]
fn an_error_page_says_what_to_do_and_hides_the_inside() {
    let page = error_page(
        None,
        &AppError::not_found("release", "calls.9", "list them with 'greenlight release list'"),
    );
    says(&page, &["404", "GL0003", "There is no release 'calls.9'; list them", "greenlight explain GL0003"]);
    let inside = error_page(None, &AppError::Internal("password=hunter2".into()));
    assert!(!inside.0.contains("hunter2"));
}

#[test]
fn an_initiative_says_what_counted_before_what_decides_still_and_what_was_restated() {
    let viewer = actor("vera", Role::Viewer);
    let view = initiative("Fewer calls", Some(proven()));
    let first =
        pages::initiative::page(&view, &value_history(&["10 * outcomes.bought"]), &viewer).into_string();
    assert!(!first.contains("This is version") && !first.contains("Restated"));
    let history = value_history(&["10 * outcomes.bought", "9 * outcomes.bought"]);
    let page = pages::initiative::page(&view, &history, &viewer).into_string();
    for words in [
        "This is version 2",
        "calls still decides by version 1",
        "the margin was too high",
        "10 * outcomes.bought",
        "greenlight ledger restate calls",
    ] {
        assert!(page.contains(words), "{words}");
    }
}
