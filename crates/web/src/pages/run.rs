//! One run: what was logged to it, how did it go, and what was made of it?

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use greenlight_app::run_view::{RunView, RunViewQuery, view as find};
use greenlight_app::{App, AppError};
use greenlight_domain::role::Actor;
use maud::{Markup, html};

use super::{run_chart, run_file, run_related};
use crate::components::number::{count, duration, significant};
use crate::components::research::{left_out, moment, pairs, run_address, status, took};
use crate::components::{Tone, capitalised, notice, scroll, tiles};
use crate::failure::answer;
use crate::layout;
use crate::layout::Section;
use crate::session::{Session, percent_encoded};

/// Most rows of a table of this page.
const MAX_ROWS: usize = 500;
/// The tag that holds what a person wrote about a run.
const NOTE: &str = "mlflow.note.content";

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/runs/{id}", get(show))
}

async fn show(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Path(id): Path<String>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Response {
    let found = match query {
        Ok(Query(pairs)) => find(&app, &actor, &id, &asked(pairs)).await,
        Err(rejection) => Err(AppError::Invalid(rejection.body_text())),
    };
    answer(&actor, found.map(|view| page(&view, &actor)))
}

fn asked(pairs: Vec<(String, String)>) -> RunViewQuery {
    let mut query = RunViewQuery::default();
    for (name, value) in pairs {
        match name.as_str() {
            "metric" => query.metrics.push(value),
            "path" => query.path = value,
            _ => {}
        }
    }
    query
}

/// The page.
pub fn page(view: &RunView, actor: &Actor) -> Markup {
    let info = &view.run.info;
    let title = format!("What did run “{}” find?", info.name);
    let note = view.run.tags.iter().find(|(key, _)| key == NOTE).map(|(_, note)| note);
    let body = html! {
        p.eyebrow { "Run · " a href={ "/experiments/" (view.experiment.id) } { (view.experiment.name) } }
        h1 { (title) }
        @if info.deleted_at.is_some() {
            (notice(Tone::Bad, "This run is deleted. MLflow's client brings it back with restore_run."))
        }
        p.answer { (headline(view)) }
        (tiles(&[
            ("Status", status(info)),
            ("Started, UTC", moment(info.started_at)),
            ("Took", html! { (how_long(view)) }),
            ("Author", html! { (info.author) }),
        ]))
        p.muted.small {
            "Run id " code { (info.id) } " · "
            a href={ "/lineage?node=run%3A" (info.id) } { "What it was made from, and what was made from it" }
        }
        @if let Some(note) = note { blockquote { (note) } }
        (run_chart::curves(view))
        div.columns {
            (metrics(view))
            (params(view))
        }
        (run_related::section(view))
        (run_file::section(view))
        (tags(view))
    };
    layout::page(&title, Section::Experiments, Some(actor), body)
}

/// The first metrics, newest values; where there is none, how the run went.
fn headline(view: &RunView) -> String {
    let run = &view.run;
    let first: Vec<String> = run
        .metrics
        .iter()
        .take(3)
        .map(|metric| format!("{} {}", metric.key, significant(metric.value)))
        .collect();
    if first.is_empty() { capitalised(&run.info.status.to_lowercase()) } else { first.join(" · ") }
}

fn how_long(view: &RunView) -> String {
    let info = &view.run.info;
    took(info).unwrap_or_else(|| {
        let until_now = duration(view.at.0.saturating_sub(info.started_at.0));
        if info.status == "RUNNING" { format!("{until_now} so far") } else { "not known".to_owned() }
    })
}

fn metrics(view: &RunView) -> Markup {
    let metrics = &view.run.metrics;
    html! {
        section {
            h2 { "Metrics" }
            @if metrics.is_empty() { p.none { "No metric was logged." } } @else {
                (scroll("Newest value of each metric", html! {
                    table.compact {
                        thead { tr {
                            th scope="col" { "Metric" } th.number scope="col" { "Newest value" } th.number scope="col" { "Step" }
                        } }
                        tbody {
                            @for metric in metrics.iter().take(MAX_ROWS) {
                                tr {
                                    th scope="row" { a href={ (run_address(&view.run.info.id)) "?metric=" (percent_encoded(&metric.key)) }
                                        title="Draw its curve" { (metric.key) } }
                                    td.number { (significant(metric.value)) }
                                    td.number { (count(metric.step)) }
                                }
                            }
                        }
                    }
                }))
                (left_out(metrics.len(), MAX_ROWS))
            }
        }
    }
}

fn params(view: &RunView) -> Markup {
    html! {
        section {
            h2 { "Parameters" }
            @if view.run.params.is_empty() { p.none { "No parameter was logged." } }
            @else { (pairs("Parameters", &view.run.params, MAX_ROWS)) }
        }
    }
}

/// Tags that people gave are shown; those of clients are one step away.
fn tags(view: &RunView) -> Markup {
    let (of_clients, given): (Vec<_>, Vec<_>) =
        view.run.tags.iter().cloned().partition(|(key, _)| key.starts_with("mlflow."));
    html! {
        section {
            h2 { "Tags" }
            @if given.is_empty() { p.none { "Nobody gave it a tag." } } @else { (pairs("Tags", &given, MAX_ROWS)) }
            @if !of_clients.is_empty() {
                details {
                    summary { (of_clients.len()) " tags that clients set" }
                    (pairs("Tags of clients", &of_clients, MAX_ROWS))
                }
            }
        }
    }
}
