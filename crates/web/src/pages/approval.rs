//! Decisions of people about a release: what was decided, and the form to decide with.

use greenlight_app::release::ReleaseView;
use greenlight_domain::release::Stage;
use greenlight_domain::role::{Action, Actor};
use maud::{Markup, html};

use crate::components::{date, mark};

/// Decisions so far, against the number that the policy asks for.
pub(super) fn decisions(view: &ReleaseView) -> Markup {
    let needed = view.policy_spec.approvals.count;
    let yes = view.approvals.iter().filter(|a| a.approved).count();
    html! {
        section {
            h2 { "Approvals" }
            p { b { (yes) " of " (needed) } " needed, by different people other than " (view.release.author) "." }
            @if !view.approvals.is_empty() {
                ul.decisions {
                    @for decision in &view.approvals {
                        li {
                            (mark(decision.approved))
                            div {
                                p { b { (decision.actor) } (if decision.approved { " approved on " } else { " rejected on " })
                                    (date(decision.at)) }
                                @if !decision.comment.is_empty() { blockquote { (decision.comment) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What this person may decide now: the form, or why not. Nothing when no decision is asked for.
pub(super) fn form(view: &ReleaseView, actor: &Actor) -> Markup {
    if view.release.stage != Stage::AwaitingApproval {
        return html! {};
    }
    let why_not = if !actor.role.may(Action::Approve) {
        Some(format!(
            "Deciding about it needs the role {}; you are {}.",
            Action::Approve.needed_roles(),
            actor.role
        ))
    } else if view.release.author == actor.name {
        Some("You submitted this release, so somebody else must decide about it.".to_owned())
    } else if view.approvals.iter().any(|a| a.actor == actor.name) {
        Some("You have decided about this release; a different person must, too.".to_owned())
    } else {
        None
    };
    html! {
        section.decide aria-label="Your decision" {
            @match why_not {
                Some(sentence) => p.muted { (sentence) },
                None => {
                    p { b { "Your decision is asked for." } " It is recorded with your name and cannot be changed." }
                    div.decide-choices {
                        (choice(view, true, "Approve…", "Yes, approve this release", false))
                        (choice(view, false, "Reject…", "Yes, reject this release for good", true))
                    }
                }
            }
        }
    }
}

/// A disclosure that opens the form: the second click confirms, with or without JavaScript.
fn choice(view: &ReleaseView, approved: bool, open: &str, confirm: &str, reason_needed: bool) -> Markup {
    let id = if approved { "comment-approve" } else { "comment-reject" };
    html! {
        details.choice name="decision" {
            summary class=(if approved { "button primary" } else { "button danger" }) { (open) }
            form method="post" action={ "/releases/" (view.release.id) "/decisions" } {
                input type="hidden" name="approved" value=(approved);
                label for=(id) { "Why" @if !reason_needed { span.muted { " (optional)" } } }
                textarea id=(id) name="comment" rows="3" maxlength="2000" required[reason_needed] {}
                button class=(if approved { "primary" } else { "danger" }) type="submit" { (confirm) }
            }
        }
    }
}
