//! Scoring with a logistic regression.
//!
//! Owns the check of its weights and the sum of its terms. It refuses weights that are not finite, and rows whose
//! logit is not a number. How the weights were found is the business of [`crate::train`].

use std::sync::Arc;

use greenlight_app::runtime::{Explanation, Model, RuntimeError};
use greenlight_domain::frame::{Column, ColumnType, Field, Frame};
use greenlight_domain::model::Signature;

use crate::artifact::{Bounded, ColumnEncoding, LogisticParts, MAX_VOCABULARY, refused};
use crate::encoder::{Vocabulary, column};
use crate::runtime::signature;

/// `1 / (1 + exp(-logit))`, between 0 and 1 for every number, infinities included.
///
/// ```text
/// logistic(0) = 0.5    logistic(ln 3) = 0.75
/// ```
pub(crate) fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// How far past 0 or 1 a probability may be rounded: a forest of scikit-learn adds up shares of a tree in single
/// precision, and twenty shares of 1/20 are 1.0000000149.
const ROUNDING: f64 = 1e-5;

/// Hands the scores over, unless one of them is not a probability.
pub(crate) fn probabilities(mut scores: Vec<f64>) -> Result<Vec<f64>, RuntimeError> {
    for (row, score) in scores.iter_mut().enumerate() {
        if !(-ROUNDING..=1.0 + ROUNDING).contains(score) {
            return Err(RuntimeError::Scoring(format!(
                "row {row} scored {score}, which is not a probability; look for infinite numbers in its columns"
            )));
        }
        *score = score.clamp(0.0, 1.0);
    }
    Ok(scores)
}

/// What one column adds to the logit.
#[derive(Debug)]
enum Term {
    /// `weight * (value - mean) / standard_deviation`; nothing when the value is missing, for it counts as the mean.
    Number { mean: f64, standard_deviation: f64, weight: f64 },
    /// The weight of the text; nothing when it is missing or unknown.
    Text { vocabulary: Vocabulary, weights: Vec<f64> },
}

/// A loaded logistic regression.
#[derive(Debug)]
pub(crate) struct LogisticModel {
    signature: Signature,
    intercept: f64,
    terms: Vec<Term>,
}

impl LogisticModel {
    /// Checks the parts and puts them together.
    pub(crate) fn new(
        inputs: &[Field],
        encoder: Vec<ColumnEncoding>,
        parts: LogisticParts,
    ) -> Result<Self, RuntimeError> {
        if parts.coefficients.0.len() != inputs.len() {
            return Err(refused(format!(
                "it has {} inputs and coefficients for {}; store the model again",
                inputs.len(),
                parts.coefficients.0.len()
            )));
        }
        if !parts.intercept.is_finite() {
            return Err(refused("its intercept is not a finite number; train it again"));
        }
        let terms = inputs
            .iter()
            .zip(encoder)
            .zip(parts.coefficients.0)
            .map(|((field, encoding), weights)| term(field, encoding, weights))
            .collect::<Result<_, _>>()?;
        Ok(Self { signature: signature(inputs), intercept: parts.intercept, terms })
    }
}

fn term(
    field: &Field,
    encoding: ColumnEncoding,
    Bounded(weights): Bounded<f64, MAX_VOCABULARY>,
) -> Result<Term, RuntimeError> {
    if weights.iter().any(|weight| !weight.is_finite()) {
        return Err(refused(format!(
            "a coefficient of column '{}' is not a finite number; train it again",
            field.name
        )));
    }
    match (field.column_type, encoding, weights.as_slice()) {
        (ColumnType::Number, ColumnEncoding::Standardised { mean, standard_deviation }, &[weight]) => {
            if mean.is_finite() && standard_deviation.is_finite() && standard_deviation > 0.0 {
                return Ok(Term::Number { mean, standard_deviation, weight });
            }
            Err(refused(format!(
                "column '{}' has mean {mean} and standard deviation {standard_deviation}, and the second must be \
                 above zero; train it again",
                field.name
            )))
        }
        (ColumnType::Text, ColumnEncoding::OneHot { vocabulary }, _)
            if vocabulary.0.len() == weights.len() =>
        {
            let vocabulary = Vocabulary::new(&field.name, vocabulary.0)?;
            Ok(Term::Text { vocabulary, weights })
        }
        (_, _, weights) => Err(refused(format!(
            "column '{}' has {} coefficients, which do not fit its encoder entry; store the model again",
            field.name,
            weights.len()
        ))),
    }
}

