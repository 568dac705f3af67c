//! Releases: where does this model version stand on its way to production, and on which evidence?

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use greenlight_app::release::{Decide, ReleaseView, decide, list as find_all, view as find};
use greenlight_app::{App, AppError};
use greenlight_domain::evidence::Gate;
use greenlight_domain::release::{Release, Stage};
use greenlight_domain::role::Actor;
use maud::{Markup, html};

use super::gate::{Found, gate};
use super::{approval, rollout};
use crate::components::{Tone, capitalised, date, empty, notice, release_table, stage};
use crate::failure::{answer, message, respond, status};
use crate::layout;
use crate::layout::Section;
use crate::session::Session;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/releases", get(show_all))
        .route("/releases/{id}", get(show))
        .route("/releases/{id}/decisions", post(record))
}

async fn show_all(State(app): State<Arc<App>>, Session(actor): Session) -> Response {
    answer(&actor, find_all(&app, &actor, None).await.map(|releases| list_page(&releases, &actor)))
}

async fn show(State(app): State<Arc<App>>, Session(actor): Session, Path(id): Path<String>) -> Response {
    answer(&actor, find(&app, &actor, &id).await.map(|view| page(&view, &actor, None)))
}

async fn record(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Path(id): Path<String>,
    form: Result<Form<Decide>, FormRejection>,
) -> Response {
    let result = match form {
        Ok(Form(decision)) => decide(&app, &actor, &id, decision).await,
        Err(problem) => Err(AppError::Invalid(format!("the form cannot be read: {}", problem.body_text()))),
    };
    match result {
        Ok(view) => Redirect::to(&format!("/releases/{}", view.release.id)).into_response(),
        Err(error) => show_refusal(&app, &actor, &id, &error).await,
    }
}

/// The release as it stands now, with what was refused on top; the bare error where there is no such release.
async fn show_refusal(app: &App, actor: &Actor, id: &str, error: &AppError) -> Response {
    match find(app, actor, id).await {
        Ok(view) => {
            let markup = page(&view, actor, Some(&message(error)));
            (status(error), Html(markup.into_string())).into_response()
        }
        Err(_) => respond(Some(actor), error, None),
    }
}

/// All releases.
pub fn list_page(releases: &[Release], actor: &Actor) -> Markup {
    let title = "What is on its way to production?";
    let serving = releases.iter().filter(|r| r.stage.serves()).count();
    let waiting = releases.iter().filter(|r| r.stage == Stage::AwaitingApproval).count();
    let stopped = releases.iter().filter(|r| r.stage == Stage::Stopped).count();
    let body = html! {
        h1 { (title) }
        @if releases.is_empty() {
            (empty("No release was submitted yet. Submit a model version to an endpoint; the gates run at once:",
                "greenlight release submit --endpoint NAME --model NAME@VERSION"))
        } @else {
            p.answer { (serving) " serving" span.answer-part { (waiting) " awaiting approval" }
                span.answer-part { (stopped) " stopped by a gate" } }
            (release_table(releases))
        }
    };
    layout::page(title, Section::Releases, Some(actor), body)
}

/// One release; `problem` is what was refused just now.
pub fn page(view: &ReleaseView, actor: &Actor, problem: Option<&str>) -> Markup {
    let release = &view.release;
    let title = format!("Where does release {} stand?", release.id);
    let body = html! {
        p.eyebrow { "Release · " a href={ "/endpoints/" (release.endpoint) } { (release.endpoint) } }
        h1 { (title) }
        @if let Some(problem) = problem { (notice(Tone::Bad, problem)) }
        (banner(view))
        (steps(view))
        (approval::form(view, actor))
        p.muted {
            (release.model) "@" (release.model_version) ", submitted by " (release.author) " on "
            (date(release.submitted_at)) " under policy " code { (release.policy) } ". " (view.policy_spec.description)
        }
        h2.gates { "Gates" }
        @for which in [Gate::Contract, Gate::History, Gate::Shadow] {
            (gate(which, newest(view, which).as_ref(), release.stage))
        }
        (approval::decisions(view))
        (rollout::steps(view))
        @if view.release.step_since.is_some() {
            p { a href={ "/releases/" (release.id) "/ab-test" } { "Read its A/B test against the holdout" } }
        }
        (timeline(view))
    };
    layout::page(&title, Section::Releases, Some(actor), body)
}

fn newest(view: &ReleaseView, gate: Gate) -> Option<Found<'_>> {
    let evidence = view.evidence.iter().rev().find(|e| e.result.gate == gate)?;
    Some(Found {
        result: &evidence.result,
        digest: &evidence.digest,
        at: evidence.at,
        actor: &evidence.actor,
    })
}

