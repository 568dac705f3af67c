//! Forecast against actual: what the business case said, and what was earned, accumulated by day.

use greenlight_domain::ledger::ForecastPoint;
use greenlight_domain::money::Currency;
use maud::{Markup, html};

use super::scale::{Scale, date_ticks, extent, ticks};
use super::{Canvas, Frame, band, framed, path, px, thinned, value_axis};
use crate::components::number::money;
use crate::components::scroll;

/// More points than pixels say nothing more.
const MOST_POINTS: usize = 400;
const MOST_ROWS: usize = 40;
const MOST_HOVERS: usize = 90;

/// The chart, or nothing without points. `level` is that of the confidence sequence, `case` names the forecast.
pub fn chart(points: &[ForecastPoint], currency: Currency, level: f64, case: &str) -> Markup {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return html! {};
    };
    let earned = last.earned_minor.map_or_else(
        || "nothing earned yet".to_owned(),
        |minor| format!("{} earned, grade A", money(minor, currency)),
    );
    let legend = [
        ("line-actual", "Earned so far (grade A)".to_owned()),
        ("band-actual", format!("its {:.0} % confidence sequence", level * 100.0)),
        ("line-forecast", "Forecast, expected (grade D)".to_owned()),
        ("band-forecast", "forecast, low to high".to_owned()),
    ];
    let frame = Frame {
        title: "Forecast against actual, accumulated",
        units: format!("{}, whole units", currency.code()),
        label: format!(
            "Line chart from {} to {}: {earned}; {} expected by the forecast, grade D.",
            first.at.date(),
            last.at.date(),
            money(last.forecast_minor[1], currency)
        ),
        source: format!(
            "Source: business case {case} accrued evenly over its horizon; ledger, matured days only. \
             Early intervals are cut at the edge of the chart."
        ),
        legend: &legend,
    };
    let drawn = thinned(points, MOST_POINTS);
    framed(&frame, |canvas| draw(canvas, &drawn, currency), table(points, currency))
}

/// The band of the first few units can be wider than everything else; it may at most double the chart.
fn value_range(points: &[ForecastPoint]) -> (f64, f64) {
    let last = points.last();
    let ends = last.into_iter().flat_map(|p| [p.earned_low_minor, p.earned_high_minor]).flatten();
    let lines = points.iter().flat_map(|p| p.forecast_minor.into_iter().chain(p.earned_minor));
    let (low, high) = extent(lines.chain(ends));
    let room = (high - low) / 2.0;
    let bands = points.iter().flat_map(|p| [p.earned_low_minor, p.earned_high_minor]).flatten();
    extent(bands.map(|v| v.clamp(low - room, high + room)).chain([low, high]))
}

fn draw(canvas: Canvas, points: &[ForecastPoint], currency: Currency) -> Markup {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return html! {};
    };
    let marks = ticks(value_range(points), 5);
    let ends = (marks.first().copied().unwrap_or(0.0), marks.last().copied().unwrap_or(1.0));
    let y = Scale::new(ends, canvas.upwards());
    let x = Scale::new((first.at.0 as f64, last.at.0 as f64), canvas.across());
    let at = |p: &ForecastPoint, value: f64| (x.at(p.at.0 as f64), y.at(value));
    let along = |which: usize| points.iter().map(|p| at(p, p.forecast_minor[which])).collect::<Vec<_>>();
    let earned: Vec<_> = points.iter().filter_map(|p| Some(at(p, p.earned_minor?))).collect();
    let known = |value: fn(&ForecastPoint) -> Option<f64>| {
        points.iter().filter_map(|p| Some(at(p, value(p)?))).collect::<Vec<_>>()
    };
    let (upper, lower) = (known(|p| p.earned_high_minor), known(|p| p.earned_low_minor));
    html! {
        (value_axis(canvas, &y, &marks, |tick| money(tick, currency)))
        (dates(canvas, &x, first, last))
        path.band-forecast d=(band(&along(2), &along(0))) {}
        path.band-actual d=(band(&upper, &lower)) {}
        path.line-forecast d=(path(&along(1))) {}
        path.line-actual d=(path(&earned)) {}
        @if let [single] = points { (lonely(single, &y, &x)) }
        @if let Some((end_x, end_y)) = earned.last() {
            circle.dot-actual cx=(px(*end_x)) cy=(px(*end_y)) r="4.5" {}
        }
        (hovers(canvas, &x, points, currency))
    }
}

