//! Bins that still feel the variant before them.

use super::Bin;
use crate::StatsError;

/// The bins that are at least `burn_in` bins away from the last switch in their region, ordered by region and
/// time.
///
/// A region's first bin counts as a switch, since what was before it is unknown, and so does the bin after a
/// gap. With 10-minute bins and an effect that lasts half an hour, `burn_in` is 3. Which bins go depends on
/// the schedule alone and not on any value, so the exclusion does not bias; 0 keeps everything.
///
/// Worked example: treatments `0 0 0 1 1 1` with a burn-in of 1 keep the bins at times 1, 2, 4 and 5.
///
/// Errors: `Empty`; `OutOfRange` for a region with two bins at one time.
pub fn after_burn_in(bins: &[Bin], burn_in: u32) -> Result<Vec<Bin>, StatsError> {
    if bins.is_empty() {
        return Err(StatsError::Empty);
    }
    let mut ordered = bins.to_vec();
    ordered.sort_by_key(|bin| (bin.region, bin.time));
    let mut kept = Vec::with_capacity(ordered.len());
    let mut before: Option<Bin> = None;
    let mut since_switch = 0;
    for bin in ordered {
        since_switch = match before {
            Some(last) if last.region == bin.region && last.time == bin.time => {
                return Err(StatsError::OutOfRange {
                    name: "time of a second bin",
                    value: f64::from(bin.time),
                });
            }
            Some(last)
                if last.region == bin.region && last.treated == bin.treated && bin.time - last.time == 1 =>
            {
                since_switch + 1
            }
            _ => 0,
        };
        if since_switch >= burn_in {
            kept.push(bin);
        }
        before = Some(bin);
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bins(region: u32, treated: &[(u32, bool)]) -> Vec<Bin> {
        let bin = |&(time, treated): &(u32, bool)| Bin {
            region,
            time,
            treated,
            value: 1.0,
            cluster: 0,
            stratum: 0,
        };
        treated.iter().map(bin).collect()
    }

    fn times(bins: &[Bin]) -> Vec<(u32, u32)> {
        bins.iter().map(|bin| (bin.region, bin.time)).collect()
    }

    #[test]
    fn the_worked_example() {
        let six = bins(0, &[(0, false), (1, false), (2, false), (3, true), (4, true), (5, true)]);
        assert_eq!(times(&after_burn_in(&six, 1).unwrap()), [(0, 1), (0, 2), (0, 4), (0, 5)]);
        assert_eq!(after_burn_in(&six, 0).unwrap(), six);
        assert_eq!(after_burn_in(&six, 3).unwrap(), []);
        let mut reversed = six.clone();
        reversed.reverse();
        assert_eq!(after_burn_in(&reversed, 2), after_burn_in(&six, 2));
    }

    #[test]
    fn gaps_and_other_regions_count_as_switches() {
        let mut two = bins(1, &[(7, true), (8, true), (10, true), (11, true)]);
        two.extend(bins(0, &[(5, true), (6, true)]));
        assert_eq!(times(&after_burn_in(&two, 1).unwrap()), [(0, 6), (1, 8), (1, 11)]);
    }

    #[test]
    fn what_it_refuses() {
        assert_eq!(after_burn_in(&[], 1), Err(StatsError::Empty));
        let twice = bins(0, &[(4, true), (4, false)]);
        let expected = StatsError::OutOfRange { name: "time of a second bin", value: 4.0 };
        assert_eq!(after_burn_in(&twice, 1), Err(expected));
    }
}
