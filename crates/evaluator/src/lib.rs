//! Scores model files of other libraries in double precision, in process, from the bytes of the file.
//!
//! Owns the readers of LightGBM text, XGBoost JSON and UBJSON, and ONNX; the [`Evaluator`] that scores rows and
//! explains a score; and the flattened trees behind both. A file is read as its library wrote it: nothing is converted
//! first, so there is no second file that could disagree with the first.
//!
//! It refuses to guess. A file with a feature that is not scored exactly as its library scores it is an error that
//! names the feature. It refuses to trust: every length, count, index and depth of a file is checked before memory is
//! taken for it, so a hostile file is an [`EvaluatorError`] too. It knows nothing of endpoints, releases or money, and
//! it names no other crate of the house.

mod column;
mod ensemble;
mod error;
mod evaluator;
mod lightgbm;
mod linear;
mod link;
mod onnx;
mod parity;
mod xgboost;

pub use column::{Column, Input, InputKind, Output};
pub use error::{ErrorKind, EvaluatorError, Format};
pub use evaluator::{Evaluator, Explanation};
pub use parity::{Parity, parity};