/// One point has no line and no area, so its intervals are drawn as whiskers.
fn lonely(point: &ForecastPoint, y: &Scale, x: &Scale) -> Markup {
    let middle = x.at(point.at.0 as f64);
    let whisker = |class: &str, at: f64, low: f64, high: f64| {
        html! { line class=(class) x1=(px(at)) x2=(px(at)) y1=(px(y.at(low))) y2=(px(y.at(high))) {} }
    };
    html! {
        (whisker("whisker forecast", middle - 8.0, point.forecast_minor[0], point.forecast_minor[2]))
        @if let (Some(low), Some(high)) = (point.earned_low_minor, point.earned_high_minor) {
            (whisker("whisker", middle, low, high))
        }
    }
}

fn dates(canvas: Canvas, x: &Scale, first: &ForecastPoint, last: &ForecastPoint) -> Markup {
    let (bottom, _) = canvas.upwards();
    html! {
        @for tick in date_ticks(first.at, last.at, canvas.labels) {
            @let at = x.at(tick.at.0 as f64);
            line.tick-mark x1=(px(at)) x2=(px(at)) y1=(px(bottom)) y2=(px(bottom + 5.0)) {}
            text.tick x=(px(at)) y=(px(bottom + 20.0)) text-anchor="middle" { (tick.label) }
        }
    }
}

/// Columns that show their numbers when a pointer rests on them; no script needed.
fn hovers(canvas: Canvas, x: &Scale, points: &[ForecastPoint], currency: Currency) -> Markup {
    let (bottom, top) = canvas.upwards();
    let shown = thinned(points, MOST_HOVERS);
    let (left, right) = canvas.across();
    let width = (right - left) / shown.len().max(1) as f64;
    html! {
        @for point in &shown {
            rect.hover x=(px(x.at(point.at.0 as f64) - width / 2.0)) y=(px(top)) width=(px(width))
                height=(px(bottom - top)) { title { (spoken(point, currency)) } }
        }
    }
}

fn spoken(point: &ForecastPoint, currency: Currency) -> String {
    let [low, expected, high] = point.forecast_minor.map(|minor| money(minor, currency));
    let forecast = format!("forecast {expected} ({low} to {high}, grade D)");
    let earned = match (point.earned_minor, point.earned_low_minor, point.earned_high_minor) {
        (Some(minor), Some(low), Some(high)) => format!(
            "earned {} ({} to {}, grade A)",
            money(minor, currency),
            money(low, currency),
            money(high, currency)
        ),
        (Some(minor), _, _) => format!("earned {} (grade A)", money(minor, currency)),
        (None, _, _) => "nothing earned yet".to_owned(),
    };
    format!("{}\n{earned}\n{forecast}", point.at.date())
}

fn table(points: &[ForecastPoint], currency: Currency) -> Markup {
    let shown = thinned(points, MOST_ROWS);
    let cell = |minor: Option<f64>| minor.map_or_else(|| "–".to_owned(), |m| money(m, currency));
    scroll(
        "Forecast against actual",
        html! {
            table {
                @if shown.len() < points.len() {
                    caption { (shown.len()) " of " (points.len()) " days, evenly chosen, the newest included" }
                }
                thead { tr {
                    th scope="col" { "Until" }
                    @for name in ["Earned (A)", "low", "high", "Forecast (D)", "low", "high"] {
                        th.number scope="col" { (name) }
                    }
                } }
                tbody {
                    @for point in &shown {
                        tr {
                            th scope="row" { (point.at.date()) }
                            td.number { (cell(point.earned_minor)) }
                            td.number { (cell(point.earned_low_minor)) }
                            td.number { (cell(point.earned_high_minor)) }
                            @for which in [1, 0, 2] {
                                td.number { (money(point.forecast_minor[which], currency)) }
                            }
                        }
                    }
                }
            }
        },
    )
}
