//! What the pages of research share: moments, states of runs, counts that end somewhere, and the way between pages.

use greenlight_app::experiment_overview::Count;
use greenlight_app::run::RunInfo;
use greenlight_domain::time::Micros;
use maud::{Markup, html};

use super::Tone;
use super::number::{count, counted, duration};
use super::stage::labelled;
use crate::session::percent_encoded;

/// A moment to the minute, UTC: `2009-05-04 10:00`.
pub fn moment(at: Micros) -> Markup {
    let whole = at.to_string();
    let minutes = whole.get(..16).map_or_else(|| whole.clone(), |text| text.replace('T', " "));
    html! { time.nowrap datetime=(at) title=(at) { (minutes) } }
}

/// How far a run is, in MLflow's words.
pub fn status(run: &RunInfo) -> Markup {
    let tone = match run.status.as_str() {
        "FINISHED" => Tone::Good,
        "FAILED" | "KILLED" => Tone::Bad,
        "RUNNING" | "SCHEDULED" => Tone::Waiting,
        _ => Tone::Plain,
    };
    html! {
        (labelled(tone, &run.status.to_lowercase()))
        @if run.deleted_at.is_some() { " " (labelled(Tone::Bad, "deleted")) }
    }
}

/// How long a run took; none while it goes on.
pub fn took(run: &RunInfo) -> Option<String> {
    run.ended_at.map(|ended| duration(ended.0.saturating_sub(run.started_at.0)))
}

/// The page of a run.
pub fn run_address(id: &str) -> String {
    format!("/runs/{}", percent_encoded(id).replace('/', "%2F"))
}

/// A run's name as a link to its page; its id when it has no name.
pub fn run_link(run: &RunInfo) -> Markup {
    let name = if run.name.trim().is_empty() { &run.id } else { &run.name };
    html! { a href=(run_address(&run.id)) { (name) } }
}

/// The page of a model. A name may hold blanks and odd characters; a slash in it is no part of the path.
pub fn model_address(name: &str) -> String {
    format!("/models/{}", percent_encoded(name).replace('/', "%2F"))
}

/// `1,204 runs`, or `more than 10,000 runs`.
pub fn how_many(known: Count, one: &str, many: &str) -> String {
    match known {
        Count::Exactly(number) => counted(number, one, many),
        Count::MoreThan(number) => format!("more than {} {many}", count(number.cast_signed())),
    }
}

/// Names with values in a table, at most `most` of them.
pub fn pairs(label: &str, pairs: &[(String, String)], most: usize) -> Markup {
    html! {
        (super::scroll(label, html! {
            table.compact {
                thead { tr { th scope="col" { "Name" } th scope="col" { "Value" } } }
                tbody {
                    @for (name, value) in pairs.iter().take(most) {
                        tr { th scope="row" { (name) } td.value { (value) } }
                    }
                }
            }
        }))
        (left_out(pairs.len(), most))
    }
}

/// Says that not everything is shown.
pub fn left_out(all: usize, most: usize) -> Markup {
    html! {
        @if all > most {
            p.small.muted { "The first " (count(most as i64)) " of " (count(all as i64)) " are shown." }
        }
    }
}
