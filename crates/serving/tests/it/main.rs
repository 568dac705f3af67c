//! The whole loop over a lake in memory: release, traffic, outcomes, settling, rollout.

#![expect(clippy::unwrap_used, reason = "tests")]

mod assignment;
mod challengers;
mod explore;
mod log;
mod loop_;
mod reconciliation;
mod releases;
mod restatement;
mod world;
