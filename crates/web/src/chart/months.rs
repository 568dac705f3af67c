//! Gain by month of history, each month with its interval.

use greenlight_domain::gate::history::MonthFigures;
use greenlight_domain::money::Currency;
use maud::{Markup, html};

use super::scale::{Scale, extent, ticks};
use super::{Canvas, Frame, framed, px, value_axis};
use crate::components::number::money;

/// The chart with `table` as its numbers, or nothing without months. `level` is that of the intervals.
pub fn chart(months: &[MonthFigures], currency: Currency, level: f64, table: Markup) -> Markup {
    if months.is_empty() {
        return html! {};
    }
    let ahead = months.iter().filter(|m| m.gain_minor > 0.0).count();
    let legend = [
        ("dot-gain", "gain of the model over the holdout rule (grade C)".to_owned()),
        ("whisker", format!("{:.0} % bootstrap interval", level * 100.0)),
    ];
    let frame = Frame {
        title: "Gain over the holdout rule by month",
        units: format!("{}, whole units, grade C", currency.code()),
        label: format!("Dot chart: the model is ahead in {ahead} of {} months of history.", months.len()),
        source: "Source: history gate, on months that the model never saw in training.".to_owned(),
        legend: &legend,
    };
    framed(&frame, |canvas| draw(canvas, months, currency), table)
}

fn draw(canvas: Canvas, months: &[MonthFigures], currency: Currency) -> Markup {
    let ends = months.iter().flat_map(|m| [m.gain_low_minor, m.gain_minor, m.gain_high_minor]);
    let marks = ticks(extent(ends), 5);
    let range = (marks.first().copied().unwrap_or(0.0), marks.last().copied().unwrap_or(1.0));
    let y = Scale::new(range, canvas.upwards());
    let (left, right) = canvas.across();
    let (bottom, _) = canvas.upwards();
    let width = (right - left) / months.len() as f64;
    let every = months.len().div_ceil(canvas.labels).max(1);
    html! {
        (value_axis(canvas, &y, &marks, |tick| money(tick, currency)))
        @for (index, month) in months.iter().enumerate() {
            @let x = left + width * (index as f64 + 0.5);
            g {
                title {
                    (month.month) ": " (money(month.gain_minor, currency)) " ("
                    (money(month.gain_low_minor, currency)) " to " (money(month.gain_high_minor, currency))
                    ", grade C)"
                }
                line.whisker x1=(px(x)) x2=(px(x)) y1=(px(y.at(month.gain_low_minor)))
                    y2=(px(y.at(month.gain_high_minor))) {}
                circle class=(if month.gain_minor > 0.0 { "dot-gain" } else { "dot-gain behind" })
                    cx=(px(x)) cy=(px(y.at(month.gain_minor))) r="5" {}
            }
            @if index % every == 0 {
                text.tick x=(px(x)) y=(px(bottom + 20.0)) text-anchor="middle" { (month.month) }
            }
        }
    }
}
