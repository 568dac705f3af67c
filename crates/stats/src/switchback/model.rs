//! The least-squares fit that every error here starts from. Owns the levels of strata, the effect and the
//! residuals; refuses to say how sure the effect is.

use std::collections::BTreeMap;

use super::Bin;
use crate::StatsError;

/// A bin after the levels of its stratum were taken out.
pub(super) struct Row {
    /// The stratum, counted from 0 without gaps.
    pub(super) stratum: usize,
    /// The treatment less its mean in the stratum.
    pub(super) treatment: f64,
    /// What the model leaves unexplained.
    pub(super) residual: f64,
}

/// The fit.
pub(super) struct Fit {
    /// One for each bin, in the order given.
    pub(super) rows: Vec<Row>,
    /// Bins in each stratum.
    pub(super) stratum_bins: Vec<f64>,
    /// The sum of the squared `treatment` of the rows.
    pub(super) spread: f64,
    pub(super) effect: f64,
    pub(super) control_mean: f64,
}

#[derive(Default)]
struct Level {
    bins: f64,
    treated: f64,
    value: f64,
}

impl Fit {
    /// Parameters of the model: one level for each stratum, and the effect.
    pub(super) fn parameters(&self) -> f64 {
        self.stratum_bins.len() as f64 + 1.0
    }

    /// Errors: `Empty`; `NotFinite`; `OutOfRange` with no more bins than parameters, and when no stratum has
    /// both variants.
    pub(super) fn new(bins: &[Bin]) -> Result<Self, StatsError> {
        if bins.is_empty() {
            return Err(StatsError::Empty);
        }
        if let Some(index) = bins.iter().position(|bin| !bin.value.is_finite()) {
            return Err(StatsError::NotFinite { index });
        }
        let mut numbers: BTreeMap<u32, usize> = bins.iter().map(|bin| (bin.stratum, 0)).collect();
        for (index, number) in numbers.values_mut().enumerate() {
            *number = index;
        }
        let mut levels: Vec<Level> = numbers.iter().map(|_| Level::default()).collect();
        let strata: Vec<usize> = bins.iter().map(|bin| numbers.get(&bin.stratum).map_or(0, |n| *n)).collect();
        for (bin, &stratum) in bins.iter().zip(&strata) {
            let level = &mut levels[stratum];
            level.bins += 1.0;
            level.treated += f64::from(u8::from(bin.treated));
            level.value += bin.value;
        }
        let too_few = StatsError::OutOfRange { name: "number of bins", value: bins.len() as f64 };
        if bins.len() < levels.len() + 2 {
            return Err(too_few);
        }
        Self::of_levels(bins, &strata, &levels)
    }

    fn of_levels(bins: &[Bin], strata: &[usize], levels: &[Level]) -> Result<Self, StatsError> {
        let (mut spread, mut product) = (0.0, 0.0);
        let mut rows = Vec::with_capacity(bins.len());
        for (bin, &stratum) in bins.iter().zip(strata) {
            let level = &levels[stratum];
            let treatment = f64::from(u8::from(bin.treated)) - level.treated / level.bins;
            let residual = bin.value - level.value / level.bins;
            spread += treatment * treatment;
            product += treatment * residual;
            rows.push(Row { stratum, treatment, residual });
        }
        if spread <= 1e-9 {
            return Err(StatsError::OutOfRange {
                name: "spread of the treatment within strata",
                value: spread,
            });
        }
        let effect = product / spread;
        if !effect.is_finite() {
            return Err(StatsError::OutOfRange { name: "effect", value: effect });
        }
        for row in &mut rows {
            row.residual -= effect * row.treatment;
        }
        let control = bins.iter().filter(|bin| !bin.treated);
        let (count, sum) = control.fold((0.0, 0.0), |(count, sum), bin| (count + 1.0, sum + bin.value));
        let stratum_bins = levels.iter().map(|level| level.bins).collect();
        Ok(Self { rows, stratum_bins, spread, effect, control_mean: sum / count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;
    use crate::switchback::example;

    #[test]
    fn with_one_stratum_it_is_the_difference_of_means() {
        let bins: Vec<Bin> = example::bins().into_iter().map(|bin| Bin { stratum: 9, ..bin }).collect();
        let mean = |treated: bool| {
            let values: Vec<f64> =
                bins.iter().filter(|bin| bin.treated == treated).map(|bin| bin.value).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        let fit = Fit::new(&bins).unwrap();
        assert_close(fit.effect, mean(true) - mean(false), 1e-12);
        assert_close(fit.control_mean, mean(false), 1e-12);
        assert_close(fit.rows.iter().map(|row| row.residual * row.treatment).sum(), 0.0, 1e-9);
    }

    #[test]
    fn what_it_refuses() {
        let bins = example::bins();
        let failed = |bins: &[Bin]| Fit::new(bins).err();
        assert_eq!(failed(&[]), Some(StatsError::Empty));
        let mut spoiled = bins.clone();
        spoiled[3].value = f64::NAN;
        assert_eq!(failed(&spoiled), Some(StatsError::NotFinite { index: 3 }));
        assert!(failed(&bins[..2]).is_some());
        let treated: Vec<Bin> = bins.iter().map(|bin| Bin { treated: true, ..*bin }).collect();
        assert!(matches!(failed(&treated), Some(StatsError::OutOfRange { .. })));
        let alone: Vec<Bin> =
            bins.iter().map(|bin| Bin { stratum: u32::from(bin.treated), ..*bin }).collect();
        assert!(matches!(failed(&alone), Some(StatsError::OutOfRange { .. })));
        let huge: Vec<Bin> = bins.iter().map(|bin| Bin { value: 1e308, ..*bin }).collect();
        assert!(failed(&huge).is_some());
    }
}
