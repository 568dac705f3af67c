//! How much traffic does an endpoint get, how fast is it scored, and what fails?

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use greenlight_app::lake::log::TrafficBucket;
use greenlight_app::prediction::DEFAULT_DAYS;
use greenlight_app::traffic::{DEFAULT_BUCKETS, TrafficView, over_time};
use greenlight_app::{App, AppError};
use greenlight_domain::role::Actor;
use greenlight_domain::time::Micros;
use maud::{Markup, html};
use serde::Deserialize;

use super::endpoint_tabs::{Tab, eyebrow, tabs};
use crate::chart::lines::{Lines, Series, chart};
use crate::components::number::{count, counted, decimal, milliseconds, percent, share};
use crate::components::{date, empty, scroll, tiles};
use crate::failure::answer;
use crate::layout;
use crate::layout::Section;
use crate::session::Session;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/endpoints/{name}/traffic", get(show))
}

/// Days that a page of an endpoint looks back.
#[derive(Deserialize)]
pub(super) struct Days {
    days: Option<i64>,
}

impl Days {
    /// What the address says, or the default.
    pub(super) fn of(query: Result<Query<Self>, QueryRejection>) -> Result<i64, AppError> {
        let Query(query) = query.map_err(|rejection| AppError::Invalid(rejection.body_text()))?;
        Ok(query.days.unwrap_or(DEFAULT_DAYS))
    }
}

/// Links to other lengths of time.
pub(super) fn spans(present: Option<i64>) -> Markup {
    html! {
        p.spans { "Look back " @for days in [1, 7, 28, 91, 365] {
            a href={ "?days=" (days) } aria-current=[(present == Some(days)).then_some("true")] { (days) " d" } " "
        } }
    }
}

async fn show(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Path(name): Path<String>,
    query: Result<Query<Days>, QueryRejection>,
) -> Response {
    let found = match Days::of(query) {
        Ok(days) => over_time(&app, &actor, &name, days, DEFAULT_BUCKETS).await,
        Err(error) => Err(error),
    };
    answer(&actor, found.map(|view| page(&view, &actor)))
}

/// The page.
pub fn page(view: &TrafficView, actor: &Actor) -> Markup {
    let title = format!("How much traffic does “{}” get, and how fast?", view.endpoint);
    let body = html! {
        (eyebrow(&view.endpoint))
        h1 { (title) }
        (tabs(&view.endpoint, Tab::Traffic))
        @match view.window {
            Some(window) => {
                (spans(Some((window.until.0 - window.from.0) / greenlight_domain::time::DAY_US)))
                (answer_first(view))
                (charts(view, (window.from, window.until)))
            }
            None => (empty("No prediction has been asked for and sealed yet. Ask the endpoint, or replay history:",
                &format!("greenlight endpoint show {}", view.endpoint))),
        }
    };
    layout::page(&title, Section::Endpoints, Some(actor), body)
}

fn answer_first(view: &TrafficView) -> Markup {
    let live = || view.buckets.iter().filter(|bucket| bucket.variant != "shadow");
    let predictions: u64 = live().map(|bucket| bucket.predictions).sum();
    let errors: u64 = live().map(|bucket| bucket.errors).sum();
    let slowest = live().map(|bucket| bucket.p99_latency_us).fold(0.0_f64, f64::max);
    html! {
        p.answer { (counted(predictions, "prediction", "predictions")) ", "
            (percent(share(errors, predictions), 2)) " of them failed" }
        (tiles(&[
            ("Failed, and answered by the holdout rule", html! { (count(errors.cast_signed())) }),
            ("Slowest stretch, 99th percentile of scoring", html! { (milliseconds(slowest)) }),
            ("Newest event in the sealed log", html! {
                @match view.extent { Some(extent) => (date(extent.newest)), None => span.none { "none" } }
            }),
        ]))
    }
}

fn charts(view: &TrafficView, window: (Micros, Micros)) -> Markup {
    let stretch = stretch(view.bucket_seconds);
    let source = format!("Source: sealed log by event time, in stretches of {stretch}.");
    let lines = |title, units: &str, label| Lines {
        title,
        units: units.to_owned(),
        source: source.clone(),
        window,
        stretch_us: view.bucket_seconds * 1_000_000,
        label,
    };
    let failed = view.buckets.iter().any(|bucket| bucket.errors > 0);
    html! {
        (chart(&lines("Predictions", &format!("rows in {stretch}"), |v| count(v as i64)),
            &by_variant(view, |b| Some(b.predictions as f64)), table(view)))
        (chart(&lines("Scoring time", "milliseconds", |v| decimal(v, if v < 10.0 { 2 } else { 0 })),
            &latencies(view), table(view)))
        @if failed {
            (chart(&lines("Failures of the model", &format!("rows in {stretch}"), |v| count(v as i64)),
                &by_variant(view, |b| Some(b.errors as f64)), table(view)))
        } @else { p.muted { "No model failed in this window." } }
    }
}

fn stretch(seconds: i64) -> String {
    match seconds {
        s if s % 86_400 == 0 => format!("{} d", s / 86_400),
        s if s % 3_600 == 0 => format!("{} h", s / 3_600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

/// The class of a variant's line.
fn class(variant: &str) -> &'static str {
    match variant {
        "champion" => "line-champion",
        "holdout" => "line-holdout",
        "shadow" => "line-shadow",
        _ => "line-other",
    }
}

fn by_variant(view: &TrafficView, value: impl Fn(&TrafficBucket) -> Option<f64>) -> Vec<Series> {
    let mut series: BTreeMap<&str, Vec<(Micros, f64)>> = BTreeMap::new();
    for bucket in &view.buckets {
        if let Some(value) = value(bucket) {
            series.entry(&bucket.variant).or_default().push((bucket.at, value));
        }
    }
    let series = series.into_iter();
    series.map(|(name, points)| Series { class: class(name), name: name.to_owned(), points }).collect()
}

/// Median and 99th percentile of the model that decides; the holdout rule takes no time worth drawing.
fn latencies(view: &TrafficView) -> Vec<Series> {
    let of = |class, name: &str, variant: &str, value: fn(&TrafficBucket) -> f64| Series {
        class,
        name: name.to_owned(),
        points: view
            .buckets
            .iter()
            .filter(|bucket| bucket.variant == variant)
            .map(|bucket| (bucket.at, value(bucket) / 1_000.0))
            .collect(),
    };
    let mut series = vec![
        of("line-champion", "champion, 99th percentile", "champion", |b| b.p99_latency_us),
        of("line-median", "champion, median", "champion", |b| b.p50_latency_us),
        of("line-shadow", "shadow, 99th percentile", "shadow", |b| b.p99_latency_us),
    ];
    series.retain(|one| !one.points.is_empty());
    series
}

fn table(view: &TrafficView) -> Markup {
    scroll(
        "Traffic by time and variant",
        html! {
            table {
                thead { tr {
                    th scope="col" { "From" } th scope="col" { "Variant" }
                    @for name in ["Predictions", "Failed", "Median", "99th percentile"] { th.number scope="col" { (name) } }
                } }
                tbody {
                    @for bucket in &view.buckets {
                        tr {
                            th.nowrap scope="row" { (bucket.at) }
                            td { (bucket.variant) }
                            td.number { (count(bucket.predictions.cast_signed())) }
                            td.number { (count(bucket.errors.cast_signed())) }
                            td.number { (milliseconds(bucket.p50_latency_us)) }
                            td.number { (milliseconds(bucket.p99_latency_us)) }
                        }
                    }
                }
            }
        },
    )
}
