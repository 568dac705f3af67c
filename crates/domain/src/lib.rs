//! The words of Greenlight as types and rules.
//!
//! Owns what a business case, a gate, a release, a rollout, a value model or a prediction id *is*, and every
//! rule that needs nothing but its arguments. Refuses I/O, async, clocks and randomness: a caller hands in the
//! time and the random bits, so that each rule can be tested with plain values.

pub mod ab_test;
pub mod assignment;
pub mod business_case;
pub mod cost;
pub mod dataset;
pub mod decision;
pub mod endpoint;
pub mod evidence;
pub mod experiment_search;
pub mod expression;
pub mod frame;
pub mod gate;
pub mod hypothesis;
pub mod initiative;
pub mod ledger;
pub mod lineage;
pub mod log;
pub mod logged_model;
pub mod manifest;
pub mod model;
pub mod money;
pub mod plan;
pub mod policy;
pub mod prediction;
pub mod registry;
pub mod registry_search;
pub mod release;
pub mod role;
pub mod rollout;
pub mod route;
pub mod run;
pub mod run_search;
pub mod time;
pub mod trace;
pub mod training;
pub mod value_model;
pub mod webhook;

mod error;
mod filter;

pub use error::DomainError;
