//! The event log: durable segments, Delta tables, and the joins that settling and gates read.
//!
//! Owns what stands below the lake's folder: `<endpoint>/{predictions,outcomes}` (Delta tables) and
//! `<endpoint>/segments/*.seg` (what was acknowledged but is not sealed yet). An append is acknowledged only after
//! its bytes were synced; a segment is deleted only after the Delta commit that carries its number was synced.
//!
//! Refuses to know what an event is worth, which release should advance, or what time it is. It is the only crate
//! that names DataFusion and Delta Lake.

mod dataset;
mod decode;
mod encode;
mod endpoint;
mod erase;
mod error;
mod lake;
mod log_repair;
mod posting;
pub mod profile;
mod query;
mod schema;
pub mod score;
mod segment;
mod session;
mod table;
mod upload;

pub use lake::{Limits, LocalLake};
pub use posting::posting_rows;
