//! The lake from outside: durability, sealing, joins and data sets.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test, like the test itself")]

mod contract;
mod datasets;
mod erase;
mod events;
mod explore;
mod joins;
mod profile;
mod score;
mod seal;
mod segments;
