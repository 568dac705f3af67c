//! Whether an effect lasts: by day since a unit's first exposure, with a test of its trend. Owns the daily
//! effects, the slope over the days and over each unit's own days, and the verdict; refuses to extrapolate,
//! because a line fitted to a decay ends below 0.
//!
//! Novelty is an effect that wears off as users get used to what is new; primacy is one that grows as they
//! learn (Kohavi, Tang & Xu, Trustworthy Online Controlled Experiments, 2020, chapter 23). Here both are read
//! from the sign of the slope, so hand in values for which more is better.
//!
//! Count days since the unit's first exposure and not on the calendar, and take the same units on every day,
//! those exposed long enough to have all of them. Otherwise the late days hold early users only, and the slope
//! shows who came early.
//!
//! Two tests are here. [`trend_of_days`] needs sums per day, and supposes that the days' effects err
//! independently, as they do when each day's values come from other units. Where the same units are seen every
//! day, what lasts in a unit shifts all days alike and cancels from the slope, so that the interval is too
//! wide; what lasts some days makes it too narrow. [`trend_of_units`] needs a slope per unit, and holds
//! whatever the dependence between days.

use crate::{
    Interval, StatsError, check, contrast, distribution,
    moments::Moments,
    two_sample::{self, Comparison},
};

/// The values of one day since first exposure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Day {
    /// Days since first exposure; 0 is the day of the exposure.
    pub day: u32,
    /// The control's values on that day.
    pub control: Moments,
    /// The treatment's values on that day.
    pub treatment: Moments,
}

/// The effect on one day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DayEffect {
    /// Days since first exposure.
    pub day: u32,
    /// Treatment minus control, in the unit of the values.
    pub effect: Comparison,
}

/// What a slope says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The effect wears off: the interval of the slope lies below 0.
    Novelty,
    /// The effect grows: the interval of the slope lies above 0.
    Primacy,
    /// The whole interval of the slope is within what counts as negligible.
    Stable,
    /// The interval holds 0 and more than negligible slopes: the data cannot tell.
    Unclear,
}

/// The result of [`trend_of_days`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DayTrend {
    /// Change of the effect per day.
    pub slope: Comparison,
    /// The fitted effect on the last day, with its interval.
    pub last: Interval,
    /// Weighted squared residuals per degree of freedom: about 1 when a line and the days' errors explain the
    /// effects. Above 1 the errors were scaled up by its root.
    pub dispersion: f64,
    /// What the slope says.
    pub verdict: Verdict,
}

/// The result of [`trend_of_units`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitTrend {
    /// Change of the effect per day.
    pub slope: Comparison,
    /// What the slope says.
    pub verdict: Verdict,
}

/// The effect on each day, by Welch's comparison ([`two_sample::welch_absolute`]), in the order given.
///
/// Worked example: control `[1, 2, 3]` and treatment `[3, 4, 5]` on day 0 differ by 2 with the standard error
/// `sqrt(2 / 3)`.
///
/// Errors: `Empty`; those of [`two_sample::welch_absolute`] for any day.
pub fn effect_by_day(days: &[Day], level: f64) -> Result<Vec<DayEffect>, StatsError> {
    if days.is_empty() {
        return Err(StatsError::Empty);
    }
    let effect = |day: &Day| {
        let effect = two_sample::welch_absolute(&day.control, &day.treatment, level)?;
        Ok(DayEffect { day: day.day, effect })
    };
    days.iter().map(effect).collect()
}

