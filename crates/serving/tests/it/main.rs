//! The whole loop over a lake in memory: release, traffic, outcomes, settling, rollout.

#![expect(clippy::unwrap_used, reason = "tests")]

mod assignment;
mod challengers;
mod log;
mod explore;
mod loop_;
mod releases;
mod world;
