//! Linear models.
//!
//! Owns `LinearRegressor` and `LinearClassifier`: sums of weighted features in double precision, from weights that the
//! file holds in single precision. It refuses to yield the label of a class; a caller decides from the scores.

use super::super::plan::{Dim, Planned, Refusal, Site, TensorType, concrete, malformed, unsupported};
use super::super::tensor::{Element, Tensor};
use super::scores::{Scores, Transform, classes};

/// The weights of `sums` sums over `features` features.
struct Weights {
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
    features: usize,
}

impl Weights {
    /// Without `sums` their number is what the coefficients allow for.
    fn new(site: &Site<'_>, sums: Option<usize>) -> Result<Self, Refusal> {
        let input = site.numbers(0)?;
        let [Dim::Rows, Dim::Fixed(features)] = input.dims[..] else {
            return unsupported(format!("a linear model of {}", input.describe()));
        };
        let coefficients = site.attributes.floats("coefficients").unwrap_or_default();
        let sums = sums.unwrap_or(coefficients.len() / features.max(1));
        if sums == 0 || sums.checked_mul(features) != Some(coefficients.len()) {
            let problem =
                format!("{} coefficients for {sums} sums over {features} features", coefficients.len());
            return malformed(problem);
        }
        let intercepts = site.attributes.floats("intercepts").unwrap_or_else(|| vec![0.0; sums]);
        if intercepts.len() != sums {
            return malformed(format!("{} intercepts for {sums} sums", intercepts.len()));
        }
        Ok(Self { coefficients, intercepts, features })
    }

    fn sums(&self, input: &Tensor) -> Vec<f64> {
        let rows = input.as_numbers().chunks_exact(self.features.max(1));
        let sum = |row: &[f64], (weights, intercept): (&[f64], &f64)| {
            intercept + row.iter().zip(weights).map(|(number, weight)| number * weight).sum::<f64>()
        };
        rows.flat_map(|row| {
            let lists = self.coefficients.chunks_exact(self.features.max(1)).zip(&self.intercepts);
            lists.map(move |list| sum(row, list))
        })
        .collect()
    }
}

pub(super) fn regressor(site: &Site<'_>) -> Result<Planned, Refusal> {
    let targets = usize::try_from(site.attributes.integer("targets").unwrap_or(1)).unwrap_or(0);
    let weights = Weights::new(site, Some(targets))?;
    let scores = Scores::of_targets(targets, Transform::of(site)?)?;
    let output = TensorType { element: Element::Float, dims: vec![Dim::Rows, Dim::Fixed(targets)] };
    let run = move |inputs: &[&Tensor], rows: usize| {
        let numbers = scores.apply(weights.sums(inputs[0]), targets);
        Ok(vec![Tensor::numbers(Element::Float, vec![rows, targets], numbers)])
    };
    Ok(Planned::with_run(vec![output], Box::new(run)))
}

pub(super) fn classifier(site: &Site<'_>) -> Result<Planned, Refusal> {
    let weights = Weights::new(site, None)?;
    let sums = weights.intercepts.len();
    let labels = classes(site, "classlabels_ints", "classlabels_strings")?;
    let transform = Transform::of(site)?;
    let scores = match (sums, labels) {
        (1, 2) => Scores::of_one_sum(transform, true)?,
        (sums, labels) if sums == labels && sums > 1 => Scores::Each(transform),
        _ => return malformed(format!("{sums} sums for {labels} classes")),
    };
    let bytes = (weights.coefficients.len() + weights.intercepts.len()) * size_of::<f64>();
    Ok(classification(scores.width(sums), bytes, move |inputs, _| {
        scores.apply(weights.sums(inputs[0]), sums)
    }))
}

/// The two outputs of a classifier: labels, which are left empty and must not be wanted, and scores.
pub(super) fn classification(
    width: usize,
    memory_bytes: usize,
    scores: impl Fn(&[&Tensor], usize) -> Vec<f64> + Send + Sync + 'static,
) -> Planned {
    let labels = TensorType { element: Element::Integer, dims: vec![Dim::Rows] };
    let output = TensorType { element: Element::Float, dims: vec![Dim::Rows, Dim::Fixed(width)] };
    let dims = output.dims.clone();
    let run = move |inputs: &[&Tensor], rows: usize| {
        let empty = Tensor::numbers(Element::Integer, vec![0], Vec::new());
        Ok(vec![empty, Tensor::numbers(Element::Float, concrete(&dims, rows), scores(inputs, rows))])
    };
    Planned::with_run(vec![labels, output], Box::new(run)).with_memory(memory_bytes)
}
