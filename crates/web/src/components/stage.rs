//! Stages of releases and initiatives as badges, each with a sign beside its colour.

use greenlight_domain::release::Stage;
use maud::{Markup, html};

use super::Tone;

/// How a stage is meant.
pub fn tone(stage: Stage) -> Tone {
    match stage {
        Stage::Live | Stage::Rollout | Stage::Challenger | Stage::Approved => Tone::Good,
        Stage::Stopped | Stage::RolledBack | Stage::Rejected => Tone::Bad,
        Stage::AwaitingApproval | Stage::Gated | Stage::Shadow => Tone::Waiting,
        Stage::Superseded => Tone::Plain,
    }
}

fn sign(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "●",
        Tone::Bad => "✗",
        Tone::Waiting => "◐",
        Tone::Plain => "○",
    }
}

/// The stage of a release.
pub fn badge(stage: Stage) -> Markup {
    labelled(tone(stage), &stage.to_string())
}

/// The stage of an initiative, as `greenlight-app` derives it.
pub fn initiative_badge(stage: &str) -> Markup {
    let tone = match stage {
        "live" | "rolling out" => Tone::Good,
        "in release" => Tone::Waiting,
        _ => Tone::Plain,
    };
    labelled(tone, stage)
}

/// A badge with a word of its own.
pub fn labelled(tone: Tone, word: &str) -> Markup {
    html! {
        span class={ "badge " (tone.class()) } { span aria-hidden="true" { (sign(tone)) } " " (word) }
    }
}