impl Model for LogisticModel {
    fn flavor(&self) -> &'static str {
        crate::FLAVOR
    }

    fn memory_bytes(&self) -> usize {
        let words = self.terms.iter().map(|term| match term {
            Term::Number { .. } => 0,
            Term::Text { weights, .. } => weights.len() * 64,
        });
        size_of_val(self.terms.as_slice()) + words.sum::<usize>()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn score(&self, rows: &Frame) -> Result<Vec<f64>, RuntimeError> {
        let mut logits = vec![self.intercept; rows.rows()];
        for (position, (field, term)) in self.signature.inputs.iter().zip(&self.terms).enumerate() {
            match (column(rows, position, field)?, term) {
                (Column::Number(values), Term::Number { mean, standard_deviation, weight }) => {
                    for (logit, value) in logits.iter_mut().zip(values).filter(|(_, value)| !value.is_nan()) {
                        *logit += weight * ((value - mean) / standard_deviation);
                    }
                }
                (Column::Text(texts), Term::Text { vocabulary, weights }) => {
                    for (logit, text) in logits.iter_mut().zip(texts) {
                        *logit += known_weight(vocabulary, weights, text.as_ref());
                    }
                }
                // `term` paired every input with a term of its own type, and `column` checked the type.
                _ => {
                    return Err(RuntimeError::Signature(format!("column '{}' changed its type", field.name)));
                }
            }
        }
        for logit in &mut logits {
            *logit = logistic(*logit);
        }
        probabilities(logits)
    }

    /// Exact, because the logit is a sum: an input that is not known counts as it does when it is missing (a number
    /// as the mean of training, a text as none that training knew), so what it adds is its term (baseline Shapley,
    /// Sundararajan & Najmi, ICML 2020; for a sum it is the linear SHAP of Lundberg & Lee, NeurIPS 2017).
    fn explain(&self, rows: &Frame, row: usize) -> Result<Explanation, RuntimeError> {
        let mut contributions = Vec::with_capacity(self.terms.len());
        for (position, (field, term)) in self.signature.inputs.iter().zip(&self.terms).enumerate() {
            contributions.push(match (column(rows, position, field)?, term) {
                (Column::Number(values), Term::Number { mean, standard_deviation, weight }) => values
                    .get(row)
                    .filter(|value| !value.is_nan())
                    .map_or(0.0, |value| weight * ((value - mean) / standard_deviation)),
                (Column::Text(texts), Term::Text { vocabulary, weights }) => {
                    known_weight(vocabulary, weights, texts.get(row).and_then(Option::as_ref))
                }
                _ => {
                    return Err(RuntimeError::Signature(format!("column '{}' changed its type", field.name)));
                }
            });
        }
        Ok(Explanation {
            method: "exact linear SHAP, against the mean of training",
            unit: "log-odds",
            expected: self.intercept,
            contributions,
        })
    }
}

fn known_weight(vocabulary: &Vocabulary, weights: &[f64], text: Option<&Arc<str>>) -> f64 {
    vocabulary.position(text).map_or(0.0, |position| weights[position])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logistic_function_stays_between_zero_and_one() {
        assert!((logistic(3.0_f64.ln()) - 0.75).abs() < 1e-15);
        let ends = [f64::NEG_INFINITY, -1e4, 0.0, 1e4, f64::INFINITY].map(logistic);
        assert_eq!(ends, [0.0, 0.0, 0.5, 1.0, 1.0]);
    }
}
