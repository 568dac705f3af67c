//! The log: what was predicted, for whom, and what became of it?

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use greenlight_app::lake::log::LogRow;
use greenlight_app::prediction::{LogPage, LogQuery, PredictionView, list as find_all, view as find};
use greenlight_app::{App, AppError};
use greenlight_domain::evidence::Grade;
use greenlight_domain::ledger::Figure;
use greenlight_domain::money::Currency;
use greenlight_domain::role::Actor;
use maud::{Markup, html};

use super::endpoint_tabs::{Tab, eyebrow, tabs};
use crate::chart::waterfall::written;
use crate::components::figure::figure_to_the_cent;
use crate::components::number::{count, decimal, milliseconds};
use crate::components::{empty, scroll, tiles};
use crate::failure::answer;
use crate::layout;
use crate::layout::Section;
use crate::session::{Session, percent_encoded};

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/endpoints/{name}/predictions", get(show_all))
        .route("/endpoints/{name}/predictions/{id}", get(show))
}

async fn show_all(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Path(name): Path<String>,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Response {
    let found = match query {
        Ok(Query(query)) => find_all(&app, &actor, &name, query).await,
        Err(rejection) => Err(AppError::Invalid(rejection.body_text())),
    };
    answer(&actor, found.map(|page| list_page(&page, &actor)))
}

async fn show(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Path((name, id)): Path<(String, String)>,
) -> Response {
    answer(&actor, find(&app, &actor, &name, &id).await.map(|view| page(&view, &actor)))
}

/// A page of the log.
pub fn list_page(view: &LogPage, actor: &Actor) -> Markup {
    let title = format!("What did “{}” say, and to whom?", view.endpoint);
    let body = html! {
        (eyebrow(&view.endpoint))
        h1 { (title) }
        (tabs(&view.endpoint, Tab::Log))
        (filters(view))
        @match view.window {
            None => (empty("No prediction has been asked for and sealed yet. Ask the endpoint, or replay history:",
                &format!("greenlight endpoint show {}", view.endpoint))),
            Some(window) => {
                @if !view.query.id.trim().is_empty() {
                    p.muted { "The prediction with this id; no other filter counts beside it." }
                } @else { p.muted {
                    "Sealed predictions with an event time from " (window.from) " to " (window.until) ", newest first."
                    @if let Some(extent) = view.extent {
                        " The log holds " (count(extent.predictions.cast_signed())) " rows from "
                        (extent.oldest.date()) " to " (extent.newest.date()) "."
                    }
                } }
                @if view.rows.is_empty() {
                    (empty("No prediction of this window fits. Loosen a filter, or widen the window:",
                        &format!("greenlight endpoint log {} --from {}", view.endpoint,
                            view.extent.map_or_else(String::new, |extent| extent.oldest.date().to_string()))))
                } @else {
                    (rows(&view.endpoint, &view.rows))
                    @if let Some(next) = &view.next {
                        p { a.button href={ "?" (address(&view.query, next)) } { "Older predictions" } }
                    }
                }
            }
        }
    };
    layout::page(&title, Section::Endpoints, Some(actor), body)
}

/// The same filters with another place to go on from.
fn address(query: &LogQuery, after: &str) -> String {
    let pairs = [
        ("from", query.from.as_str()),
        ("until", &query.until),
        ("unit", &query.unit),
        ("variant", &query.variant),
        ("decision", &query.decision),
        ("model", &query.model),
        ("error", &query.error),
        ("probability_from", &query.probability_from),
        ("probability_until", &query.probability_until),
        ("limit", &query.limit),
        ("after", after),
    ];
    let set = pairs.iter().filter(|(_, value)| !value.is_empty());
    set.map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect::<Vec<_>>().join("&")
}

fn filters(view: &LogPage) -> Markup {
    let query = &view.query;
    let field = |name: &str, label: &str, value: &str, hint: &str| {
        html! {
            div { label for=(name) { (label) }
                input id=(name) name=(name) value=(value) placeholder=(hint) maxlength="256" autocomplete="off"; }
        }
    };
    let choice = |name: &str, label: &str, value: &str, options: &[(&str, &str)]| {
        html! {
            div { label for=(name) { (label) }
                select id=(name) name=(name) {
                    @for (option, shown) in options { option value=(option) selected[*option == value] { (shown) } }
                    @if !options.iter().any(|(option, _)| *option == value) { option value=(value) selected { (value) } }
                } }
        }
    };
    let decisions: Vec<(&str, &str)> =
        std::iter::once(("", "any")).chain(view.decisions.iter().map(|d| (d.as_str(), d.as_str()))).collect();
    let variants = [
        ("", "any"),
        ("champion", "champion"),
        ("challenger", "challenger"),
        ("holdout", "holdout"),
        ("shadow", "shadow"),
    ];
    html! {
        form.filters method="get" {
            (field("from", "From", &query.from, "2009-05-04"))
            (field("until", "Until", &query.until, "2009-05-11T12:00:00Z"))
            (field("unit", "Unit", &query.unit, ""))
            (choice("variant", "Variant", &query.variant, &variants))
            (choice("decision", "Decision", &query.decision, &decisions))
            (field("probability_from", "Probability from", &query.probability_from, "0.0"))
            (field("probability_until", "Probability to", &query.probability_until, "1.0"))
            (choice("error", "Model failed", &query.error, &[("", "any"), ("yes", "yes"), ("no", "no")]))
            (field("model", "Model", &query.model, "name@1"))
            (field("id", "Prediction id", &query.id, ""))
            div.filters-go { button.primary type="submit" { "Show" } " " a href="?" { "Clear" } }
        }
    }
}

fn rows(endpoint: &str, rows: &[LogRow]) -> Markup {
    let endpoint = percent_encoded(endpoint);
    scroll(
        "Predictions",
        html! {
            table {
                thead { tr {
                    th scope="col" { "When" } th scope="col" { "Unit" } th scope="col" { "Variant" }
                    th.number scope="col" { "Probability" } th scope="col" { "Decision" } th scope="col" { "Model" }
                    th.number scope="col" { "Scoring" } th scope="col" { "Failure" }
                } }
                tbody {
                    @for row in rows {
                        tr {
                            th.nowrap scope="row" { a href={ "/endpoints/" (endpoint) "/predictions/" (row.id) } { (row.at) } }
                            td.nowrap { (row.unit) }
                            td { (row.variant) }
                            td.number { (probability(row.probability)) }
                            td { (row.decision) }
                            td { (or_none(row.model.as_deref())) }
                            td.number { @if row.latency_us > 0 { (milliseconds(row.latency_us as f64)) } @else { span.none { "–" } } }
                            td.why { (row.error.as_deref().unwrap_or("")) }
                        }
                    }
                }
            }
        },
    )
}

fn probability(known: Option<f64>) -> Markup {
    html! { @match known { Some(known) => (decimal(known, 4)), None => span.none { "–" } } }
}

fn or_none(text: Option<&str>) -> Markup {
    html! { @match text { Some(text) => (text), None => span.none { "–" } } }
}

/// One prediction.
pub fn page(view: &PredictionView, actor: &Actor) -> Markup {
    let title = format!("What was said about “{}”, and what became of it?", view.row.unit);
    let endpoint = percent_encoded(&view.endpoint);
    let body = html! {
        (eyebrow(&view.endpoint))
        h1 { (title) }
        (tabs(&view.endpoint, Tab::Log))
        p.answer { (said(&view.row)) }
        p.muted { "Prediction " code { (view.row.id) } " of " (view.row.at) }
        @if let Some(error) = &view.row.error { p.verdict.bad { "The model failed: " (error) } }
        (tiles(&[
            ("Variant", html! { (view.row.variant)
                @if let Some(share) = view.row.propensity { span.small.muted { "with probability " (decimal(share, 3)) } } }),
            ("Model", html! { (or_none(view.row.model.as_deref()))
                @if let Some(release) = &view.row.release { span.small.muted { "release "
                    a href={ "/releases/" (percent_encoded(release)) } { (release) } } } }),
            ("The champion decides", or_none(view.row.champion_decision.as_deref())),
            ("Scoring", html! { (milliseconds(view.row.latency_us as f64)) }),
        ]))
        @if let Some(live) = view.row.mirrors {
            p { "A shadow of the live prediction " a href={ "/endpoints/" (endpoint) "/predictions/" (live) } { code { (live) } } "." }
        }
        (outcomes(view))
        section {
            h2 { "Features" }
            p { a.button href={ "/endpoints/" (endpoint) "/try?prediction=" (view.row.id)
                @if let Some(model) = &view.row.model { "&model=" (percent_encoded(model)) } } { "Explain this row" } }
            (pairs("Features", view.features.iter().map(|(name, value)| (name.as_str(), written(value)))))
        }
        @if !view.mirrors.is_empty() { section { h2 { "Shadows that mirrored it" } (rows(&view.endpoint, &view.mirrors)) } }
        @if !view.more.is_empty() {
            section { h2 { "More of the log" }
                (pairs("More columns", view.more.iter().map(|(name, value)| (name.as_str(), value.clone())))) }
        }
    };
    layout::page(&title, Section::Endpoints, Some(actor), body)
}

fn said(row: &LogRow) -> String {
    match row.probability {
        Some(known) => format!("{} at a probability of {}", row.decision, decimal(known, 3)),
        None => format!("{}, without a probability", row.decision),
    }
}

fn outcomes(view: &PredictionView) -> Markup {
    html! {
        section {
            h2 { "What became of it" }
            @if view.outcomes.is_empty() {
                p.none { "No outcome has been received and sealed." }
            } @else {
                ul { @for outcome in &view.outcomes {
                    li { (outcome.name) " " b { (decimal(outcome.value, usize::from(outcome.value.fract() != 0.0) * 3)) }
                        " at " (outcome.at) }
                } }
            }
            @match &view.settled {
                None => p.none { "Not settled yet." },
                Some(settled) => p {
                    "Settled: worth " (gross(settled.value_minor, view.currency)) " by the value model"
                    @if let Some(earned) = settled.earned_minor {
                        ", and " (gross(earned.round() as i64, view.currency)) " to the sum earned against the holdout"
                    }
                    "."
                },
            }
        }
    }
}

/// What the value model counts, whoever caused it: the same grade as the ledger's gross.
fn gross(minor: i64, currency: Currency) -> Markup {
    figure_to_the_cent(minor as f64, &Figure::counted(minor, Grade::A, currency))
}

fn pairs<'a>(label: &str, pairs: impl Iterator<Item = (&'a str, String)>) -> Markup {
    scroll(
        label,
        html! {
            table.compact {
                thead { tr { th scope="col" { "Name" } th scope="col" { "Value" } } }
                tbody { @for (name, value) in pairs { tr { th scope="row" { (name) } td { (value) } } } }
            }
        },
    )
}
