//! Two distributions side by side: shares of the reference and of the present, bin by bin.

use greenlight_app::drift::{Bin, ColumnDrift};
use maud::{Markup, html};

use super::scale::{Scale, extent, ticks};
use super::{Canvas, Frame, NARROW, WIDE, framed_on, px};
use crate::components::number::{count, decimal, percent, share};
use crate::components::scroll;

const ROW: f64 = 30.0;
const LETTER: f64 = 7.0;

/// The chart, or nothing without a bin. `reference` says in words what the present is compared with.
pub fn chart(column: &ColumnDrift, reference: &str) -> Markup {
    if column.bins.is_empty() {
        return html! {};
    }
    let title = format!("Distribution of “{}”", column.name);
    let legend = [("bar-training", reference.to_owned()), ("bar-shadow", "the last days".to_owned())];
    let frame = Frame {
        title: &title,
        units: "percent of rows in each bin".to_owned(),
        label: format!("Bar chart of {} bins; drift (PSI) {}.", column.bins.len(), decimal(column.psi, 2)),
        source: format!(
            "Source: sealed log. PSI {}; chance alone stays below {} in 19 of 20 cases.",
            decimal(column.psi, 3),
            decimal(column.by_chance, 3)
        ),
        legend: &legend,
    };
    let longest = column.bins.iter().map(|bin| bin.label.chars().count()).max().unwrap_or(0).min(26);
    let canvas = |canvas: Canvas, most: f64| Canvas {
        left: (longest as f64 * LETTER + 14.0).clamp(60.0, most),
        height: canvas.top + canvas.bottom + ROW * column.bins.len() as f64,
        ..canvas
    };
    let canvases = [canvas(WIDE, 220.0), canvas(NARROW, 150.0)];
    framed_on(&frame, canvases, |canvas| draw(canvas, &column.bins), table(&column.bins))
}

fn shares(bins: &[Bin]) -> Vec<(f64, f64)> {
    let all = |part: fn(&Bin) -> u64| bins.iter().map(part).sum::<u64>();
    let (before, now) = (all(|bin| bin.reference), all(|bin| bin.current));
    bins.iter().map(|bin| (share(bin.reference, before) * 100.0, share(bin.current, now) * 100.0)).collect()
}

fn draw(canvas: Canvas, bins: &[Bin]) -> Markup {
    let shares = shares(bins);
    let marks = ticks(extent(shares.iter().flat_map(|s| [s.0, s.1])), canvas.labels.min(5));
    let x = Scale::new((0.0, marks.last().copied().unwrap_or(1.0)), canvas.across());
    let (bottom, top) = canvas.upwards();
    let letters = ((canvas.left - 14.0) / LETTER) as usize;
    html! {
        @for tick in &marks {
            @let at = x.at(*tick);
            line class=(if *tick == 0.0 { "grid zero" } else { "grid" })
                x1=(px(at)) x2=(px(at)) y1=(px(top)) y2=(px(bottom)) {}
            text.tick x=(px(at)) y=(px(bottom + 20.0)) text-anchor="middle" {
                (decimal(*tick, usize::from(tick.fract() != 0.0))) " %"
            }
        }
        @for (index, (bin, (before, now))) in bins.iter().zip(&shares).enumerate() {
            @let y = top + ROW * index as f64;
            g {
                title { (bin.label) ": " (decimal(*before, 1)) " %, now " (decimal(*now, 1)) " %" }
                text.tick x=(px(canvas.left - 8.0)) y=(px(y + ROW / 2.0 + 4.0)) text-anchor="end" {
                    (super::shortened(&bin.label, letters))
                }
                rect.bar-training x=(px(canvas.left)) y=(px(y + 4.0)) width=(px(x.at(*before) - canvas.left)) height="10" {}
                rect.bar-shadow x=(px(canvas.left)) y=(px(y + 16.0)) width=(px(x.at(*now) - canvas.left)) height="10" {}
            }
        }
    }
}

fn table(bins: &[Bin]) -> Markup {
    let shares = shares(bins);
    scroll(
        "Rows by bin",
        html! {
            table {
                thead { tr {
                    th scope="col" { "Bin" }
                    @for name in ["Reference", "share", "Now", "share"] { th.number scope="col" { (name) } }
                } }
                tbody {
                    @for (bin, (before, now)) in bins.iter().zip(&shares) {
                        tr {
                            th scope="row" { (bin.label) }
                            td.number { (count(bin.reference.cast_signed())) }
                            td.number { (percent(before / 100.0, 1)) }
                            td.number { (count(bin.current.cast_signed())) }
                            td.number { (percent(now / 100.0, 1)) }
                        }
                    }
                }
            }
        },
    )
}
