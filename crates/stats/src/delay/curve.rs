//! The share of outcomes that have arrived by an age, for units watched for different lengths of time. Owns
//! the two product-limit estimates, their errors and the maturity; refuses what lies beyond the oldest age
//! seen.

use crate::{Interval, StatsError, binomial, check, distribution};

/// Units that have waited equally long, with or without an outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waiting {
    /// Age in days at the outcome, or until now where there is none yet; 0 or above.
    pub age_days: f64,
    /// Whether the outcome has arrived.
    pub arrived: bool,
    /// How many such units.
    pub units: u64,
}

/// Outcomes that arrived equally late, of units equally old.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// Age in days at the outcome; 0 or above.
    pub delay_days: f64,
    /// Age in days of the units by now; an outcome with a longer delay would not have been seen yet.
    pub age_days: f64,
    /// How many such outcomes.
    pub units: u64,
}

/// The curve just after one age at which outcomes arrived.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The age in days.
    pub age_days: f64,
    /// Units that could have been seen to arrive at that age.
    pub at_risk: u64,
    /// Units that did.
    pub arrived: u64,
    /// The share that has arrived by that age, that age included.
    pub share: f64,
    /// Its standard error by Greenwood's formula.
    pub standard_error: f64,
    /// Greenwood's sum of `arrived / (at_risk (at_risk - arrived))`, over the earlier ages and this one for a
    /// censored curve, over the later ages for a truncated one.
    greenwood: f64,
}

/// A measured delay curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    points: Vec<Point>,
    longest_days: f64,
    truncated: bool,
}

/// How much of what arrives by a horizon has arrived by an age.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Maturity {
    /// The share, above 0 and at most 1.
    pub share: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Its interval, on the scale of the log odds.
    pub interval: Interval,
}

/// The share of all units with an outcome by each age, from units of which some still wait: the estimate of
/// Kaplan & Meier (Journal of the American Statistical Association 1958), 1 less the product of
/// `1 - arrived / at_risk`, with Greenwood's variance.
///
/// A unit that waits counts as at risk up to its age and says nothing after. Units that will never have an
/// outcome keep the curve below 1. Who still waits must depend on when the unit came, and not on what it will
/// do. `O(n log n)`; group equal ages through `units`.
///
/// Worked example: ages 1, 2 and 3 with outcomes at 1 and 3: the share is 1/3 from age 1 and 1 from age 3.
///
/// Errors: `Empty` without units; `NotFinite` for an age; `OutOfRange` for a negative one, and when no outcome
/// has arrived.
pub fn censored(units: &[Waiting]) -> Result<Curve, StatsError> {
    let ages: Vec<f64> = units.iter().map(|unit| unit.age_days).collect();
    check_ages("age_days", &ages)?;
    let mut ordered: Vec<Waiting> = units.iter().copied().filter(|unit| unit.units > 0).collect();
    ordered.sort_by(|one, other| one.age_days.total_cmp(&other.age_days));
    let longest_days = ordered.last().ok_or(StatsError::Empty)?.age_days;
    let mut at_risk: u64 = ordered.iter().fold(0, |sum, unit| sum.saturating_add(unit.units));
    let (mut points, mut waiting, mut greenwood): (Vec<Point>, f64, f64) = (Vec::new(), 1.0, 0.0);
    for tie in ordered.chunk_by(|one, other| one.age_days == other.age_days) {
        let count = |those: fn(&Waiting) -> bool| {
            tie.iter().filter(|unit| those(unit)).fold(0_u64, |sum, unit| sum.saturating_add(unit.units))
        };
        let arrived = count(|unit| unit.arrived);
        if arrived > 0 {
            let (n, d) = (at_risk as f64, arrived as f64);
            waiting = if arrived == at_risk { 0.0 } else { waiting * (1.0 - d / n) };
            greenwood += d / (n * (n - d));
            let standard_error = if waiting > 0.0 { waiting * greenwood.sqrt() } else { 0.0 };
            let age_days = tie.first().map_or(0.0, |unit| unit.age_days);
            points.push(Point {
                age_days,
                at_risk,
                arrived,
                share: 1.0 - waiting,
                standard_error,
                greenwood,
            });
        }
        at_risk = at_risk.saturating_sub(count(|_| true));
    }
    finish(points, longest_days, false)
}

