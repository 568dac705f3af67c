//! Models by name: which version is in use, where, and what does it earn?

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use greenlight_app::ledger::LedgerView;
use greenlight_app::model_overview::{
    MAX_ENDPOINTS, MAX_MODELS, MAX_SERVABLE, ModelList, ModelName, ModelView, list as find_all, view as find,
};
use greenlight_app::registered_model::RegisteredModel;
use greenlight_app::{App, AppError};
use greenlight_domain::role::Actor;
use maud::{Markup, html};
use serde::Deserialize;

use super::experiment::{Wanted, by_name, ways};
use super::{model_history, model_version};
use crate::chart::shortened;
use crate::components::figure::{figure, figure_or_none};
use crate::components::number::{count, matured_share, percent};
use crate::components::research::{model_address, moment, pairs};
use crate::components::{date, empty, release_table, scroll};
use crate::failure::answer;
use crate::layout;
use crate::layout::Section;
use crate::session::Session;

/// Letters of a description in the list.
const LETTERS: usize = 120;
/// Most tags of a model that are shown.
const MAX_TAGS: usize = 200;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/models", get(show_all)).route("/models/{name}", get(show))
}

async fn show_all(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let found = match query {
        Ok(Query(wanted)) => find_all(&app, &actor, &wanted.name, wanted.from).await,
        Err(rejection) => Err(AppError::Invalid(rejection.body_text())),
    };
    answer(&actor, found.map(|view| list_page(&view, &actor)))
}

/// Versions before the page, and the day that is asked about.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Shown {
    from: i64,
    on: String,
}

async fn show(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Path(name): Path<String>,
    query: Result<Query<Shown>, QueryRejection>,
) -> Response {
    let shown = match query {
        Ok(Query(shown)) => shown,
        Err(rejection) => return answer(&actor, Err(AppError::Invalid(rejection.body_text()))),
    };
    let found = find(&app, &actor, &name, shown.from).await;
    answer(&actor, found.map(|view| page(&view, &shown.on, &actor)))
}

/// All models.
pub fn list_page(view: &ModelList, actor: &Actor) -> Markup {
    let title = "Which models do we have?";
    let nothing = view.registered.is_empty() && view.servable.is_empty();
    let body = html! {
        h1 { (title) }
        (by_name("Name of the model contains", &view.part))
        @if nothing && view.part.is_empty() && view.offset == 0 {
            (empty("No model has a name yet. Register what a run logged, or train one here:",
                "mlflow.register_model(f\"runs:/{run_id}/model\", \"churn\")\ngreenlight train NAME"))
        } @else if nothing {
            p.none { "No model fits. " a href="/models" { "Show all" } }
        } @else {
            section {
                h2 { "Registered" }
                @if view.registered.is_empty() { p.none { "No registered model here." } } @else { (registered(&view.registered)) }
                (ways(&view.part, view.offset, MAX_MODELS, view.more))
            }
            section {
                h2 { "Ready to be served" }
                @if view.servable.is_empty() { p.none { "No model that an endpoint can serve." } } @else { (servable(&view.servable)) }
                @if view.servable.len() as i64 == MAX_SERVABLE {
                    p.small.muted { "The first " (MAX_SERVABLE) " names are shown; look for a part of the name." }
                }
            }
        }
    };
    layout::page(title, Section::Models, Some(actor), body)
}

fn registered(models: &[RegisteredModel]) -> Markup {
    scroll(
        "Registered models",
        html! {
            table.cards {
                thead { tr {
                    th scope="col" { "Model" } th scope="col" { "Aliases" } th scope="col" { "Newest version of each stage" }
                    th scope="col" { "Changed, UTC" }
                } }
                tbody {
                    @for model in models {
                        tr {
                            th scope="row" {
                                a href=(model_address(&model.name)) { (model.name) }
                                @if !model.description.is_empty() { div.muted.small { (shortened(&model.description, LETTERS)) } }
                            }
                            td data-label="Aliases" { span {
                                @if model.aliases.is_empty() { span.none { "none" } }
                                @for (alias, version) in &model.aliases { span.alias { (alias) " → " (version) } }
                            } }
                            td data-label="Newest version of each stage" { span {
                                @if model.latest.is_empty() { span.none { "no version" } }
                                @for (place, version) in model.latest.iter().enumerate() {
                                    @if place > 0 { ", " }
                                    (version.version) @if version.stage != "None" { " " (version.stage) }
                                }
                            } }
                            td data-label="Changed, UTC" { (moment(model.updated_at)) }
                        }
                    }
                }
            }
        },
    )
}

