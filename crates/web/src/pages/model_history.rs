//! Which version of a model was what, when?

use greenlight_app::model_overview::ModelView;
use greenlight_app::registered_history::{Held, MAX_CHANGES, Span};
use greenlight_domain::time::Micros;
use maud::{Markup, html};

use crate::components::research::{left_out, moment};
use crate::components::scroll;

/// Most rows.
const MAX_ROWS: usize = 500;

/// The day that an address names, from its midnight until the next one, UTC.
fn day(on: &str) -> Option<(Micros, Micros)> {
    let from: Micros = on.trim().get(..10)?.parse().ok().filter(|_| on.trim().len() == 10)?;
    Some((from, from.plus_days(1)))
}

/// What held on that day, or all of it without one.
pub(super) fn section(view: &ModelView, on: &str) -> Markup {
    let day = day(on);
    let wrong = day.is_none() && !on.trim().is_empty();
    let spans: Vec<&Span> =
        view.spans.iter().filter(|span| day.is_none_or(|(from, until)| span.overlaps(from, until))).collect();
    html! {
        section id="history" {
            h2 { "Which version was what, when" }
            @if view.spans.is_empty() {
                p.none { "No alias was set and no stage was given yet." }
            } @else {
                form.filters method="get" action="#history" {
                    div { label for="on" { "On the day, UTC" }
                        input type="date" id="on" name="on" value=(on) aria-invalid=[wrong.then_some("true")]; }
                    div.filters-go { button type="submit" { "Show" } @if !on.is_empty() { " " a href="?#history" { "All days" } } }
                }
                @if wrong { p.notice.bad role="alert" { "“" (crate::chart::shortened(on, 40)) "” is no day; write it like 2009-05-04." } }
                @if spans.is_empty() { p.none { "On that day no alias named a version, and none was in a stage." } }
                @else { (table(&spans)) (left_out(spans.len(), MAX_ROWS)) }
                p.small.muted {
                    "From the audit trail, where each change is recorded with what was before."
                    @if view.older_changes { " Only the newest " (MAX_CHANGES) " changes were read." }
                }
            }
        }
    }
}

fn table(spans: &[&Span]) -> Markup {
    scroll(
        "Which version was what, when",
        html! {
            table {
                thead { tr {
                    th scope="col" { "What" } th.number scope="col" { "Version" } th scope="col" { "From, UTC" }
                    th scope="col" { "Until, UTC" } th scope="col" { "Made so by" }
                } }
                tbody {
                    @for span in spans.iter().take(MAX_ROWS) {
                        tr.chosen[span.until.is_none()] {
                            th scope="row" { @match &span.held {
                                Held::Alias(alias) => { "alias " span.alias { (alias) } }
                                Held::Stage(stage) => { "stage " (stage) }
                            } }
                            td.number { (span.version) }
                            td { @match span.from { Some(at) => (moment(at)), None => span.none { "earlier" } } }
                            td { @match span.until { Some(at) => (moment(at)), None => b { "now" } } }
                            td { @match &span.by { Some(by) => (by), None => span.none { "not known" } } }
                        }
                    }
                }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_whole_one() {
        let (from, until) = day("2009-05-04").unwrap();
        assert_eq!((from.to_string().get(..10), until.0 - from.0), (Some("2009-05-04"), 86_400_000_000));
        for wrong in ["", "yesterday", "2009-05", "2009-05-04T10:00:00Z", "ääääää"] {
            assert_eq!(day(wrong), None, "{wrong}");
        }
    }
}
