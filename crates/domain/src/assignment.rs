//! Which variant a unit gets: sticky, and stable under a change of weights.
//!
//! Owns the line [0, 1) on which every unit has its place, and how variants share that line. Refuses to know models:
//! a variant here is an [`Arm`].

mod assigner;

use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use crate::DomainError;

pub use assigner::{Assigned, Assigner, AssignmentSpec, LayerSpec, Override, Rule};

/// The place of `unit` on the line [0, 1), fixed for a salt such as the endpoint's name.
pub fn place(salt: &str, unit: &str) -> f64 {
    let mut hasher = SipHasher13::new_with_keys(0x6772_6565_6e6c_6967, 0x6874_2f61_7373_6967);
    hasher.write(salt.as_bytes());
    hasher.write_u8(0);
    hasher.write(unit.as_bytes());
    // 53 bits: every value is an exact double below 1.
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}

/// What a unit can be assigned to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// The released model.
    Champion,
    /// Another released model, named by its release.
    Challenger(String),
    /// The business without a model.
    Holdout,
}

/// All units, in the unit of a [`Span`]: ten-thousandths.
pub const WHOLE: u16 = 10_000;

/// A stretch of the line that belongs to one arm. It begins where the one before it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Where it ends, in ten-thousandths; not part of it.
    pub until: u16,
    /// Whose it is.
    pub arm: Arm,
}

/// How arms share the line. When shares change, only as many units move as have to: an arm that shrinks gives up
/// stretches, and arms that grow take exactly those.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Split(Vec<Span>);

impl Default for Split {
    fn default() -> Self {
        Self(vec![Span { until: WHOLE, arm: Arm::Holdout }])
    }
}

impl Split {
    /// Its stretches, in order; the last ends at [`WHOLE`].
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// The position of the stretch that holds `place`.
    pub fn span_at(&self, place: f64) -> usize {
        let mark = (place * f64::from(WHOLE)) as u16;
        self.0.partition_point(|span| span.until <= mark).min(self.0.len() - 1)
    }

    /// Share of `arm` in ten-thousandths.
    pub fn share(&self, arm: &Arm) -> u16 {
        self.stretches().filter(|(_, _, of)| *of == arm).map(|(from, until, _)| until - from).sum()
    }

    fn stretches(&self) -> impl Iterator<Item = (u16, u16, &Arm)> {
        let from = std::iter::once(0).chain(self.0.iter().map(|span| span.until));
        from.zip(&self.0).map(|(from, span)| (from, span.until, &span.arm))
    }

    /// The split in which every arm has the share named (in ten-thousandths) and the holdout the rest, with as few
    /// units moved as possible. Arms that are not named end.
    pub fn with_shares(&self, shares: &[(Arm, u16)]) -> Result<Self, DomainError> {
        let named: u32 = shares.iter().map(|(_, share)| u32::from(*share)).sum();
        let Some(rest) = u32::from(WHOLE).checked_sub(named) else {
            return Err(DomainError::invalid("shares", "add up to more than all units"));
        };
        let mut wanted: Vec<(Arm, u16)> = shares.to_vec();
        wanted.push((Arm::Holdout, rest as u16));
        let target = |arm: &Arm| wanted.iter().find(|(of, _)| of == arm).map_or(0, |(_, share)| *share);
        let mut line: Vec<(u16, u16, Option<Arm>)> = Vec::with_capacity(self.0.len() + wanted.len());
        let mut given: Vec<(&Arm, u16)> = Vec::new();
        for (from, until, arm) in self.stretches() {
            let known = given.iter().position(|(of, _)| *of == arm).unwrap_or_else(|| {
                // The holdout gives up its lowest places and all others their highest, so that a champion that
                // grows and shrinks against the holdout moves one mark to and fro.
                let surplus = self.share(arm).saturating_sub(target(arm));
                let first = if *arm == Arm::Holdout { surplus } else { self.share(arm) - surplus };
                given.push((arm, first));
                given.len() - 1
            });
            let first = given[known].1.min(until - from);
            given[known].1 -= first;
            let (low, high) = (Some(arm.clone()), None);
            let (low, high) = if *arm == Arm::Holdout { (high, low) } else { (low, high) };
            line.push((from, from + first, low));
            line.push((from + first, until, high));
        }
        Ok(Self(take_up(line, &wanted)))
    }
}

