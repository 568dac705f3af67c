//! The binary as its users run it: real processes, real files, real signals.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod kill;
mod operations;
mod pages;
mod process;
mod score;
mod verbs;
