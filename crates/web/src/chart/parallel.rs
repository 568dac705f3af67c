//! Parallel coordinates: an axis for each parameter and metric, a line for each run.
//!
//! On a wide screen the axes stand side by side; on a narrow one they lie below each other, because letters between
//! upright axes could not be read there.

use maud::{Markup, html};

use super::axis::Axis;
use super::{Canvas, Frame, NARROW, WIDE, framed_on, path, px, shortened};
use crate::components::number::counted;
use crate::components::scroll;

const LETTER: f64 = 7.0;
/// Height of an axis with its letters where they lie below each other.
const ROW: f64 = 64.0;
/// Most axes of one chart.
pub const MAX_AXES: usize = 8;

/// One line: a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// CSS class of the line and its swatch.
    pub class: &'static str,
    /// Which run.
    pub name: String,
    /// Its value on each axis, as it was logged.
    pub values: Vec<Option<String>>,
}

impl Line {
    fn value(&self, axis: usize) -> Option<&str> {
        self.values.get(axis)?.as_deref()
    }
}

/// The chart of the first [`MAX_AXES`] axes, or nothing with fewer than two axes or without a run.
pub fn chart(axes: &[String], source: &str, lines: &[Line]) -> Markup {
    let axes = &axes[..axes.len().min(MAX_AXES)];
    if axes.len() < 2 || lines.is_empty() {
        return html! {};
    }
    let legend: Vec<(&str, String)> = lines.iter().map(|line| (line.class, line.name.clone())).collect();
    let frame = Frame {
        title: "Parameters and metrics of each run",
        units: "each axis in its own unit, as it was logged".to_owned(),
        label: format!(
            "Parallel coordinates of {} over {}.",
            counted(lines.len() as u64, "run", "runs"),
            axes.join(", ")
        ),
        source: source.to_owned(),
        legend: &legend,
    };
    let wide = Canvas { left: 90.0, right: 90.0, top: 34.0, bottom: 14.0, ..WIDE };
    let height = NARROW.top + ROW * axes.len() as f64;
    let narrow = Canvas { left: 28.0, right: 28.0, height, ..NARROW };
    framed_on(&frame, [wide, narrow], |canvas| draw(canvas, axes, lines), table(axes, lines))
}

fn draw(canvas: Canvas, axes: &[String], lines: &[Line]) -> Markup {
    let scales: Vec<Axis> = (0..axes.len())
        .map(|axis| Axis::of(lines.iter().filter_map(move |line| line.value(axis)), 4))
        .collect();
    if canvas.width < WIDE.width {
        lying(canvas, axes, &scales, lines)
    } else {
        standing(canvas, axes, &scales, lines)
    }
}

fn standing(canvas: Canvas, axes: &[String], scales: &[Axis], lines: &[Line]) -> Markup {
    let ((left, right), (bottom, top)) = (canvas.across(), canvas.upwards());
    let gap = (right - left) / (axes.len() - 1) as f64;
    let letters = (gap / LETTER) as usize;
    let x = |axis: usize| left + gap * axis as f64;
    html! {
        @for (axis, name) in axes.iter().enumerate() {
            line.axis x1=(px(x(axis))) x2=(px(x(axis))) y1=(px(top)) y2=(px(bottom)) {}
            text.tick.strong x=(px(x(axis))) y=(px(top - 16.0)) text-anchor="middle" {
                title { (name) } (shortened(name, letters.max(4)))
            }
        }
        (drawn(lines, scales, |axis, value| {
            scales[axis].at(value, (bottom, top)).map(|y| (x(axis), y))
        }))
        @for (axis, scale) in scales.iter().enumerate() {
            @for (y, label) in scale.labels((bottom, top), letters.saturating_sub(3).max(4)) {
                line.tick-mark x1=(px(x(axis) - 4.0)) x2=(px(x(axis))) y1=(px(y)) y2=(px(y)) {}
                text.tick.halo x=(px(x(axis) - 7.0)) y=(px(y + 4.0)) text-anchor="end" { (label) }
            }
        }
    }
}

