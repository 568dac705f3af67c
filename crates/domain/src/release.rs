//! A release: one model version on its way to one endpoint, and the stages it may pass through.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::DomainError;
use crate::time::Micros;

/// Where a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A gate stopped it. Final.
    Stopped,
    /// The gates before traffic are passed.
    Gated,
    /// It scores beside live traffic.
    Shadow,
    /// The shadow gate is passed; people are asked.
    AwaitingApproval,
    /// Enough people agreed.
    Approved,
    /// It is compared with the champion on a part of its traffic.
    Challenger,
    /// It gets traffic, step by step.
    Rollout,
    /// The last step stays; the holdout remains.
    Live,
    /// A guardrail or a person took it back. Final.
    RolledBack,
    /// A person said no. Final.
    Rejected,
    /// Another release took its place. Final.
    Superseded,
}

impl Stage {
    /// The word in columns and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Gated => "gated",
            Self::Shadow => "shadow",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Approved => "approved",
            Self::Challenger => "challenger",
            Self::Rollout => "rollout",
            Self::Live => "live",
            Self::RolledBack => "rolled_back",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
        }
    }

    /// All stages.
    pub const ALL: [Self; 11] = [
        Self::Stopped,
        Self::Gated,
        Self::Shadow,
        Self::AwaitingApproval,
        Self::Approved,
        Self::Challenger,
        Self::Rollout,
        Self::Live,
        Self::RolledBack,
        Self::Rejected,
        Self::Superseded,
    ];

    /// Reads the word of [`Stage::as_str`].
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        Self::ALL
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or_else(|| DomainError::invalid("stage", format!("'{text}' is not a stage")))
    }

    /// Whether a release in this stage is the champion.
    pub fn serves(self) -> bool {
        matches!(self, Self::Rollout | Self::Live)
    }

    /// The only ways forward: nothing serves without a passed gate and an approval.
    pub fn may_become(self, next: Self) -> bool {
        match next {
            Self::Stopped => matches!(self, Self::Shadow),
            Self::Gated => false,
            Self::Shadow => self == Self::Gated,
            Self::AwaitingApproval => self == Self::Shadow,
            Self::Approved => self == Self::AwaitingApproval,
            Self::Challenger => self == Self::Approved,
            Self::Rollout => matches!(self, Self::Approved | Self::Challenger),
            Self::Live => self == Self::Rollout,
            Self::RolledBack => self.serves() || self == Self::Challenger,
            Self::Rejected => {
                matches!(self, Self::Gated | Self::Shadow | Self::AwaitingApproval | Self::Approved)
            }
            Self::Superseded => matches!(self, Self::Live),
        }
    }

    /// `next`, or what must happen first.
    pub fn step_to(self, next: Self, release: &str) -> Result<Self, DomainError> {
        if self.may_become(next) {
            return Ok(next);
        }
        let problem = format!("release {release} is {self}, so it cannot become {next}; {}", self.hint());
        Err(DomainError::Stage(problem))
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Stopped => "a gate stopped it: mend the model and submit a new release",
            Self::Gated => "put it into shadow first",
            Self::Shadow => "run the shadow gate first",
            Self::AwaitingApproval => "it needs approvals first",
            Self::Approved => "start the rollout first",
            Self::Challenger => "it challenges the champion: roll it out or roll it back",
            Self::Rollout => "its rollout is under way",
            Self::Live => "it is live already",
            Self::RolledBack | Self::Rejected | Self::Superseded => "it has ended: submit a new release",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str().replace('_', " "))
    }
}

fn first_version() -> i64 {
    1
}

/// A release as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// `endpoint.number`.
    pub id: String,
    /// Which endpoint.
    pub endpoint: String,
    /// Name of the model.
    pub model: String,
    /// Version of the model.
    pub model_version: i64,
    /// `name@version` of the policy it was submitted under.
    pub policy: String,
    /// Who submitted it.
    pub author: String,
    /// Where it stands.
    pub stage: Stage,
    /// Index of the rollout step, from 0.
    pub step: u32,
    /// Event time from which the present step counts.
    pub step_since: Option<Micros>,
    /// Why it ended, when it did.
    pub reason: Option<String>,
    /// When it was submitted.
    pub submitted_at: Micros,
    /// Version of the value model that it was judged by, and decides by.
    #[serde(default = "first_version")]
    pub value_version: i64,
}

