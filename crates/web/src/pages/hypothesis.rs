//! Hypotheses: what do we believe, and what was found when somebody looked?

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use greenlight_app::hypothesis::{
    self, HypothesisEvent, HypothesisLine, HypothesisRun, HypothesisSearch, HypothesisView, search,
};
use greenlight_app::{App, AppError};
use greenlight_domain::hypothesis::{Effect, Finding, HypothesisSpec, Verdict};
use greenlight_domain::role::{Action, Actor};
use maud::{Markup, html};
use serde::Deserialize;

use crate::chart::effect;
use crate::components::number::{counted, significant};
use crate::components::stage::labelled;
use crate::components::{Tone, date, empty, notice, scroll};
use crate::failure::{answer, message, respond, status};
use crate::layout;
use crate::layout::Section;
use crate::session::{Session, percent_encoded};

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/hypotheses", get(show_all))
        .route("/hypotheses/new", get(show_new).post(open))
        .route("/hypotheses/{id}", get(show))
        .route("/hypotheses/{id}/finding", post(close))
        .route("/hypotheses/{id}/reopen", post(reopen))
}

async fn show_all(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Query(asked): Query<HypothesisSearch>,
) -> Response {
    answer(&actor, search(&app, &actor, &asked).await.map(|lines| board(&lines, &asked, &actor)))
}

async fn show(State(app): State<Arc<App>>, Session(actor): Session, Path(id): Path<String>) -> Response {
    answer(&actor, hypothesis::view(&app, &actor, &id).await.map(|view| page(&view, &actor, None)))
}

async fn show_new(Session(actor): Session) -> Response {
    Html(new_page(&Draft::default(), &[], None, &actor).into_string()).into_response()
}

/// What the form of a new hypothesis holds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Draft {
    statement: String,
    why: String,
    refuted_by: String,
    initiative: String,
    /// Whether similar ones were shown and it is wanted all the same.
    anyway: bool,
}

async fn open(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    form: Result<Form<Draft>, FormRejection>,
) -> Response {
    let draft = match form {
        Ok(Form(draft)) => draft,
        Err(problem) => return unread(&actor, &problem),
    };
    if !draft.anyway {
        match hypothesis::similar(&app, &actor, &draft.statement).await {
            Ok(similar) if !similar.is_empty() => {
                return Html(new_page(&draft, &similar, None, &actor).into_string()).into_response();
            }
            Ok(_) => {}
            Err(error) => return respond(Some(&actor), &error, None),
        }
    }
    let spec = HypothesisSpec {
        statement: draft.statement.clone(),
        why: draft.why.clone(),
        refuted_by: draft.refuted_by.clone(),
        initiative: draft.initiative.clone(),
        owner: String::new(),
    };
    match hypothesis::open(&app, &actor, spec).await {
        Ok(opened) => Redirect::to(&format!("/hypotheses/{}", opened.line.id)).into_response(),
        Err(error) => {
            let markup = new_page(&draft, &[], Some(&message(&error)), &actor);
            (status(&error), Html(markup.into_string())).into_response()
        }
    }
}

fn unread(actor: &Actor, problem: &FormRejection) -> Response {
    let error = AppError::Invalid(format!("the form cannot be read: {}", problem.body_text()));
    respond(Some(actor), &error, None)
}

#[derive(Debug, Deserialize)]
struct Closing {
    verdict: Verdict,
    learned: String,
    #[serde(default)]
    next: String,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    estimate: String,
    #[serde(default)]
    low: String,
    #[serde(default)]
    high: String,
}

impl Closing {
    fn finding(self) -> Result<Finding, AppError> {
        let blank =
            [&self.unit, &self.estimate, &self.low, &self.high].iter().all(|text| text.trim().is_empty());
        let number = |name: &str, text: &str| {
            text.trim().parse().map_err(|_| AppError::Invalid(format!("{name}: '{text}' is not a number")))
        };
        let effect = if blank {
            None
        } else {
            Some(Effect {
                unit: self.unit,
                estimate: number("estimate", &self.estimate)?,
                low: number("low", &self.low)?,
                high: number("high", &self.high)?,
            })
        };
        Ok(Finding { verdict: self.verdict, effect, learned: self.learned, next: self.next })
    }
}

