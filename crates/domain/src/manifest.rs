//! Manifests: what `greenlight apply` reads. One document a thing, told apart by `kind`.

use serde::{Deserialize, Serialize};

use crate::DomainError;
use crate::business_case::BusinessCaseSpec;
use crate::dataset::DatasetSpec;
use crate::endpoint::{EndpointSpec, check_name};
use crate::initiative::InitiativeSpec;
use crate::policy::PolicySpec;
use crate::training::{TrainingSpec, split_version};

/// A document of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", deny_unknown_fields)]
pub enum Document {
    /// A problem worth money.
    Initiative {
        /// Its name.
        name: String,
        /// What it says.
        spec: InitiativeSpec,
    },
    /// A dated forecast.
    BusinessCase {
        /// Its name; a newer case of the same initiative supersedes it.
        name: String,
        /// What it says.
        spec: BusinessCaseSpec,
    },
    /// A dataset version.
    Dataset {
        /// Its name.
        name: String,
        /// Its version; published versions never change.
        version: i64,
        /// What it says.
        spec: DatasetSpec,
    },
    /// A release policy.
    Policy {
        /// Its name.
        name: String,
        /// Its version; published versions never change.
        version: i64,
        /// What it says.
        spec: PolicySpec,
    },
    /// Something that clients call.
    Endpoint {
        /// Its name.
        name: String,
        /// What it says.
        spec: EndpointSpec,
    },
    /// A model to be trained.
    Training {
        /// Name of the model.
        name: String,
        /// What it says.
        spec: TrainingSpec,
    },
}

impl Document {
    /// The word of `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Initiative { .. } => "Initiative",
            Self::BusinessCase { .. } => "BusinessCase",
            Self::Dataset { .. } => "Dataset",
            Self::Policy { .. } => "Policy",
            Self::Endpoint { .. } => "Endpoint",
            Self::Training { .. } => "Training",
        }
    }

    /// Name, with `@version` for what is published in versions.
    pub fn reference(&self) -> String {
        match self {
            Self::Dataset { name, version, .. } | Self::Policy { name, version, .. } => {
                format!("{name}@{version}")
            }
            _ => self.name().to_owned(),
        }
    }

    /// Name without version.
    pub fn name(&self) -> &str {
        match self {
            Self::Initiative { name, .. }
            | Self::BusinessCase { name, .. }
            | Self::Dataset { name, .. }
            | Self::Policy { name, .. }
            | Self::Endpoint { name, .. }
            | Self::Training { name, .. } => name,
        }
    }

    /// True when a published document of this kind can never change.
    pub fn is_immutable(&self) -> bool {
        matches!(self, Self::BusinessCase { .. } | Self::Dataset { .. } | Self::Policy { .. })
    }

    /// The order in which kinds are applied, so that what is referred to exists first.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Initiative { .. } => 0,
            Self::BusinessCase { .. } => 1,
            Self::Dataset { .. } => 2,
            Self::Policy { .. } => 3,
            Self::Endpoint { .. } => 4,
            Self::Training { .. } => 5,
        }
    }

    /// Checks the document by itself.
    pub fn validate(&self) -> Result<(), DomainError> {
        check_name("name", self.name())?;
        let result = match self {
            Self::Initiative { spec, .. } => spec.validate(),
            Self::BusinessCase { spec, .. } => spec.validate(),
            Self::Dataset { spec, version, .. } => positive(*version).and_then(|()| spec.validate()),
            Self::Policy { spec, version, .. } => positive(*version).and_then(|()| spec.validate()),
            Self::Endpoint { spec, .. } => {
                split_version(&spec.dataset).and_then(|_| split_version(&spec.policy)).map(|_| ())
            }
            Self::Training { spec, .. } => spec.validate(),
        };
        result.map_err(|error| match error {
            DomainError::Invalid { field, problem } => {
                DomainError::invalid(format!("{} {}: {field}", self.kind(), self.reference()), problem)
            }
            other => other,
        })
    }

    /// The specification as JSON, for storage and comparison.
    pub fn spec_json(&self) -> serde_json::Value {
        let document = serde_json::to_value(self).unwrap_or_default();
        document.get("spec").cloned().unwrap_or_default()
    }
}

fn positive(version: i64) -> Result<(), DomainError> {
    if version > 0 { Ok(()) } else { Err(DomainError::invalid("version", "counts up from 1")) }
}
