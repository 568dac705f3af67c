//! The evaluator: one model of any format, ready to score.
//!
//! Owns the choice of the reader by the first bytes, the checks of a request, and the path from columns to outputs. It
//! refuses columns that do not fit: the wrong number, kind or length is an error before a row is scored.

use crate::column::{Column, Input, InputKind, Output};
use crate::ensemble::{Ensemble, Source, Vocabulary};
use crate::linear::Linear;
use crate::link::Link;
use crate::onnx::OnnxModel;
use crate::{EvaluatorError, Format, lightgbm, onnx, xgboost};

/// Larger files are refused unread.
const BYTES_LIMIT: usize = 1 << 30;

/// Why a row has its margin, by exact path-dependent TreeSHAP.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The margin of a row of which nothing is known.
    pub expected: f64,
    /// What each input adds, in the order of the inputs. Their sum and `expected` make the margin.
    pub contributions: Vec<f64>,
}

/// A model that was read and checked.
///
/// An input that training knew as categories takes what training was given: texts, or the numbers that named the
/// categories. XGBoost writes the names since version 3.1; in older files, and in LightGBM files that were not trained
/// from pandas, such an input takes the code of the category. A category that training did not see is missing.
///
/// ```
/// use greenlight_evaluator::{Column, Evaluator};
///
/// let file = "tree\nversion=v4\nnum_tree_per_iteration=1\nmax_feature_idx=0\nobjective=regression\n\
///             feature_names=amount\ntree_sizes=1\n\nTree=0\nnum_leaves=2\nsplit_feature=0\nthreshold=1.5\n\
///             decision_type=8\nleft_child=-1\nright_child=-2\nleaf_value=10 20\n\nend of trees\n";
/// let model = Evaluator::from_bytes(file.as_bytes())?;
/// let mut scores = Vec::new();
/// model.score(&[Column::Number(&[1.5, 2.0, f64::NAN])], 3, &mut scores)?;
/// assert_eq!(scores, [10.0, 20.0, 20.0]); // The split sends missing values right.
/// # Ok::<(), greenlight_evaluator::EvaluatorError>(())
/// ```
#[derive(Debug)]
pub struct Evaluator {
    format: Format,
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Margin(Box<MarginModel>),
    Onnx(Box<OnnxModel>),
}

/// A model whose outputs are a link of its margins: every model but those of ONNX.
#[derive(Debug)]
pub(crate) struct MarginModel {
    inputs: Vec<Input>,
    vocabularies: Vec<Option<Vocabulary>>,
    outputs: Vec<Output>,
    margin: Margin,
    link: Link,
}

#[derive(Debug)]
pub(crate) enum Margin {
    Trees(Box<Ensemble>),
    Linear(Linear),
}

impl MarginModel {
    /// Takes inputs with the vocabulary of each that has one.
    pub(crate) fn new(inputs: Vec<(String, Option<Vocabulary>)>, margin: Margin, link: Link) -> Self {
        let width = link.width(margin.outputs());
        let outputs = vec![Output { name: link.output_name().to_owned(), width }];
        let (names, vocabularies): (Vec<_>, Vec<_>) = inputs.into_iter().unzip();
        let inputs = names.into_iter().zip(&vocabularies);
        let inputs =
            inputs.map(|(name, vocabulary)| Input { name, kind: kind(vocabulary.as_ref()) }).collect();
        Self { inputs, vocabularies, outputs, margin, link }
    }

    fn margins(&self, columns: &[Column<'_>], rows: usize, out: &mut Vec<f64>) {
        out.clear();
        out.resize(rows * self.margin.outputs(), 0.0);
        let source = Source::Columns { columns, vocabularies: &self.vocabularies };
        match &self.margin {
            Margin::Trees(ensemble) => ensemble.margins(&source, rows, out),
            Margin::Linear(linear) => linear.margins(&source, rows, out),
        }
    }
}

impl Margin {
    fn outputs(&self) -> usize {
        match self {
            Self::Trees(ensemble) => ensemble.outputs(),
            Self::Linear(linear) => linear.outputs(),
        }
    }
}

impl Evaluator {
    /// Reads a model file: LightGBM text, XGBoost JSON or UBJSON, or ONNX, told apart by how it begins.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EvaluatorError> {
        let format = sniff(bytes)?;
        if bytes.len() > BYTES_LIMIT {
            let (found, limit) = (bytes.len() as u64, BYTES_LIMIT as u64);
            return Err(EvaluatorError::TooLarge { format, what: "the number of bytes", found, limit });
        }
        let engine = match format {
            Format::LightGbm => Engine::Margin(Box::new(lightgbm::read(bytes)?)),
            Format::XgboostJson => Engine::Margin(Box::new(xgboost::read_json(bytes)?)),
            Format::XgboostUbj => Engine::Margin(Box::new(xgboost::read_ubj(bytes)?)),
            Format::Onnx => Engine::Onnx(Box::new(OnnxModel::from_bytes(bytes)?)),
        };
        Ok(Self { format, engine })
    }

    /// An ONNX file with names for the columns of its only matrix: the file as it is and an entry of metadata behind
    /// it, which other readers of ONNX pass over. Nothing for a file of another format, for one that names its columns
    /// itself, and where there are not as many columns as names.
    pub fn with_feature_names(bytes: &[u8], names: &[String]) -> Result<Option<Vec<u8>>, EvaluatorError> {
        match sniff(bytes)? {
            Format::Onnx => onnx::with_feature_names(bytes, names),
            Format::LightGbm | Format::XgboostJson | Format::XgboostUbj => Ok(None),
        }
    }

    /// The inputs, in the order in which columns are sent.
    pub fn inputs(&self) -> &[Input] {
        match &self.engine {
            Engine::Margin(model) => &model.inputs,
            Engine::Onnx(model) => model.inputs(),
        }
    }

