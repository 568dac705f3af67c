//! The parts that pages share: figures, marks, badges, tables that scroll by themselves.

pub mod figure;
pub mod number;
pub mod research;
pub mod stage;

use greenlight_domain::release::Release;
use greenlight_domain::time::Micros;
use maud::{Markup, html};

/// A day as YYYY-MM-DD, with the moment for machines and for a pointer that rests on it.
pub fn date(at: Micros) -> Markup {
    html! { time datetime=(at) title=(at) { (at.date()) } }
}

/// Passed or not: a sign, a word for screen readers, and only then a colour.
pub fn mark(passed: bool) -> Markup {
    html! {
        @if passed {
            span.mark.pass { span aria-hidden="true" { "✓" } span.unseen { "met" } }
        } @else {
            span.mark.fail { span aria-hidden="true" { "✗" } span.unseen { "not met" } }
        }
    }
}

/// A table that scrolls inside its own box, so that the page itself never scrolls sideways. A keyboard can reach
/// and scroll it.
pub fn scroll(label: &str, table: Markup) -> Markup {
    html! { div.scroll role="region" aria-label=(label) tabindex="0" { (table) } }
}

/// Names with values, as tiles in full rows of three or four.
pub fn tiles(entries: &[(&str, Markup)]) -> Markup {
    let class = if entries.len().is_multiple_of(3) { "tiles by-three" } else { "tiles by-four" };
    html! {
        dl class=(class) {
            @for (name, value) in entries { div { dt { (name) } dd { (value) } } }
        }
    }
}

/// How a sentence is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// It worked, or it is proven.
    Good,
    /// It failed, or it loses.
    Bad,
    /// Look at it: something is awaited.
    Waiting,
    /// Plain.
    Plain,
}

impl Tone {
    /// The CSS class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Waiting => "waiting",
            Self::Plain => "plain",
        }
    }
}

/// A message on a page, read out at once.
pub fn notice(tone: Tone, message: &str) -> Markup {
    html! { p class={ "notice " (tone.class()) } role="alert" { (message) } }
}

/// The sentence with its first letter as a capital.
pub fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What to do where there is nothing yet: a sentence, then the command.
pub fn empty(sentence: &str, command: &str) -> Markup {
    html! {
        div.empty {
            p { (sentence) }
            pre { code { (command) } }
        }
    }
}

/// Releases in a table, newest first.
pub fn release_table(releases: &[Release]) -> Markup {
    scroll(
        "Releases",
        html! {
            table {
                thead { tr {
                    th scope="col" { "Release" } th scope="col" { "Model" } th scope="col" { "Endpoint" }
                    th scope="col" { "Stage" } th scope="col" { "Submitted" } th scope="col" { "Why" }
                } }
                tbody {
                    @for release in releases {
                        tr {
                            th scope="row" { a href={ "/releases/" (release.id) } { (release.id) } }
                            td { (release.model) "@" (release.model_version) }
                            td { a href={ "/endpoints/" (release.endpoint) } { (release.endpoint) } }
                            td { (stage::badge(release.stage)) }
                            td.nowrap { (date(release.submitted_at)) " by " (release.author) }
                            td.why { (release.reason.as_deref().unwrap_or("")) }
                        }
                    }
                }
            }
        },
    )
}
