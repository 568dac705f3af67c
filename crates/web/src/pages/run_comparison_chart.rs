//! The charts of a comparison, and what chooses them.

use greenlight_app::run::RunRecord;
use greenlight_app::run_comparison::{Comparison, MAX_COMPARED};
use maud::{Markup, html};

use super::run_chart::{points, source};
use super::run_comparison::{Row, rows};
use crate::chart::curves::{self, Curve, Curves};
use crate::chart::parallel::{self, Line, MAX_AXES};
use crate::chart::scatter::{self, Spot};
use crate::chart::series;
use crate::components::number::significant;

/// Most names that a list offers.
const MAX_OFFERED: usize = 300;
/// Axes of parameters, and of metrics, that are drawn when nobody says which.
const USUAL_AXES: (usize, usize) = (4, 2);

/// What is drawn. A parameter is named `params.NAME`, a metric `metrics.NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// The metric of the curves.
    pub metric: Option<String>,
    /// Across in the scatter.
    pub x: Option<String>,
    /// Upwards in the scatter.
    pub y: Option<String>,
    /// The parallel axes.
    pub axes: Vec<String>,
}

impl Choice {
    /// Ids of runs, and what is drawn of them, from the pairs of an address.
    pub fn of(pairs: Vec<(String, String)>) -> (Vec<String>, Self) {
        let (mut ids, mut choice) = (Vec::new(), Self::default());
        for (name, value) in pairs {
            match name.as_str() {
                // One too many is kept, so that it can be refused.
                "run" if ids.len() <= MAX_COMPARED && !value.is_empty() && !ids.contains(&value) => {
                    ids.push(value);
                }
                "metric" => choice.metric = Some(value).filter(|key| !key.is_empty()),
                "x" => choice.x = Some(value).filter(|key| !key.is_empty()),
                "y" => choice.y = Some(value).filter(|key| !key.is_empty()),
                "axis" if choice.axes.len() < MAX_AXES && !choice.axes.contains(&value) => {
                    choice.axes.push(value);
                }
                _ => {}
            }
        }
        (ids, choice)
    }
}

/// Parameters of the runs.
pub(super) fn params(runs: &[RunRecord]) -> Vec<Row> {
    rows(runs, |run| &run.params, |(key, value)| (key.as_str(), Some(value.clone())))
}

/// Metrics of the runs with all their digits; what is no finite number is left out.
pub(super) fn metrics(runs: &[RunRecord]) -> Vec<Row> {
    rows(
        runs,
        |run| &run.metrics,
        |metric| (metric.key.as_str(), metric.value.is_finite().then(|| metric.value.to_string())),
    )
}

/// Metrics of the runs as people read them; with all their digits where only those tell them apart.
pub(super) fn written(runs: &[RunRecord], exact: &[Row]) -> Vec<Row> {
    let read =
        rows(runs, |run| &run.metrics, |metric| (metric.key.as_str(), Some(significant(metric.value))));
    let pairs = read.into_iter().zip(exact);
    pairs.map(|(read, exact)| if exact.differs() && !read.differs() { exact.clone() } else { read }).collect()
}

/// Names with their values, as charts take them.
struct Offered<'a> {
    params: &'a [Row],
    metrics: &'a [Row],
}

impl<'a> Offered<'a> {
    fn names(&self) -> Vec<String> {
        let named = |entity: &'static str, rows: &'a [Row]| {
            rows.iter().take(MAX_OFFERED).map(move |row| format!("{entity}.{}", row.name))
        };
        named("params", self.params).chain(named("metrics", self.metrics)).collect()
    }

    fn row(&self, name: &str) -> Option<&'a Row> {
        let (entity, key) = name.split_once('.')?;
        let rows = if entity == "params" { self.params } else { self.metrics };
        rows.iter().find(|row| row.name == key)
    }

    /// Parameters that differ, then metrics that do.
    fn usual_axes(&self) -> Vec<String> {
        let named = |entity: &'static str, rows: &'a [Row], most| {
            let differing = rows.iter().filter(|row| row.differs());
            differing.take(most).map(move |row| format!("{entity}.{}", row.name))
        };
        let axes = named("params", self.params, USUAL_AXES.0);
        axes.chain(named("metrics", self.metrics, USUAL_AXES.1)).collect()
    }
}

/// The form and the charts.
pub(super) fn section(view: &Comparison, choice: &Choice, params: &[Row], metrics: &[Row]) -> Markup {
    let offered = Offered { params, metrics };
    let usual = offered.usual_axes();
    let known = |name: &&String| offered.row(name).is_some();
    let x = choice.x.as_ref().filter(known).or_else(|| usual.first()).cloned();
    let of_curves = view.metric.as_ref().map(|key| format!("metrics.{key}"));
    let y = choice.y.as_ref().filter(known).cloned().or(of_curves);
    let mut axes: Vec<String> = choice.axes.iter().filter(known).cloned().collect();
    if axes.is_empty() {
        axes = usual;
    }
    html! {
        section id="charts" {
            h2 { "Drawn" }
            (form(view, &offered, (x.as_deref(), y.as_deref()), &axes))
            (curves(view))
            @if let (Some(x), Some(y)) = (&x, &y) { (scattered(view, &offered, x, y)) }
            (parallel(view, &offered, &axes))
        }
    }
}

