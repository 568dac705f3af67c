//! What a young day will come to, from what has arrived and how much of a day has arrived by its age.

use super::{curve::Maturity, interval_of_total};
use crate::{Interval, StatsError, check, moments::Moments};

/// The result of [`project`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Projection {
    /// The sum that has arrived.
    pub arrived: f64,
    /// The sum that has yet to arrive.
    pub outstanding: f64,
    /// What the day will come to by the horizon of the maturity.
    pub total: Interval,
    /// The root of the mean squared error of the estimate.
    pub standard_error: f64,
}

/// What a day will come to: the arrived sum over the share `r` that arrives by the day's age.
///
/// The arrivals are taken for a Poisson number of independent amounts whose delay does not depend on the
/// amount. With `q` the sum of squared amounts so far, the squared error is
/// `q (1 - r) / r^2 + (sum / r^2)^2 e^2`: the chance of what is still to come, and the error `e` of the share,
/// by the delta method. The interval is lognormal around what is outstanding, so it never falls below what has
/// arrived. Days projected with the same curve share its error; their intervals do not add up as independent
/// ones.
///
/// With few arrivals so far the estimate is skew and the interval rough: below 20, wait.
///
/// Worked example: 30 outcomes of 10 have arrived by an age that holds 0.6 of a day, known exactly. The day will
/// come to 500, with the error `sqrt(3000 0.4 / 0.36) = 57.735`.
///
/// Errors: `Empty` without arrivals; `OutOfRange` for sums that are not finite, for a share outside `(0, 1]`, a
/// negative or infinite error of it, an overflow, and a `level` not strictly between 0 and 1.
pub fn project(arrived: &Moments, maturity: &Maturity, level: f64) -> Result<Projection, StatsError> {
    check::open_unit("level", level)?;
    if arrived.n == 0 {
        return Err(StatsError::Empty);
    }
    let (share, share_error) = (maturity.share, maturity.standard_error);
    if !(share > 0.0 && share <= 1.0) {
        return Err(StatsError::OutOfRange { name: "share", value: share });
    }
    if !(share_error.is_finite() && share_error >= 0.0) {
        return Err(StatsError::OutOfRange { name: "standard_error of the share", value: share_error });
    }
    let (sum, squares) = (arrived.sum, arrived.sum_squares);
    let outstanding = sum * ((1.0 - share) / share);
    let by_chance = squares * (1.0 - share) / (share * share);
    let by_share = sum / (share * share) * share_error;
    let standard_error = (by_chance + by_share * by_share).sqrt();
    if !(outstanding + standard_error + sum).is_finite() {
        return Err(StatsError::OutOfRange { name: "sum of the arrived", value: sum });
    }
    let total = interval_of_total(sum, outstanding, standard_error, level);
    Ok(Projection { arrived: sum, outstanding, total, standard_error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    fn maturity(share: f64, standard_error: f64) -> Maturity {
        let interval = Interval { estimate: share, low: share, high: share, level: 0.95 };
        Maturity { share, standard_error, interval }
    }

    #[test]
    fn the_worked_example() {
        let arrived = Moments::from_values(&[10.0; 30]);
        let found = project(&arrived, &maturity(0.6, 0.0), 0.95).unwrap();
        assert_close(found.total.estimate, 500.0, 1e-12);
        assert_close(found.outstanding, 200.0, 1e-12);
        assert_close(found.standard_error, 57.735, 5e-4);
        let unsure = project(&arrived, &maturity(0.6, 0.03), 0.95).unwrap();
        assert_close(unsure.standard_error, (3_000.0 * 0.4 / 0.36 + 25.0_f64.powi(2)).sqrt(), 1e-12);
        assert!(unsure.total.low > 300.0 && unsure.total.high > found.total.high);
    }

    #[test]
    fn a_mature_day_is_what_it_is() {
        let found = project(&Moments::from_values(&[5.0, -2.0]), &maturity(1.0, 0.0), 0.9).unwrap();
        assert_eq!(found.total, Interval { estimate: 3.0, low: 3.0, high: 3.0, level: 0.9 });
    }

    #[test]
    fn what_it_refuses() {
        let arrived = Moments::from_values(&[1.0, 2.0]);
        assert_eq!(project(&Moments::default(), &maturity(0.5, 0.0), 0.9), Err(StatsError::Empty));
        for (share, error) in [(0.0, 0.0), (1.1, 0.0), (f64::NAN, 0.0), (0.5, -1.0), (0.5, f64::NAN)] {
            assert!(project(&arrived, &maturity(share, error), 0.9).is_err());
        }
        assert!(project(&arrived, &maturity(1e-300, 0.5), 0.9).is_err());
        assert!(project(&Moments::from_values(&[f64::NAN]), &maturity(0.5, 0.0), 0.9).is_err());
        assert!(project(&arrived, &maturity(0.5, 0.0), 1.0).is_err());
    }
}
