//! One thing of each run against another: which values of a parameter go with good values of a metric?

use maud::{Markup, html};

use super::axis::Axis;
use super::{Canvas, Frame, framed, px};
use crate::components::number::counted;
use crate::components::scroll;

const LETTER: f64 = 7.0;

/// One point: a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Spot {
    /// CSS class of the mark and its swatch.
    pub class: &'static str,
    /// Which run.
    pub name: String,
    /// Across, as it was logged; none when the run has no such value.
    pub x: Option<String>,
    /// Upwards, as it was logged.
    pub y: Option<String>,
}

impl Spot {
    fn pair(&self) -> Option<(&str, &str)> {
        self.x.as_deref().zip(self.y.as_deref())
    }
}

/// The chart, or nothing without a run that has both values.
pub fn chart((x, y): (&str, &str), source: &str, spots: &[Spot]) -> Markup {
    let both = spots.iter().filter(|spot| spot.pair().is_some()).count();
    if both == 0 {
        return html! {};
    }
    let title = format!("{y} against {x}");
    let legend: Vec<(&str, String)> =
        spots.iter().filter(|s| s.pair().is_some()).map(|s| (s.class, s.name.clone())).collect();
    let frame = Frame {
        title: &title,
        units: format!("across: {x}; upwards: {y}; both as they were logged"),
        label: format!("Scatter chart of {} by {x} and {y}.", counted(both as u64, "run", "runs")),
        source: source.to_owned(),
        legend: &legend,
    };
    framed(&frame, |canvas| draw(canvas, spots), table((x, y), spots))
}

fn draw(canvas: Canvas, spots: &[Spot]) -> Markup {
    let (across, upwards) = (canvas.across(), canvas.upwards());
    let pairs = || spots.iter().filter_map(Spot::pair);
    let x = Axis::of(pairs().map(|pair| pair.0), canvas.labels.min(5));
    let y = Axis::of(pairs().map(|pair| pair.1), 4);
    let letters = ((canvas.left - 14.0) / LETTER) as usize;
    let below = x.labels(across, usize::MAX).len().max(1);
    let room = ((across.1 - across.0) / below as f64 / LETTER) as usize;
    html! {
        @for (at, label) in y.labels(upwards, letters) {
            line.grid x1=(px(across.0)) x2=(px(across.1)) y1=(px(at)) y2=(px(at)) {}
            text.tick x=(px(across.0 - 8.0)) y=(px(at + 4.0)) text-anchor="end" { (label) }
        }
        @for (at, label) in x.labels(across, room.max(3)) {
            line.tick-mark x1=(px(at)) x2=(px(at)) y1=(px(upwards.0)) y2=(px(upwards.0 + 5.0)) {}
            text.tick x=(px(at)) y=(px(upwards.0 + 20.0)) text-anchor="middle" { (label) }
        }
        @for spot in spots {
            @if let Some((own_x, own_y)) = spot.pair() {
                @if let (Some(cx), Some(cy)) = (x.at(own_x, across), y.at(own_y, upwards)) {
                    circle class={ "dot " (spot.class) } cx=(px(cx)) cy=(px(cy)) r="6" {
                        title { (spot.name) ": " (own_x) ", " (own_y) }
                    }
                }
            }
        }
    }
}

fn table((x, y): (&str, &str), spots: &[Spot]) -> Markup {
    let value = |known: Option<&str>| {
        html! { @match known { Some(known) => (known), None => span.none { "–" } } }
    };
    scroll(
        "Both values by run",
        html! {
            table.compact {
                thead { tr { th scope="col" { "Run" } th.number scope="col" { (x) } th.number scope="col" { (y) } } }
                tbody {
                    @for spot in spots {
                        tr {
                            th scope="row" { (spot.name) }
                            td.number { (value(spot.x.as_deref())) }
                            td.number { (value(spot.y.as_deref())) }
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

    fn spot(x: Option<&str>, y: Option<&str>) -> Spot {
        Spot { class: "series s1", name: "calm-owl".into(), x: x.map(str::to_owned), y: y.map(str::to_owned) }
    }

    #[test]
    fn runs_that_lack_a_value_are_in_the_table_only() {
        let spots = [spot(Some("3"), Some("0.7")), spot(None, Some("0.6")), spot(Some("5"), Some("NaN"))];
        let markup = chart(("depth", "auc"), "Source: runs.", &spots).into_string();
        assert_eq!(markup.matches("<circle").count(), 2, "one run, drawn twice");
        assert_eq!(markup.matches("<tr>").count(), 4);
        assert!(!markup.contains("style="));
        assert_eq!(chart(("a", "b"), "", &[spot(Some("1"), None)]).into_string(), "");
        assert_eq!(chart(("a", "b"), "", &[]).into_string(), "");
    }

    #[test]
    fn words_have_places_of_their_own() {
        let spots = [spot(Some("linear"), Some("0.7")), spot(Some("trees"), Some("0.8"))];
        let markup = chart(("learner", "auc"), "Source: runs.", &spots).into_string();
        assert!(markup.contains(">linear<") && markup.contains(">trees<"), "{markup}");
    }
}
