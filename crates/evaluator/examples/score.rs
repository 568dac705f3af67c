//! Scores rows from a file: `score MODEL ROWS.f64 OUT.f64 [margins | explain]`.
//!
//! Owns the other half of `tests/parity.py`, which writes the rows, column by column as little-endian doubles, and
//! compares what is written here, row by row, with the library that trained the model. In columns of texts each double
//! is the number of a text `t<number>`.

use std::env;
use std::fs;
use std::sync::Arc;

use greenlight_evaluator::{Column, Evaluator, InputKind};

enum Owned {
    Numbers(Vec<f64>),
    Texts(Vec<Option<Arc<str>>>),
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: score MODEL ROWS.f64 OUT.f64 [margins | explain]";
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [model, rows, out, what @ ..] = arguments.as_slice() else { return Err(usage.into()) };
    let model = Evaluator::from_bytes(&fs::read(model)?)?;
    let bytes = fs::read(rows)?;
    let (words, _) = bytes.as_chunks::<8>();
    let values: Vec<f64> = words.iter().map(|word| f64::from_le_bytes(*word)).collect();
    let rows = values.len() / model.inputs().len();
    let owned: Vec<Owned> = model
        .inputs()
        .iter()
        .zip(values.chunks_exact(rows))
        .map(|(input, values)| match input.kind {
            InputKind::Number => Owned::Numbers(values.to_vec()),
            InputKind::Text => Owned::Texts(values.iter().map(|value| text(*value)).collect()),
        })
        .collect();
    let columns: Vec<Column<'_>> = owned
        .iter()
        .map(|owned| match owned {
            Owned::Numbers(values) => Column::Number(values),
            Owned::Texts(texts) => Column::Text(texts),
        })
        .collect();
    let mut answers = Vec::new();
    match what.first().map(String::as_str) {
        None => model.score(&columns, rows, &mut answers)?,
        Some("margins") => model.score_margins(&columns, rows, &mut answers)?,
        Some("explain") => {
            for row in 0..rows {
                for explanation in model.explain(&columns, row)? {
                    answers.extend(explanation.contributions);
                    answers.push(explanation.expected);
                }
            }
        }
        Some(_) => return Err(usage.into()),
    }
    fs::write(out, answers.iter().flat_map(|answer| answer.to_le_bytes()).collect::<Vec<u8>>())?;
    Ok(())
}

fn text(number: f64) -> Option<Arc<str>> {
    (!number.is_nan()).then(|| format!("t{number}").into())
}
