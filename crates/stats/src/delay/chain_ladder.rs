//! The chain ladder with its standard errors: Mack, "Distribution-free Calculation of the Standard Error of
//! Chain Ladder Reserve Estimates" (ASTIN Bulletin 1993). Owns the factors and errors; refuses tail factors.

use super::interval_of_total;
use crate::{Interval, StatsError, check};

/// One day, developed to the oldest age.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Developed {
    /// The age of the latest sum, counted from 0.
    pub age: usize,
    /// The latest sum.
    pub arrived: f64,
    /// What the day will come to. Its interval holds the chance of the remaining arrivals and the error of the
    /// factors.
    pub total: Interval,
    /// The root of the mean squared error of the estimate.
    pub standard_error: f64,
    /// `arrived` over the estimate of the total: the maturity of the day.
    pub share: f64,
}

/// All days together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Total {
    /// What all days will come to.
    pub total: Interval,
    /// The sum over the days of what has yet to arrive.
    pub outstanding: f64,
    /// The root of the mean squared error, above that of independent days, since they share the factors.
    pub standard_error: f64,
}

/// The result of [`chain_ladder`].
#[derive(Debug, Clone, PartialEq)]
pub struct ChainLadder {
    /// By how much the sum at each age grows to the next; one less than there are ages.
    pub factors: Vec<f64>,
    /// The standard errors of the factors.
    pub factor_errors: Vec<f64>,
    /// The variance of a day's growth at each age per unit of its sum, `sigma^2` in Mack's paper.
    pub variances: Vec<f64>,
    /// The share of the total that has arrived by each age; 1 at the oldest.
    pub shares: Vec<f64>,
    /// One for each day, in the order given.
    pub days: Vec<Developed>,
    /// All days together.
    pub total: Total,
}

/// What each day will come to, from the cumulative sums of all days at each age so far.
///
/// `sums` has a row for each day, the oldest first; entry `k` of a row is what had arrived by age `k` (counted
/// from 0, in steps of equal length). No row may be longer than the one before. The first row reaches the
/// oldest age; any number of full rows may come first.
///
/// With `C[i][k]` the sums, the factor is `f_k = sum of C[i][k + 1] / S_k`, `S_k = sum of C[i][k]`, over the
/// days that reach `k + 1`, and `sigma_k^2 = sum of (C[i][k + 1] - f_k C[i][k])^2 / C[i][k] / (days - 1)`. At an
/// age that a single day has passed, Mack's extrapolation is used:
/// `min(sigma_(k-1)^4 / sigma_(k-2)^2, sigma_(k-1)^2, sigma_(k-2)^2)`. A day's mean squared error is
/// `U^2 sum over k of sigma_k^2 / f_k^2 (1 / C[k] + 1 / S_k)` with `U` its total and `C[k]` its projected sums;
/// the first term is the chance of what arrives, the second the error of the factors. The total adds Mack's
/// covariance between days. Intervals are lognormal around what is outstanding.
///
/// The model supposes that days are independent, that the growth from one age to the next is in proportion
/// to what has arrived, and its variance too.
///
/// Worked example: rows `[100, 200, 220]` twice, `[50, 110]` and `[80]`. The factors are `510 / 250` and
/// `440 / 400`; the third day comes to 121 and the last to `80 2.04 1.1 = 179.52`.
///
/// Errors: `Empty` without days; `NotFinite` with the day's index; `OutOfRange` for fewer than two ages, a row
/// that is empty or longer than the one before, a sum that is not greater than 0 (begin at the first age at
/// which every day has some), an age with a single day that has no two ages before it to extrapolate from, a
/// result that overflows, and a `level` not strictly between 0 and 1.
pub fn chain_ladder(sums: &[Vec<f64>], level: f64) -> Result<ChainLadder, StatsError> {
    check::open_unit("level", level)?;
    check_rows(sums)?;
    let growth = Growth::of(sums)?;
    let days: Vec<Projected> = sums.iter().map(|row| growth.project(row)).collect();
    let mut squared = 0.0;
    let mut younger: f64 = days.iter().map(|day| day.total).sum();
    for day in &days {
        younger -= day.total;
        squared += day.squared_error + 2.0 * day.total * younger.max(0.0) * day.factor_error;
    }
    let arrived: f64 = days.iter().map(|day| day.arrived).sum();
    let outstanding: f64 = days.iter().map(|day| day.total - day.arrived).sum();
    let standard_error = squared.sqrt();
    if !(standard_error + arrived + outstanding).is_finite() {
        return Err(StatsError::OutOfRange { name: "total", value: arrived + outstanding });
    }
    let total = interval_of_total(arrived, outstanding, standard_error, level);
    let mut shares = vec![1.0; growth.factors.len() + 1];
    for (age, factor) in growth.factors.iter().enumerate().rev() {
        shares[age] = shares[age + 1] / factor;
    }
    Ok(ChainLadder {
        factor_errors: growth.variances.iter().zip(&growth.sums).map(|(v, sum)| (v / sum).sqrt()).collect(),
        factors: growth.factors,
        variances: growth.variances,
        shares,
        days: days.iter().map(|day| day.developed(level)).collect(),
        total: Total { total, outstanding, standard_error },
    })
}

