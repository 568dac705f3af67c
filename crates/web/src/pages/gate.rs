//! A gate on a release's page: the requirements with what was found, then the numbers behind them.

use greenlight_domain::evidence::{Gate, GateResult, Grade};
use greenlight_domain::gate::history::MonthFigures;
use greenlight_domain::ledger::Figure;
use greenlight_domain::money::Currency;
use greenlight_domain::release::Stage;
use greenlight_domain::time::Micros;
use maud::{Markup, html};
use serde::Deserialize;

use crate::chart::{histogram, months};
use crate::components::figure::{figure, grade};
use crate::components::number::{count, counted, decimal, milliseconds, money, percent};
use crate::components::{date, mark, scroll, tiles};

/// Evidence as the page needs it.
pub(super) struct Found<'a> {
    pub(super) result: &'a GateResult,
    pub(super) digest: &'a str,
    pub(super) at: Micros,
    pub(super) actor: &'a str,
}

/// One gate; without evidence it is shown as pending.
pub(super) fn gate(which: Gate, found: Option<&Found<'_>>, stage: Stage) -> Markup {
    let Some(found) = found else { return pending(which, stage) };
    let passed = found.result.passed;
    html! {
        section class=(if passed { "gate passed" } else { "gate failed" }) {
            header.gate-head {
                h3 { (name(which)) }
                span class=(if passed { "badge good" } else { "badge bad" }) {
                    span aria-hidden="true" { (if passed { "✓ " } else { "✗ " }) }
                    (if passed { "passed" } else { "failed" })
                }
            }
            p.muted { (question(which)) }
            (checks(which, found.result))
            (detail(found.result))
            p.small.muted {
                "Found on " (date(found.at)) " by " (found.actor) ", kept unchanged under SHA-256 "
                code title=(found.digest) { (found.digest.chars().take(12).collect::<String>()) "…" }
            }
        }
    }
}

fn pending(which: Gate, stage: Stage) -> Markup {
    let ended = matches!(stage, Stage::Stopped | Stage::Rejected | Stage::RolledBack | Stage::Superseded);
    let word = if ended { "not reached" } else { "pending" };
    html! {
        section.gate.pending {
            header.gate-head {
                h3 { (name(which)) }
                span.badge.plain { span aria-hidden="true" { "○ " } (word) }
            }
            p.muted { (question(which)) }
        }
    }
}

fn name(gate: Gate) -> &'static str {
    match gate {
        Gate::Contract => "Contract",
        Gate::History => "History",
        Gate::Shadow => "Shadow",
    }
}

fn question(gate: Gate) -> &'static str {
    match gate {
        Gate::Contract => {
            "Could the model have been asked at decision time, and was it judged on data it never saw?"
        }
        Gate::History => "Would it have been worth its decisions, month by month, after its training ended?",
        Gate::Shadow => "Beside live traffic: does it answer fast, without error, on data like its own?",
    }
}

fn checks(which: Gate, result: &GateResult) -> Markup {
    scroll(
        &format!("{} gate: requirements", name(which)),
        html! {
            table.checks {
                thead { tr {
                    th scope="col" { span.unseen { "Met" } }
                    th scope="col" { "Required" } th scope="col" { "Found" }
                } }
                tbody {
                    @for check in &result.checks {
                        tr {
                            td { (mark(check.passed)) }
                            td { (check.requirement) }
                            td { (check.found) }
                        }
                    }
                }
            }
        },
    )
}

fn detail(result: &GateResult) -> Markup {
    match result.gate {
        Gate::Contract => html! {},
        Gate::History => History::deserialize(&result.detail).map(|h| history(&h)).unwrap_or_default(),
        Gate::Shadow => Shadow::deserialize(&result.detail).map(|s| shadow(&s)).unwrap_or_default(),
    }
}

/// What the history gate wrote down; evidence of another shape shows its checks only.
#[derive(Deserialize)]
struct History {
    months: Vec<MonthFigures>,
    all: MonthFigures,
    level: f64,
    resamples: u32,
    seed: u64,
    currency: Currency,
}

fn history(history: &History) -> Markup {
    let all = &history.all;
    let gain = Figure {
        minor: all.gain_minor,
        low_minor: Some(all.gain_low_minor),
        high_minor: Some(all.gain_high_minor),
        grade: Grade::C,
        currency: history.currency,
    };
    let over_idle = Figure { minor: all.over_idle_minor, low_minor: None, high_minor: None, ..gain };
    html! {
        (tiles(&[
            ("Gain over the holdout rule", figure(&gain)),
            ("Gain over doing nothing", figure(&over_idle)),
            ("Rows judged", html! { (count(all.rows.cast_signed())) }),
            ("Decides unlike the rule", html! { (percent(all.disagreement, 0)) }),
        ]))
        (months::chart(&history.months, history.currency, history.level, month_table(history)))
        p.small.muted {
            (percent(history.level, 0)) " bootstrap intervals, "
            (counted(u64::from(history.resamples), "resample", "resamples")) ", seed " (history.seed) "."
        }
    }
}

fn month_table(history: &History) -> Markup {
    let amount = |minor: f64| money(minor, history.currency);
    scroll(
        "History by month",
        html! {
            table {
                caption { "All amounts " (grade(Grade::C)) " " (Grade::C.meaning()) }
                thead { tr {
                    th scope="col" { "Month" }
                    @for name in [
                        "Rows", "Observed", "Predicted", "AUC", "Brier", "Model", "Rule", "Gain", "low", "high", "Differs",
                    ] {
                        th.number scope="col" { (name) }
                    }
                } }
                tbody {
                    @for month in history.months.iter().chain([&history.all]) {
                        tr class=[(month.month == "all").then_some("total")] {
                            th scope="row" { (month.month) }
                            td.number { (count(month.rows.cast_signed())) }
                            td.number { (percent(month.observed, 1)) }
                            td.number { (percent(month.expected, 1)) }
                            td.number { (month.auc.map_or_else(|| "–".to_owned(), |auc| decimal(auc, 3))) }
                            td.number { (decimal(month.brier, 3)) }
                            td.number { (amount(month.model_minor)) }
                            td.number { (amount(month.holdout_minor)) }
                            td.number { (amount(month.gain_minor)) }
                            td.number { (amount(month.gain_low_minor)) }
                            td.number { (amount(month.gain_high_minor)) }
                            td.number { (percent(month.disagreement, 0)) }
                        }
                    }
                }
            }
        },
    )
}

/// What the shadow gate wrote down.
#[derive(Deserialize)]
struct Shadow {
    predictions: u64,
    errors: u64,
    dropped: u64,
    disagreement: f64,
    p50_latency_us: f64,
    p99_latency_us: f64,
    drift_psi: f64,
    score_counts: Vec<u64>,
    training_counts: Vec<u64>,
}

fn shadow(shadow: &Shadow) -> Markup {
    html! {
        (tiles(&[
            ("Mirrored predictions", html! {
                (count(shadow.predictions.cast_signed()))
                span.small.muted { (count(shadow.errors.cast_signed())) " failed, "
                    (count(shadow.dropped.cast_signed())) " dropped" }
            }),
            ("Scoring time", html! {
                (milliseconds(shadow.p99_latency_us))
                span.small.muted { "99th percentile; median " (milliseconds(shadow.p50_latency_us)) }
            }),
            ("Score drift (PSI)", html! { (decimal(shadow.drift_psi, 2)) }),
            ("Decides unlike the live answer", html! { (percent(shadow.disagreement, 0)) }),
        ]))
        (histogram::chart(&shadow.training_counts, &shadow.score_counts, shadow.drift_psi))
    }
}
