//! Training, artifacts and scoring, through the trait that the house uses.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test, like the test itself")]

mod artifact;
mod hostile;
mod onnx_runtime;
mod score;
mod synthetic;
mod train;
mod upstream;
