//! Endpoints: what serves, how well, and what is each variant worth?

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use greenlight_app::App;
use greenlight_app::endpoint::{EndpointLine, EndpointView, list as find_all, view as find};
use greenlight_app::ledger::VariantValue;
use greenlight_domain::role::Actor;
use greenlight_domain::route::{RoutedModel, Routes};
use maud::{Markup, html};

use super::endpoint_request;
use super::endpoint_tabs::{Tab, tabs};
use crate::chart::split;
use crate::components::figure::{figure, figure_or_none, figure_to_the_cent, verdict};
use crate::components::number::{count, counted, matured_share, milliseconds, percent, share};
use crate::components::{date, empty, release_table, scroll, tiles};
use crate::failure::answer;
use crate::layout;
use crate::layout::Section;
use crate::session::Session;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/endpoints", get(show_all)).route("/endpoints/{name}", get(show))
}

async fn show_all(State(app): State<Arc<App>>, Session(actor): Session) -> Response {
    answer(&actor, find_all(&app, &actor).await.map(|lines| list_page(&lines, &actor)))
}

async fn show(State(app): State<Arc<App>>, Session(actor): Session, Path(name): Path<String>) -> Response {
    answer(&actor, find(&app, &actor, &name).await.map(|view| page(&view, &actor)))
}

/// All endpoints.
pub fn list_page(lines: &[EndpointLine], actor: &Actor) -> Markup {
    let title = "What is serving now?";
    let with_model = lines.iter().filter(|line| line.routes.champion.is_some()).count();
    let body = html! {
        h1 { (title) }
        @if lines.is_empty() {
            (empty("There is no endpoint yet. Describe one in a manifest and apply it:", "greenlight apply -f examples/bank/"))
        } @else {
            p.answer {
                (with_model) " of " (counted(lines.len() as u64, "endpoint", "endpoints"))
                (if with_model == 1 { " has a model that decides" } else { " have a model that decides" })
            }
            (list(lines))
        }
    };
    layout::page(title, Section::Endpoints, Some(actor), body)
}

fn list(lines: &[EndpointLine]) -> Markup {
    let model = |routed: Option<&RoutedModel>, otherwise: &str| {
        html! {
            @match routed {
                Some(routed) => a href={ "/releases/" (routed.release) } { (routed.reference()) },
                None => span.none { (otherwise) },
            }
        }
    };
    scroll(
        "Endpoints",
        html! {
            table {
                thead { tr {
                    th scope="col" { "Endpoint" } th scope="col" { "Initiative" } th scope="col" { "Champion" }
                    th.number scope="col" { "Units" } th scope="col" { "Shadow" }
                } }
                tbody {
                    @for line in lines {
                        tr {
                            th scope="row" { a href={ "/endpoints/" (line.name) } { (line.name) } }
                            td { a href={ "/initiatives/" (line.initiative) } { (line.initiative) } }
                            td { (model(line.routes.champion.as_ref(), "holdout rule only")) }
                            td.number { (percent(line.routes.champion_weight(), 0)) }
                            td {
                                @if line.routes.shadows.is_empty() { (model(None, "none")) }
                                @for (n, shadow) in line.routes.shadows.iter().enumerate() {
                                    @if n > 0 { ", " } (model(Some(shadow), ""))
                                }
                            }
                        }
                    }
                }
            }
        },
    )
}

/// One endpoint.
pub fn page(view: &EndpointView, actor: &Actor) -> Markup {
    let title = format!("What does “{}” do with live traffic?", view.name);
    let body = html! {
        p.eyebrow { "Endpoint · " a href={ "/initiatives/" (view.spec.initiative) } { (view.spec.initiative) } }
        h1 { (title) }
        (tabs(&view.name, Tab::Overview))
        (split::bar(&view.routes, &view.spec.holdout.title))
        (earned(view))
        (traffic(view))
        (worth(&view.ledger.variants))
        (endpoint_request::section(view))
        (history(view))
        section {
            h2 { "Releases" }
            @if view.releases.is_empty() {
                (empty("No release was submitted yet:",
                    &format!("greenlight release submit --endpoint {} --model NAME@VERSION", view.name)))
            } @else { (release_table(&view.releases)) }
        }
    };
    layout::page(&title, Section::Endpoints, Some(actor), body)
}