/// The share of those outcomes that arrive at all, by each age, from the outcomes that have arrived and
/// nothing else: the product-limit estimate for right truncation (Lagakos, Barraj & De Gruttola, Biometrika
/// 1988; Kalbfleisch & Lawless, Journal of the American Statistical Association 1989, on reporting delays).
///
/// Time runs backwards: at each delay `u`, from the longest down, the arrivals with that delay are compared with
/// those at risk, whose delay is at most `u` and whose unit is at least `u` old. The share by an age is the
/// product of `1 - arrived / at_risk` over the longer delays, with Greenwood's variance. Without truncation it
/// is the plain share.
///
/// Shares are of what arrives by the longest delay seen, where the curve is 1 by definition: nothing in such
/// data tells how much arrives later. `O(n log n)`.
///
/// Worked example: delays 0 and 1 of units 5 days old, and delay 0 of a unit 0 days old: at delay 1 one of two
/// at risk arrived, so the share by age 0 is 1/2, not 2/3.
///
/// Errors: `Empty`; `NotFinite` with the place of a delay, or of an age; `OutOfRange` for a negative delay, for
/// a unit younger than its delay, and where a delay above the shortest has no other arrivals at risk, so that
/// the shares below it are unknown.
pub fn truncated(arrivals: &[Arrival]) -> Result<Curve, StatsError> {
    check_ages("delay_days", &arrivals.iter().map(|arrival| arrival.delay_days).collect::<Vec<_>>())?;
    check_ages("age_days", &arrivals.iter().map(|arrival| arrival.age_days).collect::<Vec<_>>())?;
    if let Some(wrong) = arrivals.iter().find(|arrival| arrival.age_days < arrival.delay_days) {
        return Err(StatsError::OutOfRange { name: "age_days below delay_days", value: wrong.age_days });
    }
    let mut by_delay: Vec<Arrival> = arrivals.iter().copied().filter(|arrival| arrival.units > 0).collect();
    let mut by_age = by_delay.clone();
    by_delay.sort_by(|one, other| other.delay_days.total_cmp(&one.delay_days));
    by_age.sort_by(|one, other| other.age_days.total_cmp(&one.age_days));
    let longest_days = by_delay.first().ok_or(StatsError::Empty)?.delay_days;
    let (mut old_enough, mut later, mut next) = (0_u64, 0_u64, 0);
    let (mut points, mut share, mut greenwood): (Vec<Point>, f64, f64) = (Vec::new(), 1.0, 0.0);
    for tie in by_delay.chunk_by(|one, other| one.delay_days == other.delay_days) {
        let delay = tie.first().map_or(0.0, |arrival| arrival.delay_days);
        while let Some(arrival) = by_age.get(next).filter(|arrival| arrival.age_days >= delay) {
            old_enough = old_enough.saturating_add(arrival.units);
            next += 1;
        }
        let arrived = tie.iter().fold(0_u64, |sum, arrival| sum.saturating_add(arrival.units));
        let at_risk = old_enough.saturating_sub(later);
        let standard_error = share * greenwood.sqrt();
        points.push(Point { age_days: delay, at_risk, arrived, share, standard_error, greenwood });
        later = later.saturating_add(arrived);
        let (n, d) = (at_risk as f64, arrived as f64);
        let shortest = by_delay.last().is_some_and(|arrival| arrival.delay_days == delay);
        if at_risk <= arrived && !shortest {
            return Err(StatsError::OutOfRange { name: "arrivals at risk beside a delay", value: n - d });
        }
        share *= 1.0 - d / n;
        greenwood += d / (n * (n - d));
    }
    points.reverse();
    finish(points, longest_days, true)
}

impl Curve {
    /// The curve after each age at which outcomes arrived, in ascending order.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The oldest age in days of which the curve knows.
    pub fn longest_days(&self) -> f64 {
        self.longest_days
    }

