//! Models in process: training, the artifact format, scoring; and models on other servers.
//!
//! Owns the only in-process runtime of the house, [`Runtime`], and the file format `greenlight.model/1` that it
//! writes and reads; files of other libraries are scored by `greenlight-evaluator` and, where an ONNX graph needs
//! more, by ONNX Runtime; models of other servers are called over the network. It is the only crate that names a learner library or a model runtime.
//!
//! It refuses to let a learner's own model format or evaluator near serving: what a learner yields is turned into
//! our flat form once, checked against the learner's scores, and from then on only our form exists. It refuses
//! artifacts that it cannot prove harmless: every index, weight and size is checked before the first row is scored.

mod artifact;
mod encoder;
mod foreign;
mod logistic;
mod onnx_runtime;
mod runtime;
mod train;
mod trees;
mod upstream;

pub use runtime::{FLAVOR, OUTPUT, Runtime};
