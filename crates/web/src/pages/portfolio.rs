//! The portfolio: what do our initiatives earn? One row each, and their sum where a sum makes sense.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use greenlight_app::App;
use greenlight_app::initiative::{InitiativeView, portfolio};
use greenlight_domain::ledger::Figure;
use greenlight_domain::role::Actor;
use maud::{Markup, html};

use super::initiative::Money;
use crate::components::figure::{asserted, figure, figure_or_none, interval, sum};
use crate::components::number::{count, matured_share, percent};
use crate::components::{empty, scroll, stage};
use crate::failure::answer;
use crate::layout;
use crate::layout::Section;
use crate::session::Session;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/", get(show))
}

async fn show(State(app): State<Arc<App>>, Session(actor): Session) -> Response {
    answer(&actor, portfolio(&app, &actor).await.map(|views| page(&views, &actor)))
}

const QUESTION: &str = "What do our initiatives earn?";

/// The page.
pub fn page(views: &[InitiativeView], actor: &Actor) -> Markup {
    let rows: Vec<(&InitiativeView, Money)> = views.iter().map(|view| (view, Money::of(view))).collect();
    let body = html! {
        h1 { (QUESTION) }
        @if rows.is_empty() {
            (empty(
                "There is no initiative yet. Describe one in a manifest and apply it, or watch the demo \
                 bring one to production:",
                "greenlight apply -f examples/bank/\ngreenlight demo",
            ))
        } @else {
            (headline(&rows))
            (table(&rows))
            p.muted {
                "Earned is incremental: against the holdout, by recorded randomisation, matured days only. "
                "All initiatives are counted, those that lose included; so no winners are selected, and nothing is shrunk."
            }
            (assumed(views))
        }
    };
    layout::page(QUESTION, Section::Initiatives, Some(actor), body)
}

/// What the value models behind the figures assume; no figure is shown without it.
fn assumed(views: &[InitiativeView]) -> Markup {
    html! {
        div.assumptions {
            h3 { "Assumed, not measured" }
            ul {
                @for view in views {
                    @for assumption in &view.spec.value.assumptions {
                        li { (view.spec.title) ": " (assumption) }
                    }
                }
            }
        }
    }
}

fn headline(rows: &[(&InitiativeView, Money)]) -> Markup {
    let currencies = rows.windows(2).any(|pair| pair[0].1.currency != pair[1].1.currency);
    let earned: Vec<Figure> = rows.iter().filter_map(|(_, money)| money.earned).collect();
    let nets: Vec<Figure> = rows.iter().filter_map(|(_, money)| money.net).collect();
    if currencies {
        return html! {
            p.lead {
                "The initiatives count in different currencies, so there is no sum: each row stands for itself."
            }
        };
    }
    let Some(total) = sum(&earned) else {
        return html! {
            p.answer { "Nothing is earned yet." }
            p.lead { "No initiative has randomised, matured traffic. The forecasts below are assertions (grade D)." }
        };
    };
    let surely: f64 =
        rows.iter().filter(|(_, money)| money.earned.is_some()).map(|(_, m)| 1.0 - m.level).sum();
    html! {
        section.answer-block aria-label="The answer" {
            p.answer { "Earned " (figure(&total)) }
            @if let Some(net) = sum(&nets) { p.answer-second { "After cost " (figure(&net)) } }
            p.lead {
                (earned.len()) " of " (rows.len())
                (if rows.len() == 1 { " initiative" } else { " initiatives" })
                (if earned.len() == 1 { " has" } else { " have" })
                " a randomised figure. "
                @if interval(&total).is_some() {
                    @if earned.len() > 1 {
                        "Low and high add the ends of all intervals; together they hold with at least "
                    } @else {
                        "The interval is a confidence sequence, valid at every look, at "
                    }
                    (percent((1.0 - surely).max(0.0), 0)) "."
                }
            }
        }
    }
}

fn table(rows: &[(&InitiativeView, Money)]) -> Markup {
    scroll(
        "Initiatives",
        html! {
            table.cards {
                thead { tr {
                    th scope="col" { "Initiative" } th scope="col" { "Stage" }
                    th.number scope="col" { "Forecast so far" } th.number scope="col" { "Earned so far" }
                    th.number scope="col" { "Cost" } th.number scope="col" { "After cost" }
                    th.number scope="col" { "Matured" }
                } }
                tbody { @for (view, money) in rows { (row(view, money)) } }
            }
        },
    )
}

fn row(view: &InitiativeView, money: &Money) -> Markup {
    html! {
        tr {
            th scope="row" {
                a href={ "/initiatives/" (view.name) } { (view.spec.title) }
                div.muted.small { (view.spec.owner) }
            }
            td data-label="Stage" { (stage::initiative_badge(view.stage)) }
            td.number data-label="Forecast so far" { (forecast(view, money)) }
            td.number data-label="Earned so far" { (figure_or_none(money.earned.as_ref(), "nothing yet")) }
            td.number data-label="Cost" { (figure_or_none(money.cost.as_ref(), "none yet")) }
            td.number data-label="After cost" { (figure_or_none(money.net.as_ref(), "not known yet")) }
            td.number data-label="Matured" {
                div {
                    @if money.predictions == 0 {
                        span.none { "no traffic" }
                    } @else {
                        (matured_share(money.matured, money.predictions))
                        div.muted.small {
                            (count(money.matured.cast_signed())) " of " (count(money.predictions.cast_signed()))
                        }
                    }
                }
            }
        }
    }
}

/// What was expected until now; before any settled day, over the whole horizon.
fn forecast(view: &InitiativeView, money: &Money) -> Markup {
    match (&money.forecast, &view.business_case) {
        (Some(so_far), _) => figure(so_far),
        (None, Some((_, case))) => html! {
            div {
                (figure(&asserted(case.low, case.expected, case.high, money.currency)))
                div.muted.small { "over all " (case.horizon_days) " days" }
            }
        },
        (None, None) => html! { span.none { "no business case" } },
    }
}
