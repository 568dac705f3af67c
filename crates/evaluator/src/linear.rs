//! A weighted sum of inputs: XGBoost's `gblinear` booster.
//!
//! Owns the weights and their sum. It refuses to fill in what is missing: a missing value adds nothing
//! (XGBoost, `GBLinear::Pred`, which visits only the entries that a row has).

use crate::ensemble::Source;
use crate::{EvaluatorError, Format};

#[derive(Debug)]
pub(crate) struct Linear {
    /// One an output.
    bias: Vec<f64>,
    /// `outputs` an input.
    weights: Vec<f64>,
}

impl Linear {
    /// Takes `outputs` weights for each input and then `outputs` biases; a row starts from `base`.
    pub(crate) fn new(
        format: Format,
        mut weights: Vec<f64>,
        inputs: usize,
        base: &[f64],
    ) -> Result<Self, EvaluatorError> {
        let outputs = base.len();
        let expected = inputs.checked_add(1).and_then(|rows| rows.checked_mul(outputs));
        if expected != Some(weights.len()) || outputs == 0 || weights.iter().any(|weight| !weight.is_finite())
        {
            let problem =
                format!("{} weights do not fit {inputs} inputs and {outputs} outputs", weights.len());
            return Err(EvaluatorError::malformed(format, "weights", problem));
        }
        let bias = weights.split_off(inputs * outputs);
        let bias = bias.iter().zip(base).map(|(bias, base)| bias + base).collect();
        Ok(Self { bias, weights })
    }

    pub(crate) fn outputs(&self) -> usize {
        self.bias.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        (self.bias.len() + self.weights.len()) * size_of::<f64>()
    }

    pub(crate) fn margins(&self, source: &Source<'_>, rows: usize, out: &mut [f64]) {
        for (row, margins) in (0..rows).zip(out.chunks_exact_mut(self.bias.len())) {
            margins.copy_from_slice(&self.bias);
            for (input, weights) in self.weights.chunks_exact(self.bias.len()).enumerate() {
                let value = f64::from(source.value(input, row) as f32);
                if !value.is_nan() {
                    for (margin, weight) in margins.iter_mut().zip(weights) {
                        *margin += weight * value;
                    }
                }
            }
        }
    }
}
