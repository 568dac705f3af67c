//! Use cases over embedded storage: what needs more than one application, or time that passes.

#![expect(clippy::unwrap_used, reason = "tests")]

mod garbage;
mod rate;
mod reload;
mod research;
mod servable;
