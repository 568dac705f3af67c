//! The frame of every page: head, skip link, navigation with the present section marked, account, foot.

use greenlight_app::ANONYMOUS;
use greenlight_domain::role::Actor;
use maud::{DOCTYPE, Markup, html};

use crate::assets::{icon_address, style_address};

/// A part of the site, for the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Portfolio and initiatives.
    Initiatives,
    /// Hypotheses.
    Hypotheses,
    /// Data sets.
    Datasets,
    /// Releases.
    Releases,
    /// Endpoints.
    Endpoints,
    /// Experiments and their runs.
    Experiments,
    /// Models by name.
    Models,
    /// None of them.
    None,
}

const NAVIGATION: &[(Section, &str, &str)] = &[
    (Section::Initiatives, "/", "Initiatives"),
    (Section::Hypotheses, "/hypotheses", "Hypotheses"),
    (Section::Experiments, "/experiments", "Experiments"),
    (Section::Datasets, "/datasets", "Data"),
    (Section::Models, "/models", "Models"),
    (Section::Releases, "/releases", "Releases"),
    (Section::Endpoints, "/endpoints", "Endpoints"),
];

/// A whole page. Without an actor there is nothing to navigate to.
pub fn page(title: &str, section: Section, actor: Option<&Actor>, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Greenlight" }
                link rel="icon" href=(icon_address()) type="image/svg+xml";
                link rel="stylesheet" href=(style_address());
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header.top {
                    div.top-row {
                        a.brand href="/" { span.brand-mark aria-hidden="true" { "✓" } "Greenlight" }
                        @if let Some(actor) = actor { (navigation(section)) (account(actor)) }
                    }
                }
                main id="content" tabindex="-1" { (body) }
                footer.foot {
                    p { "Every figure carries its evidence grade. Only grade A, randomised on live traffic, counts as earned." }
                }
            }
        }
    }
}

fn navigation(section: Section) -> Markup {
    html! {
        nav.main-nav aria-label="Main" {
            @for (own, address, name) in NAVIGATION {
                a href=(address) aria-current=[(*own == section).then_some("page")] { (name) }
            }
        }
    }
}

fn account(actor: &Actor) -> Markup {
    html! {
        form.account method="post" action="/logout" {
            span.who { (actor.name) " " span.role { (actor.role) } }
            @if actor.name == ANONYMOUS {
                a href="/login" { "Sign in" }
            } @else {
                button.quiet type="submit" { "Sign out" }
            }
        }
    }
}
