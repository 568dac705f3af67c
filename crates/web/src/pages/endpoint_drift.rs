//! Does an endpoint still see what it saw when it began, and does its model score as in training?

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use greenlight_app::App;
use greenlight_app::drift::{
    ColumnDrift, DriftView, MOVED, Movement, REFERENCE_DAYS, STABLE, Side, of_endpoint,
};
use greenlight_domain::role::Actor;
use maud::{Markup, html};

use super::endpoint_tabs::{Tab, eyebrow, tabs};
use super::endpoint_traffic::{Days, spans};
use crate::chart::pairs;
use crate::components::number::{count, decimal};
use crate::components::stage::labelled;
use crate::components::{Tone, date, empty, scroll};
use crate::failure::answer;
use crate::layout;
use crate::layout::Section;
use crate::session::Session;

/// Features whose distributions are drawn.
const DRAWN: usize = 3;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/endpoints/{name}/drift", get(show))
}

async fn show(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Path(name): Path<String>,
    query: Result<Query<Days>, QueryRejection>,
) -> Response {
    let found = match Days::of(query) {
        Ok(days) => of_endpoint(&app, &actor, &name, days, REFERENCE_DAYS).await,
        Err(error) => Err(error),
    };
    answer(&actor, found.map(|view| page(&view, &actor)))
}

/// The page.
pub fn page(view: &DriftView, actor: &Actor) -> Markup {
    let title = format!("Does “{}” still see what it saw at first?", view.endpoint);
    let body = html! {
        (eyebrow(&view.endpoint))
        h1 { (title) }
        (tabs(&view.endpoint, Tab::Drift))
        @if view.current.is_some() { (spans(days(view))) }
        @match (&view.reference, &view.current) {
            (Some(reference), Some(current)) => (compared(view, reference, current)),
            (None, Some(_)) => p.verdict { "The log is too short to compare its first days with its last: both windows "
                "begin on the same day. Look back fewer days, or wait." },
            _ => (empty("No prediction has been asked for and sealed yet. Ask the endpoint, or replay history:",
                &format!("greenlight endpoint show {}", view.endpoint))),
        }
        @if let (Some(score), Some(model)) = (&view.score, &view.model) {
            section {
                h2 { "Scores" }
                p { "Scores of " b { (model) } " against those of its training, in bins of equal training share: PSI "
                    (decimal(score.psi, 2)) " " (badge(score.movement)) }
                (pairs::chart(score, "in training"))
            }
        }
    };
    layout::page(&title, Section::Endpoints, Some(actor), body)
}

fn days(view: &DriftView) -> Option<i64> {
    let window = view.current.as_ref()?.window;
    Some((window.until.0 - window.from.0) / greenlight_domain::time::DAY_US)
}

fn compared(view: &DriftView, reference: &Side, current: &Side) -> Markup {
    let of = |movement| view.features.iter().filter(|column| column.movement == movement).count();
    let (moved, moving, unknown) = (of(Movement::Moved), of(Movement::Moving), of(Movement::Unknown));
    let all = view.features.len();
    let sentence = match (moved, moving) {
        _ if all > 0 && unknown == all => "There are too few rows to tell.".to_owned(),
        (0, 0) => format!("None of {all} features moved beyond chance."),
        (0, moving) => format!("{moving} of {all} features are moving; none has moved far."),
        (moved, moving) => format!("{moved} of {all} features moved, {moving} more are moving."),
    };
    let side = |side: &Side| {
        html! {
            (date(side.window.from)) " to " (date(side.window.until)) " ("
            (count(side.predictions.cast_signed())) " predictions"
            @if (side.sampled as u64) < side.predictions { ", " (count(side.sampled as i64)) " sampled" }
            ")"
        }
    };
    html! {
        p.answer { (sentence) }
        p.muted { "Reference: the first days of the log, " (side(reference)) ". Now: " (side(current)) ". Shadows are left out." }
        (table(&view.features))
        p.small.muted {
            "PSI is the population stability index over ten quantile bins of the reference, or its twenty most frequent "
            "texts; missing values are a bin of their own. Below " (decimal(STABLE, 2)) " reads as stable and above "
            (decimal(MOVED, 2)) " as moved (Siddiqi 2006), but only beyond what chance does with so many rows "
            "(Yurdakul & Naranjo 2020)."
        }
        @for column in view.features.iter().take(DRAWN) { (pairs::chart(column, "the first days of the log")) }
    }
}

fn badge(movement: Movement) -> Markup {
    match movement {
        Movement::Stable => labelled(Tone::Good, "stable"),
        Movement::Moving => labelled(Tone::Waiting, "moving"),
        Movement::Moved => labelled(Tone::Bad, "moved"),
        Movement::Unknown => labelled(Tone::Plain, "too few rows"),
    }
}

fn table(columns: &[ColumnDrift]) -> Markup {
    scroll(
        "Drift by feature",
        html! {
            table {
                thead { tr {
                    th scope="col" { "Feature" } th.number scope="col" { "PSI" }
                    th.number scope="col" { "By chance up to" } th scope="col" { "Reading" }
                } }
                tbody {
                    @for column in columns {
                        tr {
                            th scope="row" { (column.name) }
                            td.number { (decimal(column.psi, 3)) }
                            td.number { (decimal(column.by_chance, 3)) }
                            td { (badge(column.movement)) }
                        }
                    }
                }
            }
        },
    )
}
