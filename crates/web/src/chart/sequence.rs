//! A confidence sequence over time: what was known of an effect at the end of each day.

use greenlight_domain::ab_test::Look;
use greenlight_domain::money::Currency;
use maud::{Markup, html};

use super::scale::{Scale, date_ticks, extent, ticks};
use super::{Canvas, Frame, band, framed, path, px, thinned, value_axis};
use crate::components::number::{count, money_to_the_cent};
use crate::components::scroll;

/// More points than pixels say nothing more.
const MOST_POINTS: usize = 400;
const MOST_ROWS: usize = 40;
const MOST_HOVERS: usize = 90;

/// The chart, or nothing without a look.
pub fn chart(looks: &[Look], currency: Currency) -> Markup {
    let (Some(first), Some(last)) = (looks.first(), looks.last()) else {
        return html! {};
    };
    let shown = |minor: f64| money_to_the_cent(minor, currency);
    let level = format!("{:.0} %", last.effect.level * 100.0);
    let legend = [
        ("line-actual", "Effect a unit so far (grade A)".to_owned()),
        ("band-actual", format!("its {level} confidence sequence")),
    ];
    let frame = Frame {
        title: "What was known of the effect, day by day",
        units: format!("{} a unit, treatment less control", currency.code()),
        label: format!(
            "Line chart from {} to {}: the effect a unit is {}, between {} and {}, grade A.",
            first.at.date(),
            last.at.date(),
            shown(last.effect.estimate),
            shown(last.effect.low),
            shown(last.effect.high)
        ),
        source: "Source: daily statistics of matured, randomised units, accumulated. The band holds on all days together. \
                 Early days are cut at the edge of the chart."
            .to_owned(),
        legend: &legend,
    };
    let drawn = thinned(looks, MOST_POINTS);
    framed(&frame, |canvas| draw(canvas, &drawn, currency), table(looks, currency))
}

/// The band of the first days can be wider than everything after; it may at most treble what the last one spans.
fn value_range(looks: &[Look]) -> (f64, f64) {
    let Some(last) = looks.last() else { return (0.0, 1.0) };
    let room = (last.effect.high - last.effect.low) * 1.5;
    let (least, most) = (last.effect.estimate - room, last.effect.estimate + room);
    let ends = looks.iter().flat_map(|look| [look.effect.low, look.effect.high]);
    extent(ends.map(|end| end.clamp(least, most)).chain([0.0]))
}

fn draw(canvas: Canvas, looks: &[Look], currency: Currency) -> Markup {
    let (Some(first), Some(last)) = (looks.first(), looks.last()) else {
        return html! {};
    };
    let marks = ticks(value_range(looks), 5);
    let (least, most) = (marks.first().copied().unwrap_or(0.0), marks.last().copied().unwrap_or(1.0));
    let y = Scale::new((least, most), canvas.upwards());
    let x = Scale::new((first.at.0 as f64, last.at.0 as f64), canvas.across());
    let place = |look: &Look, value: f64| (x.at(look.at.0 as f64), y.at(value.clamp(least, most)));
    let along = |of: fn(&Look) -> f64| looks.iter().map(|look| place(look, of(look))).collect::<Vec<_>>();
    let estimates = along(|look| look.effect.estimate);
    let (bottom, _) = canvas.upwards();
    html! {
        (value_axis(canvas, &y, &marks, |tick| money_to_the_cent(tick, currency)))
        @for tick in date_ticks(first.at, last.at, canvas.labels) {
            @let at = x.at(tick.at.0 as f64);
            line.tick-mark x1=(px(at)) x2=(px(at)) y1=(px(bottom)) y2=(px(bottom + 5.0)) {}
            text.tick x=(px(at)) y=(px(bottom + 20.0)) text-anchor="middle" { (tick.label) }
        }
        path.band-actual d=(band(&along(|look| look.effect.high), &along(|look| look.effect.low))) {}
        path.line-actual d=(path(&estimates)) {}
        @if let [single] = looks {
            @let middle = x.at(single.at.0 as f64);
            line.whisker x1=(px(middle)) x2=(px(middle)) y1=(px(y.at(single.effect.low))) y2=(px(y.at(single.effect.high))) {}
        }
        @if let Some((end_x, end_y)) = estimates.last() {
            circle.dot-actual cx=(px(*end_x)) cy=(px(*end_y)) r="4.5" {}
        }
        (hovers(canvas, &x, looks, currency))
    }
}

/// Columns that show their numbers when a pointer rests on them; no script needed.
fn hovers(canvas: Canvas, x: &Scale, looks: &[Look], currency: Currency) -> Markup {
    let (bottom, top) = canvas.upwards();
    let shown = thinned(looks, MOST_HOVERS);
    let width = (canvas.width - canvas.left - canvas.right) / shown.len().max(1) as f64;
    html! {
        @for look in &shown {
            rect.hover x=(px(x.at(look.at.0 as f64) - width / 2.0)) y=(px(top)) width=(px(width)) height=(px(bottom - top)) {
                title { (words(look, currency)) }
            }
        }
    }
}

fn words(look: &Look, currency: Currency) -> String {
    let shown = |minor: f64| money_to_the_cent(minor, currency);
    let Look { at, units, effect } = look;
    format!(
        "by {}: {} a unit, {} to {}, {} units",
        at.date(),
        shown(effect.estimate),
        shown(effect.low),
        shown(effect.high),
        count(units.cast_signed())
    )
}

fn table(looks: &[Look], currency: Currency) -> Markup {
    let shown = |minor: f64| money_to_the_cent(minor, currency);
    scroll(
        "The effect by day",
        html! {
            table.compact {
                thead { tr {
                    th scope="col" { "By" }
                    th.number scope="col" { "Units" }
                    th.number scope="col" { "Effect a unit" }
                    th.number scope="col" { "Low" }
                    th.number scope="col" { "High" }
                } }
                tbody {
                    @for look in thinned(looks, MOST_ROWS) {
                        tr {
                            td { (look.at.date()) }
                            td.number { (count(look.units.cast_signed())) }
                            td.number { (shown(look.effect.estimate)) }
                            td.number { (shown(look.effect.low)) }
                            td.number { (shown(look.effect.high)) }
                        }
                    }
                }
            }
        },
    )
}