    /// The outputs, in the order in which a row of scores holds them.
    pub fn outputs(&self) -> &[Output] {
        match &self.engine {
            Engine::Margin(model) => &model.outputs,
            Engine::Onnx(model) => model.outputs(),
        }
    }

    pub const fn format(&self) -> Format {
        self.format
    }

    /// Scores `rows` rows. `out` is emptied and then holds them row by row, all outputs of a row side by side.
    pub fn score(
        &self,
        columns: &[Column<'_>],
        rows: usize,
        out: &mut Vec<f64>,
    ) -> Result<(), EvaluatorError> {
        check(self.inputs(), columns, rows)?;
        match &self.engine {
            Engine::Margin(model) => {
                model.margins(columns, rows, out);
                model.link.apply(out, model.margin.outputs());
                Ok(())
            }
            Engine::Onnx(model) => {
                out.clear();
                model.score(columns, rows, out)
            }
        }
    }

    /// Like [`Self::score`], before the link: log-odds, logarithms of counts, raw scores. Of averaged trees it is the
    /// average, where LightGBM's `raw_score` is the sum.
    pub fn score_margins(
        &self,
        columns: &[Column<'_>],
        rows: usize,
        out: &mut Vec<f64>,
    ) -> Result<(), EvaluatorError> {
        check(self.inputs(), columns, rows)?;
        match &self.engine {
            Engine::Margin(model) => {
                model.margins(columns, rows, out);
                Ok(())
            }
            Engine::Onnx(_) => Err(no_margin()),
        }
    }

    /// Explains the margins of one row, one explanation a margin.
    ///
    /// Exact TreeSHAP, path-dependent (Lundberg et al. 2020, "From local explanations to global understanding with
    /// explainable AI for trees", Algorithm 2).
    pub fn explain(&self, columns: &[Column<'_>], row: usize) -> Result<Vec<Explanation>, EvaluatorError> {
        check(self.inputs(), columns, row + 1)?;
        let Engine::Margin(model) = &self.engine else { return Err(no_margin()) };
        let source = Source::Columns { columns, vocabularies: &model.vocabularies };
        match &model.margin {
            Margin::Trees(ensemble) => ensemble.explain(&source, row),
            Margin::Linear(_) => Err(EvaluatorError::NotExplained {
                reason: "a linear model has no trees".to_owned(),
                next: "read its weights, each times the value of its input".to_owned(),
            }),
        }
    }

    /// What the model takes in memory, without the scratch space of the threads that use it.
    pub fn memory_bytes(&self) -> usize {
        let engine = match &self.engine {
            Engine::Margin(model) => {
                let names: usize =
                    model.inputs.iter().map(|input| size_of::<Input>() + input.name.len()).sum();
                let vocabularies: usize =
                    model.vocabularies.iter().flatten().map(Vocabulary::memory_bytes).sum();
                let margin = match &model.margin {
                    Margin::Trees(ensemble) => ensemble.memory_bytes(),
                    Margin::Linear(linear) => linear.memory_bytes(),
                };
                size_of::<MarginModel>() + names + vocabularies + margin
            }
            Engine::Onnx(model) => model.memory_bytes(),
        };
        size_of::<Self>() + engine
    }
}

fn kind(vocabulary: Option<&Vocabulary>) -> InputKind {
    match vocabulary {
        Some(Vocabulary::Texts(_)) => InputKind::Text,
        Some(Vocabulary::Numbers(_)) | None => InputKind::Number,
    }
}

fn no_margin() -> EvaluatorError {
    EvaluatorError::NotExplained {
        reason: "an ONNX graph carries neither margins nor the training weight of its nodes".to_owned(),
        next: "submit the file of the library that trained the model instead".to_owned(),
    }
}

/// Tells the formats apart. None can begin like another: text, an opening brace and a quote or blank, an opening brace
/// and a UBJSON length, a protocol-buffer tag.
fn sniff(bytes: &[u8]) -> Result<Format, EvaluatorError> {
    let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    match &bytes[blank..] {
        [b't', b'r', b'e', b'e', b'\n' | b'\r', ..] => Ok(Format::LightGbm),
        [b'{', b'L' | b'l' | b'I' | b'i' | b'U' | b'$' | b'#', ..] => Ok(Format::XgboostUbj),
        [b'{', ..] => Ok(Format::XgboostJson),
        // Field 1 of `ModelProto`, `ir_version`, is a varint, and writers put fields in order.
        _ if bytes.first() == Some(&0x08) => Ok(Format::Onnx),
        _ => {
            let start = bytes.get(..8).unwrap_or(bytes).escape_ascii();
            let start =
                if bytes.is_empty() { "nothing, it is empty".to_owned() } else { format!("`{start}`") };
            Err(EvaluatorError::UnknownFormat { start })
        }
    }
}

fn check(inputs: &[Input], columns: &[Column<'_>], rows: usize) -> Result<(), EvaluatorError> {
    let refuse = |problem| Err(EvaluatorError::Columns { problem });
    if columns.len() != inputs.len() {
        return refuse(format!("{} were sent and the model has {} inputs", columns.len(), inputs.len()));
    }
    for (input, column) in inputs.iter().zip(columns) {
        if column.kind() != input.kind {
            let (sent, wanted) = (word(column.kind()), word(input.kind));
            return refuse(format!("input `{}` takes {wanted} and {sent} were sent", input.name));
        }
        if column.rows() < rows {
            return refuse(format!("input `{}` has {} values for {rows} rows", input.name, column.rows()));
        }
    }
    Ok(())
}

const fn word(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Number => "numbers",
        InputKind::Text => "texts",
    }
}
