//! The runs of an experiment: which of them are worth a look?

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use greenlight_app::run::RunRecord;
use greenlight_app::run_comparison::MAX_COMPARED;
use greenlight_app::run_search::View;
use greenlight_app::run_table::{LENGTHS, MAX_OFFSET, RunTable, table as find};
use greenlight_app::{App, AppError};
use greenlight_domain::role::Actor;
use maud::{Markup, html};

use super::experiment::LOG_A_RUN;
pub use super::run_column::{Address, Columns};
use super::run_column::{subject, word};
use crate::chart::shortened;
use crate::components::number::{count, significant};
use crate::components::research::{how_many, moment, pairs, run_link, status, took};
use crate::components::{capitalised, empty, scroll};
use crate::failure::answer;
use crate::layout;
use crate::layout::Section;
use crate::session::Session;

/// Most columns of one kind that are offered.
const MAX_OFFERED: usize = 200;
/// Letters of a parameter in the table.
const LETTERS: usize = 48;
/// Most tags of the experiment that are shown.
const MAX_TAGS: usize = 100;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/experiments/{id}", get(show))
}

async fn show(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    id: Result<Path<i64>, PathRejection>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Response {
    let (id, query) = match (id, query) {
        (Ok(Path(id)), Ok(Query(query))) => (id, query),
        (Err(_), _) => {
            let error = AppError::not_found("experiment", "of that number", "see /experiments");
            return answer(&actor, Err(error));
        }
        (_, Err(rejection)) => return answer(&actor, Err(AppError::Invalid(rejection.body_text()))),
    };
    let address = Address::of(&query);
    let found = find(&app, &actor, id, address.query.clone()).await;
    answer(&actor, found.map(|view| page(&view, address.columns, &actor)))
}

/// A page of the table with these columns, or with the first ones.
pub fn page(view: &RunTable, columns: Option<Columns>, actor: &Actor) -> Markup {
    let address = Address { query: view.query.clone(), columns };
    let known = address.known(&view.runs);
    let title = format!("Which runs of “{}” are worth a look?", view.experiment.name);
    let untouched = view.query.filter.is_empty() && view.query.view == View::Active && view.query.offset == 0;
    let body = html! {
        p.eyebrow { a href="/experiments" { "Experiments" } " · number " (view.experiment.id) }
        h1 { (title) }
        @if view.problem.is_none() { p.answer { (how_much(view)) } }
        (search(view, &address, &known))
        @if view.problem.is_some() {
            p.none { "Nothing was looked for." }
        } @else if view.runs.is_empty() && untouched {
            (empty("No run was logged to this experiment yet. Log one with MLflow's client:", LOG_A_RUN))
        } @else if view.runs.is_empty() {
            p.none { "No run fits. " a href="?" { "Show all runs" } }
        } @else {
            (runs(view, &address, &address.shown(&known)))
            (ways(view, &address))
        }
        (about(view))
    };
    layout::page(&title, Section::Experiments, Some(actor), body)
}

fn how_much(view: &RunTable) -> String {
    let here = view.runs.len() as i64;
    let (first, last) = (view.query.offset.saturating_add(1), view.query.offset.saturating_add(here));
    let all = view.count.map(|count| how_many(count, "run", "runs"));
    match all {
        Some(all) if here == 0 || (view.query.offset == 0 && !view.more) => capitalised(&all),
        Some(all) => format!("Runs {} to {} of {all}", count(first), count(last)),
        None if here == 0 => "No run here".to_owned(),
        None => format!("Runs {} to {}, and there are more", count(first), count(last)),
    }
}

fn search(view: &RunTable, address: &Address, known: &Columns) -> Markup {
    let query = &view.query;
    let problem = view.problem.as_deref();
    html! {
        form.run-search method="get" role="search" {
            div.wide-field {
                label for="filter" { "Filter, in MLflow's grammar" }
                input id="filter" name="filter" value=(query.filter) maxlength="4000" autocomplete="off" spellcheck="false"
                    placeholder="metrics.auc > 0.7 and params.learner = 'trees'"
                    aria-invalid=[problem.map(|_| "true")] aria-describedby=[problem.map(|_| "problem")];
                @if let Some(problem) = problem { p.notice.bad id="problem" role="alert" { (problem) } }
            }
            div.filters {
                div { label for="view" { "Runs" }
                    select id="view" name="view" {
                        @for (view, name) in [(View::Active, "present"), (View::Deleted, "deleted"), (View::All, "both")] {
                            option value=(word(view)) selected[view == query.view] { (name) }
                        }
                    } }
                div { label for="rows" { "Rows of a page" }
                    select id="rows" name="rows" {
                        @for length in LENGTHS { option value=(length) selected[length == query.limit] { (length) } }
                    } }
                div.filters-go { button.primary type="submit" { "Show" } " " a href="?" { "Clear" } }
            }
            @if !query.order.is_empty() { input type="hidden" name="order" value=(query.order); }
            (columns(address, known))
        }
    }
}

/// Which columns are shown: of those that the runs of this page have, and those that were chosen before.
fn columns(address: &Address, known: &Columns) -> Markup {
    let shown = address.shown(known);
    let choice = |name: &str, title: &str, known: &[String], shown: &[String]| {
        html! {
            @if !known.is_empty() {
                fieldset.plain {
                    legend { (title) }
                    div.choices {
                        @for key in known.iter().take(MAX_OFFERED) {
                            label { input type="checkbox" name=(name) value=(key) checked[shown.contains(key)]; (key) }
                        }
                    }
                }
            }
        }
    };
    html! {
        input type="hidden" name="columns" value="chosen";
        details {
            summary { "Columns: " (shown.metrics.len()) " of " (known.metrics.len()) " metrics, " (shown.params.len())
                " of " (known.params.len()) " parameters" }
            p.small.muted { "Those that the runs of this page have. Choose, then press Show." }
            (choice("metric", "Metrics", &known.metrics, &shown.metrics))
            (choice("param", "Parameters", &known.params, &shown.params))
        }
    }
}

fn runs(view: &RunTable, address: &Address, shown: &Columns) -> Markup {
    html! {
        form method="get" action="/runs/compare" {
            div.compare-bar {
                button type="submit" { "Compare" }
                p.small.muted { "Tick 2 to " (MAX_COMPARED) " runs." }
            }
            (scroll("Runs", html! {
                table.runs {
                    thead { tr {
                        th.pick scope="col" { span.unseen { "Compare" } }
                        (head(address, "Run", Some("run_name".to_owned()), false))
                        (head(address, "Started, UTC", Some("start_time".to_owned()), true))
                        th.number scope="col" { "Took" }
                        (head(address, "Status", Some("status".to_owned()), false))
                        (head(address, "Author", Some("user_id".to_owned()), false))
                        @for key in &shown.metrics { (head(address, key, subject("metrics", key), true)) }
                        @for key in &shown.params { (head(address, key, subject("params", key), false)) }
                    } }
                    tbody { @for run in &view.runs { (row(run, shown)) } }
                }
            }))
        }
    }
}

/// The head of a column; a click orders by it, a second one the other way round.
fn head(address: &Address, name: &str, subject: Option<String>, is_number: bool) -> Markup {
    let class = if is_number { "number" } else { "" };
    let Some(subject) = subject else { return html! { th class=(class) scope="col" { (name) } } };
    let (up, down) = (format!("{subject} ASC"), format!("{subject} DESC"));
    let present = address.query.order.as_str();
    let (sorted, sign) = match present {
        _ if present == up => (Some("ascending"), " ▲"),
        _ if present == down => (Some("descending"), " ▼"),
        _ => (None, ""),
    };
    let next = if present == down || (present != up && !is_number) { up } else { down };
    html! {
        th class=(class) scope="col" aria-sort=[sorted] {
            a.sort href=(address.ordered(&next)) title={ "Order by " (name) } {
                (shortened(name, LETTERS)) span aria-hidden="true" { (sign) }
            }
        }
    }
}

fn row(run: &RunRecord, shown: &Columns) -> Markup {
    let info = &run.info;
    let metric = |key: &str| run.metrics.iter().find(|metric| metric.key == key);
    let param = |key: &str| run.params.iter().find(|(known, _)| known == key);
    html! {
        tr {
            td.pick { input type="checkbox" name="run" value=(info.id) aria-label={ "Compare " (info.name) }; }
            th.run-name scope="row" { (run_link(info)) }
            td.number { (moment(info.started_at)) }
            td.number { @match took(info) { Some(took) => (took), None => span.none { "–" } } }
            td.nowrap { (status(info)) }
            td { (info.author) }
            @for (place, key) in shown.metrics.iter().enumerate() {
                td.number.group[place == 0] {
                    @match metric(key) { Some(latest) => (significant(latest.value)), None => span.none { "–" } }
                }
            }
            @for (place, key) in shown.params.iter().enumerate() {
                td.value.group[place == 0] {
                    @match param(key) {
                        Some((_, value)) => span title=[(value.len() > LETTERS).then(|| shortened(value, 400))] {
                            (shortened(value, LETTERS))
                        },
                        None => span.none { "–" },
                    }
                }
            }
        }
    }
}

fn ways(view: &RunTable, address: &Address) -> Markup {
    let (offset, length) = (view.query.offset, view.query.limit);
    let next = offset.saturating_add(length);
    html! {
        @if offset > 0 || view.more {
            nav.pages aria-label="Pages" {
                @if offset > 0 { a.button href=(address.from((offset - length).max(0))) { "Previous " (length) } }
                @if view.more && next <= MAX_OFFSET { a.button href=(address.from(next)) { "Next " (length) } }
                @if view.more && next > MAX_OFFSET { p.muted { "Narrow the filter to see those behind." } }
            }
        }
    }
}

fn about(view: &RunTable) -> Markup {
    let experiment = &view.experiment;
    html! {
        section {
            h2 { "About the experiment" }
            @if experiment.deleted_at.is_some() { p.verdict.bad { "This experiment is deleted; it can be brought back." } }
            p.muted { "Created by " (experiment.created_by) "; files of its runs lie below " code { (experiment.artifact_location) } "." }
            @if !experiment.tags.is_empty() { (pairs("Tags of the experiment", &experiment.tags, MAX_TAGS)) }
        }
    }
}
