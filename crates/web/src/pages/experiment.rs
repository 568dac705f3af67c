//! Experiments: what has been tried, and where does work go on?

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use greenlight_app::experiment_overview::{ExperimentLine, ExperimentPage, MAX_EXPERIMENTS, overview};
use greenlight_app::{App, AppError};
use greenlight_domain::role::Actor;
use maud::{Markup, html};
use serde::Deserialize;

use crate::components::number::count;
use crate::components::research::{how_many, moment};
use crate::components::{date, empty, scroll};
use crate::failure::answer;
use crate::layout;
use crate::layout::Section;
use crate::session::{Session, percent_encoded};

/// What logs a first run.
pub(super) const LOG_A_RUN: &str = "export MLFLOW_TRACKING_URI=$GREENLIGHT_URL MLFLOW_TRACKING_TOKEN=$GREENLIGHT_TOKEN\n\
                                    python -c 'import mlflow; mlflow.set_experiment(\"churn\"); mlflow.log_metric(\"auc\", 0.7)'";

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/experiments", get(show))
}

/// A part of names, and how many things come before the page.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) from: i64,
}

async fn show(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let found = match query {
        Ok(Query(wanted)) => overview(&app, &actor, &wanted.name, wanted.from).await,
        Err(rejection) => Err(AppError::Invalid(rejection.body_text())),
    };
    answer(&actor, found.map(|view| page(&view, &actor)))
}

/// A page of experiments.
pub fn page(view: &ExperimentPage, actor: &Actor) -> Markup {
    let title = "What has been tried?";
    let body = html! {
        h1 { (title) }
        (by_name("Name of the experiment contains", &view.part))
        @if view.lines.is_empty() {
            @if view.part.is_empty() && view.offset == 0 {
                (empty("No experiment was created yet. Log a run with MLflow's client:", LOG_A_RUN))
            } @else {
                p.none { "No experiment fits. " a href="/experiments" { "Show all" } }
            }
        } @else {
            (list(&view.lines))
            (ways(&view.part, view.offset, MAX_EXPERIMENTS, view.more))
        }
    };
    layout::page(title, Section::Experiments, Some(actor), body)
}

/// A search by a part of the name.
pub(super) fn by_name(label: &str, part: &str) -> Markup {
    html! {
        form.filters method="get" role="search" {
            div { label for="name" { (label) }
                input id="name" name="name" value=(part) maxlength="256" autocomplete="off" spellcheck="false"; }
            div.filters-go { button.primary type="submit" { "Search" } @if !part.is_empty() { " " a href="?" { "Clear" } } }
        }
    }
}

/// The way to the pages before and after.
pub(super) fn ways(part: &str, offset: i64, length: i64, more: bool) -> Markup {
    let address = |from: i64| format!("?name={}&from={from}", percent_encoded(part));
    html! {
        @if offset > 0 || more {
            nav.pages aria-label="Pages" {
                @if offset > 0 { a.button href=(address((offset - length).max(0))) { "Previous " (length) } }
                @if more { a.button href=(address(offset.saturating_add(length))) { "Next " (length) } }
                p.muted { "From number " (count(offset.saturating_add(1))) }
            }
        }
    }
}

fn list(lines: &[ExperimentLine]) -> Markup {
    scroll(
        "Experiments",
        html! {
            table.cards {
                thead { tr {
                    th scope="col" { "Experiment" } th.number scope="col" { "Runs" }
                    th scope="col" { "Newest run" } th scope="col" { "Created" }
                } }
                tbody {
                    @for line in lines {
                        @let experiment = &line.experiment;
                        tr {
                            th scope="row" { a href={ "/experiments/" (experiment.id) } { (experiment.name) } }
                            td.number data-label="Runs" { (how_many(line.runs, "run", "runs")) }
                            td data-label="Newest run" {
                                @match line.newest_run { Some(at) => (moment(at)), None => span.none { "none yet" } }
                            }
                            td data-label="Created" {
                                span { @if experiment.created_at.0 > 0 { (date(experiment.created_at)) " " }
                                    "by " (experiment.created_by) }
                            }
                        }
                    }
                }
            }
        },
    )
}