/// Mack's `f`, `sigma^2` and `S` by age.
struct Growth {
    factors: Vec<f64>,
    variances: Vec<f64>,
    sums: Vec<f64>,
}

struct Projected {
    age: usize,
    arrived: f64,
    total: f64,
    squared_error: f64,
    /// `sum over k of sigma_k^2 / (f_k^2 S_k)` from the day's age on.
    factor_error: f64,
}

impl Growth {
    fn of(sums: &[Vec<f64>]) -> Result<Self, StatsError> {
        let ages = sums.first().map_or(0, Vec::len);
        let mut growth = Self { factors: Vec::new(), variances: Vec::new(), sums: Vec::new() };
        for age in 0..ages - 1 {
            let steps: Vec<(f64, f64)> =
                sums.iter().filter_map(|row| Some((*row.get(age)?, *row.get(age + 1)?))).collect();
            let sum: f64 = steps.iter().map(|(before, _)| before).sum();
            let factor = steps.iter().map(|(_, after)| after).sum::<f64>() / sum;
            check::positive("factor", factor)?;
            let deviation = |&(before, after): &(f64, f64)| (after - factor * before).powi(2) / before;
            let squares: f64 = steps.iter().map(deviation).sum();
            let variance = match (steps.len(), growth.variances.as_slice()) {
                (2.., _) => squares / (steps.len() as f64 - 1.0),
                (_, [.., second, last]) if *second > 0.0 => (last * (last / second)).min(*last).min(*second),
                (_, [.., _, _]) => 0.0,
                _ => {
                    return Err(StatsError::OutOfRange { name: "days at an age", value: steps.len() as f64 });
                }
            };
            growth.factors.push(factor);
            growth.variances.push(variance);
            growth.sums.push(sum);
        }
        Ok(growth)
    }

    fn project(&self, row: &[f64]) -> Projected {
        let age = row.len() - 1;
        let arrived = row[age];
        let (mut at, mut relative, mut factor_error) = (arrived, 0.0, 0.0);
        for ((factor, variance), sum) in self.factors.iter().zip(&self.variances).zip(&self.sums).skip(age) {
            let scaled = variance / (factor * factor);
            relative += scaled / at + scaled / sum;
            factor_error += scaled / sum;
            at *= factor;
        }
        Projected { age, arrived, total: at, squared_error: at * at * relative, factor_error }
    }
}

impl Projected {
    fn developed(&self, level: f64) -> Developed {
        let standard_error = self.squared_error.sqrt();
        Developed {
            age: self.age,
            arrived: self.arrived,
            total: interval_of_total(self.arrived, self.total - self.arrived, standard_error, level),
            standard_error,
            share: self.arrived / self.total,
        }
    }
}

