//! The way between the pages of one endpoint.

use maud::{Markup, html};

use crate::session::percent_encoded;

/// A page of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Traffic,
    Drift,
    Disagreements,
    Log,
    Try,
}

const TABS: [(Tab, &str, &str); 6] = [
    (Tab::Overview, "", "Overview"),
    (Tab::Traffic, "/traffic", "Traffic"),
    (Tab::Drift, "/drift", "Drift"),
    (Tab::Disagreements, "/disagreements", "Disagreements"),
    (Tab::Log, "/predictions", "Log"),
    (Tab::Try, "/try", "Try a row"),
];

/// Links to all pages of the endpoint with the present one marked.
pub(super) fn tabs(endpoint: &str, present: Tab) -> Markup {
    let endpoint = percent_encoded(endpoint);
    html! {
        nav.tabs aria-label="This endpoint" {
            @for (tab, path, name) in TABS {
                a href={ "/endpoints/" (endpoint) (path) } aria-current=[(tab == present).then_some("page")] { (name) }
            }
        }
    }
}

/// What stands above the title of every page of an endpoint.
pub(super) fn eyebrow(endpoint: &str) -> Markup {
    html! { p.eyebrow { "Endpoint · " a href={ "/endpoints/" (percent_encoded(endpoint)) } { (endpoint) } } }
}
