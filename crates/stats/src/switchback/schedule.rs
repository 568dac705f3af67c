//! Which stretch of time gets which variant, drawn before the test. Owns the balanced random schedule and the
//! chance that each assignment had; refuses strict alternation, which any rhythm of the market can imitate.

use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};

use crate::StatsError;

/// The most assignments one schedule may hold.
const MAX_ASSIGNMENTS: u64 = 10_000_000;

/// What is to be drawn. A period is the stretch of time between two chances to switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Design {
    /// Regions, each with a schedule of its own.
    pub regions: u32,
    /// Periods in each region.
    pub periods: u32,
    /// Periods after which the world repeats: 168 for hours of the week, 1 to ignore rhythms.
    pub cycle: u32,
    /// The number of successive periods with the same place in the cycle that are balanced together.
    pub block: u32,
    /// How many of each block are treated; from 1 to `block - 1`.
    pub treated_per_block: u32,
}

/// A drawn schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    design: Design,
    treated: Vec<bool>,
}

/// Draws a schedule: in every region, each block of successive periods with the same place in the cycle gets
/// the treatment exactly `treated_per_block` times, at places drawn uniformly from all ways to do so
/// (restricted randomisation; Bojinov, Simchi-Levi & Zhao, "Design and Analysis of Switchback Experiments",
/// Management Science 2023, on why the draw and its chances must be recorded).
///
/// With `cycle = 168`, `block = 2` and `treated_per_block = 1` every hour of the week is treated in one of
/// two weeks, so hours cannot be confounded with the treatment. A last block that the periods cut short keeps
/// its chances, and only its balance is lost.
///
/// The seed determines the result on every machine (ChaCha with 8 rounds; places by the high half of a 64 by
/// 64 bit product, whose bias is below `block / 2^64`).
///
/// Worked example: 2 regions with 4 periods, `cycle = 2` and `block = 2`: periods 0 and 2 of a region hold one
/// treatment, and periods 1 and 3 the other.
///
/// Errors: `OutOfRange` for a count of 0, for `treated_per_block` not below `block`, and for more than
/// 10,000,000 assignments.
pub fn draw(design: Design, seed: u64) -> Result<Schedule, StatsError> {
    check_design(&design)?;
    let (cycle, block, periods) = (design.cycle as usize, design.block as usize, design.periods as usize);
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let mut treated = Vec::with_capacity(design.regions as usize * periods);
    let mut places: Vec<usize> = Vec::new();
    for _ in 0..design.regions {
        let mut region = vec![false; periods];
        for first in (0..periods).filter(|period| period / cycle % block == 0) {
            places.clear();
            places.extend(0..block);
            for chosen in 0..design.treated_per_block as usize {
                let left = (block - chosen) as u128;
                let skip = ((u128::from(generator.next_u64()) * left) >> 64) as usize;
                places.swap(chosen, chosen + skip);
                if let Some(period) = region.get_mut(first + places[chosen] * cycle) {
                    *period = true;
                }
            }
        }
        treated.extend(region);
    }
    Ok(Schedule { design, treated })
}

impl Schedule {
    /// What was asked for.
    pub fn design(&self) -> Design {
        self.design
    }

    /// Whether a period of a region is treated, both counted from 0; `None` outside the schedule.
    pub fn treated(&self, region: u32, period: u32) -> Option<bool> {
        if region >= self.design.regions || period >= self.design.periods {
            return None;
        }
        self.treated.get(region as usize * self.design.periods as usize + period as usize).copied()
    }

    /// The number of the block that a period belongs to, unlike that of any other block in any region; `None`
    /// outside the schedule.
    ///
    /// It is the cluster to give to the period's bins: assignments of different blocks are independent, and
    /// those within a block are not.
    pub fn block(&self, region: u32, period: u32) -> Option<u32> {
        self.treated(region, period)?;
        let Design { periods, cycle, block, .. } = self.design;
        let rows = periods.div_ceil(cycle).div_ceil(block);
        let row = region * rows + period / cycle / block;
        Some(row * cycle.min(periods) + period % cycle)
    }

    /// The chance that any one period had of being treated: `treated_per_block / block`, exactly.
    pub fn propensity(&self) -> f64 {
        f64::from(self.design.treated_per_block) / f64::from(self.design.block)
    }

    /// The chance that two periods, each given as region and period, are both treated; `None` outside the
    /// schedule.
    ///
    /// With `k` of `b` treated in a block it is `k / b` for a period and itself, `k (k - 1) / (b (b - 1))` for
    /// two of one block, and `(k / b)^2` otherwise.
    pub fn chance_both_treated(&self, one: (u32, u32), other: (u32, u32)) -> Option<f64> {
        self.treated(one.0, one.1)?;
        self.treated(other.0, other.1)?;
        if one == other {
            return Some(self.propensity());
        }
        let one_block = self.block(one.0, one.1) == self.block(other.0, other.1);
        let (k, b) = (f64::from(self.design.treated_per_block), f64::from(self.design.block));
        Some(if one_block { k * (k - 1.0) / (b * (b - 1.0)) } else { (k / b) * (k / b) })
    }
}

