//! The part of an initiative's page that people wrote: problem, metric, business case, costs, value model.

use greenlight_app::initiative::InitiativeView;
use greenlight_app::value_version::ValueHistory;
use greenlight_domain::business_case::Effect;
use greenlight_domain::evidence::Grade;
use greenlight_domain::ledger::Figure;
use greenlight_domain::money::Amount;
use greenlight_domain::time::Micros;
use maud::{Markup, html};

use crate::components::figure::{asserted, figure, figure_to_the_cent, grade};
use crate::components::number::decimal;
use crate::components::{Tone, date, empty, notice, scroll};

pub(super) fn problem(view: &InitiativeView) -> Markup {
    let metric = &view.spec.metric;
    html! {
        section {
            h2 { "The problem" }
            p { (view.spec.problem) }
            h3 { "How success is noticed" }
            p.metric {
                (metric.name) ": " b { (trimmed(metric.baseline)) }
                span aria-hidden="true" { " → " } span.unseen { " to " }
                b { (trimmed(metric.target)) } " " (metric.unit) " by " (date(metric.target_date))
            }
        }
    }
}

/// Up to four decimals, without zeros at the end.
fn trimmed(number: f64) -> String {
    let text = decimal(number, 4);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

pub(super) fn business_case(view: &InitiativeView) -> Markup {
    let Some((name, case)) = &view.business_case else {
        return html! {
            section {
                h2 { "The business case" }
                (empty("Nobody has forecast what this will earn. A forecast counts only when it is dated first:",
                    "greenlight apply -f DIR"))
            }
        };
    };
    let effect = match case.effect {
        Effect::Revenue => "More revenue",
        Effect::Saving => "Less cost",
    };
    let total = asserted(case.low, case.expected, case.high, view.spec.value.currency);
    html! {
        section {
            h2 { "The business case" }
            p.big-figure { (figure(&total)) }
            p {
                (effect) " over " (case.horizon_days) " days from " (date(case.starts))
                "; forecast dated " (date(case.dated)) " as " code { (name) } ". "
                "One in ten such cases should end below low, and one in ten above high."
            }
            @if !case.drivers.is_empty() {
                h3 { "What it rests on" }
                ul { @for driver in &case.drivers { li { (driver) } } }
            }
        }
    }
}

pub(super) fn value(view: &InitiativeView, history: &ValueHistory) -> Markup {
    let value = &view.spec.value;
    html! {
        section {
            h2 { "How a decision becomes money" }
            pre { code { (value.expression) } }
            p.muted {
                "In " (value.currency.code()) ". Decisions: " (value.decisions.join(", ")) ". Outcome: "
                code { (value.outcome) } ", read as 0 when it is absent " (value.window_days) " days after the prediction."
            }
            @if !value.assumptions.is_empty() {
                div.assumptions {
                    h3 { "Assumed, not measured" }
                    ul { @for assumption in &value.assumptions { li { (assumption) } } }
                }
            }
            (versions(view, history))
        }
    }
}

/// What counted before, what decides still, and what was valued anew; nothing while there is one version.
fn versions(view: &InitiativeView, history: &ValueHistory) -> Markup {
    let [older @ .., newest] = history.versions.as_slice() else { return html! {} };
    if older.is_empty() {
        return html! {};
    }
    html! {
        p.versions { "This is version " (newest.version) ", applied by " (newest.created_by) " on " (date(newest.created_at)) "." }
        @for endpoint in &history.endpoints {
            @if endpoint.decides_by < newest.version {
                (notice(Tone::Waiting, &format!(
                    "{} still decides by version {}: a release has to pass its gates with version {} first.",
                    endpoint.endpoint, endpoint.decides_by, newest.version
                )))
            }
            @if let Some(last) = endpoint.periods.last() {
                p.muted.small {
                    "Version " (last.version) " counts the predictions of " (endpoint.endpoint) " from " (date(last.from)) "."
                    @if began(view, &endpoint.endpoint).is_some_and(|first| first < last.from) {
                        " To count earlier ones by the newest: "
                        code { "greenlight ledger restate " (endpoint.endpoint) " --reason … --dry-run" }
                    }
                }
            }
        }
        @if history.endpoints.iter().any(|endpoint| !endpoint.restatements.is_empty()) {
            h3 { "Restated" }
            (scroll("What was restated", restatements(view, history)))
        }
        details {
            summary { "Earlier versions" }
            @for version in older.iter().rev() {
                h3 { "Version " (version.version) }
                pre { code { (version.spec.expression) } }
            }
        }
    }
}

/// The first settled day of an endpoint.
fn began(view: &InitiativeView, endpoint: &str) -> Option<Micros> {
    view.ledgers.iter().find(|ledger| ledger.endpoint == endpoint)?.since
}

fn restatements(view: &InitiativeView, history: &ValueHistory) -> Markup {
    let amount = |minor: i64| {
        let of = Figure::counted(minor, Grade::A, view.spec.value.currency);
        figure_to_the_cent(of.minor, &of)
    };
    html! {
        table.compact {
            thead { tr {
                th scope="col" { "On" }
                th scope="col" { "Days" }
                th.number scope="col" { "Version" }
                th.number scope="col" { "Gross changed by" }
                th.number scope="col" { "Earned changed by" }
                th scope="col" { "Why" }
            } }
            tbody {
                @for one in history.endpoints.iter().flat_map(|endpoint| &endpoint.restatements) {
                    tr {
                        td { (date(one.at)) }
                        td { (date(one.from)) " to before " (date(one.until)) }
                        td.number { (one.version) }
                        td.number { (amount(one.gross_change_minor)) }
                        td.number { (amount(one.incremental_change_minor)) }
                        td { (one.reason) span.muted { " (" (one.by) ")" } }
                    }
                }
            }
        }
    }
}

pub(super) fn costs(view: &InitiativeView) -> Markup {
    let amount = |amount: Amount| {
        let of = Figure::counted(amount.0, Grade::D, view.spec.value.currency);
        html! { @if amount.0 == 0 { span.none { "–" } } @else { (figure_to_the_cent(of.minor, &of)) } }
    };
    html! {
        section {
            h2 { "What it costs to run" }
            @if view.spec.costs.is_empty() {
                p.none { "No cost is stated, so earned after cost is too high. Add " code { "costs" } " to the manifest." }
            } @else {
                (scroll("Costs", html! {
                    table.compact {
                        thead { tr {
                            th scope="col" { "What" }
                            th.number scope="col" { "A month" }
                            th.number scope="col" { "A thousand predictions" }
                        } }
                        tbody {
                            @for line in &view.spec.costs {
                                tr {
                                    th scope="row" { (line.name) }
                                    td.number { (amount(line.per_month)) }
                                    td.number { (amount(line.per_thousand_predictions)) }
                                }
                            }
                        }
                    }
                }))
                p.muted.small { "As its owner states it " (grade(Grade::D)) ", accrued by day into the ledger." }
            }
        }
    }
}
