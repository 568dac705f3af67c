//! From the sums of a model to its scores.
//!
//! Owns `post_transform` and what a classifier with two classes and one sum means, which the specification leaves open:
//! the rules are those that ONNX Runtime 1.32 was seen to follow. It refuses the combinations that ONNX Runtime
//! ignores or computes in a way of its own, because no exporter writes them on purpose.

use super::super::plan::{Refusal, Site, malformed, unsupported};
use super::arithmetic::logistic;

/// Closer to zero than this a sum counts as zero for `SOFTMAX_ZERO`.
const ZERO: f64 = 1e-7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transform {
    None,
    Logistic,
    Softmax,
    SoftmaxZero,
}

impl Transform {
    pub(super) fn of(site: &Site<'_>) -> Result<Self, Refusal> {
        match site.attributes.text("post_transform")?.unwrap_or("NONE") {
            "NONE" => Ok(Self::None),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX" => Ok(Self::Softmax),
            "SOFTMAX_ZERO" => Ok(Self::SoftmaxZero),
            other => unsupported(format!("the post_transform '{other}'")),
        }
    }

    /// By the numbers that `TreeEnsemble` uses.
    pub(super) fn from_number(number: i64) -> Result<Self, Refusal> {
        Ok(match number {
            0 => Self::None,
            1 => Self::Softmax,
            2 => Self::Logistic,
            3 => Self::SoftmaxZero,
            other => return unsupported(format!("the post_transform {other}")),
        })
    }
}

/// How a row of sums becomes a row of scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scores {
    /// As many scores as sums.
    Each(Transform),
    /// One sum that is the probability of the second class.
    Complement,
    /// One sum whose sign says which class.
    Opposite,
    /// One sum that is the log-odds of the second class.
    LogOdds,
}

impl Scores {
    /// Of a regressor. ONNX Runtime leaves the single target of a regressor as it is, whatever the file says.
    pub(super) fn of_targets(targets: usize, transform: Transform) -> Result<Self, Refusal> {
        if targets == 1 && transform != Transform::None {
            return unsupported("a post_transform of a single target, which runtimes disagree on");
        }
        Ok(Self::Each(transform))
    }

    /// Of a classifier with two classes that has one sum.
    pub(super) fn of_one_sum(transform: Transform, all_positive: bool) -> Result<Self, Refusal> {
        match transform {
            Transform::Logistic => Ok(Self::LogOdds),
            Transform::None if all_positive => Ok(Self::Complement),
            Transform::None => Ok(Self::Opposite),
            Transform::Softmax | Transform::SoftmaxZero => {
                unsupported("a softmax of one sum, which runtimes disagree on")
            }
        }
    }

    pub(super) const fn width(self, sums: usize) -> usize {
        match self {
            Self::Each(_) => sums,
            Self::Complement | Self::Opposite | Self::LogOdds => 2,
        }
    }

    /// Turns rows of `width` sums into rows of scores.
    pub(super) fn apply(self, mut sums: Vec<f64>, width: usize) -> Vec<f64> {
        let pair: fn(f64) -> [f64; 2] = match self {
            Self::Each(Transform::None) => return sums,
            Self::Each(Transform::Logistic) => {
                for sum in &mut sums {
                    *sum = logistic(*sum);
                }
                return sums;
            }
            Self::Each(Transform::Softmax) => {
                sums.chunks_exact_mut(width.max(1)).for_each(softmax);
                return sums;
            }
            Self::Each(Transform::SoftmaxZero) => {
                sums.chunks_exact_mut(width.max(1)).for_each(softmax_zero);
                return sums;
            }
            Self::Complement => |sum| [1.0 - sum, sum],
            Self::Opposite => |sum| [-sum, sum],
            Self::LogOdds => |sum| [logistic(-sum), logistic(sum)],
        };
        sums.iter().flat_map(|sum| pair(*sum)).collect()
    }
}

fn softmax(row: &mut [f64]) {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for sum in row.iter_mut() {
        *sum = (*sum - largest).exp();
    }
    let total: f64 = row.iter().sum();
    for term in row {
        *term /= total;
    }
}

/// Sums of zero stay zero and take no part.
fn softmax_zero(row: &mut [f64]) {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let term = |sum: f64| if sum.abs() > ZERO { (sum - largest).exp() } else { 0.0 };
    let total: f64 = row.iter().map(|sum| term(*sum)).sum();
    for sum in row {
        *sum = if sum.abs() > ZERO { term(*sum) / total } else { *sum * (-largest).exp() };
    }
}

/// The number of classes that the labels name.
pub(super) fn classes(site: &Site<'_>, integers: &str, texts: &str) -> Result<usize, Refusal> {
    let texts = site.attributes.texts(texts)?.map(|texts| texts.len());
    let count = texts.or_else(|| site.attributes.integers(integers).map(<[i64]>::len)).unwrap_or(0);
    if count == 0 { malformed("the labels of the classes are missing") } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sum_of_two_classes_as_onnx_runtime_reads_it() {
        // ONNX Runtime 1.32.0, TreeEnsembleClassifier, sums 0.4 and -0.4.
        let close = |got: Vec<f64>, expected: [f64; 2]| {
            assert!(got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 5e-5), "{got:?}");
        };
        close(Scores::of_one_sum(Transform::None, true).unwrap().apply(vec![0.4], 1), [0.6, 0.4]);
        close(Scores::of_one_sum(Transform::None, false).unwrap().apply(vec![-0.4], 1), [0.4, -0.4]);
        close(Scores::of_one_sum(Transform::Logistic, true).unwrap().apply(vec![0.4], 1), [0.4013, 0.5987]);
        assert!(Scores::of_one_sum(Transform::Softmax, true).is_err());
    }

    #[test]
    fn a_softmax_without_zeros() {
        // ONNX Runtime 1.32.0: sums 0 and 0.6.
        assert_eq!(Scores::Each(Transform::SoftmaxZero).apply(vec![0.0, 0.6], 2), [0.0, 1.0]);
    }
}
