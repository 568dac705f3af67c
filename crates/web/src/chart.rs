//! Charts as SVG, drawn by our own small functions.
//!
//! Owns marks, scales and the frame around a chart. Refuses colours: those are CSS classes, so that light and dark
//! follow the page. A chart is drawn twice, for a wide and a narrow screen, and CSS shows the one whose letters can
//! be read there.

pub mod axis;
pub mod curves;
pub mod effect;
pub mod forecast;
pub mod graph;
pub mod histogram;
pub mod lines;
pub mod months;
pub mod pairs;
pub mod parallel;
pub mod scale;
pub mod scatter;
pub mod sequence;
pub mod series;
pub mod split;
pub mod waterfall;

use maud::{Markup, html};

/// Where to draw, in units of the view box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Canvas {
    /// Whole width.
    pub width: f64,
    /// Whole height.
    pub height: f64,
    /// Left of the marks, where the tick labels stand.
    pub left: f64,
    /// Right of the marks.
    pub right: f64,
    /// Above the marks.
    pub top: f64,
    /// Below the marks.
    pub bottom: f64,
    /// About how many labels fit along the bottom.
    pub labels: usize,
}

/// For a desk.
pub const WIDE: Canvas =
    Canvas { width: 960.0, height: 320.0, left: 82.0, right: 24.0, top: 14.0, bottom: 32.0, labels: 9 };
/// For a phone.
pub const NARROW: Canvas =
    Canvas { width: 380.0, height: 260.0, left: 68.0, right: 20.0, top: 12.0, bottom: 30.0, labels: 4 };

impl Canvas {
    /// Left and right end of the marks.
    pub fn across(&self) -> (f64, f64) {
        (self.left, self.width - self.right)
    }

    /// Lower and upper end of the marks: y grows downwards.
    pub fn upwards(&self) -> (f64, f64) {
        (self.height - self.bottom, self.top)
    }
}

/// What stands around the marks.
pub struct Frame<'a> {
    /// What the chart shows.
    pub title: &'a str,
    /// In which units.
    pub units: String,
    /// What a screen reader says instead of the marks.
    pub label: String,
    /// Where the numbers come from.
    pub source: String,
    /// Class of each series' swatch and its name.
    pub legend: &'a [(&'a str, String)],
}

/// Frames what `draw` draws, with the numbers themselves in `table`.
pub fn framed(frame: &Frame<'_>, draw: impl Fn(Canvas) -> Markup, table: Markup) -> Markup {
    framed_on(frame, [WIDE, NARROW], draw, table)
}

/// The same on canvases of their own, for charts whose height grows with what they show.
pub fn framed_on(
    frame: &Frame<'_>,
    [wide, narrow]: [Canvas; 2],
    draw: impl Fn(Canvas) -> Markup,
    table: Markup,
) -> Markup {
    html! {
        figure.chart {
            figcaption {
                span.chart-title { (frame.title) } " "
                span.units { (frame.units) }
            }
            @if !frame.legend.is_empty() {
                ul.legend {
                    @for (class, name) in frame.legend { li { span class={ "swatch " (class) } {} (name) } }
                }
            }
            @for (class, canvas) in [("plot wide", wide), ("plot narrow", narrow)] {
                svg class=(class) viewBox={ "0 0 " (canvas.width) " " (canvas.height) } role="img"
                    aria-label=(frame.label) { (draw(canvas)) }
            }
            p.source { (frame.source) }
            details.numbers { summary { "Show the numbers" } (table) }
        }
    }
}

/// A coordinate with one decimal; what is not a number is drawn at the origin, never as NaN.
pub fn px(value: f64) -> String {
    format!("{:.1}", if value.is_finite() { value } else { 0.0 })
}

/// Points as an SVG path, `M x y L x y …`; empty without points.
pub fn path(points: &[(f64, f64)]) -> String {
    let mut out = String::with_capacity(points.len() * 14);
    for (index, (x, y)) in points.iter().enumerate() {
        out.push_str(if index == 0 { "M" } else { "L" });
        out.push_str(&px(*x));
        out.push(' ');
        out.push_str(&px(*y));
    }
    out
}

/// The area between an upper and a lower edge as a closed path.
pub fn band(upper: &[(f64, f64)], lower: &[(f64, f64)]) -> String {
    let edge: Vec<(f64, f64)> = upper.iter().copied().chain(lower.iter().rev().copied()).collect();
    if edge.is_empty() { String::new() } else { format!("{}Z", path(&edge)) }
}

/// Horizontal grid lines with labels; the line of zero is stronger.
pub fn value_axis(
    canvas: Canvas,
    scale: &scale::Scale,
    ticks: &[f64],
    label: impl Fn(f64) -> String,
) -> Markup {
    let (left, right) = canvas.across();
    html! {
        @for tick in ticks {
            @let y = scale.at(*tick);
            line class=(if *tick == 0.0 { "grid zero" } else { "grid" })
                x1=(px(left)) x2=(px(right)) y1=(px(y)) y2=(px(y)) {}
            text.tick x=(px(left - 8.0)) y=(px(y + 4.0)) text-anchor="end" { (label(*tick)) }
        }
    }
}

/// At most `most` of the items, evenly, and always the last one.
pub fn thinned<T: Copy>(items: &[T], most: usize) -> Vec<T> {
    let step = items.len().div_ceil(most.max(1)).max(1);
    items.iter().rev().step_by(step).rev().copied().collect()
}

/// The text cut to `most` characters, the last of them an ellipsis.
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
