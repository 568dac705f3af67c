//! Why a row has its score: from the score of an unknown row to its own, one input a step.

use greenlight_app::explain::{Contribution, ScoreExplanation};
use maud::{Markup, html};
use serde_json::Value;

use super::scale::{Scale, ticks};
use super::{Canvas, Frame, NARROW, WIDE, framed_on, px, shortened};
use crate::components::number::{count, decimal};
use crate::components::scroll;

const ROW: f64 = 30.0;
const LETTER: f64 = 7.2;
/// Inputs that get a step of their own; all others share one.
const STEPS: usize = 12;

/// One bar: from where to where, and what it stands for.
struct Step {
    label: String,
    from: f64,
    to: f64,
    is_total: bool,
}

/// The chart. `model` names what was explained.
pub fn chart(explanation: &ScoreExplanation, model: &str) -> Markup {
    let steps = steps(explanation);
    let legend = [
        ("step-up", "raises the score".to_owned()),
        ("step-down", "lowers it".to_owned()),
        ("step-total", "where it begins and ends".to_owned()),
    ];
    let largest = explanation.contributions.first().map_or_else(String::new, |first| {
        format!(" The largest step is {} with {}.", first.feature, signed(first.amount, 3))
    });
    let frame = Frame {
        title: "What makes this score",
        units: format!("{}; the steps add up", explanation.unit),
        label: format!(
            "Waterfall chart from {} to {} in {}.{largest}",
            decimal(explanation.expected, 3),
            decimal(explanation.score, 3),
            explanation.unit
        ),
        source: source(explanation, model),
        legend: &legend,
    };
    let longest = steps.iter().map(|step| step.label.chars().count()).max().unwrap_or(0);
    let canvas = |canvas: Canvas, least: f64, most: f64| Canvas {
        left: (longest as f64 * LETTER + 14.0).clamp(least, most),
        right: 66.0,
        height: canvas.top + canvas.bottom + ROW * steps.len() as f64,
        ..canvas
    };
    let canvases = [canvas(WIDE, 140.0, 300.0), canvas(NARROW, 120.0, 150.0)];
    framed_on(&frame, canvases, |canvas| draw(canvas, &steps), table(explanation))
}

fn source(explanation: &ScoreExplanation, model: &str) -> String {
    match &explanation.sampling {
        None => format!("Source: {model}; {}.", explanation.method),
        Some(sampling) => format!(
            "Source: {model}; {}: {} orders with seed {}, against {} rows {}.",
            explanation.method,
            count(sampling.permutations as i64),
            sampling.seed,
            count(sampling.background_rows as i64),
            sampling.background
        ),
    }
}

fn steps(explanation: &ScoreExplanation) -> Vec<Step> {
    let all = &explanation.contributions;
    // One that would share a step alone gets its own.
    let own = if all.len() <= STEPS + 1 { all.len() } else { STEPS };
    let mut steps =
        vec![Step { label: "nothing known".to_owned(), from: 0.0, to: explanation.expected, is_total: true }];
    let mut at = explanation.expected;
    let mut step = |label: String, amount: f64| {
        steps.push(Step { label, from: at, to: at + amount, is_total: false });
        at += amount;
    };
    for part in &all[..own] {
        step(named(part), part.amount);
    }
    if own < all.len() {
        step(format!("{} other inputs", all.len() - own), all[own..].iter().map(|part| part.amount).sum());
    }
    steps.push(Step { label: "this row".to_owned(), from: 0.0, to: explanation.score, is_total: true });
    steps
}

fn named(part: &Contribution) -> String {
    format!("{} = {}", part.feature, written(&part.value))
}