    /// The share that has arrived by an age; `None` beyond the oldest one, below 0 and for NaN.
    pub fn share(&self, age_days: f64) -> Option<f64> {
        let known = (0.0..=self.longest_days).contains(&age_days);
        known.then(|| self.at(age_days).map_or(0.0, |point| point.share))
    }

    /// The share that has arrived by an age with its interval, on the scale of the log of minus the log of the
    /// product-limit estimate (Kalbfleisch & Prentice, The Statistical Analysis of Failure Time Data, 1980),
    /// which stays within `[0, 1]`.
    ///
    /// Where that scale has no answer the interval is exact or wider. Before the first arrival of a censored
    /// curve it ends at the upper end of Clopper & Pearson for none of those at risk; where everyone at risk
    /// has arrived, it begins where the point before does and ends at 1. A truncated curve is 1 at its longest
    /// delay by definition, and 0 below its shortest.
    ///
    /// Errors: `OutOfRange` for an age below 0 or beyond the oldest one, and for a `level` not strictly between
    /// 0 and 1.
    pub fn interval(&self, age_days: f64, level: f64) -> Result<Interval, StatsError> {
        check::open_unit("level", level)?;
        let estimate =
            self.share(age_days).ok_or(StatsError::OutOfRange { name: "age_days", value: age_days })?;
        let after = self.points.partition_point(|point| point.age_days <= age_days);
        let Some(point) = after.checked_sub(1).and_then(|at| self.points.get(at)) else {
            return self.before_the_first(estimate, level);
        };
        let product = if self.truncated { point.share } else { 1.0 - point.share };
        if product > 0.0 && product < 1.0 {
            let (low, high) = complementary_log_log(product, point.greenwood, level);
            let (low, high) = if self.truncated { (low, high) } else { (1.0 - high, 1.0 - low) };
            return Ok(Interval { estimate, low, high, level });
        }
        let before = after.checked_sub(2).and_then(|at| self.points.get(at));
        let low = match before {
            _ if self.truncated => 1.0,
            Some(before) => self.interval(before.age_days, level)?.low,
            None => binomial::clopper_pearson(point.arrived, point.at_risk, level)?.low,
        };
        Ok(Interval { estimate, low, high: 1.0, level })
    }

    /// How much of what arrives by `horizon_days` has arrived by `age_days`: the ratio of the two shares, with
    /// an error by the delta method that knows how they depend on each other.
    ///
    /// Worked example: of 4 units, all watched for 9 days, outcomes arrive at ages 1, 2 and 3. By age 1, 1/4 of
    /// all and 1/3 of those by age 9; its variance is that of 1 in 3, `(1/3)(2/3) / 3`.
    ///
    /// Errors: `OutOfRange` for an age below 0 or above the horizon, a horizon beyond the oldest age, an age by
    /// which nothing has arrived, and a `level` not strictly between 0 and 1.
    pub fn maturity(&self, age_days: f64, horizon_days: f64, level: f64) -> Result<Maturity, StatsError> {
        check::open_unit("level", level)?;
        if !(0.0..=self.longest_days).contains(&horizon_days) {
            return Err(StatsError::OutOfRange { name: "horizon_days", value: horizon_days });
        }
        if !(0.0..=horizon_days).contains(&age_days) {
            return Err(StatsError::OutOfRange { name: "age_days", value: age_days });
        }
        let nothing = StatsError::OutOfRange { name: "share arrived by age_days", value: 0.0 };
        let now = *self.at(age_days).filter(|point| point.share > 0.0).ok_or(nothing)?;
        let horizon = *self.at(horizon_days).ok_or(nothing)?;
        let share = now.share / horizon.share;
        let variance = if self.truncated {
            share * share * (now.greenwood - horizon.greenwood)
        } else {
            let (a, h) = (1.0 - now.share, 1.0 - horizon.share);
            let own = if a > 0.0 { now.greenwood } else { 0.0 };
            let last = if h > 0.0 { horizon.greenwood } else { 0.0 };
            (a * a * own - 2.0 * share * a * h * own + share * share * h * h * last)
                / (horizon.share * horizon.share)
        };
        let standard_error = if share < 1.0 { variance.max(0.0).sqrt() } else { 0.0 };
        Ok(Maturity { share, standard_error, interval: on_log_odds(share, standard_error, level) })
    }

