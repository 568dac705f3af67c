//! ONNX graphs that the evaluator does not have every operator for, run by ONNX Runtime.
//!
//! The library is loaded when the first such graph is: from `ORT_DYLIB_PATH`, or from the places where a system or a
//! Python environment keeps it. Nothing else of Greenlight needs it, and a machine without it gets a message that says
//! what to install. One thread a call: requests are what runs side by side.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, TryLockError};

use greenlight_app::runtime::{Model, RuntimeError};
use greenlight_domain::frame::{Column, ColumnType, Field, Frame};
use greenlight_domain::model::Signature;
use ort::environment::Environment;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Tensor, TensorElementType, ValueType};

use crate::artifact::refused;
use crate::encoder::column;
use crate::foreign::positive;
use crate::logistic::probabilities;
use crate::runtime::signature;

/// Rows that one call of the library gets, so that its memory stays bounded.
const BLOCK_ROWS: usize = 1_024;
/// Most sessions of one model; a request that finds all of them busy waits.
const MAX_SESSIONS: usize = 4;

/// One input of the graph: which of the signature's columns it takes, as which type.
#[derive(Debug)]
struct GraphInput {
    name: String,
    element: TensorElementType,
    first: usize,
    width: usize,
}

/// A graph that ONNX Runtime runs.
pub(crate) struct RuntimeGraph {
    signature: Signature,
    inputs: Vec<GraphInput>,
    output: String,
    width: usize,
    positive: usize,
    bytes: usize,
    sessions: Vec<Mutex<Session>>,
    turn: AtomicUsize,
}

/// The library's environment, or why there is none.
fn environment() -> Result<&'static Environment, RuntimeError> {
    static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();
    let found = ENVIRONMENT.get_or_init(|| {
        let path = find_library().ok_or_else(|| "no libonnxruntime.so was found".to_owned())?;
        let builder = ort::init_from(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        builder.build().map_err(|e| format!("{}: {e}", path.display()))
    });
    found.as_ref().map_err(|problem| {
        refused(format!(
            "this graph needs ONNX Runtime, and {problem}; install the Python package onnxruntime (1.17 or newer) and \
             set ORT_DYLIB_PATH to its capi/libonnxruntime.so.*, or convert the model to tree and linear operators"
        ))
    })
}

/// `ORT_DYLIB_PATH`, a system library, or that of a Python environment.
fn find_library() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("ORT_DYLIB_PATH") {
        return Some(PathBuf::from(named));
    }
    let mut folders: Vec<PathBuf> =
        ["/usr/local/lib", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
            .iter()
            .map(PathBuf::from)
            .collect();
    let environments = ["VIRTUAL_ENV", "CONDA_PREFIX"].iter().filter_map(std::env::var_os).map(PathBuf::from);
    for root in environments.chain([PathBuf::from("/usr"), PathBuf::from("/usr/local")]) {
        for python in entries(&root.join("lib"), "python3") {
            for packages in ["site-packages", "dist-packages"] {
                folders.push(python.join(packages).join("onnxruntime/capi"));
            }
        }
    }
    folders.iter().find_map(|folder| entries(folder, "libonnxruntime.so").pop())
}

