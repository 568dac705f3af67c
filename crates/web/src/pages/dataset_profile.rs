//! The columns of a data set in one table: type, missing values, range or most frequent texts, and a small histogram.

use std::collections::BTreeMap;

use greenlight_domain::dataset::profile::{ColumnProfile, Content, Profile, QUANTILES, Spread};
use greenlight_domain::dataset::{ColumnContract, Known};
use greenlight_domain::time::Micros;
use maud::{Markup, html};

use crate::chart::{px, shortened};
use crate::components::number::{count, decimal, percent, share};
use crate::components::scroll;

const WIDTH: f64 = 160.0;
const HEIGHT: f64 = 40.0;

/// The table.
pub(super) fn table(profile: &Profile, contract: &BTreeMap<String, ColumnContract>) -> Markup {
    scroll(
        "Columns",
        html! {
            table.profile {
                thead { tr {
                    th scope="col" { "Column" } th scope="col" { "Type" } th.number scope="col" { "Missing" }
                    th.number scope="col" { "Distinct" } th scope="col" { "Values" } th scope="col" { "Spread" }
                } }
                tbody {
                    @for column in &profile.columns { (row(column, profile.rows, contract.get(&column.name))) }
                }
            }
        },
    )
}

fn row(column: &ColumnProfile, rows: u64, contract: Option<&ColumnContract>) -> Markup {
    html! {
        tr {
            th scope="row" {
                (column.name)
                @if let Some(contract) = contract {
                    @if let Some(description) = &contract.description { div.muted.small { (description) } }
                    @if contract.known == Known::After { div.small { span.badge.waiting { "known after the decision" } } }
                }
            }
            td { (column.column_type) }
            td.number { (percent(share(column.missing, rows), 1)) }
            td.number {
                @match column.distinct {
                    Some(distinct) => (count(distinct.cast_signed())),
                    None if column.content == Content::Other => span.none { "not counted" },
                    None => "over 10,000",
                }
            }
            td { (values(column, rows)) }
            td {
                @if let Some(spread) = &column.spread { (histogram(column, spread)) }
                @else if !column.top.is_empty() { (bars(column, rows)) }
            }
        }
    }
}

fn values(column: &ColumnProfile, rows: u64) -> Markup {
    let written = |value: f64| number(column.content, value);
    html! {
        @if let Some(spread) = &column.spread {
            span.nowrap { (written(spread.min)) " to " (written(spread.max)) }
            div.muted.small { "median " (written(spread.quantiles.get(3).copied().unwrap_or(f64::NAN))) }
            details.small {
                summary { "quantiles" }
                ul.plain {
                    @for (q, value) in QUANTILES.iter().zip(&spread.quantiles) {
                        li { (decimal(q * 100.0, 0)) " %: " (written(*value)) }
                    }
                    @if column.content == Content::Number {
                        li { "mean: " (written(spread.mean)) }
                        @if let Some(deviation) = spread.standard_deviation { li { "standard deviation: " (written(deviation)) } }
                    }
                    @if spread.sampled + column.missing < rows { li { "from " (count(spread.sampled.cast_signed())) " values drawn at random" } }
                }
            }
        } @else {
            @for (at, top) in column.top.iter().take(3).enumerate() {
                @if at > 0 { ", " }
                (shortened(&top.value, 24)) " " span.muted { (percent(share(top.count, rows), 0)) }
            }
        }
    }
}

/// A number as people read it: moments as days, large ones without decimals.
fn number(content: Content, value: f64) -> String {
    if content == Content::Time {
        return Micros(value as i64).date().to_string();
    }
    let digits = match value.abs() {
        _ if value.fract() == 0.0 => 0,
        size if size >= 1_000.0 => 0,
        size if size >= 1.0 => 2,
        _ => 4,
    };
    if digits == 0 && value.abs() < 1e15 { count(value.round() as i64) } else { decimal(value, digits) }
}

/// Bars of equal width from the smallest to the largest value.
fn histogram(column: &ColumnProfile, spread: &Spread) -> Markup {
    let most = spread.histogram.iter().copied().max().unwrap_or(1).max(1) as f64;
    let width = WIDTH / spread.histogram.len().max(1) as f64;
    let label = format!(
        "Histogram of {}: {} bins from {} to {}",
        column.name,
        spread.histogram.len(),
        number(column.content, spread.min),
        number(column.content, spread.max)
    );
    html! {
        svg.spark viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label) {
            @for (at, bin) in spread.histogram.iter().enumerate() {
                @let height = (*bin as f64 / most * (HEIGHT - 1.0)).max(if *bin > 0 { 1.0 } else { 0.0 });
                rect x=(px(at as f64 * width)) y=(px(HEIGHT - height)) width=(px((width - 0.8).max(0.6))) height=(px(height)) {}
            }
            line x1="0" x2=(px(WIDTH)) y1=(px(HEIGHT)) y2=(px(HEIGHT)) {}
        }
    }
}

/// A bar for each of the texts that occur most.
fn bars(column: &ColumnProfile, rows: u64) -> Markup {
    let shown = column.top.iter().take(5);
    let height = HEIGHT / 5.0;
    html! {
        svg.spark viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img"
            aria-label={ "Shares of the most frequent texts of " (column.name) } {
            @for (at, top) in shown.enumerate() {
                rect x="0" y=(px(at as f64 * height)) width=(px((share(top.count, rows) * WIDTH).max(1.0))) height=(px(height - 2.0)) {
                    title { (shortened(&top.value, 60)) ": " (count(top.count.cast_signed())) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(number(Content::Number, 12_345.0), "12,345");
        assert_eq!(number(Content::Number, 0.123_456), "0.1235");
        assert_eq!(number(Content::Number, -2.5), "−2.50");
        assert_eq!(number(Content::Time, 0.0), "1970-01-01");
    }
}