async fn close(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Path(id): Path<String>,
    form: Result<Form<Closing>, FormRejection>,
) -> Response {
    let closing = match form {
        Ok(Form(closing)) => closing,
        Err(problem) => return unread(&actor, &problem),
    };
    let done = match closing.finding() {
        Ok(finding) => hypothesis::close(&app, &actor, &id, finding).await,
        Err(error) => Err(error),
    };
    changed(&app, &actor, &id, done).await
}

#[derive(Debug, Deserialize)]
struct Reopening {
    reason: String,
}

async fn reopen(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Path(id): Path<String>,
    form: Result<Form<Reopening>, FormRejection>,
) -> Response {
    match form {
        Ok(Form(why)) => {
            let done = hypothesis::reopen(&app, &actor, &id, &why.reason).await;
            changed(&app, &actor, &id, done).await
        }
        Err(problem) => unread(&actor, &problem),
    }
}

/// Back to the page, or the page with what was refused on top.
async fn changed(app: &App, actor: &Actor, id: &str, done: Result<HypothesisView, AppError>) -> Response {
    match done {
        Ok(view) => Redirect::to(&format!("/hypotheses/{}", view.id)).into_response(),
        Err(error) => match hypothesis::view(app, actor, id).await {
            Ok(view) => {
                let markup = page(&view, actor, Some(&message(&error)));
                (status(&error), Html(markup.into_string())).into_response()
            }
            Err(_) => respond(Some(actor), &error, None),
        },
    }
}

const QUESTION: &str = "What do we believe, and what was found?";
const COLUMNS: [(&str, &str); 4] =
    [("", "Open"), ("supports", "Supported"), ("refutes", "Refuted"), ("inconclusive", "Inconclusive")];

fn badge(verdict: &str) -> Markup {
    match verdict {
        "supports" => labelled(Tone::Good, "supported"),
        "refutes" => labelled(Tone::Bad, "refuted"),
        "inconclusive" => labelled(Tone::Plain, "inconclusive"),
        _ => labelled(Tone::Waiting, "open"),
    }
}

/// The board.
pub fn board(lines: &[HypothesisLine], asked: &HypothesisSearch, actor: &Actor) -> Markup {
    let is_search = !asked.q.is_empty() || !asked.initiative.is_empty();
    let with = |verdict: &str| lines.iter().filter(|line| line.hypothesis.verdict == verdict).count();
    let body = html! {
        h1 { (QUESTION) }
        @if lines.is_empty() && !is_search {
            (empty("Nobody has written down a hypothesis yet. Say what you believe, why, and what would refute it:",
                "greenlight hypothesis open \"Shorter calls sell more\" --why \"…\" --refuted-by \"…\""))
        } @else {
            p.answer {
                (counted(with("") as u64, "is open", "are open"))
                span.answer-part { (with("supports")) " supported" }
                span.answer-part { (with("refutes")) " refuted" }
                span.answer-part { (with("inconclusive")) " inconclusive" }
            }
            (search_form(asked))
            @if lines.is_empty() { p.none { "Nobody has tried anything of these words yet." } }
            div.board { @for (verdict, title) in COLUMNS { (column(lines, verdict, title)) } }
        }
        @if actor.role.may(Action::Train) { p { a.button.primary href="/hypotheses/new" { "Open a hypothesis" } } }
    };
    layout::page(QUESTION, Section::Hypotheses, Some(actor), body)
}

fn search_form(asked: &HypothesisSearch) -> Markup {
    html! {
        form.inline-form method="get" action="/hypotheses" role="search" {
            div { label for="q" { "Words, also of findings" } input id="q" name="q" type="search" maxlength="1000" value=(asked.q); }
            div { label for="initiative" { "Initiative" } input id="initiative" name="initiative" maxlength="200" value=(asked.initiative); }
            button type="submit" { "Search" }
        }
    }
}

