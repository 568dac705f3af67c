//! Lineage: what was made from what, from data to money.
//!
//! Owns what a node is and how it is written. The edges themselves lie with the nouns: a run knows what it read, a
//! release its model. Refuses edges of its own but those that other systems report (OpenLineage).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::DomainError;

/// What a node is, in the order in which things are made from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Data of another system, by its place.
    Place,
    /// A job of another system, as `namespace:name`.
    Job,
    /// A data set version, as `name@version`.
    Dataset,
    /// A data set that a client logged to its run and nobody registered, as `name#digest`.
    LoggedDataset,
    /// A run, by its id.
    Run,
    /// A logged model, by its id.
    LoggedModel,
    /// A version of MLflow's registry, as `name/version`.
    RegisteredVersion,
    /// A servable model version, as `name@version`.
    Model,
    /// A release, by its id.
    Release,
    /// An endpoint, by its name.
    Endpoint,
    /// An initiative, by its name.
    Initiative,
}

impl NodeKind {
    /// All kinds, in the order in which things are made from each other.
    pub const ALL: [Self; 11] = [
        Self::Place,
        Self::Job,
        Self::Dataset,
        Self::LoggedDataset,
        Self::Run,
        Self::LoggedModel,
        Self::RegisteredVersion,
        Self::Model,
        Self::Release,
        Self::Endpoint,
        Self::Initiative,
    ];

    /// The word in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Job => "job",
            Self::Dataset => "dataset",
            Self::LoggedDataset => "logged_dataset",
            Self::Run => "run",
            Self::LoggedModel => "logged_model",
            Self::RegisteredVersion => "registered_version",
            Self::Model => "model",
            Self::Release => "release",
            Self::Endpoint => "endpoint",
            Self::Initiative => "initiative",
        }
    }

    /// The words on a page.
    pub fn title(self) -> &'static str {
        match self {
            Self::Place => "data elsewhere",
            Self::Job => "job elsewhere",
            Self::Dataset => "data set",
            Self::LoggedDataset => "logged data set",
            Self::Run => "run",
            Self::LoggedModel => "logged model",
            Self::RegisteredVersion => "registered version",
            Self::Model => "model version",
            Self::Release => "release",
            Self::Endpoint => "endpoint",
            Self::Initiative => "initiative",
        }
    }
}

/// A node: what it is and which one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Which one, as its kind says.
    pub name: String,
}

impl Node {
    /// The node of that kind and name.
    pub fn new(kind: NodeKind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.name)
    }
}

impl FromStr for Node {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        let found = NodeKind::ALL.into_iter().find(|known| known.as_str() == kind);
        match found {
            Some(kind) if !name.is_empty() => Ok(Self::new(kind, name)),
            _ => {
                let kinds: Vec<&str> = NodeKind::ALL.into_iter().map(NodeKind::as_str).collect();
                let problem = format!("'{text}' is not KIND:NAME with one of the kinds {}", kinds.join(", "));
                Err(DomainError::invalid("node", problem))
            }
        }
    }
}

impl Serialize for Node {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Which way to walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To what it was made from.
    Up,
    /// To what was made from it.
    Down,
}

/// That `to` was made from `from`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Edge {
    /// What was read.
    pub from: Node,
    /// What was made.
    pub to: Node,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_read_as_it_is_written() {
        for text in ["run:0af3", "dataset:bank@1", "job:airflow:daily", "place:s3://bucket/a b"] {
            assert_eq!(text.parse::<Node>().unwrap().to_string(), text);
        }
        for text in ["", "run", "run:", "table:x", "Run:x"] {
            assert!(text.parse::<Node>().is_err(), "{text}");
        }
    }
}
