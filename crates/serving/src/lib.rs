//! The hot path: take rows, assign units, score, decide, log durably, answer; mirror to the shadow afterwards.
//!
//! Owns everything between a parsed request and its answer. It knows neither SQL nor pages nor HTTP: it reads the
//! table of live endpoints that `app` publishes and writes to the lake.

mod error;
mod infer;
mod log;
mod request;
mod score;
mod shadow;

pub use error::ServingError;
pub use infer::{Answer, Serving};
pub use request::{MAX_ROWS, Request, Trace};