fn column(lines: &[HypothesisLine], verdict: &str, title: &str) -> Markup {
    let own: Vec<&HypothesisLine> = lines.iter().filter(|line| line.hypothesis.verdict == verdict).collect();
    html! {
        section.board-column {
            h2 { (title) " " span.muted { (own.len()) } }
            @for line in own {
                article.board-card {
                    a href={ "/hypotheses/" (line.id) } { (line.hypothesis.spec.statement) }
                    p.muted.small {
                        (line.id) " · " (line.hypothesis.spec.owner) " · " (date(line.hypothesis.updated_at))
                        @if !line.hypothesis.spec.initiative.is_empty() { " · " (line.hypothesis.spec.initiative) }
                    }
                }
            }
        }
    }
}

/// The form of a new one. Similar ones are shown before it is opened.
pub fn new_page(draft: &Draft, similar: &[HypothesisLine], problem: Option<&str>, actor: &Actor) -> Markup {
    let title = "What do you believe, and what would refute it?";
    let body = html! {
        p.eyebrow { a href="/hypotheses" { "Hypotheses" } }
        h1 { (title) }
        @if let Some(problem) = problem { (notice(Tone::Bad, problem)) }
        @if !similar.is_empty() {
            section.banner.waiting aria-label="Similar ones" {
                p.banner-head { "Somebody has looked at something similar. Read what was found first." }
                ul { @for line in similar {
                    li { (badge(&line.hypothesis.verdict)) " " a href={ "/hypotheses/" (line.id) } { (line.id) ": " (line.hypothesis.spec.statement) } }
                } }
            }
        }
        form.narrow-form method="post" action="/hypotheses/new" {
            label for="statement" { "Statement, in one sentence" }
            input id="statement" name="statement" required maxlength="500" value=(draft.statement);
            label for="why" { "Why do you believe it?" }
            textarea id="why" name="why" rows="3" required maxlength="4000" { (draft.why) }
            label for="refuted_by" { "What would refute it?" }
            textarea id="refuted_by" name="refuted_by" rows="3" required maxlength="4000" { (draft.refuted_by) }
            label for="initiative" { "Initiative" span.muted { " (optional)" } }
            input id="initiative" name="initiative" maxlength="200" value=(draft.initiative);
            @if !similar.is_empty() { input type="hidden" name="anyway" value="true"; }
            button.primary type="submit" { @if similar.is_empty() { "Open it" } @else { "Open it all the same" } }
        }
    };
    layout::page(title, Section::Hypotheses, Some(actor), body)
}

/// One hypothesis; `problem` is what was refused just now.
pub fn page(view: &HypothesisView, actor: &Actor, problem: Option<&str>) -> Markup {
    let spec = &view.hypothesis.spec;
    let newest = view.events.iter().rev().find_map(|event| event.finding.as_ref());
    let is_open = view.hypothesis.verdict.is_empty();
    let title = spec.statement.clone();
    let body = html! {
        p.eyebrow { a href="/hypotheses" { "Hypotheses" } " · " (view.id) " " (badge(&view.hypothesis.verdict)) }
        h1 { (title) }
        @if let Some(problem) = problem { (notice(Tone::Bad, problem)) }
        @if let (Some(finding), false) = (newest, is_open) { (found(finding)) }
        @else { p.answer { "Open" span.answer-part { (counted(view.runs.len() as u64, "run", "runs")) " so far" } } }
        div.columns {
            section { h2 { "Why we believe it" } p { (spec.why) } }
            section { h2 { "What would refute it" } p { (spec.refuted_by) } }
        }
        p.muted {
            "Opened by " (view.hypothesis.created_by) " on " (date(view.hypothesis.created_at)) "; pursued by " (spec.owner) "."
            @if !spec.initiative.is_empty() {
                " For " a href={ "/initiatives/" (percent_encoded(&spec.initiative)) } { (spec.initiative) } "."
            }
        }
        (runs(view))
        (history(&view.events))
        @if actor.role.may(Action::Train) { @if is_open { (close_form(view)) } @else { (reopen_form(view)) } }
    };
    layout::page(&title, Section::Hypotheses, Some(actor), body)
}

