//! Roles and what each may do. One table, read by every surface.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::DomainError;

/// What a person or a program may do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads everything.
    Viewer,
    /// Applies manifests, trains, submits releases and puts them into shadow.
    Scientist,
    /// Approves or rejects releases of other people.
    Approver,
    /// Calls endpoints, posts outcomes, settles, rolls out, rolls back, erases and collects garbage.
    Operator,
    /// Everything, and tokens.
    Admin,
}

/// Something that needs a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// See initiatives, releases, ledgers.
    Read,
    /// Change what manifests describe.
    Apply,
    /// Train models.
    Train,
    /// Submit a release, run its gates, put it into shadow.
    Release,
    /// Approve or reject a release.
    Approve,
    /// Start, advance or roll back a rollout, or swap a table of batch predictions: change what clients get.
    Rollout,
    /// Ask an endpoint for predictions, or for one that a batch made.
    Infer,
    /// Take a model's file away, to score with it elsewhere.
    Download,
    /// Post outcomes and settle them.
    Record,
    /// Delete what was logged about a unit.
    Erase,
    /// Remove for good what others deleted.
    Collect,
    /// Issue and revoke tokens.
    Tokens,
    /// Read the audit trail.
    Audit,
    /// Have others told of what happens here.
    Webhook,
}

impl Role {
    /// All roles, least first.
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Scientist, Self::Approver, Self::Operator, Self::Admin];

    /// Whether this role may do that.
    pub fn may(self, action: Action) -> bool {
        match action {
            Action::Read => true,
            Action::Apply | Action::Train | Action::Release => matches!(self, Self::Scientist | Self::Admin),
            Action::Approve => matches!(self, Self::Approver | Self::Admin),
            Action::Rollout
            | Action::Infer
            | Action::Record
            | Action::Erase
            | Action::Collect
            | Action::Webhook => matches!(self, Self::Operator | Self::Admin),
            Action::Download => matches!(self, Self::Scientist | Self::Operator | Self::Admin),
            Action::Tokens => self == Self::Admin,
            Action::Audit => matches!(self, Self::Approver | Self::Operator | Self::Admin),
        }
    }

    /// The word in manifests and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Scientist => "scientist",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl Action {
    /// What a message says is missing, and who has it.
    pub fn needed_roles(self) -> String {
        let roles: Vec<_> = Role::ALL.into_iter().filter(|r| r.may(self)).map(Role::as_str).collect();
        roles.join(" or ")
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|r| r.as_str() == text).ok_or_else(|| {
            let problem =
                format!("'{text}' is not a role; use viewer, scientist, approver, operator or admin");
            DomainError::invalid("role", problem)
        })
    }
}

/// Who acts: a name for the audit trail and a role for permissions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// Name of the person or program.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_an_admin_holds_both_ends_of_a_release() {
        for role in Role::ALL {
            let both = role.may(Action::Release) && role.may(Action::Approve);
            assert_eq!(both, role == Role::Admin, "{role}");
        }
        assert_eq!(Action::Approve.needed_roles(), "approver or admin");
        assert!(!Role::Viewer.may(Action::Infer));
    }
}