    /// The last point at or before an age.
    fn at(&self, age_days: f64) -> Option<&Point> {
        let after = self.points.partition_point(|point| point.age_days <= age_days);
        after.checked_sub(1).and_then(|at| self.points.get(at))
    }

    fn before_the_first(&self, estimate: f64, level: f64) -> Result<Interval, StatsError> {
        let at_risk = self.points.first().map_or(0, |point| point.at_risk);
        let high = if self.truncated { 0.0 } else { binomial::clopper_pearson(0, at_risk, level)?.high };
        Ok(Interval { estimate, low: 0.0, high, level })
    }
}

fn check_ages(name: &'static str, ages: &[f64]) -> Result<(), StatsError> {
    check::finite(ages)?;
    match ages.iter().find(|age| **age < 0.0) {
        Some(&value) => Err(StatsError::OutOfRange { name, value }),
        None => Ok(()),
    }
}

fn finish(points: Vec<Point>, longest_days: f64, truncated: bool) -> Result<Curve, StatsError> {
    if points.is_empty() {
        return Err(StatsError::OutOfRange { name: "outcomes that arrived", value: 0.0 });
    }
    Ok(Curve { points, longest_days, truncated })
}

/// The ends of a product-limit estimate in `(0, 1)` with this sum of Greenwood's.
fn complementary_log_log(product: f64, greenwood: f64, level: f64) -> (f64, f64) {
    let log = product.ln();
    let step = distribution::normal_two_sided_critical(level) * greenwood.sqrt() / log.abs();
    ((log * step.exp()).exp(), (log * (-step).exp()).exp())
}

