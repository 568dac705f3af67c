//! Scores of the shadow against those of training, share by bin.

use maud::{Markup, html};

use super::scale::{Scale, extent, ticks};
use super::{Canvas, Frame, framed, px, value_axis};
use crate::components::number::{count, decimal, percent};
use crate::components::scroll;

/// The chart, or nothing when there are no bins or the two do not have the same ones. `drift` is the population
/// stability index that the gate found.
pub fn chart(training: &[u64], shadow: &[u64], drift: f64) -> Markup {
    if training.is_empty() || training.len() != shadow.len() {
        return html! {};
    }
    let legend = [
        ("bar-training", "in training".to_owned()),
        ("bar-shadow", "beside live traffic (shadow)".to_owned()),
    ];
    let frame = Frame {
        title: "Scores beside live traffic and in training",
        units: "percent of scores, by tenth of the training scores, lowest left".to_owned(),
        label: format!(
            "Bar chart of score shares in {} bins; drift (PSI) {}.",
            training.len(),
            decimal(drift, 2)
        ),
        source: "Source: shadow gate; bins hold equal shares of the training scores.".to_owned(),
        legend: &legend,
    };
    framed(&frame, |canvas| draw(canvas, training, shadow), table(training, shadow))
}

fn shares(counts: &[u64]) -> Vec<f64> {
    let total = counts.iter().sum::<u64>().max(1) as f64;
    counts.iter().map(|c| *c as f64 / total * 100.0).collect()
}

fn draw(canvas: Canvas, training: &[u64], shadow: &[u64]) -> Markup {
    let (training, shadow) = (shares(training), shares(shadow));
    let marks = ticks(extent(training.iter().chain(&shadow).copied()), 4);
    let y = Scale::new((0.0, marks.last().copied().unwrap_or(1.0)), canvas.upwards());
    let (left, right) = canvas.across();
    let (bottom, _) = canvas.upwards();
    let width = (right - left) / training.len() as f64;
    let every = training.len().div_ceil(canvas.labels.max(5) * 2).max(1);
    let bar = |class: &str, x: f64, share: f64| {
        html! {
            rect class=(class) x=(px(x)) y=(px(y.at(share))) width=(px(width * 0.34))
                height=(px(bottom - y.at(share))) {}
        }
    };
    html! {
        (value_axis(canvas, &y, &marks, |tick| format!("{} %", decimal(tick, usize::from(tick.fract() != 0.0)))))
        @for (index, (before, now)) in training.iter().zip(&shadow).enumerate() {
            @let x = left + width * index as f64;
            g {
                title { "bin " (index + 1) ": training " (decimal(*before, 1)) " %, shadow " (decimal(*now, 1)) " %" }
                (bar("bar-training", x + width * 0.14, *before))
                (bar("bar-shadow", x + width * 0.52, *now))
            }
            @if index % every == 0 {
                text.tick x=(px(x + width / 2.0)) y=(px(bottom + 20.0)) text-anchor="middle" { (index + 1) }
            }
        }
    }
}

fn table(training: &[u64], shadow: &[u64]) -> Markup {
    let (before, now) = (shares(training), shares(shadow));
    scroll(
        "Scores by bin",
        html! {
            table {
                thead { tr {
                    th scope="col" { "Bin" }
                    @for name in ["Training", "share", "Shadow", "share"] { th.number scope="col" { (name) } }
                } }
                tbody {
                    @for (bin, (training, shadow)) in training.iter().zip(shadow).enumerate() {
                        tr {
                            th scope="row" { (bin + 1) }
                            td.number { (count(training.cast_signed())) }
                            td.number { (percent(before[bin] / 100.0, 1)) }
                            td.number { (count(shadow.cast_signed())) }
                            td.number { (percent(now[bin] / 100.0, 1)) }
                        }
                    }
                }
            }
        },
    )
}
