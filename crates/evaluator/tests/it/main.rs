//! Reads files that other libraries wrote, and scores them like those libraries.
//!
//! The fixtures and the answers to them come from `fixtures/make.py`.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test, like the test itself")]

mod explain;
mod fixture;
mod hostile;
mod lightgbm;
mod onnx;
mod request;
mod xgboost;
