//! The pages that look into an endpoint, and their charts.

use greenlight_app::explain::ScoreExplanation;
use greenlight_app::lake::log::LogRow;
use greenlight_app::prediction::{LogPage, LogQuery};
use greenlight_app::traffic::TrafficView;
use greenlight_domain::role::{Actor, Role};
use greenlight_web::chart::{pairs, shortened, waterfall};
use greenlight_web::pages::{
    endpoint_disagreement, endpoint_drift, endpoint_traffic, endpoint_try, prediction,
};
use maud::Markup;

use crate::fixtures::actor;
use crate::look_fixtures::{
    column, disagreements, drift, explanation, form, log, log_row, prediction as one, traffic, tried,
};

const HOSTILE: &str = "<script>alert('x')</script>\"><img src=x onerror=y>";

fn vera() -> Actor {
    actor("vera", Role::Viewer)
}

fn content(page: &Markup) -> String {
    let text = page.0.replace("><", ">\n<");
    let from = text.find("<main").unwrap();
    let until = text.find("</main>").unwrap();
    text[from..until].to_owned()
}

fn says(page: &Markup, expected: &[&str]) {
    for words in expected {
        assert!(page.0.contains(words), "'{words}' is missing in {}", page.0);
    }
}

fn sound(page: &Markup) {
    for wrong in ["NaN", "style=", "<script", "<img", "onload"] {
        assert!(!page.0.contains(wrong), "{wrong} in {}", page.0);
    }
}

#[test]
fn the_waterfall_of_few_inputs() {
    insta::assert_snapshot!(waterfall::chart(&explanation(3, false), "calls@3").0.replace("><", ">\n<"));
}

#[test]
fn the_waterfall_adds_up_whatever_shares_a_step() {
    for inputs in [1, 12, 13, 14, 400] {
        let chart = waterfall::chart(&explanation(inputs, true), "calls@3");
        sound(&chart);
        let steps =
            chart.0.matches("class=\"step-up\"").count() + chart.0.matches("class=\"step-down\"").count();
        // Twice, for a wide and a narrow screen, beside the two swatches of the legend written as spans.
        assert_eq!(steps / 2, if inputs <= 13 { inputs } else { 13 }, "{inputs}");
        assert_eq!(chart.0.contains("other inputs"), inputs > 13, "{inputs}");
        says(&chart, &["256 orders with seed 7", "Standard error", "this row"]);
    }
}

#[test]
fn a_waterfall_stands_numbers_that_are_none() {
    let mut none: ScoreExplanation = explanation(3, false);
    none.expected = f64::NAN;
    none.score = f64::INFINITY;
    none.contributions[1].amount = f64::NAN;
    sound(&waterfall::chart(&none, "calls@3"));
    none.contributions.clear();
    sound(&waterfall::chart(&none, "calls@3"));
}

#[test]
fn two_distributions_stand_many_bins_and_none() {
    let mut moved = column("emp.var.rate", 0.84, greenlight_app::drift::Movement::Moved);
    says(&pairs::chart(&moved, "in training"), &["33.3 %", "PSI 0.840", "missing"]);
    moved.bins.clear();
    assert_eq!(pairs::chart(&moved, "in training").0, "");
    assert_eq!(shortened("abcdef", 4), "abc…");
    assert_eq!(shortened("äöüß", 4), "äöüß");
}

#[test]
fn traffic_is_counted_before_it_is_drawn() {
    let page = endpoint_traffic::page(&traffic(), &vera());
    says(&page, &["1,780 predictions", "3 h", "Failures of the model", "aria-current=\"page\">Traffic"]);
    sound(&page);
    let empty = TrafficView { window: None, extent: None, buckets: vec![], ..traffic() };
    says(&endpoint_traffic::page(&empty, &vera()), &["greenlight endpoint show calls"]);
}

#[test]
fn drift_says_what_it_is_compared_with() {
    let page = endpoint_drift::page(&drift(), &vera());
    says(
        &page,
        &[
            "1 of 3 features moved, 1 more are moving",
            "the first days of the log",
            "4,012 sampled",
            "in training",
        ],
    );
    sound(&page);
    let mut short = drift();
    short.reference = None;
    says(&endpoint_drift::page(&short, &vera()), &["too short to compare"]);
}