/// Entries of a folder whose name starts so, sorted.
fn entries(folder: &std::path::Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

fn failed(error: ort::Error) -> RuntimeError {
    refused(format!("ONNX Runtime refuses it: {error}"))
}

fn scoring(error: ort::Error) -> RuntimeError {
    RuntimeError::Scoring(format!("ONNX Runtime: {error}"))
}

impl RuntimeGraph {
    /// Loads a graph.
    pub(crate) fn load(bytes: &[u8]) -> Result<Self, RuntimeError> {
        let environment = environment()?;
        let session = || {
            let builder = Session::builder(environment).map_err(failed)?;
            let one_thread = |e: ort::Error<_>| refused(format!("ONNX Runtime refuses one thread: {e}"));
            let mut builder = builder.with_intra_threads(1).map_err(one_thread)?;
            builder.commit_from_memory(bytes).map_err(failed)
        };
        let first = session()?;
        let (inputs, fields) = graph_inputs(&first)?;
        let (output, width) = graph_output(&first)?;
        let positive = positive(width)?;
        let mut sessions = vec![Mutex::new(first)];
        let wanted = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_SESSIONS);
        while sessions.len() < wanted {
            sessions.push(Mutex::new(session()?));
        }
        let signature = signature(&fields);
        Ok(Self {
            signature,
            inputs,
            output,
            width,
            positive,
            bytes: bytes.len(),
            sessions,
            turn: AtomicUsize::new(0),
        })
    }

    fn run(&self, rows: &Frame, start: usize, end: usize, scores: &mut Vec<f64>) -> Result<(), RuntimeError> {
        let mut values: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            values.push((Cow::Borrowed(&input.name), self.tensor(input, rows, start, end)?.into()));
        }
        // Any free session, else wait for the next one in turn.
        let free = self.sessions.iter().find_map(|session| match session.try_lock() {
            Ok(free) => Some(free),
            Err(TryLockError::Poisoned(left)) => Some(left.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.sessions.len();
        let mut session =
            free.unwrap_or_else(|| self.sessions[turn].lock().unwrap_or_else(PoisonError::into_inner));
        let outputs = session.run(values).map_err(scoring)?;
        let output = &outputs[self.output.as_str()];
        let numbers: Vec<f64> = match output.try_extract_tensor::<f32>() {
            Ok((_, values)) => values.iter().map(|value| f64::from(*value)).collect(),
            Err(_) => output.try_extract_tensor::<f64>().map_err(scoring)?.1.to_vec(),
        };
        if numbers.len() != (end - start) * self.width {
            let problem = format!("{} numbers came back for {} rows", numbers.len(), end - start);
            return Err(RuntimeError::Scoring(problem));
        }
        scores.extend(numbers.chunks_exact(self.width).map(|row| row[self.positive]));
        Ok(())
    }

    /// The values of one input for the rows from `start` to `end`.
    fn tensor(
        &self,
        input: &GraphInput,
        rows: &Frame,
        start: usize,
        end: usize,
    ) -> Result<DynValue, RuntimeError> {
        let shape = [end - start, input.width];
        let fields = &self.signature.inputs[input.first..input.first + input.width];
        let columns = fields
            .iter()
            .enumerate()
            .map(|(at, field)| column(rows, input.first + at, field))
            .collect::<Result<Vec<_>, _>>()?;
        if input.element == TensorElementType::String {
            let mut texts: Vec<String> = Vec::with_capacity(shape[0] * shape[1]);
            for row in start..end {
                for column in &columns {
                    if let Column::Text(values) = column {
                        texts.push(values[row].as_deref().unwrap_or_default().to_owned());
                    }
                }
            }
            return Ok(Tensor::from_string_array((shape, texts.as_slice())).map_err(scoring)?.into_dyn());
        }
        let mut numbers = Vec::with_capacity(shape[0] * shape[1]);
        for row in start..end {
            for column in &columns {
                if let Column::Number(values) = column {
                    numbers.push(values[row]);
                }
            }
        }
        let tensor = match input.element {
            TensorElementType::Float32 => {
                let numbers: Vec<f32> = numbers.iter().map(|value| *value as f32).collect();
                Tensor::from_array((shape, numbers)).map_err(scoring)?.into_dyn()
            }
            TensorElementType::Int64 => {
                if numbers.iter().any(|value| !value.is_finite() || value.fract() != 0.0) {
                    let problem = format!("input '{}' takes whole numbers only, none missing", input.name);
                    return Err(RuntimeError::Scoring(problem));
                }
                let numbers: Vec<i64> = numbers.iter().map(|value| *value as i64).collect();
                Tensor::from_array((shape, numbers)).map_err(scoring)?.into_dyn()
            }
            _ => Tensor::from_array((shape, numbers)).map_err(scoring)?.into_dyn(),
        };
        Ok(tensor)
    }
}

/// What the file's metadata call the columns of its only input, as for the evaluator.
fn feature_names(session: &Session) -> Option<Vec<String>> {
    let text = session.metadata().ok()?.custom("feature_names").filter(|_| session.inputs().len() == 1)?;
    serde_json::from_str(&text).ok()
}

/// The inputs of a graph and the columns that they take together.
fn graph_inputs(session: &Session) -> Result<(Vec<GraphInput>, Vec<Field>), RuntimeError> {
    let (mut inputs, mut fields) = (Vec::new(), Vec::new());
    let named = feature_names(session);
    for outlet in session.inputs() {
        let name = outlet.name().to_owned();
        let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
            return Err(refused(format!("its input '{name}' is not a tensor")));
        };
        let width = match shape.as_ref() {
            [_, width] if *width > 0 => *width as usize,
            other => {
                let problem =
                    format!("its input '{name}' has shape {other:?}; [rows, columns] can be served");
                return Err(refused(problem));
            }
        };
        let column_type = match ty {
            TensorElementType::Float32 | TensorElementType::Float64 | TensorElementType::Int64 => {
                ColumnType::Number
            }
            TensorElementType::String => ColumnType::Text,
            other => return Err(refused(format!("its input '{name}' holds {other}, which is not served"))),
        };
        let first = fields.len();
        for at in 0..width {
            let column = match named.as_ref().filter(|names| names.len() == width) {
                Some(names) => names[at].clone(),
                None if width == 1 => name.clone(),
                None => format!("{name}[{at}]"),
            };
            fields.push(Field { name: column.into(), column_type });
        }
        inputs.push(GraphInput { name, element: *ty, first, width });
    }
    Ok((inputs, fields))
}

/// The output that holds probabilities: the last one of floating type and known width.
fn graph_output(session: &Session) -> Result<(String, usize), RuntimeError> {
    let found = session.outputs().iter().rev().find_map(|outlet| match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32 | TensorElementType::Float64, shape, .. } => {
            let width = match shape.as_ref() {
                [_] => 1,
                [_, width] if *width > 0 => *width as usize,
                _ => return None,
            };
            Some((outlet.name().to_owned(), width))
        }
        _ => None,
    });
    found.ok_or_else(|| {
        refused(
            "it has no output of shape [rows, 1] or [rows, 2] that holds floats; export it without a ZipMap",
        )
    })
}

impl Model for RuntimeGraph {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn flavor(&self) -> &'static str {
        "onnx"
    }

    fn memory_bytes(&self) -> usize {
        // The library does not tell; each session keeps the weights once.
        self.bytes * self.sessions.len()
    }

    fn score(&self, rows: &Frame) -> Result<Vec<f64>, RuntimeError> {
        let mut scores = Vec::with_capacity(rows.rows());
        for start in (0..rows.rows()).step_by(BLOCK_ROWS) {
            self.run(rows, start, rows.rows().min(start + BLOCK_ROWS), &mut scores)?;
        }
        probabilities(scores)
    }
}