fn on_log_odds(share: f64, standard_error: f64, level: f64) -> Interval {
    if standard_error <= 0.0 {
        return Interval { estimate: share, low: share, high: share, level };
    }
    let odds = share.ln() - (-share).ln_1p();
    let step = distribution::normal_two_sided_critical(level) * standard_error / (share * (1.0 - share));
    let end = |log_odds: f64| 1.0 / (1.0 + (-log_odds).exp());
    Interval { estimate: share, low: end(odds - step), high: end(odds + step), level }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    fn waiting(units: &[(f64, bool)]) -> Vec<Waiting> {
        units.iter().map(|&(age_days, arrived)| Waiting { age_days, arrived, units: 1 }).collect()
    }

    fn arrivals(units: &[(f64, f64)]) -> Vec<Arrival> {
        units.iter().map(|&(delay_days, age_days)| Arrival { delay_days, age_days, units: 1 }).collect()
    }

    #[test]
    fn the_worked_examples() {
        let curve = censored(&waiting(&[(3.0, true), (1.0, true), (2.0, false)])).unwrap();
        assert_close(curve.share(0.5).unwrap(), 0.0, 0.0);
        assert_close(curve.share(2.5).unwrap(), 1.0 / 3.0, 1e-15);
        assert_close(curve.share(3.0).unwrap(), 1.0, 0.0);
        assert_eq!((curve.share(3.1), curve.share(-1.0), curve.share(f64::NAN)), (None, None, None));

        let curve = truncated(&arrivals(&[(0.0, 5.0), (1.0, 5.0), (0.0, 0.0)])).unwrap();
        assert_close(curve.share(0.0).unwrap(), 0.5, 1e-15);
        assert_close(curve.share(1.0).unwrap(), 1.0, 0.0);
        assert_eq!(curve.share(1.5), None);

        let four = waiting(&[(1.0, true), (2.0, true), (3.0, true), (9.0, false)]);
        let maturity = censored(&four).unwrap().maturity(1.0, 9.0, 0.95).unwrap();
        assert_close(maturity.share, 1.0 / 3.0, 1e-15);
        assert_close(maturity.standard_error.powi(2), 2.0 / 27.0, 1e-15);
    }

    /// Without censoring the share is the plain one and Greenwood's variance the binomial one; without
    /// truncation likewise.
    #[test]
    fn complete_data_are_counted() {
        let ages = [1.0, 1.0, 2.0, 4.0, 4.0, 4.0, 7.0, 8.0];
        let seen = censored(&waiting(&ages.map(|age| (age, true)))).unwrap();
        let old = truncated(&arrivals(&ages.map(|age| (age, 50.0)))).unwrap();
        for point in &seen.points()[..4] {
            let share = ages.iter().filter(|age| **age <= point.age_days).count() as f64 / 8.0;
            let error = (share * (1.0 - share) / 8.0).sqrt();
            assert_close(point.share, share, 1e-15);
            assert_close(point.standard_error, error, 1e-15);
            let maturity = old.maturity(point.age_days, 8.0, 0.9).unwrap();
            assert_close(maturity.share, share, 1e-15);
            assert_close(maturity.standard_error, error, 1e-15);
        }
        assert_eq!(seen.longest_days(), 8.0);
    }

    #[test]
    fn intervals_at_the_ends() {
        let curve = censored(&waiting(&[(2.0, true), (2.0, false), (3.0, true)])).unwrap();
        let none = curve.interval(1.0, 0.95).unwrap();
        assert_close(none.high, 1.0 - 0.025_f64.cbrt(), 1e-12);
        let all = curve.interval(3.0, 0.95).unwrap();
        assert_eq!((all.estimate, all.high), (1.0, 1.0));
        assert_close(all.low, curve.interval(2.0, 0.95).unwrap().low, 0.0);
        let at_once = censored(&waiting(&[(0.0, true), (0.0, true)])).unwrap();
        assert_close(at_once.interval(0.0, 0.95).unwrap().low, 0.025_f64.sqrt(), 1e-12);
        assert!(curve.interval(3.5, 0.95).is_err() && curve.interval(1.0, 1.0).is_err());
    }

    #[test]
    fn equal_units_may_be_grouped() {
        let one = censored(&waiting(&[(1.0, true), (1.0, true), (2.0, false), (3.0, true)]));
        let grouped = [(1.0, true, 2), (2.0, false, 1), (3.0, true, 1), (9.0, true, 0)];
        let unit = |(age_days, arrived, units)| Waiting { age_days, arrived, units };
        assert_eq!(one, censored(&grouped.map(unit)));
    }

    #[test]
    fn what_they_refuse() {
        assert_eq!(censored(&[]), Err(StatsError::Empty));
        assert_eq!(truncated(&[]), Err(StatsError::Empty));
        assert_eq!(censored(&waiting(&[(f64::NAN, true)])), Err(StatsError::NotFinite { index: 0 }));
        assert!(censored(&waiting(&[(-1.0, true)])).is_err());
        assert!(censored(&waiting(&[(1.0, false)])).is_err());
        assert_eq!(censored(&[Waiting { age_days: 1.0, arrived: true, units: 0 }]), Err(StatsError::Empty));
        assert!(truncated(&arrivals(&[(2.0, 1.0)])).is_err());
        assert!(truncated(&arrivals(&[(1.0, f64::INFINITY)])).is_err());
        // The unit with delay 0 is too young to be at risk at delay 3.
        assert!(truncated(&arrivals(&[(3.0, 9.0), (0.0, 1.0)])).is_err());
        let curve = censored(&waiting(&[(2.0, true), (3.0, false)])).unwrap();
        for (age, horizon) in [(1.0, 3.0), (2.0, 4.0), (3.0, 2.0), (-1.0, 3.0), (f64::NAN, 3.0)] {
            assert!(curve.maturity(age, horizon, 0.95).is_err());
        }
        let huge = [true, false].map(|arrived| Waiting { age_days: 1.0, arrived, units: u64::MAX });
        assert!(censored(&huge).is_ok());
    }
}
