//! L2-regularised logistic regression, by `linfa-logistic` (L-BFGS).
//!
//! Owns the standardised matrix, the settings and the reading of the fitted weights. It refuses settings that the
//! optimiser cannot use.
//!
//! The weights minimise the sum over the rows of `ln(1 + exp(-y · logit))`, `y` being 1 or -1, plus
//! `alpha / 2 · |weights|²`; the intercept is not penalised (Hastie, Tibshirani and Friedman, *The Elements of
//! Statistical Learning*, 2nd ed., section 4.4).

use greenlight_app::runtime::{RuntimeError, TrainedModel};
use greenlight_domain::frame::{Column, Frame};
use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_logistic::LogisticRegression;
use ndarray::{Array1, Array2, ShapeBuilder};

use super::{Stored, check_cells, failed, parity_rows, vocabulary};
use crate::artifact::{Artifact, Bounded, ColumnEncoding, LogisticParts, Payload};

/// Most iterations that may be asked for.
const MAX_ITERATIONS: u32 = 100_000;
/// The optimiser stops when the gradient is below this for each row: the mean residual is then known to 1e-7.
const GRADIENT_TOLERANCE_PER_ROW: f64 = 1e-7;

/// Trains and stores.
pub(super) fn train(
    alpha: f64,
    max_iterations: u32,
    rows: &Frame,
    outcomes: &[bool],
) -> Result<TrainedModel, RuntimeError> {
    if !(alpha.is_finite() && alpha >= 0.0) {
        return Err(failed(format!("alpha is {alpha}; it must be zero or above")));
    }
    if !(1..=MAX_ITERATIONS).contains(&max_iterations) {
        return Err(failed(format!(
            "max_iterations is {max_iterations}; it must lie between 1 and {MAX_ITERATIONS}"
        )));
    }
    let encoder = encoder(rows)?;
    let widths: Vec<usize> = encoder.iter().map(width).collect();
    let total: usize = widths.iter().sum();
    if total == 0 {
        return Err(failed(
            "every column is text and missing in every row; name a feature that holds something",
        ));
    }
    check_cells(rows.rows(), total)?;
    let matrix = matrix(rows, &encoder, total);
    let fitted = fit(alpha, max_iterations, matrix, outcomes)?;

    let mut weights = fitted.weights.iter().copied();
    let coefficients = widths.iter().map(|width| Bounded(weights.by_ref().take(*width).collect())).collect();
    let parts = LogisticParts { intercept: fitted.intercept, coefficients: Bounded(coefficients) };
    let inputs = rows.fields().to_vec();
    let stored = Stored::new(&Artifact { inputs, encoder, payload: Payload::LogisticRegression(parts) })?;
    let positions = parity_rows(rows.rows());
    let learners: Vec<f64> = positions.iter().map(|row| fitted.probabilities[*row]).collect();
    stored.compare(&rows.take(&positions), &learners)?;
    stored.finish(rows, outcomes, vec![("coefficients".to_owned(), total as f64)])
}

fn encoder(rows: &Frame) -> Result<Vec<ColumnEncoding>, RuntimeError> {
    rows.fields()
        .iter()
        .zip(rows.columns())
        .map(|(field, column)| match column {
            Column::Number(values) => standardised(&field.name, values),
            Column::Text(_) => {
                Ok(ColumnEncoding::OneHot { vocabulary: Bounded(vocabulary(&field.name, column)?) })
            }
        })
        .collect()
}

/// Mean and standard deviation (division by the count) of the numbers that are there. A constant column gets the
/// standard deviation 1, so that it contributes nothing rather than a division by zero.
fn standardised(name: &str, values: &[f64]) -> Result<ColumnEncoding, RuntimeError> {
    let known = || values.iter().filter(|value| !value.is_nan());
    let count = known().count().max(1) as f64;
    let mean = known().sum::<f64>() / count;
    let variance = known().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    if !(mean.is_finite() && variance.is_finite()) {
        return Err(failed(format!(
            "the numbers of column '{name}' are too large to be averaged; rescale them"
        )));
    }
    let standard_deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    Ok(ColumnEncoding::Standardised { mean, standard_deviation })
}

/// Columns of the matrix that an encoding yields.
fn width(encoding: &ColumnEncoding) -> usize {
    match encoding {
        ColumnEncoding::OneHot { vocabulary } | ColumnEncoding::Ordinal { vocabulary } => vocabulary.0.len(),
        ColumnEncoding::Standardised { .. } | ColumnEncoding::AsIs {} => 1,
    }
}

/// The standardised and one-hot coded rows, `[rows, total]`.
fn matrix(rows: &Frame, encoder: &[ColumnEncoding], total: usize) -> Array2<f64> {
    let mut matrix = Array2::zeros((rows.rows(), total).f());
    let mut start = 0;
    for (column, encoding) in rows.columns().iter().zip(encoder) {
        match (column, encoding) {
            (Column::Number(values), ColumnEncoding::Standardised { mean, standard_deviation }) => {
                for (row, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                    matrix[[row, start]] = (value - mean) / standard_deviation;
                }
            }
            (Column::Text(texts), ColumnEncoding::OneHot { vocabulary: Bounded(known) }) => {
                for (row, text) in texts.iter().enumerate() {
                    let found = text.as_deref().and_then(|text| position(known, text));
                    if let Some(position) = found {
                        matrix[[row, start + position]] = 1.0;
                    }
                }
            }
            // `encoder` pairs numbers with the first encoding and text with the second.
            _ => {}
        }
        start += width(encoding);
    }
    matrix
}

fn position(known: &[String], text: &str) -> Option<usize> {
    known.binary_search_by(|entry| entry.as_str().cmp(text)).ok()
}

/// What the optimiser found, turned so that `true` is the outcome whose probability is given.
struct Fitted {
    intercept: f64,
    weights: Array1<f64>,
    probabilities: Array1<f64>,
}

fn fit(
    alpha: f64,
    max_iterations: u32,
    matrix: Array2<f64>,
    outcomes: &[bool],
) -> Result<Fitted, RuntimeError> {
    let tolerance = GRADIENT_TOLERANCE_PER_ROW * outcomes.len() as f64;
    let dataset = DatasetBase::new(matrix, Array1::from_iter(outcomes.iter().copied()));
    let fitted = LogisticRegression::default()
        .alpha(alpha)
        .max_iterations(u64::from(max_iterations))
        .gradient_tolerance(tolerance)
        .fit(&dataset)
        .map_err(|error| {
            failed(format!(
                "the optimiser gave up ({error}); raise alpha, or leave out columns that repeat one another"
            ))
        })?;
    let scores = fitted.predict_probabilities(dataset.records());
    // linfa gives the probability of the more frequent class, whichever that is.
    if fitted.labels().pos.class {
        return Ok(Fitted {
            intercept: fitted.intercept(),
            weights: fitted.params().clone(),
            probabilities: scores,
        });
    }
    Ok(Fitted {
        intercept: -fitted.intercept(),
        weights: fitted.params().mapv(|weight| -weight),
        probabilities: scores.mapv(|score| 1.0 - score),
    })
}