fn form(
    view: &Comparison,
    offered: &Offered<'_>,
    (x, y): (Option<&str>, Option<&str>),
    axes: &[String],
) -> Markup {
    let names = offered.names();
    let choice = |name: &str, label: &str, chosen: Option<&str>| {
        html! {
            div { label for=(name) { (label) }
                select id=(name) name=(name) {
                    @for option in &names { option value=(option) selected[chosen == Some(option)] { (option) } }
                } }
        }
    };
    html! {
        form method="get" action="/runs/compare#charts" {
            @for run in &view.runs { input type="hidden" name="run" value=(run.info.id); }
            div.filters {
                div { label for="metric" { "Curves of" }
                    select id="metric" name="metric" {
                        @for row in offered.metrics.iter().take(MAX_OFFERED) {
                            option value=(row.name) selected[view.metric.as_ref() == Some(&row.name)] { (row.name) }
                        }
                    } }
                (choice("x", "Scatter across", x))
                (choice("y", "Scatter upwards", y))
                div.filters-go { button.primary type="submit" { "Draw" } }
            }
            details {
                summary { "Axes of the parallel coordinates: " (axes.len()) ", at most " (MAX_AXES) }
                div.choices {
                    @for name in &names {
                        label { input type="checkbox" name="axis" value=(name) checked[axes.contains(name)]; (name) }
                    }
                }
            }
        }
    }
}

fn name(run: &RunRecord) -> String {
    if run.info.name.trim().is_empty() { run.info.id.clone() } else { run.info.name.clone() }
}

fn curves(view: &Comparison) -> Markup {
    let Some(metric) = &view.metric else { return html! {} };
    let lines: Vec<Curve> = view
        .runs
        .iter()
        .zip(&view.curves)
        .enumerate()
        .filter(|(_, (_, logged))| !logged.is_empty())
        .map(|(place, (run, logged))| Curve {
            class: series::class(place),
            name: name(run),
            points: points(logged),
        })
        .collect();
    curves::chart(&Curves { title: metric, source: &source("these runs") }, &lines)
}

const OF_RUNS: &str = "Source: parameters and newest metrics of these runs.";

fn scattered(view: &Comparison, offered: &Offered<'_>, x: &str, y: &str) -> Markup {
    let value =
        |name: &str, place: usize| offered.row(name).and_then(|row| row.values.get(place).cloned().flatten());
    let spots: Vec<Spot> = view
        .runs
        .iter()
        .enumerate()
        .map(|(place, run)| Spot {
            class: series::class(place),
            name: name(run),
            x: value(x, place),
            y: value(y, place),
        })
        .collect();
    scatter::chart((bare(x), bare(y)), OF_RUNS, &spots)
}

/// The name without `params.` or `metrics.`.
fn bare(name: &str) -> &str {
    name.split_once('.').map_or(name, |(_, key)| key)
}

fn parallel(view: &Comparison, offered: &Offered<'_>, axes: &[String]) -> Markup {
    let found: Vec<&Row> = axes.iter().filter_map(|name| offered.row(name)).collect();
    let lines: Vec<Line> = view
        .runs
        .iter()
        .enumerate()
        .map(|(place, run)| Line {
            class: series::class(place),
            name: name(run),
            values: found.iter().map(|row| row.values.get(place).cloned().flatten()).collect(),
        })
        .collect();
    let names: Vec<String> = found.iter().map(|row| row.name.clone()).collect();
    parallel::chart(&names, OF_RUNS, &lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> (Vec<String>, Choice) {
        Choice::of(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn an_address_names_runs_once_and_one_too_many_at_most() {
        let (ids, choice) =
            of(&[("run", "a"), ("run", "b"), ("run", "a"), ("run", ""), ("metric", ""), ("x", "params.d")]);
        assert_eq!(ids, ["a", "b"]);
        assert_eq!((choice.metric, choice.x.as_deref()), (None, Some("params.d")));
        let many: Vec<(String, String)> = (0..99).map(|n| ("run".to_owned(), n.to_string())).collect();
        assert_eq!(Choice::of(many).0.len(), MAX_COMPARED + 1);
    }

    #[test]
    fn axes_are_bounded_and_each_stands_once() {
        let many: Vec<(String, String)> =
            (0..30).map(|n| ("axis".to_owned(), format!("metrics.m{}", n % 20))).collect();
        assert_eq!(Choice::of(many).1.axes.len(), MAX_AXES);
    }
}