#[test]
fn disagreements_are_counted_and_lead_to_their_explanation() {
    let page = endpoint_disagreement::page(&disagreements(), &vera());
    says(&page, &["7.7 %", "−0.510", "/try?prediction=", "&amp;model=deposit-propensity%404"]);
    sound(&page);
    let named = |page: &Markup| page.0.contains("deposit-propensity@4</span>");
    assert!(!named(&page), "one shadow needs no name in each row");
    let mut two = disagreements();
    if let Some(found) = &mut two.found {
        found.top[0].shadow_model = Some("deposit-propensity@5".into());
    }
    assert!(named(&endpoint_disagreement::page(&two, &vera())), "two shadows do");
    let mut none = disagreements();
    none.found = None;
    says(
        &endpoint_disagreement::page(&none, &vera()),
        &["greenlight endpoint disagreements calls --days 91"],
    );
    none.shadows.clear();
    says(&endpoint_disagreement::page(&none, &vera()), &["greenlight release shadow"]);
}

#[test]
fn the_log_keeps_its_filters_from_page_to_page() {
    let page = prediction::list_page(&log(), &vera());
    insta::assert_snapshot!(content(&page));
    says(&page, &["?decision=call&amp;after="]);
    let none = LogPage { rows: vec![], next: None, ..log() };
    says(&prediction::list_page(&none, &vera()), &["greenlight endpoint log calls --from 2009-05-04"]);
    let empty = LogPage { window: None, extent: None, rows: vec![], ..log() };
    says(&prediction::list_page(&empty, &vera()), &["greenlight endpoint show calls"]);
}

#[test]
fn one_prediction_shows_what_became_of_it() {
    let page = prediction::page(&one(), &vera());
    insta::assert_snapshot!(content(&page));
    says(&page, &["call at a probability of 0.427", "€2.82", "grade-A", "Explain this row"]);
}

#[test]
fn a_tried_row_says_the_decision_first() {
    let exact = endpoint_try::page(&form(), Some("deposit-propensity@3"), Ok(&tried(false)), &vera());
    insta::assert_snapshot!(content(&exact));
    says(&exact, &["log-odds", "Nothing was logged", "€0.56", "grade-D", "name=\"feature.age\""]);
    let sampled = endpoint_try::page(&form(), None, Ok(&tried(true)), &vera());
    says(&sampled, &["standard error of at most 0.0040"]);
    sound(&sampled);
    let refused = endpoint_try::page(&form(), None, Err("Age is not a number"), &vera());
    says(&refused, &["role=\"alert\"", "Age is not a number", "value=\"1270.5\""]);
}

#[test]
fn hostile_text_stays_text() {
    let row = LogRow {
        unit: HOSTILE.into(),
        decision: HOSTILE.into(),
        error: Some(HOSTILE.into()),
        model: Some(HOSTILE.into()),
        release: Some(HOSTILE.into()),
        ..log_row('1')
    };
    let query = LogQuery {
        unit: HOSTILE.into(),
        variant: HOSTILE.into(),
        model: HOSTILE.into(),
        ..LogQuery::default()
    };
    let page = LogPage { endpoint: HOSTILE.into(), rows: vec![row.clone()], query, ..log() };
    let mut detail = one();
    detail.row = row;
    detail.features = vec![(HOSTILE.into(), HOSTILE.into())];
    detail.more = vec![(HOSTILE.into(), HOSTILE.into())];
    detail.outcomes[0].name = HOSTILE.into();
    let mut asked = form();
    asked.row = vec![("job".into(), HOSTILE.into())];
    asked.source = HOSTILE.into();
    asked.models = vec![HOSTILE.into()];
    let mut answer = tried(true);
    answer.decision = HOSTILE.into();
    answer.outcome = HOSTILE.into();
    answer.explanation.contributions[0].feature = HOSTILE.into();
    answer.explanation.contributions[0].value = HOSTILE.into();
    let mut moved = drift();
    moved.features[0].name = HOSTILE.into();
    moved.features[0].bins[0].label = HOSTILE.into();
    let mut pairs = disagreements();
    if let Some(found) = &mut pairs.found {
        found.top[0].unit = HOSTILE.into();
        found.top[0].shadow_model = Some(HOSTILE.into());
    }
    let mut counted = traffic();
    counted.buckets[0].variant = HOSTILE.into();
    for page in [
        prediction::list_page(&page, &vera()),
        prediction::page(&detail, &vera()),
        endpoint_try::page(&asked, Some(HOSTILE), Ok(&answer), &vera()),
        endpoint_try::page(&asked, Some(HOSTILE), Err(HOSTILE), &vera()),
        endpoint_drift::page(&moved, &vera()),
        endpoint_disagreement::page(&pairs, &vera()),
        endpoint_traffic::page(&counted, &vera()),
    ] {
        sound(&page);
    }
}
