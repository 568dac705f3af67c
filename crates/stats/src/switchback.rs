//! Tests whose unit of assignment is a stretch of time in a region: dispatch, prices and ranking in a market
//! where one unit's treatment changes another's outcome, so that units cannot be split.
//!
//! Owns the drawing of a balanced schedule with its propensities ([`schedule`]), the exclusion of bins that
//! still feel the other variant ([`after_burn_in`]), and the effect with errors that allow for dependence
//! within clusters ([`clustered`]) or over time ([`autocorrelated`]). Refuses effects that last longer than the
//! burn-in: they bias every figure here towards 0, and no error term says so.
//!
//! # The model
//!
//! The value of a bin (orders, minutes or money in one stretch of time in one region) is a level per stratum
//! plus the effect where the bin was treated, by least squares:
//! `effect = sum of d y / sum of d^2`, where `d` is the treatment less its mean in the bin's stratum. With one
//! stratum it is the difference of the two means. Strata such as the hour of the week take their share of the
//! noise out. Every bin weighs the same.
//!
//! The cluster of a bin should be the block of the schedule that its period was drawn in
//! ([`Schedule::block`](schedule::Schedule::block)): blocks are drawn independently, so noise that lasts from one
//! to the next does no harm on average (Abadie, Athey, Imbens & Wooldridge, "When Should You Adjust Standard
//! Errors for Clustering?", Quarterly Journal of Economics 2023). Clusters smaller than a block ignore that its
//! periods exclude each other, and the interval is then too wide; single bins as clusters make it too narrow.

mod burn_in;
mod clustered;
mod eigen;
mod hac;
mod model;
pub mod schedule;

pub use burn_in::after_burn_in;
pub use clustered::{Correction, clustered};
pub use hac::{autocorrelated, suggested_lags};

use crate::two_sample::Comparison;

/// What was measured in one stretch of time in one region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Which region.
    pub region: u32,
    /// Which stretch of time, counted from the start; all of the same length. A region has each once.
    pub time: u32,
    /// Whether the treatment was in force.
    pub treated: bool,
    /// What was measured.
    pub value: f64,
    /// Bins with the same number may depend on each other.
    pub cluster: u32,
    /// Bins with the same number share a level that is taken out; the same for all to take out only the mean.
    pub stratum: u32,
}

/// The effect of the treatment on a bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// Treated minus control, per bin, in the unit of the values.
    pub comparison: Comparison,
    /// The mean of the control's bins, for scale.
    pub control_mean: f64,
    /// Bins used.
    pub bins: u64,
    /// Independent pieces that the error rests on: clusters, or stretches of time.
    pub clusters: u64,
}

#[cfg(test)]
pub(crate) mod example {
    use super::Bin;

    /// Two regions, 24 bins each, in clusters of 4 and strata by `time % 3`. The values are remainders.
    pub(crate) fn bins() -> Vec<Bin> {
        let bin = |i: u32| {
            let (region, time) = (i / 24, i % 24);
            let cluster = i / 4;
            let treated = [true, false, false, true, true, false][cluster as usize % 6] != (region == 1);
            let value = f64::from(i * i * 7_919 % 1_009) / 10.0 + if treated { 20.0 } else { 0.0 };
            Bin { region, time, treated, value, cluster, stratum: time % 3 }
        };
        (0..48).map(bin).collect()
    }
}
