//! Where do shadow and champion say different things?

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use greenlight_app::App;
use greenlight_app::lake::log::{Disagreement, Disagreements};
use greenlight_app::traffic::{DisagreementView, disagreements};
use greenlight_domain::role::Actor;
use greenlight_domain::time::DAY_US;
use maud::{Markup, html};

use super::endpoint_tabs::{Tab, eyebrow, tabs};
use super::endpoint_traffic::{Days, spans};
use crate::components::number::{count, counted, decimal, percent, share};
use crate::components::{date, empty, scroll};
use crate::failure::answer;
use crate::layout;
use crate::layout::Section;
use crate::session::{Session, percent_encoded};

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/endpoints/{name}/disagreements", get(show))
}

async fn show(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Path(name): Path<String>,
    query: Result<Query<Days>, QueryRejection>,
) -> Response {
    let found = match Days::of(query) {
        Ok(days) => disagreements(&app, &actor, &name, days).await,
        Err(error) => Err(error),
    };
    answer(&actor, found.map(|view| page(&view, &actor)))
}

/// The page.
pub fn page(view: &DisagreementView, actor: &Actor) -> Markup {
    let title = format!("Where do shadow and champion of “{}” disagree?", view.endpoint);
    let next = || {
        if view.shadows.is_empty() {
            let sentence = "No model is in shadow, and none was in this window. Put a release into shadow:";
            return empty(sentence, "greenlight release shadow RELEASE");
        }
        let sentence =
            "No prediction of this window was mirrored and sealed. Look back further, or wait for traffic:";
        empty(sentence, &format!("greenlight endpoint disagreements {} --days 91", view.endpoint))
    };
    let body = html! {
        (eyebrow(&view.endpoint))
        h1 { (title) }
        (tabs(&view.endpoint, Tab::Disagreements))
        @if let Some(window) = view.window { (spans(Some((window.until.0 - window.from.0) / DAY_US))) }
        @match &view.found {
            Some(found) if found.compared > 0 => (compared(view, found)),
            _ => (next()),
        }
    };
    layout::page(&title, Section::Endpoints, Some(actor), body)
}

fn compared(view: &DisagreementView, found: &Disagreements) -> Markup {
    html! {
        p.answer { "They decide differently about " (percent(share(found.decisions_differ, found.compared), 1))
            " of " (counted(found.compared, "unit", "units")) }
        @if let Some(mean) = found.mean_difference {
            p.muted { "Their probabilities differ by " (decimal(mean, 3)) " on average." }
        }
        @if found.top.is_empty() {
            p.verdict.good { "They say the same about every unit that was mirrored." }
        } @else {
            (table(view, &found.top))
            p.small.muted {
                "The " (found.top.len()) " largest differences of probability, largest first; then decisions that differ "
                "where the unit got the holdout and no live probability was logged. The champion's decision is what it "
                "decided, or would have for a unit of the holdout. "
                (count(found.compared.cast_signed())) " mirrored predictions were compared; failed ones are left out."
            }
        }
    }
}

fn table(view: &DisagreementView, top: &[Disagreement]) -> Markup {
    let probability = |known: Option<f64>| {
        html! {
            @match known { Some(known) => (decimal(known, 3)), None => span.none { "–" } }
        }
    };
    let endpoint = percent_encoded(&view.endpoint);
    let models: BTreeSet<&str> = top.iter().filter_map(|pair| pair.shadow_model.as_deref()).collect();
    scroll(
        "Largest disagreements",
        html! {
            table {
                thead { tr {
                    th scope="col" { "Prediction" } th scope="col" { "Unit" }
                    th.number scope="col" { "Champion" } th scope="col" { "decides" }
                    th.number scope="col" { "Shadow" } th scope="col" { "would decide" }
                    th.number scope="col" { "Difference" } th scope="col" { "Why" }
                } }
                tbody {
                    @for pair in top {
                        @let difference = pair.live_probability.zip(pair.shadow_probability).map(|(l, s)| s - l);
                        tr {
                            th scope="row" { a href={ "/endpoints/" (endpoint) "/predictions/" (pair.id) } { (date(pair.at)) } }
                            td { (pair.unit) }
                            td.number { (probability(pair.live_probability)) }
                            td { (pair.live_decision) }
                            td.number {
                                (probability(pair.shadow_probability))
                                @if let (true, Some(model)) = (models.len() > 1, &pair.shadow_model) {
                                    br; span.small.muted { (model) }
                                }
                            }
                            td {
                                (pair.shadow_decision)
                                @if pair.live_decision != pair.shadow_decision { " " span.differs { "differs" } }
                            }
                            td.number { (probability(difference)) }
                            td.nowrap {
                                a href={ "/endpoints/" (endpoint) "/try?prediction=" (pair.id) } { "champion" }
                                @if let Some(model) = &pair.shadow_model {
                                    " · " a href={ "/endpoints/" (endpoint) "/try?prediction=" (pair.id)
                                        "&model=" (percent_encoded(model)) } { "shadow" }
                                }
                            }
                        }
                    }
                }
            }
        },
    )
}
