//! What a run read, what it logged, and which versions were made of it.

use greenlight_app::run_view::{MAX_RELATED, RunView};
use maud::{Markup, html};

use crate::components::research::{left_out, model_address, moment};
use crate::components::{date, scroll};
use crate::session::percent_encoded;

/// The section; its parts say so where there is nothing.
pub(super) fn section(view: &RunView) -> Markup {
    html! {
        section {
            h2 { "What it read" }
            (uses(view))
            @if !view.models_read.is_empty() {
                p { "Logged models that it read: "
                    @for (place, id) in view.models_read.iter().enumerate() { @if place > 0 { ", " } code { (id) } } }
            }
        }
        section {
            h2 { "What was made of it" }
            @if view.models.is_empty() && view.registered.is_empty() && view.servable.is_empty() {
                p.none { "No model was logged, and no version was made from this run." }
            }
            @if !view.registered.is_empty() { (registered(view)) }
            @if !view.servable.is_empty() { (servable(view)) }
            @if !view.models.is_empty() { (models(view)) }
        }
    }
}

fn uses(view: &RunView) -> Markup {
    let most = MAX_RELATED as usize;
    html! {
        @if view.uses.is_empty() { p.none { "No data set was logged with log_input." } } @else {
            (scroll("Data sets that it read", html! {
                table {
                    thead { tr {
                        th scope="col" { "Data set" } th scope="col" { "For" } th scope="col" { "Source" } th scope="col" { "Digest" }
                    } }
                    tbody {
                        @for one in view.uses.iter().take(most) {
                            tr {
                                th scope="row" { a href={ "/datasets/" (percent_encoded(&one.name)) } { (one.name) } }
                                td { @match &one.context { Some(context) => (context), None => span.none { "not said" } } }
                                td { (one.source_type) }
                                td { code { (one.digest) } }
                            }
                        }
                    }
                }
            }))
            @if view.uses.len() > most { p.small.muted { "It read more; the first " (most) " are shown." } }
        }
    }
}

fn registered(view: &RunView) -> Markup {
    html! {
        (scroll("Registered versions", html! {
            table {
                thead { tr {
                    th scope="col" { "Registered version" } th scope="col" { "Aliases" } th scope="col" { "Stage" }
                    th scope="col" { "Made" }
                } }
                tbody {
                    @for version in &view.registered {
                        tr {
                            th scope="row" { a href=(model_address(&version.name)) { (version.name) } " version " (version.version) }
                            td { @for alias in &version.aliases { span.alias { (alias) } } }
                            td { (version.stage) }
                            td { (moment(version.created_at)) " by " (version.created_by) }
                        }
                    }
                }
            }
        }))
        (left_out_at_bound(view.registered.len()))
    }
}

fn servable(view: &RunView) -> Markup {
    html! {
        (scroll("Model versions that endpoints can serve", html! {
            table {
                thead { tr {
                    th scope="col" { "Version that endpoints can serve" } th scope="col" { "Flavor" } th scope="col" { "Data set" }
                    th scope="col" { "Trained until" }
                } }
                tbody {
                    @for version in &view.servable {
                        tr {
                            th scope="row" { a href=(model_address(&version.name)) { (version.reference()) } }
                            td { (version.flavor) }
                            td { (version.dataset) }
                            td { (date(version.trained_until)) }
                        }
                    }
                }
            }
        }))
    }
}

fn models(view: &RunView) -> Markup {
    html! {
        (scroll("Logged models", html! {
            table {
                thead { tr {
                    th scope="col" { "Logged model" } th scope="col" { "Kind" } th scope="col" { "State" } th scope="col" { "Id" }
                } }
                tbody {
                    @for model in &view.models {
                        tr {
                            th scope="row" { (model.name) }
                            td { (model.model_type) }
                            td { (model.status.as_str().trim_start_matches("LOGGED_MODEL_").to_lowercase().replace('_', " ")) }
                            td { code { (model.id) } }
                        }
                    }
                }
            }
        }))
        (left_out_at_bound(view.models.len()))
    }
}

/// A list that is as long as lists may be has perhaps been cut.
fn left_out_at_bound(length: usize) -> Markup {
    if length < MAX_RELATED as usize {
        html! {}
    } else {
        left_out(length + 1, length)
    }
}
