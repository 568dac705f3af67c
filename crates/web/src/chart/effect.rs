//! An effect with its interval, against zero.

use maud::{Markup, html};

use super::scale::{Scale, extent};
use super::{Canvas, Frame, framed_on, px};
use crate::components::number::significant;
use crate::components::scroll;

const WIDE: Canvas =
    Canvas { width: 960.0, height: 96.0, left: 24.0, right: 24.0, top: 16.0, bottom: 36.0, labels: 5 };
const NARROW: Canvas =
    Canvas { width: 380.0, height: 96.0, left: 24.0, right: 24.0, top: 16.0, bottom: 36.0, labels: 3 };

/// The chart.
pub fn chart((low, estimate, high): (f64, f64, f64), unit: &str) -> Markup {
    let frame = Frame {
        title: "Effect",
        units: unit.to_owned(),
        label: format!(
            "Effect {} with interval from {} to {} {unit}.",
            significant(estimate),
            significant(low),
            significant(high)
        ),
        source: "Source: the finding; its author stated estimate and interval.".to_owned(),
        legend: &[],
    };
    let table = scroll(
        "Effect",
        html! {
            table {
                thead { tr { th.number scope="col" { "Low" } th.number scope="col" { "Estimate" } th.number scope="col" { "High" } } }
                tbody { tr {
                    td.number { (significant(low)) } td.number { (significant(estimate)) } td.number { (significant(high)) }
                } }
            }
        },
    );
    framed_on(&frame, [WIDE, NARROW], |canvas| draw(canvas, (low, estimate, high)), table)
}

fn draw(canvas: Canvas, (low, estimate, high): (f64, f64, f64)) -> Markup {
    let (from, until) = extent([low, high].into_iter());
    let room = (until - from) * 0.06;
    let x = Scale::new((from - room, until + room), canvas.across());
    let (bottom, top) = canvas.upwards();
    let middle = f64::midpoint(bottom, top);
    html! {
        line class="grid zero" x1=(px(x.at(0.0))) x2=(px(x.at(0.0))) y1=(px(top)) y2=(px(bottom)) {}
        text.tick x=(px(x.at(0.0))) y=(px(bottom + 20.0)) text-anchor="middle" { "0" }
        line.effect-range x1=(px(x.at(low))) x2=(px(x.at(high))) y1=(px(middle)) y2=(px(middle)) {}
        @for end in [low, high] {
            line.effect-range x1=(px(x.at(end))) x2=(px(x.at(end))) y1=(px(middle - 7.0)) y2=(px(middle + 7.0)) {}
        }
        circle.effect-point cx=(px(x.at(estimate))) cy=(px(middle)) r="6" {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_is_drawn_against_zero() {
        let drawn = chart((-1.0, 0.5, 2.0), "points").0;
        assert!(drawn.contains("Effect 0.5 with interval from −1 to 2 points"), "{drawn}");
        assert_eq!(drawn.matches("effect-point").count(), 2);
        assert!(!chart((0.0, 0.0, 0.0), "x").0.contains("NaN"));
    }
}