/// One person's recorded decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub actor: String,
    /// Yes or no.
    pub approved: bool,
    /// Why.
    pub comment: String,
    /// When.
    pub at: Micros,
}

/// Whether `actor` may decide about `release`, and whether the release is approved with that decision.
pub fn approve(
    release: &Release,
    so_far: &[Approval],
    needed: u32,
    decision: &Approval,
) -> Result<Stage, DomainError> {
    if release.stage != Stage::AwaitingApproval {
        let hint = if release.stage == Stage::Gated || release.stage == Stage::Shadow {
            "the shadow gate comes first"
        } else {
            release.stage.hint()
        };
        let problem =
            format!("release {} is {} and not awaiting approval; {hint}", release.id, release.stage);
        return Err(DomainError::Stage(problem));
    }
    if release.author == decision.actor {
        let problem =
            format!("{} submitted release {}; somebody else must decide", decision.actor, release.id);
        return Err(DomainError::Stage(problem));
    }
    if so_far.iter().any(|a| a.actor == decision.actor) {
        let problem = format!(
            "{} has decided about release {} already; a different person must",
            decision.actor, release.id
        );
        return Err(DomainError::Stage(problem));
    }
    if !decision.approved {
        return Ok(Stage::Rejected);
    }
    let yes = so_far.iter().filter(|a| a.approved).count() + 1;
    Ok(if yes >= needed as usize { Stage::Approved } else { Stage::AwaitingApproval })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(stage: Stage) -> Release {
        Release {
            id: "calls.1".into(),
            endpoint: "calls".into(),
            model: "m".into(),
            model_version: 1,
            policy: "p@1".into(),
            author: "dana".into(),
            stage,
            step: 0,
            step_since: None,
            reason: None,
            submitted_at: Micros(0),
            value_version: 1,
        }
    }

    fn by(actor: &str, approved: bool) -> Approval {
        Approval { actor: actor.into(), approved, comment: String::new(), at: Micros(0) }
    }

    #[test]
    fn every_way_to_traffic_leads_through_shadow_and_approval() {
        // Breadth-first over the stages: what can reach Rollout, and through what?
        for start in Stage::ALL {
            if start.may_become(Stage::Rollout) {
                assert!(matches!(start, Stage::Approved | Stage::Challenger));
            }
            if start.may_become(Stage::Challenger) {
                assert_eq!(start, Stage::Approved);
            }
            if start.may_become(Stage::Approved) {
                assert_eq!(start, Stage::AwaitingApproval);
            }
            if start.may_become(Stage::AwaitingApproval) {
                assert_eq!(start, Stage::Shadow);
            }
        }
        assert!(Stage::ALL.iter().all(|next| !Stage::Stopped.may_become(*next)));
    }

    #[test]
    fn two_different_people_other_than_the_author_approve() {
        let open = release(Stage::AwaitingApproval);
        assert!(approve(&open, &[], 2, &by("dana", true)).unwrap_err().to_string().contains("somebody else"));
        assert_eq!(approve(&open, &[], 2, &by("ada", true)), Ok(Stage::AwaitingApproval));
        let one = [by("ada", true)];
        assert!(
            approve(&open, &one, 2, &by("ada", true)).unwrap_err().to_string().contains("different person")
        );
        assert_eq!(approve(&open, &one, 2, &by("bo", true)), Ok(Stage::Approved));
        assert_eq!(approve(&open, &one, 2, &by("bo", false)), Ok(Stage::Rejected));
        assert!(approve(&release(Stage::Gated), &[], 1, &by("ada", true)).is_err());
    }
}