/// Gives the free stretches of `line` to the arms that have less than they want.
fn take_up(line: Vec<(u16, u16, Option<Arm>)>, wanted: &[(Arm, u16)]) -> Vec<Span> {
    let mut lacking: Vec<(&Arm, u16)> = wanted
        .iter()
        .map(|(arm, share)| {
            let kept: u16 = line
                .iter()
                .filter(|(_, _, of)| of.as_ref() == Some(arm))
                .map(|(from, until, _)| until - from)
                .sum();
            (arm, share.saturating_sub(kept))
        })
        .collect();
    let mut spans: Vec<Span> = Vec::with_capacity(line.len());
    let mut push = |until: u16, arm: &Arm| match spans.last_mut() {
        Some(last) if last.arm == *arm => last.until = until,
        Some(last) if last.until == until => {}
        None if until == 0 => {}
        _ => spans.push(Span { until, arm: arm.clone() }),
    };
    for (mut from, until, arm) in line {
        if let Some(arm) = arm {
            push(until, &arm);
            continue;
        }
        for (arm, lacks) in &mut lacking {
            let takes = (*lacks).min(until - from);
            if takes > 0 {
                from += takes;
                *lacks -= takes;
                push(from, arm);
            }
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenger(name: &str) -> Arm {
        Arm::Challenger(name.to_owned())
    }

    fn check(before: &Split, shares: &[(Arm, u16)]) -> Split {
        let after = before.with_shares(shares).unwrap();
        assert_eq!(after.0.last().map(|span| span.until), Some(WHOLE));
        assert!(after.0.windows(2).all(|pair| pair[0].until < pair[1].until && pair[0].arm != pair[1].arm));
        for (arm, share) in shares {
            assert_eq!(after.share(arm), *share, "{arm:?}");
        }
        let arms =
            |split: &Split, at: u16| split.0[split.span_at(f64::from(at) / f64::from(WHOLE))].arm.clone();
        let moved = (0..WHOLE).filter(|at| arms(before, *at) != arms(&after, *at)).count();
        // What has to move is what the shrinking arms lose.
        let mut all: Vec<Arm> = before.0.iter().map(|span| span.arm.clone()).collect();
        all.sort();
        all.dedup();
        let must: usize =
            all.iter().map(|arm| usize::from(before.share(arm).saturating_sub(after.share(arm)))).sum();
        assert_eq!(moved, must, "from {before:?} to {after:?}");
        after
    }

    #[test]
    fn only_the_units_that_must_move_do() {
        let mut split = Split::default();
        let plans: [&[(Arm, u16)]; 9] = [
            &[(Arm::Champion, 1_000)],
            &[(Arm::Champion, 5_000)],
            &[(Arm::Champion, 9_000)],
            &[(Arm::Champion, 8_000), (challenger("b"), 1_000)],
            &[(Arm::Champion, 6_500), (challenger("b"), 1_500), (challenger("c"), 1_001)],
            &[(Arm::Champion, 6_500), (challenger("c"), 2_500)],
            &[(Arm::Champion, 100), (challenger("c"), 9_900)],
            &[(challenger("c"), 0), (Arm::Champion, 9_000)],
            &[],
        ];
        for shares in plans {
            split = check(&split, shares);
        }
        assert_eq!(split, Split::default());
        assert!(split.with_shares(&[(Arm::Champion, 9_000), (challenger("b"), 1_001)]).is_err());
    }

    #[test]
    fn a_champion_that_grows_against_the_holdout_moves_one_mark() {
        let split = Split::default().with_shares(&[(Arm::Champion, 1_000)]).unwrap();
        let split = split.with_shares(&[(Arm::Champion, 9_000)]).unwrap();
        let expected = [Span { until: 9_000, arm: Arm::Champion }, Span { until: WHOLE, arm: Arm::Holdout }];
        assert_eq!(split.spans(), expected);
        assert_eq!(
            (split.span_at(0.0), split.span_at(0.8999), split.span_at(0.9), split.span_at(0.999_999)),
            (0, 0, 1, 1)
        );
    }

    #[test]
    fn the_share_is_the_weight() {
        let units: Vec<String> = (0..20_000).map(|i| format!("client-{i}")).collect();
        for weight in [0.1, 0.5, 0.9] {
            let share = units.iter().filter(|unit| place("calls", unit) < weight).count() as f64 / 20_000.0;
            // Four standard errors of a binomial share.
            assert!((share - weight).abs() < 4.0 * (weight * (1.0 - weight) / 20_000.0).sqrt(), "{share}");
        }
    }

    #[test]
    fn two_endpoints_split_independently() {
        let both = (0..10_000)
            .filter(|i| place("a", &i.to_string()) < 0.5 && place("b", &i.to_string()) < 0.5)
            .count();
        assert!((2_300..2_700).contains(&both), "{both}");
    }
}
