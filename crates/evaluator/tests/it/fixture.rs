//! Model files and the answers of their own libraries.

use std::path::PathBuf;
use std::sync::Arc;

use greenlight_evaluator::{Column, Evaluator, InputKind};
use serde_json::Value;

pub(crate) fn bytes(file: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file)).unwrap()
}

pub(crate) fn model(file: &str) -> Evaluator {
    Evaluator::from_bytes(&bytes(file)).unwrap()
}

/// Columns that a test owns.
#[derive(Clone)]
pub(crate) enum Owned {
    Numbers(Vec<f64>),
    Texts(Vec<Option<Arc<str>>>),
}

impl Owned {
    pub(crate) fn borrow(&self) -> Column<'_> {
        match self {
            Self::Numbers(values) => Column::Number(values),
            Self::Texts(texts) => Column::Text(texts),
        }
    }

    /// The rows from `first`, `count` of them.
    pub(crate) fn part(&self, first: usize, count: usize) -> Column<'_> {
        match self {
            Self::Numbers(values) => Column::Number(&values[first..first + count]),
            Self::Texts(texts) => Column::Text(&texts[first..first + count]),
        }
    }
}

pub(crate) struct Answers {
    table: Value,
    pub(crate) columns: Vec<Owned>,
    pub(crate) rows: usize,
}

impl Answers {
    pub(crate) fn read(name: &str, model: &Evaluator) -> Self {
        let table: Value = serde_json::from_slice(&bytes(&format!("{name}.answers.json"))).unwrap();
        let columns = table["columns"].as_array().unwrap();
        assert_eq!(columns.len(), model.inputs().len());
        let columns: Vec<Owned> = columns
            .iter()
            .zip(model.inputs())
            .map(|(column, input)| {
                let numbers: Vec<f64> = column.as_array().unwrap().iter().map(number).collect();
                match input.kind {
                    InputKind::Number => Owned::Numbers(numbers),
                    InputKind::Text => Owned::Texts(numbers.iter().map(|number| text(*number)).collect()),
                }
            })
            .collect();
        let rows = table["outputs"].as_array().unwrap().len();
        Self { table, columns, rows }
    }

    /// A matrix of the answers, row by row.
    pub(crate) fn get(&self, key: &str) -> Vec<f64> {
        let rows = self.table[key].as_array().unwrap();
        rows.iter().flat_map(|row| row.as_array().unwrap()).map(number).collect()
    }

    pub(crate) fn borrow(&self) -> Vec<Column<'_>> {
        self.columns.iter().map(Owned::borrow).collect()
    }
}

/// Infinities are texts, and what is missing is null.
fn number(cell: &Value) -> f64 {
    match cell {
        Value::String(text) => text.parse().unwrap(),
        Value::Null => f64::NAN,
        _ => cell.as_f64().unwrap(),
    }
}

fn text(number: f64) -> Option<Arc<str>> {
    (!number.is_nan()).then(|| format!("t{number}").into())
}

/// Compares numbers up to `tolerance`, relative for numbers above 1.
pub(crate) fn check_close(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (place, (got, expected)) in got.iter().zip(expected).enumerate() {
        let difference = (got - expected).abs() / expected.abs().max(1.0);
        assert!(difference <= tolerance, "{what}, number {place}: {got} is not {expected}");
    }
}

/// Scores a fixture in every way: all rows at once, one at a time, and repeated until blocks are full; outputs and
/// margins must be those of its library, and the ways must agree to the last bit.
pub(crate) fn check_fixture(name: &str, encoding: &str, tolerance: f64) {
    let model = model(&format!("{name}.{encoding}"));
    let answers = Answers::read(name, &model);
    let columns = answers.borrow();
    let mut out = Vec::new();
    model.score_margins(&columns, answers.rows, &mut out).unwrap();
    check_close(&format!("margins of {name}"), &out, &answers.get("margins"), tolerance);
    model.score(&columns, answers.rows, &mut out).unwrap();
    check_close(&format!("outputs of {name}"), &out, &answers.get("outputs"), tolerance);

    let width: usize = model.outputs().iter().map(|output| output.width).sum();
    let mut one = Vec::new();
    for row in 0..answers.rows {
        let columns: Vec<_> = answers.columns.iter().map(|column| column.part(row, 1)).collect();
        model.score(&columns, 1, &mut one).unwrap();
        assert_eq!(one, out[row * width..(row + 1) * width], "row {row} of {name}, alone");
    }
    let repeated: Vec<Owned> = answers
        .columns
        .iter()
        .map(|column| match column {
            Owned::Numbers(values) => Owned::Numbers(values.repeat(23)),
            Owned::Texts(texts) => {
                Owned::Texts(texts.iter().cloned().cycle().take(23 * texts.len()).collect())
            }
        })
        .collect();
    let columns: Vec<_> = repeated.iter().map(Owned::borrow).collect();
    let mut many = Vec::new();
    model.score(&columns, answers.rows * 23, &mut many).unwrap();
    assert_eq!(many, out.repeat(23), "{name}, in full blocks");
}