fn earned(view: &EndpointView) -> Markup {
    let ledger = &view.ledger;
    let (tone, sentence) = verdict(ledger.incremental.as_ref(), ledger.level, ledger.randomised);
    html! {
        section {
            h2 { "What it earned" }
            (tiles(&[
                ("Earned against the holdout", figure_or_none(ledger.incremental.as_ref(), "nothing yet")),
                ("Cost", figure(&ledger.cost)),
                ("Earned after cost", figure_or_none(ledger.net.as_ref(), "not known yet")),
                ("Matured", html! {
                    (matured_share(ledger.matured, ledger.predictions))
                    span.small.muted { (count(ledger.matured.cast_signed())) " of "
                        (counted(ledger.predictions, "prediction", "predictions")) }
                }),
            ]))
            p class={ "verdict " (tone.class()) } { (sentence) }
            @if let Some(until) = ledger.settled_until { p.muted { "Settled until " (date(until)) "." } }
            @if !ledger.assumptions.is_empty() {
                details { summary { "What the value model assumes" }
                    ul { @for assumption in &ledger.assumptions { li { (assumption) } } } }
            }
        }
    }
}

fn traffic(view: &EndpointView) -> Markup {
    html! {
        section {
            h2 { "Traffic" }
            @if view.traffic.is_empty() {
                p.none { "No prediction has been asked for and sealed yet. The example below is ready to be pasted." }
            } @else {
                (scroll("Traffic by variant", html! {
                    table {
                        thead { tr {
                            th scope="col" { "Variant" }
                            @for name in ["Predictions", "Errors", "Median", "99th percentile"] {
                                th.number scope="col" { (name) }
                            }
                            th scope="col" { "Newest" }
                        } }
                        tbody {
                            @for row in &view.traffic {
                                tr {
                                    th scope="row" { (row.variant.as_str()) }
                                    td.number { (count(row.predictions.cast_signed())) }
                                    td.number {
                                        (count(row.errors.cast_signed()))
                                        " (" (percent(share(row.errors, row.predictions), 2)) ")"
                                    }
                                    td.number { (milliseconds(row.p50_latency_us)) }
                                    td.number { (milliseconds(row.p99_latency_us)) }
                                    td { (date(row.newest)) }
                                }
                            }
                        }
                    }
                }))
                p.small.muted {
                    "Sealed predictions by event time; time is that of scoring. "
                    "A failed model is answered by the holdout rule."
                }
            }
        }
    }
}

fn worth(variants: &[VariantValue]) -> Markup {
    html! {
        section {
            h2 { "Value by variant" }
            (scroll("Value by variant", html! {
                table {
                    thead { tr {
                        th scope="col" { "Variant" }
                        @for name in ["Matured units", "Positive outcomes", "Gross", "Per unit"] {
                            th.number scope="col" { (name) }
                        }
                    } }
                    tbody {
                        @for variant in variants {
                            tr {
                                th scope="row" { (variant.variant.as_str()) }
                                td.number { (count(variant.units)) }
                                td.number { (count(variant.positives)) }
                                td.number { (figure(&variant.gross)) }
                                td.number { (per_unit(variant)) }
                            }
                        }
                    }
                }
            }))
            p.small.muted {
                "Gross is what the value model counts, whoever caused it. "
                "Only the difference between randomised variants is earned."
            }
        }
    }
}

fn per_unit(variant: &VariantValue) -> Markup {
    html! {
        @if variant.units > 0 {
            (figure_to_the_cent(variant.gross.minor / variant.units as f64, &variant.gross))
        } @else { span.none { "–" } }
    }
}

fn history(view: &EndpointView) -> Markup {
    html! {
        section {
            h2 { "How the routes came to be" }
            @if view.history.is_empty() {
                p.none { "No route was written yet: every unit gets the holdout rule." }
            } @else {
                (scroll("Routes", html! {
                    table {
                        thead { tr {
                            th.number scope="col" { "Version" } th scope="col" { "When" } th scope="col" { "Who" }
                            th scope="col" { "What" } th scope="col" { "Why" }
                        } }
                        tbody {
                            @for change in &view.history {
                                tr {
                                    td.number { (change.routes.version) }
                                    td.nowrap { (date(change.at)) }
                                    td { (change.actor) }
                                    td { (described(&change.routes)) }
                                    td { (change.reason) }
                                }
                            }
                        }
                    }
                }))
            }
        }
    }
}

fn described(routes: &Routes) -> String {
    let decides = routes.champion.as_ref().map_or_else(
        || "holdout only".to_owned(),
        |champion| format!("{} for {} %", champion.reference(), routes.champion_percent),
    );
    let shadows: Vec<String> = routes.shadows.iter().map(RoutedModel::reference).collect();
    if shadows.is_empty() { decides } else { format!("{decides}; {} in shadow", shadows.join(" and ")) }
}
