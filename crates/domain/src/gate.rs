//! The rules of the gates: numbers in, [`crate::evidence::GateResult`] out. Whoever calls them reads the data.

pub mod contract;
pub mod history;
pub mod shadow;
