//! What tests share: a lake in memory, a model runtime that does what it is told, an application with a clock that
//! stands still, and people of every role.
//!
//! Nothing here is compiled into the product. The lake in memory keeps the contract of the real one, so that rules,
//! API and pages are tested without compiling DataFusion.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot set itself up should fail at once"
)]

mod app;
pub mod fuzz;
mod lake;
mod manifests;
mod runtime;

pub use app::{TestApp, actor};
pub use lake::MemoryLake;
pub use manifests::documents;
pub use runtime::{ColumnRuntime, artifact};
