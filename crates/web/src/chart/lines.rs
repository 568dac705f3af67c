//! Lines over time: traffic by variant, scoring times by quantile.
//!
//! Each point is one stretch of time. Where a stretch has no point the line breaks, because nothing was measured there.

use greenlight_domain::time::Micros;
use maud::{Markup, html};

use super::scale::{Scale, date_ticks, extent, ticks};
use super::{Canvas, Frame, framed, path, px, value_axis};

/// One line.
pub struct Series {
    /// CSS class of the line and its swatch.
    pub class: &'static str,
    /// What it is.
    pub name: String,
    /// Beginning of each stretch with what was found in it, ascending.
    pub points: Vec<(Micros, f64)>,
}

/// What the lines have in common.
pub struct Lines<'a> {
    /// What the chart shows.
    pub title: &'a str,
    /// In which units.
    pub units: String,
    /// Where the numbers come from.
    pub source: String,
    /// Beginning and end of the window.
    pub window: (Micros, Micros),
    /// Length of a stretch, microseconds.
    pub stretch_us: i64,
    /// How a value is written.
    pub label: fn(f64) -> String,
}

/// The chart, or nothing without a point.
pub fn chart(lines: &Lines<'_>, series: &[Series], table: Markup) -> Markup {
    let count: usize = series.iter().map(|s| s.points.len()).sum();
    if count == 0 {
        return html! {};
    }
    let legend: Vec<(&str, String)> = series.iter().map(|s| (s.class, s.name.clone())).collect();
    let named: Vec<&str> = series.iter().map(|s| s.name.as_str()).collect();
    let frame = Frame {
        title: lines.title,
        units: lines.units.clone(),
        label: format!(
            "Line chart of {} from {} to {}.",
            named.join(", "),
            lines.window.0.date(),
            lines.window.1.date()
        ),
        source: lines.source.clone(),
        legend: &legend,
    };
    framed(&frame, |canvas| draw(canvas, lines, series), table)
}

fn draw(canvas: Canvas, lines: &Lines<'_>, series: &[Series]) -> Markup {
    let marks = ticks(extent(series.iter().flat_map(|s| s.points.iter().map(|p| p.1))), 4);
    let range = (marks.first().copied().unwrap_or(0.0), marks.last().copied().unwrap_or(1.0));
    let y = Scale::new(range, canvas.upwards());
    let (from, until) = lines.window;
    let x = Scale::new((from.0 as f64, until.0 as f64), canvas.across());
    let half = lines.stretch_us as f64 / 2.0;
    let place = |(at, value): (Micros, f64)| (x.at(at.0 as f64 + half), y.at(value));
    let (bottom, _) = canvas.upwards();
    html! {
        (value_axis(canvas, &y, &marks, lines.label))
        @for tick in date_ticks(from, until, canvas.labels) {
            @let at = x.at(tick.at.0 as f64);
            line.tick-mark x1=(px(at)) x2=(px(at)) y1=(px(bottom)) y2=(px(bottom + 5.0)) {}
            text.tick x=(px(at)) y=(px(bottom + 20.0)) text-anchor="middle" { (tick.label) }
        }
        @for one in series {
            @for run in runs(&one.points, lines.stretch_us) {
                @let placed: Vec<(f64, f64)> = run.iter().copied().map(place).collect();
                @if placed.len() > 1 { path class=(one.class) d=(path(&placed)) {} }
                @for (at, (x, y)) in run.iter().zip(&placed) {
                    circle class={ "dot " (one.class) } cx=(px(*x)) cy=(px(*y))
                        r=(if placed.len() > 1 { "2.5" } else { "4" }) {
                        title { (one.name) ", from " (at.0) ": " ((lines.label)(at.1)) }
                    }
                }
            }
        }
    }
}

/// Points without a gap between them.
fn runs(points: &[(Micros, f64)], stretch_us: i64) -> Vec<&[(Micros, f64)]> {
    points.chunk_by(|a, b| b.0.0 - a.0.0 <= stretch_us).collect()
}