fn banner(view: &ReleaseView) -> Markup {
    let release = &view.release;
    let tone = stage::tone(release.stage);
    html! {
        section class={ "banner " (tone.class()) } aria-label="The verdict" {
            p.banner-head { (stage::badge(release.stage)) " " (headline(view)) }
            @if let Some(reason) = &release.reason { p { (capitalised(reason)) } }
            @if let Some((sentence, command)) = next_step(release) {
                p.next { b { "Next: " } (sentence) " " code { (command) } }
            }
        }
    }
}

fn headline(view: &ReleaseView) -> String {
    let needed = view.policy_spec.approvals.count;
    let yes = view.approvals.iter().filter(|a| a.approved).count();
    match view.release.stage {
        Stage::Stopped => "A gate stopped it".to_owned(),
        Stage::Gated => "The gates before traffic are passed".to_owned(),
        Stage::Shadow => "It scores beside live traffic and decides nothing".to_owned(),
        Stage::AwaitingApproval => format!("Waiting for people: {yes} of {needed} approvals"),
        Stage::Approved => format!("Approved by {yes} of {needed}"),
        Stage::Challenger => "It is compared with the champion on a part of its traffic".to_owned(),
        Stage::Rollout => format!("Rolling out: it decides for {} % of units", view.percent),
        Stage::Live => format!("Live: it decides for {} % of units, the rest is the holdout", view.percent),
        Stage::RolledBack => "Taken back".to_owned(),
        Stage::Rejected => "A person said no".to_owned(),
        Stage::Superseded => "Another release took its place".to_owned(),
    }
}

fn next_step(release: &Release) -> Option<(&'static str, String)> {
    let id = &release.id;
    match release.stage {
        Stage::Gated => Some(("put it beside live traffic:", format!("greenlight release shadow {id}"))),
        Stage::Shadow => {
            Some(("when enough was mirrored, judge it:", format!("greenlight release judge {id}")))
        }
        Stage::Approved => {
            Some(("give it its first share of traffic:", format!("greenlight release rollout {id}")))
        }
        Stage::Challenger => Some(("make it the champion:", format!("greenlight release rollout {id}"))),
        Stage::Rollout => {
            Some(("look at it; looking often is safe:", format!("greenlight release look {id}")))
        }
        _ => None,
    }
}

/// How far it has come, as a row of steps.
fn steps(view: &ReleaseView) -> Markup {
    let stage = view.release.stage;
    let of_gate = |gate| newest(view, gate).map(|found| found.result.passed);
    let enough =
        view.approvals.iter().filter(|a| a.approved).count() >= view.policy_spec.approvals.count as usize;
    let rejected = stage == Stage::Rejected;
    let approved = if rejected { Some(false) } else { enough.then_some(true) };
    let live = match stage {
        Stage::Live | Stage::Superseded => Some(true),
        Stage::RolledBack => Some(false),
        _ => None,
    };
    let now = match stage {
        Stage::Gated | Stage::Shadow => "Shadow",
        Stage::AwaitingApproval => "Approval",
        Stage::Approved | Stage::Challenger | Stage::Rollout => "Live traffic",
        _ => "",
    };
    let all = [
        ("Contract", of_gate(Gate::Contract)),
        ("History", of_gate(Gate::History)),
        ("Shadow", of_gate(Gate::Shadow)),
        ("Approval", approved),
        ("Live traffic", live),
    ];
    html! {
        ol.stepper {
            @for (name, outcome) in all {
                @let (class, sign, word) = match outcome {
                    Some(true) => ("done", "✓", "done"),
                    Some(false) => ("failed", "✗", "failed"),
                    None if name == now => ("now", "◐", "under way"),
                    None => ("pending", "○", "not reached"),
                };
                li class=(class) aria-current=[(class == "now").then_some("step")] {
                    span.step-sign aria-hidden="true" { (sign) }
                    span { (name) span.unseen { ": " (word) } }
                }
            }
        }
    }
}

/// Everything with a date, oldest first.
fn timeline(view: &ReleaseView) -> Markup {
    let release = &view.release;
    let submitted = (
        release.submitted_at,
        release.author.as_str(),
        format!("submitted {}@{}", release.model, release.model_version),
    );
    let mut events = vec![submitted];
    events.extend(view.evidence.iter().map(|e| {
        let verdict = if e.result.passed { "passed" } else { "failed" };
        (e.at, e.actor.as_str(), format!("{verdict} the {} gate", e.result.gate))
    }));
    events.extend(
        view.approvals
            .iter()
            .map(|a| (a.at, a.actor.as_str(), if a.approved { "approved" } else { "rejected" }.to_owned())),
    );
    events.sort_by_key(|event| event.0);
    html! {
        section {
            h2 { "What happened" }
            ol.timeline {
                @for (at, actor, what) in &events { li { (date(*at)) " " b { (actor) } " " (what) } }
            }
        }
    }
}