/// The slope of the effect over the days, by weighted least squares with the inverse squared standard errors as
/// weights `w`.
///
/// With `x` the days, `y` the effects and bars for weighted means, the slope is
/// `sum of w (x - mean)(y - mean) / S`, `S = sum of w (x - mean)^2`, and its squared standard error `f / S`. The
/// factor `f` is `sum of w residual^2 / (days - 2)`, at least 1 (Birge, Physical Review 1932): when days scatter
/// more than their errors allow, the errors are scaled up, and never down. Student's t with `days - 2` degrees
/// of freedom.
///
/// `negligible` is the slope per day, in the unit of the effect, up to which an effect counts as stable; with 0
/// nothing does. `Novelty` and `Primacy` need an interval that excludes 0 and leaves the negligible range.
///
/// Worked example (statsmodels 0.15.0, WLS): effects 5, 4, 2 on days 0, 1, 2 with standard errors 1, 1, 2 have
/// the slope -1.3333333 with standard error 1, which is the one of `cov_type="fixed scale"`, since the residuals
/// are small.
///
/// Errors: `Empty`; `NotFinite` for an effect; `OutOfRange` with fewer than three days, when all days are the
/// same, for a standard error that is not finite and greater than 0, for a negative or infinite `negligible`,
/// and for a `level` not strictly between 0 and 1.
pub fn trend_of_days(days: &[DayEffect], negligible: f64, level: f64) -> Result<DayTrend, StatsError> {
    check_negligible(negligible)?;
    check::open_unit("level", level)?;
    let effects: Vec<f64> = days.iter().map(|day| day.effect.interval.estimate).collect();
    check::finite(&effects)?;
    if days.len() < 3 {
        return Err(StatsError::OutOfRange { name: "number of days", value: days.len() as f64 });
    }
    let mut weights = Vec::with_capacity(days.len());
    for day in days {
        check::positive("standard_error", day.effect.standard_error)?;
        let weight = day.effect.standard_error.powi(-2);
        check::positive("standard_error", weight)?;
        weights.push(weight);
    }
    let at: Vec<f64> = days.iter().map(|day| f64::from(day.day)).collect();
    line(&at, &effects, &weights, negligible, level)
}

fn line(
    at: &[f64],
    effects: &[f64],
    weights: &[f64],
    negligible: f64,
    level: f64,
) -> Result<DayTrend, StatsError> {
    let total: f64 = weights.iter().sum();
    let mean = |values: &[f64]| values.iter().zip(weights).map(|(x, w)| x * (w / total)).sum::<f64>();
    let (x_mean, y_mean) = (mean(at), mean(effects));
    let points = || at.iter().zip(effects).zip(weights).map(|((x, y), w)| (x - x_mean, y - y_mean, w));
    let spread: f64 = points().map(|(x, _, w)| w * x * x).sum();
    check::positive("spread of the days", spread)?;
    let slope = points().map(|(x, y, w)| w * x * y).sum::<f64>() / spread;
    let freedom = at.len() as f64 - 2.0;
    let dispersion = points().map(|(x, y, w)| w * (y - slope * x).powi(2)).sum::<f64>() / freedom;
    let factor = dispersion.max(1.0);
    let comparison = contrast::compare(slope, factor / spread, freedom, level)?;
    let last_day = at.iter().copied().fold(f64::NEG_INFINITY, f64::max) - x_mean;
    let error = (factor / total + factor / spread * last_day * last_day).sqrt();
    let half_width = distribution::student_two_sided_critical(level, freedom) * error;
    let estimate = y_mean + slope * last_day;
    let last = Interval { estimate, low: estimate - half_width, high: estimate + half_width, level };
    Ok(DayTrend { slope: comparison, last, dispersion, verdict: verdict(&comparison.interval, negligible) })
}

/// The least-squares slope of one unit's values over its days 0, 1, 2 and so on: the change per day.
///
/// Worked example: `[1, 2, 6]` has the slope 2.5.
///
/// Errors: `Empty`; `NotFinite`; `OutOfRange` with a single day or a slope that overflows.
pub fn unit_slope(values: &[f64]) -> Result<f64, StatsError> {
    check::finite(values)?;
    let n = values.len() as f64;
    if values.len() < 2 {
        return Err(StatsError::OutOfRange { name: "number of days", value: n });
    }
    let middle = (n - 1.0) / 2.0;
    let product: f64 = values.iter().enumerate().map(|(day, value)| (day as f64 - middle) * value).sum();
    let slope = product / (n * (n * n - 1.0) / 12.0);
    if slope.is_finite() { Ok(slope) } else { Err(StatsError::OutOfRange { name: "slope", value: slope }) }
}

/// The slope of the effect from the moments of every unit's own slope ([`unit_slope`]): Welch's comparison of
/// the two groups. When all units are seen on the same days it estimates the slope of the daily effects, with
/// an error that holds for any dependence between the days of a unit.
///
/// `negligible` as in [`trend_of_days`].
///
/// Worked example: control slopes `[0, 1, 2]` and treatment slopes `[-9, -8, -7]` differ by -9: novelty.
///
/// Errors: those of [`two_sample::welch_absolute`]; `OutOfRange` for a negative or infinite `negligible`.
pub fn trend_of_units(
    control: &Moments,
    treatment: &Moments,
    negligible: f64,
    level: f64,
) -> Result<UnitTrend, StatsError> {
    check_negligible(negligible)?;
    let slope = two_sample::welch_absolute(control, treatment, level)?;
    Ok(UnitTrend { slope, verdict: verdict(&slope.interval, negligible) })
}