fn servable(names: &[ModelName]) -> Markup {
    scroll(
        "Models that endpoints can serve",
        html! {
            table {
                thead { tr {
                    th scope="col" { "Model" } th.number scope="col" { "Versions" } th.number scope="col" { "Newest" }
                    th scope="col" { "Made" }
                } }
                tbody {
                    @for one in names {
                        tr {
                            th scope="row" { a href=(model_address(&one.name)) { (one.name) } }
                            td.number { (count(one.versions)) }
                            td.number { (one.newest) }
                            td { (date(one.created_at)) }
                        }
                    }
                }
            }
        },
    )
}

/// One model; `on` is the day that is asked about, or empty.
pub fn page(view: &ModelView, on: &str, actor: &Actor) -> Markup {
    let title = format!("Which version of “{}” is in use, and what does it earn?", view.name);
    let body = html! {
        p.eyebrow { a href="/models" { "Models" } }
        h1 { (title) }
        p.answer { (in_use(view)) }
        @if let Some(model) = &view.registered {
            @if !model.description.is_empty() { blockquote { (model.description) } }
            @if !model.tags.is_empty() { details { summary { "Tags of the model" } (pairs("Tags of the model", &model.tags, MAX_TAGS)) } }
        }
        (earnings(view))
        @if view.registered.is_some() {
            (model_version::registered(view))
            (model_history::section(view, on))
        }
        (model_version::servable(view))
        section {
            h2 { "Releases" }
            @if view.releases.is_empty() {
                (empty("No version of it was submitted to an endpoint yet:",
                    &format!("greenlight release submit --endpoint NAME --model {}@VERSION", view.name)))
            } @else {
                (release_table(&view.releases))
                @if view.releases.len() as i64 == MAX_SERVABLE { p.small.muted { "The newest " (MAX_SERVABLE) " are shown." } }
            }
        }
    };
    layout::page(&title, Section::Models, Some(actor), body)
}

/// What aliases name, and which version decides where.
fn in_use(view: &ModelView) -> String {
    let aliases = view.registered.iter().flat_map(|model| &model.aliases);
    let serving = view.releases.iter().filter(|release| release.stage.serves());
    let said: Vec<String> = serving
        .map(|release| format!("version {} decides at {}", release.model_version, release.endpoint))
        .chain(aliases.map(|(alias, version)| format!("{alias} is version {version}")))
        .take(6)
        .collect();
    if said.is_empty() {
        return "No version is in use: no endpoint lets it decide, and no alias names one".to_owned();
    }
    crate::components::capitalised(&said.join(" · "))
}

fn earnings(view: &ModelView) -> Markup {
    html! {
        section {
            h2 { "Where it earns" }
            @if view.ledgers.is_empty() {
                p.none { "Nowhere yet: no version of it was released to an endpoint." }
            } @else {
                (scroll("Endpoints that it was released to", html! {
                    table.cards {
                        thead { tr {
                            th scope="col" { "Endpoint" } th scope="col" { "Version that decides" }
                            th.number scope="col" { "The endpoint earned" } th.number scope="col" { "After cost" }
                            th.number scope="col" { "Matured" }
                        } }
                        tbody { @for ledger in &view.ledgers { (endpoint(view, ledger)) } }
                    }
                }))
                p.small.muted { "The figure is the endpoint's since it began, whichever versions decided there: against its holdout, by "
                    "recorded randomisation. A share for one version alone is not known." }
                @if view.ledgers.len() == MAX_ENDPOINTS { p.small.muted { "At most " (MAX_ENDPOINTS) " endpoints are shown." } }
                (assumed(&view.ledgers))
            }
        }
    }
}

fn endpoint(view: &ModelView, ledger: &LedgerView) -> Markup {
    let serving = view.releases.iter().find(|r| r.endpoint == ledger.endpoint && r.stage.serves());
    html! {
        tr {
            th scope="row" { a href={ "/endpoints/" (ledger.endpoint) } { (ledger.endpoint) } }
            td data-label="Version that decides" {
                @match serving {
                    Some(release) => a href={ "/releases/" (release.id) } { (release.model_version) },
                    None => span.none { "none of this model" },
                }
            }
            td.number data-label="The endpoint earned" {
                @match &ledger.incremental {
                    Some(earned) => span { (figure(earned)) span.small.muted { " at " (percent(ledger.level, 0)) } },
                    None => span.none { "nothing yet" },
                }
            }
            td.number data-label="After cost" { (figure_or_none(ledger.net.as_ref(), "not known yet")) }
            td.number data-label="Matured" { (matured_share(ledger.matured, ledger.predictions)) }
        }
    }
}

/// What the value models behind the figures assume; no figure is shown without it.
fn assumed(ledgers: &[LedgerView]) -> Markup {
    html! {
        div.assumptions {
            h3 { "Assumed, not measured" }
            ul {
                @for ledger in ledgers {
                    @for assumption in &ledger.assumptions { li { (ledger.endpoint) ": " (assumption) } }
                }
            }
        }
    }
}