fn check_rows(sums: &[Vec<f64>]) -> Result<(), StatsError> {
    let first = sums.first().ok_or(StatsError::Empty)?;
    if first.len() < 2 {
        return Err(StatsError::OutOfRange { name: "number of ages", value: first.len() as f64 });
    }
    let mut longest = first.len();
    for (index, row) in sums.iter().enumerate() {
        if row.is_empty() || row.len() > longest {
            return Err(StatsError::OutOfRange { name: "length of a row", value: row.len() as f64 });
        }
        longest = row.len();
        if row.iter().any(|sum| !sum.is_finite()) {
            return Err(StatsError::NotFinite { index });
        }
        if let Some(&value) = row.iter().find(|sum| **sum <= 0.0) {
            return Err(StatsError::OutOfRange { name: "cumulative sum", value });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    #[test]
    fn the_worked_example() {
        let full = vec![100.0, 200.0, 220.0];
        let found = chain_ladder(&[full.clone(), full.clone(), vec![50.0, 110.0], vec![80.0]], 0.95).unwrap();
        assert_close(found.factors[0], 2.04, 1e-15);
        assert_close(found.factors[1], 1.1, 1e-15);
        assert_close(found.days[2].total.estimate, 121.0, 1e-12);
        assert_close(found.days[3].total.estimate, 179.52, 1e-12);
        // With one full day and two ages there is nothing to extrapolate the last variance from.
        let short = chain_ladder(&[full, vec![50.0, 110.0], vec![80.0]], 0.95);
        assert_eq!(short, Err(StatsError::OutOfRange { name: "days at an age", value: 1.0 }));
    }

    #[test]
    fn a_full_day_has_no_error() {
        let rows = [
            vec![10.0, 20.0, 22.0],
            vec![12.0, 21.0, 23.0],
            vec![8.0, 20.0, 21.0],
            vec![11.0, 23.0],
            vec![9.0],
        ];
        let found = chain_ladder(&rows, 0.9).unwrap();
        for day in &found.days[..3] {
            assert_close(day.standard_error, 0.0, 0.0);
            assert_close(day.total.half_width(), 0.0, 0.0);
            assert_close(day.share, 1.0, 0.0);
        }
        assert!(found.days[4].total.low > 9.0 && found.days[4].share < found.days[3].share);
        assert_close(found.shares[0], 1.0 / (found.factors[0] * found.factors[1]), 1e-15);
        assert_close(found.days[4].share, found.shares[0], 1e-15);
    }

    #[test]
    fn what_it_refuses() {
        let rows = |rows: &[&[f64]]| rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>();
        let failed = |sums: &[&[f64]]| chain_ladder(&rows(sums), 0.95).err();
        assert_eq!(failed(&[]), Some(StatsError::Empty));
        assert!(failed(&[&[1.0], &[1.0]]).is_some());
        assert!(failed(&[&[1.0, 2.0], &[1.0, 2.0, 3.0]]).is_some());
        assert!(failed(&[&[1.0, 2.0], &[]]).is_some());
        assert!(failed(&[&[1.0, 2.0], &[0.0, 2.0]]).is_some());
        assert!(failed(&[&[1.0, 2.0], &[1.0, -2.0]]).is_some());
        assert_eq!(failed(&[&[1.0, 2.0], &[1.0, f64::NAN]]), Some(StatsError::NotFinite { index: 1 }));
        assert!(failed(&[&[1e-300, 1e300], &[1e-300, 1e300], &[1e300]]).is_some());
        assert!(failed(&[&[1.0, 2.0], &[1.0, 3.0], &[1.0]]).is_none());
        assert!(chain_ladder(&rows(&[&[1.0, 2.0], &[1.0, 3.0]]), 0.0).is_err());
    }
}
