//! The steps of a rollout as the policy set them, with the present one marked.

use greenlight_app::release::ReleaseView;
use greenlight_domain::policy::AdvanceWhen;
use greenlight_domain::release::Stage;
use maud::{Markup, html};

use crate::components::number::{count, decimal, percent};
use crate::components::{date, scroll};

/// The steps; nothing of them is marked before the rollout began.
pub(super) fn steps(view: &ReleaseView) -> Markup {
    let policy = &view.policy_spec.rollout;
    html! {
        section {
            h2 { "Rollout" }
            (scroll("Rollout steps", html! {
                table.compact.steps {
                    thead { tr {
                        th scope="col" { span.unseen { "State" } }
                        th.number scope="col" { "Units with the model" }
                        th.number scope="col" { "Matured units needed" }
                        th scope="col" { "Goes on when the confidence sequence" }
                    } }
                    tbody {
                        @for (index, step) in policy.steps.iter().enumerate() {
                            @let state = State::of(view, index);
                            tr class=(state.class()) aria-current=[(state == State::Now).then_some("step")] {
                                td { span aria-hidden="true" { (state.sign()) } " " (state.word()) }
                                td.number { (step.percent) " %" }
                                td.number { (count(step.min_matured.cast_signed())) }
                                td { (match step.advance_when {
                                    AdvanceWhen::NoHarm => "is not wholly below zero",
                                    AdvanceWhen::Proven => "is wholly above zero",
                                }) }
                            }
                        }
                    }
                }
            }))
            p.small.muted {
                @if let (Some(since), true) = (view.release.step_since, view.release.stage.serves()) {
                    "The present step counts from " (date(since)) ". "
                }
                "It is taken back at once above " (percent(policy.max_error_share, 2)) " errors, above "
                (decimal(policy.max_p99_latency_ms, 0)) " ms (99th percentile), or when the sequence lies wholly below zero. "
                "The verdict errs in at most " (percent(policy.alpha, 1)) " of rollouts, however often it is looked at. "
                "The holdout is permanent."
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Done,
    Now,
    Ended,
    Ahead,
    Never,
}

impl State {
    fn of(view: &ReleaseView, index: usize) -> Self {
        let present = view.release.step as usize;
        let ended = matches!(view.release.stage, Stage::RolledBack | Stage::Superseded);
        let over = ended || matches!(view.release.stage, Stage::Stopped | Stage::Rejected);
        let began = view.release.stage.serves() || (ended && view.release.step_since.is_some());
        match index.cmp(&present) {
            _ if !began => {
                if over {
                    Self::Never
                } else {
                    Self::Ahead
                }
            }
            std::cmp::Ordering::Less => Self::Done,
            std::cmp::Ordering::Equal if ended => Self::Ended,
            std::cmp::Ordering::Equal => Self::Now,
            std::cmp::Ordering::Greater => {
                if over {
                    Self::Never
                } else {
                    Self::Ahead
                }
            }
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "now",
            Self::Ended => "ended",
            Self::Ahead | Self::Never => "ahead",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Done => "✓",
            Self::Now => "◐",
            Self::Ended => "✗",
            Self::Ahead | Self::Never => "○",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "present",
            Self::Ended => "ended here",
            Self::Ahead => "ahead",
            Self::Never => "not reached",
        }
    }
}
