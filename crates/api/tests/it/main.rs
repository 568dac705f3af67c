//! The API over HTTP semantics: who may what, and what bad input gets.

#![expect(clippy::unwrap_used, reason = "tests")]

mod access;
mod bad_input;
mod dataset;
mod hypothesis;
mod import;
mod kv;
mod mlflow;
mod operations;
mod outcome;
mod server;