/// A value as a person reads it.
pub fn written(value: &Value) -> String {
    match value {
        Value::Null => "missing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(number) if number.fract() == 0.0 && number.abs() < 1e15 => count(number as i64),
            Some(number) => {
                let text = format!("{number:.4}");
                text.trim_end_matches('0').trim_end_matches('.').replace('-', "−")
            }
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}

fn signed(amount: f64, digits: usize) -> String {
    let text = decimal(amount, digits);
    if amount > 0.0 { format!("+{text}") } else { text }
}

fn draw(canvas: Canvas, steps: &[Step]) -> Markup {
    // Totals are drawn as marks, so zero need not be in the picture.
    let ends =
        || steps.iter().flat_map(|step| if step.is_total { [step.to; 2] } else { [step.from, step.to] });
    let (low, high) = ends()
        .filter(|end| end.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), end| (low.min(end), high.max(end)));
    let (low, high) = if high - low > 1e-9 { (low, high) } else { (low - 0.5, high + 0.5) };
    let marks = ticks((low, high), canvas.labels.min(5));
    let range = (marks.first().copied().unwrap_or(low), marks.last().copied().unwrap_or(high));
    let x = Scale::new(range, canvas.across());
    let (bottom, top) = canvas.upwards();
    let letters = ((canvas.left - 14.0) / LETTER) as usize;
    // As many digits as tell the ticks apart, and one more for the steps between them.
    let apart = marks.get(1).zip(marks.first()).map_or(1.0, |(second, first)| second - first);
    let digits = (0..6).find(|digits| ((apart * 10_f64.powi(*digits)).fract() - 0.5).abs() > 0.499);
    let digits = usize::try_from(digits.unwrap_or(6)).unwrap_or(6);
    let fine = (digits + 1).max(3);
    html! {
        @for tick in &marks {
            line class=(if *tick == 0.0 { "grid zero" } else { "grid" })
                x1=(px(x.at(*tick))) x2=(px(x.at(*tick))) y1=(px(top)) y2=(px(bottom)) {}
            text.tick x=(px(x.at(*tick))) y=(px(bottom + 20.0)) text-anchor="middle" { (decimal(*tick, digits)) }
        }
        @for (index, step) in steps.iter().enumerate() {
            (bar(canvas, &x, top + ROW * index as f64, step, index + 1 < steps.len(), (letters, fine)))
        }
    }
}

fn bar(
    canvas: Canvas,
    x: &Scale,
    y: f64,
    step: &Step,
    goes_on: bool,
    (letters, digits): (usize, usize),
) -> Markup {
    let (from, to) = (x.at(step.from), x.at(step.to));
    let amount = if step.is_total { decimal(step.to, digits) } else { signed(step.to - step.from, digits) };
    let class = match step.to - step.from {
        _ if step.is_total => "step-total",
        up if up > 0.0 => "step-up",
        _ => "step-down",
    };
    let right = if step.is_total { to } else { from.max(to) };
    html! {
        g {
            title { (step.label) ": " (amount) }
            text class=(if step.is_total { "tick strong" } else { "tick" }) x=(px(canvas.left - 8.0))
                y=(px(y + ROW / 2.0 + 4.0)) text-anchor="end" { (shortened(&step.label, letters)) }
            @if step.is_total {
                rect class=(class) x=(px(to - 2.0)) y=(px(y + 3.0)) width="4" height=(px(ROW - 6.0)) {}
            } @else {
                rect class=(class) x=(px(from.min(to))) y=(px(y + 6.0)) width=(px((to - from).abs().max(1.0)))
                    height=(px(ROW - 12.0)) {}
            }
            @if goes_on { line.step-link x1=(px(to)) x2=(px(to)) y1=(px(y + ROW - 6.0)) y2=(px(y + ROW + 6.0)) {} }
            text class=(if step.is_total { "tick strong" } else { "tick" }) x=(px(right + 7.0))
                y=(px(y + ROW / 2.0 + 4.0)) { (amount) }
        }
    }
}

fn table(explanation: &ScoreExplanation) -> Markup {
    let is_sampled = explanation.sampling.is_some();
    scroll(
        "Contributions",
        html! {
            table {
                thead { tr {
                    th scope="col" { "Input" } th scope="col" { "Value" }
                    th.number scope="col" { "Adds (" (explanation.unit) ")" }
                    @if is_sampled { th.number scope="col" { "Standard error" } }
                } }
                tbody {
                    tr { th scope="row" { "nothing known" } td {}
                        td.number { (decimal(explanation.expected, 4)) } @if is_sampled { td {} } }
                    @for part in &explanation.contributions {
                        tr {
                            th scope="row" { (part.feature) }
                            td { (written(&part.value)) }
                            td.number { (decimal(part.amount, 4)) }
                            @if is_sampled {
                                td.number { (part.standard_error.map_or_else(String::new, |e| decimal(e, 4))) }
                            }
                        }
                    }
                    tr.total { th scope="row" { "this row" } td {}
                        td.number { (decimal(explanation.score, 4)) } @if is_sampled { td {} } }
                }
            }
        },
    )
}
