//! What a margin means: from the sum of the trees to the number that the model promises.
//!
//! Owns the transformations of the objectives of LightGBM (`src/objective/*.hpp`, `ConvertOutput`) and XGBoost
//! (`src/objective/*.cu`, `PredTransform`), in double precision. It refuses to know names of objectives; the readers
//! do.

/// From margins to outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Link {
    /// The margin itself: regression, ranking, raw scores.
    Identity,
    /// The sign kept, the magnitude squared: LightGBM's `reg_sqrt`.
    SignedSquare,
    /// `exp(m)`: counts, and costs that cannot be negative.
    Exponential,
    /// `1 / (1 + exp(-slope * m))`, of each margin by itself.
    Sigmoid { slope: f64 },
    /// `ln(1 + exp(m))`: LightGBM's `cross_entropy_lambda`.
    Softplus,
    /// `exp(m_k) / sum of exp(m_j)`.
    Softmax,
    /// The number of the class with the largest margin, the first of equals.
    Class,
    /// 1 above zero, else 0.
    Step,
}

impl Link {
    pub(crate) const fn output_name(self) -> &'static str {
        match self {
            Self::Sigmoid { .. } | Self::Softmax => "probability",
            Self::Class | Self::Step => "class",
            Self::Identity | Self::SignedSquare | Self::Exponential | Self::Softplus => "prediction",
        }
    }

    /// How many outputs a row of `margins` margins has.
    pub(crate) const fn width(self, margins: usize) -> usize {
        match self {
            Self::Class => 1,
            _ => margins,
        }
    }

    /// Turns margins, `width` a row, into outputs, in place.
    pub(crate) fn apply(self, margins: &mut Vec<f64>, width: usize) {
        match self {
            Self::Identity => {}
            Self::SignedSquare => each(margins, |margin| margin * margin.abs()),
            Self::Exponential => each(margins, f64::exp),
            Self::Sigmoid { slope } => each(margins, |margin| 1.0 / (1.0 + (-slope * margin).exp())),
            Self::Softplus => each(margins, |margin| margin.exp().ln_1p()),
            Self::Step => each(margins, |margin| f64::from(u8::from(margin > 0.0))),
            Self::Softmax => margins.chunks_exact_mut(width.max(1)).for_each(softmax),
            Self::Class => *margins = margins.chunks_exact(width.max(1)).map(class).collect(),
        }
    }
}

fn each(margins: &mut [f64], convert: impl Fn(f64) -> f64) {
    for margin in margins {
        *margin = convert(*margin);
    }
}

/// The largest margin is taken off first, so that no term overflows.
fn softmax(row: &mut [f64]) {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    each(row, |margin| (margin - largest).exp());
    let total: f64 = row.iter().sum();
    each(row, |term| term / total);
}

fn class(row: &[f64]) -> f64 {
    let mut best = 0;
    for (place, margin) in row.iter().enumerate() {
        if *margin > row[best] {
            best = place;
        }
    }
    best as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(link: Link, margins: &[f64], expected: &[f64]) {
        let mut row = margins.to_vec();
        link.apply(&mut row, margins.len());
        assert_eq!(row.len(), expected.len());
        for (got, expected) in row.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-15, "{link:?}: {got} is not {expected}");
        }
    }

    #[test]
    fn known_points_of_each_link() {
        check(Link::Identity, &[-2.5], &[-2.5]);
        check(Link::SignedSquare, &[-3.0, 2.0], &[-9.0, 4.0]);
        check(Link::Exponential, &[0.0], &[1.0]);
        check(Link::Sigmoid { slope: 2.0 }, &[0.0, f64::INFINITY, -1e9], &[0.5, 1.0, 0.0]);
        check(Link::Softplus, &[0.0], &[std::f64::consts::LN_2]);
        check(Link::Softmax, &[1000.0, 1000.0], &[0.5, 0.5]);
        check(Link::Class, &[0.5, 2.0, 2.0], &[1.0]);
        check(Link::Step, &[0.0, 0.1], &[0.0, 1.0]);
    }
}
