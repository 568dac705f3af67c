//! Curves over steps: how a metric went while a run learned.
//!
//! A value that is no finite number breaks its curve, because there is no place for it.

use maud::{Markup, html};

use super::scale::{Scale, span, ticks};
use super::{Canvas, Frame, framed, path, px, thinned, value_axis};
use crate::components::number::{count, significant};
use crate::components::scroll;

/// Most points of a curve that are written out.
const MAX_ROWS: usize = 100;
/// Curves with more points than this are drawn without a mark on each.
const MAX_DOTS: usize = 60;

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// CSS class of the line and its swatch.
    pub class: &'static str,
    /// What it is.
    pub name: String,
    /// Steps with values, ascending.
    pub points: Vec<(i64, f64)>,
}

/// What the curves have in common.
#[derive(Debug, Clone, Copy)]
pub struct Curves<'a> {
    /// What the chart shows.
    pub title: &'a str,
    /// Where the numbers come from.
    pub source: &'a str,
}

/// The chart, or nothing without a finite point.
pub fn chart(about: &Curves<'_>, curves: &[Curve]) -> Markup {
    let finite = || curves.iter().flat_map(|c| &c.points).filter(|point| point.1.is_finite());
    let Some(values) = span(finite().map(|point| point.1)) else { return html! {} };
    let first = finite().map(|point| point.0).min().unwrap_or(0);
    let last = finite().map(|point| point.0).max().unwrap_or(0);
    let legend: Vec<(&str, String)> =
        if curves.len() > 1 { curves.iter().map(|c| (c.class, c.name.clone())).collect() } else { vec![] };
    let named: Vec<&str> = curves.iter().map(|curve| curve.name.as_str()).collect();
    let frame = Frame {
        title: about.title,
        units: "value as it was logged, by step".to_owned(),
        label: format!(
            "Line chart of {} from step {first} to step {last}, between {} and {}.",
            named.join(", "),
            significant(values.0),
            significant(values.1)
        ),
        source: about.source.to_owned(),
        legend: &legend,
    };
    framed(&frame, |canvas| draw(canvas, curves, (first, last), values), table(curves))
}

fn draw(canvas: Canvas, curves: &[Curve], (first, last): (i64, i64), values: (f64, f64)) -> Markup {
    let marks = ticks(values, 4);
    let range = (marks.first().copied().unwrap_or(values.0), marks.last().copied().unwrap_or(values.1));
    let y = Scale::new(range, canvas.upwards());
    let x = Scale::new((first as f64, last as f64), canvas.across());
    let (bottom, _) = canvas.upwards();
    html! {
        (value_axis(canvas, &y, &marks, significant))
        @for step in steps((first, last), canvas.labels) {
            @let at = x.at(step as f64);
            line.tick-mark x1=(px(at)) x2=(px(at)) y1=(px(bottom)) y2=(px(bottom + 5.0)) {}
            text.tick x=(px(at)) y=(px(bottom + 20.0)) text-anchor="middle" { (count(step)) }
        }
        @for curve in curves {
            @for run in curve.points.chunk_by(|a, b| a.1.is_finite() == b.1.is_finite()) {
                @if run.iter().all(|point| point.1.is_finite()) {
                    @let placed: Vec<(f64, f64)> =
                        run.iter().map(|(step, value)| (x.at(*step as f64), y.at(*value))).collect();
                    @if placed.len() > 1 {
                        path class=(curve.class) d=(path(&placed)) { title { (curve.name) } }
                    }
                    @if placed.len() <= MAX_DOTS {
                        @for ((step, value), (x, y)) in run.iter().zip(&placed) {
                            circle class={ "dot " (curve.class) } cx=(px(*x)) cy=(px(*y))
                                r=(if placed.len() > 1 { "2.5" } else { "4" }) {
                                title { (curve.name) ", step " (step) ": " (significant(*value)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Whole steps at round numbers within the ends.
fn steps((first, last): (i64, i64), about: usize) -> Vec<i64> {
    if first == last {
        return vec![first];
    }
    let within = |step: &i64| first <= *step && *step <= last;
    let mut all: Vec<i64> = ticks((first as f64, last as f64), about)
        .into_iter()
        .filter(|tick| tick.fract() == 0.0)
        .map(|tick| tick as i64)
        .filter(within)
        .collect();
    all.dedup();
    all
}

/// The points; of long curves some, evenly, and always the last one.
fn table(curves: &[Curve]) -> Markup {
    scroll(
        "Points by step",
        html! {
            table.compact {
                thead { tr {
                    th scope="col" { "Curve" } th.number scope="col" { "Step" } th.number scope="col" { "Value" }
                } }
                tbody {
                    @for curve in curves {
                        @for (step, value) in thinned(&curve.points, (MAX_ROWS / curves.len().max(1)).max(10)) {
                            tr {
                                th scope="row" { (curve.name) }
                                td.number { (count(step)) }
                                td.number { (significant(value)) }
                            }
                        }
                    }
                }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: Curves<'static> = Curves { title: "loss", source: "Source: points that were logged." };

    fn curve(points: Vec<(i64, f64)>) -> Curve {
        Curve { class: "series s1", name: "loss".into(), points }
    }

    #[test]
    fn a_chart_of_any_number_of_points_is_drawn_twice_and_sound() {
        for count in [1, 2, 60, 61, 500] {
            let points = (0..count).map(|step| (step, 1.0 / (step + 1) as f64)).collect();
            let markup = chart(&ABOUT, &[curve(points)]).into_string();
            assert_eq!(markup.matches("role=\"img\"").count(), 2, "{count}");
            assert!(!markup.contains("NaN") && !markup.contains("style="), "{markup}");
            assert_eq!(markup.contains("<circle"), count <= 60, "{count}");
            assert!(markup.matches("<tr>").count() <= MAX_ROWS + 1, "{count}");
        }
    }

    #[test]
    fn what_is_no_number_breaks_a_curve_and_nothing_is_drawn_of_nothing() {
        assert_eq!(chart(&ABOUT, &[]).into_string(), "");
        assert_eq!(chart(&ABOUT, &[curve(vec![(0, f64::NAN), (1, f64::INFINITY)])]).into_string(), "");
        let points = vec![(0, 1.0), (1, 2.0), (2, f64::NAN), (3, 3.0), (4, 4.0)];
        let markup = chart(&ABOUT, &[curve(points)]).into_string();
        assert_eq!(markup.matches("<path").count(), 4, "two parts, drawn twice");
        assert!(markup.contains("not a number"), "in the table");
    }

    #[test]
    fn steps_are_whole_and_within_the_ends() {
        assert_eq!(steps((0, 10), 5), [0, 2, 4, 6, 8, 10]);
        assert_eq!(steps((3, 3), 5), [3]);
        assert_eq!(steps((0, 2), 9), [0, 1, 2]);
        assert!(steps((i64::MIN, i64::MAX), 9).len() <= 20);
    }
}
