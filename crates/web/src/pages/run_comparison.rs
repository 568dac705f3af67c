//! A few runs side by side: in what do they differ, and which of it matters?

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use greenlight_app::run::RunRecord;
use greenlight_app::run_comparison::{Comparison, MAX_COMPARED, compare};
use greenlight_app::{App, AppError};
use greenlight_domain::role::Actor;
use maud::{Markup, html};

use super::run_comparison_chart;
pub use super::run_comparison_chart::Choice;
use crate::chart::{series, shortened};
use crate::components::number::counted;
use crate::components::research::{left_out, moment, run_link, status, took};
use crate::components::{Tone, notice, scroll};
use crate::failure::answer;
use crate::layout;
use crate::layout::Section;
use crate::session::Session;

/// Most rows of a table.
const MAX_ROWS: usize = 500;
/// Letters of a value.
const LETTERS: usize = 80;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/runs/compare", get(show))
}

async fn show(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Response {
    let (ids, choice) = match query {
        Ok(Query(pairs)) => Choice::of(pairs),
        Err(rejection) => return answer(&actor, Err(AppError::Invalid(rejection.body_text()))),
    };
    let found = compare(&app, &actor, &ids, choice.metric.as_deref()).await;
    answer(&actor, found.map(|view| page(&view, &choice, &actor)))
}

/// A row of the tables: a name, and a value of each run.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) values: Vec<Option<String>>,
}

impl Row {
    pub(super) fn differs(&self) -> bool {
        self.values.windows(2).any(|pair| pair[0] != pair[1])
    }
}

/// A row for each name that a run has, by name.
pub(super) fn rows<'a, T: 'a>(
    runs: &'a [RunRecord],
    list: impl Fn(&'a RunRecord) -> &'a [T],
    pair: impl Fn(&'a T) -> (&'a str, Option<String>),
) -> Vec<Row> {
    let mut rows: std::collections::BTreeMap<&str, Vec<Option<String>>> = std::collections::BTreeMap::new();
    for (place, run) in runs.iter().enumerate() {
        for (name, value) in list(run).iter().map(&pair) {
            let values = rows.entry(name).or_insert_with(|| vec![None; runs.len()]);
            values[place] = value;
        }
    }
    rows.into_iter().map(|(name, values)| Row { name: name.to_owned(), values }).collect()
}

/// The page.
pub fn page(view: &Comparison, choice: &Choice, actor: &Actor) -> Markup {
    let title = "In what do these runs differ?";
    let params = run_comparison_chart::params(&view.runs);
    let metrics = run_comparison_chart::metrics(&view.runs);
    let body = html! {
        p.eyebrow { a href="/experiments" { "Experiments" } " · comparison of runs" }
        h1 { (title) }
        @for id in &view.missing { (notice(Tone::Bad, &format!("There is no run {}.", shortened(id, 64)))) }
        @if view.runs.is_empty() {
            p.none { "No run was named. Open an " a href="/experiments" { "experiment" } ", tick 2 to " (MAX_COMPARED)
                " runs and press Compare." }
        } @else {
            p.answer { (how_much(&params, "parameter", "parameters")) span.answer-part { (how_much(&metrics, "metric", "metrics")) } }
            @if view.runs.len() == 1 { p.muted { "This is one run alone; name another one to compare it with." } }
            (about(&view.runs))
            (section("Parameters", &view.runs, &params))
            (section("Metrics, newest values", &view.runs, &run_comparison_chart::written(&view.runs, &metrics)))
            (run_comparison_chart::section(view, choice, &params, &metrics))
        }
    };
    layout::page(title, Section::Experiments, Some(actor), body)
}

fn how_much(rows: &[Row], one: &str, many: &str) -> String {
    let differing = rows.iter().filter(|row| row.differs()).count();
    format!("{differing} of {} differ", counted(rows.len() as u64, one, many))
}

/// The runs as columns.
fn heads(runs: &[RunRecord]) -> Markup {
    html! {
        @for (place, run) in runs.iter().enumerate() {
            th scope="col" { span class={ "swatch " (series::class(place)) } {} " " (run_link(&run.info)) }
        }
    }
}

fn about(runs: &[RunRecord]) -> Markup {
    scroll(
        "The runs",
        html! {
            table.side-by-side {
                thead { tr { th scope="col" { "Run" } (heads(runs)) } }
                tbody {
                    tr { th scope="row" { "Status" } @for run in runs { td { (status(&run.info)) } } }
                    tr { th scope="row" { "Started, UTC" } @for run in runs { td { (moment(run.info.started_at)) } } }
                    tr { th scope="row" { "Took" }
                        @for run in runs { td { @match took(&run.info) { Some(took) => (took), None => span.none { "–" } } } } }
                    tr { th scope="row" { "Author" } @for run in runs { td { (run.info.author) } } }
                }
            }
        },
    )
}

/// What differs; what is the same is one step away.
fn section(title: &str, runs: &[RunRecord], rows: &[Row]) -> Markup {
    let (differing, same): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.differs());
    html! {
        section {
            h2 { (title) }
            @if rows.is_empty() { p.none { "None was logged." } }
            @if !differing.is_empty() { (table(title, runs, &differing)) }
            @if !same.is_empty() {
                details open[runs.len() == 1] {
                    summary { (same.len()) " are the same in every run" }
                    (table(title, runs, &same))
                }
            }
        }
    }
}

fn table(label: &str, runs: &[RunRecord], rows: &[&Row]) -> Markup {
    html! {
        (scroll(label, html! {
            table.side-by-side {
                thead { tr { th scope="col" { "Name" } (heads(runs)) } }
                tbody {
                    @for row in rows.iter().take(MAX_ROWS) {
                        tr.differing[row.differs()] {
                            th scope="row" { (row.name) @if row.differs() { span.unseen { " (differs)" } } }
                            @for value in &row.values {
                                td.value { @match value {
                                    Some(value) => span title=[(value.len() > LETTERS).then(|| shortened(value, 400))] {
                                        (shortened(value, LETTERS))
                                    },
                                    None => span.none { "–" },
                                } }
                            }
                        }
                    }
                }
            }
        }))
        (left_out(rows.len(), MAX_ROWS))
    }
}
