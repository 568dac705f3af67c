//! The A/B test of a release: does the model earn more than the holdout, and may that be believed?

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use greenlight_app::App;
use greenlight_app::ab_test::{AbTestView, of_release};
use greenlight_domain::ab_test::{Arm, Estimate, Once, Verdict};
use greenlight_domain::role::Actor;
use maud::{Markup, html};

use crate::chart::sequence;
use crate::components::figure::grade;
use crate::components::number::{count, decimal, money_to_the_cent, percent};
use crate::components::{Tone, capitalised, empty, mark, scroll};
use crate::failure::answer;
use crate::layout;
use crate::layout::Section;
use crate::session::Session;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/releases/{id}/ab-test", get(show))
}

async fn show(State(app): State<Arc<App>>, Session(actor): Session, Path(id): Path<String>) -> Response {
    answer(&actor, of_release(&app, &actor, &id).await.map(|view| page(&view, &actor)))
}

/// The page of one test.
pub fn page(view: &AbTestView, actor: &Actor) -> Markup {
    let title = format!("Does {} earn more than the holdout?", view.model);
    let body = html! {
        p.eyebrow { "A/B test · " a href={ "/releases/" (view.release) } { (view.release) } " · "
            a href={ "/endpoints/" (view.endpoint) } { (view.endpoint) } }
        h1 { (title) }
        (banner(view))
        @if view.readout.effect.is_none() {
            (empty("No randomised unit has matured and been settled yet. Give the release a share of traffic, post outcomes, then:",
                &format!("greenlight endpoint settle {}", view.endpoint)))
        } @else {
            (sequence::chart(&view.readout.looks, view.currency))
            (differences(view))
            (checks(view))
            (arms(view))
            (method(view))
        }
    };
    layout::page(&title, Section::Releases, Some(actor), body)
}

fn banner(view: &AbTestView) -> Markup {
    let (tone, head) = match view.readout.verdict {
        Verdict::Ship => (Tone::Good, "Ship it"),
        Verdict::RollBack => (Tone::Bad, "Take it back"),
        Verdict::KeepGoing => (Tone::Waiting, "Keep going"),
        Verdict::Blocked => (Tone::Bad, "No verdict: a check of health failed"),
    };
    html! {
        section class={ "banner " (tone.class()) } aria-label="The verdict" {
            p.banner-head { (head) }
            @if let Some(effect) = view.readout.effect {
                p.answer {
                    (money_to_the_cent(effect.estimate, view.currency)) " a unit " (grade(view.grade))
                    span.answer-part { (between(view, effect)) }
                }
            }
            p { (capitalised(&view.readout.reason)) "." }
        }
    }
}

fn between(view: &AbTestView, interval: Estimate) -> String {
    let shown = |minor: f64| money_to_the_cent(minor, view.currency);
    format!("{} to {}", shown(interval.low), shown(interval.high))
}

fn differences(view: &AbTestView) -> Markup {
    let readout = &view.readout;
    let money = |minor: f64| money_to_the_cent(minor, view.currency);
    let share = |value: f64| percent(value, 2);
    let points = |value: f64| format!("{} points", decimal(value * 100.0, 2));
    html! {
        section {
            h2 { "The difference a unit, treatment less control" }
            (scroll("Differences", html! {
                table.compact {
                    thead { tr {
                        th scope="col" { "Of what" }
                        th.number scope="col" { "Difference" }
                        th.number scope="col" { "Low" }
                        th.number scope="col" { "High" }
                        th.number scope="col" { "p" }
                        th scope="col" { "Holds when looked at" }
                    } }
                    tbody {
                        @if let Some(effect) = readout.effect {
                            (difference("Money, by recorded propensity", effect, readout.p_value, "at any time, as often as you like", &money))
                        }
                        (plain("Money, plain means", readout.money_once.as_ref(), &money))
                        (plain("Money, plain means, relative", readout.relative_once.as_ref(), &share))
                        (plain("Share of positive outcomes", readout.positives_once.as_ref(), &points))
                    }
                }
            }))
            p.small.muted { "The verdict rests on the first line alone. The others are the cross-check that everybody knows, "
                "and are right only for one look that was fixed beforehand." }
        }
    }
}

fn plain(name: &str, once: Option<&Once>, shown: &dyn Fn(f64) -> String) -> Markup {
    html! {
        @if let Some(once) = once { (difference(name, once.difference, Some(once.p_value), "once", shown)) }
    }
}

fn difference(
    name: &str,
    interval: Estimate,
    p_value: Option<f64>,
    when: &str,
    shown: &dyn Fn(f64) -> String,
) -> Markup {
    html! {
        tr {
            td { (name) }
            td.number { (shown(interval.estimate)) }
            td.number { (shown(interval.low)) }
            td.number { (shown(interval.high)) }
            td.number { @if let Some(p) = p_value { (p_words(p)) } }
            td { (when) }
        }
    }
}

fn p_words(p: f64) -> String {
    if p < 0.0001 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}

fn checks(view: &AbTestView) -> Markup {
    html! {
        section {
            h2 { "Checks of health" }
            (scroll("Checks of health", html! {
                table.compact {
                    thead { tr {
                        th scope="col" { span.unseen { "Passed" } }
                        th scope="col" { "Check" }
                        th scope="col" { "Found" }
                    } }
                    tbody {
                        @for check in &view.readout.checks {
                            tr { td { (mark(check.passed)) } td { (capitalised(check.name)) } td { (check.detail) } }
                        }
                    }
                }
            }))
            p.small.muted { "One that does not pass blocks the verdict, whatever the figures say." }
        }
    }
}

fn arms(view: &AbTestView) -> Markup {
    let row = |arm: &Arm, what: &str| {
        html! {
            tr {
                td { (what) }
                td.number { (count(arm.units.cast_signed())) }
                td.number { (count(arm.positives.cast_signed())) }
                td.number { (count(arm.errors.cast_signed())) }
                td.number { @if let Some(mean) = arm.mean_minor { (money_to_the_cent(mean, view.currency)) } @else { "–" } }
            }
        }
    };
    html! {
        section {
            h2 { "The arms" }
            (scroll("The arms", html! {
                table.compact {
                    thead { tr {
                        th scope="col" { "Arm" }
                        th.number scope="col" { "Matured units" }
                        th.number scope="col" { "Positive outcomes" }
                        th.number scope="col" { "Model failed" }
                        th.number scope="col" { "Money a unit" }
                    } }
                    tbody {
                        (row(&view.readout.treatment, &format!("Treatment: {}", view.model)))
                        (row(&view.readout.control, &format!("Control: {}", view.holdout)))
                    }
                }
            }))
        }
    }
}

fn method(view: &AbTestView) -> Markup {
    let matured = view.readout.treatment.units + view.readout.control.units;
    html! {
        details {
            summary { "How this was computed" }
            p { "A unit counts with its money divided by the recorded probability of its arm (Horvitz and Thompson 1952), and "
                "with exactly zero where both arms would have decided alike, because the model changed nothing there. The "
                "band is an asymptotic confidence sequence (Waudby-Smith and others 2024): it misses the true effect on any day "
                "at all in at most " (percent(1.0 - view.level, 0)) " of tests." }
            p { "Only days whose outcomes have matured enter: " (count(matured.cast_signed())) " of "
                (count(view.predictions.cast_signed())) " predictions"
                @if let Some(until) = view.settled_until { ", settled until " (until.date()) } ". "
                "Plain means are weighted by split. Each prediction counts as a unit of its own." }
            p { code { "greenlight release ab-test " (view.release) " --json" } }
        }
    }
}