fn check_negligible(negligible: f64) -> Result<(), StatsError> {
    if negligible.is_finite() && negligible >= 0.0 {
        Ok(())
    } else {
        Err(StatsError::OutOfRange { name: "negligible", value: negligible })
    }
}

fn verdict(slope: &Interval, negligible: f64) -> Verdict {
    if slope.low >= -negligible && slope.high <= negligible {
        Verdict::Stable
    } else if slope.high < 0.0 {
        Verdict::Novelty
    } else if slope.low > 0.0 {
        Verdict::Primacy
    } else {
        Verdict::Unclear
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    fn effects(rows: &[(u32, f64, f64)]) -> Vec<DayEffect> {
        let effect = |&(day, estimate, standard_error): &(u32, f64, f64)| {
            let interval = Interval { estimate, low: estimate, high: estimate, level: 0.95 };
            let effect =
                Comparison { interval, standard_error, degrees_of_freedom: f64::INFINITY, p_value: 1.0 };
            DayEffect { day, effect }
        };
        rows.iter().map(effect).collect()
    }

    #[test]
    fn the_worked_examples() {
        let moments = Moments::from_values;
        let day = Day { day: 0, control: moments(&[1.0, 2.0, 3.0]), treatment: moments(&[3.0, 4.0, 5.0]) };
        let found = effect_by_day(&[day], 0.95).unwrap()[0].effect;
        assert_close(found.interval.estimate, 2.0, 1e-14);
        assert_close(found.standard_error, (2.0_f64 / 3.0).sqrt(), 1e-14);

        let days = effects(&[(0, 5.0, 1.0), (1, 4.0, 1.0), (2, 2.0, 2.0)]);
        let trend = trend_of_days(&days, 0.0, 0.95).unwrap();
        assert_close(trend.slope.interval.estimate, -1.333_333_3, 5e-8);
        assert_close(trend.slope.standard_error, 1.0, 1e-14);
        assert!(trend.dispersion < 1.0);

        assert_close(unit_slope(&[1.0, 2.0, 6.0]).unwrap(), 2.5, 1e-15);
        let (control, treatment) = (moments(&[0.0, 1.0, 2.0]), moments(&[-9.0, -8.0, -7.0]));
        let trend = trend_of_units(&control, &treatment, 0.0, 0.95).unwrap();
        assert_close(trend.slope.interval.estimate, -9.0, 1e-14);
        assert_eq!(trend.verdict, Verdict::Novelty);
    }

    #[test]
    fn the_four_verdicts() {
        let of = |low: f64, high: f64| verdict(&Interval { estimate: 0.0, low, high, level: 0.95 }, 0.1);
        assert_eq!(of(-2.0, -1.0), Verdict::Novelty);
        assert_eq!(of(0.05, 1.0), Verdict::Primacy);
        assert_eq!(of(-0.05, 0.1), Verdict::Stable);
        assert_eq!(of(0.01, 0.02), Verdict::Stable);
        assert_eq!(of(-0.05, 0.2), Verdict::Unclear);
    }

    #[test]
    fn what_they_refuse() {
        let fine = [(0, 5.0, 1.0), (1, 4.0, 1.0), (2, 2.0, 2.0)];
        let failed = |rows: &[(u32, f64, f64)]| trend_of_days(&effects(rows), 0.0, 0.95).err();
        assert_eq!(failed(&[]), Some(StatsError::Empty));
        assert!(failed(&fine[..2]).is_some());
        assert_eq!(failed(&[fine[0], (1, f64::NAN, 1.0), fine[2]]), Some(StatsError::NotFinite { index: 1 }));
        for error in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-200] {
            assert!(failed(&[fine[0], (1, 4.0, error), fine[2]]).is_some());
        }
        assert!(failed(&[(3, 1.0, 1.0), (3, 2.0, 1.0), (3, 2.0, 1.0)]).is_some());
        assert!(trend_of_days(&effects(&fine), -1.0, 0.95).is_err());
        assert!(trend_of_days(&effects(&fine), 0.0, 1.0).is_err());
        assert!(unit_slope(&[1.0]).is_err() && unit_slope(&[]).is_err());
        assert!(unit_slope(&[f64::MAX, -f64::MAX]).is_err());
        let lone = Moments::from_values(&[1.0]);
        assert!(trend_of_units(&lone, &lone, 0.0, 0.95).is_err());
        assert_eq!(effect_by_day(&[], 0.95), Err(StatsError::Empty));
    }
}