fn check_design(design: &Design) -> Result<(), StatsError> {
    let counts = [
        ("regions", design.regions),
        ("periods", design.periods),
        ("cycle", design.cycle),
        ("block", design.block),
        ("treated_per_block", design.treated_per_block),
    ];
    if let Some(&(name, _)) = counts.iter().find(|(_, count)| *count == 0) {
        return Err(StatsError::OutOfRange { name, value: 0.0 });
    }
    if design.treated_per_block >= design.block {
        let value = f64::from(design.treated_per_block);
        return Err(StatsError::OutOfRange { name: "treated_per_block", value });
    }
    // A block longer than the periods draws places that are thrown away, so it counts too.
    let longest = u64::from(design.periods.max(design.block));
    let assignments = u64::from(design.regions).saturating_mul(longest);
    let drawn = assignments.saturating_mul(u64::from(design.cycle.min(design.periods)));
    let cost = if design.block > design.periods { drawn } else { assignments };
    if cost > MAX_ASSIGNMENTS {
        return Err(StatsError::OutOfRange { name: "assignments", value: cost as f64 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;

    const WEEKS: Design = Design { regions: 3, periods: 4 * 168, cycle: 168, block: 2, treated_per_block: 1 };

    #[test]
    fn the_worked_example() {
        let design = Design { regions: 2, periods: 4, cycle: 2, block: 2, treated_per_block: 1 };
        for seed in 0..20 {
            let schedule = draw(design, seed).unwrap();
            for region in 0..2 {
                let at = |period| schedule.treated(region, period).unwrap();
                assert!(at(0) != at(2) && at(1) != at(3));
            }
        }
    }

    #[test]
    fn every_hour_of_the_week_is_balanced() {
        let schedule = draw(WEEKS, 5).unwrap();
        for region in 0..WEEKS.regions {
            for hour in 0..168 {
                for fortnight in 0..2 {
                    let week = |week: u32| schedule.treated(region, (2 * fortnight + week) * 168 + hour);
                    assert_ne!(week(0), week(1));
                }
            }
        }
        assert_eq!(schedule, draw(WEEKS, 5).unwrap());
        assert_ne!(schedule, draw(WEEKS, 6).unwrap());
        assert_eq!(schedule.design(), WEEKS);
        let periods = || (0..WEEKS.regions).flat_map(|region| (0..WEEKS.periods).map(move |at| (region, at)));
        let mut blocks: Vec<u32> = periods().filter_map(|(region, at)| schedule.block(region, at)).collect();
        assert_eq!(blocks.len(), 3 * 4 * 168);
        blocks.sort_unstable();
        assert!(blocks.chunks(2).all(|pair| pair[0] == pair[1]));
        blocks.dedup();
        assert_eq!(blocks.len(), 3 * 2 * 168);
        assert_eq!((schedule.treated(3, 0), schedule.treated(0, 4 * 168)), (None, None));
    }

    /// Shares over many seeds are the propensities that the schedule states: of a period, and of pairs within
    /// and across blocks.
    #[test]
    fn the_stated_chances_are_those_of_the_draw() {
        let design = Design { regions: 1, periods: 8, cycle: 1, block: 5, treated_per_block: 2 };
        let draws = 4_000;
        let mut both = [[0_u32; 8]; 8];
        for seed in 0..draws {
            let schedule = draw(design, seed).unwrap();
            let treated = |period: usize| schedule.treated(0, period as u32) == Some(true);
            for (one, row) in both.iter_mut().enumerate() {
                for (other, count) in row.iter_mut().enumerate() {
                    *count += u32::from(treated(one) && treated(other));
                }
            }
        }
        let schedule = draw(design, 0).unwrap();
        assert_close(schedule.propensity(), 0.4, 0.0);
        assert_eq!(schedule.chance_both_treated((0, 0), (0, 4)), Some(0.1));
        assert_eq!(schedule.chance_both_treated((0, 0), (0, 8)), None);
        for (one, row) in both.iter().enumerate() {
            for (other, &count) in row.iter().enumerate() {
                let chance = schedule.chance_both_treated((0, one as u32), (0, other as u32)).unwrap();
                assert_close(f64::from(count) / draws as f64, chance, 0.03);
            }
        }
    }

    #[test]
    fn what_it_refuses() {
        let name = |design| match draw(design, 0) {
            Err(StatsError::OutOfRange { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(Design { regions: 0, ..WEEKS }), "regions");
        assert_eq!(name(Design { cycle: 0, ..WEEKS }), "cycle");
        assert_eq!(name(Design { treated_per_block: 0, ..WEEKS }), "treated_per_block");
        assert_eq!(name(Design { treated_per_block: 2, ..WEEKS }), "treated_per_block");
        assert_eq!(name(Design { regions: u32::MAX, periods: u32::MAX, ..WEEKS }), "assignments");
        let long = Design { regions: 9, periods: 1_000, cycle: 1_000, block: u32::MAX, treated_per_block: 9 };
        assert_eq!(name(long), "assignments");
        let cut = draw(Design { block: 1_000, treated_per_block: 1, ..WEEKS }, 1).unwrap();
        assert_eq!(cut.treated(0, 0).map(|_| cut.propensity()), Some(0.001));
    }
}
