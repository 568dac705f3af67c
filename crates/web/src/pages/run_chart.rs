//! How the metrics of one run went.

use greenlight_app::run::Latest;
use greenlight_app::run_view::{MAX_CURVES, MAX_POINTS, RunView};
use maud::{Markup, html};

use crate::chart::curves::{Curve, Curves, chart};
use crate::chart::series;

/// Where the points of a chart come from.
pub(super) fn source(of: &str) -> String {
    format!(
        "Source: points logged to {of}; of long curves {MAX_POINTS}, spread evenly, the last one always among them."
    )
}

/// The points of a curve as a chart takes them.
pub(super) fn points(points: &[Latest]) -> Vec<(i64, f64)> {
    points.iter().map(|point| (point.step, point.value)).collect()
}

/// A chart for each metric that was asked for.
pub(super) fn curves(view: &RunView) -> Markup {
    let drawn = view.curves.iter().filter(|curve| !curve.points.is_empty());
    let source = source("this run");
    let others = view.run.metrics.iter().filter(|metric| metric.step != 0).count();
    html! {
        @if others > 0 || view.curves.iter().any(|curve| curve.points.len() > 1) {
            section {
                h2 { "How it went" }
                @for (place, curve) in drawn.enumerate() {
                    @let one = Curve {
                        class: series::class(place),
                        name: curve.key.clone(),
                        points: points(&curve.points),
                    };
                    (chart(&Curves { title: &curve.key, source: &source }, &[one]))
                }
                @if others > view.curves.len() {
                    p.small.muted { (others) " metrics have steps. Click one below to draw its curve; an address may name up to "
                        (MAX_CURVES) " of them, " code { "?metric=…&metric=…" } "." }
                }
            }
        }
    }
}
