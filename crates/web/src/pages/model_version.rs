//! Versions of one model: those of the registry, and those that endpoints can serve.

use greenlight_app::model_overview::{MAX_MODELS, MAX_SERVABLE, ModelView};
use greenlight_app::registered_version::RegisteredVersion;
use maud::{Markup, html};

use crate::chart::shortened;
use crate::components::number::bytes;
use crate::components::research::{moment, run_address};
use crate::components::{date, scroll};

/// Letters of a description, a tag or a run's id in the table.
const LETTERS: usize = 120;
/// Most tags of a version in the table.
const MAX_TAGS: usize = 8;

/// Versions of the registry.
pub(super) fn registered(view: &ModelView) -> Markup {
    html! {
        section {
            h2 { "Registered versions" }
            @if view.versions.is_empty() { p.none { "No version was added yet." } } @else { (table(&view.versions)) }
            (ways(view))
        }
    }
}

fn ways(view: &ModelView) -> Markup {
    html! {
        @if view.offset > 0 || view.more {
            nav.pages aria-label="Versions" {
                @if view.offset > 0 { a.button href={ "?from=" ((view.offset - MAX_MODELS).max(0)) } { "Higher versions" } }
                @if view.more { a.button href={ "?from=" (view.offset.saturating_add(MAX_MODELS)) } { "Lower versions" } }
            }
        }
    }
}

fn table(versions: &[RegisteredVersion]) -> Markup {
    scroll(
        "Registered versions",
        html! {
            table {
                thead { tr {
                    th.number scope="col" { "Version" } th scope="col" { "Aliases" } th scope="col" { "Stage" }
                    th scope="col" { "Made, UTC" } th scope="col" { "From run" } th scope="col" { "Tags" } th scope="col" { "About" }
                } }
                tbody {
                    @for version in versions {
                        tr {
                            th.number scope="row" { (version.version) }
                            td { @for alias in &version.aliases { span.alias { (alias) } } }
                            td { @if version.stage == "None" { span.none { "–" } } @else { (version.stage) } }
                            td { (moment(version.created_at)) " by " (version.created_by) }
                            td { (run(version)) }
                            td { (tags(&version.tags)) }
                            td.value { (shortened(version.description.as_deref().unwrap_or(""), LETTERS)) }
                        }
                    }
                }
            }
        },
    )
}

fn run(version: &RegisteredVersion) -> Markup {
    html! {
        @match version.run_id.as_deref().filter(|id| !id.is_empty()) {
            Some(id) => a href=(run_address(id)) title=(id) { (shortened(id, 9)) },
            None => span.none { "not said" },
        }
    }
}

fn tags(tags: &[(String, String)]) -> Markup {
    html! {
        @for (key, value) in tags.iter().take(MAX_TAGS) {
            div.small { (shortened(key, LETTERS)) ": " (shortened(value, LETTERS)) }
        }
        @if tags.len() > MAX_TAGS { div.small.muted { "and " (tags.len() - MAX_TAGS) " more" } }
    }
}

/// Versions that endpoints can serve.
pub(super) fn servable(view: &ModelView) -> Markup {
    html! {
        section {
            h2 { "Versions that endpoints can serve" }
            @if view.servable.is_empty() {
                p.none { "None of this name. A version is trained here, or its file is registered with " code { "greenlight model register" } "." }
            } @else {
                (scroll("Versions that endpoints can serve", html! {
                    table {
                        thead { tr {
                            th.number scope="col" { "Version" } th scope="col" { "Flavor" } th scope="col" { "Data set" }
                            th scope="col" { "Trained until" } th.number scope="col" { "Size" } th scope="col" { "Made" }
                            th scope="col" { "From run" }
                        } }
                        tbody {
                            @for version in &view.servable {
                                tr {
                                    th.number scope="row" { (version.version) }
                                    td { (version.flavor) }
                                    td { (version.dataset) }
                                    td { (date(version.trained_until)) }
                                    td.number { (bytes(u64::try_from(version.size_bytes).unwrap_or(0))) }
                                    td { (date(version.created_at)) " by " (version.author) }
                                    td { a href=(run_address(&version.run_id)) title=(version.run_id) { (shortened(&version.run_id, 9)) } }
                                }
                            }
                        }
                    }
                }))
                @if view.servable.len() as i64 == MAX_SERVABLE { p.small.muted { "The newest " (MAX_SERVABLE) " are shown." } }
            }
        }
    }
}