fn found(finding: &Finding) -> Markup {
    html! {
        p.answer { (badge(finding.verdict.as_str()))
            @if let Some(effect) = &finding.effect {
                " " (significant(effect.estimate)) " " span.interval { (significant(effect.low)) " to " (significant(effect.high)) }
                " " (effect.unit)
            }
        }
        p.lead { (finding.learned) }
        @if !finding.next.is_empty() { p { b { "Next: " } (finding.next) } }
        @if let Some(effect) = &finding.effect { (effect::chart((effect.low, effect.estimate, effect.high), &effect.unit)) }
    }
}

fn runs(view: &HypothesisView) -> Markup {
    const SHOWN: usize = 4;
    let metrics = |run: &HypothesisRun| {
        let shown: Vec<String> = run
            .metrics
            .iter()
            .take(SHOWN)
            .map(|(key, value)| format!("{key} {}", significant(*value)))
            .collect();
        shown.join(", ")
    };
    html! {
        section {
            h2 { "Runs" }
            @if view.runs.is_empty() {
                p.none { "No run has joined yet. In a run: " code { "mlflow.set_tag(\"greenlight.hypothesis\", \"" (view.id) "\")" } }
            } @else {
                (scroll("Runs", html! {
                    table {
                        thead { tr { th scope="col" { "Run" } th scope="col" { "Status" } th scope="col" { "Metrics" } } }
                        tbody { @for run in &view.runs { tr {
                            th scope="row" { a href={ "/runs/" (percent_encoded(&run.id)) } { (run.name) } }
                            td { (run.status.to_lowercase()) }
                            td { (metrics(run)) }
                        } } }
                    }
                }))
            }
        }
    }
}

fn history(events: &[HypothesisEvent]) -> Markup {
    html! {
        @if !events.is_empty() {
            section {
                h2 { "What happened" }
                ol.timeline {
                    @for event in events {
                        li {
                            (date(event.at)) " " b { (event.actor) }
                            @match &event.finding {
                                Some(finding) => { " found: " (finding.verdict) ". " (finding.learned) },
                                None => { " opened it again: " (event.reason) },
                            }
                        }
                    }
                }
            }
        }
    }
}

fn close_form(view: &HypothesisView) -> Markup {
    html! {
        details.choice {
            summary.button.primary { "Close it with a finding…" }
            form.narrow-form method="post" action={ "/hypotheses/" (view.id) "/finding" } {
                label for="verdict" { "What the finding says" }
                select id="verdict" name="verdict" { @for verdict in Verdict::ALL { option value=(verdict) { (verdict) } } }
                label for="learned" { "What was learned" }
                textarea id="learned" name="learned" rows="3" required maxlength="4000" {}
                label for="next" { "What to do next" span.muted { " (optional)" } }
                textarea id="next" name="next" rows="2" maxlength="4000" {}
                fieldset {
                    legend { "Effect with its interval" span.muted { " (may be empty when inconclusive)" } }
                    @for (name, label) in [("unit", "Unit"), ("estimate", "Estimate"), ("low", "Low"), ("high", "High")] {
                        label for=(name) { (label) }
                        input id=(name) name=(name) maxlength="200";
                    }
                }
                button.primary type="submit" { "Close it; a finding is not edited later" }
            }
        }
    }
}

fn reopen_form(view: &HypothesisView) -> Markup {
    html! {
        details.choice {
            summary.button { "Open it again…" }
            form.narrow-form method="post" action={ "/hypotheses/" (view.id) "/reopen" } {
                label for="reason" { "Why it is worth another look" }
                textarea id="reason" name="reason" rows="2" required maxlength="4000" {}
                button type="submit" { "Open it again; its findings stay" }
            }
        }
    }
}