fn lying(canvas: Canvas, axes: &[String], scales: &[Axis], lines: &[Line]) -> Markup {
    let (left, right) = canvas.across();
    let y = |axis: usize| canvas.top + ROW * axis as f64 + 26.0;
    let letters = ((right - left) / LETTER) as usize;
    html! {
        @for (axis, name) in axes.iter().enumerate() {
            line.axis x1=(px(left)) x2=(px(right)) y1=(px(y(axis))) y2=(px(y(axis))) {}
            text.tick.strong x=(px(left)) y=(px(y(axis) - 10.0)) { (shortened(name, letters)) }
        }
        (drawn(lines, scales, |axis, value| {
            scales[axis].at(value, (left, right)).map(|x| (x, y(axis)))
        }))
        @for (axis, scale) in scales.iter().enumerate() {
            @let labels = scale.labels((left, right), usize::MAX);
            @let room = letters / labels.len().max(1);
            @for (x, label) in &labels {
                line.tick-mark x1=(px(*x)) x2=(px(*x)) y1=(px(y(axis))) y2=(px(y(axis) + 4.0)) {}
                text.tick.halo x=(px(*x)) y=(px(y(axis) + 17.0)) text-anchor="middle" {
                    (shortened(label, room.max(3)))
                }
            }
        }
    }
}

/// A line for each run; it breaks where the run has no value.
fn drawn(lines: &[Line], scales: &[Axis], place: impl Fn(usize, &str) -> Option<(f64, f64)>) -> Markup {
    html! {
        @for line in lines {
            @let places: Vec<Option<(f64, f64)>> =
                (0..scales.len()).map(|axis| line.value(axis).and_then(|value| place(axis, value))).collect();
            @for part in places.split(Option::is_none) {
                @let points: Vec<(f64, f64)> = part.iter().flatten().copied().collect();
                @if points.len() > 1 {
                    path class=(line.class) d=(path(&points)) { title { (line.name) } }
                }
                @for (x, y) in &points {
                    circle class={ "dot " (line.class) } cx=(px(*x)) cy=(px(*y)) r="3" { title { (line.name) } }
                }
            }
        }
    }
}

fn table(axes: &[String], lines: &[Line]) -> Markup {
    scroll(
        "Values by run",
        html! {
            table.compact {
                thead { tr {
                    th scope="col" { "Run" }
                    @for axis in axes { th.number scope="col" { (axis) } }
                } }
                tbody {
                    @for line in lines {
                        tr {
                            th scope="row" { (line.name) }
                            @for axis in 0..axes.len() {
                                td.number {
                                    @match line.value(axis) { Some(value) => (value), None => span.none { "–" } }
                                }
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

    fn line(values: &[Option<&str>]) -> Line {
        let values = values.iter().map(|value| value.map(str::to_owned)).collect();
        Line { class: "series s2", name: "calm-owl".into(), values }
    }

    fn axes(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("axis {n}")).collect()
    }

    #[test]
    fn a_line_breaks_where_a_run_has_no_value() {
        let lines = [line(&[Some("1"), Some("trees"), Some("0.5")]), line(&[Some("2"), None, Some("0.7")])];
        let markup = chart(&axes(3), "Source: runs.", &lines).into_string();
        assert_eq!(markup.matches("<path").count(), 2, "one whole line, drawn twice");
        assert_eq!(markup.matches("<circle").count(), 10, "three points and two, drawn twice");
        assert!(!markup.contains("NaN") && !markup.contains("style="));
    }

    #[test]
    fn there_are_two_axes_at_least_and_eight_at_most() {
        assert_eq!(chart(&axes(1), "", &[line(&[Some("1")])]).into_string(), "");
        assert_eq!(chart(&axes(2), "", &[]).into_string(), "");
        let wide = line(&[Some("1"); 12]);
        let markup = chart(&axes(12), "Source: runs.", &[wide]).into_string();
        assert!(markup.contains("axis 7") && !markup.contains("axis 8"));
        let short = chart(&axes(4), "Source: runs.", &[line(&[])]).into_string();
        assert!(!short.contains("<path"), "values that are not there are not drawn");
    }
}
